//! Two layers, W below and C above (S4, two layers; MATH.md §2).
//!
//! `t = W̃ x̃`, `h = f(t)`, `h̃ = [h; 1]`, `u = C̃ h̃`, and R(u) the metric of the response at u: with
//! `J = ∂u/∂(W̃, C̃)` the metric is `g = Jᵀ R J`, averaged over the samples. With D = diag(f′(t)) and C
//! the first m columns of C̃ its blocks are
//! `(C,C) = R ⊗ h̃h̃ᵀ`, `(W,W) = (D CᵀRC D) ⊗ x̃x̃ᵀ`, `(W,C) = (D CᵀR) ⊗ x̃h̃ᵀ`.
//! When the two layers are the whole network this is its exact Fisher matrix.

mod lower;

pub use lower::LowerMetric;

use super::layer::{Coupling, LayerMetric, ResponseMetric, check_samples, dense_workspace_len};
use super::route::conjugate_gradient::{Buffers, Options, Preconditioner, check_options};
use super::support::{block_mut, carve, check_finite, check_matrix, check_rows};
use crate::error::{check_len, take_work};
use crate::{Backend, Error, MatMut, MatRef, Real};

/// A layer with any response metric at its outputs: the upper layer of two.
/// ```
/// use relfisher_core::MatRef;
/// use relfisher_core::metric::layer::{LayerMetric, ResponseMetric};
/// use relfisher_core::metric::two_layer::{TwoLayerMetric, UpperMetric};
/// let one = [1.0];
/// let one = MatRef::new(&one, 1, 1)?;
/// let response = ResponseMetric::Constant { weight: 2.0, outputs: 1 };
/// let two = TwoLayerMetric::new(one, one, one, one, response)?;
/// let upper: UpperMetric<'_, f64> = two.upper();
/// assert_eq!((upper.outputs(), upper.weight(0, 0, 0)), (1, 2.0));
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct UpperMetric<'a, T> {
    h: MatRef<'a, T>,
    response: ResponseMetric<'a, T>,
}

impl<T: Real> LayerMetric<T> for UpperMetric<'_, T> {
    fn input(&self) -> MatRef<'_, T> {
        self.h
    }

    fn outputs(&self) -> usize {
        self.response.outputs()
    }

    fn coupling(&self) -> Coupling {
        match self.response {
            ResponseMetric::Softmax(_) => Coupling::Joint,
            _ => Coupling::Rows,
        }
    }

    fn weight(&self, s: usize, i: usize, j: usize) -> T {
        self.response.entry(s, i, j)
    }

    fn respond<B: Backend<T> + ?Sized>(
        &self,
        _backend: &B,
        mut p: MatMut<'_, T>,
        _work: &mut [T],
    ) -> Result<(), Error> {
        self.response.apply(&mut p);
        Ok(())
    }

    fn energy<B: Backend<T> + ?Sized>(
        &self,
        _backend: &B,
        p: MatMut<'_, T>,
        _work: &mut [T],
    ) -> Result<T, Error> {
        Ok(self.response.energy(p.rb()))
    }

    fn check_inputs(&self) -> Result<(), Error> {
        check_finite("h", self.h)?;
        self.response.check_values()
    }
}

