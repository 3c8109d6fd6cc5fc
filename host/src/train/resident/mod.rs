//! Training with everything on a device: samples, parameters, the optimiser's memory.
//!
//! The order of the samples is sent at the beginning of an epoch. A step sends nothing (K-FAC the
//! random numbers that labels are drawn with, a refresh of relative natural gradient the numbers of
//! its samples) and nothing comes back (K-FAC's traces at a refresh):
//! whether the loss and all factorisations are good is looked at when
//! the run settles, at the end of an epoch. Parameters and states come to the host for checkpoints,
//! outputs for the measurement of an epoch.

mod kfac;
mod network;
mod optimizer;
mod rngd;
mod rngd_sample;

use std::ops::Range;
use std::sync::Arc;

use self::network::{DeviceNetwork, Goals, Gradient};
use self::optimizer::{DeviceOptimizer, DeviceStep};
use super::task::Task;
use crate::dataset::Dataset;
use crate::error::Error;
use crate::executor::cuda::{
    Buffer, Captured, Gpu, Matrix, MatrixMut, Pinned, TrafficReport, View,
};
use crate::network::{Loss, Network};
use crate::optimizer::{OptimizerConfig, State};
use crate::random::Rng;
use crate::scalar::Scalar;

/// A data set on the device.
struct DeviceSet<T> {
    features: Buffer<T>,
    labels: Buffer<u32>,
    len: usize,
    width: usize,
}

/// A run on the device.
pub(crate) struct Resident<T: Scalar> {
    /// A step that was captured, and for what. First, so that it is dropped before the buffers that it uses.
    captured: Option<(Repeat<T>, Captured)>,
    network: DeviceNetwork<T>,
    optimizer: Box<dyn DeviceOptimizer<T>>,
    train: DeviceSet<T>,
    test: DeviceSet<T>,
    /// 0, 1, 2 … for every sample of the larger set.
    numbers: Buffer<u32>,
    /// The order of the samples in this epoch, on the host and on the device.
    order: (Pinned<u32>, Buffer<u32>),
    /// The numbers of the mini-batch's samples, and what its outputs should be.
    indices: Buffer<u32>,
    goals: GoalBuffer<T>,
    last: Option<Repeat<T>>,
    /// How many values of the step's loss or gradient were not finite.
    bad: Buffer<u32>,
    /// The same for each step since the run settled.
    broken: Buffer<u32>,
    steps: usize,
    capacity: usize,
    traffic: TrafficReport,
}

/// A data set of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// What it learns from.
    Train,
    /// What it does not see.
    Test,
}

/// What a captured step depends on.
#[derive(Clone, Copy, PartialEq)]
struct Repeat<T> {
    samples: usize,
    learning_rate: T,
}

/// What a run on a device starts from.
pub(crate) struct Beginning<'a, T: Scalar> {
    pub(crate) network: &'a Network<T>,
    pub(crate) parameters: &'a [T],
    pub(crate) config: &'a OptimizerConfig,
    pub(crate) task: Task,
    pub(crate) train: &'a Dataset<T>,
    pub(crate) test: &'a Dataset<T>,
    pub(crate) batch_size: usize,
}

/// Where the goals of a mini-batch are.
enum GoalBuffer<T> {
    /// Classes.
    Classes(Buffer<u32>),
    /// The samples themselves.
    Values(Buffer<T>),
}

impl<T: Scalar> GoalBuffer<T> {
    /// The goals of the samples with these numbers.
    fn gather(
        &mut self,
        set: &DeviceSet<T>,
        indices: View<'_, u32>,
    ) -> Result<Goals<'_, T>, Error> {
        let n = indices.len();
        Ok(match self {
            Self::Classes(labels) => {
                let to = labels.view_mut().slice(0..n);
                set.labels.gpu().gather_labels(to, set.labels.view(), indices)?;
                Goals::Classes(labels.view().slice(0..n))
            }
            Self::Values(values) => {
                let len = n * set.width;
                let to = MatrixMut::new(values.view_mut().slice(0..len), n, set.width)?;
                set.features.gpu().gather(to, set.features()?, indices)?;
                Goals::Values(values.view().slice(0..len))
            }
        })
    }
}

