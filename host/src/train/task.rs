//! What a network learns, and what its outputs are compared with.

use relfisher_core::MatRef;
use serde::{Deserialize, Serialize};

use crate::dataset::Dataset;
use crate::error::Error;
use crate::network::Targets;
use crate::scalar::Scalar;

/// What a network learns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// The class of a sample.
    #[default]
    Classify,
    /// To give back its input, through a code.
    Autoencode,
}

/// What records and curves count progress in, besides seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pace {
    /// Passes over the training set.
    #[default]
    Epochs,
    /// Steps of the optimiser; the records hold them too.
    Updates,
}

/// What the outputs of a mini-batch should be.
#[derive(Debug)]
pub(crate) struct Goals<T> {
    task: Task,
    classes: Vec<usize>,
    values: Vec<T>,
    width: usize,
}

impl<T: Scalar> Goals<T> {
    pub(crate) fn new(task: Task) -> Self {
        Self { task, classes: Vec::new(), values: Vec::new(), width: 0 }
    }

    /// Makes the samples `indices` of `set` the mini-batch.
    pub(crate) fn gather(&mut self, set: &Dataset<T>, indices: &[usize]) {
        self.classes.clear();
        self.values.clear();
        self.width = set.width();
        match self.task {
            Task::Classify => {
                self.classes.extend(indices.iter().filter_map(|&i| set.labels().get(i)));
            }
            Task::Autoencode => {
                let features = set.features();
                indices.iter().for_each(|&i| self.values.extend_from_slice(features.row(i)));
            }
        }
    }

    /// The targets of the mini-batch.
    pub(crate) fn targets(&self) -> Result<Targets<'_, T>, Error> {
        Ok(match self.task {
            Task::Classify => Targets::Classes(&self.classes),
            Task::Autoencode => {
                let rows = self.values.len() / self.width.max(1);
                Targets::Values(MatRef::new(&self.values, rows, self.width)?)
            }
        })
    }

    /// The targets of a whole data set.
    pub(crate) fn of<'a>(&self, set: &'a Dataset<T>) -> Targets<'a, T> {
        match self.task {
            Task::Classify => Targets::Classes(set.labels()),
            Task::Autoencode => Targets::Values(set.features()),
        }
    }
}
