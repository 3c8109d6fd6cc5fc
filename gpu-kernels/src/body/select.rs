//! The largest values of each row by magnitude, exactly: a radix select, then a compaction.
//!
//! A block has a row. The bits of |x| order like |x| itself, so histograms of eight bits each, four a
//! word, counted by integer additions that no order can change, find the magnitude at the rank. Among
//! equal magnitudes the lower indices are kept. A NaN counts as larger than every number.

use crate::contract::Selection;
use crate::device::{Device, Shared, WARP};
use crate::word::Scalar;

/// Threads of a block, and bins of a histogram.
pub const THREADS: u32 = 256;
const WARPS: u32 = THREADS / WARP;

const BINS: Shared<u32> = Shared::at(0);
/// The prefix that the selected magnitude has, and the rank among those that share it.
const CHOICE: Shared<u32> = BINS.skip(THREADS);
/// Two counts for each warp.
const COUNTS: Shared<u32> = CHOICE.skip(4);

/// Bytes of shared memory.
pub const SHARED_BYTES: u32 = COUNTS.skip(2 * WARPS).address(0);

/// `index[r]` and `value[r]` ← the `kept` largest of row r by magnitude, in the order of their indices.
/// Shapes: x rows × length, index and value rows × kept.
#[inline(always)]
pub fn select<T: Scalar, D: Device>(
    d: D,
    index: D::Array<u32>,
    value: D::Array<T>,
    x: D::Array<T>,
    s: Selection,
) {
    let row = d.block()[0];
    let x = d.advance(x, u64::from(row) * s.distance);
    let out = u64::from(row) * u64::from(s.kept);
    let (index, value) = (d.advance(index, out), d.advance(value, out));
    let (threshold, ties) = threshold(d, x, s);
    let mut before = [0; 2];
    let mut start = 0;
    while start < s.length {
        let i = start + d.thread();
        let bits = if i < s.length { magnitude(d, x, i) } else { [0; 2] };
        let above = i < s.length && bits > threshold;
        let equal = i < s.length && bits == threshold;
        let (places, totals) = positions(d, [above, equal], before);
        // Of the ties, the first few are kept; they stand between the larger ones by index.
        let taken = if places[1] < ties { places[1] } else { ties };
        if above || (equal && places[1] < ties) {
            d.store(index, places[0] + taken, i);
            d.store(value, places[0] + taken, d.load(x, i));
        }
        before = totals;
        start += THREADS;
    }
}

/// The bits of |x|, high word first; the second word is 0 in f32.
#[inline(always)]
fn magnitude<T: Scalar, D: Device>(d: D, x: D::Array<T>, i: u32) -> [u32; 2] {
    let [low, high] = d.load(x, i).to_words();
    if T::WORDS == 2 { [high & 0x7fff_ffff, low] } else { [low & 0x7fff_ffff, 0] }
}

/// The magnitude at the rank, and how many of those that are equal to it are kept.
#[inline(always)]
fn threshold<T: Scalar, D: Device>(d: D, x: D::Array<T>, s: Selection) -> ([u32; 2], u32) {
    let (high, rank) = word_at_rank(d, s.length, s.kept, |i| Some(magnitude(d, x, i)[0]));
    if T::WORDS == 1 {
        return ([high, 0], rank);
    }
    // Among those with the same high word, the low word decides.
    let (low, rank) = word_at_rank(d, s.length, rank, |i| {
        let [h, low] = magnitude(d, x, i);
        if h == high { Some(low) } else { None }
    });
    ([high, low], rank)
}

/// The word at a rank, the largest first, among those of the indices below `length` that have one;
/// and its rank among those that are equal to it.
#[inline(always)]
fn word_at_rank<D: Device>(
    d: D,
    length: u32,
    mut rank: u32,
    word: impl Fn(u32) -> Option<u32>,
) -> (u32, u32) {
    let mut prefix = 0;
    let mut shift = 24;
    loop {
        d.shared_store(BINS, d.thread(), 0);
        d.barrier();
        // The bits above the eight of this round, none in the first.
        let mask = if shift == 24 { 0 } else { u32::MAX << (shift + 8) };
        let mut i = d.thread();
        while i < length {
            if let Some(bits) = word(i)
                && bits & mask == prefix
            {
                d.shared_atomic_add(BINS, bits >> shift & 0xff, 1);
            }
            i += THREADS;
        }
        d.barrier();
        let mut above = 0;
        let mut bin = d.thread() + 1;
        while bin < THREADS {
            above += d.shared_load(BINS, bin);
            bin += 1;
        }
        // Exactly one bin holds the rank.
        if above < rank && rank <= above + d.shared_load(BINS, d.thread()) {
            d.shared_store(CHOICE, 0, prefix | d.thread() << shift);
            d.shared_store(CHOICE, 1, rank - above);
        }
        d.barrier();
        (prefix, rank) = (d.shared_load(CHOICE, 0), d.shared_load(CHOICE, 1));
        if shift == 0 {
            return (prefix, rank);
        }
        shift -= 8;
    }
}

/// For two predicates, how many threads before this one have each, in this chunk and all before it;
/// and the counts after the chunk.
#[inline(always)]
fn positions<D: Device>(d: D, predicates: [bool; 2], before: [u32; 2]) -> ([u32; 2], [u32; 2]) {
    let votes = predicates.map(|p| d.ballot(p));
    let earlier = (1 << d.lane()) - 1;
    if d.lane() == 0 {
        d.shared_store(COUNTS, d.warp(), votes[0].count_ones());
        d.shared_store(COUNTS, WARPS + d.warp(), votes[1].count_ones());
    }
    d.barrier();
    let mut places = [0, 1].map(|q: usize| before[q] + (votes[q] & earlier).count_ones());
    let mut totals = before;
    let mut warp = 0;
    while warp < WARPS {
        let counts = [d.shared_load(COUNTS, warp), d.shared_load(COUNTS, WARPS + warp)];
        if warp < d.warp() {
            places = [places[0] + counts[0], places[1] + counts[1]];
        }
        totals = [totals[0] + counts[0], totals[1] + counts[1]];
        warp += 1;
    }
    // The counts are written again in the next chunk.
    d.barrier();
    (places, totals)
}
