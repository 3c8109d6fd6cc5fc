//! The rows of the ladder about pruning.

use relfisher_accuracy::ladder::{DAMPING, REMOVED};
use relfisher_core::factor::spd_inverse_workspace_len;
use relfisher_core::prune::{
    CompensateOptions, diagonal_saliency, inverse_saliency, kron_compensate,
    kron_compensate_workspace_len, kron_remove, remove, woodbury_update,
    woodbury_update_workspace_len,
};
use relfisher_core::{MatMut, MatRef, kron};

use super::ladder::{Climb, SHAPE};
use crate::{Error, Scalar};

impl<T: Scalar> Climb<'_, T> {
    /// `prune.…`.
    pub(super) fn pruning(&mut self) -> Result<(), Error> {
        let (_, m, d) = SHAPE;
        let (g, a, w) = (self.input("in.g")?, self.input("in.a")?, self.input("in.v")?);
        if self.wants("prune.obd") {
            let (mut diagonal, mut out) = (vec![T::NAN; m * d], vec![T::NAN; m * d]);
            let (g, a) = (MatRef::new(&g, m, m)?, MatRef::new(&a, d, d)?);
            kron::diagonal(MatMut::new(&mut diagonal, m, d)?, g, a)?;
            diagonal_saliency(&mut out, &w, &diagonal)?;
            self.put("prune.obd", &[m, d], out);
        }
        if self.wants("prune.obs_joint") {
            let mut left = w.clone();
            let mut kept = vec![T::ONE; m * d];
            REMOVED.iter().for_each(|q| kept[*q] = T::ZERO);
            let (factors, kept) =
                ((MatRef::new(&g, m, m)?, MatRef::new(&a, d, d)?), MatRef::new(&kept, m, d)?);
            // As far as rounding allows.
            let tolerance = T::from_f64(32.0) * T::EPSILON;
            let options = CompensateOptions { tolerance, ..CompensateOptions::default() };
            let mut work = vec![T::NAN; kron_compensate_workspace_len(m, d)];
            let (view, lambda) = (MatMut::new(&mut left, m, d)?, T::from_f64(DAMPING));
            kron_compensate(self.executor, view, kept, factors, lambda, options, &mut work)?;
            self.put("prune.obs_joint", &[m, d], left);
        }
        if self.wants_any(&["prune.obs", "prune.obs_weights"]) {
            let (g, a) = (self.damped_inverse(g, m)?, self.damped_inverse(a, d)?);
            self.by_factors((MatRef::new(&g, m, m)?, MatRef::new(&a, d, d)?), &w)?;
        }
        if self.wants_any(&["prune.woodfisher", "prune.woodfisher_weights"]) {
            self.by_gradients(w)?;
        }
        Ok(())
    }

    /// (A + λI)⁻¹.
    fn damped_inverse(&self, mut matrix: Vec<T>, n: usize) -> Result<Vec<T>, Error> {
        let mut work = vec![T::NAN; spd_inverse_workspace_len(n)];
        let view = MatMut::new(&mut matrix, n, n)?;
        self.executor.spd_inverse(view, T::from_f64(DAMPING), &mut work)?;
        Ok(matrix)
    }

    /// What follows from the inverses of both factors.
    fn by_factors(
        &mut self,
        inverses: (MatRef<'_, T>, MatRef<'_, T>),
        w: &[T],
    ) -> Result<(), Error> {
        let (_, m, d) = SHAPE;
        if self.wants("prune.obs") {
            let (mut diagonal, mut out) = (vec![T::NAN; m * d], vec![T::NAN; m * d]);
            kron::diagonal(MatMut::new(&mut diagonal, m, d)?, inverses.0, inverses.1)?;
            inverse_saliency(&mut out, w, &diagonal)?;
            self.put("prune.obs", &[m, d], out);
        }
        if self.wants("prune.obs_weights") {
            let (mut left, place) = (w.to_vec(), (REMOVED[0] / d, REMOVED[0] % d));
            kron_remove(MatMut::new(&mut left, m, d)?, inverses, place)?;
            self.put("prune.obs_weights", &[m, d], left);
        }
        Ok(())
    }

    /// What follows from the empirical Fisher matrix, one gradient after the other.
    fn by_gradients(&mut self, mut w: Vec<T>) -> Result<(), Error> {
        let (n, m, d) = SHAPE;
        let p = m * d;
        let mut inverse = vec![T::ZERO; p * p];
        inverse.iter_mut().step_by(p + 1).for_each(|x| *x = T::from_f64(1.0 / DAMPING));
        let mut work = vec![T::NAN; woodbury_update_workspace_len(p)];
        for row in self.gradients("in.delta")?.chunks_exact(p) {
            let view = MatMut::new(&mut inverse, p, p)?;
            woodbury_update(view, row, T::from_usize(n), &mut work)?;
        }
        if self.wants("prune.woodfisher") {
            self.put("prune.woodfisher", &[p, p], inverse.clone());
        }
        if self.wants("prune.woodfisher_weights") {
            for q in REMOVED {
                remove(&mut w, MatMut::new(&mut inverse, p, p)?, q)?;
            }
            self.put("prune.woodfisher_weights", &[m, d], w);
        }
        Ok(())
    }
}
