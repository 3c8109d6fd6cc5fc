//! The gradient of every sample, cut to its largest entries as soon as a layer of it is there.

use relfisher_core::sparse::select_largest;
use relfisher_core::{Error as CoreError, MatMut};

use super::needs::{batches, widest};
use super::{Request, SparseRows, Target, kept_places};
use crate::Scalar;
use crate::curvature::{Columns, Problem, Site, human, parameter_rows};
use crate::error::Error;
use crate::executor::Executor;
use crate::network::{Cotangents, Loss, Network, Tape};

/// What one row keeps of one layer.
struct Kept<'a, T> {
    dense: &'a [T],
    indices: &'a mut [u32],
    values: &'a mut [T],
    count: &'a mut Result<usize, CoreError>,
}

impl<T: Scalar> Kept<'_, T> {
    fn select(&mut self) {
        *self.count = select_largest(self.indices, self.dense);
        if let Ok(count) = *self.count {
            for (value, index) in self.values.iter_mut().zip(&self.indices[..count]) {
                *value = self.dense[*index as usize];
            }
        }
    }
}

/// Selects in halves where there are threads.
fn select_all<T: Scalar>(executor: &dyn Executor<T>, rows: &mut [Kept<'_, T>]) {
    if rows.len() < 4 {
        rows.iter_mut().for_each(Kept::select);
        return;
    }
    let (head, tail) = rows.split_at_mut(rows.len() / 2);
    executor.join(&mut || select_all(executor, head), &mut || select_all(executor, tail));
}

/// What is kept of one layer by every row of a batch, in equal places.
struct Layer<T> {
    offset: u32,
    places: usize,
    indices: Vec<u32>,
    values: Vec<T>,
    counts: Vec<Result<usize, CoreError>>,
}

/// Buffers of one batch.
struct Batch<T: Scalar> {
    columns: usize,
    cotangents: Cotangents<T>,
    dense: Vec<T>,
    scratch: Vec<T>,
    layers: Vec<Layer<T>>,
}

/// u of every sample (and class), sparse, in batches of at most `room` bytes.
///
/// # Errors
/// Rows above the memory limit, besides those of the passes.
pub(super) fn sparse_gradients<T: Scalar>(
    problem: &Problem<'_, T>,
    request: &Request<'_, T>,
    room: u64,
) -> Result<SparseRows<T>, Error> {
    let network = problem.network;
    if u32::try_from(network.parameter_count()).is_err() {
        let what = "has more than 2³² parameters";
        return Err(Error::input("", "network", what, "embed with a smaller network"));
    }
    let columns = request.target.rows(network);
    let problem = batches(problem, columns, room);
    let mut buffers = Batch::new(network, request.fraction, (problem.chunk, columns))?;
    let kept: usize = buffers.layers.iter().map(|layer| layer.places).sum();
    let limit = request.memory.limit / (4 + size_of::<T>() as u64);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let bound = problem.samples().saturating_mul(columns).saturating_mul(kept).min(limit);
    let mut out = SparseRows {
        starts: vec![0],
        // Address space, not memory: pages are taken as they are filled.
        indices: Vec::with_capacity(bound),
        values: Vec::with_capacity(bound),
    };
    let mut tape = problem.tape();
    problem.for_each_batch(&mut tape, &mut |tape, start, n| {
        request.target.fill(&problem, (tape, start), &mut buffers.cotangents)?;
        let (executor, parameters) = (problem.executor, problem.parameters);
        network.pull_back(executor, parameters, tape, &mut buffers.cotangents, None)?;
        for block in 0..network.blocks().len() {
            buffers.keep_layer(executor, (network, tape), block)?;
        }
        for sample in 0..n {
            for column in 0..columns {
                let row = column * n + sample;
                if out.values.len() + buffers.count(row) > limit {
                    return Err(Error::input(
                        "",
                        format_args!("embedding, sample {}", start + sample),
                        format_args!("the rows pass the limit of {}", human(request.memory.limit)),
                        "take a smaller fraction or fewer samples, or give more --memory",
                    ));
                }
                buffers.append(&mut out, row, network).map_err(|(layer, e)| {
                    Error::core(format_args!("sample {}, {layer}", start + sample), e)
                })?;
            }
        }
        Ok(())
    })?;
    Ok(out)
}

impl<T: Scalar> Batch<T> {
    fn new(
        network: &Network<T>,
        fraction: f64,
        (size, columns): (usize, usize),
    ) -> Result<Self, Error> {
        let rows = size * columns;
        let mut layers = Vec::new();
        for block in network.blocks() {
            let places = kept_places(fraction, block.len())?;
            layers.push(Layer {
                offset: block.offset as u32,
                places,
                indices: vec![0; rows * places],
                values: vec![T::ZERO; rows * places],
                counts: vec![Ok(0); rows],
            });
        }
        Ok(Self {
            columns,
            cotangents: Cotangents::new(network, size, columns),
            dense: vec![T::ZERO; rows * widest(network)],
            scratch: Vec::new(),
            layers,
        })
    }

    /// The dense gradients of one layer, and what is kept of them.
    fn keep_layer(
        &mut self,
        executor: &dyn Executor<T>,
        (network, tape): (&Network<T>, &Tape<T>),
        block: usize,
    ) -> Result<(), Error> {
        let (n, len) = (tape.batch(), network.blocks()[block].len());
        let rows = n * self.columns;
        let dense = &mut self.dense[..rows * len];
        let delta = self.cotangents.block(block, n);
        let site = Site { network, tape, block };
        let out = MatMut::new(&mut *dense, rows, len)?;
        parameter_rows(executor, site, delta, out, &mut self.scratch)?;
        let Layer { places, indices, values, counts, .. } = &mut self.layers[block];
        let mut kept: Vec<Kept<'_, T>> = dense
            .chunks_exact(len)
            .zip(indices.chunks_exact_mut(*places))
            .zip(values.chunks_exact_mut(*places))
            .zip(counts)
            .map(|(((dense, indices), values), count)| Kept { dense, indices, values, count })
            .collect();
        select_all(executor, &mut kept);
        Ok(())
    }

    /// The entries of row `row` of the batch.
    fn count(&self, row: usize) -> usize {
        self.layers.iter().map(|layer| layer.counts[row].unwrap_or(0)).sum()
    }

    /// Appends row `row` of the batch, layer after layer.
    fn append(
        &self,
        out: &mut SparseRows<T>,
        row: usize,
        network: &Network<T>,
    ) -> Result<(), (String, CoreError)> {
        for (layer, block) in self.layers.iter().zip(network.blocks()) {
            let count = layer.counts[row].map_err(|e| (block.name.clone(), e))?;
            let at = row * layer.places;
            let indices = layer.indices[at..at + count].iter();
            out.indices.extend(indices.map(|index| index + layer.offset));
            out.values.extend_from_slice(&layer.values[at..at + count]);
        }
        out.starts.push(out.values.len());
        Ok(())
    }
}

impl<T: Scalar> Target<'_, T> {
    /// ∂ℓ/∂f of the samples on the tape, from sample `start` of the data on, one column a target.
    fn fill(
        &self,
        problem: &Problem<'_, T>,
        (tape, start): (&mut Tape<T>, usize),
        cotangents: &mut Cotangents<T>,
    ) -> Result<(), Error> {
        let network = problem.network;
        let (n, c) = (tape.batch(), network.outputs());
        let even = match network.loss_kind() {
            Loss::BinaryCrossEntropy => T::HALF,
            Loss::SoftmaxCrossEntropy | Loss::Mse { .. } => T::ONE / T::from_usize(c.max(1)),
        };
        match self {
            Target::Given(targets) => {
                let labels = Columns::Labels(*targets);
                return labels.fill(problem.executor, network, (tape, start), cotangents);
            }
            Target::Uniform => {
                let mut out = cotangents.output_mut(0, n);
                for s in 0..n {
                    let pairs = out.row_mut(s).iter_mut().zip(tape.probabilities().row(s));
                    pairs.for_each(|(o, p)| *o = *p - even);
                }
            }
            Target::EachClass => {
                for class in 0..c {
                    let mut out = cotangents.output_mut(class, n);
                    for s in 0..n {
                        out.row_mut(s).copy_from_slice(tape.probabilities().row(s));
                        out.row_mut(s)[class] -= T::ONE;
                    }
                }
            }
        }
        Ok(())
    }
}
