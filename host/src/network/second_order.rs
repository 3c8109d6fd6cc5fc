//! Products of the Hessian with a vector.

use relfisher_core::MatRef;
use relfisher_core::metric::neuron::Activation;

use super::backward::Input;
use super::block::cast_activation;
use super::compile::{Network, Node, Op};
use super::convolution::Bias;
use super::cotangents::Cotangents;
use super::parameters::Parameters;
use super::tangent::Tangents;
use super::tape::Tape;
use crate::executor::Executor;
use crate::scratch::grown;
use crate::{Error, Scalar};

impl<T: Scalar> Network<T> {
    /// The mean over the batch of the per-sample Hessian times the direction of `tangents`, into
    /// `product`: the R-operator applied to the backward pass (B. Pearlmutter, *Fast exact
    /// multiplication by the Hessian*, 1994). relu″ = 0; the statistics of a batch normalisation
    /// count as constants.
    ///
    /// Before the call: [`Network::forward`], [`Network::push_forward`] in `direction`, and two
    /// columns of output cotangents: the deltas ∂ℓ/∂f and their derivative Λ J v. They are consumed.
    ///
    /// # Errors
    /// Arguments of another network, or cotangents without exactly two columns.
    pub fn hessian_product<E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        parameters: &Parameters<T>,
        (tape, tangents): (&Tape<T>, &Tangents<T>),
        direction: &[T],
        cotangents: &mut Cotangents<T>,
        product: &mut [T],
    ) -> Result<(), Error> {
        parameters.check(self)?;
        self.check_tape(tape)?;
        cotangents.check(self, tape.batch)?;
        tangents.check(self, tape.batch)?;
        let lengths = (direction.len(), product.len(), cotangents.columns());
        if lengths != (self.parameter_count, self.parameter_count, 2) {
            return Err(Error::input(
                "",
                "hessian product",
                format_args!("direction, product and columns have the lengths {lengths:?}"),
                "make both vectors as long as the parameters, and two columns of cotangents",
            ));
        }
        let pass = Pass { network: self, parameters, tape, tangents, direction };
        for node in self.nodes.iter().rev() {
            pass.node(exec, node, cotangents, product).map_err(|e| self.at_node(node, e))?;
        }
        Ok(())
    }
}

/// What the pass reads.
struct Pass<'a, T> {
    network: &'a Network<T>,
    parameters: &'a Parameters<T>,
    tape: &'a Tape<T>,
    tangents: &'a Tangents<T>,
    direction: &'a [T],
}

