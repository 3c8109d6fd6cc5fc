//! One training run: mini-batches, steps, and the measurement at the end of each epoch.

use std::borrow::Cow;
use std::time::Instant;

use relfisher_core::MatRef;

use super::checkpoint::{Checkpoint, Outcome};
use super::record::EpochRecord;
use super::resident::{Beginning, Part, Resident};
use super::samples::Samples;
use super::task::{Goals, Task};
use crate::dataset::Dataset;
use crate::diagnostics::{Measured, Monitor, StepRecord};
use crate::error::Error;
use crate::executor::cuda::TrafficReport;
use crate::executor::{Engine, Executor};
use crate::network::{Architecture, Init, LossReport, Mode, Network, Parameters, Tape};
use crate::optimizer::{MetricBatch, Optimizer, OptimizerConfig, State, Step};
use crate::random::{self, Rng};
use crate::scalar::Scalar;

/// Samples of one forward pass of an evaluation.
const EVALUATION_BATCH: usize = 500;

/// What a run does, apart from its samples.
#[derive(Clone, Debug)]
pub(crate) struct RunPlan {
    pub(crate) optimizer: OptimizerConfig,
    pub(crate) architecture: Architecture,
    pub(crate) init: Init,
    pub(crate) task: Task,
    pub(crate) seed: u64,
    pub(crate) epochs: usize,
    pub(crate) batch_size: usize,
}

/// What a run tells its owner.
pub(crate) enum Event<'a> {
    /// A step is done; inside an epoch the run may be saved.
    Step,
    /// An epoch is measured; the run may be saved.
    Epoch(&'a EpochRecord),
}

/// A run between two steps.
pub(crate) struct Run<'a, T: Scalar> {
    plan: &'a RunPlan,
    samples: &'a Samples<T>,
    executor: &'a dyn Executor<T>,
    network: Network<T>,
    parameters: Parameters<T>,
    optimizer: Box<dyn Optimizer<T>>,
    rng: Rng,
    tape: Tape<T>,
    evaluation: Tape<T>,
    gradient: Vec<T>,
    order: Vec<usize>,
    goals: Goals<T>,
    fresh: Fresh<'a, T>,
    epoch: usize,
    step: usize,
    seconds: f64,
    outcome: Outcome,
    history: Vec<EpochRecord>,
    /// Steps on a device instead; `parameters` and `optimizer` are then behind it.
    resident: Option<Resident<T>>,
    monitor: Monitor<T>,
}

impl<'a, T: Scalar> Run<'a, T> {
    /// A run before its first step. `weights` replaces the random initial parameters.
    ///
    /// Initial weights and the order of the samples depend on the seed only, so that all optimisers
    /// start from the same point and see the same mini-batches.
    pub(crate) fn new(
        plan: &'a RunPlan,
        samples: &'a Samples<T>,
        engine: &'a Engine,
        weights: Option<Parameters<T>>,
    ) -> Result<Self, Error> {
        let network = Network::from_architecture(&plan.architecture)?;
        let parameters = match weights {
            Some(weights) => weights,
            None => network.init_with(plan.init, &mut random::stream(plan.seed, 0, "init")),
        };
        let n = samples.train.len();
        let begin = |gpu| {
            Resident::new(
                gpu,
                &Beginning {
                    network: &network,
                    parameters: &parameters.values,
                    config: &plan.optimizer,
                    task: plan.task,
                    train: &samples.train,
                    test: &samples.test,
                    batch_size: plan.batch_size,
                },
            )
        };
        Ok(Self {
            resident: engine.gpu().map(begin).transpose()?,
            optimizer: plan.optimizer.build(&network)?,
            rng: random::stream(plan.seed, 0, "optimizer"),
            tape: Tape::new(&network, plan.batch_size.min(n)),
            evaluation: Tape::new(&network, EVALUATION_BATCH),
            gradient: vec![T::ZERO; network.parameter_count()],
            order: Vec::with_capacity(n),
            goals: Goals::new(plan.task),
            fresh: Fresh { set: &samples.train, order: Vec::with_capacity(n) },
            epoch: 0,
            step: 0,
            seconds: 0.0,
            outcome: Outcome::Running,
            history: Vec::new(),
            plan,
            samples,
            executor: engine.executor(),
            network,
            parameters,
            monitor: Monitor::new(None),
        })
    }

