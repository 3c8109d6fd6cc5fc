//! Cholesky factorisations of many matrices, and solves with the factors.
//!
//! A block has a matrix. A matrix that is not positive definite sets its own flag to the refused
//! pivot, counted from 1; its values are then unspecified, and no other matrix is touched.

use super::reduce::warp_sum;
use super::square::{self, Square, each_lower, factor};
use crate::contract::{Batch, RightSides};
use crate::device::{Device, Shared, WARP};
use crate::word::{Scalar, unroll};

/// The largest order that [`small`] takes.
pub const SMALL: u32 = 64;
/// Threads of a block of [`small`].
pub const SMALL_THREADS: u32 = 128;
/// Threads of a block of [`large`] and [`solve`].
pub const THREADS: u32 = 256;
/// Columns of a panel of [`large`] and [`solve`].
const PANEL: u32 = WARP;
/// The largest order that [`solve`] takes.
pub const LARGEST: u32 = 4096;

/// Bytes of shared memory of [`small`] for matrices of order n: the matrix and its diagonal.
pub const fn small_bytes(n: u32, bytes: u32) -> u32 {
    (square::values(n) + n) * bytes
}

/// Bytes of shared memory of [`large`]: four tiles and a diagonal.
pub const fn large_bytes(bytes: u32) -> u32 {
    (4 * square::values(PANEL) + PANEL) * bytes
}

/// Bytes of shared memory of [`solve`]: a right side.
pub const fn solve_bytes(n: u32, bytes: u32) -> u32 {
    n * bytes
}

/// `A_b + λI = L_b L_bᵀ` in place, order at most [`SMALL`]. Reads the lower triangles; of matrices that
/// are not packed, the strict upper triangle is set to 0.
#[inline(always)]
pub fn small<T: Scalar, D: Device>(d: D, a: D::Array<T>, flags: D::Array<u32>, b: Batch<T>) {
    let (n, matrix) = (b.order, d.block()[0]);
    let a = d.advance(a, u64::from(matrix) * b.distance);
    let l = Square::new(Shared::<T>::at(0), n);
    let diagonal = Shared::<T>::at(0).skip(square::values(n));
    each_lower(d, 0, n, |i, j| {
        let mut value = d.load(a, b.index(i, j));
        if i == j {
            value += b.damping;
            d.shared_store(diagonal, i, value);
        }
        l.set(d, i, j, value);
    });
    let refused = factor(d, l, diagonal, n);
    if d.thread() == 0 {
        d.store(flags, matrix, refused);
    }
    d.barrier();
    if refused == 0 {
        each_lower(d, 0, n, |i, j| {
            d.store(a, b.index(i, j), l.get(d, i, j));
            if b.row != 0 && i != j {
                d.store(a, b.index(j, i), T::ZERO);
            }
        });
    }
}

/// The same for any order: panel by panel, each tile of a panel first reduced by what stands left
/// of it.
#[inline(always)]
pub fn large<T: Scalar, D: Device>(d: D, a: D::Array<T>, flags: D::Array<u32>, b: Batch<T>) {
    let matrix = d.block()[0];
    let a = d.advance(a, u64::from(matrix) * b.distance);
    let mut refused = 0;
    let mut column = 0;
    while column < b.order && refused == 0 {
        refused = panel(d, a, b, column);
        column += PANEL;
    }
    if d.thread() == 0 {
        d.store(flags, matrix, refused);
    }
    if b.row != 0 {
        each_lower(d, 0, b.order, |i, j| {
            if i != j {
                d.store(a, b.index(j, i), T::ZERO);
            }
        });
    }
}

