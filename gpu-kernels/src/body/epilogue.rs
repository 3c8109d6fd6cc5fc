//! What becomes of a tile of a product: the last step before it is stored.

use relfisher_core::metric::neuron::Activation;

use crate::contract::{Backward, Masked, Update};
use crate::device::Device;
use crate::word::{Scalar, divide};

/// The end of a product.
pub trait Epilogue<D: Device, T: Scalar>: Copy {
    /// The same with its arrays moved to the tile that begins at (row, column).
    fn start(self, d: D, row: u32, column: u32) -> Self;
    /// Stores an element, both indices counted from the start.
    fn store(self, d: D, row: u32, column: u32, value: T);
}

/// `C ← α P + β C`; C is not read when β = 0.
pub struct Plain<D: Device, T: Scalar> {
    /// C.
    pub c: D::Array<T>,
    /// The distance between its rows.
    pub stride: u32,
    /// α and β.
    pub update: Update<T>,
}

/// `C ← α P + β C` of a symmetric product of which the lower triangle is at hand: both triangles are
/// written, the lower one is read unless β = 0.
pub struct Symmetric<D: Device, T: Scalar> {
    /// C.
    pub c: D::Array<T>,
    /// The distance between its rows.
    pub stride: u32,
    /// α and β.
    pub update: Update<T>,
    row: u32,
    column: u32,
}

/// The forward pass of a layer: `T ← P + 1 bᵀ`, `A ← f(T)`.
pub struct Forward<D: Device, T: Scalar> {
    /// T.
    pub t: D::Array<T>,
    /// A.
    pub a: D::Array<T>,
    /// b, one value a column.
    pub bias: D::Array<T>,
    /// The distance between the values of b.
    pub bias_stride: u32,
    /// The distance between rows of T.
    pub stride: u32,
    /// The distance between rows of A.
    pub activated: u32,
    /// f.
    pub activation: Activation<T>,
}

/// `C ← α P ∘ H + β C`, with each row of H used `repeat` times in a row.
pub struct Hadamard<D: Device, T: Scalar> {
    /// C.
    pub c: D::Array<T>,
    /// H.
    pub h: D::Array<T>,
    /// The distances between rows of C and of H, α, β, and how many rows share one of H.
    pub masked: Masked<T>,
    row: u32,
    column: u32,
}

/// A layer backwards: `C ← α P ∘ f′(T) + β C`.
pub struct Slope<D: Device, T: Scalar> {
    /// C.
    pub c: D::Array<T>,
    /// T.
    pub t: D::Array<T>,
    /// The distances between rows of C and of T.
    pub strides: [u32; 2],
    /// α and β.
    pub update: Update<T>,
    /// f.
    pub activation: Activation<T>,
}