impl<T: Scalar> DeviceSet<T> {
    /// Brings a set to the device; `classes` bounds its labels, where they are goals.
    fn new(gpu: &Arc<Gpu>, set: &Dataset<T>, classes: Option<usize>) -> Result<Self, Error> {
        let (len, width) = (set.len(), set.width());
        let mut labels = Vec::with_capacity(len);
        for (i, &label) in set.labels().iter().enumerate() {
            // Kernels do not check them.
            match (u32::try_from(label), classes) {
                (_, None) => break,
                (Ok(narrow), Some(classes)) if label < classes => labels.push(narrow),
                (_, Some(classes)) => {
                    return Err(Error::input(
                        "",
                        "targets",
                        format_args!(
                            "class {label} of sample {i}, but there are {classes} outputs"
                        ),
                        "use classes below the number of outputs",
                    ));
                }
            }
        }
        let features = Buffer::from_slice(gpu, set.features().data())?;
        Ok(Self { features, labels: Buffer::from_slice(gpu, &labels)?, len, width })
    }

    fn features(&self) -> Result<Matrix<'_, T>, Error> {
        Ok(Matrix::new(self.features.view(), self.len, self.width)?)
    }
}

impl<T: Scalar> Resident<T> {
    /// Brings everything to the device.
    ///
    /// # Errors
    /// A network, a loss or an optimiser that the device does not know, by name; not enough memory.
    pub(crate) fn new(gpu: &Arc<Gpu>, begin: &Beginning<'_, T>) -> Result<Self, Error> {
        let links = begin.network.chain()?;
        match (begin.network.loss_kind(), begin.task) {
            (Loss::SoftmaxCrossEntropy, Task::Classify)
            | (Loss::Mse { .. } | Loss::BinaryCrossEntropy, Task::Autoencode) => {}
            (_, task) => {
                let problem = format!("does not go with the task {task:?}");
                return Err(Error::input("--device", "loss", problem, "change one of the two"));
            }
        }
        let classes = (begin.task == Task::Classify).then(|| begin.network.outputs());
        let samples = begin.train.len();
        let capacity = begin.batch_size.min(samples);
        // A set of 2³² samples does not fit into the memory.
        let most = u32::try_from(samples.max(begin.test.len())).unwrap_or(u32::MAX);
        let numbers: Vec<u32> = (0..most).collect();
        let room = (begin.parameters, capacity);
        let network = DeviceNetwork::new(gpu, begin.network, &links, room)?;
        Ok(Self {
            optimizer: optimizer::build(begin.config, begin.network, &network, samples)?,
            train: DeviceSet::new(gpu, begin.train, classes)?,
            test: DeviceSet::new(gpu, begin.test, None)?,
            numbers: Buffer::from_slice(gpu, &numbers)?,
            order: (Pinned::new(gpu, samples)?, Buffer::zeros(gpu, samples)?),
            indices: Buffer::new(gpu, capacity)?,
            goals: match begin.task {
                Task::Classify => GoalBuffer::Classes(Buffer::new(gpu, capacity)?),
                Task::Autoencode => {
                    GoalBuffer::Values(Buffer::new(gpu, capacity * begin.train.width())?)
                }
            },
            captured: None,
            last: None,
            bad: Buffer::zeros(gpu, 1)?,
            broken: Buffer::zeros(gpu, samples.div_ceil(capacity.max(1)))?,
            steps: 0,
            traffic: TrafficReport::default(),
            network,
            capacity,
        })
    }

    /// The order in which the next steps take the training samples.
    ///
    /// # Errors
    /// Failed calls.
    pub(crate) fn begin_epoch(&mut self, order: &[usize]) -> Result<(), Error> {
        let (host, device) = &mut self.order;
        for (slot, index) in host.values()?.iter_mut().zip(order) {
            // A training set of 2³² samples does not fit into the memory.
            *slot = u32::try_from(*index).unwrap_or(u32::MAX);
        }
        Ok(host.upload(device.view_mut())?)
    }

