//! The Kronecker route: `Ḡ ≈ N ⊗ A` with `A = (1/n) X̃ᵀX̃` and N the mean response metric,
//! diag(ν̄) for independent neurons, `(1/n) Σ diag(η_s) − η_s η_sᵀ` for soft-max.
//!
//! An approximation: exact when the response metric is the same for every sample (linear neurons,
//! one sample), otherwise N and A are taken as uncorrelated. One factorisation serves all neurons.

use super::super::cost::LayerKind;
use super::super::layer::{LayerMetric, NonlinearMetric, ResponseMetric, SoftmaxMetric};
use super::super::support::{carve, check_damping, check_factor, check_keep, check_matrix};
use crate::error::check_len;
use crate::{Backend, Error, MatMut, MatRef, Real, blas, factor};

/// How λ enters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Damping {
    /// `N ⊗ A + λI`, through the eigendecomposition of A (and of N).
    #[default]
    Exact,
    /// `(N + √λ/π I) ⊗ (A + π√λ I)`, π² = (tr A / d̃)/(tr N / m), through Cholesky (MATH.md §4).
    Factored,
}

/// The two factors, in a slice that the caller owns: first their (moving) averages, after
/// [`State::factor`] what [`State::apply`] needs. Copy the slice before factoring to go on averaging.
/// ```
/// use relfisher_core::metric::cost::LayerKind;
/// use relfisher_core::metric::layer::NonlinearMetric;
/// use relfisher_core::metric::route::kronecker::{Damping, State, state_len, workspace_len};
/// use relfisher_core::{MatMut, MatRef, Portable};
/// const KIND: LayerKind = LayerKind::Nonlinear;
/// let (x, nu) = ([1.0, 0.0, 0.0, 1.0], [1.0, 3.0]); // two samples, one neuron
/// let metric = NonlinearMetric::new(MatRef::new(&x, 2, 2)?, MatRef::new(&nu, 2, 1)?)?;
/// let mut slice = [f64::NAN; state_len(KIND, 1, 2)];
/// let mut work = [f64::NAN; workspace_len(KIND, 2, 1, 2)];
/// let mut state = State::new(KIND, 1, 2, &mut slice)?;
/// state.build_nonlinear(&Portable, &metric, 0.0, &mut work)?;
/// assert_eq!((state.input(), state.output()), (&[0.5, 0.0, 0.0, 0.5][..], &[2.0][..]));
/// state.factor(&Portable, Damping::Exact, 1.0, &mut work)?;
/// let mut v = [4.0, 6.0];
/// state.apply(&Portable, MatMut::new(&mut v, 1, 2)?, Damping::Exact, 1.0, &mut work)?;
/// assert!((v[0] - 2.0).abs() < 1e-14 && (v[1] - 3.0).abs() < 1e-14); // (2 · ½ + 1)⁻¹
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[derive(Debug)]
pub struct State<'a, T> {
    kind: LayerKind,
    m: usize,
    d: usize,
    input: &'a mut [T],
    input_values: &'a mut [T],
    output: &'a mut [T],
    output_values: &'a mut [T],
}

const fn output_len(kind: LayerKind, m: usize) -> usize {
    match kind {
        LayerKind::Nonlinear => m,
        LayerKind::Softmax => m.saturating_mul(m),
    }
}

/// The elements of a [`State`]: A and its eigenvalues, N and its eigenvalues.
pub const fn state_len(kind: LayerKind, m: usize, d: usize) -> usize {
    d.saturating_mul(d).saturating_add(d).saturating_add(output_len(kind, m)).saturating_add(m)
}

/// The scratch of every method of [`State`] for batches of n samples.
pub const fn workspace_len(kind: LayerKind, n: usize, m: usize, d: usize) -> usize {
    let mut len = m.saturating_mul(d);
    let build = blas::gram_workspace_len(n, d);
    let input = factor::eigh_workspace_len(d);
    if build > len {
        len = build;
    }
    if input > len {
        len = input;
    }
    let output = factor::eigh_workspace_len(m);
    if matches!(kind, LayerKind::Softmax) && output > len {
        len = output;
    }
    len
}