    /// Has the statistics of the mini-batch measured every `every` steps, on the processor. To be
    /// called before the first step and before [`Run::restore`].
    pub(crate) fn diagnose(&mut self, every: usize) {
        self.monitor = Monitor::new(Some(every));
    }

    /// The statistics of the measured mini-batches so far.
    pub(crate) fn diagnostics(&self) -> &[StepRecord] {
        self.monitor.rows()
    }

    /// Steps in an epoch; the last mini-batch may be smaller.
    pub(crate) fn steps_per_epoch(&self) -> usize {
        self.samples.train.len().div_ceil(self.plan.batch_size)
    }

    /// Steps done so far.
    pub(crate) fn steps_done(&self) -> usize {
        self.epoch * self.steps_per_epoch() + self.step
    }

    pub(crate) fn network(&self) -> &Network<T> {
        &self.network
    }

    /// The parameters, from the device where they are there.
    pub(crate) fn parameters(&self) -> Result<Cow<'_, Parameters<T>>, Error> {
        Ok(match &self.resident {
            None => Cow::Borrowed(&self.parameters),
            Some(resident) => Cow::Owned(Parameters {
                values: resident.parameters()?,
                buffers: self.parameters.buffers.clone(),
            }),
        })
    }

    pub(crate) fn history(&self) -> &[EpochRecord] {
        &self.history
    }

    /// What passed between host and device in the steps so far; none on the processor.
    pub(crate) fn traffic(&self) -> Option<TrafficReport> {
        self.resident.as_ref().map(Resident::traffic)
    }

    pub(crate) fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// Steps done in the epoch under way; `None` at its end, before it is measured.
    pub(crate) fn step_in_epoch(&self) -> Option<usize> {
        (self.step < self.steps_per_epoch()).then_some(self.step)
    }

    /// Everything that the rest of the run depends on.
    ///
    /// # Errors
    /// A failed device.
    pub(crate) fn checkpoint(&self, settings: &str) -> Result<Checkpoint<T>, Error> {
        let mut optimizer = State::new();
        match &self.resident {
            None => self.optimizer.save(&mut optimizer),
            Some(resident) => resident.save(&mut optimizer)?,
        }
        let parameters = self.parameters()?.into_owned();
        Ok(Checkpoint {
            settings: settings.to_string(),
            outcome: self.outcome.clone(),
            epoch: self.epoch,
            step: self.step,
            seconds: self.seconds,
            history: self.history.clone(),
            parameters: parameters.values,
            buffers: parameters.buffers,
            rng: self.rng.clone(),
            optimizer,
            diagnostics: self.monitor.save(self.steps_done()),
        })
    }

    /// Takes the run up where a checkpoint left it.
    pub(crate) fn restore(&mut self, checkpoint: Checkpoint<T>) -> Result<(), Error> {
        let parameters = Parameters { values: checkpoint.parameters, buffers: checkpoint.buffers };
        parameters.check(&self.network)?;
        if checkpoint.step >= self.steps_per_epoch() && checkpoint.step > 0 {
            return Err(Error::input(
                "",
                "step",
                "is past the end of the epoch",
                "delete the file",
            ));
        }
        match &mut self.resident {
            None => self.optimizer.load(&checkpoint.optimizer)?,
            Some(resident) => resident.load(&parameters.values, &checkpoint.optimizer)?,
        }
        self.parameters = parameters;
        self.rng = checkpoint.rng;
        self.epoch = checkpoint.epoch;
        self.step = checkpoint.step;
        self.seconds = checkpoint.seconds;
        self.outcome = checkpoint.outcome;
        self.history = checkpoint.history;
        if let Some(saved) = checkpoint.diagnostics {
            self.monitor.load(saved, self.steps_done());
        }
        Ok(())
    }

    /// Trains to the end, measuring before the first and after every epoch (`measure_all`), or
    /// after the last one only. A divergence ends the run and is part of its outcome.
    pub(crate) fn train(
        &mut self,
        measure_all: bool,
        tell: &mut dyn FnMut(&Self, Event<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.history.is_empty() && measure_all {
            self.measure(tell)?;
        }
        while self.outcome == Outcome::Running && self.epoch < self.plan.epochs {
            self.shuffle();
            if let Some(resident) = &mut self.resident {
                resident.begin_epoch(&self.order)?;
            }
            let (steps, first) = (self.steps_per_epoch(), self.step);
            while self.step < steps {
                let begin = Instant::now();
                let result = self.one_step();
                self.seconds += begin.elapsed().as_secs_f64();
                match result {
                    Ok(()) => {}
                    Err(Error::Divergence(report)) => {
                        let place =
                            format!("epoch {}, mini-batch {}", self.epoch + 1, self.step + 1);
                        self.outcome = Outcome::Diverged(format!("{place}: {}", report.problem));
                        return Ok(());
                    }
                    Err(e) => return Err(e),
                }
                self.step += 1;
                tell(self, Event::Step)?;
            }
            if let Some(outcome) = self.settle(first)? {
                self.outcome = outcome;
                return Ok(());
            }
            self.epoch += 1;
            self.step = 0;
            if self.epoch == self.plan.epochs {
                self.outcome = Outcome::Finished;
            }
            if measure_all || self.epoch == self.plan.epochs {
                self.measure(tell)?;
            }
        }
        if self.outcome == Outcome::Running {
            self.outcome = Outcome::Finished;
        }
        Ok(())
    }

    /// The order of the samples in this epoch, a function of seed and epoch only.
    fn shuffle(&mut self) {
        let mut rng = random::stream(self.plan.seed, self.epoch as u64, "shuffle");
        self.order.clear();
        self.order.extend(0..self.samples.train.len());
        random::shuffle(&mut self.order, &mut rng);
    }

    /// Waits for a device; how its run ended, when a step since `first` of this epoch was not finite.
    fn settle(&mut self, first: usize) -> Result<Option<Outcome>, Error> {
        let Some(resident) = &mut self.resident else { return Ok(None) };
        let begin = Instant::now();
        let good = resident.settle()?;
        self.seconds += begin.elapsed().as_secs_f64();
        Ok(good.map(|good| {
            let (epoch, batch) = (self.epoch + 1, first + good + 1);
            let problem = "the loss or the gradient is not finite";
            Outcome::Diverged(format!("epoch {epoch}, mini-batch {batch}: {problem}"))
        }))
    }

    /// The learning rate of the next step.
    fn learning_rate(&self) -> T {
        let config = &self.plan.optimizer;
        let (index, steps) = (self.steps_done() as u64, self.steps_per_epoch() as u64);
        let factor = config.schedule().factor(index, steps, self.plan.epochs as u64);
        T::from_f64(config.learning_rate() * factor)
    }

    fn one_step(&mut self) -> Result<(), Error> {
        let (index, learning_rate) = (self.steps_done() as u64, self.learning_rate());
        if let Some(resident) = &mut self.resident {
            let start = self.step * self.plan.batch_size;
            let end = self.order.len().min(start + self.plan.batch_size);
            return resident.step(start..end, learning_rate, &mut self.rng);
        }
        let batch = self.order.chunks(self.plan.batch_size).nth(self.step).unwrap_or(&[]);
        self.tape.gather(self.samples.train.features(), batch)?;
        self.goals.gather(&self.samples.train, batch);
        let executor = self.executor;
        self.network.forward(executor, &self.parameters, Mode::Train, &mut self.tape)?;
        self.network.update_running_averages(&self.tape, &mut self.parameters)?;
        let targets = self.goals.targets()?;
        let loss = self.network.loss(executor, &mut self.tape, &targets)?;
        if !loss.mean.is_finite() {
            return Err(Error::divergence("", format_args!("the loss is {}", loss.mean)));
        }
        let gradient = Some(&mut self.gradient[..]);
        self.network.backward(executor, &self.parameters, &mut self.tape, gradient)?;
        // Outside of the time of training.
        let (begin, place) = (Instant::now(), (index as usize, self.epoch + 1));
        let (network, tape) = (&self.network, &self.tape);
        let gradient = &self.gradient[..];
        let batch = Measured { executor, network, tape, gradient, loss: loss.mean };
        self.monitor.look(place, &batch)?;
        self.seconds -= begin.elapsed().as_secs_f64();
        self.optimizer.step(&mut Step {
            executor,
            network: &self.network,
            tape: &mut self.tape,
            targets,
            loss: loss.mean,
            parameters: &mut self.parameters,
            gradient: &mut self.gradient,
            learning_rate,
            index,
            rng: &mut self.rng,
            metric_batch: &mut self.fresh,
        })
    }

    fn measure(
        &mut self,
        tell: &mut dyn FnMut(&Self, Event<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let samples = self.samples;
        let train = self.evaluate(Part::Train)?;
        let test = self.evaluate(Part::Test)?;
        let share = |report: LossReport, set: &Dataset<T>| {
            report.correct.map(|count| count as f64 / set.len() as f64)
        };
        let record = EpochRecord {
            epoch: self.epoch,
            updates: Some(self.steps_done()),
            seconds: self.seconds,
            train_loss: train.mean,
            train_accuracy: share(train, &samples.train),
            train_squared_error: train.squared_error,
            test_loss: test.mean,
            test_accuracy: share(test, &samples.test),
            test_squared_error: test.squared_error,
        };
        self.history.push(record);
        if !(train.mean.is_finite() && test.mean.is_finite()) {
            let problem = format!("epoch {}: the train loss is {}", self.epoch, train.mean);
            self.outcome = Outcome::Diverged(problem);
        }
        tell(self, Event::Epoch(&record))
    }

    /// The loss over a data set, with the running averages of batch normalisation.
    fn evaluate(&mut self, part: Part) -> Result<LossReport, Error> {
        let set = match part {
            Part::Train => &self.samples.train,
            Part::Test => &self.samples.test,
        };
        let (tape, targets) = (&mut self.evaluation, self.goals.of(set));
        let (executor, features) = (self.executor, set.features());
        let Some(resident) = &mut self.resident else {
            return self.network.evaluate(executor, &self.parameters, tape, features, &targets);
        };
        let outputs = resident.outputs(part)?;
        let outputs = MatRef::new(&outputs, set.len(), self.network.outputs())?;
        self.network.judge(executor, tape, outputs, &targets)
    }
}

/// Draws training samples for metrics.
struct Fresh<'a, T> {
    set: &'a Dataset<T>,
    order: Vec<usize>,
}

impl<T: Scalar> MetricBatch<T> for Fresh<'_, T> {
    fn available(&self) -> usize {
        self.set.len()
    }

    fn load(&mut self, tape: &mut Tape<T>, count: usize, rng: &mut Rng) -> Result<(), Error> {
        let n = self.set.len();
        if count > n {
            return Err(Error::input(
                "",
                "metric_samples",
                format_args!("{count} samples of a training set of {n}"),
                "use fewer",
            ));
        }
        let chosen = random::choose(&mut self.order, (count, n), rng);
        tape.gather(self.set.features(), chosen)
    }
}
