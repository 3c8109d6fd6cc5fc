//! The run of the experiment.

use std::time::Instant;

use relfisher_core::sparse::QuasiMean;

use super::classifier::{Classifier, Fit, Kind, sparse_rows};
use super::networks::{Stopped, Subject, last_hidden, train};
use super::record::{
    FractionRecord, GradnetRecord, NetworkRecord, Scores, SettingsRecord, StoppedRecord,
};
use crate::Scalar;
use crate::curvature::{Memory, Problem};
use crate::dataset::{Dataset, Split};
use crate::embedding::{Request, SparseRows, Target, fit_metric, gradients, normalise_rows};
use crate::error::Error;
use crate::executor::Executor;
use crate::network::{Network, Parameters, Targets};
use crate::resident::{forget_peak, resident_peak};
use crate::train::Machine;

/// Rows of a mini-batch of the classifiers.
const BATCH: usize = 16;
/// Rectifiers of the small network.
const HIDDEN: usize = 32;
/// The rate of the small network, for one of the linear classifier: its loss is not convex, and units
/// die of large steps.
const NETWORK_RATE: f64 = 0.125;
/// Passes of a classifier over rows of few entries (pixels, hidden layers), for one over embeddings.
const CHEAP_PASSES: usize = 4;

/// What the losses of the samples are taken against. Labels of test samples reach nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Against {
    /// All classes alike.
    #[default]
    Uniform,
    /// Each class in turn: a sample has its C gradients side by side.
    EachClass,
    /// Its label, where the sample has one: a training sample. A test sample has all classes alike.
    Label,
}

impl Against {
    /// Its name on the command line and in records.
    pub fn name(self) -> &'static str {
        match self {
            Against::Uniform => "uniform",
            Against::EachClass => "class",
            Against::Label => "label",
        }
    }
}

/// What the experiment depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The networks.
    pub networks: Vec<Subject>,
    /// After how many steps of training they are stopped, ascending.
    pub stops: Vec<usize>,
    /// The targets of the gradients.
    pub against: Against,
    /// The shares of each layer's parameters that a sample keeps, ascending, each in (0, 1].
    pub fractions: Vec<f64>,
    /// The metric.
    pub mean: QuasiMean,
    /// λ as a share of the mean of the metric over its support.
    pub damping: f64,
    /// Passes of the classifiers over the embeddings.
    pub epochs: usize,
    /// The first rate of the linear classifiers; that of the small network is an eighth of it.
    pub learning_rate: f64,
    /// Seed of everything random.
    pub seed: u64,
    /// The bound on the sparse rows of the training and of the test samples together.
    pub memory: Memory,
}

impl Settings {
    /// Checks ranges.
    ///
    /// # Errors
    /// The first that is out of range, with the remedy.
    pub fn check(&self) -> Result<(), Error> {
        let bad = |place: &str, given: String, problem: &str, remedy: &str| {
            Err(Error::input(place, given, problem, remedy))
        };
        let ascending = |x: &[f64]| x.windows(2).all(|pair| pair[0] < pair[1]);
        let inside = |q: &f64| *q > 0.0 && *q <= 1.0;
        if self.fractions.is_empty()
            || !self.fractions.iter().all(inside)
            || !ascending(&self.fractions)
        {
            let given = format!("{:?}", self.fractions);
            let problem = "are not ascending numbers above 0 and at most 1";
            return bad("--fractions", given, problem, "use 0.01,0.05,0.15,0.5,1");
        }
        if self.stops.is_empty() || !self.stops.windows(2).all(|pair| pair[0] < pair[1]) {
            let given = format!("{:?}", self.stops);
            return bad("--steps", given, "are not ascending", "use 16,64,256,1024, say");
        }
        if self.networks.is_empty() {
            return bad("--networks", String::new(), "names no network", "use mlp,cnn");
        }
        if self.epochs == 0 {
            return bad("--epochs", "0".into(), "is no pass", "use at least 1");
        }
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            let given = self.learning_rate.to_string();
            return bad("--rate", given, "is not a positive number", "use 8, say");
        }
        if !(self.damping >= 0.0 && self.damping.is_finite()) {
            let given = self.damping.to_string();
            let problem = "is not a finite number of at least 0";
            return bad("--damping", given, problem, "use 0.1, say");
        }
        if !self.mean.exponent().is_finite() {
            let given = self.mean.exponent().to_string();
            return bad("--metric", given, "is not a finite power", "use power:0.5, say");
        }
        Ok(())
    }

    fn fit(&self, kind: Kind, passes: usize) -> Fit {
        let epochs = self.epochs.saturating_mul(passes);
        let learning_rate = match kind {
            Kind::Linear => self.learning_rate,
            Kind::Network { .. } => self.learning_rate * NETWORK_RATE,
        };
        Fit { kind, epochs, batch: BATCH, learning_rate, seed: self.seed }
    }
}

