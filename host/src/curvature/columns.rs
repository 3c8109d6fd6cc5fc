//! The output derivatives that a curvature matrix is made of.

use super::problem::output_loss;
use crate::Scalar;
use crate::error::Error;
use crate::executor::Executor;
use crate::network::{Cotangents, Network, Tape, Targets};

/// Columns S_s of every sample with Σ_c S_sc S_scᵀ = the matrix Λ_s at the outputs.
#[derive(Clone, Copy)]
pub enum Columns<'a, T: Scalar> {
    /// An exact root of the loss Hessian, one column for each output: the Gauss–Newton matrix, which
    /// is the Fisher matrix with every label weighted by its probability (`type2`, KFLR).
    Type2,
    /// ∂ℓ/∂f for given labels, one column: the empirical Fisher matrix with the true ones, a
    /// Monte-Carlo estimate of the Fisher matrix with labels drawn from the model.
    Labels(Targets<'a, T>),
}

impl<T: Scalar> Columns<'_, T> {
    /// Columns of a sample.
    pub fn count(&self, network: &Network<T>) -> usize {
        match self {
            Columns::Type2 => network.outputs(),
            Columns::Labels(_) => 1,
        }
    }

    /// Writes the columns of the batch on the tape (samples `start..start + n` of the data) into the
    /// outputs of `cotangents`.
    ///
    /// # Errors
    /// Labels that do not fit the network.
    pub fn fill<E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        network: &Network<T>,
        (tape, start): (&mut Tape<T>, usize),
        cotangents: &mut Cotangents<T>,
    ) -> Result<(), Error> {
        let n = tape.batch();
        cotangents.check(network, n)?;
        match self {
            Columns::Type2 => {
                let loss = output_loss(network.loss_kind());
                for c in 0..network.outputs() {
                    loss.hessian_root(cotangents.output_mut(c, n), tape.probabilities(), c)?;
                }
            }
            Columns::Labels(targets) => {
                network.loss(exec, tape, &targets.rows(start, n)?)?;
                let mut out = cotangents.output_mut(0, n);
                for s in 0..n {
                    out.row_mut(s).copy_from_slice(tape.output_deltas().row(s));
                }
            }
        }
        Ok(())
    }
}
