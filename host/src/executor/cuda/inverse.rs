//! Cholesky factors and inverses of large symmetric matrices, by matrix products.
//!
//! One block factors a matrix of any order, but it has one multiprocessor of the device. Here
//! everything but diagonal blocks of order [`LEAF`] is products, which have them all. For order n:
//!
//! | result | how | FLOPs | launches |
//! | --- | --- | --- | --- |
//! | L, A = LLᵀ | panels from left to right: `P = A − L_left L_leftᵀ`, its top is `L_jj L_jjᵀ`, the rest `P L_jj⁻ᵀ` | ⅓n³ | about 9 a leaf |
//! | W = L⁻¹ | two halves in turn: `W₂₁ = −W₂₂(L₂₁W₁₁)` | ⅔n³ | about 3 a leaf |
//! | A⁻¹ = WᵀW | strips of rows of W, which are zero from their last row's diagonal on | (s + 1)(2s + 1)/6s² n³, s ≤ 8 | s |
//!
//! An inverse costs 1.4 n³ FLOPs from n = 2048 on, up to 2 n³ below, where one strip is left.
//!
//! Inverting A by its Schur complement `A₂₂ − A₂₁A₁₁⁻¹A₂₁ᵀ`, halves in turn, costs as much (5/3 n³) but
//! is not stable: A₁₁⁻¹ has an error of εκ‖A₁₁⁻¹‖, which makes one of εκ²‖A‖ in the complement, whose
//! smallest eigenvalue is ‖A‖/κ. In f32, a factor of order 1024 with few samples, damped to κ = 10⁴,
//! was refused as indefinite. With L, only leaves are inverted before the end, and the errors of LLᵀ
//! and A⁻¹ are ε‖A‖ and εκ‖A⁻¹‖ times a small power of n.

use std::ops::Range;
use std::sync::Arc;

use relfisher_core::Error as CoreError;
use relfisher_kernels::body::{cholesky, triangle};
use relfisher_kernels::contract::Triangles;

use super::factor::Squares;
use super::memory::Buffer;
use super::product::{names, narrow, plain, shape};
use super::{Error, Gpu, Matrix, MatrixMut, Side, ViewMut};
use crate::Scalar;

/// The order of the diagonal blocks that one block of threads factors in shared memory.
const LEAF: usize = cholesky::SMALL as usize;
const _: () = assert!(cholesky::SMALL == triangle::ORDER);
/// Columns that are reduced at once by all columns left of them: two tiles of f32, so that no tile
/// is half empty, and few enough that a product is mostly this one.
const WIDE: usize = 4 * LEAF;
/// The most strips of WᵀW, and the fewest rows of one: each passes over the result once more.
const STRIPS: usize = 8;
const LEAST_STRIP: usize = 256;

/// The pieces of `range`, of `length` each but for the last.
fn pieces(range: Range<usize>, length: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range.step_by(length).map(move |start| start..end.min(start + length))
}

/// The order of a square matrix.
fn order<T: Scalar>(a: &Matrix<'_, T>) -> Result<usize, CoreError> {
    shape("square matrix on the device: columns", a.rows(), a.cols())?;
    Ok(a.rows())
}

