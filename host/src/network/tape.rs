//! The tape: every value of a forward and a backward pass, in buffers that are allocated once.

use relfisher_core::{MatMut, MatRef, Real};

use super::architecture::Loss;
use super::block::{Block, BlockKind};
use super::compile::{Network, Node, Op, Place};
use super::cotangents::Cotangents;
use crate::Error;

/// Which statistics a batch normalisation uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The mean and variance of the batch.
    Train,
    /// The running averages.
    Inference,
}

/// What the outputs of a batch should have been.
#[derive(Clone, Copy, Debug)]
pub enum Targets<'a, T> {
    /// The class of each sample, for `softmax_cross_entropy`.
    Classes(&'a [usize]),
    /// The outputs (n × outputs), for `mse` and `binary_cross_entropy`.
    Values(MatRef<'a, T>),
}

impl<'a, T: Real> Targets<'a, T> {
    /// The number of samples.
    pub fn len(&self) -> usize {
        match self {
            Targets::Classes(classes) => classes.len(),
            Targets::Values(values) => values.rows(),
        }
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The targets of the samples `start..start + n`.
    ///
    /// # Errors
    /// Fewer samples than that.
    pub fn rows(&self, start: usize, n: usize) -> Result<Self, Error> {
        match self {
            Targets::Classes(classes) => {
                classes.get(start..start + n).map(Targets::Classes).ok_or_else(|| {
                    Error::input(
                        "",
                        "targets",
                        format_args!("{} for at least {} samples", classes.len(), start + n),
                        "give a target for each sample",
                    )
                })
            }
            Targets::Values(values) => {
                Ok(Targets::Values(values.sub(start, 0, n, values.cols())?))
            }
        }
    }
}

/// The loss of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossReport {
    /// The mean of the per-sample losses; NaN or infinite when the network diverged.
    pub mean: f64,
    /// How many samples have their largest output at their class; `None` without classes.
    pub correct: Option<usize>,
    /// The mean over the samples of Σⱼ(ŷⱼ − yⱼ)², ŷ the predicted means: f for `mse`, sigm f for
    /// `binary_cross_entropy`; `None` with classes.
    pub squared_error: Option<f64>,
}

/// Rows of `cols` numbers, `stride` apart.
#[derive(Clone, Debug)]
pub(super) struct Buffer<T> {
    pub(super) data: Vec<T>,
    pub(super) cols: usize,
    pub(super) stride: usize,
}

impl<T: Real> Buffer<T> {
    /// Room for `rows` rows; with a trailing element of value `augmented` each.
    pub(super) fn new(rows: usize, cols: usize, augmented: Option<T>) -> Self {
        let stride = cols + usize::from(augmented.is_some());
        let mut data = vec![T::ZERO; rows * stride];
        if let Some(one) = augmented {
            data.chunks_exact_mut(stride).for_each(|row| row[cols] = one);
        }
        Self { data, cols, stride }
    }

    /// The first n rows without the trailing 1.
    pub(super) fn values(&self, n: usize) -> MatRef<'_, T> {
        view(&self.data, n, self.cols, self.stride)
    }

    /// The first n rows with the trailing 1, if there is one.
    pub(super) fn augmented(&self, n: usize) -> MatRef<'_, T> {
        view(&self.data, n, self.stride, self.stride)
    }

    pub(super) fn values_mut(&mut self, n: usize) -> MatMut<'_, T> {
        let (cols, stride) = (self.cols, self.stride);
        MatMut::with_strides(&mut self.data, n, cols, stride, 1).unwrap_or_else(|_| empty_mut(cols))
    }
}

pub(super) fn view<T: Real>(data: &[T], n: usize, cols: usize, stride: usize) -> MatRef<'_, T> {
    // `set_batch` keeps n ≤ capacity, so the view always fits.
    MatRef::with_strides(data, n, cols, stride, 1).unwrap_or_else(|_| empty(cols))
}

pub(super) fn empty<'a, T: Real>(cols: usize) -> MatRef<'a, T> {
    match MatRef::new(&[], 0, cols) {
        Ok(m) => m,
        Err(_) => unreachable!("a matrix without rows fits everywhere"),
    }
}

pub(super) fn empty_mut<'a, T: Real>(cols: usize) -> MatMut<'a, T> {
    match MatMut::new(&mut [], 0, cols) {
        Ok(m) => m,
        Err(_) => unreachable!("a matrix without rows fits everywhere"),
    }
}

