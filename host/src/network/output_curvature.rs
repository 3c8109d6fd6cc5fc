//! The curvature of every sample's loss with respect to the output of every layer, by the recursion
//! 𝓗 ← B Wᵀ 𝓗 W B + D (A. Botev, H. Ritter, D. Barber, *Practical Gauss–Newton optimisation for
//! deep learning*, ICML 2017, eq. 6 and 8), generalised to every node: 𝓗 ← Jᵀ𝓗J, J the node's
//! Jacobian, plus diag(f″(t) ∘ ∂ℓ/∂a) at an activation.

use relfisher_core::blas::gram_workspace_len;
use relfisher_core::metric::neuron::Activation;
use relfisher_core::{MatMut, MatRef};

use super::block::cast_activation;
use super::compile::{Network, Node, Op};
use super::parameters::Parameters;
use super::tape::Tape;
use crate::executor::Executor;
use crate::scratch::grown;
use crate::{Error, Scalar, vectorised};

/// Rows that are transposed at once: a cache line or two of the columns that they come from.
const TURNED: usize = 16;

/// Which second derivatives of the activations count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curvature {
    /// None: the generalised Gauss–Newton matrix.
    GaussNewton,
    /// All of them: the Hessian.
    Hessian,
}

/// The state of the recursion: 𝓗 of n samples and, for the Hessian, ∂ℓ/∂(output).
#[derive(Clone, Debug, Default)]
pub struct OutputCurvature<T> {
    /// Element (i, j) of sample s at (i·n + s)·q + j, q the elements of the place.
    hessians: Vec<T>,
    deltas: Vec<T>,
    other: Vec<T>,
    half: Vec<T>,
    scratch: Vec<T>,
}

/// Receives the block and its 𝓗: element (i, j) of sample s at (i·n + s)·q + j, q = T·m.
pub type OutputVisitor<'a, T> = dyn FnMut(usize, &[T]) -> Result<(), Error> + 'a;

impl<T: Scalar> Network<T> {
    /// The elements that [`Network::output_curvature`] needs at once for n samples.
    pub fn output_curvature_len(&self, n: usize) -> usize {
        let sides = self.nodes.iter().filter(|node| self.places[node.output].slot.is_some());
        let square = |node: &Node<T>| {
            let to = self.places[node.output].len();
            let from = self.places[node.input];
            let from = if from.slot.is_some() { from.len() } else { 0 };
            to.max(from).saturating_mul(to)
        };
        sides.map(square).max().unwrap_or(0).saturating_mul(n).saturating_mul(2)
    }

    /// Calls `visit` for every block, the last one first, with the curvature of every sample's loss
    /// with respect to the block's output. `root` is the loss Hessian Λ_s of every sample at the
    /// outputs (n × C·C, row-major), and the output deltas ∂ℓ/∂f are on the tape
    /// ([`Network::loss`]) for [`Curvature::Hessian`].
    ///
    /// The statistics of a batch normalisation count as constants.
    ///
    /// # Errors
    /// Arguments of another network, or an error of `visit`.
    pub fn output_curvature<E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        (parameters, tape): (&Parameters<T>, &Tape<T>),
        (kind, root): (Curvature, MatRef<'_, T>),
        state: &mut OutputCurvature<T>,
        visit: &mut OutputVisitor<'_, T>,
    ) -> Result<(), Error> {
        parameters.check(self)?;
        self.check_tape(tape)?;
        let (n, c) = (tape.batch, self.outputs());
        self.check_root(root.rows() == n && root.cols() == c * c && root.rows_contiguous())?;
        let hessians = grown(&mut state.hessians, n * c * c);
        for (i, rows) in hessians.chunks_exact_mut((n * c).max(1)).enumerate() {
            for (s, row) in rows.chunks_exact_mut(c).enumerate() {
                row.copy_from_slice(&root.row(s)[i * c..(i + 1) * c]);
            }
        }
        let deltas = grown(&mut state.deltas, n * c);
        deltas.copy_from_slice(tape.deltas.output(n).data().get(..n * c).unwrap_or(&[]));
        for node in self.nodes.iter().rev() {
            if self.places[node.output].slot.is_none() {
                break;
            }
            self.curve_through(exec, node, (parameters, tape), kind, state)
                .and_then(|block| match block {
                    Some(block) => {
                        let q = self.places[node.output].len();
                        visit(block, &state.hessians[..n * q * q])?;
                        self.curve_back(exec, node, (parameters, tape), kind, state)
                    }
                    None => Ok(()),
                })
                .map_err(|e| self.at_node(node, e))?;
        }
        Ok(())
    }