impl Gpu {
    /// `A + λI = LLᵀ` in place by products, any order: [`Gpu::cholesky`] chooses it for large matrices.
    /// The result depends on the lower triangle only; the strict upper one is set to 0. The flag (one
    /// value) is 0, or the refused pivot counted from 1.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn cholesky_by_products<T: Scalar>(
        self: &Arc<Self>,
        a: MatrixMut<'_, T>,
        flag: ViewMut<'_, u32>,
        damping: T,
    ) -> Result<(), Error> {
        let n = order(&a.read())?;
        let mut l = Buffer::zeros(self, n * n)?;
        self.factor_panels(MatrixMut::new(l.view_mut(), n, n)?, a.read(), flag, damping)?;
        self.combine(a, (T::ZERO, T::ONE), Matrix::new(l.view(), n, n)?)
    }

    /// `A ← (A + λI)⁻¹`, symmetric positive definite, any order, both triangles. The result depends on
    /// the lower triangle only. The flag (one value) is 0, or the refused pivot counted from 1; then the
    /// values are unspecified.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn spd_inverse<T: Scalar>(
        self: &Arc<Self>,
        a: MatrixMut<'_, T>,
        flag: ViewMut<'_, u32>,
        damping: T,
    ) -> Result<(), Error> {
        let n = order(&a.read())?;
        let mut l = Buffer::zeros(self, n * n)?;
        self.factor_panels(MatrixMut::new(l.view_mut(), n, n)?, a.read(), flag, damping)?;
        self.cholesky_inverse(a, Matrix::new(l.view(), n, n)?)
    }

    /// `out ← (LLᵀ)⁻¹`, both triangles, from the lower triangle L.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn cholesky_inverse<T: Scalar>(
        self: &Arc<Self>,
        mut out: MatrixMut<'_, T>,
        l: Matrix<'_, T>,
    ) -> Result<(), Error> {
        let n = order(&l)?;
        shape("cholesky_inverse", n, order(&out.read())?)?;
        let inverse = self.triangle_inverse(l)?;
        let w = Matrix::new(inverse.view(), n, n)?;
        let height = n.div_ceil(STRIPS).next_multiple_of(LEAF).max(LEAST_STRIP);
        // The last strip reaches every element; the others add to what is there.
        let (mut end, mut beta) = (n, T::ZERO);
        while end > 0 {
            let start = end.saturating_sub(height);
            let reached = out.again().block(0..end, 0..end)?;
            self.gram(reached, (beta, T::ONE), w.block(start..end, 0..end)?, None)?;
            (end, beta) = (start, T::ONE);
        }
        Ok(())
    }

    /// `X ← (LLᵀ)⁻¹X` as `Wᵀ(WX)` with W = L⁻¹, from the lower triangle L: for any order and many right
    /// sides, ⅔n³ + 4n²k FLOPs. Shapes: L n×n, X n×k.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn cholesky_solve_by_products<T: Scalar>(
        self: &Arc<Self>,
        x: MatrixMut<'_, T>,
        l: Matrix<'_, T>,
    ) -> Result<(), Error> {
        let (n, k) = (order(&l)?, x.cols());
        shape("cholesky_solve_by_products: rows of x", n, x.rows())?;
        if n == 0 || k == 0 {
            return Ok(());
        }
        let inverse = self.triangle_inverse(l)?;
        let w = Matrix::new(inverse.view(), n, n)?;
        let mut half = Buffer::new(self, n * k)?;
        let once = (T::ZERO, T::ONE);
        let to = MatrixMut::new(half.view_mut(), n, k)?;
        self.gemm(to, once, (w, Side::Stored), (x.read(), Side::Stored))?;
        let half = Matrix::new(half.view(), n, k)?;
        self.gemm(x, once, (w, Side::Transposed), (half, Side::Stored))
    }

    /// L of A + λI into a matrix of zeros.
    fn factor_panels<T: Scalar>(
        self: &Arc<Self>,
        mut l: MatrixMut<'_, T>,
        a: Matrix<'_, T>,
        mut flag: ViewMut<'_, u32>,
        damping: T,
    ) -> Result<(), Error> {
        let n = order(&a)?;
        shape("flag of a factorisation", 1, flag.len())?;
        flag.again().clear()?;
        let mut last = Buffer::<u32>::new(self, 1)?;
        let mut leaf = Buffer::new(self, LEAF * LEAF)?;
        let mut wides = Buffer::new(self, n * WIDE.min(n))?;
        let mut panels = Buffer::new(self, n * LEAF.min(n))?;
        for wide in pieces(0..n, WIDE) {
            let first = wide.start;
            let source = a.block(first..n, wide.clone())?;
            let mut rest = MatrixMut::new(wides.view_mut(), n - first, wide.len())?;
            self.reduce(rest.again(), source, l.read(), (0..first, wide.clone()))?;
            for at in pieces(wide, LEAF) {
                let (start, w) = (at.start, at.len());
                let source =
                    rest.read().block(start - first..n - first, start - first..at.end - first)?;
                let mut panel = panels.view_mut().slice(0..(n - start) * w);
                let to = MatrixMut::new(panel.again(), n - start, w)?;
                self.reduce(to, source, l.read(), (first..start, at.clone()))?;
                let top = panel.again().slice(0..w * w);
                self.cholesky(top, last.view_mut(), Squares::one(w), damping)?;
                self.keep_flags(flag.again(), last.view(), narrow(start))?;
                let top = Matrix::new(panel.read(), w, w)?;
                let once = (T::ZERO, T::ONE);
                self.combine(l.again().block(at.clone(), at.clone())?, once, top)?;
                if at.end < n {
                    let below = panel.read().slice(w * w..(n - start) * w);
                    let below = (Matrix::new(below, n - at.end, w)?, Side::Stored);
                    self.invert_leaves(MatrixMut::new(leaf.view_mut(), w, w)?, top)?;
                    let inverse = (Matrix::new(leaf.view(), w, w)?, Side::Transposed);
                    self.gemm(l.again().block(at.end..n, at)?, once, below, inverse)?;
                }
            }
        }
        Ok(())
    }

    /// `to ← source − L[at.start.., done] L[at, done]ᵀ`: what is left of the columns `at` once the columns
    /// `done` have been taken out.
    fn reduce<T: Scalar>(
        self: &Arc<Self>,
        mut to: MatrixMut<'_, T>,
        source: Matrix<'_, T>,
        l: Matrix<'_, T>,
        (done, at): (Range<usize>, Range<usize>),
    ) -> Result<(), Error> {
        self.combine(to.again(), (T::ZERO, T::ONE), source)?;
        if done.is_empty() {
            return Ok(());
        }
        let below = (l.block(at.start..l.rows(), done.clone())?, Side::Stored);
        let beside = (l.block(at, done)?, Side::Transposed);
        self.gemm(to, (T::ONE, -T::ONE), below, beside)
    }

    /// The inverses of the diagonal blocks of order [`LEAF`] of L in the place of these blocks; nothing
    /// else of W is written.
    fn invert_leaves<T: Scalar>(&self, w: MatrixMut<'_, T>, l: Matrix<'_, T>) -> Result<(), Error> {
        let n = order(&l)?;
        shape("inverses of diagonal blocks", n, order(&w.read())?)?;
        let triangles =
            Triangles { order: narrow(n), l: narrow(l.stride()), w: narrow(w.stride()) };
        let launch = self.kernel(plain::<T>(names!("triangle_inverse")))?;
        let launch = launch.write(&w.values).read(l.values).value(&triangles);
        // SAFETY: both are square of that order, W is written by nobody else.
        unsafe { launch.over([narrow(n.div_ceil(LEAF)), 1, 1]) }
    }

    /// L⁻¹ with zeros above its diagonal.
    fn triangle_inverse<T: Scalar>(self: &Arc<Self>, l: Matrix<'_, T>) -> Result<Buffer<T>, Error> {
        let n = order(&l)?;
        let mut inverse = Buffer::zeros(self, n * n)?;
        let mut w = MatrixMut::new(inverse.view_mut(), n, n)?;
        self.invert_leaves(w.again(), l)?;
        // Two ranges side by side have at most (n/2)² pairs.
        let mut scratch = [Buffer::new(self, n * n / 4)?, Buffer::new(self, n * n / 4)?];
        self.join_inverses(w, l, 0..n, &mut scratch)?;
        Ok(inverse)
    }

    /// Fills the inverse of a diagonal block in, below the inverses of its leaves.
    fn join_inverses<T: Scalar>(
        self: &Arc<Self>,
        mut w: MatrixMut<'_, T>,
        l: Matrix<'_, T>,
        at: Range<usize>,
        scratch: &mut [Buffer<T>; 2],
    ) -> Result<(), Error> {
        if at.len() <= LEAF {
            return Ok(());
        }
        let middle = at.start + at.len().div_ceil(2).next_multiple_of(LEAF);
        let (first, second) = (at.start..middle, middle..at.end);
        self.join_inverses(w.again(), l, first.clone(), scratch)?;
        self.join_inverses(w.again(), l, second.clone(), scratch)?;
        let (rows, cols) = (second.len(), first.len());
        let [half, whole] = scratch;
        let stored = |a| (a, Side::Stored);
        let to = MatrixMut::new(half.view_mut(), rows, cols)?;
        let before = w.read().block(first.clone(), first.clone())?;
        let beside = l.block(second.clone(), first.clone())?;
        self.gemm(to, (T::ZERO, T::ONE), stored(beside), stored(before))?;
        let half = Matrix::new(half.view(), rows, cols)?;
        let to = MatrixMut::new(whole.view_mut(), rows, cols)?;
        let below = w.read().block(second.clone(), second.clone())?;
        self.gemm(to, (T::ZERO, -T::ONE), stored(below), stored(half))?;
        let whole = Matrix::new(whole.view(), rows, cols)?;
        self.combine(w.block(second, first)?, (T::ZERO, T::ONE), whole)
    }
}