/// The statistics of one batch normalisation.
#[derive(Clone, Debug)]
pub(super) struct NormTape<T> {
    /// x̂, n·T × c.
    pub(super) normalised: Buffer<T>,
    pub(super) mean: Vec<T>,
    /// The biased variance of the batch.
    pub(super) variance: Vec<T>,
    /// 1/σ_c, σ_c = √(variance + eps).
    pub(super) inverse_std: Vec<T>,
    /// s_c = γ_c/σ_c.
    pub(super) scale: Vec<T>,
    pub(super) gamma: Vec<T>,
    pub(super) beta: Vec<T>,
}

/// The values of one batch: inputs, pre-activations, activations, outputs, and their per-sample
/// gradients. Rows are samples (positions of samples where layers share weights). Nothing is
/// allocated after [`Tape::new`] and the first pass.
///
/// The accessors that take a block index panic when there is no such block; they return an empty
/// matrix for the wrong kind of block.
#[derive(Clone, Debug)]
pub struct Tape<T> {
    pub(super) capacity: usize,
    pub(super) batch: usize,
    pub(super) values: Vec<Buffer<T>>,
    /// ∂ℓ_s of every place, after the backward pass.
    pub(super) deltas: Cotangents<T>,
    pub(super) norms: Vec<Option<NormTape<T>>>,
    /// Where each maximum of each maximum pool stands in its sample's image.
    pub(super) maxima: Vec<Vec<u32>>,
    pub(super) probabilities: Buffer<T>,
    pub(super) mode: Mode,
    pub(super) scratch: Vec<T>,
    pub(super) positions: Vec<usize>,
    links: Vec<Link>,
}

/// The places of one block.
#[derive(Clone, Copy, Debug)]
struct Link {
    input: usize,
    response: usize,
    norm: Option<usize>,
    positions: usize,
}

impl<T: Real> Tape<T> {
    /// A tape for batches of up to `capacity` samples.
    pub fn new(network: &Network<T>, capacity: usize) -> Self {
        let outputs = network.outputs();
        let probabilistic = !matches!(network.loss_kind(), Loss::Mse { .. });
        let place =
            |p: &Place| Buffer::new(capacity * p.positions, p.cols, p.augmented.then_some(T::ONE));
        let norm = |block: &Block| {
            let column = || vec![T::ZERO; block.rows];
            (block.kind == BlockKind::BatchNorm).then(|| NormTape {
                normalised: Buffer::new(capacity * block.positions, block.rows, None),
                mean: column(),
                variance: column(),
                inverse_std: column(),
                scale: column(),
                gamma: column(),
                beta: column(),
            })
        };
        let maxima = network.nodes.iter().filter_map(|node| match node.op {
            Op::MaxPool { .. } => Some(vec![0; capacity * network.places[node.output].len()]),
            _ => None,
        });
        Self {
            capacity,
            batch: 0,
            values: network.places.iter().map(place).collect(),
            deltas: Cotangents::new(network, capacity, 1),
            norms: network.blocks.iter().map(norm).collect(),
            maxima: maxima.collect(),
            probabilities: Buffer::new(capacity, if probabilistic { outputs } else { 0 }, None),
            mode: Mode::Inference,
            scratch: Vec::new(),
            positions: network.places.iter().map(|p| p.positions).collect(),
            links: network
                .sites
                .iter()
                .zip(&network.blocks)
                .map(|(site, block)| Link {
                    input: network.nodes[site.node].input,
                    response: site.response,
                    norm: site.norm,
                    positions: block.positions,
                })
                .collect(),
        }
    }

    /// The elements that [`Tape::new`] allocates at most, saturating.
    pub fn required_len(network: &Network<T>, capacity: usize) -> usize {
        let place = |p: &Place| p.positions.saturating_mul(p.cols + usize::from(p.augmented));
        let norm = |block: &Block| match block.kind {
            BlockKind::BatchNorm => block.positions.saturating_mul(block.rows),
            _ => 0,
        };
        let maximum = |node: &Node<T>| match node.op {
            Op::MaxPool { .. } => network.places[node.output].len(),
            _ => 0,
        };
        let values = network.places.iter().map(place);
        let norms = network.blocks.iter().map(norm);
        let each = values.chain(norms).chain(network.nodes.iter().map(maximum));
        let each = each.fold(network.outputs(), usize::saturating_add);
        let columns = network.parameter_count.saturating_mul(6);
        let columns = if network.buffer_count > 0 { columns } else { 0 };
        each.saturating_mul(capacity)
            .saturating_add(columns)
            .saturating_add(Cotangents::required_len(network, capacity, 1))
    }

