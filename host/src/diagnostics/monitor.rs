//! The statistics of a run while it trains.

use relfisher_core::stats::cosine;

use super::batch::{BatchScratch, batch_noise};
use super::record::StepRecord;
use crate::error::Error;
use crate::executor::Executor;
use crate::network::{Network, Tape};
use crate::{Scalar, vectorised};

/// The rows of a run so far, and what the next one needs.
#[derive(Debug)]
pub(crate) struct Monitor<T> {
    /// Steps between two rows; `None` where a run is continued without them, and only keeps the old.
    every: Option<usize>,
    rows: Vec<StepRecord>,
    /// The gradient of the step before, where the next one is measured.
    previous: Vec<T>,
    previous_step: Option<usize>,
    scratch: BatchScratch<T>,
}

/// A monitor between two steps, for a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Saved<T> {
    pub(crate) rows: Vec<StepRecord>,
    /// The gradient of the last step; empty where it is not needed.
    pub(crate) previous: Vec<T>,
}

/// One mini-batch after its passes.
pub(crate) struct Measured<'a, T: Scalar> {
    pub(crate) executor: &'a dyn Executor<T>,
    pub(crate) network: &'a Network<T>,
    pub(crate) tape: &'a Tape<T>,
    pub(crate) gradient: &'a [T],
    pub(crate) loss: f64,
}

impl<T: Scalar> Monitor<T> {
    /// A monitor that measures every `every` steps, from the first on.
    pub(crate) fn new(every: Option<usize>) -> Self {
        Self {
            every: every.map(|every| every.max(1)),
            rows: Vec::new(),
            previous: Vec::new(),
            previous_step: None,
            scratch: BatchScratch::default(),
        }
    }

    /// The rows so far.
    pub(crate) fn rows(&self) -> &[StepRecord] {
        &self.rows
    }

    /// Looks at a mini-batch of step `step` (from 0) of epoch `epoch` (from 1).
    pub(crate) fn look(
        &mut self,
        (step, epoch): (usize, usize),
        batch: &Measured<'_, T>,
    ) -> Result<(), Error> {
        let Some(every) = self.every else { return Ok(()) };
        if step.is_multiple_of(every) {
            let values = (batch.network, batch.tape);
            let noise = batch_noise(batch.executor, values, batch.gradient, &mut self.scratch)?;
            let before = step.checked_sub(1).is_some_and(|last| self.previous_step == Some(last));
            let consecutive = if before {
                vectorised!(cosine(batch.gradient, &self.previous))?.to_f64()
            } else {
                f64::NAN
            };
            let place = (batch.tape.batch(), batch.loss);
            self.rows.push(StepRecord::new((step, epoch), place, &noise, consecutive));
        }
        if (step + 1).is_multiple_of(every) {
            self.previous.clear();
            self.previous.extend_from_slice(batch.gradient);
            self.previous_step = Some(step);
        }
        Ok(())
    }

    /// What a checkpoint after `steps` steps keeps; `None` where nothing was measured.
    pub(crate) fn save(&self, steps: usize) -> Option<Saved<T>> {
        if self.rows.is_empty() {
            return None;
        }
        let needed = self.previous_step.is_some_and(|last| last + 1 == steps);
        let previous = if needed { self.previous.clone() } else { Vec::new() };
        Some(Saved { rows: self.rows.clone(), previous })
    }

    /// Takes the rows up after `steps` steps.
    pub(crate) fn load(&mut self, saved: Saved<T>, steps: usize) {
        self.previous_step = if saved.previous.is_empty() { None } else { steps.checked_sub(1) };
        self.rows = saved.rows;
        self.previous = saved.previous;
    }
}
