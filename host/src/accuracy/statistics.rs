//! The rows of the ladder about statistics of gradients, subspaces and spectra.

use relfisher_accuracy::ladder::{DEVIATION, RANK};
use relfisher_core::curvature::{
    khatri_rao_apply, khatri_rao_apply_workspace_len, khatri_rao_transpose,
    khatri_rao_transpose_workspace_len,
};
use relfisher_core::stats::{
    Frobenius, GradientNoise, Lanczos, Step, cosine, gaussian_density, lanczos_quadrature,
    lanczos_workspace_len, outer_square_norms, subspace_overlap, subspace_share,
};
use relfisher_core::{MatMut, MatRef, optim};

use super::ladder::{Climb, SHAPE};
use crate::{Error, Scalar};

impl<T: Scalar> Climb<'_, T> {
    /// `stats.…`.
    pub(super) fn statistics(&mut self) -> Result<(), Error> {
        self.noise()?;
        self.subspaces()?;
        self.spectrum()
    }

    fn noise(&mut self) -> Result<(), Error> {
        let (n, m, d) = SHAPE;
        let (delta, x) = (self.input("in.drift")?, self.input("in.x")?);
        let (delta, x) = (MatRef::new(&delta, n, m)?, MatRef::new(&x, n, d)?);
        let (mut squares, mut products) = (vec![T::NAN; n], vec![T::NAN; n]);
        outer_square_norms(&mut squares, T::ZERO, delta, x)?;
        let mut mean = vec![T::NAN; m * d];
        let share = vec![T::ONE / T::from_usize(n); n];
        let mut work = vec![T::NAN; khatri_rao_transpose_workspace_len(n, m)];
        let out = MatMut::new(&mut mean, m, d)?;
        khatri_rao_transpose(self.executor, out, T::ZERO, delta, x, &share, &mut work)?;
        let mut work = vec![T::NAN; khatri_rao_apply_workspace_len(n, m)];
        let g = MatRef::new(&mean, m, d)?;
        khatri_rao_apply(self.executor, &mut products, T::ZERO, delta, x, g, &mut work)?;
        let length = optim::inner_product(&mean, &mean)?;
        let noise = GradientNoise::new(&squares, &products, length)?;
        self.put_number("stats.mean_norm", noise.mean_norm);
        self.put_number("stats.second_moment", noise.second_moment);
        self.put_number("stats.variance", noise.variance);
        self.put_number("stats.signal", noise.signal);
        self.put_number("stats.noise_scale", noise.noise_scale());
        self.put_number("stats.signal_to_noise", noise.signal_to_noise(n));
        self.put_number("stats.alignment", noise.alignment);
        for (row, data) in [("stats.square_norms", squares), ("stats.products", products)] {
            if self.wants(row) {
                self.put(row, &[n], data);
            }
        }
        Ok(())
    }

    fn subspaces(&mut self) -> Result<(), Error> {
        let (_, _, d) = SHAPE;
        let (v, u, other) = (self.input("in.v")?, self.input("in.q_a")?, self.input("in.q_b")?);
        self.put_number("stats.cosine", cosine(&v[..d], &v[d..2 * d])?);
        let (u, other) = (MatRef::new(&u, RANK, d)?, MatRef::new(&other, RANK, d)?);
        self.put_number("stats.subspace_share", subspace_share(u, &v[..d])?);
        self.put_number("stats.subspace_overlap", subspace_overlap(u, other)?);
        let mut sums = Frobenius::default();
        sums.add(&self.input("in.a")?, &self.input("in.b")?)?;
        self.put_number("stats.frobenius_error", sums.relative_error());
        self.put_number("stats.frobenius_cosine", sums.cosine());
        Ok(())
    }

    /// As many steps of Lanczos as S has rows: the quadrature is exact.
    fn spectrum(&mut self) -> Result<(), Error> {
        if !self.wants_any(&["stats.quadrature", "stats.density"]) {
            return Ok(());
        }
        let (s, grid) = (self.input("in.s")?, self.input("in.grid")?);
        let n = s.len().isqrt();
        let mut vector: Vec<T> = self.input("in.r")?.into_iter().step_by(3).collect();
        let (mut basis, mut alpha) = (vec![T::NAN; (n + 1) * n], vec![T::NAN; n]);
        let (mut beta, mut work) = (vec![T::NAN; n], vec![T::NAN; lanczos_workspace_len(n, 0)]);
        let (basis, none) = (MatMut::new(&mut basis, n + 1, n)?, MatRef::new(&[], 0, n)?);
        let mut lanczos = Lanczos::new(basis, &mut alpha, &mut beta, none, T::ZERO, &mut work)?;
        let mut step = lanczos.start(self.executor, &vector)?;
        while step == Step::Continue {
            let (out, next) = (MatMut::new(&mut vector, n, 1)?, lanczos.next_vector());
            let (s, next) = (MatRef::new(&s, n, n)?, MatRef::new(next, n, 1)?);
            self.executor.gemm(out, T::ZERO, T::ONE, s, next)?;
            step = lanczos.advance(self.executor, &vector)?;
        }
        let k = lanczos.len();
        let (mut nodes, mut weights) = (vec![T::NAN; k], vec![T::NAN; k]);
        let couplings = lanczos.beta().get(..k.saturating_sub(1)).unwrap_or(&[]);
        let mut work = vec![T::NAN; k];
        lanczos_quadrature(&mut nodes, &mut weights, lanczos.alpha(), couplings, &mut work)?;
        let log = |(t, w): (&T, &T)| *w * relfisher_core::Real::ln(*t);
        let sum = nodes.iter().zip(&weights).map(log).fold(T::ZERO, |sum, x| sum + x);
        self.put_number("stats.quadrature", sum);
        if self.wants("stats.density") {
            let mut density = vec![T::NAN; grid.len()];
            let sigma = T::from_f64(DEVIATION);
            gaussian_density(&mut density, &grid, &nodes, &weights, sigma)?;
            self.put("stats.density", &[grid.len()], density);
        }
        Ok(())
    }
}
