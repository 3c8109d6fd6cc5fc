//! Symmetric eigendecompositions by Jacobi rotations, a block a matrix.
//!
//! A sweep rotates every pair of indices once, in rounds of disjoint pairs (the circle method of a
//! round-robin tournament); a round turns all its rows, then all its columns. Rotations follow
//! Rutishauser (1966): t = sgn(θ)/(|θ| + √(θ² + 1)), θ = (a_jj − a_ii)/(2a_ij). Sweeps end when the
//! off-diagonal sum of squares has fallen to rounding, which it does quadratically.
//!
//! Matrices up to order [`SMALL`] stay in shared memory, larger ones in global memory: the same
//! body, so that nothing but the speed changes between them.

use super::reduce::block_sum;
use super::square::{self, Square};
use crate::contract::Batch;
use crate::device::{Device, Shared, WARP};
use crate::word::{Scalar, unroll};

/// Threads of a block.
pub const THREADS: u32 = 256;
/// The largest order of [`small`].
pub const SMALL: u32 = 64;
/// The largest order of [`large`].
pub const LARGEST: u32 = 1024;
/// Sweeps after which a matrix counts as not converging; ten are seldom needed.
pub const SWEEPS: u32 = 30;

/// Bytes of shared memory of [`small`] for order n.
pub const fn small_bytes(n: u32, bytes: u32) -> u32 {
    2 * square::values(n) * bytes + large_bytes(n, bytes)
}

/// Bytes of shared memory of [`large`] for order n: cosines, sines, and a value a warp.
pub const fn large_bytes(n: u32, bytes: u32) -> u32 {
    (n.next_multiple_of(8) + THREADS / WARP) * bytes
}

/// A matrix that the threads of a block share.
trait Matrix<D: Device, T: Scalar>: Copy {
    fn get(self, d: D, i: u32, j: u32) -> T;
    fn set(self, d: D, i: u32, j: u32, value: T);
}

impl<D: Device, T: Scalar> Matrix<D, T> for Square<T> {
    #[inline(always)]
    fn get(self, d: D, i: u32, j: u32) -> T {
        Square::get(self, d, i, j)
    }
    #[inline(always)]
    fn set(self, d: D, i: u32, j: u32, value: T) {
        Square::set(self, d, i, j, value);
    }
}

/// A matrix in global memory, row by row.
struct Stored<D: Device, T: Scalar> {
    array: D::Array<T>,
    row: u32,
}

impl<D: Device, T: Scalar> Clone for Stored<D, T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<D: Device, T: Scalar> Copy for Stored<D, T> {}

impl<D: Device, T: Scalar> Matrix<D, T> for Stored<D, T> {
    #[inline(always)]
    fn get(self, d: D, i: u32, j: u32) -> T {
        d.load(self.array, i * self.row + j)
    }
    #[inline(always)]
    fn set(self, d: D, i: u32, j: u32, value: T) {
        d.store(self.array, i * self.row + j, value);
    }
}

/// `A_b = U_b diag(values_b) U_bᵀ`: eigenvalues ascending, eigenvectors in the columns of `a`; reads the
/// lower triangles, order at most [`SMALL`]. The flag is 0, or the sweeps that were spent in vain.
#[inline(always)]
pub fn small<T: Scalar, D: Device>(
    d: D,
    a: D::Array<T>,
    values: D::Array<T>,
    flags: D::Array<u32>,
    b: Batch<T>,
) {
    let n = b.order;
    let space = Shared::<T>::at(0);
    let work = Square::new(space, n);
    let vectors = Square::new(space.skip(square::values(n)), n);
    let scratch = space.skip(2 * square::values(n));
    decompose(d, (work, vectors), scratch, (a, values, flags), b);
}

/// The same for order up to [`LARGEST`]; `work` is scratch for two matrices of order n each, row by
/// row: 2n² values a matrix.
#[inline(always)]
pub fn large<T: Scalar, D: Device>(
    d: D,
    a: D::Array<T>,
    values: D::Array<T>,
    flags: D::Array<u32>,
    work: D::Array<T>,
    b: Batch<T>,
) {
    let size = u64::from(b.order) * u64::from(b.order);
    let first = d.advance(work, u64::from(d.block()[0]) * 2 * size);
    let turned = Stored { array: first, row: b.order };
    let vectors = Stored { array: d.advance(first, size), row: b.order };
    decompose(d, (turned, vectors), Shared::at(0), (a, values, flags), b);
}

