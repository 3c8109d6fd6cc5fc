//! Where a product of tiles takes its factors from: stored matrices, and matrices that are formed
//! while they are read.
//!
//! A factor is seen as (outer, inner): outer counts rows or columns of the product, inner is summed
//! over. A block moves to its tile once in 64 bits and indexes inside it in 32.

use core::marker::PhantomData;

use crate::device::Device;
use crate::word::Scalar;

/// A factor of a product.
pub trait Operand<D: Device, T: Scalar>: Copy {
    /// Whether neighbouring threads read neighbouring inner indices (rows stored one after the
    /// other) or neighbouring outer ones.
    const ALONG_INNER: bool;
    /// What a thread keeps for an outer index.
    type Lane: Copy;
    /// What is read for an element. Arithmetic on it waits for the memory, so it is done apart.
    type Raw: Copy;
    /// What stands for an element outside the matrix.
    const NOTHING: Self::Raw;
    /// The factor from an outer and an inner index on.
    fn start(self, d: D, outer: u32, inner: u32) -> Self;
    /// The same factor, `by` inner indices further on.
    fn step(self, d: D, by: u32) -> Self;
    /// What belongs to an outer index, counted from the start.
    fn lane(self, outer: u32) -> Self::Lane;
    /// Reads what makes the element, both indices counted from the start.
    fn fetch(self, d: D, lane: Self::Lane, inner: u32) -> Self::Raw;
    /// The element; 0 of [`Operand::NOTHING`]. Made where it is asked for, not where it was read.
    fn value(d: D, raw: Self::Raw) -> T;
}

/// A stored matrix whose element (outer, inner) stands at outer·stride + inner.
pub struct Rows<D: Device, T: Scalar> {
    array: D::Array<T>,
    stride: u32,
}

/// A stored matrix whose element (outer, inner) stands at inner·stride + outer.
pub struct Columns<D: Device, T: Scalar> {
    array: D::Array<T>,
    stride: u32,
}

/// The products of pairs of columns of X (inner × d, d < 2¹⁶): outer a(a + 1)/2 + b, a ≥ b, is x_a x_b.
pub struct Pairs<D: Device, T: Scalar> {
    x: D::Array<T>,
    stride: u32,
    first: u32,
}

/// Another operand with each inner index scaled by a weight.
pub struct Weighted<D: Device, T: Scalar, O: Operand<D, T>> {
    operand: O,
    weights: D::Array<T>,
    values: PhantomData<T>,
}

macro_rules! copy {
    ($($name:ident)*) => { $(
        impl<D: Device, T: Scalar> Clone for $name<D, T> {
            #[inline(always)]
            fn clone(&self) -> Self {
                *self
            }
        }
        impl<D: Device, T: Scalar> Copy for $name<D, T> {}
    )* };
}
copy!(Rows Columns Pairs);
impl<D: Device, T: Scalar, O: Operand<D, T>> Clone for Weighted<D, T, O> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<D: Device, T: Scalar, O: Operand<D, T>> Copy for Weighted<D, T, O> {}

impl<D: Device, T: Scalar> Rows<D, T> {
    /// The matrix at `array`.
    #[inline(always)]
    pub fn new(array: D::Array<T>, stride: u32) -> Self {
        Self { array, stride }
    }
}

impl<D: Device, T: Scalar> Columns<D, T> {
    /// The matrix at `array`.
    #[inline(always)]
    pub fn new(array: D::Array<T>, stride: u32) -> Self {
        Self { array, stride }
    }
}

impl<D: Device, T: Scalar> Pairs<D, T> {
    /// The pairs of the columns of the matrix at `x`, whose rows begin `stride` apart.
    #[inline(always)]
    pub fn new(x: D::Array<T>, stride: u32) -> Self {
        Self { x, stride, first: 0 }
    }
}

impl<D: Device, T: Scalar, O: Operand<D, T>> Weighted<D, T, O> {
    /// `operand` times the weights of its inner indices.
    #[inline(always)]
    pub fn new(operand: O, weights: D::Array<T>) -> Self {
        Self { operand, weights, values: PhantomData }
    }
}

#[inline(always)]
fn offset(a: u32, b: u32) -> u64 {
    u64::from(a) * u64::from(b)
}

