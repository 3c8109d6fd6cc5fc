//! The rows of the ladder about Kronecker products and factorisations.

use relfisher_accuracy::ladder::{DAMPING, POWER};
use relfisher_core::factor::{
    InverseRoot, NewtonSchulz, eigh_workspace_len, newton_schulz, newton_schulz_workspace_len,
    spd_inverse_workspace_len,
};
use relfisher_core::kron::{
    self, Damping, FactorDamping, KronCholesky, KronEigen, KronSum, Sign, split_damping,
};
use relfisher_core::{MatMut, MatRef};

use super::ladder::{Climb, SHAPE};
use crate::{Error, Scalar};

impl<T: Scalar> Climb<'_, T> {
    /// `kron.…`.
    pub(super) fn kronecker_products(&mut self) -> Result<(), Error> {
        let (_, m, d) = SHAPE;
        let (g, a, v) = (self.input("in.g")?, self.input("in.a")?, self.input("in.v")?);
        if self.wants("kron.apply") {
            let mut out = vec![T::NAN; m * d];
            let mut work = vec![T::NAN; kron::apply_workspace_len(m, d)];
            let (g, a) = (MatRef::new(&g, m, m)?, MatRef::new(&a, d, d)?);
            let (o, v) = (MatMut::new(&mut out, m, d)?, MatRef::new(&v, m, d)?);
            kron::apply(self.executor, o, g, a, v, &mut work)?;
            self.put("kron.apply", &[m, d], out);
        }
        self.kronecker_eigen(&g, &a, &v)?;
        for (row, damping) in
            [("kron.solve_pi", Damping::Pi), ("kron.solve_factored", Damping::Factored)]
        {
            if self.wants(row) {
                let (mut g, mut a, mut v) = (g.clone(), a.clone(), v.clone());
                let (g_view, a_view) = (MatRef::new(&g, m, m)?, MatRef::new(&a, d, d)?);
                let split = split_damping(g_view, a_view, T::from_f64(DAMPING), damping)?;
                let (g, a) = (MatMut::new(&mut g, m, m)?, MatMut::new(&mut a, d, d)?);
                let factors = KronCholesky::factor(self.executor, g, a, split)?;
                let mut work = vec![T::NAN; kron::kron_cholesky_solve_workspace_len(m, d)];
                factors.solve(self.executor, MatMut::new(&mut v, m, d)?, &mut work)?;
                self.put(row, &[m, d], v);
            }
        }
        if self.wants("kron.sum_solve") {
            let step = self.kronecker_sum(g, a, v)?;
            self.put("kron.sum_solve", &[m, d], step);
        }
        Ok(())
    }

    /// What the eigenbases of both factors give.
    fn kronecker_eigen(&mut self, g: &[T], a: &[T], v: &[T]) -> Result<(), Error> {
        let (_, m, d) = SHAPE;
        let powers = [
            ("kron.solve_exact", T::ONE),
            ("kron.inverse_root", T::HALF),
            ("kron.fractional_power", T::from_f64(POWER)),
        ];
        let rows = powers.map(|(row, _)| row);
        if !(self.wants_any(&rows) || self.wants("kron.log_determinant")) {
            return Ok(());
        }
        let (mut g, mut a) = (g.to_vec(), a.to_vec());
        let (mut s_g, mut s_a) = (vec![T::NAN; m], vec![T::NAN; d]);
        let mut work = vec![T::NAN; kron::kron_eigen_factor_workspace_len(m, d)];
        let left = (MatMut::new(&mut g, m, m)?, &mut s_g[..]);
        let right = (MatMut::new(&mut a, d, d)?, &mut s_a[..]);
        let eigen = KronEigen::factor(self.executor, left, right, &mut work)?;
        let mut work = vec![T::NAN; kron::kron_eigen_apply_workspace_len(m, d)];
        for (row, power) in powers {
            let mut v = v.to_vec();
            let view = MatMut::new(&mut v, m, d)?;
            eigen.power(self.executor, view, power, T::from_f64(DAMPING), &mut work)?;
            self.put(row, &[m, d], v);
        }
        let log_determinant = eigen.log_determinant(T::from_f64(DAMPING))?;
        self.put("kron.log_determinant", &[1], vec![log_determinant]);
        Ok(())
    }

    /// (G ⊗ A + H ⊗ B)⁻¹v.
    fn kronecker_sum(&self, mut g: Vec<T>, mut a: Vec<T>, mut v: Vec<T>) -> Result<Vec<T>, Error> {
        let (_, m, d) = SHAPE;
        let (mut h, mut b) = (self.input("in.h")?, self.input("in.b")?);
        let (mut s_g, mut s_a) = (vec![T::NAN; m], vec![T::NAN; d]);
        let left = (MatMut::new(&mut g, m, m)?, MatMut::new(&mut h, m, m)?, &mut s_g[..]);
        let right = (MatMut::new(&mut a, d, d)?, MatMut::new(&mut b, d, d)?, &mut s_a[..]);
        let none = FactorDamping { g: T::ZERO, a: T::ZERO };
        let mut work = vec![T::NAN; kron::kron_sum_factor_workspace_len(m, d)];
        let sum = KronSum::factor(self.executor, left, right, none, Sign::Plus, &mut work)?;
        let mut work = vec![T::NAN; kron::kron_sum_solve_workspace_len(m, d)];
        sum.solve(self.executor, MatMut::new(&mut v, m, d)?, &mut work)?;
        Ok(v)
    }

    /// `factor.…`.
    pub(super) fn factorisations(&mut self) -> Result<(), Error> {
        let (s, r) = (self.input("in.s")?, self.input("in.r")?);
        let n = s.len().isqrt();
        let (k, lambda) = (r.len() / n.max(1), T::from_f64(DAMPING));
        if self.wants("factor.cholesky") {
            let mut l = s.clone();
            self.executor.cholesky(MatMut::new(&mut l, n, n)?, T::ZERO)?;
            self.put("factor.cholesky", &[n, n], l);
        }
        if self.wants("factor.eigenvalues") || self.wants("factor.eigenvectors") {
            let (mut q, mut values) = (s.clone(), vec![T::NAN; n]);
            let mut work = vec![T::NAN; eigh_workspace_len(n)];
            self.executor.eigh(MatMut::new(&mut q, n, n)?, &mut values, &mut work)?;
            self.put("factor.eigenvalues", &[n], values);
            self.put("factor.eigenvectors", &[n, n], q);
        }
        if self.wants("factor.solve") {
            let (mut l, mut x) = (s.clone(), r);
            self.executor.cholesky(MatMut::new(&mut l, n, n)?, lambda)?;
            let view = MatMut::new(&mut x, n, k)?;
            self.executor.cholesky_solve(view, MatRef::new(&l, n, n)?)?;
            self.put("factor.solve", &[n, k], x);
        }
        if self.wants("factor.inverse") {
            let mut inverse = s.clone();
            let mut work = vec![T::NAN; spd_inverse_workspace_len(n)];
            self.executor.spd_inverse(MatMut::new(&mut inverse, n, n)?, lambda, &mut work)?;
            self.put("factor.inverse", &[n, n], inverse);
        }
        if self.wants("factor.inverse_fourth_root") {
            let mut root = vec![T::NAN; n * n];
            let mut work = vec![T::NAN; newton_schulz_workspace_len(n)];
            let (out, s) = (MatMut::new(&mut root, n, n)?, MatRef::new(&s, n, n)?);
            let which = InverseRoot::Fourth;
            let options = NewtonSchulz::default();
            newton_schulz(self.executor, out, s, lambda, which, options, &mut work)?;
            self.put("factor.inverse_fourth_root", &[n, n], root);
        }
        Ok(())
    }
}
