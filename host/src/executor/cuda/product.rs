//! Matrix products: GEMM, Gram matrices, and what a layer fuses with them.

use std::sync::Arc;

use relfisher_core::Error as CoreError;
use relfisher_core::metric::neuron::Activation;
use relfisher_kernels::contract::{
    Backward, Divided, Extent, Join, Layer, Masked, Neurons, Product, Strides, Update, Variant,
};

use super::memory::Buffer;
use super::{Error, Gpu, Matrix, MatrixMut, View, ViewMut};
use crate::Scalar;

/// How products of f32 are formed; sums are f32. f64 knows one way only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Fused multiply-adds.
    F32,
    /// Tensor cores with three products of tf32 parts: the accuracy of f32.
    Tf32x3,
    /// Tensor cores with inputs rounded to tf32.
    Tf32,
    /// Tensor cores with inputs rounded to bf16.
    Bf16,
}

impl Precision {
    /// The fastest one with the accuracy of f32.
    pub fn default_of(variant: Variant) -> Self {
        match variant {
            Variant::Sm75 => Self::F32,
            Variant::Sm80 => Self::Tf32x3,
        }
    }
}

/// A factor of a product, maybe transposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// As stored.
    Stored,
    /// Transposed.
    Transposed,
}

/// The names of a kernel that tensor cores know too.
macro_rules! modes {
    ($base:literal) => {
        [
            concat!($base, "_f32"),
            concat!($base, "_tf32x3"),
            concat!($base, "_tf32"),
            concat!($base, "_bf16"),
            concat!($base, "_f64"),
        ]
    };
}

/// The names of a kernel in f32 and f64.
macro_rules! names {
    ($base:literal) => {
        [concat!($base, "_f32"), concat!($base, "_f64")]
    };
}
pub(super) use names;

