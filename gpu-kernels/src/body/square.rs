//! A square matrix in shared memory, and its factorisation by a whole block.

use relfisher_core::factor::pivot_tolerance;

use crate::device::{Device, Shared};
use crate::word::Scalar;

/// A matrix in shared memory whose rows begin an odd number of values apart, so that a column
/// touches every bank.
pub struct Square<T> {
    cells: Shared<T>,
    row: u32,
}

impl<T> Clone for Square<T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Square<T> {}

/// Values that a matrix of order n takes.
pub const fn values(n: u32) -> u32 {
    (n * (n | 1)).next_multiple_of(4)
}

impl<T: Scalar> Square<T> {
    /// The matrix of order `n` at a range of [`values`] values.
    #[inline(always)]
    pub fn new(cells: Shared<T>, n: u32) -> Self {
        Self { cells, row: n | 1 }
    }

    /// The element (i, j).
    #[inline(always)]
    pub fn get<D: Device>(self, d: D, i: u32, j: u32) -> T {
        d.shared_load(self.cells, i * self.row + j)
    }

    /// Writes the element (i, j).
    #[inline(always)]
    pub fn set<D: Device>(self, d: D, i: u32, j: u32, value: T) {
        d.shared_store(self.cells, i * self.row + j, value);
    }
}

/// Rows of threads of a block of 128 or 256, each 16 wide, for loops over a matrix.
#[inline(always)]
fn place<D: Device>(d: D) -> (u32, u32, u32) {
    (d.thread() / 16, d.thread() % 16, d.threads() / 16)
}

/// Calls `f` for every (i, j) with first ≤ j ≤ i < n that belongs to the thread.
#[inline(always)]
pub fn each_lower<D: Device>(d: D, first: u32, n: u32, mut f: impl FnMut(u32, u32)) {
    let (down, across, rows) = place(d);
    let mut i = first + down;
    while i < n {
        let mut j = first + across;
        while j <= i {
            f(i, j);
            j += 16;
        }
        i += rows;
    }
}

/// `A = L Lᵀ` of the lower triangle in place; `diagonal` holds the diagonal of A. Returns 0, or the
/// refused pivot counted from 1, the same for every thread: a pivot must exceed
/// [`pivot_tolerance`] times its own diagonal element. Begins with a barrier; before other threads
/// read L another is needed.
#[inline(always)]
pub fn factor<T: Scalar, D: Device>(d: D, a: Square<T>, diagonal: Shared<T>, n: u32) -> u32 {
    let tolerance = pivot_tolerance::<T>(n as usize);
    let mut k = 0;
    while k < n {
        d.barrier();
        let pivot = a.get(d, k, k);
        let usable = pivot > tolerance * d.shared_load(diagonal, k) && pivot < T::INFINITY;
        if !usable {
            return k + 1;
        }
        let root = pivot.root();
        let mut i = k + 1 + d.thread();
        while i < n {
            a.set(d, i, k, a.get(d, i, k) / root);
            i += d.threads();
        }
        d.barrier();
        // Nobody reads the pivot any more.
        if d.thread() == 0 {
            a.set(d, k, k, root);
        }
        each_lower(d, k + 1, n, |i, j| {
            let product = a.get(d, i, k) * a.get(d, j, k);
            a.set(d, i, j, a.get(d, i, j) - product);
        });
        k += 1;
    }
    0
}

/// `x ← (L Lᵀ)⁻¹ x` with the factor of [`factor`]; `y` is scratch of the same length. Begins with a
/// barrier; before other threads read x another is needed.
#[inline(always)]
pub fn solve<T: Scalar, D: Device>(d: D, l: Square<T>, x: Shared<T>, y: Shared<T>, n: u32) {
    let mut k = 0;
    while k < n {
        d.barrier();
        let value = d.shared_load(x, k) / l.get(d, k, k);
        if d.thread() == 0 {
            d.shared_store(y, k, value);
        }
        let mut i = k + 1 + d.thread();
        while i < n {
            d.shared_store(x, i, d.shared_load(x, i) - l.get(d, i, k) * value);
            i += d.threads();
        }
        k += 1;
    }
    while k > 0 {
        k -= 1;
        d.barrier();
        let value = d.shared_load(y, k) / l.get(d, k, k);
        if d.thread() == 0 {
            d.shared_store(x, k, value);
        }
        let mut i = d.thread();
        while i < k {
            d.shared_store(y, i, d.shared_load(y, i) - l.get(d, k, i) * value);
            i += d.threads();
        }
    }
}
