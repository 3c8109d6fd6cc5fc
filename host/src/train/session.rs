//! An experiment: the matrix of runs, its files, and taking it up after a kill.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::checkpoint::{Checkpoint, Outcome};
use super::diagnosis::Diagnosis;
use super::experiment::{Experiment, Precision, Variant};
use super::machine::Machine;
use super::network::has_batch_norm;
use super::progress::{Progress, Verbosity};
use super::record::{EpochRecord, Record, RunRecord, run_name};
use super::run::{Event, Run, RunPlan};
use super::samples::Samples;
use super::task::{Pace, Task};
use super::tuned::Tuned;
use crate::error::Error;
use crate::executor::cuda::{self, TrafficReport};
use crate::executor::{Choice, Engine};
use crate::format::{self, write_bytes};
use crate::network::{Init, Network, Parameters};
use crate::plot::{Axis, learning_curves};
use crate::scalar::Scalar;

/// Whether a folder with an unfinished experiment is taken up or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Start anew; an unfinished experiment in the folder is an error.
    Fresh,
    /// Continue from the checkpoints; finished runs are kept.
    Resume,
}

/// How an experiment is run: nothing here changes its numbers.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// The folder for all files.
    pub out: PathBuf,
    /// Threads; all processors when absent.
    pub threads: Option<usize>,
    /// The machine that computes.
    pub device: Choice,
    /// How a device forms products of f32; its most accurate fast way when absent.
    pub precision: Option<cuda::Precision>,
    /// New or continued.
    pub start: Start,
    /// Checkpoints also after so many steps inside an epoch; 0: at the ends of epochs only.
    pub checkpoint_steps: usize,
    /// Statistics of the mini-batch every so many steps, and the weights on the way; 0: none.
    pub diagnose_steps: usize,
    /// What is told meanwhile.
    pub verbosity: Verbosity,
}

impl SessionOptions {
    /// Into a folder, where an experiment is taken up and what is finished of it kept: on all processors,
    /// quietly, with checkpoints at the ends of epochs. Checkpoints of other settings there are refused;
    /// [`Start::Fresh`] overwrites those of a finished experiment.
    pub fn new(out: impl Into<PathBuf>) -> Self {
        Self {
            out: out.into(),
            threads: None,
            device: Choice::Cpu,
            precision: None,
            start: Start::Resume,
            checkpoint_steps: 0,
            diagnose_steps: 0,
            verbosity: Verbosity::Quiet,
        }
    }
}

/// What an experiment came to.
#[derive(Clone, Debug)]
pub struct Outcomes {
    /// The record, as written.
    pub record: Record,
    /// The pictures written.
    pub plots: Vec<PathBuf>,
}

/// Runs every optimiser of `experiment` on every variant and writes into `options.out`, after each
/// epoch, `record.json` and `record.csv`; after each run its network file, weights and the learning
/// curves. Checkpoints are kept under `checkpoints/`.
///
/// The same experiment gives the same bits on any number of threads, and after any number of kills
/// and resumptions.
///
/// # Errors
/// Bad data, settings or an unwritable folder. A run whose loss leaves the finite numbers is not an
/// error: it is marked in the record and the others go on.
pub fn train(
    experiment: &Experiment,
    tuned: Option<&Tuned>,
    options: &SessionOptions,
) -> Result<Outcomes, Error> {
    match experiment.dtype {
        Precision::F32 => train_in::<f32>(experiment, tuned, options),
        Precision::F64 => train_in::<f64>(experiment, tuned, options),
    }
}

/// A run of the matrix.
pub(super) struct Entry {
    pub(super) plan: RunPlan,
    pub(super) variant: Variant,
    pub(super) batch_norm: bool,
    pub(super) settings: Value,
}

impl Entry {
    pub(super) fn name(&self) -> String {
        run_name(self.plan.optimizer.name(), self.batch_norm)
    }
}