    fn check_root(&self, fits: bool) -> Result<(), Error> {
        if fits {
            return Ok(());
        }
        let problem = format!("not a square of {} for each sample", self.outputs());
        Err(Error::input("", "loss Hessian", problem, "give one that fits the outputs"))
    }

    /// A node without parameters changes the state; of one with parameters the block comes back.
    fn curve_through<E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        node: &Node<T>,
        context: (&Parameters<T>, &Tape<T>),
        kind: Curvature,
        state: &mut OutputCurvature<T>,
    ) -> Result<Option<usize>, Error> {
        if let Some(block) = node.op.block() {
            return Ok(Some(block));
        }
        match node.op {
            Op::Activation(f) => self.bend_curvature(exec, node, context.1, (f, kind), state)?,
            _ => self.curve_back(exec, node, context, kind, state)?,
        }
        Ok(None)
    }

    /// 𝓗 ← B𝓗B + D.
    fn bend_curvature<E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        node: &Node<T>,
        tape: &Tape<T>,
        (f, kind): (Activation<f64>, Curvature),
        state: &mut OutputCurvature<T>,
    ) -> Result<(), Error> {
        let (n, q) = (tape.batch, self.places[node.output].len());
        let hessians = &mut state.hessians[..n * q * q];
        // Columns of every row: the derivative of the second index.
        self.pull_activation(exec, (tape, node.input), f, hessians)?;
        // The derivative of the first index.
        let place = self.places[node.input];
        let t = tape.rows(node.input);
        let slopes = grown(&mut state.other, n * q);
        slopes.fill(T::ONE);
        self.pull_activation(exec, (tape, node.input), f, slopes)?;
        let scales = &*slopes;
        exec.for_each_part(hessians, n * q, 0, &|i, rows, _| {
            for (s, row) in rows.chunks_exact_mut(q).enumerate() {
                let slope = scales[s * q + i];
                vectorised!(row.iter_mut().for_each(|h| *h *= slope));
            }
            Ok(())
        })?;
        let curved = !matches!(f, Activation::Relu { .. } | Activation::Linear);
        let deltas = &mut state.deltas[..n * q];
        if kind == Curvature::Hessian && curved {
            let bends = slopes;
            for s in 0..n * place.positions {
                let out = &mut bends[s * place.cols..(s + 1) * place.cols];
                cast_activation::<T>(f).second_derivative_slice(out, t.row(s))?;
            }
            for i in 0..q {
                for s in 0..n {
                    hessians[(i * n + s) * q + i] += bends[s * q + i] * deltas[s * q + i];
                }
            }
        }
        if kind == Curvature::Hessian {
            self.pull_activation(exec, (tape, node.input), f, deltas)?;
        }
        Ok(())
    }

    /// 𝓗 ← Jᵀ𝓗J: the transposed Jacobian of the rows, then of the columns.
    fn curve_back<E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        node: &Node<T>,
        (parameters, tape): (&Parameters<T>, &Tape<T>),
        kind: Curvature,
        state: &mut OutputCurvature<T>,
    ) -> Result<(), Error> {
        let (from, to) = (self.places[node.input], self.places[node.output]);
        if from.slot.is_none() {
            return Ok(());
        }
        let (n, p, q) = (tape.batch, from.len(), to.len());
        let w = node.op.block().map(|b| &parameters.values[self.blocks[b].range()]);
        let OutputCurvature { hessians, deltas, other, scratch, .. } = state;
        let half = grown(other, n * p * q);
        let rows = (&hessians[..n * q * q], n);
        self.pull_node(exec, node, tape, (&mut *half, T::ZERO), rows, w, scratch)?;
        // (q, n, p) → (p, n, q), in runs of rows that read whole cache lines.
        let turned = grown(hessians, n * p * p.max(q));
        exec.for_each_part(&mut turned[..n * p * q], TURNED * n * q, 0, &|run, rows, _| {
            let count = rows.len() / (n * q);
            for (row, from) in half.chunks_exact(p).enumerate() {
                let (i, s) = (row / n, row % n);
                let from = &from[run * TURNED..run * TURNED + count];
                for (k, &x) in from.iter().enumerate() {
                    rows[(k * n + s) * q + i] = x;
                }
            }
            Ok(())
        })?;
        let out = grown(other, n * p * p);
        let rows = (&turned[..n * p * q], n);
        self.pull_node(exec, node, tape, (&mut *out, T::ZERO), rows, w, scratch)?;
        std::mem::swap(hessians, other);
        if kind == Curvature::Hessian {
            let previous = grown(other, n * p);
            let rows = (&deltas[..n * q], n);
            self.pull_node(exec, node, tape, (&mut *previous, T::ZERO), rows, w, scratch)?;
            grown(deltas, n * p).copy_from_slice(previous);
        }
        Ok(())
    }

    /// The averaged recursion of KFRA: the mean curvature H̄ of the outputs (C × C, row-major) goes
    /// back as Wᵀ H̄ W ∘ E[b bᵀ], b = f′(t) (Botev et al. 2017, eq. 23); a maximum pool, whose
    /// Jacobian differs from sample to sample, is averaged over the batch. Calls `visit` for every
    /// block with H̄ of its output (T·m × T·m).
    ///
    /// # Errors
    /// As [`Network::output_curvature`].
    pub fn averaged_curvature<E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        (parameters, tape): (&Parameters<T>, &Tape<T>),
        root: &[T],
        state: &mut OutputCurvature<T>,
        visit: &mut OutputVisitor<'_, T>,
    ) -> Result<(), Error> {
        parameters.check(self)?;
        self.check_tape(tape)?;
        self.check_root(root.len() == self.outputs() * self.outputs())?;
        grown(&mut state.hessians, root.len()).copy_from_slice(root);
        for node in self.nodes.iter().rev() {
            if self.places[node.output].slot.is_none() {
                break;
            }
            let q = self.places[node.output].len();
            if let Some(block) = node.op.block() {
                visit(block, &state.hessians[..q * q])?;
            }
            self.average_back(exec, node, (parameters, tape), state)
                .map_err(|e| self.at_node(node, e))?;
        }
        Ok(())
    }

    fn average_back<E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        node: &Node<T>,
        (parameters, tape): (&Parameters<T>, &Tape<T>),
        state: &mut OutputCurvature<T>,
    ) -> Result<(), Error> {
        let (from, to) = (self.places[node.input], self.places[node.output]);
        if from.slot.is_none() {
            return Ok(());
        }
        let (n, p, q) = (tape.batch, from.len(), to.len());
        match node.op {
            Op::Activation(f) => return self.average_bend(exec, (tape, node.input), f, q, state),
            Op::Linear { block } if to.positions == 1 => {
                // The same Jacobian for every sample: two products, nothing to transpose.
                let block = &self.blocks[block];
                let w = block.matrix(&parameters.values)?.sub(0, 0, q, p)?;
                let OutputCurvature { hessians, other, half, .. } = state;
                let (zero, one) = (T::ZERO, T::ONE);
                let half = grown(half, q * p);
                let above = MatRef::new(&hessians[..q * q], q, q)?;
                exec.gemm(MatMut::new(&mut *half, q, p)?, zero, one, above, w)?;
                let out = MatMut::new(grown(other, p * p), p, p)?;
                exec.gemm(out, zero, one, w.t(), MatRef::new(half, q, p)?)?;
                std::mem::swap(hessians, other);
                return Ok(());
            }
            _ => {}
        }
        let OutputCurvature { hessians, other, half, deltas, scratch } = state;
        let w = node.op.block().map(|b| &parameters.values[self.blocks[b].range()]);
        // Every sample has the same Jacobian, but for a maximum pool.
        let samples = if matches!(node.op, Op::MaxPool { .. }) { n } else { 1 };
        let share = T::ONE / T::from_usize(samples);
        // Nothing else uses `deltas` in this recursion.
        let total = grown(deltas, p * p);
        total.fill(T::ZERO);
        let buffer = grown(half, 2 * p * q + p * p);
        let (half, buffer) = buffer.split_at_mut(p * q);
        let (turned, out) = buffer.split_at_mut(p * q);
        for s in 0..samples {
            let pull = |out: &mut [T], rows: &[T], scratch: &mut Vec<T>| match node.op {
                Op::MaxPool { index, .. } => {
                    self.pull_maximum((tape, index, s), out, rows, (p, q));
                    Ok(())
                }
                _ => self.pull_node(exec, node, tape, (out, T::ZERO), (rows, 1), w, scratch),
            };
            pull(half, &hessians[..q * q], scratch)?;
            for (j, row) in turned.chunks_exact_mut(q).enumerate() {
                row.iter_mut().enumerate().for_each(|(i, x)| *x = half[i * p + j]);
            }
            pull(out, turned, scratch)?;
            total.iter_mut().zip(&*out).for_each(|(t, x)| *t += share * *x);
        }
        grown(other, p * p).copy_from_slice(total);
        std::mem::swap(hessians, other);
        Ok(())
    }

    /// H̄ ← H̄ ∘ E[b bᵀ].
    fn average_bend<E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        (tape, place): (&Tape<T>, usize),
        f: Activation<f64>,
        q: usize,
        state: &mut OutputCurvature<T>,
    ) -> Result<(), Error> {
        let n = tape.batch;
        let OutputCurvature { hessians, other, half, scratch, .. } = state;
        let slopes = grown(other, n * q);
        slopes.fill(T::ONE);
        self.pull_activation(exec, (tape, place), f, slopes)?;
        let moments = grown(half, q * q);
        let (b, mean) = (MatRef::new(slopes, n, q)?, T::ONE / T::from_usize(n));
        let work = grown(scratch, gram_workspace_len(n, q));
        exec.gram(MatMut::new(&mut *moments, q, q)?, T::ZERO, mean, b, None, work)?;
        let hessians = &mut hessians[..q * q];
        exec.for_each_chunk(&mut [hessians], &[moments], &|outputs, inputs| {
            if let ([h], [moments]) = (outputs, inputs) {
                vectorised!(h.iter_mut().zip(*moments).for_each(|(h, m)| *h *= *m));
            }
        })?;
        Ok(())
    }

    /// The transposed Jacobian of a maximum pool at one sample, for rows of q numbers.
    fn pull_maximum(
        &self,
        (tape, index, s): (&Tape<T>, usize, usize),
        out: &mut [T],
        rows: &[T],
        (p, q): (usize, usize),
    ) {
        out.fill(T::ZERO);
        let places = &tape.maxima[index][s * q..(s + 1) * q];
        for (image, row) in out.chunks_exact_mut(p).zip(rows.chunks_exact(q)) {
            for (&place, &x) in places.iter().zip(row) {
                image[place as usize] += x;
            }
        }
    }
}