/// The whole decomposition of the block's matrix.
#[inline(always)]
fn decompose<T: Scalar, D: Device, M: Matrix<D, T>>(
    d: D,
    (work, vectors): (M, M),
    scratch: Shared<T>,
    (a, values, flags): (D::Array<T>, D::Array<T>, D::Array<u32>),
    b: Batch<T>,
) {
    let (n, matrix) = (b.order, d.block()[0]);
    let a = d.advance(a, u64::from(matrix) * b.distance);
    let values = d.advance(values, u64::from(matrix) * u64::from(n));
    each(d, n, n, |i, j| {
        let (low, high) = if i < j { (i, j) } else { (j, i) };
        let damping = if i == j { b.damping } else { T::ZERO };
        work.set(d, i, j, d.load(a, b.index(high, low)) + damping);
        vectors.set(d, i, j, if i == j { T::ONE } else { T::ZERO });
    });
    d.barrier();
    let sums = scratch.skip(n.next_multiple_of(8));
    let mut sweeps = 0;
    loop {
        let (mut off, mut all) = (T::ZERO, T::ZERO);
        each(d, n, n, |i, j| {
            let x = work.get(d, i, j);
            all += x * x;
            if i != j {
                off += x * x;
            }
        });
        let off = block_sum(d, sums, off);
        d.barrier();
        let all = block_sum(d, sums, all);
        d.barrier();
        // √off ≤ ε √all: what is left would move no eigenvalue by more than rounding does. A NaN
        // fails every comparison and ends in the flag.
        if off <= T::EPSILON * T::EPSILON * all || sweeps == SWEEPS {
            let flag = if off <= T::EPSILON * T::EPSILON * all { 0 } else { SWEEPS };
            if d.thread() == 0 {
                d.store(flags, matrix, flag);
            }
            break;
        }
        sweep(d, (work, vectors), scratch, n);
        sweeps += 1;
    }
    // The rank of each eigenvalue, ties by index, decides its column.
    let mut j = d.warp();
    while j < n {
        let value = work.get(d, j, j);
        let mut below = 0;
        let mut i = d.lane();
        while i < n {
            let other = work.get(d, i, i);
            if other < value || (other == value && i < j) {
                below += 1;
            }
            i += WARP;
        }
        let mut rank: u32 = below;
        unroll::<5>(
            #[inline(always)]
            |i| rank += d.shuffle_xor(rank, WARP >> (i + 1)),
        );
        if d.lane() == 0 {
            d.store(values, rank, value);
        }
        let mut i = d.lane();
        while i < n {
            d.store(a, i * b.row + rank, vectors.get(d, i, j));
            i += WARP;
        }
        j += THREADS / WARP;
    }
}

/// One rotation of every pair.
#[inline(always)]
fn sweep<T: Scalar, D: Device, M: Matrix<D, T>>(
    d: D,
    (work, vectors): (M, M),
    turns: Shared<T>,
    n: u32,
) {
    let even = n + n % 2;
    let pairs = even / 2;
    let mut round = 0;
    while round + 1 < even {
        let mut p = d.thread();
        while p < pairs {
            let (i, j) = pair(round, p, even);
            let (cosine, sine) = if j < n {
                rotation(work.get(d, i, i), work.get(d, i, j), work.get(d, j, j))
            } else {
                (T::ONE, T::ZERO)
            };
            d.shared_store(turns, 2 * p, cosine);
            d.shared_store(turns, 2 * p + 1, sine);
            p += THREADS;
        }
        d.barrier();
        each(d, pairs, n, |p, k| {
            let (i, j) = pair(round, p, even);
            if j < n {
                let turn = (d.shared_load(turns, 2 * p), d.shared_load(turns, 2 * p + 1));
                let (x, y) = turned(turn, work.get(d, i, k), work.get(d, j, k));
                work.set(d, i, k, x);
                work.set(d, j, k, y);
            }
        });
        d.barrier();
        each(d, pairs, n, |p, k| {
            let (i, j) = pair(round, p, even);
            if j < n {
                let turn = (d.shared_load(turns, 2 * p), d.shared_load(turns, 2 * p + 1));
                let (x, y) = turned(turn, work.get(d, k, i), work.get(d, k, j));
                // The rotation was chosen to make these two 0.
                work.set(d, k, i, if k == j { T::ZERO } else { x });
                work.set(d, k, j, if k == i { T::ZERO } else { y });
                let (x, y) = turned(turn, vectors.get(d, k, i), vectors.get(d, k, j));
                vectors.set(d, k, i, x);
                vectors.set(d, k, j, y);
            }
        });
        d.barrier();
        round += 1;
    }
}

/// Pair p < even/2 of a round < even − 1, smaller index first: the last player stays, the others turn.
#[inline(always)]
fn pair(round: u32, p: u32, even: u32) -> (u32, u32) {
    let circle = even - 1;
    let wrap = |x: u32| if x >= circle { x - circle } else { x };
    let (i, j) = if p == 0 { (round, circle) } else { (wrap(round + p), wrap(round + circle - p)) };
    if i < j { (i, j) } else { (j, i) }
}

/// The cosine and sine that turn [a_ii a_ij; a_ij a_jj] into a diagonal.
#[inline(always)]
fn rotation<T: Scalar>(a_ii: T, a_ij: T, a_jj: T) -> (T, T) {
    if a_ij == T::ZERO {
        return (T::ONE, T::ZERO);
    }
    let theta = (a_jj - a_ii) / (T::TWO * a_ij);
    // For a θ whose square overflows, t = 1/(2θ) as the formula has it in the limit.
    let size = theta.abs() + (theta * theta + T::ONE).root();
    let t = (T::ONE / size).copysign(theta);
    let cosine = T::ONE / (t * t + T::ONE).root();
    (cosine, t * cosine)
}

/// (x, y) turned: (cx − sy, sx + cy).
#[inline(always)]
fn turned<T: Scalar>((cosine, sine): (T, T), x: T, y: T) -> (T, T) {
    (cosine * x - sine * y, sine * x + cosine * y)
}

/// Calls `f` for every (i, j), i < rows, j < columns, that belongs to the thread: a warp has a row.
#[inline(always)]
fn each<D: Device>(d: D, rows: u32, columns: u32, mut f: impl FnMut(u32, u32)) {
    let mut i = d.warp();
    while i < rows {
        let mut j = d.lane();
        while j < columns {
            f(i, j);
            j += WARP;
        }
        i += THREADS / WARP;
    }
}
