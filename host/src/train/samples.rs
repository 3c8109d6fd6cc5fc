//! The samples of an experiment, as the numbers that a network takes.

use std::path::Path;

use relfisher_core::{MatRef, Real};
use serde_json::json;

use super::experiment::{DataConfig, Scaling};
use crate::dataset::Dataset;
use crate::error::Error;
use crate::scalar::Scalar;

/// One half of a data set: a row of numbers and a class for each sample.
#[derive(Debug)]
pub(crate) struct Part<T> {
    values: Vec<T>,
    pixels: usize,
    pub(crate) labels: Vec<usize>,
}

impl<T: Scalar> Part<T> {
    /// The inputs, n × pixels.
    pub(crate) fn features(&self) -> Result<MatRef<'_, T>, Error> {
        Ok(MatRef::new(&self.values, self.labels.len(), self.pixels)?)
    }

    /// The classes of some samples.
    pub(crate) fn labels_of(&self, indices: &[usize]) -> Vec<usize> {
        indices.iter().filter_map(|&i| self.labels.get(i).copied()).collect()
    }
}