impl<T: Scalar> Pass<'_, T> {
    fn node<E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        node: &Node<T>,
        cotangents: &mut Cotangents<T>,
        product: &mut [T],
    ) -> Result<(), Error> {
        let network = self.network;
        let n = self.tape.batch;
        let (from, to) = (network.places[node.input], network.places[node.output]);
        let Some(slot) = to.slot else { return Ok(()) };
        let size = n * to.len();
        let (before, after) = cotangents.buffers.split_at_mut(slot);
        let both = &mut after[0].data[..2 * size];
        if let Op::Activation(f) = node.op {
            return self.bend(exec, node, f, both, &mut cotangents.scratch);
        }
        let scratch = &mut cotangents.scratch;
        if let Some(block) = node.op.block() {
            let out = &mut product[network.blocks[block].range()];
            self.gradient(exec, node, both.split_at(size), out, scratch)?;
        }
        let Some(slot) = from.slot else { return Ok(()) };
        let previous = &mut before[slot].data[..2 * n * from.len()];
        let weights = node.op.block().map(|b| network.blocks[b].range());
        let w = weights.clone().map(|range| &self.parameters.values[range]);
        let (zero, one) = (T::ZERO, T::ONE);
        network.pull_node(exec, node, self.tape, (previous, zero), (both, n), w, scratch)?;
        let (_, previous) = previous.split_at_mut(n * from.len());
        let delta = &both[..size];
        match node.op {
            Op::Linear { .. } | Op::Convolution { .. } => {
                let v = weights.map(|range| &self.direction[range]);
                network.pull_node(exec, node, self.tape, (previous, one), (delta, n), v, scratch)
            }
            Op::Norm { block, .. } => {
                let Some(norm) = &self.tape.norms[block] else { return Ok(()) };
                let v = &self.direction[network.blocks[block].range()];
                let rows = previous.chunks_exact_mut(to.cols).zip(delta.chunks_exact(to.cols));
                for (x, d) in rows {
                    let scales = v.chunks_exact(2).zip(&norm.inverse_std);
                    for ((x, &d), (v, &inverse)) in x.iter_mut().zip(d).zip(scales) {
                        *x += v[0] * inverse * d;
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Both columns through an activation: Ṙ ← Ṙ f′(t) + δ f″(t) ṫ, then δ ← δ f′(t).
    fn bend<E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        node: &Node<T>,
        f: Activation<f64>,
        both: &mut [T],
        scratch: &mut Vec<T>,
    ) -> Result<(), Error> {
        let (t, size) = (self.tape.rows(node.input), both.len() / 2);
        let (rows, cols) = (t.rows(), t.cols());
        // relu″ = 0: nothing to add.
        let curved = !matches!(f, Activation::Relu { .. } | Activation::Linear);
        let added = grown(scratch, if curved { size } else { 0 });
        let rate = self.tangents.values[node.input].values(rows);
        for s in 0..if curved { rows } else { 0 } {
            let out = &mut added[s * cols..(s + 1) * cols];
            cast_activation::<T>(f).second_derivative_slice(out, t.row(s))?;
            let factors = both[s * cols..(s + 1) * cols].iter().zip(rate.row(s));
            out.iter_mut().zip(factors).for_each(|(x, (&d, &r))| *x = *x * d * r);
        }
        self.network.pull_activation(exec, (self.tape, node.input), f, both)?;
        both[size..].iter_mut().zip(&*added).for_each(|(x, &a)| *x += a);
        Ok(())
    }

    /// The derivative of the mean gradient of a block: (Ṙᵀ X̃ + Δᵀ Ẋ)/n.
    fn gradient<E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        node: &Node<T>,
        (delta, moved): (&[T], &[T]),
        out: &mut [T],
        scratch: &mut Vec<T>,
    ) -> Result<(), Error> {
        let network = self.network;
        let n = self.tape.batch;
        let mean = T::ONE / T::from_usize(n);
        let from = network.places[node.input];
        if let Op::Norm { block, .. } = node.op {
            return self.norm_gradient(node, block, (delta, moved), mean, out);
        }
        let values = Input { buffer: &self.tape.values[node.input], bias: Bias::With };
        network.node_gradient(exec, node, (out, T::ZERO, mean), (moved, n), values, scratch)?;
        if from.slot.is_some() {
            let tangent = Input { buffer: &self.tangents.values[node.input], bias: Bias::Without };
            network.node_gradient(exec, node, (out, T::ONE, mean), (delta, n), tangent, scratch)?;
        }
        Ok(())
    }

    fn norm_gradient(
        &self,
        node: &Node<T>,
        block: usize,
        (delta, moved): (&[T], &[T]),
        mean: T,
        out: &mut [T],
    ) -> Result<(), Error> {
        let Some(norm) = &self.tape.norms[block] else { return Ok(()) };
        let (from, c) = (self.network.places[node.input], norm.mean.len());
        let rows = self.tape.batch * from.positions;
        let (delta, moved) = (MatRef::new(delta, rows, c)?, MatRef::new(moved, rows, c)?);
        let hats = norm.normalised.values(rows);
        let input =
            self.tangents.values[node.input].values(if from.slot.is_some() { rows } else { 0 });
        out.fill(T::ZERO);
        for s in 0..rows {
            let own = moved.row(s).iter().zip(hats.row(s));
            for (pair, (&m, &hat)) in out.chunks_exact_mut(2).zip(own) {
                pair[0] += mean * m * hat;
                pair[1] += mean * m;
            }
            let through = delta.row(s).iter().zip(input.row(s)).zip(&norm.inverse_std);
            for (pair, ((&d, &x), &inverse)) in out.chunks_exact_mut(2).zip(through) {
                pair[0] += mean * d * x * inverse;
            }
        }
        Ok(())
    }
}