/// The name for T.
pub(super) fn plain<T: Scalar>([single, double]: [&'static str; 2]) -> &'static str {
    if size_of::<T>() == 4 { single } else { double }
}

/// The side of a tile for T.
fn tile<T: Scalar>() -> usize {
    if size_of::<T>() == 4 { 128 } else { 64 }
}

/// A kernel, and the side of its tiles.
type Choice = (&'static str, usize);

/// The side of the small tiles of f32.
const NARROW: usize = 32;

/// The kernel with small tiles for an m×n result of f32 whose large tiles would be fewer than `fill`.
fn or_narrow<T: Scalar>(
    (m, n): (usize, usize),
    large: &'static str,
    narrow: &'static str,
    fill: usize,
) -> Choice {
    let side = tile::<T>();
    let few = m.div_ceil(side).saturating_mul(n.div_ceil(side)) < fill;
    if size_of::<T>() == 4 && few { (narrow, NARROW) } else { (large, side) }
}

/// Blocks that fill a large device: products with fewer tiles are cut along their inner range. A
/// constant, so that the order of a sum depends on its shape only.
const FILL: usize = 128;
/// The fewest inner indices of a piece.
const SHORTEST: usize = 256;
/// Fewer large tiles than this are not worth their tensor cores.
const FEW: usize = 16;

pub(super) fn narrow(n: usize) -> u32 {
    // Matrices were checked to be narrower; a wrong number would only be refused by the driver.
    u32::try_from(n).unwrap_or(u32::MAX)
}

pub(super) fn shape(what: &'static str, expected: usize, found: usize) -> Result<(), CoreError> {
    if expected == found { Ok(()) } else { Err(CoreError::Shape { what, expected, found }) }
}

/// A product's extent and strides.
fn product<T: Scalar>([m, n, k]: [usize; 3], strides: [usize; 3], alpha: T, beta: T) -> Product<T> {
    let [a, b, c] = strides.map(narrow);
    Product {
        extent: Extent::whole(narrow(m), narrow(n), narrow(k)),
        strides: Strides { a, b, c },
        update: Update { alpha, beta },
    }
}

impl Gpu {
    /// The name of a product for T in the device's precision.
    fn mode<T: Scalar>(&self, names: [&'static str; 5]) -> &'static str {
        let [single, three, tf32, bf16, double] = names;
        match (size_of::<T>(), self.precision) {
            (8, _) => double,
            (_, Precision::F32) => single,
            (_, Precision::Tf32x3) => three,
            (_, Precision::Tf32) => tf32,
            (_, Precision::Bf16) => bf16,
        }
    }

    /// From how many large tiles on a product is worth its tensor cores: rounding that was asked for is
    /// done whatever the size.
    fn fill(&self) -> usize {
        match self.precision {
            Precision::F32 | Precision::Tf32x3 => FEW,
            Precision::Tf32 | Precision::Bf16 => 0,
        }
    }

    /// How products of f32 are formed.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// `C ← α op(A) op(B) + β C`; C is not read for β = 0. Shapes: op(A) m×k, op(B) k×n, C m×n; not
    /// both transposed. An empty inner range counts as a product of zeros.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn gemm<T: Scalar>(
        self: &Arc<Self>,
        c: MatrixMut<'_, T>,
        (beta, alpha): (T, T),
        (a, a_side): (Matrix<'_, T>, Side),
        (b, b_side): (Matrix<'_, T>, Side),
    ) -> Result<(), Error> {
        let turned = |x: &Matrix<'_, T>, side| match side {
            Side::Stored => (x.rows(), x.cols()),
            Side::Transposed => (x.cols(), x.rows()),
        };
        let ((m, k), (inner, n)) = (turned(&a, a_side), turned(&b, b_side));
        shape("gemm: rows of b", k, inner)?;
        shape("gemm: rows of c", m, c.rows())?;
        shape("gemm: columns of c", n, c.cols())?;
        let (names, small) = match (a_side, b_side) {
            (Side::Stored, Side::Stored) => (modes!("gemm_nn"), "gemm_nn_narrow_f32"),
            (Side::Stored, Side::Transposed) => (modes!("gemm_nt"), "gemm_nt_narrow_f32"),
            (Side::Transposed, Side::Stored) => (modes!("gemm_tn"), "gemm_tn_narrow_f32"),
            (Side::Transposed, Side::Transposed) => {
                return Err(CoreError::Layout { what: "gemm: both factors transposed" }.into());
            }
        };
        if k == 0 {
            return Err(
                CoreError::Shape { what: "gemm: inner range", expected: 1, found: 0 }.into()
            );
        }
        let p = product([m, n, k], [a.stride(), b.stride(), c.stride()], alpha, beta);
        let (name, side) = or_narrow::<T>((m, n), self.mode::<T>(names), small, self.fill());
        let blocks = [narrow(n.div_ceil(side)), narrow(m.div_ceil(side))];
        let arrays = [a.values, b.values];
        self.in_pieces(name, c, p, &arrays, blocks)
    }

    /// `C ← α XᵀX + β C`, both triangles; with weights, `α Xᵀ diag(w) X + β C`. The lower triangle is
    /// read unless β = 0. Shapes: X n×d, C d×d, w n.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn gram<T: Scalar>(
        self: &Arc<Self>,
        c: MatrixMut<'_, T>,
        (beta, alpha): (T, T),
        x: Matrix<'_, T>,
        weights: Option<View<'_, T>>,
    ) -> Result<(), Error> {
        let (n, d) = (x.rows(), x.cols());
        shape("gram: rows of c", d, c.rows())?;
        shape("gram: columns of c", d, c.cols())?;
        if n == 0 {
            return Err(CoreError::Shape { what: "gram: rows of x", expected: 1, found: 0 }.into());
        }
        let p = product([d, d, n], [x.stride(), x.stride(), c.stride()], alpha, beta);
        let triangle = |side: usize| {
            let tiles = d.div_ceil(side);
            [narrow(tiles * (tiles + 1) / 2), 1]
        };
        match weights {
            None => {
                let large = self.mode::<T>(modes!("gram"));
                let (name, side) = or_narrow::<T>((d, d), large, "gram_narrow_f32", self.fill());
                self.in_pieces(name, c, p, &[x.values], triangle(side))
            }
            Some(w) => {
                shape("gram: weights", n, w.len())?;
                let name = plain::<T>(names!("weighted_gram"));
                self.in_pieces(name, c, p, &[x.values, w], triangle(tile::<T>()))
            }
        }
    }

    /// All weighted Gram matrices at once, packed:
    /// `out[i, k(a, b)] ← α Σ_s ν[s, i] x[s, a] x[s, b] + β out[i, k(a, b)]`, k = a(a + 1)/2 + b, a ≥ b.
    /// Shapes: x n×d with d < 2¹⁶, ν n×m, out m × d(d + 1)/2.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn packed_grams<T: Scalar>(
        self: &Arc<Self>,
        out: MatrixMut<'_, T>,
        (beta, alpha): (T, T),
        x: Matrix<'_, T>,
        nu: Matrix<'_, T>,
    ) -> Result<(), Error> {
        let (n, m, d) = (x.rows(), nu.cols(), x.cols());
        if d >= 1 << 16 {
            let what = "packed_grams: columns of x";
            return Err(CoreError::Shape { what, expected: (1 << 16) - 1, found: d }.into());
        }
        let packed = d * (d + 1) / 2;
        shape("packed_grams: rows of nu", n, nu.rows())?;
        shape("packed_grams: rows of out", m, out.rows())?;
        shape("packed_grams: columns of out", packed, out.cols())?;
        if n == 0 {
            let what = "packed_grams: rows of x";
            return Err(CoreError::Shape { what, expected: 1, found: 0 }.into());
        }
        let p = product([m, packed, n], [nu.stride(), x.stride(), out.stride()], alpha, beta);
        let blocks = [narrow(packed.div_ceil(tile::<T>())), narrow(m.div_ceil(tile::<T>()))];
        let arrays = [nu.values, x.values];
        self.in_pieces(self.mode::<T>(modes!("packed_grams")), out, p, &arrays, blocks)
    }

    /// Launches a product whose result is C, in pieces of the inner range where its tiles are few.
    fn in_pieces<T: Scalar>(
        self: &Arc<Self>,
        name: &'static str,
        c: MatrixMut<'_, T>,
        p: Product<T>,
        arrays: &[View<'_, T>],
        [x, y]: [u32; 2],
    ) -> Result<(), Error> {
        let launch = |to: &ViewMut<'_, T>, p: Product<T>, pieces: u32| -> Result<(), Error> {
            let launch = self.kernel(name)?.write(to);
            let launch = arrays.iter().fold(launch, |launch, array| launch.read(*array));
            // SAFETY: the callers checked the shapes against the arrays; C is written by nobody else.
            unsafe { launch.value(&p).over([x, y, pieces]) }
        };
        let (tiles, inner) = ((x as usize) * (y as usize), p.extent.inner as usize);
        let pieces = (FILL / tiles.max(1)).min(inner / SHORTEST);
        // Rows with gaps would be overwritten between the columns.
        if pieces < 2 || c.stride() != c.cols() {
            return launch(&c.values, p, 1);
        }
        let piece = inner.div_ceil(pieces).next_multiple_of(64);
        let pieces = inner.div_ceil(piece);
        let count = c.rows() * c.cols();
        let mut parts = Buffer::<T>::new(self, count * pieces)?;
        let extent = Extent { piece: narrow(piece), ..p.extent };
        let once = Update { alpha: T::ONE, beta: T::ZERO };
        launch(&parts.view_mut(), Product { extent, update: once, ..p }, narrow(pieces))?;
        self.join(c.values.slice(0..count), parts.view(), pieces, p.update)
    }

    /// `c ← α Σ_z part_z + β c`, in order.
    fn join<T: Scalar>(
        self: &Arc<Self>,
        c: ViewMut<'_, T>,
        parts: View<'_, T>,
        pieces: usize,
        update: Update<T>,
    ) -> Result<(), Error> {
        let count = c.len();
        let scalars = Join { count: count as u64, pieces: narrow(pieces), update };
        let launch = self.kernel(plain::<T>(names!("join")))?.write(&c).read(parts).value(&scalars);
        // SAFETY: `parts` has `pieces` times `count` values.
        unsafe { launch.over([narrow(count.div_ceil(1024)), 1, 1]) }
    }

    /// A layer: `T ← X Wᵀ + 1 bᵀ`, `A ← f(T)` with W̃ = [W | b]. Shapes: X n×d, W̃ m × (d + 1), T and A
    /// n×m.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn forward<T: Scalar>(
        self: &Arc<Self>,
        t: MatrixMut<'_, T>,
        a: MatrixMut<'_, T>,
        x: Matrix<'_, T>,
        w: Matrix<'_, T>,
        f: Activation<T>,
    ) -> Result<(), Error> {
        let (n, d, m) = (x.rows(), x.cols(), w.rows());
        shape("forward: columns of w", d + 1, w.cols())?;
        for result in [&t, &a] {
            shape("forward: rows", n, result.rows())?;
            shape("forward: columns", m, result.cols())?;
        }
        let p = product([n, m, d], [x.stride(), w.stride(), t.stride()], T::ONE, T::ZERO);
        let neurons = Neurons::activated(f, 0);
        let layer = Layer { product: p, neurons, activated: narrow(a.stride()) };
        let large = plain::<T>(names!("forward"));
        let (name, side) = or_narrow::<T>((n, m), large, "forward_narrow_f32", FILL);
        let launch = self.kernel(name)?.write(&t.values).write(&a.values);
        let launch = launch.read(x.values).read(w.values);
        // SAFETY: shapes were checked, the results are written by nobody else.
        unsafe { launch.value(&layer).over(grid(side, n, m)) }
    }

    /// A layer backwards: `Δ′ ← (Δ W) ∘ f′(T)` with Δ n×m, W̃ = [W | b] m × (d + 1), and the pre-activations T
    /// n×d of the layer before, whose activation is f. Δ′ is n×d.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn backward<T: Scalar>(
        self: &Arc<Self>,
        c: MatrixMut<'_, T>,
        (t, f): (Matrix<'_, T>, Activation<T>),
        delta: Matrix<'_, T>,
        w: Matrix<'_, T>,
    ) -> Result<(), Error> {
        let (n, m, d) = (delta.rows(), delta.cols(), t.cols());
        shape("backward: rows of w", m, w.rows())?;
        shape("backward: columns of w", d + 1, w.cols())?;
        for (rows, cols) in [(t.rows(), t.cols()), (c.rows(), c.cols())] {
            shape("backward: rows", n, rows)?;
            shape("backward: columns", d, cols)?;
        }
        let p = product([n, d, m], [delta.stride(), w.stride(), c.stride()], T::ONE, T::ZERO);
        let neurons = Neurons::activated(f, 0);
        let scalars = Backward { product: p, neurons, t: narrow(t.stride()) };
        let large = plain::<T>(names!("backward"));
        let (name, side) = or_narrow::<T>((n, d), large, "backward_narrow_f32", FILL);
        let launch = self.kernel(name)?.write(&c.values).read(t.values);
        let launch = launch.read(delta.values).read(w.values).value(&scalars);
        // SAFETY: shapes were checked, the result is written by nobody else.
        unsafe { launch.over(grid(side, n, d)) }
    }

    /// `C ← α (A op(B)) ∘ H + β C`, each row of H for `repeat` rows of C. Shapes: A m×k, op(B) k×n, C m×n, H
    /// (m/repeat)×n.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn masked<T: Scalar>(
        self: &Arc<Self>,
        c: MatrixMut<'_, T>,
        (beta, alpha): (T, T),
        (h, repeat): (Matrix<'_, T>, usize),
        a: Matrix<'_, T>,
        (b, b_side): (Matrix<'_, T>, Side),
    ) -> Result<(), Error> {
        let (m, k) = (a.rows(), a.cols());
        let (name, inner, n) = match b_side {
            Side::Stored => (names!("masked_nn"), b.rows(), b.cols()),
            Side::Transposed => (names!("masked_nt"), b.cols(), b.rows()),
        };
        shape("masked: rows of b", k, inner)?;
        shape("masked: rows of c", m, c.rows())?;
        shape("masked: columns of c", n, c.cols())?;
        shape("masked: rows of h", m, h.rows().saturating_mul(repeat))?;
        shape("masked: columns of h", n, h.cols())?;
        let p = product([m, n, k], [a.stride(), b.stride(), c.stride()], alpha, beta);
        let (h_stride, repeat) = (narrow(h.stride()), narrow(repeat));
        let scalars = Masked { product: p, h: h_stride, repeat };
        let large = (plain::<T>(name), tile::<T>());
        let (name, side) = match b_side {
            Side::Stored => or_narrow::<T>((m, n), large.0, "masked_nn_narrow_f32", FILL),
            Side::Transposed => large,
        };
        let launch = self.kernel(name)?.write(&c.values).read(h.values);
        let launch = launch.read(a.values).read(b.values).value(&scalars);
        // SAFETY: shapes were checked, C is written by nobody else.
        unsafe { launch.over(grid(side, m, n)) }
    }

    /// `C ← (A B) ⊘ (g aᵀ + λ)`: the middle of a product with (G ⊗ A + λI)⁻¹ in eigenbases. Shapes: A m×k,
    /// B k×n, C m×n, `values` g (m) and then a (n).
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn divided<T: Scalar>(
        self: &Arc<Self>,
        c: MatrixMut<'_, T>,
        (values, damping): (View<'_, T>, T),
        a: Matrix<'_, T>,
        b: Matrix<'_, T>,
    ) -> Result<(), Error> {
        let (m, k, n) = (a.rows(), a.cols(), b.cols());
        shape("divided: rows of b", k, b.rows())?;
        shape("divided: rows of c", m, c.rows())?;
        shape("divided: columns of c", n, c.cols())?;
        shape("divided: eigenvalues", m + n, values.len())?;
        let p = product([m, n, k], [a.stride(), b.stride(), c.stride()], T::ONE, T::ZERO);
        let launch = self.kernel(plain::<T>(names!("divided_nn")))?.write(&c.values).read(values);
        let launch = launch.read(a.values).read(b.values);
        // SAFETY: shapes were checked, C is written by nobody else.
        unsafe { launch.value(&Divided { product: p, damping }).over(grid(tile::<T>(), m, n)) }
    }
}

/// The tiles of an m×n result.
fn grid(side: usize, m: usize, n: usize) -> [u32; 3] {
    [narrow(n.div_ceil(side)), narrow(m.div_ceil(side)), 1]
}