impl<'a, T: Real> State<'a, T> {
    /// Lays the factors of an m × d̃ layer over the first [`state_len`] elements of `slice`, whose
    /// contents are kept.
    ///
    /// # Errors
    /// [`Error::Workspace`] when the slice is too short.
    pub fn new(kind: LayerKind, m: usize, d: usize, slice: &'a mut [T]) -> Result<Self, Error> {
        let mut rest = crate::error::take_work(slice, state_len(kind, m, d))?;
        let input = carve(&mut rest, d.saturating_mul(d))?;
        let input_values = carve(&mut rest, d)?;
        let output = carve(&mut rest, output_len(kind, m))?;
        Ok(Self { kind, m, d, input, input_values, output, output_values: rest })
    }

    fn check(&self, kind: LayerKind, m: usize, d: usize) -> Result<(), Error> {
        if self.kind != kind {
            return Err(Error::Parameter { what: "kronecker: state of another kind of layer" });
        }
        check_len("kronecker: outputs", self.m, m)?;
        check_len("kronecker: inputs", self.d, d)
    }

    fn build_input<B: Backend<T> + ?Sized>(
        &mut self,
        backend: &B,
        x: MatRef<'_, T>,
        keep: T,
        work: &mut [T],
    ) -> Result<(), Error> {
        let alpha = (T::ONE - keep) / T::from_usize(x.rows());
        backend.gram(MatMut::new(self.input, self.d, self.d)?, keep, alpha, x, None, work)
    }

    /// `A ← keep·A + (1 − keep)(1/n) X̃ᵀX̃`, `ν̄ ← keep·ν̄ + (1 − keep)(1/n) Σ ν_s`; `keep` = 0 never
    /// reads.
    ///
    /// # Errors
    /// Shape, workspace ([`workspace_len`]), [`Error::NonFinite`], a negative ν.
    pub fn build_nonlinear<B: Backend<T> + ?Sized>(
        &mut self,
        backend: &B,
        metric: &NonlinearMetric<'_, T>,
        keep: T,
        work: &mut [T],
    ) -> Result<(), Error> {
        self.check(LayerKind::Nonlinear, metric.outputs(), metric.inputs())?;
        check_keep(keep)?;
        metric.check_inputs()?;
        self.build_input(backend, metric.x(), keep, work)?;
        let alpha = (T::ONE - keep) / T::from_usize(metric.samples());
        for o in self.output.iter_mut() {
            *o = if keep == T::ZERO { T::ZERO } else { keep * *o };
        }
        for s in 0..metric.samples() {
            for (o, nu) in self.output.iter_mut().zip(metric.nu().row(s)) {
                *o += alpha * *nu;
            }
        }
        Ok(())
    }

    /// The same for a soft-max layer: `N ← keep·N + (1 − keep)(1/n) Σ diag(η_s) − η_s η_sᵀ`.
    ///
    /// # Errors
    /// As [`Self::build_nonlinear`].
    /// ```
    /// use relfisher_core::metric::cost::LayerKind;
    /// use relfisher_core::metric::layer::SoftmaxMetric;
    /// use relfisher_core::metric::route::kronecker::{State, state_len, workspace_len};
    /// use relfisher_core::{MatRef, Portable};
    /// let (x, eta) = ([2.0], [0.25, 0.75]);
    /// let metric = SoftmaxMetric::new(MatRef::new(&x, 1, 1)?, MatRef::new(&eta, 1, 2)?)?;
    /// let mut slice = [f64::NAN; state_len(LayerKind::Softmax, 2, 1)];
    /// let mut work = [f64::NAN; workspace_len(LayerKind::Softmax, 1, 2, 1)];
    /// let mut state = State::new(LayerKind::Softmax, 2, 1, &mut slice)?;
    /// state.build_softmax(&Portable, &metric, 0.0, &mut work)?;
    /// assert_eq!((state.input(), state.output()[0]), (&[4.0][..], 0.1875));
    /// # Ok::<(), relfisher_core::Error>(())
    /// ```
    pub fn build_softmax<B: Backend<T> + ?Sized>(
        &mut self,
        backend: &B,
        metric: &SoftmaxMetric<'_, T>,
        keep: T,
        work: &mut [T],
    ) -> Result<(), Error> {
        self.check(LayerKind::Softmax, metric.outputs(), metric.inputs())?;
        check_keep(keep)?;
        metric.check_inputs()?;
        self.build_input(backend, metric.x(), keep, work)?;
        let alpha = (T::ONE - keep) / T::from_usize(metric.samples());
        for o in self.output.iter_mut() {
            *o = if keep == T::ZERO { T::ZERO } else { keep * *o };
        }
        let mut output = MatMut::new(&mut *self.output, self.m, self.m)?;
        let response = ResponseMetric::Softmax(metric.eta());
        for s in 0..metric.samples() {
            let eta = metric.eta().row(s);
            for (i, e) in eta.iter().enumerate() {
                let row = output.row_mut(i);
                for (j, (o, f)) in row.iter_mut().zip(eta).enumerate() {
                    if i != j {
                        *o -= alpha * (*e * *f);
                    }
                }
                if let Some(o) = row.get_mut(i) {
                    *o += alpha * response.entry(s, i, i);
                }
            }
        }
        Ok(())
    }