    /// One step on the training samples at these places of the order.
    ///
    /// # Errors
    /// Failed calls.
    pub(crate) fn step(
        &mut self,
        batch: Range<usize>,
        learning_rate: T,
        rng: &mut Rng,
    ) -> Result<(), Error> {
        let before = self.network.gpu.traffic();
        let n = batch.len().min(self.capacity);
        let indices = self.order.1.view().slice(batch);
        self.indices.view_mut().slice(0..n).copy_from(indices)?;
        let repeat = Repeat { samples: n, learning_rate };
        if !self.optimizer.repeats() || self.last != Some(repeat) {
            self.work(repeat, rng)?;
        } else {
            self.again(repeat, rng)?;
        }
        self.last = Some(repeat);
        let at = self.steps..self.steps + 1;
        self.broken.view_mut().slice(at).copy_from(self.bad.view())?;
        self.steps += 1;
        self.traffic.add_between(&before, &self.network.gpu.traffic());
        Ok(())
    }

    /// The work of a step that has been done before: captured now, or then.
    fn again(&mut self, repeat: Repeat<T>, rng: &mut Rng) -> Result<(), Error> {
        if self.captured.as_ref().is_none_or(|(for_what, _)| *for_what != repeat) {
            self.captured = None;
            let gpu = Arc::clone(&self.network.gpu);
            // SAFETY: the work uses buffers of `self`, which are never replaced, and the capture is
            // dropped with them.
            let captured = unsafe { gpu.capture(|| self.work(repeat, rng))? };
            self.captured = Some((repeat, captured));
        }
        match &self.captured {
            Some((_, captured)) => Ok(captured.launch()?),
            None => Ok(()),
        }
    }

    /// Puts a step on the samples at `indices` into the stream.
    fn work(&mut self, repeat: Repeat<T>, rng: &mut Rng) -> Result<(), Error> {
        let Repeat { samples: n, learning_rate } = repeat;
        let (network, indices) = (&mut self.network, self.indices.view().slice(0..n));
        network.load(self.train.features()?, indices)?;
        let goals = self.goals.gather(&self.train, indices)?;
        network.forward()?;
        network.loss(goals)?;
        network.backward(Gradient::Mean)?;
        self.bad.view_mut().clear()?;
        network.gpu.watch(self.bad.view_mut(), network.losses(), 0)?;
        network.gpu.watch(self.bad.view_mut(), network.gradient.view(), 0)?;
        let samples = self.train.features()?;
        self.optimizer.step(&mut DeviceStep { network, samples, learning_rate, rng })
    }

    /// Waits for all steps since the last call; how many of them were good when one was not.
    ///
    /// # Errors
    /// A singular metric, by layer; failed calls.
    pub(crate) fn settle(&mut self) -> Result<Option<usize>, Error> {
        let broken = self.broken.to_vec()?;
        self.broken.view_mut().clear()?;
        self.steps = 0;
        match broken.iter().position(|count| *count > 0) {
            None => self.optimizer.settle().map(|()| None),
            good => Ok(good),
        }
    }

    /// The outputs for all samples of a set, row by row.
    ///
    /// # Errors
    /// Failed calls.
    pub(crate) fn outputs(&mut self, part: Part) -> Result<Vec<T>, Error> {
        let set = match part {
            Part::Train => &self.train,
            Part::Test => &self.test,
        };
        let last = self.network.layers.len().saturating_sub(1);
        let mut out = Vec::new();
        for start in (0..set.len).step_by(self.capacity.max(1)) {
            let end = set.len.min(start + self.capacity);
            self.network.load(set.features()?, self.numbers.view().slice(start..end))?;
            self.network.forward()?;
            out.extend(self.network.output(last).to_vec()?);
        }
        Ok(out)
    }

    /// What passed between host and device in the steps, everything around them not counted.
    pub(crate) fn traffic(&self) -> TrafficReport {
        self.traffic
    }

    /// The parameters.
    ///
    /// # Errors
    /// Failed calls.
    pub(crate) fn parameters(&self) -> Result<Vec<T>, Error> {
        Ok(self.network.parameters.to_vec()?)
    }

    /// The optimiser's memory.
    ///
    /// # Errors
    /// Failed calls.
    pub(crate) fn save(&self, state: &mut State<T>) -> Result<(), Error> {
        self.optimizer.save(state)
    }

    /// Takes a run up again.
    ///
    /// # Errors
    /// A state of another optimiser; failed calls.
    pub(crate) fn load(&mut self, parameters: &[T], state: &State<T>) -> Result<(), Error> {
        self.network.parameters.view_mut().upload(parameters)?;
        self.optimizer.load(state)
    }
}