/// The runs of an experiment, in the order of the table: the variants one after the other, within
/// each the optimisers.
pub(super) fn entries<T: Scalar>(
    experiment: &Experiment,
    tuned: Option<&Tuned>,
    samples: &Samples<T>,
) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for &variant in &experiment.variants {
        let sizes = (samples.train.width(), samples.train.classes());
        let architecture = experiment.network.architecture(variant, experiment.task, sizes)?;
        for optimizer in &experiment.optimizers {
            let mut optimizer = optimizer.clone();
            if let Some(rate) = tuned.and_then(|t| t.rate(optimizer.name(), variant)) {
                optimizer.set_learning_rate(rate);
            }
            let optimizer_name = optimizer.name();
            let plan = RunPlan {
                optimizer,
                architecture: architecture.clone(),
                init: experiment.network.init,
                task: experiment.task,
                seed: experiment.seed,
                epochs: experiment.epochs_of(optimizer_name),
                batch_size: experiment.batch_size,
            };
            let encode = |e: serde_json::Error| Error::input("record.json", "settings", e, "");
            let mut settings = json!({
                "optimizer": serde_json::to_value(&plan.optimizer).map_err(encode)?,
                "network": serde_json::to_value(&architecture).map_err(encode)?,
                "data": samples.description,
                "weights": experiment.network.weights,
                "seed": plan.seed,
                "epochs": plan.epochs,
                "batch_size": plan.batch_size,
                "dtype": T::NAME,
            });
            if experiment.task != Task::Classify {
                settings["task"] = serde_json::to_value(experiment.task).map_err(encode)?;
            }
            if plan.init != Init::Dense {
                settings["init"] = serde_json::to_value(plan.init).map_err(encode)?;
            }
            let batch_norm = has_batch_norm(&architecture);
            entries.push(Entry { plan, variant, batch_norm, settings });
        }
    }
    Ok(entries)
}

struct Session<'a, T: Scalar> {
    options: &'a SessionOptions,
    experiment: &'a Experiment,
    entries: Vec<Entry>,
    samples: Samples<T>,
    engine: Engine,
    records: Vec<Option<RunRecord>>,
    machine: Machine,
    /// Pictures of runs that are done.
    drawn: Vec<PathBuf>,
}

fn train_in<T: Scalar>(
    experiment: &Experiment,
    tuned: Option<&Tuned>,
    options: &SessionOptions,
) -> Result<Outcomes, Error> {
    experiment.validate()?;
    let samples = Samples::<T>::load(&experiment.data)?;
    let mut entries = entries(experiment, tuned, &samples)?;
    let engine = Engine::with_precision(options.device, options.precision, options.threads)?;
    if let Some(gpu) = engine.gpu() {
        if options.diagnose_steps > 0 {
            let problem = "does not see the mini-batches of a device";
            return Err(Error::input("--diagnose", "", problem, "use --device cpu"));
        }
        // Its sums have another order than the processor's: a run does not go on elsewhere.
        let device = gpu.driver().device();
        for entry in &mut entries {
            entry.settings["device"] = json!({
                "driver": device.driver, "name": device.name,
                "precision": format!("{:?}", gpu.precision()).to_lowercase(),
            });
        }
    }
    let mut session = Session {
        options,
        experiment,
        records: entries.iter().map(|_| None).collect(),
        machine: Machine::detect(engine.executor::<T>().threads()),
        entries,
        samples,
        engine,
        drawn: Vec::new(),
    };
    session.run()
}