/// The panel that begins at `column`; returns the refused pivot counted from 1, or 0.
#[inline(always)]
fn panel<T: Scalar, D: Device>(d: D, a: D::Array<T>, b: Batch<T>, column: u32) -> u32 {
    let size = square::values(PANEL);
    let region = |i: u32| Shared::<T>::at(0).skip(i * size);
    let [tile, corner] = [0, 1].map(|i| Square::new(region(i), PANEL));
    let diagonal = region(4);
    let n = b.order;
    let width = if n - column < PANEL { n - column } else { PANEL };
    let (r, c) = (d.thread() / 8, d.thread() % 8);
    let mut row = column;
    while row < n {
        let mut sums = [T::ZERO; 4];
        unroll::<4>(
            #[inline(always)]
            |q| {
                let (i, j) = (row + r, column + c + 8 * q as u32);
                if i < n && j <= i {
                    sums[q] = d.load(a, b.index(i, j));
                    if i == j {
                        sums[q] += b.damping;
                        d.shared_store(diagonal, r, sums[q]);
                    }
                }
            },
        );
        reduce(d, a, b, (row, column), &mut sums);
        unroll::<4>(
            #[inline(always)]
            |q| tile.set(d, r, c + 8 * q as u32, sums[q]),
        );
        if row == column {
            let refused = factor(d, tile, diagonal, width);
            if refused != 0 {
                return column + refused;
            }
            d.barrier();
            each_lower(d, 0, width, |i, j| corner.set(d, i, j, tile.get(d, i, j)));
        } else {
            d.barrier();
            // X Lᵀ = tile, a row a lane of the first warp.
            if d.thread() < PANEL {
                let mut k = 0;
                while k < width {
                    let mut value = tile.get(d, d.thread(), k);
                    let mut s = 0;
                    while s < k {
                        value -= tile.get(d, d.thread(), s) * corner.get(d, k, s);
                        s += 1;
                    }
                    tile.set(d, d.thread(), k, value / corner.get(d, k, k));
                    k += 1;
                }
            }
            d.barrier();
        }
        unroll::<4>(
            #[inline(always)]
            |q| {
                let (i, across) = (row + r, c + 8 * q as u32);
                if i < n && across < width && column + across <= i {
                    d.store(a, b.index(i, column + across), tile.get(d, r, across));
                }
            },
        );
        // The tile is written again, and what was stored is read by others.
        d.barrier();
        row += PANEL;
    }
    0
}

/// `sums −= L[row.., ..column] L[column.., ..column]ᵀ` for the thread's elements of a tile.
#[inline(always)]
fn reduce<T: Scalar, D: Device>(
    d: D,
    a: D::Array<T>,
    b: Batch<T>,
    (row, column): (u32, u32),
    sums: &mut [T; 4],
) {
    let size = square::values(PANEL);
    let [below, beside] = [2, 3].map(|i| Square::new(Shared::<T>::at(0).skip(i * size), PANEL));
    let (r, c) = (d.thread() / 8, d.thread() % 8);
    let fetch = |i: u32, j: u32| if i < b.order { d.load(a, b.index(i, j)) } else { T::ZERO };
    let mut left = 0;
    while left < column {
        d.barrier();
        unroll::<4>(
            #[inline(always)]
            |q| {
                let j = c + 8 * q as u32;
                below.set(d, r, j, fetch(row + r, left + j));
                beside.set(d, r, j, fetch(column + r, left + j));
            },
        );
        d.barrier();
        let mut k = 0;
        while k < PANEL {
            let x = below.get(d, r, k);
            unroll::<4>(
                #[inline(always)]
                |q| sums[q] = (-x).fused(beside.get(d, c + 8 * q as u32, k), sums[q]),
            );
            k += 1;
        }
        left += PANEL;
    }
}