    /// A, d̃ × d̃, before [`Self::factor`].
    pub fn input(&self) -> &[T] {
        self.input
    }

    /// ν̄ (m) or N (C × C), before [`Self::factor`].
    pub fn output(&self) -> &[T] {
        self.output
    }

    /// Replaces the averages by what [`Self::apply`] needs. With [`Damping::Exact`] the same factors
    /// serve every λ > 0. `work` as [`workspace_len`].
    ///
    /// # Errors
    /// Workspace, [`Error::Parameter`] for λ < 0, [`Error::NotPositiveDefinite`] for λ = 0 and a
    /// singular factor, [`Error::NonFinite`].
    pub fn factor<B: Backend<T> + ?Sized>(
        &mut self,
        backend: &B,
        form: Damping,
        damping: T,
        work: &mut [T],
    ) -> Result<(), Error> {
        check_damping(damping)?;
        match form {
            Damping::Exact => self.factor_exact(backend, damping, work),
            Damping::Factored => self.factor_split(backend, damping),
        }
    }

    fn factor_exact<B: Backend<T> + ?Sized>(
        &mut self,
        backend: &B,
        damping: T,
        work: &mut [T],
    ) -> Result<(), Error> {
        let (m, d) = (self.m, self.d);
        backend.eigh(MatMut::new(&mut *self.input, d, d)?, self.input_values, work)?;
        clamp(self.input_values, damping, 0)?;
        match self.kind {
            LayerKind::Nonlinear => {
                for (v, o) in self.output_values.iter_mut().zip(self.output.iter()) {
                    *v = *o;
                }
                for (i, v) in self.output_values.iter().enumerate() {
                    if damping == T::ZERO && !positive(*v) {
                        return Err(Error::NotPositiveDefinite { block: i, pivot: 0 });
                    }
                }
                Ok(())
            }
            LayerKind::Softmax => {
                backend.eigh(MatMut::new(&mut *self.output, m, m)?, self.output_values, work)?;
                clamp(self.output_values, damping, 0)
            }
        }
    }

    fn factor_split<B: Backend<T> + ?Sized>(
        &mut self,
        backend: &B,
        damping: T,
    ) -> Result<(), Error> {
        let (m, d) = (self.m, self.d);
        let input = mean_diagonal(self.input, d, d.wrapping_add(1));
        let step = match self.kind {
            LayerKind::Nonlinear => 1,
            LayerKind::Softmax => m.wrapping_add(1),
        };
        let output = mean_diagonal(self.output, m, step);
        let root = damping.sqrt();
        // A zero factor leaves no ratio to split by: both are then damped alike.
        let ratio = input / output;
        let split = if ratio.is_finite() && ratio > T::ZERO { ratio.sqrt() } else { T::ONE };
        let mut a = MatMut::new(&mut *self.input, d, d)?;
        backend.cholesky(a.rb_mut(), split * root)?;
        check_factor(a.rb(), damping)?;
        match self.kind {
            LayerKind::Nonlinear => {
                for (i, o) in self.output.iter_mut().enumerate() {
                    *o += root / split;
                    if !positive(*o) {
                        return Err(Error::NotPositiveDefinite { block: i, pivot: 0 });
                    }
                }
                Ok(())
            }
            LayerKind::Softmax => {
                let mut n = MatMut::new(&mut *self.output, m, m)?;
                backend.cholesky(n.rb_mut(), root / split)?;
                check_factor(n.rb(), damping)
            }
        }
    }