impl<T: Scalar> Session<'_, T> {
    fn run(&mut self) -> Result<Outcomes, Error> {
        let weights = match &self.experiment.network.weights {
            Some(file) => Some(self.initial_weights(file)?),
            None => None,
        };
        self.open_folder()?;
        let checkpoints = self.read_checkpoints()?;
        let marker = self.mark_unfinished()?;
        let epochs = self.entries.iter().map(|e| e.plan.epochs).sum();
        let mut progress = Progress::new(self.options.verbosity, epochs);
        let mut checkpoints = checkpoints.into_iter();
        for index in 0..self.entries.len() {
            let checkpoint = checkpoints.next().flatten();
            let result = self.one_run(index, checkpoint, weights.clone(), &mut progress);
            if let Err(e) = result {
                progress.end();
                return Err(e);
            }
        }
        progress.end();
        let record = assemble(self.experiment, &self.machine, &self.records);
        record.write(&self.options.out)?;
        let mut plots = self.plot(&record)?;
        plots.append(&mut self.drawn);
        fs::remove_file(&marker).map_err(|e| Error::io(&marker, "remove", &e))?;
        Ok(Outcomes { record, plots })
    }

    fn initial_weights(&self, file: &Path) -> Result<Parameters<T>, Error> {
        let Some(entry) = self.entries.first() else {
            return Err(Error::input("", "optimizers", "no run", "list an optimiser"));
        };
        let network = Network::from_architecture(&entry.plan.architecture)?;
        format::load_parameters(&network, file)
    }

    /// The file that marks the experiment as unfinished.
    fn marker(&self) -> PathBuf {
        self.options.out.join("checkpoints/unfinished")
    }

    /// Creates the folders; refuses an unfinished experiment unless it is to be continued.
    fn open_folder(&self) -> Result<(), Error> {
        let out = &self.options.out;
        let folder = out.join("checkpoints");
        fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, "create the folder", &e))?;
        if self.options.start == Start::Fresh {
            if self.marker().exists() {
                return Err(Error::input(
                    out.display(),
                    "",
                    "holds an unfinished experiment",
                    "resume it (--resume, or Start::Resume), choose another folder (--out), or \
                     delete this one",
                ));
            }
            for entry in &self.entries {
                let old = self.checkpoint_path(entry);
                match fs::remove_file(&old) {
                    Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                        return Err(Error::io(&old, "remove", &e));
                    }
                    _ => {}
                }
                Diagnosis::new(out, &entry.name()).clear()?;
            }
        }
        Ok(())
    }

    /// Writes the experiment and the marker, which is returned: only now, so that a folder whose
    /// checkpoints are refused stays as it was.
    fn mark_unfinished(&self) -> Result<PathBuf, Error> {
        let marker = self.marker();
        write_bytes(&marker, b"")?;
        let text = toml::to_string(self.experiment)
            .map_err(|e| Error::input("experiment.toml", "", e, "report this"))?;
        write_bytes(&self.options.out.join("experiment.toml"), text.as_bytes())?;
        Ok(marker)
    }

    fn checkpoint_path(&self, entry: &Entry) -> PathBuf {
        self.options.out.join("checkpoints").join(format!("{}.safetensors", entry.name()))
    }

    /// The checkpoints that belong to this experiment, and the record that they make.
    fn read_checkpoints(&mut self) -> Result<Vec<Option<Checkpoint<T>>>, Error> {
        let mut found = Vec::new();
        for index in 0..self.entries.len() {
            let Some(entry) = self.entries.get(index) else { continue };
            let path = self.checkpoint_path(entry);
            let checkpoint = Checkpoint::<T>::read(&path)?;
            if let Some(checkpoint) = &checkpoint {
                let settings = entry.settings.to_string();
                if checkpoint.settings != settings {
                    let old = serde_json::from_str(&checkpoint.settings).unwrap_or_default();
                    let what = difference("", &old, &entry.settings);
                    let what = what.map(|what| format!(": {what}")).unwrap_or_default();
                    return Err(Error::input(
                        path.display(),
                        "",
                        format_args!("was written with other settings{what}"),
                        "resume with the old ones, choose another folder (--out), or delete the \
                         file: that run then starts anew",
                    ));
                }
                let (outcome, history) = (&checkpoint.outcome, &checkpoint.history);
                let record = run_record(self.experiment.pace, entry, (outcome, history), None);
                if let Some(slot) = self.records.get_mut(index) {
                    *slot = Some(record);
                }
            }
            found.push(checkpoint);
        }
        Ok(found)
    }

    fn one_run(
        &mut self,
        index: usize,
        checkpoint: Option<Checkpoint<T>>,
        weights: Option<Parameters<T>>,
        progress: &mut Progress,
    ) -> Result<(), Error> {
        let (options, engine) = (self.options, &self.engine);
        let Some(entry) = self.entries.get(index) else { return Ok(()) };
        let (name, settings) = (entry.name(), entry.settings.to_string());
        let path = self.checkpoint_path(entry);
        let machine = &self.machine;
        let mut run = Run::new(&entry.plan, &self.samples, engine, weights)?;
        let diagnosis = (options.diagnose_steps > 0).then(|| Diagnosis::new(&options.out, &name));
        if diagnosis.is_some() {
            run.diagnose(options.diagnose_steps);
        }
        if let Some(checkpoint) = checkpoint {
            run.restore(checkpoint).map_err(|e| e.in_file(path.display()))?;
        }
        progress.begin(&name, run.steps_done(), entry.plan.epochs * run.steps_per_epoch());
        progress.skip(run.history().len().saturating_sub(1));
        let (records, experiment) = (&mut self.records, self.experiment);
        let mut save = |run: &Run<'_, T>| -> Result<(), Error> {
            run.checkpoint(&settings)?.write(&path)?;
            if let Some(slot) = records.get_mut(index) {
                let so_far = (run.outcome(), run.history());
                *slot = Some(run_record(experiment.pace, entry, so_far, run.traffic()));
            }
            if let Some(diagnosis) = &diagnosis {
                diagnosis.write(run.diagnostics())?;
            }
            assemble(experiment, machine, records).write(&options.out)
        };
        let mut tell = |run: &Run<'_, T>, event: Event<'_>| -> Result<(), Error> {
            if let Some(diagnosis) = &diagnosis {
                diagnosis.snapshot(run)?;
            }
            match event {
                Event::Epoch(record) => {
                    progress.epoch(record, run.diagnostics());
                    save(run)
                }
                Event::Step => {
                    progress.step(run.diagnostics());
                    let every = options.checkpoint_steps;
                    match run.step_in_epoch() {
                        Some(step) if every > 0 && step.is_multiple_of(every) => {
                            run.checkpoint(&settings)?.write(&path)
                        }
                        _ => Ok(()),
                    }
                }
            }
        };
        let mut result = Ok(());
        engine.executor::<T>().install(&mut || result = run.train(true, &mut tell));
        result.map_err(|e| e.at(&name))?;
        save(&run)?;
        if let Outcome::Diverged(how) = run.outcome() {
            progress.note(&format!("{name}: diverged at {how}"));
            progress.skip((entry.plan.epochs + 1).saturating_sub(run.history().len()));
        }
        let network_file = options.out.join(format!("{name}.json"));
        write_bytes(&network_file, run.network().architecture().to_json().as_bytes())?;
        let weights_file = options.out.join(format!("{name}.safetensors"));
        format::save_parameters(run.network(), &*run.parameters()?, &weights_file)?;
        if let Some(diagnosis) = &diagnosis {
            self.drawn.extend(diagnosis.draw(run.diagnostics())?);
        }
        self.plot(&assemble(self.experiment, &self.machine, &self.records)).map(|_| ())
    }

    fn plot(&self, record: &Record) -> Result<Vec<PathBuf>, Error> {
        let mut files = Vec::new();
        let pace = match self.experiment.pace {
            Pace::Epochs => Axis::Epoch,
            Pace::Updates => Axis::Updates,
        };
        for axis in [pace, Axis::Seconds] {
            let target = self.experiment.target_train_loss;
            files.extend(learning_curves(record, axis, target, &self.options.out)?);
        }
        Ok(files)
    }
}

