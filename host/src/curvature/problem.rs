//! A network with the data that its curvature is measured on.

use relfisher_core::curvature::OutputLoss;
use relfisher_core::kron::{packed_index, packed_len};
use relfisher_core::{MatMut, MatRef};

use super::factors::Site;
use super::parameter_rows::square_norms;
use crate::Scalar;
use crate::error::Error;
use crate::executor::Executor;
use crate::network::{Cotangents, Loss, Mode, Network, Parameters, Tape, Targets};
use crate::scratch::grown;

/// A network, its parameters and samples.
#[derive(Clone, Copy)]
pub struct Problem<'a, T: Scalar> {
    /// Runs the work.
    pub executor: &'a dyn Executor<T>,
    /// The network.
    pub network: &'a Network<T>,
    /// Its parameters.
    pub parameters: &'a Parameters<T>,
    /// The inputs (N × d).
    pub features: MatRef<'a, T>,
    /// What the outputs should have been; some quantities need it.
    pub targets: Option<Targets<'a, T>>,
    /// Labels drawn from the model, for Monte-Carlo estimates.
    pub labels: Option<Targets<'a, T>>,
    /// The most samples of a batch; fewer where the values of so many would take more than 256 MiB.
    pub chunk: usize,
    /// Told how far long work has come.
    pub watch: Option<Watch<'a>>,
}

