//! Random numbers: one seeded stream for each purpose, so that results depend neither on the order
//! of the runs nor on threads.

use rand::{Rng as _, SeedableRng};
use relfisher_core::Real;

/// The generator of every stream: PCG XSL RR 128/64; serialisable, so a resumed run continues it.
pub type Rng = rand_pcg::Pcg64;

/// The stream for `purpose` (`"init"`, `"shuffle"`, `"labels"`, …) in run `run` of an experiment
/// with this `seed`. Streams of different purposes or runs are unrelated.
///
/// ```
/// use relfisher::random;
/// let mut a = random::stream(1, 0, "init");
/// let mut b = random::stream(1, 0, "shuffle");
/// assert_ne!(random::uniform(&mut a), random::uniform(&mut b));
/// ```
pub fn stream(seed: u64, run: u64, purpose: &str) -> Rng {
    // FNV-1a over the three keys, once for each half of the state; the generator scrambles it.
    let mut bytes = [0_u8; 32];
    for (k, chunk) in bytes.chunks_exact_mut(8).enumerate() {
        let mut h = 0xcbf2_9ce4_8422_2325_u64 ^ (k as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for b in seed.to_le_bytes().into_iter().chain(run.to_le_bytes()).chain(purpose.bytes()) {
            h = (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3);
            h ^= h >> 29;
        }
        chunk.copy_from_slice(&h.to_le_bytes());
    }
    Rng::from_seed(bytes)
}

/// A uniform number in [0, 1) with 53 random bits.
#[inline]
pub fn uniform(rng: &mut Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
}

/// A uniform index in 0..n, without bias; 0 for n = 0.
#[inline]
pub fn below(rng: &mut Rng, n: usize) -> usize {
    // Lemire's multiply-and-reject.
    let n = n as u64;
    if n <= 1 {
        return 0;
    }
    let threshold = n.wrapping_neg() % n;
    loop {
        let product = u128::from(rng.next_u64()) * u128::from(n);
        if product as u64 >= threshold {
            return (product >> 64) as usize;
        }
    }
}

/// A standard normal number (Marsaglia's polar method, one of the pair).
pub fn normal(rng: &mut Rng) -> f64 {
    loop {
        let (u, v) = (2.0 * uniform(rng) - 1.0, 2.0 * uniform(rng) - 1.0);
        let s = u * u + v * v;
        if s > 0.0 && s < 1.0 {
            return u * Real::sqrt(-2.0 * Real::ln(s) / s);
        }
    }
}

/// `count` different numbers of 0..n: the first of `order`, which becomes a permutation of 0..n.
pub(crate) fn choose<'o>(
    order: &'o mut Vec<usize>,
    (count, n): (usize, usize),
    rng: &mut Rng,
) -> &'o [usize] {
    order.clear();
    order.extend(0..n);
    let count = count.min(n);
    for i in 0..count {
        order.swap(i, i + below(rng, n - i));
    }
    &order[..count]
}

/// A uniformly random order of the elements (Fisher–Yates).
pub fn shuffle<E>(items: &mut [E], rng: &mut Rng) {
    for i in (1..items.len()).rev() {
        items.swap(i, below(rng, i + 1));
    }
}