/// What is under way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stage {
    /// A network has been trained for so many steps.
    Training(Subject, usize),
    /// The embeddings of a stopped network at a fraction are next.
    Embedding(Subject, usize, f64),
    /// One more of the units that [`Settings::units`] counts is done.
    Done,
}

impl Settings {
    /// How often [`Stage::Done`] is told: once for each embedding.
    pub fn units(&self) -> usize {
        self.networks.len() * self.stops.len() * self.fractions.len()
    }
}

/// The whole experiment; `tell` hears what is under way.
///
/// # Errors
/// Settings out of range; data that do not fit a network; sparse rows above the memory limit; numbers
/// that leave the finite ones, with their place.
pub fn run<T: Scalar>(
    executor: &dyn Executor<T>,
    data: &Split<T>,
    settings: &Settings,
    tell: &mut dyn FnMut(Stage),
) -> Result<GradnetRecord, Error> {
    settings.check()?;
    let begin = Instant::now();
    let pixels = data_rows(data);
    let sizes = (data.train.width(), data.train.classes());
    let pixels = baseline(executor, data, (pixels, sizes.0), settings)?;
    let mut networks = Vec::new();
    for subject in &settings.networks {
        let network = Network::<T>::from_architecture(&subject.architecture(sizes.0, sizes.1)?)?;
        let stops = (&settings.stops[..], settings.seed);
        let stopped = train(executor, &network, data, stops, &mut |step| {
            tell(Stage::Training(*subject, step));
        })?;
        let run = Subjected { executor, data, settings, subject: *subject, network: &network };
        let stopped: Result<Vec<_>, Error> =
            stopped.iter().map(|stopped| run.stopped(stopped, tell)).collect();
        networks.push(NetworkRecord {
            name: subject.name(),
            parameters: network.parameter_count(),
            gradients: run.columns(),
            stopped: stopped?,
        });
    }
    Ok(GradnetRecord {
        version: env!("CARGO_PKG_VERSION"),
        machine: Machine::detect(executor.threads()),
        data: data.source.clone(),
        train_samples: data.train.len(),
        test_samples: data.test.len(),
        settings: SettingsRecord::new::<T>(settings, (HIDDEN, BATCH)),
        pixels,
        networks,
        seconds: begin.elapsed().as_secs_f64(),
    })
}

/// The rows of the training and of the test samples.
type Pair<T> = [SparseRows<T>; 2];

fn data_rows<T: Scalar>(data: &Split<T>) -> Pair<T> {
    [&data.train, &data.test].map(|set| sparse_rows(set.features()))
}

/// The test accuracy of a linear classifier on rows of few entries.
fn baseline<T: Scalar>(
    executor: &dyn Executor<T>,
    data: &Split<T>,
    (rows, entries): (Pair<T>, usize),
    settings: &Settings,
) -> Result<f64, Error> {
    let fit = settings.fit(Kind::Linear, CHEAP_PASSES);
    judge(executor, data, (&rows_of_length_one(rows), entries), &fit)
}

fn rows_of_length_one<T: Scalar>(mut rows: Pair<T>) -> Pair<T> {
    rows.iter_mut().for_each(SparseRows::scale_to_unit_length);
    rows
}

/// The test accuracy of a classifier that is fitted on the training rows.
fn judge<T: Scalar>(
    executor: &dyn Executor<T>,
    data: &Split<T>,
    ([train, test], entries): (&Pair<T>, usize),
    fit: &Fit,
) -> Result<f64, Error> {
    let sizes = (entries, data.train.classes());
    let classifier = Classifier::fit(executor, train, data.train.labels(), sizes, fit)?;
    classifier.accuracy(executor, test, data.test.labels())
}

/// One network of the experiment.
struct Subjected<'a, T: Scalar> {
    executor: &'a dyn Executor<T>,
    data: &'a Split<T>,
    settings: &'a Settings,
    subject: Subject,
    network: &'a Network<T>,
}