    /// The largest batch.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The number n of samples of the current batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Which statistics the batch normalisations of the last forward pass used.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Sets the number of samples; the values of the rows are unspecified until the next pass.
    ///
    /// # Errors
    /// No samples, or more than the capacity.
    pub fn set_batch(&mut self, n: usize) -> Result<(), Error> {
        if n == 0 || n > self.capacity {
            return Err(Error::input(
                "",
                "batch",
                format_args!("{n} samples, but the tape holds 1 to {}", self.capacity),
                "use another batch size",
            ));
        }
        self.batch = n;
        Ok(())
    }

    /// The network's input x (n × d), to be filled before a forward pass: the elements of a sample
    /// in the order of the input shape.
    pub fn input_mut(&mut self) -> MatMut<'_, T> {
        let (n, positions) = (self.batch, self.positions[0]);
        let input = &mut self.values[0];
        // An image of one channel is kept as positions of one number: the same memory.
        let (cols, stride) = (input.cols * positions, input.stride * positions);
        MatMut::with_strides(&mut input.data, n, cols, stride, 1)
            .unwrap_or_else(|_| empty_mut(cols))
    }

    /// A place as the rows of all positions, without trailing ones.
    pub(super) fn rows(&self, place: usize) -> MatRef<'_, T> {
        self.values[place].values(self.batch * self.positions[place])
    }

    /// A place as the rows of all positions, with the trailing ones if there are any.
    pub(super) fn augmented_rows(&self, place: usize) -> MatRef<'_, T> {
        self.values[place].augmented(self.batch * self.positions[place])
    }

    /// Sets the batch to the rows `indices` of `features` (N × d, contiguous rows) and copies them.
    ///
    /// # Errors
    /// The batch size, another width, or an index outside.
    pub fn gather(&mut self, features: MatRef<'_, T>, indices: &[usize]) -> Result<(), Error> {
        self.set_batch(indices.len())?;
        let mut input = self.input_mut();
        let (rows, cols) = (features.rows(), features.cols());
        if cols != input.cols() || !features.rows_contiguous() {
            return Err(Error::input(
                "",
                "input",
                format_args!("samples of {cols} numbers, but the network takes {}", input.cols()),
                "use data of that width, or another network",
            ));
        }
        for (i, &index) in indices.iter().enumerate() {
            if index >= rows {
                return Err(Error::input(
                    "",
                    "batch",
                    format_args!("sample {index} of {rows}"),
                    "use indices inside the data set",
                ));
            }
            input.row_mut(i).copy_from_slice(features.row(index));
        }
        Ok(())
    }

    /// The input x̃ of a block (n·T × d̃), trailing 1 included; for a batch normalisation the input
    /// before it is normalised, for a convolution the images (n·h·w × c).
    pub fn layer_input(&self, block: usize) -> MatRef<'_, T> {
        self.augmented_rows(self.links[block].input)
    }

    /// The input t (n·T × m) of the activation or the loss that the block feeds; behind a batch
    /// normalisation that lies between. Rows are contiguous, maybe with a gap between them.
    pub fn response_input(&self, block: usize) -> MatRef<'_, T> {
        self.rows(self.links[block].response)
    }

    /// s_c = γ_c/σ_c when a batch normalisation lies between the block and its response:
    /// ∂t_c/∂w_c = s_c x̃ with the batch statistics taken as constants.
    pub fn response_scale(&self, block: usize) -> Option<&[T]> {
        let norm = self.norms[self.links[block].norm?].as_ref()?;
        Some(&norm.scale)
    }

    /// x̂ of a batch normalisation (n·T × c); no columns for another block.
    pub fn normalised(&self, block: usize) -> MatRef<'_, T> {
        match &self.norms[block] {
            Some(norm) => norm.normalised.values(self.batch * self.links[block].positions),
            None => empty(0),
        }
    }

    /// ∂ℓ_s/∂(output of the block), per sample (n·T × m), after a backward pass. Behind a batch
    /// normalisation in training, whose output mixes the samples, row s holds the derivative of the
    /// sum of all losses.
    pub fn delta(&self, block: usize) -> MatRef<'_, T> {
        self.deltas.block(block, self.batch)
    }

    /// ∂ℓ_s/∂(outputs) (n × outputs), from [`Network::loss`] until the backward pass.
    pub fn output_deltas(&self) -> MatRef<'_, T> {
        self.deltas.output(self.batch)
    }

    /// The network's outputs (n × outputs): logits, or means for the `mse` loss.
    pub fn logits(&self) -> MatRef<'_, T> {
        match self.values.last() {
            Some(buffer) => buffer.values(self.batch),
            None => empty(0),
        }
    }

    /// Soft-max or logistic probabilities of the outputs (n × outputs) after a forward pass; no
    /// columns for the `mse` loss.
    pub fn probabilities(&self) -> MatRef<'_, T> {
        self.probabilities.values(self.batch)
    }
}