/// `x ← (L_b L_bᵀ)⁻¹ x` for right sides x, with the factors of [`small`] or [`large`]; order at most
/// [`LARGEST`]. The damping of the batch is not used.
#[inline(always)]
pub fn solve<T: Scalar, D: Device>(
    d: D,
    x: D::Array<T>,
    l: D::Array<T>,
    b: Batch<T>,
    sides: RightSides,
) {
    let [matrix, side, _] = d.block();
    let l = d.advance(l, u64::from(matrix) * b.distance);
    let at = u64::from(matrix) * sides.distance + u64::from(side) * u64::from(sides.side);
    let x = d.advance(x, at);
    let (n, v) = (b.order, Shared::<T>::at(0));
    let mut i = d.thread();
    while i < n {
        d.shared_store(v, i, d.load(x, i * sides.element));
        i += THREADS;
    }
    d.barrier();
    let mut first = 0;
    while first < n {
        unroll::<4>(
            #[inline(always)]
            |q| forward_row(d, l, b, v, (first, first + d.warp() + 8 * q as u32)),
        );
        d.barrier();
        if d.warp() == 0 {
            corner_forward(d, l, b, v, first);
        }
        d.barrier();
        first += PANEL;
    }
    while first > 0 {
        first -= PANEL;
        if d.warp() == 0 {
            corner_backward(d, l, b, v, first);
        }
        d.barrier();
        let mut i = d.thread();
        while i < first {
            let mut value = d.shared_load(v, i);
            let mut r = first;
            while r < n && r < first + PANEL {
                value = (-d.load(l, b.index(r, i))).fused(d.shared_load(v, r), value);
                r += 1;
            }
            d.shared_store(v, i, value);
            i += THREADS;
        }
        d.barrier();
    }
    let mut i = d.thread();
    while i < n {
        d.store(x, i * sides.element, d.shared_load(v, i));
        i += THREADS;
    }
}

/// Takes what stands left of `first` from a row of the right side; a warp has a row.
#[inline(always)]
fn forward_row<T: Scalar, D: Device>(
    d: D,
    l: D::Array<T>,
    b: Batch<T>,
    v: Shared<T>,
    (first, row): (u32, u32),
) {
    if row >= b.order {
        return;
    }
    let mut sum = T::ZERO;
    let mut j = d.lane();
    while j < first {
        sum = d.load(l, b.index(row, j)).fused(d.shared_load(v, j), sum);
        j += WARP;
    }
    let sum = warp_sum(d, sum);
    if d.lane() == 0 {
        d.shared_store(v, row, d.shared_load(v, row) - sum);
    }
}

/// The triangle at `first` by one warp, an element a lane.
#[inline(always)]
fn corner_forward<T: Scalar, D: Device>(
    d: D,
    l: D::Array<T>,
    b: Batch<T>,
    v: Shared<T>,
    first: u32,
) {
    let (lane, width) = (d.lane(), width(b.order, first));
    let mut value = if lane < width { d.shared_load(v, first + lane) } else { T::ZERO };
    let mut k = 0;
    while k < width {
        if lane == k {
            value /= d.load(l, b.index(first + k, first + k));
        }
        let solved = d.shuffle_from(value, k);
        if lane > k && lane < width {
            value = (-d.load(l, b.index(first + lane, first + k))).fused(solved, value);
        }
        k += 1;
    }
    if lane < width {
        d.shared_store(v, first + lane, value);
    }
}

/// The transposed triangle at `first` by one warp, an element a lane.
#[inline(always)]
fn corner_backward<T: Scalar, D: Device>(
    d: D,
    l: D::Array<T>,
    b: Batch<T>,
    v: Shared<T>,
    first: u32,
) {
    let (lane, width) = (d.lane(), width(b.order, first));
    let mut value = if lane < width { d.shared_load(v, first + lane) } else { T::ZERO };
    let mut k = width;
    while k > 0 {
        k -= 1;
        if lane == k {
            value /= d.load(l, b.index(first + k, first + k));
        }
        let solved = d.shuffle_from(value, k);
        if lane < k {
            value = (-d.load(l, b.index(first + k, first + lane))).fused(solved, value);
        }
    }
    if lane < width {
        d.shared_store(v, first + lane, value);
    }
}

#[inline(always)]
fn width(n: u32, first: u32) -> u32 {
    if n - first < PANEL { n - first } else { PANEL }
}