/// Told how many `samples` or `products` (the second argument) are done.
pub type Watch<'a> = &'a (dyn Fn(usize, &'static str) + Sync);

/// Bytes that the values of a batch, and what is computed from them, should take at most.
pub(super) const BATCH_BYTES: usize = 256 << 20;

/// What a forward and a backward pass over the data give.
#[derive(Clone, Debug, Default)]
pub struct Evaluation<T> {
    /// The mean loss.
    pub loss: f64,
    /// The loss of each sample.
    pub losses: Vec<T>,
    /// The outputs (N × C).
    pub outputs: Vec<T>,
    /// The gradient of the mean loss; flat, as the parameters.
    pub gradient: Vec<T>,
    /// The squared length of each sample's gradient, for every block.
    pub square_norms: Vec<Vec<T>>,
}

/// The loss as the formulas of the core know it.
pub(crate) fn output_loss<T: Scalar>(loss: Loss) -> OutputLoss<T> {
    match loss {
        Loss::SoftmaxCrossEntropy => OutputLoss::SoftmaxCrossEntropy,
        Loss::Mse { scale } => OutputLoss::Mse { scale: T::from_f64(scale) },
        Loss::BinaryCrossEntropy => OutputLoss::BinaryCrossEntropy,
    }
}

/// `out ← (1/n) Σ_s Λ_s` (C × C): the mean Hessian of the loss at the outputs of the batch on the tape.
///
/// # Errors
/// Probabilities that are not finite.
pub(crate) fn mean_loss_hessian<T: Scalar>(
    network: &Network<T>,
    tape: &Tape<T>,
    out: &mut [T],
    packed: &mut Vec<T>,
) -> Result<(), Error> {
    let (n, c) = (tape.batch(), network.outputs());
    let share = T::ONE / T::from_usize(n);
    if network.loss_kind() != Loss::SoftmaxCrossEntropy {
        // Diagonal: Λ1 says it all, and n × C numbers are enough, where C may be many.
        let (ones, diagonals) = grown(packed, 2 * n * c).split_at_mut(n * c);
        ones.fill(T::ONE);
        let ones = MatRef::new(ones, n, c)?;
        let view = MatMut::new(&mut *diagonals, n, c)?;
        output_loss(network.loss_kind()).hessian_apply(view, tape.probabilities(), ones)?;
        out.fill(T::ZERO);
        for i in 0..c {
            let terms = diagonals.chunks_exact(c).map(|sample| sample[i]);
            out[i * c + i] = terms.fold(T::ZERO, |sum, x| sum + share * x);
        }
        return Ok(());
    }
    let width = packed_len(c);
    let packed = grown(packed, n * width);
    let view = MatMut::new(&mut *packed, n, width)?;
    output_loss(network.loss_kind()).hessian_packed(view, tape.probabilities())?;
    for i in 0..c {
        for j in 0..=i {
            let at = packed_index(i, j);
            let terms = packed.chunks_exact(width).map(|sample| sample[at]);
            let mean = terms.fold(T::ZERO, |sum, x| sum + share * x);
            (out[i * c + j], out[j * c + i]) = (mean, mean);
        }
    }
    Ok(())
}

/// What is done with a batch: the tape after its forward pass, the first sample, their number.
pub type BatchBody<'b, T> = dyn FnMut(&mut Tape<T>, usize, usize) -> Result<(), Error> + 'b;

impl<'a, T: Scalar> Problem<'a, T> {
    /// The number N of samples.
    pub fn samples(&self) -> usize {
        self.features.rows()
    }

    /// A tape for one batch.
    pub fn tape(&self) -> Tape<T> {
        Tape::new(self.network, self.chunk.min(self.samples()))
    }

    /// The elements that the values of one sample take in passes with so many `columns`.
    pub(crate) fn sample_len(&self, columns: usize) -> usize {
        Tape::required_len(self.network, 1).saturating_add(Cotangents::required_len(
            self.network,
            1,
            columns,
        ))
    }

    /// The elements of the derivatives of one sample with respect to the parameters of one block, where
    /// they have to be formed: of layers that positions share.
    pub(super) fn rows_len(&self, columns: usize) -> usize {
        let shared = self.network.blocks().iter().filter(|block| !block.is_dense());
        shared.map(|block| block.len().saturating_mul(columns)).max().unwrap_or(0)
    }

    /// The same problem with batches for which `each` elements for every sample are not too many.
    pub(crate) fn in_batches_of(&self, each: usize) -> Self {
        let most = BATCH_BYTES / each.max(1).saturating_mul(size_of::<T>());
        Self { chunk: most.clamp(1, self.chunk.max(1)).min(self.samples().max(1)), ..*self }
    }

    /// The targets.
    ///
    /// # Errors
    /// None were given: names the quantity that needs them.
    pub fn need_targets(&self, quantity: &str) -> Result<Targets<'a, T>, Error> {
        self.targets.ok_or_else(|| {
            Error::input("", quantity, "needs the targets of the samples", "give --targets y.npy")
        })
    }

    /// Calls `body(tape, start, n)` for every batch after its forward pass.
    ///
    /// # Errors
    /// No samples, features of another width, outputs that are not finite, or an error of `body`.
    pub fn for_each_batch(
        &self,
        tape: &mut Tape<T>,
        body: &mut BatchBody<'_, T>,
    ) -> Result<(), Error> {
        let samples = self.samples();
        if samples == 0 {
            return Err(Error::input("", "inputs", "no samples", "give at least one"));
        }
        let (mut start, mut indices) = (0, Vec::new());
        while start < samples {
            let n = tape.capacity().clamp(1, samples - start);
            indices.clear();
            indices.extend(start..start + n);
            tape.gather(self.features, &indices)?;
            self.network.forward(self.executor, self.parameters, Mode::Inference, tape)?;
            self.check_values(tape, start)?;
            body(tape, start, n)?;
            start += n;
            if let Some(watch) = self.watch {
                watch(start, "samples");
            }
        }
        Ok(())
    }

    /// Refuses values that are not finite, by the first layer that gave them.
    fn check_values(&self, tape: &Tape<T>, start: usize) -> Result<(), Error> {
        let Some((sample, layer)) = self.network.first_not_finite(tape) else { return Ok(()) };
        let wider = if T::NAME == "f32" { ", or use --dtype f64" } else { "" };
        Err(Error::divergence_with(
            layer,
            format_args!("its output for sample {} is not finite", start + sample),
            format!("check the weights and the inputs{wider}"),
        ))
    }

    /// Loss, outputs and gradient.
    ///
    /// # Errors
    /// No targets, or those of the passes.
    pub fn evaluate(&self) -> Result<Evaluation<T>, Error> {
        let targets = self.need_targets("grad")?;
        let count = self.network.parameter_count();
        let mut out = Evaluation {
            gradient: vec![T::ZERO; count],
            square_norms: vec![Vec::new(); self.network.blocks().len()],
            ..Evaluation::default()
        };
        let problem = self.in_batches_of(self.sample_len(0).saturating_add(self.rows_len(1)));
        let (mut tape, mut batch) = (problem.tape(), vec![T::ZERO; count]);
        let (exec, network, total) = (self.executor, self.network, self.samples());
        problem.for_each_batch(&mut tape, &mut |tape, start, n| {
            let targets = targets.rows(start, n)?;
            for s in 0..n {
                out.outputs.extend_from_slice(tape.logits().row(s));
            }
            out.losses.extend(network.sample_losses(tape, &targets)?);
            out.loss += network.loss(exec, tape, &targets)?.mean * n as f64 / total as f64;
            network.backward(exec, self.parameters, tape, Some(&mut batch))?;
            let share = T::from_usize(n) / T::from_usize(total);
            out.gradient.iter_mut().zip(&batch).for_each(|(g, b)| *g += share * *b);
            for (block, norms) in out.square_norms.iter_mut().enumerate() {
                square_norms(exec, Site { network, tape, block }, norms)?;
            }
            Ok(())
        })?;
        Ok(out)
    }
}