/// The mean metric of two layers at n samples; parameters (W̃ m × d̃, C̃ C × k), vec in this order.
///
/// ```
/// use relfisher_core::metric::layer::ResponseMetric;
/// use relfisher_core::metric::two_layer::TwoLayerMetric;
/// use relfisher_core::{MatRef, Portable};
/// // one sample, one hidden neuron h = f(t), no biases, u = c h with R = 1
/// let (x, slope, h, c) = ([2.0], [0.5], [0.25], [3.0]);
/// let metric = TwoLayerMetric::new(
///     MatRef::new(&x, 1, 1)?,
///     MatRef::new(&slope, 1, 1)?,
///     MatRef::new(&h, 1, 1)?,
///     MatRef::new(&c, 1, 1)?,
///     ResponseMetric::Constant { weight: 1.0, outputs: 1 },
/// )?;
/// let (w, v) = ([1.0], [4.0]);
/// let mut work = [0.0; 8];
/// let q = metric.quadratic_form(&Portable, MatRef::new(&w, 1, 1)?, MatRef::new(&v, 1, 1)?, &mut work)?;
/// assert_eq!(q, (3.0f64 * 0.5 * 2.0 + 4.0 * 0.25).powi(2));
/// # Ok::<(), relfisher_core::Error>(())
/// ```
/// The dense matrix, a product with it, and a damped step:
/// ```
/// use relfisher_core::metric::layer::{LayerMetric, ResponseMetric};
/// use relfisher_core::metric::route::conjugate_gradient::Options;
/// use relfisher_core::metric::two_layer::TwoLayerMetric;
/// use relfisher_core::{MatMut, MatRef, Portable};
/// let (x, slope, h, c) = ([2.0], [0.5], [0.25], [3.0]); // u = 3 h: J = [3 · ½ · 2, ¼]
/// let metric = TwoLayerMetric::new(
///     MatRef::new(&x, 1, 1)?,
///     MatRef::new(&slope, 1, 1)?,
///     MatRef::new(&h, 1, 1)?,
///     MatRef::new(&c, 1, 1)?,
///     ResponseMetric::Constant { weight: 1.0, outputs: 1 },
/// )?;
/// metric.check_inputs()?;
/// assert_eq!((metric.parameters(), metric.lower().outputs(), metric.upper().outputs()), (2, 1, 1));
/// let (mut dense, mut work) = ([f64::NAN; 4], [f64::NAN; 1]);
/// metric.dense(&Portable, MatMut::new(&mut dense, 2, 2)?, &mut work)?;
/// assert_eq!(dense, [9.0, 0.75, 0.75, 0.0625]); // JᵀJ
/// let mut cross = [f64::NAN];
/// metric.cross(&Portable, MatMut::new(&mut cross, 1, 1)?, &mut work)?;
/// assert_eq!(cross, [0.75]);
///
/// let (w, v, mut out_w, mut out_c) = ([1.0], [4.0], [f64::NAN], [f64::NAN]);
/// let mut work = [f64::NAN; TwoLayerMetric::<f64>::multiply_workspace_len(1, 1, 1)];
/// let (w, v) = (MatRef::new(&w, 1, 1)?, MatRef::new(&v, 1, 1)?);
/// let outs = (MatMut::new(&mut out_w, 1, 1)?, MatMut::new(&mut out_c, 1, 1)?);
/// metric.multiply(&Portable, outs.0, outs.1, w, v, &mut work)?;
/// assert_eq!((out_w, out_c), ([12.0], [1.0]));
///
/// let mut step = [f64::NAN; 2];
/// let mut work = [f64::NAN; TwoLayerMetric::<f64>::solve_workspace_len(1, 1, 1, 2)];
/// metric.solve(&Portable, &mut step, &[3.0, 0.25], 0.9375, Options::default(), &mut work)?;
/// assert!((step[0] - 0.3).abs() < 1e-12); // Jᵀ is an eigenvector of 9.0625
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TwoLayerMetric<'a, T> {
    lower: LowerMetric<'a, T>,
    h: MatRef<'a, T>,
}