fn assemble(experiment: &Experiment, machine: &Machine, runs: &[Option<RunRecord>]) -> Record {
    Record {
        experiment: experiment.name.clone(),
        seed: experiment.seed,
        version: env!("CARGO_PKG_VERSION").to_string(),
        machine: machine.clone(),
        runs: runs.iter().flatten().cloned().collect(),
    }
}

fn run_record(
    pace: Pace,
    entry: &Entry,
    (outcome, history): (&Outcome, &[EpochRecord]),
    traffic: Option<TrafficReport>,
) -> RunRecord {
    let shown = |e: &EpochRecord| match pace {
        Pace::Epochs => EpochRecord { updates: None, ..*e },
        Pace::Updates => *e,
    };
    RunRecord {
        optimizer: entry.plan.optimizer.name().to_string(),
        batch_norm: entry.batch_norm,
        settings: entry.settings.clone(),
        epochs: history.iter().map(shown).collect(),
        traffic,
        diverged: match outcome {
            Outcome::Diverged(how) => Some(how.clone()),
            Outcome::Running | Outcome::Finished => None,
        },
    }
}

/// The first setting whose values differ, for people: `optimizer.damping was 0.1, is 0.2`.
fn difference(place: &str, old: &Value, new: &Value) -> Option<String> {
    match (old, new) {
        (Value::Object(before), Value::Object(now)) => {
            let gone = before.keys().filter(|key| !now.contains_key(*key));
            now.keys().chain(gone).find_map(|key| {
                let place = if place.is_empty() { key } else { &format!("{place}.{key}") };
                let value = |of: &Map<String, Value>| of.get(key).cloned().unwrap_or_default();
                difference(place, &value(before), &value(now))
            })
        }
        (Value::Array(before), Value::Array(now)) if before.len() == now.len() => {
            let mut pairs = before.iter().zip(now).enumerate();
            pairs.find_map(|(k, (before, now))| difference(&format!("{place}[{k}]"), before, now))
        }
        (Value::Array(before), Value::Array(now)) => {
            Some(format!("{place} had {} entries, has {}", before.len(), now.len()))
        }
        _ if old == new => None,
        _ => Some(format!("{place} was {}, is {}", words(old), words(new))),
    }
}

/// A value, or that there is none.
fn words(value: &Value) -> String {
    match value {
        Value::Null => "not set".to_string(),
        value => value.to_string(),
    }
}
