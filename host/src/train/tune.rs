//! `--tune`: the search for learning rates.

use std::path::Path;

use super::checkpoint::Outcome;
use super::experiment::{Experiment, Precision};
use super::progress::{Progress, Verbosity};
use super::run::{Event, Run};
use super::samples::Samples;
use super::session::entries;
use super::tuned::{Trial, Tuned, TunedRate};
use crate::error::Error;
use crate::executor::{Choice, Engine};
use crate::format::write_bytes;
use crate::scalar::Scalar;

/// Trains every optimiser and variant of `experiment` at each learning rate of its grid for the
/// epochs of the file's `[tune]` section, and writes what was found to `out/tuned.toml` after each
/// trial. One rule for all: the lowest train loss after the last epoch wins; a diverged trial counts
/// as infinite; of equal ones the first.
///
/// # Errors
/// An experiment without `[tune]`, or without rates for one of its optimisers; no rate that does not
/// diverge; bad data; an unwritable folder.
pub fn tune(
    experiment: &Experiment,
    out: &Path,
    threads: Option<usize>,
    verbosity: Verbosity,
) -> Result<Tuned, Error> {
    match experiment.dtype {
        Precision::F32 => tune_in::<f32>(experiment, out, threads, verbosity),
        Precision::F64 => tune_in::<f64>(experiment, out, threads, verbosity),
    }
}

fn tune_in<T: Scalar>(
    experiment: &Experiment,
    out: &Path,
    threads: Option<usize>,
    verbosity: Verbosity,
) -> Result<Tuned, Error> {
    experiment.validate()?;
    let Some(config) = &experiment.tune else {
        let remedy = "add it, with seed, epochs and learning_rates";
        return Err(Error::input(&experiment.name, "", "no [tune] section", remedy));
    };
    let mut experiment = experiment.clone();
    experiment.seed = config.seed;
    experiment.epochs = config.epochs;
    experiment.epochs_of.clear();
    let samples = Samples::<T>::load(&experiment.data)?;
    let engine = Engine::open(Choice::Cpu, threads)?;
    let entries = entries(&experiment, None, &samples)?;
    let mut trials = 0;
    for entry in &entries {
        let name = entry.plan.optimizer.name();
        let Some(rates) = config.learning_rates.get(name) else {
            let place = format!("tune.learning_rates.{name}");
            return Err(Error::input(
                &experiment.name,
                place,
                "is missing",
                "list the rates to try",
            ));
        };
        trials += rates.len();
    }
    std::fs::create_dir_all(out).map_err(|e| Error::io(out, "create the folder", &e))?;
    let mut tuned = Tuned {
        experiment: experiment.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_string(),
        seed: config.seed,
        epochs: config.epochs,
        rule: "lowest train loss after the last epoch; a diverged trial counts as infinite"
            .to_string(),
        results: Vec::new(),
    };
    let mut progress = Progress::new(verbosity, trials * config.epochs);
    for entry in entries {
        let name = entry.plan.optimizer.name();
        let mut found = TunedRate {
            optimizer: name.to_string(),
            variant: entry.variant,
            learning_rate: 0.0,
            trials: Vec::new(),
        };
        let mut best = f64::INFINITY;
        for &rate in config.learning_rates.get(name).into_iter().flatten() {
            let mut plan = entry.plan.clone();
            plan.optimizer.set_learning_rate(rate);
            let mut run = Run::new(&plan, &samples, &engine, None)?;
            let label = format!("{} {rate}", entry.name());
            progress.begin(&label, 0, plan.epochs * run.steps_per_epoch());
            let mut tell = |_: &Run<'_, T>, event: Event<'_>| -> Result<(), Error> {
                match event {
                    Event::Step => progress.step(&[]),
                    Event::Epoch(record) => progress.epoch(record, &[]),
                }
                Ok(())
            };
            let mut result = Ok(());
            engine.executor::<T>().install(&mut || result = run.train(false, &mut tell));
            result.map_err(|e| e.at(&label))?;
            let train_loss = match (run.outcome(), run.history().last()) {
                (Outcome::Diverged(_), _) | (_, None) => f64::INFINITY,
                (_, Some(last)) => last.train_loss,
            };
            progress.skip(plan.epochs - usize::from(!run.history().is_empty()));
            if train_loss < best {
                best = train_loss;
                found.learning_rate = rate;
            }
            found.trials.push(Trial { learning_rate: rate, train_loss });
        }
        if best == f64::INFINITY {
            progress.end();
            let place = format!("tune.learning_rates.{name}");
            let problem = "every trial diverged";
            return Err(Error::input(&experiment.name, place, problem, "add smaller rates"));
        }
        tuned.results.push(found);
        write_bytes(&out.join("tuned.toml"), tuned.to_toml()?.as_bytes())?;
    }
    progress.end();
    Ok(tuned)
}