impl<D: Device, T: Scalar> Operand<D, T> for Rows<D, T> {
    const ALONG_INNER: bool = true;
    type Lane = u32;
    type Raw = T;
    const NOTHING: T = T::ZERO;
    #[inline(always)]
    fn start(self, d: D, outer: u32, inner: u32) -> Self {
        let at = offset(outer, self.stride) + u64::from(inner);
        Self { array: d.advance(self.array, at), ..self }
    }
    #[inline(always)]
    fn step(self, d: D, by: u32) -> Self {
        Self { array: d.advance(self.array, u64::from(by)), ..self }
    }
    #[inline(always)]
    fn lane(self, outer: u32) -> u32 {
        outer * self.stride
    }
    #[inline(always)]
    fn fetch(self, d: D, lane: u32, inner: u32) -> T {
        d.load(self.array, lane + inner)
    }
    #[inline(always)]
    fn value(_: D, raw: T) -> T {
        raw
    }
}

impl<D: Device, T: Scalar> Operand<D, T> for Columns<D, T> {
    const ALONG_INNER: bool = false;
    type Lane = u32;
    type Raw = T;
    const NOTHING: T = T::ZERO;
    #[inline(always)]
    fn start(self, d: D, outer: u32, inner: u32) -> Self {
        let at = offset(inner, self.stride) + u64::from(outer);
        Self { array: d.advance(self.array, at), ..self }
    }
    #[inline(always)]
    fn step(self, d: D, by: u32) -> Self {
        Self { array: d.advance(self.array, offset(by, self.stride)), ..self }
    }
    #[inline(always)]
    fn lane(self, outer: u32) -> u32 {
        outer
    }
    #[inline(always)]
    fn fetch(self, d: D, lane: u32, inner: u32) -> T {
        d.load(self.array, inner * self.stride + lane)
    }
    #[inline(always)]
    fn value(_: D, raw: T) -> T {
        raw
    }
}

/// The row and column of position `k` of a packed lower triangle.
#[inline(always)]
pub fn unpack(k: u32) -> (u32, u32) {
    // a(a + 1)/2 ≤ k: in f64 the root is exact to far less than the distance between two k.
    let root = (f64::from(k) * 8.0 + 1.0).root();
    let mut a = ((root - 1.0) * 0.5) as u32;
    if a * (a + 1) / 2 > k {
        a -= 1;
    }
    if (a + 1) * (a + 2) / 2 <= k {
        a += 1;
    }
    (a, k - a * (a + 1) / 2)
}

impl<D: Device, T: Scalar> Operand<D, T> for Pairs<D, T> {
    const ALONG_INNER: bool = false;
    /// a below 2¹⁶, b in the upper half: one register.
    type Lane = u32;
    type Raw = (T, T);
    const NOTHING: (T, T) = (T::ZERO, T::ZERO);
    #[inline(always)]
    fn start(self, d: D, outer: u32, inner: u32) -> Self {
        let x = d.advance(self.x, offset(inner, self.stride));
        Self { x, first: self.first + outer, ..self }
    }
    #[inline(always)]
    fn step(self, d: D, by: u32) -> Self {
        Self { x: d.advance(self.x, offset(by, self.stride)), ..self }
    }
    #[inline(always)]
    fn lane(self, outer: u32) -> u32 {
        let (a, b) = unpack(self.first + outer);
        a | b << 16
    }
    #[inline(always)]
    fn fetch(self, d: D, lane: u32, inner: u32) -> (T, T) {
        let (row, lane) = (inner * self.stride, d.opaque(lane));
        (d.load(self.x, row + (lane & 0xffff)), d.load(self.x, row + (lane >> 16)))
    }
    #[inline(always)]
    fn value(d: D, (a, b): (T, T)) -> T {
        d.hold(a) * d.hold(b)
    }
}

impl<D: Device, T: Scalar, O: Operand<D, T>> Operand<D, T> for Weighted<D, T, O> {
    const ALONG_INNER: bool = O::ALONG_INNER;
    type Lane = O::Lane;
    type Raw = (T, O::Raw);
    const NOTHING: (T, O::Raw) = (T::ZERO, O::NOTHING);
    #[inline(always)]
    fn start(self, d: D, outer: u32, inner: u32) -> Self {
        let weights = d.advance(self.weights, u64::from(inner));
        Self { operand: self.operand.start(d, outer, inner), weights, ..self }
    }
    #[inline(always)]
    fn step(self, d: D, by: u32) -> Self {
        let weights = d.advance(self.weights, u64::from(by));
        Self { operand: self.operand.step(d, by), weights, ..self }
    }
    #[inline(always)]
    fn lane(self, outer: u32) -> O::Lane {
        self.operand.lane(outer)
    }
    #[inline(always)]
    fn fetch(self, d: D, lane: O::Lane, inner: u32) -> (T, O::Raw) {
        (d.load(self.weights, inner), self.operand.fetch(d, lane, inner))
    }
    #[inline(always)]
    fn value(d: D, (weight, raw): (T, O::Raw)) -> T {
        d.hold(weight) * O::value(d, raw)
    }
}