    /// `V ← (N ⊗ A, damped)⁻¹ V` with what [`Self::factor`] left, given the same form and λ (a
    /// different λ > 0 is fine with [`Damping::Exact`]). Shape: v m × d̃. `work` as [`workspace_len`].
    ///
    /// # Errors
    /// Shape, layout, workspace, [`Error::Parameter`].
    pub fn apply<B: Backend<T> + ?Sized>(
        &self,
        backend: &B,
        mut v: MatMut<'_, T>,
        form: Damping,
        damping: T,
        work: &mut [T],
    ) -> Result<(), Error> {
        let (m, d) = (self.m, self.d);
        check_matrix(("kronecker: rows of v", "kronecker: columns of v"), v.rb(), m, d)?;
        check_damping(damping)?;
        let scratch = crate::error::take_work(work, m.saturating_mul(d))?;
        match form {
            Damping::Exact => self.apply_exact(backend, v, damping, scratch),
            Damping::Factored => {
                match self.kind {
                    LayerKind::Nonlinear => {
                        for (i, o) in self.output.iter().enumerate() {
                            for x in v.row_mut(i) {
                                *x /= *o;
                            }
                        }
                    }
                    LayerKind::Softmax => {
                        backend.cholesky_solve(v.rb_mut(), MatRef::new(self.output, m, m)?)?;
                    }
                }
                let mut columns = MatMut::new(scratch, d, m)?;
                for a in 0..d {
                    for (i, c) in columns.row_mut(a).iter_mut().enumerate() {
                        *c = v.at(i, a);
                    }
                }
                backend.cholesky_solve(columns.rb_mut(), MatRef::new(self.input, d, d)?)?;
                for i in 0..m {
                    for (a, x) in v.row_mut(i).iter_mut().enumerate() {
                        *x = columns.at(a, i);
                    }
                }
                Ok(())
            }
        }
    }

    fn apply_exact<B: Backend<T> + ?Sized>(
        &self,
        backend: &B,
        mut v: MatMut<'_, T>,
        damping: T,
        scratch: &mut [T],
    ) -> Result<(), Error> {
        let (m, d) = (self.m, self.d);
        let (zero, one) = (T::ZERO, T::ONE);
        let basis = MatRef::new(self.input, d, d)?;
        let mut rotated = MatMut::new(scratch, m, d)?;
        backend.gemm(rotated.rb_mut(), zero, one, v.rb(), basis)?;
        match self.kind {
            LayerKind::Nonlinear => {
                self.divide(&mut rotated, damping);
                backend.gemm(v, zero, one, rotated.rb(), basis.t())
            }
            LayerKind::Softmax => {
                let left = MatRef::new(self.output, m, m)?;
                backend.gemm(v.rb_mut(), zero, one, left.t(), rotated.rb())?;
                self.divide(&mut v, damping);
                backend.gemm(rotated.rb_mut(), zero, one, left, v.rb())?;
                backend.gemm(v, zero, one, rotated.rb(), basis.t())
            }
        }
    }

    /// `V_ij ← V_ij / (g_i a_j + λ)`.
    fn divide(&self, v: &mut MatMut<'_, T>, damping: T) {
        for (i, g) in self.output_values.iter().enumerate() {
            for (x, a) in v.row_mut(i).iter_mut().zip(self.input_values.iter()) {
                *x /= *g * *a + damping;
            }
        }
    }
}

/// Rounding may leave eigenvalues of a positive semi-definite matrix below zero: they become zero.
/// Without damping the smallest must exceed d·ε times the largest.
fn clamp<T: Real>(values: &mut [T], damping: T, block: usize) -> Result<(), Error> {
    let count = values.len();
    let mut largest = T::ZERO;
    for v in values.iter_mut() {
        *v = (*v).max(T::ZERO);
        largest = largest.max(*v);
    }
    let floor = T::from_usize(count) * T::EPSILON * largest;
    for (pivot, v) in values.iter().enumerate() {
        if damping == T::ZERO && !positive(*v - floor) {
            return Err(Error::NotPositiveDefinite { block, pivot });
        }
    }
    Ok(())
}

/// Above zero; false for NaN.
fn positive<T: Real>(x: T) -> bool {
    x > T::ZERO
}

/// The mean of every `step`-th element: the trace over the dimension.
fn mean_diagonal<T: Real>(a: &[T], dimension: usize, step: usize) -> T {
    let mut sum = T::ZERO;
    for i in 0..dimension {
        sum += a.get(i.wrapping_mul(step)).copied().unwrap_or(T::ZERO);
    }
    if dimension == 0 { T::ZERO } else { sum / T::from_usize(dimension) }
}
