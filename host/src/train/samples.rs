//! The samples of an experiment, as the numbers that a network takes.

use serde_json::json;

use super::experiment::{DataConfig, Scaling};
use crate::dataset::{Dataset, Split};
use crate::error::Error;
use crate::scalar::Scalar;

/// A training set, a test set, and what a record says about them.
#[derive(Debug)]
pub(crate) struct Samples<T> {
    pub(crate) train: Dataset<T>,
    pub(crate) test: Dataset<T>,
    pub(crate) description: serde_json::Value,
}

impl<T: Scalar> Samples<T> {
    /// Reads the data of an experiment, cut and scaled as it says.
    ///
    /// # Errors
    /// Those of the reader: file, place and remedy.
    pub(crate) fn load(config: &DataConfig) -> Result<Self, Error> {
        let split = match (&config.directory, &config.curves) {
            (Some(folder), _) => Split::open(folder, config.classes)?,
            (None, Some(curves)) => {
                let (train, test) = config.curve_samples();
                Split::curves(curves.seed, train, test)?
            }
            (None, None) => Split::bundled()?,
        };
        let train = cut(split.train, config.train_samples)?;
        let test = cut(split.test, config.test_samples)?;
        let (train, test) = match config.scaling {
            Scaling::Unit => (train, test),
            Scaling::Standard => {
                let (mean, deviation) = moments(&train);
                (standard(&train, mean, deviation)?, standard(&test, mean, deviation)?)
            }
        };
        let description = json!({
            "source": split.source,
            "scaling": config.scaling,
            "train_samples": train.len(),
            "test_samples": test.len(),
            "crc32": format!("{:08x}", fingerprint(&[&train, &test])),
        });
        Ok(Self { train, test, description })
    }
}

/// The first `limit` samples.
fn cut<T: Scalar>(set: Dataset<T>, limit: Option<usize>) -> Result<Dataset<T>, Error> {
    match limit {
        Some(n) if n < set.len() => {
            let features = (0..n).flat_map(|i| set.features().row(i).to_vec()).collect();
            let labels = set.labels().iter().take(n).copied().collect();
            Dataset::new(features, set.width(), labels, set.classes())
        }
        _ => Ok(set),
    }
}

/// Mean and standard deviation over all features of all samples.
fn moments<T: Scalar>(set: &Dataset<T>) -> (f64, f64) {
    let (mut sum, mut squares) = (0.0, 0.0);
    for i in 0..set.len() {
        for x in set.features().row(i) {
            let x = x.to_f64();
            sum += x;
            squares += x * x;
        }
    }
    let n = (set.len() * set.width()) as f64;
    let mean = sum / n;
    let variance = (squares / n - mean * mean).max(0.0);
    (mean, if variance > 0.0 { variance.sqrt() } else { 1.0 })
}

fn standard<T: Scalar>(set: &Dataset<T>, mean: f64, deviation: f64) -> Result<Dataset<T>, Error> {
    let scale = |x: &T| T::from_f64((x.to_f64() - mean) / deviation);
    let rows = 0..set.len();
    let features = rows.flat_map(|i| set.features().row(i).iter().map(scale).collect::<Vec<T>>());
    Dataset::new(features.collect(), set.width(), set.labels().to_vec(), set.classes())
}

/// CRC-32 over the numbers and classes: a resumed run must see the same data.
fn fingerprint<T: Scalar>(sets: &[&Dataset<T>]) -> u32 {
    let mut crc = flate2::Crc::new();
    let mut bytes = Vec::new();
    for set in sets {
        for (i, label) in set.labels().iter().enumerate() {
            bytes.clear();
            set.features().row(i).iter().for_each(|x| x.write_le(&mut bytes));
            bytes.extend((*label as u64).to_le_bytes());
            crc.update(&bytes);
        }
    }
    crc.sum()
}
