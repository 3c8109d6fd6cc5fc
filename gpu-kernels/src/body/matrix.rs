//! Matrices element by element, where rows have distances of their own: activations stand in rows of
//! d̃ = d + 1 numbers whose last is the 1 of the bias.

use super::elementwise::{each, map};
use crate::contract::{Combination, NeuronRows, Rows, Update};
use crate::device::Device;
use crate::word::{Scalar, Word, divide};

/// Whether all elements stand one after the other.
#[inline(always)]
fn is_dense(rows: Rows) -> bool {
    rows.y == rows.columns && rows.x == rows.columns
}

/// Calls `f` with row and column of each element of the block's chunk that belongs to the thread.
#[inline(always)]
fn each_element<D: Device>(d: D, rows: Rows, mut f: impl FnMut(u64, u32)) {
    each(d, rows.count, |start, i| {
        let columns = u64::from(rows.columns);
        let first = start.checked_div(columns).unwrap_or_default();
        let before = start.wrapping_sub(first.wrapping_mul(columns)) as u32;
        let (row, column) = divide(before + i, rows.columns);
        f(first + u64::from(row), column);
    });
}

/// The array from element (row, column) on.
#[inline(always)]
fn at<T: Word, D: Device>(
    d: D,
    array: D::Array<T>,
    stride: u32,
    (row, column): (u64, u32),
) -> D::Array<T> {
    d.advance(array, row * u64::from(stride) + u64::from(column))
}

/// `Y ← α X + β Y`; Y is not read when β = 0.
#[inline(always)]
pub fn axpby<T: Scalar, D: Device>(d: D, y: D::Array<T>, x: D::Array<T>, s: Combination<T>) {
    combine(d, y, x, s);
}

/// `Y ← α φ X + β Y` with a factor φ that is the only value of an array, so that no host has to see it;
/// Y is not read when β = 0.
#[inline(always)]
pub fn axpby_scaled<T: Scalar, D: Device>(
    d: D,
    y: D::Array<T>,
    x: D::Array<T>,
    factor: D::Array<T>,
    mut s: Combination<T>,
) {
    s.update.alpha *= d.load(factor, 0);
    combine(d, y, x, s);
}

#[inline(always)]
fn combine<T: Scalar, D: Device>(d: D, y: D::Array<T>, x: D::Array<T>, s: Combination<T>) {
    let Update { alpha, beta } = s.update;
    if is_dense(s.rows) {
        // Several elements are under way at once.
        let load = |start, i| {
            let former = if beta == T::ZERO { beta } else { d.load(d.advance(y, start), i) };
            (d.load(d.advance(x, start), i), former)
        };
        return map(d, s.rows.count, load, |start, i, (x, former)| {
            let mut result = alpha * x;
            if beta != T::ZERO {
                result += beta * former;
            }
            d.store(d.advance(y, start), i, result);
        });
    }
    each_element(d, s.rows, |row, column| {
        let y = at(d, y, s.rows.y, (row, column));
        let mut result = s.update.alpha * d.load(at(d, x, s.rows.x, (row, column)), 0);
        if s.update.beta != T::ZERO {
            result += s.update.beta * d.load(y, 0);
        }
        d.store(y, 0, result);
    });
}

/// `Y ← Y ∘ X`.
#[inline(always)]
pub fn multiply<T: Scalar, D: Device>(d: D, y: D::Array<T>, x: D::Array<T>, rows: Rows) {
    each_element(d, rows, |row, column| {
        let y = at(d, y, rows.y, (row, column));
        d.store(y, 0, d.load(y, 0) * d.load(at(d, x, rows.x, (row, column)), 0));
    });
}

/// Row r of Y ← row `index[r]` of X: a mini-batch out of a data set.
#[inline(always)]
pub fn gather<T: Word, D: Device>(
    d: D,
    y: D::Array<T>,
    x: D::Array<T>,
    index: D::Array<u32>,
    rows: Rows,
) {
    each_element(d, rows, |row, column| {
        let from = u64::from(d.load(d.advance(index, row), 0));
        let value = d.load(at(d, x, rows.x, (from, column)), 0);
        d.store(at(d, y, rows.y, (row, column)), 0, value);
    });
}

/// `Y ← ν(X)` like [`super::elementwise::nu`].
#[inline(always)]
pub fn nu<T: Scalar, D: Device>(d: D, y: D::Array<T>, x: D::Array<T>, s: NeuronRows<T>) {
    let response = s.neurons.response();
    each_element(d, s.rows, |row, column| {
        let t = d.load(at(d, x, s.rows.x, (row, column)), 0);
        d.store(at(d, y, s.rows.y, (row, column)), 0, response.nu(t));
    });
}

/// `Y ← I`; the distance between rows of x is not used.
#[inline(always)]
pub fn identity<T: Scalar, D: Device>(d: D, y: D::Array<T>, rows: Rows) {
    each_element(d, rows, |row, column| {
        let value = if row == u64::from(column) { T::ONE } else { T::ZERO };
        d.store(at(d, y, rows.y, (row, column)), 0, value);
    });
}