impl<T: Scalar> Subjected<'_, T> {
    fn problem<'b>(&'b self, parameters: &'b Parameters<T>, set: &'b Dataset<T>) -> Problem<'b, T> {
        Problem {
            executor: self.executor,
            network: self.network,
            parameters,
            features: set.features(),
            targets: None,
            labels: None,
            chunk: 512,
            watch: None,
        }
    }

    fn stopped(
        &self,
        stopped: &Stopped<T>,
        tell: &mut dyn FnMut(Stage),
    ) -> Result<StoppedRecord, Error> {
        let parameters = &stopped.parameters;
        let sets = [&self.data.train, &self.data.test];
        let [train, test] = sets.map(|set| last_hidden(&self.problem(parameters, set)));
        let hidden = self.network.blocks().last().map_or(0, |block| block.inputs);
        let last_hidden =
            baseline(self.executor, self.data, ([train?, test?], hidden), self.settings)?;
        let mut fractions = Vec::new();
        for fraction in &self.settings.fractions {
            tell(Stage::Embedding(self.subject, stopped.steps, *fraction));
            fractions.push(self.fraction(parameters, *fraction)?);
            tell(Stage::Done);
        }
        Ok(StoppedRecord {
            steps: stopped.steps,
            seconds: stopped.seconds,
            train_accuracy: stopped.train_accuracy,
            original: stopped.test_accuracy,
            last_hidden,
            fractions,
        })
    }

    /// The gradients of a sample, side by side.
    fn columns(&self) -> usize {
        match self.settings.against {
            Against::EachClass => self.network.outputs(),
            Against::Uniform | Against::Label => 1,
        }
    }

    /// The sparse gradients of both sets, a row for each sample.
    fn gradients(&self, parameters: &Parameters<T>, fraction: f64) -> Result<Pair<T>, Error> {
        let of = |set: &Dataset<T>, target: Target<'_, T>, limit: u64| {
            let request = Request {
                target,
                fraction,
                mean: self.settings.mean,
                damping: 0.0,
                kernel: false,
                joint: false,
                memory: Memory { limit },
            };
            let mut rows = gradients(&self.problem(parameters, set), &request)?;
            rows.join(self.columns(), self.network.parameter_count())?;
            Ok::<_, Error>(rows)
        };
        let (train, test) = (&self.data.train, &self.data.test);
        let [known, unknown] = match self.settings.against {
            Against::Uniform => [Target::Uniform; 2],
            Against::EachClass => [Target::EachClass; 2],
            Against::Label => [Target::Given(Targets::Classes(train.labels())), Target::Uniform],
        };
        let limit = self.settings.memory.limit;
        let train = of(train, known, limit)?;
        let rest = limit.saturating_sub(train.bytes());
        Ok([train, of(test, unknown, rest)?])
    }

    fn fraction(&self, parameters: &Parameters<T>, q: f64) -> Result<FractionRecord, Error> {
        let settings = self.settings;
        let count = self.columns() * self.network.parameter_count();
        forget_peak();
        let begin = Instant::now();
        let rows = self.gradients(parameters, q)?;
        let embedding_seconds = begin.elapsed().as_secs_f64();
        let bytes = rows.iter().map(SparseRows::bytes).sum();
        let entries = rows[0].values.len() as f64 / self.data.train.len() as f64;
        // The metric knows the training samples only.
        let root = fit_metric(count, &rows[0], settings.mean)?;
        let damping = settings.damping * mean_square(&root);
        let begin = Instant::now();
        let mut rows = rows_of_length_one(rows);
        let linear = settings.fit(Kind::Linear, 1);
        let without = judge(self.executor, self.data, (&rows, count), &linear)?;
        // The length that a row has does not matter here: it has length 1 again afterwards.
        rows[1].retain(|index| root[index as usize] > 0.0);
        for rows in &mut rows {
            normalise_rows(rows, &root, damping)?;
        }
        let rows = rows_of_length_one(rows);
        let linear = judge(self.executor, self.data, (&rows, count), &linear)?;
        let small = settings.fit(Kind::Network { hidden: HIDDEN }, 1);
        let small = judge(self.executor, self.data, (&rows, count), &small)?;
        Ok(FractionRecord {
            fraction: q,
            entries,
            bytes,
            resident_peak: resident_peak(),
            scores: Scores { without_metric: without, linear, small_network: small },
            embedding_seconds,
            fit_seconds: begin.elapsed().as_secs_f64(),
        })
    }
}

/// The mean of the metric over its support.
fn mean_square(root: &[f64]) -> f64 {
    let support = root.iter().filter(|g| **g > 0.0);
    let (sum, count) = support.fold((0.0, 0_usize), |(sum, n), g| (sum + g * g, n + 1));
    sum / count.max(1) as f64
}
