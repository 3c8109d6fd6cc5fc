//! The rows of the ladder about Laplace posteriors, matrices of low rank, and exact steps of means.

use relfisher_accuracy::ladder::{DAMPING, RANK};
use relfisher_core::curvature::{
    LowRank, khatri_rao_apply, khatri_rao_apply_workspace_len, khatri_rao_gram,
    khatri_rao_gram_workspace_len, khatri_rao_transpose, khatri_rao_transpose_workspace_len,
    low_rank_power_workspace_len,
};
use relfisher_core::factor::{eigh_workspace_len, log_determinant as cholesky_log_determinant};
use relfisher_core::laplace::{
    Evidence, effective_parameters, log_determinant, posterior_variances, predictive_covariance,
    predictive_covariance_workspace_len, scale_draw,
};
use relfisher_core::optim::{DeterminantalAverage, inner_product, quadratic_length};
use relfisher_core::{MatMut, MatRef, blas, kron};

use super::ladder::{Climb, SHAPE};
use crate::{Error, Scalar};

/// Eigenvectors in columns and eigenvalues.
type Eigen<T> = (Vec<T>, Vec<T>);

impl<T: Scalar> Climb<'_, T> {
    /// `laplace.…`, `low_rank.…`.
    pub(super) fn posteriors(&mut self) -> Result<(), Error> {
        let (n, _, _) = SHAPE;
        let rows = ["log_determinant", "effective_parameters", "covariance", "predictive"];
        if rows.iter().any(|row| self.wants(&format!("laplace.{row}"))) {
            let (g, a) = (self.eigen(self.input("in.g")?)?, self.eigen(self.input("in.a")?)?);
            let values: Vec<T> = g.1.iter().flat_map(|g| a.1.iter().map(|a| *g * *a)).collect();
            let samples = n as f64;
            let determinant = log_determinant(&values, samples, DAMPING)?;
            self.put_number("laplace.log_determinant", T::from_f64(determinant));
            let effective = effective_parameters(&values, samples, DAMPING)?;
            self.put_number("laplace.effective_parameters", T::from_f64(effective));
            self.draws((&g.0, &a.0), &values)?;
            self.predictions((&g.0, &a.0), &values)?;
        }
        if self.wants("laplace.log_marginal") {
            let value = self.evidence()?;
            self.put_number("laplace.log_marginal", T::from_f64(value));
        }
        self.low_rank()
    }

    fn eigen(&self, mut matrix: Vec<T>) -> Result<Eigen<T>, Error> {
        let n = matrix.len().isqrt();
        let (mut values, mut work) = (vec![T::NAN; n], vec![T::NAN; eigh_workspace_len(n)]);
        self.executor.eigh(MatMut::new(&mut matrix, n, n)?, &mut values, &mut work)?;
        Ok((matrix, values))
    }

    /// MMᵀ, M the map from standard normal numbers to draws.
    fn draws(&mut self, (g, a): (&[T], &[T]), values: &[T]) -> Result<(), Error> {
        let (n, m, d) = SHAPE;
        let p = m * d;
        if !self.wants("laplace.covariance") {
            return Ok(());
        }
        let mut draws = vec![T::NAN; p * p];
        let mut work = vec![T::NAN; kron::apply_workspace_len(m, d)];
        let (g, a) = (MatRef::new(g, m, m)?, MatRef::new(a, d, d)?);
        for (k, draw) in draws.chunks_exact_mut(p).enumerate() {
            let mut noise = vec![T::ZERO; p];
            noise[k] = T::ONE;
            scale_draw(&mut noise, values, n as f64, DAMPING)?;
            let (to, noise) = (MatMut::new(draw, m, d)?, MatRef::new(&noise, m, d)?);
            kron::apply(self.executor, to, g, a, noise, &mut work)?;
        }
        let mut out = vec![T::NAN; p * p];
        let mut work = vec![T::NAN; blas::gram_workspace_len(p, p)];
        let (to, rows) = (MatMut::new(&mut out, p, p)?, MatRef::new(&draws, p, p)?);
        self.executor.gram(to, T::ZERO, T::ONE, rows, None, &mut work)?;
        self.put("laplace.covariance", &[p, p], out);
        Ok(())
    }

    /// Every output of the layer W̃x̃ for every sample.
    fn predictions(&mut self, (g, a): (&[T], &[T]), values: &[T]) -> Result<(), Error> {
        let (n, m, d) = SHAPE;
        if !self.wants("laplace.predictive") {
            return Ok(());
        }
        // Row c·n + s is U_Gᵀe_c: row c of U_G.
        let u: Vec<T> = g.chunks_exact(m).flat_map(|row| row.repeat(n)).collect();
        let (x, mut v) = (self.input("in.x")?, vec![T::NAN; n * d]);
        let (x, a) = (MatRef::new(&x, n, d)?, MatRef::new(a, d, d)?);
        self.executor.gemm(MatMut::new(&mut v, n, d)?, T::ZERO, T::ONE, x, a)?;
        let mut variances = vec![T::NAN; m * d];
        posterior_variances(&mut variances, values, n as f64, DAMPING)?;
        let mut out = vec![T::NAN; n * m * m];
        let mut work = vec![T::NAN; predictive_covariance_workspace_len(n, m, d)];
        let parts = (MatRef::new(&u, m * n, m)?, MatRef::new(&v, n, d)?);
        let (to, variances) = (MatMut::new(&mut out, n, m * m)?, MatRef::new(&variances, m, d)?);
        predictive_covariance(self.executor, to, T::ZERO, parts, variances, &mut work)?;
        self.put("laplace.predictive", &[n, m, m], out);
        Ok(())
    }

    /// The evidence of a linear model from its most likely parameters: the Laplace approximation, which
    /// is exact here.
    fn evidence(&self) -> Result<f64, Error> {
        let (n, m, d) = SHAPE;
        let x = self.input("in.x")?;
        let y: Vec<T> = self.input("in.delta")?.into_iter().step_by(m).collect();
        let (x, rows) = (MatRef::new(&x, n, d)?, MatRef::new(&y, n, 1)?);
        let mut curvature = self.mean_gram(x)?;
        let (values, mut theta) = (self.eigen(curvature.clone())?.1, vec![T::NAN; d]);
        // (nC + τI)θ = X̃ᵀy, in units of n.
        let share = T::ONE / T::from_usize(n);
        self.executor.gemm(MatMut::new(&mut theta, d, 1)?, T::ZERO, share, x.t(), rows)?;
        let l = MatMut::new(&mut curvature, d, d)?;
        self.executor.cholesky(l, T::from_f64(DAMPING) * share)?;
        let (l, view) = (MatRef::new(&curvature, d, d)?, MatMut::new(&mut theta, d, 1)?);
        self.executor.cholesky_solve(view, l)?;
        let mut residual = y.clone();
        let (to, fit) = (MatMut::new(&mut residual, n, 1)?, MatRef::new(&theta, d, 1)?);
        self.executor.gemm(to, T::ONE, -T::ONE, x, fit)?;
        let square = |x: &[T]| x.iter().map(|x| x.to_f64() * x.to_f64()).sum::<f64>();
        let terms = Evidence {
            log_likelihood: -0.5 * (square(&residual) + n as f64 * std::f64::consts::TAU.ln()),
            squared_norm: square(&theta),
            parameters: d,
        };
        let determinant = log_determinant(&values, n as f64, DAMPING)?;
        Ok(terms.log_marginal(DAMPING, determinant)?)
    }

    /// (1/n) XᵀX.
    fn mean_gram(&self, x: MatRef<'_, T>) -> Result<Vec<T>, Error> {
        let (n, d) = (x.rows(), x.cols());
        let (mut out, share) = (vec![T::NAN; d * d], T::ONE / T::from_usize(SHAPE.0));
        let mut work = vec![T::NAN; blas::gram_workspace_len(n, d)];
        self.executor.gram(MatMut::new(&mut out, d, d)?, T::ZERO, share, x, None, &mut work)?;
        Ok(out)
    }

    fn low_rank(&mut self) -> Result<(), Error> {
        let (_, m, d) = SHAPE;
        let (q, a, v) = (self.input("in.q_a")?, self.input("in.a")?, self.input("in.v")?);
        let values: Vec<T> = a.iter().step_by(d + 1).take(RANK).copied().collect();
        let c = LowRank { vectors: MatRef::new(&q, RANK, d)?, values: &values };
        let lambda = T::from_f64(DAMPING);
        let mut work = vec![T::NAN; low_rank_power_workspace_len(m, RANK)];
        for (row, power) in [("low_rank.step", T::ONE), ("low_rank.root", T::HALF)] {
            if self.wants(row) {
                let mut rows = v.clone();
                let view = MatMut::new(&mut rows, m, d)?;
                c.power(self.executor, view, power, lambda, &mut work)?;
                self.put(row, &[m, d], rows);
            }
        }
        self.put_number("low_rank.log_determinant", c.log_determinant(lambda)?);
        Ok(())
    }

    /// `step.…`.
    pub(super) fn steps(&mut self) -> Result<(), Error> {
        let (n, m, d) = SHAPE;
        let (x, v) = (self.input("in.x")?, self.input("in.v")?);
        if self.wants_any(&["step.sample_space", "step.length"]) {
            let delta = self.input("in.delta")?;
            let jacobian = (MatRef::new(&delta, n, m)?, MatRef::new(&x, n, d)?);
            self.sample_space(jacobian, MatRef::new(&v, m, d)?)?;
        }
        if self.wants("step.determinantal") {
            let step = self.workers(&x, &v[..d])?;
            self.put("step.determinantal", &[d], step);
        }
        Ok(())
    }

    /// (v − Jᵀ(nλI + JJᵀ)⁻¹Jv)/λ, and how far the model goes along v.
    fn sample_space(
        &mut self,
        (delta, x): (MatRef<'_, T>, MatRef<'_, T>),
        v: MatRef<'_, T>,
    ) -> Result<(), Error> {
        let (n, m, d) = SHAPE;
        let (lambda, count) = (T::from_f64(DAMPING), T::from_usize(n));
        let (mut gram, mut along) = (vec![T::NAN; n * n], vec![T::NAN; n]);
        let mut work = vec![T::NAN; khatri_rao_gram_workspace_len(n, 1)];
        let out = MatMut::new(&mut gram, n, n)?;
        khatri_rao_gram(self.executor, out, T::ZERO, delta, x, &mut work)?;
        let mut work = vec![T::NAN; khatri_rao_apply_workspace_len(n, m)];
        khatri_rao_apply(self.executor, &mut along, T::ZERO, delta, x, v, &mut work)?;
        let mut step: Vec<T> = (0..m).flat_map(|i| v.row(i).iter().copied()).collect();
        let square = inner_product(&step, &step)?;
        let curved = inner_product(&along, &along)? / count + lambda * square;
        self.put_number("step.length", quadratic_length(square, curved));
        self.executor.cholesky(MatMut::new(&mut gram, n, n)?, count * lambda)?;
        let l = MatRef::new(&gram, n, n)?;
        self.executor.cholesky_solve(MatMut::new(&mut along, n, 1)?, l)?;
        along.iter_mut().for_each(|x| *x = -*x);
        let mut work = vec![T::NAN; khatri_rao_transpose_workspace_len(n, m)];
        let out = MatMut::new(&mut step, m, d)?;
        khatri_rao_transpose(self.executor, out, T::ONE, delta, x, &along, &mut work)?;
        if self.wants("step.sample_space") {
            step.iter_mut().for_each(|x| *x /= lambda);
            self.put("step.sample_space", &[m, d], step);
        }
        Ok(())
    }

    /// The determinantal average over every subset of the samples, each with twice its weight: as if all
    /// outcomes of n fair coins had come up once.
    fn workers(&self, x: &[T], v: &[T]) -> Result<Vec<T>, Error> {
        let (n, _, d) = SHAPE;
        let mut sum = vec![T::NAN; d];
        let mut average = DeterminantalAverage::new(&mut sum);
        for subset in 0..1_usize << n {
            let chosen = x.chunks_exact(d).enumerate().filter(|(s, _)| subset >> s & 1 == 1);
            let rows: Vec<T> = chosen.flat_map(|(_, x)| x.iter().copied()).collect();
            let (count, two) = (rows.len() / d, T::ONE + T::ONE);
            let mut h = self.mean_gram(MatRef::new(&rows, count, d)?)?;
            h.iter_mut().for_each(|x| *x *= two);
            self.executor.cholesky(MatMut::new(&mut h, d, d)?, T::from_f64(DAMPING))?;
            let (l, mut step) = (MatRef::new(&h, d, d)?, v.to_vec());
            self.executor.cholesky_solve(MatMut::new(&mut step, d, 1)?, l)?;
            average.add(&step, cholesky_log_determinant(l)?.to_f64())?;
        }
        average.finish()?;
        Ok(sum)
    }
}