impl<'a, T: Real> TwoLayerMetric<'a, T> {
    /// The metric at inputs X̃ (n × d̃), slopes f′(t) (n × m), augmented hidden outputs H̃ (n × k,
    /// k ≥ m: with or without the trailing 1), upper weights C̃ (C × k) and the response metric of u
    /// (n × C). All with contiguous rows.
    ///
    /// # Errors
    /// Shape, layout; [`Error::Parameter`] for no sample.
    pub fn new(
        x: MatRef<'a, T>,
        slope: MatRef<'a, T>,
        h: MatRef<'a, T>,
        upper: MatRef<'a, T>,
        response: ResponseMetric<'a, T>,
    ) -> Result<Self, Error> {
        check_samples(x.rows())?;
        check_len("two layers: rows of h", x.rows(), h.rows())?;
        check_len("two layers: columns of the upper weights", h.cols(), upper.cols())?;
        check_rows("h", h)?;
        let m = slope.cols();
        if h.cols() < m {
            return Err(Error::Shape {
                what: "two layers: columns of h (at least)",
                expected: m,
                found: h.cols(),
            });
        }
        let weights = upper.sub(0, 0, upper.rows(), m)?;
        Ok(Self { lower: LowerMetric::new(x, slope, weights, response)?, h })
    }