/// `C ← P ⊘ (g aᵀ + λ)`: the division in the eigenbasis of G ⊗ A.
pub struct Divide<D: Device, T: Scalar> {
    /// C.
    pub c: D::Array<T>,
    /// The eigenvalues of G, one a row.
    pub g: D::Array<T>,
    /// The eigenvalues of A, one a column.
    pub a: D::Array<T>,
    /// The distance between rows of C.
    pub stride: u32,
    /// λ.
    pub damping: T,
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
copy!(Plain Symmetric Forward Hadamard Slope Divide);

impl<D: Device, T: Scalar> Symmetric<D, T> {
    /// The symmetric matrix at `c`.
    #[inline(always)]
    pub fn new(c: D::Array<T>, stride: u32, update: Update<T>) -> Self {
        Self { c, stride, update, row: 0, column: 0 }
    }
}

impl<D: Device, T: Scalar> Hadamard<D, T> {
    /// The product with H into C.
    #[inline(always)]
    pub fn new(c: D::Array<T>, h: D::Array<T>, masked: Masked<T>) -> Self {
        Self { c, h, masked, row: 0, column: 0 }
    }
}

impl<D: Device, T: Scalar> Slope<D, T> {
    /// The product with f′(T) into C.
    #[inline(always)]
    pub fn new(c: D::Array<T>, t: D::Array<T>, backward: Backward<T>) -> Self {
        let strides = [backward.product.strides.c, backward.t];
        let activation = backward.neurons.activation();
        Self { c, t, strides, update: backward.product.update, activation }
    }
}

#[inline(always)]
fn offset(row: u32, stride: u32, column: u32) -> u64 {
    u64::from(row) * u64::from(stride) + u64::from(column)
}

/// `array[i] ← α value + β array[i]`, not reading for β = 0; returns what was stored.
#[inline(always)]
fn accumulate<D: Device, T: Scalar>(
    d: D,
    array: D::Array<T>,
    i: u32,
    value: T,
    update: Update<T>,
) -> T {
    let mut result = update.alpha * value;
    if update.beta != T::ZERO {
        result += update.beta * d.load(array, i);
    }
    d.store(array, i, result);
    result
}

impl<D: Device, T: Scalar> Epilogue<D, T> for Plain<D, T> {
    #[inline(always)]
    fn start(self, d: D, row: u32, column: u32) -> Self {
        Self { c: d.advance(self.c, offset(row, self.stride, column)), ..self }
    }
    #[inline(always)]
    fn store(self, d: D, row: u32, column: u32, value: T) {
        accumulate(d, self.c, row * self.stride + column, value, self.update);
    }
}

impl<D: Device, T: Scalar> Epilogue<D, T> for Symmetric<D, T> {
    #[inline(always)]
    fn start(self, _: D, row: u32, column: u32) -> Self {
        Self { row, column, ..self }
    }
    #[inline(always)]
    fn store(self, d: D, row: u32, column: u32, value: T) {
        let (row, column) = (self.row + row, self.column + column);
        if row >= column {
            let lower = d.advance(self.c, offset(row, self.stride, column));
            let stored = accumulate(d, lower, 0, value, self.update);
            d.store(d.advance(self.c, offset(column, self.stride, row)), 0, stored);
        }
    }
}

impl<D: Device, T: Scalar> Epilogue<D, T> for Forward<D, T> {
    #[inline(always)]
    fn start(self, d: D, row: u32, column: u32) -> Self {
        let at = offset(row, self.stride, column);
        let bias = d.advance(self.bias, u64::from(column) * u64::from(self.bias_stride));
        let a = d.advance(self.a, offset(row, self.activated, column));
        Self { t: d.advance(self.t, at), a, bias, ..self }
    }
    #[inline(always)]
    fn store(self, d: D, row: u32, column: u32, value: T) {
        let t = value + d.load(self.bias, column * self.bias_stride);
        d.store(self.t, row * self.stride + column, t);
        d.store(self.a, row * self.activated + column, self.activation.value(t));
    }
}

impl<D: Device, T: Scalar> Epilogue<D, T> for Hadamard<D, T> {
    #[inline(always)]
    fn start(self, d: D, row: u32, column: u32) -> Self {
        let c = d.advance(self.c, offset(row, self.masked.product.strides.c, column));
        Self { c, row, column, ..self }
    }
    #[inline(always)]
    fn store(self, d: D, row: u32, column: u32, value: T) {
        let Masked { product, h, repeat } = self.masked;
        let at = offset(divide(self.row + row, repeat).0, h, self.column + column);
        let weighted = value * d.load(d.advance(self.h, at), 0);
        accumulate(d, self.c, row * product.strides.c + column, weighted, product.update);
    }
}

impl<D: Device, T: Scalar> Epilogue<D, T> for Slope<D, T> {
    #[inline(always)]
    fn start(self, d: D, row: u32, column: u32) -> Self {
        let [c, t] = self.strides.map(|stride| offset(row, stride, column));
        Self { c: d.advance(self.c, c), t: d.advance(self.t, t), ..self }
    }
    #[inline(always)]
    fn store(self, d: D, row: u32, column: u32, value: T) {
        let [c, t] = self.strides.map(|stride| row * stride + column);
        let slope = self.activation.derivative(d.load(self.t, t));
        accumulate(d, self.c, c, value * slope, self.update);
    }
}

impl<D: Device, T: Scalar> Epilogue<D, T> for Divide<D, T> {
    #[inline(always)]
    fn start(self, d: D, row: u32, column: u32) -> Self {
        let (g, a) = (d.advance(self.g, u64::from(row)), d.advance(self.a, u64::from(column)));
        Self { c: d.advance(self.c, offset(row, self.stride, column)), g, a, ..self }
    }
    #[inline(always)]
    fn store(self, d: D, row: u32, column: u32, value: T) {
        let scale = d.load(self.g, row) * d.load(self.a, column) + self.damping;
        d.store(self.c, row * self.stride + column, value / scale);
    }
}