    /// The block (W, W): the metric of the lower layer alone, seen from the response.
    pub fn lower(&self) -> LowerMetric<'a, T> {
        self.lower
    }

    /// The block (C, C): the metric of the upper layer, `R ⊗ h̃h̃ᵀ`.
    pub fn upper(&self) -> UpperMetric<'a, T> {
        UpperMetric { h: self.h, response: self.lower.response() }
    }

    /// n, m, d̃, C, k.
    fn shape(&self) -> (usize, usize, usize, usize, usize) {
        let lower = &self.lower;
        let outputs = lower.response().outputs();
        (lower.samples(), lower.outputs(), lower.inputs(), outputs, self.h.cols())
    }

    /// m·d̃ + C·k.
    pub fn parameters(&self) -> usize {
        let (_, m, d, c, k) = self.shape();
        m.saturating_mul(d).saturating_add(c.saturating_mul(k))
    }

    /// The scratch of [`Self::multiply`] and [`Self::quadratic_form`]: n·(m + 2C).
    pub const fn multiply_workspace_len(n: usize, m: usize, c: usize) -> usize {
        n.saturating_mul(m.saturating_add(c).saturating_add(c))
    }

    /// `u̇_s = J_s (V_W, V_C)` into the first n·C elements of the scratch that is returned (cut in
    /// three: n·C, n·m, n·C).
    fn push<'w, B: Backend<T> + ?Sized>(
        &self,
        backend: &B,
        w: MatRef<'_, T>,
        v: MatRef<'_, T>,
        work: &'w mut [T],
    ) -> Result<(&'w mut [T], &'w mut [T]), Error> {
        let (n, m, d, c, k) = self.shape();
        check_matrix(("two layers: rows of w", "two layers: columns of w"), w, m, d)?;
        check_matrix(("two layers: rows of c", "two layers: columns of c"), v, c, k)?;
        let mut rest = take_work(work, Self::multiply_workspace_len(n, m, c))?;
        let u = carve(&mut rest, n.saturating_mul(c))?;
        let t = carve(&mut rest, n.saturating_mul(m))?;
        let lower = &self.lower;
        backend.gemm(MatMut::new(t, n, m)?, T::ZERO, T::ONE, lower.input(), w.t())?;
        lower.slopes(&mut MatMut::new(t, n, m)?);
        let hidden = MatRef::new(t, n, m)?;
        backend.gemm(MatMut::new(u, n, c)?, T::ZERO, T::ONE, hidden, lower.weights().t())?;
        backend.gemm(MatMut::new(u, n, c)?, T::ONE, T::ONE, self.h, v.t())?;
        Ok((u, t))
    }

    /// `(Out_W, Out_C) ← ḡ (V_W, V_C)` without forming ḡ: six products. Shapes: out_w, w m × d̃; out_c,
    /// v C × k. `work` as [`Self::multiply_workspace_len`].
    ///
    /// # Errors
    /// Shape, layout, workspace.
    pub fn multiply<B: Backend<T> + ?Sized>(
        &self,
        backend: &B,
        out_w: MatMut<'_, T>,
        out_c: MatMut<'_, T>,
        w: MatRef<'_, T>,
        v: MatRef<'_, T>,
        work: &mut [T],
    ) -> Result<(), Error> {
        let (n, m, d, c, k) = self.shape();
        let what = ("two layers: rows of out_w", "two layers: columns of out_w");
        check_matrix(what, out_w.rb(), m, d)?;
        let what = ("two layers: rows of out_c", "two layers: columns of out_c");
        check_matrix(what, out_c.rb(), c, k)?;
        let lower = &self.lower;
        let mean = T::ONE / T::from_usize(n);
        let (u, t) = self.push(backend, w, v, work)?;
        lower.response().apply(&mut MatMut::new(u, n, c)?);
        let u = MatRef::new(u, n, c)?;
        backend.gemm(out_c, T::ZERO, mean, u.t(), self.h)?;
        backend.gemm(MatMut::new(t, n, m)?, T::ZERO, T::ONE, u, lower.weights())?;
        lower.slopes(&mut MatMut::new(t, n, m)?);
        backend.gemm(out_w, T::ZERO, mean, MatRef::new(t, n, m)?.t(), lower.input())
    }

    /// `⟨(V_W, V_C), (V_W, V_C)⟩ = (1/n) Σ_s u̇_sᵀ R_s u̇_s ≥ 0`.
    ///
    /// # Errors
    /// Shape, layout, workspace ([`Self::multiply_workspace_len`]).
    pub fn quadratic_form<B: Backend<T> + ?Sized>(
        &self,
        backend: &B,
        w: MatRef<'_, T>,
        v: MatRef<'_, T>,
        work: &mut [T],
    ) -> Result<T, Error> {
        let (n, _, _, c, _) = self.shape();
        let (u, _) = self.push(backend, w, v, work)?;
        Ok(self.lower.response().energy(MatRef::new(u, n, c)?) / T::from_usize(n))
    }

    /// `out ← (ḡ + λI)⁻¹ g` by conjugate gradients, and the number of products spent. Shapes: out, g
    /// [`Self::parameters`] elements, W̃ first, then C̃, each row-major. `work` as
    /// [`Self::solve_workspace_len`].
    ///
    /// # Errors
    /// Shape, workspace; [`Error::Parameter`] for λ = 0 or a bad option; [`Error::NonFinite`];
    /// [`Error::NoConvergence`]; [`Error::NotPositiveDefinite`] when λ is lost in rounding.
    pub fn solve<B: Backend<T> + ?Sized>(
        &self,
        backend: &B,
        out: &mut [T],
        g: &[T],
        damping: T,
        options: Options<T>,
        work: &mut [T],
    ) -> Result<usize, Error> {
        let (n, m, d, c, k) = self.shape();
        let (first, full) = (m.saturating_mul(d), self.parameters());
        check_len("two layers: out", full, out.len())?;
        check_len("two layers: g", full, g.len())?;
        check_options(damping, options)?;
        let mut rest = take_work(work, Self::solve_workspace_len(n, m, c, full))?;
        self.check_inputs()?;
        check_finite("g", MatRef::new(g, 1, full)?)?;
        let outside = Error::Layout { what: "two layers: vector" };
        let mut buffers = Buffers::carve(&mut rest, full, full.min(1))?;
        for (r, g) in buffers.residual.iter_mut().zip(g) {
            *r = *g;
        }
        if options.preconditioner == Preconditioner::Jacobi {
            let (w, v) = buffers.inverse.split_at_mut_checked(first).ok_or(outside)?;
            self.lower.diagonal(MatMut::new(w, m, d)?)?;
            self.upper().diagonal(MatMut::new(v, c, k)?)?;
        }
        let iterations = buffers.iterate(full, damping, options, |product, direction| {
            let (out_w, out_c) = product.split_at_mut_checked(first).ok_or(outside)?;
            let (w, v) = direction.split_at_checked(first).ok_or(outside)?;
            let (out_w, out_c) = (MatMut::new(out_w, m, d)?, MatMut::new(out_c, c, k)?);
            let (w, v) = (MatRef::new(w, m, d)?, MatRef::new(v, c, k)?);
            self.multiply(backend, out_w, out_c, w, v, rest)
        })?;
        for (o, x) in out.iter_mut().zip(buffers.solution.iter()) {
            *o = *x;
        }
        Ok(iterations)
    }

    /// The scratch of [`Self::solve`] with `parameters` = m·d̃ + C·k: five vectors, three scalars, and
    /// that of the product.
    pub const fn solve_workspace_len(n: usize, m: usize, c: usize, parameters: usize) -> usize {
        parameters
            .saturating_mul(5)
            .saturating_add(3)
            .saturating_add(Self::multiply_workspace_len(n, m, c))
    }

    /// The block (W, C): `(1/n) Σ_s (D CᵀR) ⊗ x̃h̃ᵀ`, m·d̃ × C·k. `work` as
    /// [`super::layer::dense_workspace_len`] of (n, d̃).
    ///
    /// # Errors
    /// Shape, layout, workspace.
    pub fn cross<B: Backend<T> + ?Sized>(
        &self,
        backend: &B,
        mut out: MatMut<'_, T>,
        work: &mut [T],
    ) -> Result<(), Error> {
        let (n, m, d, c, k) = self.shape();
        let (rows, cols) = (m.saturating_mul(d), c.saturating_mul(k));
        check_matrix(("cross: rows of out", "cross: columns of out"), out.rb(), rows, cols)?;
        let scaled = take_work(work, dense_workspace_len(n, d))?;
        let lower = &self.lower;
        for i in 0..m {
            for j in 0..c {
                let mut x = MatMut::new(&mut *scaled, n, d)?;
                for s in 0..n {
                    let weight = lower.cross_weight(s, i, j);
                    for (o, x) in x.row_mut(s).iter_mut().zip(lower.input().row(s)) {
                        *o = weight * *x;
                    }
                }
                let target = block_mut(&mut out, (i.wrapping_mul(d), j.wrapping_mul(k)), d, k)?;
                backend.gemm(target, T::ZERO, T::ONE / T::from_usize(n), x.rb().t(), self.h)?;
            }
        }
        Ok(())
    }

    /// The dense matrix, (m·d̃ + C·k)², both triangles: for tests and small networks. `work` as
    /// [`super::layer::dense_workspace_len`] of (n, max(d̃, k)).
    ///
    /// # Errors
    /// Shape, layout, workspace.
    pub fn dense<B: Backend<T> + ?Sized>(
        &self,
        backend: &B,
        mut out: MatMut<'_, T>,
        work: &mut [T],
    ) -> Result<(), Error> {
        let (_, m, d, c, k) = self.shape();
        let (first, second) = (m.saturating_mul(d), c.saturating_mul(k));
        let full = self.parameters();
        check_matrix(("dense: rows of out", "dense: columns of out"), out.rb(), full, full)?;
        self.lower.dense(backend, block_mut(&mut out, (0, 0), first, first)?, work)?;
        self.upper().dense(backend, block_mut(&mut out, (first, first), second, second)?, work)?;
        self.cross(backend, block_mut(&mut out, (0, first), first, second)?, work)?;
        for r in 0..first {
            for q in first..full {
                let cross = out.at(r, q);
                out.set(q, r, cross);
            }
        }
        Ok(())
    }

    /// Every borrowed input is finite and every weight of the response ≥ 0.
    ///
    /// # Errors
    /// [`Error::NonFinite`] naming the argument, [`Error::Parameter`] for a negative weight.
    pub fn check_inputs(&self) -> Result<(), Error> {
        self.lower.check_inputs()?;
        check_finite("h", self.h)
    }
}
