//! Data sets: the IDX reader, the bundled MNIST-10k subset, images of random curves, mini-batches.

mod curves;
mod idx;

use std::path::{Path, PathBuf};

use relfisher_core::MatRef;

pub use curves::{CURVE_SAMPLES, CURVE_SIDE, Curve};
pub use idx::Idx;

use crate::network::Tape;
use crate::random::{self, Rng};
use crate::{Error, Scalar};

/// How pixels become numbers, for records: every byte x is divided by 255.
pub const NORMALISATION: &str = "x/255";

/// The name of the bundled data in tables and records.
pub const BUNDLED: &str = "MNIST-10k subset";

/// The attribution and licence (CC BY-SA 3.0) of the bundled data.
pub const BUNDLED_NOTICE: &str = include_str!("../../data/mnist10k/README.md");

/// Labelled samples: one row of features and one class each.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset<T> {
    features: Vec<T>,
    labels: Vec<usize>,
    width: usize,
    classes: usize,
}

/// A training and a test set of the same kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Split<T> {
    /// Where the data came from, for records.
    pub source: String,
    /// The samples to learn from.
    pub train: Dataset<T>,
    /// The samples to judge by.
    pub test: Dataset<T>,
}

impl<T: Scalar> Dataset<T> {
    /// A data set of `labels.len()` samples with `width` features each, row by row.
    ///
    /// # Errors
    /// No samples, a wrong number of features, a feature that is not finite, or a label that is not
    /// below `classes`: named with its sample.
    pub fn new(
        features: Vec<T>,
        width: usize,
        labels: Vec<usize>,
        classes: usize,
    ) -> Result<Self, Error> {
        if labels.is_empty() || width == 0 {
            return Err(Error::input("", "", "no samples", "give at least one"));
        }
        if labels.len().checked_mul(width) != Some(features.len()) {
            return Err(Error::input(
                "",
                "",
                format_args!("{} numbers for {} samples of {width}", features.len(), labels.len()),
                "give as many labels as samples",
            ));
        }
        if let Some(k) = features.iter().position(|x| !x.is_finite()) {
            return Err(Error::input(
                "",
                format_args!("sample {}, feature {}", k / width, k % width),
                format_args!("is {}", features[k]),
                "remove or replace numbers that are not finite",
            ));
        }
        check_labels(labels.iter().copied(), classes)?;
        Ok(Self { features, labels, width, classes })
    }

    /// Images and labels of two IDX files (plain or gzip), pixels divided by 255.
    ///
    /// # Errors
    /// A file that is missing, truncated or of the wrong kind, unequal counts, a label that is not
    /// below `classes`: file, place and remedy.
    pub fn open_idx(images: &Path, labels: &Path, classes: usize) -> Result<Self, Error> {
        let name = |path: &Path| path.display().to_string();
        let read = |path: &Path| std::fs::read(path).map_err(|e| Error::io(path, "read", &e));
        Self::from_idx((&name(images), &read(images)?), (&name(labels), &read(labels)?), classes)
    }

    /// [`Dataset::open_idx`] for files that were read already, as (name, bytes).
    ///
    /// # Errors
    /// As [`Dataset::open_idx`].
    pub fn from_idx(
        (images_name, images): (&str, &[u8]),
        (labels_name, labels): (&str, &[u8]),
        classes: usize,
    ) -> Result<Self, Error> {
        let images = Idx::images(images).map_err(|e| e.in_file(images_name))?;
        let labels = Idx::labels(labels).map_err(|e| e.in_file(labels_name))?;
        let (n, count) = (images.samples(), labels.samples());
        if n != count {
            return Err(Error::input(
                labels_name,
                "byte 4 (number of labels)",
                format_args!("{count} labels, but {images_name} has {n} images"),
                "give the two files of the same set",
            ));
        }
        check_labels(labels.data.iter().map(|&b| usize::from(b)), classes)
            .map_err(|e| e.in_file(labels_name))?;
        let table: Vec<T> = (0..=255).map(|x| T::from_f64(f64::from(x) / 255.0)).collect();
        Ok(Self {
            features: images.data.iter().map(|&x| table[usize::from(x)]).collect(),
            labels: labels.data.into_iter().map(usize::from).collect(),
            width: images.shape[1..].iter().product(),
            classes,
        })
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no samples (there always are).
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The first `limit` samples; all where there are fewer.
    ///
    /// # Errors
    /// A limit of 0.
    pub fn first(mut self, limit: usize) -> Result<Self, Error> {
        let n = limit.min(self.len());
        self.features.truncate(n * self.width);
        self.labels.truncate(n);
        if n == 0 {
            return Err(Error::input("", "", "no samples", "give at least one"));
        }
        Ok(self)
    }

    /// The number of features of a sample.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The number of classes; every label lies below it.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// All features (samples × width).
    pub fn features(&self) -> MatRef<'_, T> {
        match MatRef::new(&self.features, self.labels.len(), self.width) {
            Ok(m) => m,
            Err(_) => unreachable!("the constructors compare the lengths"),
        }
    }

    /// The class of every sample.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// Makes the samples `indices` the batch of the tape, and `labels` their classes.
    ///
    /// # Errors
    /// Those of [`Tape::gather`].
    pub fn gather(
        &self,
        indices: &[usize],
        tape: &mut Tape<T>,
        labels: &mut Vec<usize>,
    ) -> Result<(), Error> {
        tape.gather(self.features(), indices)?;
        labels.clear();
        labels.extend(indices.iter().filter_map(|&i| self.labels.get(i)));
        Ok(())
    }

    /// A random order of all samples, to be cut into mini-batches with `chunks`. With a stream of
    /// its own for every epoch ([`random::stream`]) a resumed run finds the same order.
    pub fn shuffled(&self, rng: &mut Rng) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        random::shuffle(&mut order, rng);
        order
    }
}

impl<T: Scalar> Split<T> {
    /// The MNIST-10k subset that the library carries: 8,000 + 2,000 digits, 28×28. See
    /// [`BUNDLED_NOTICE`] for its source and licence.
    ///
    /// # Errors
    /// None with an intact library.
    pub fn bundled() -> Result<Self, Error> {
        macro_rules! file {
            ($name:literal) => {
                ($name, &include_bytes!(concat!("../../data/mnist10k/", $name))[..])
            };
        }
        Ok(Self {
            source: BUNDLED.to_owned(),
            train: Dataset::from_idx(
                file!("train-images-idx3-ubyte.gz"),
                file!("train-labels-idx1-ubyte.gz"),
                10,
            )?,
            test: Dataset::from_idx(
                file!("t10k-images-idx3-ubyte.gz"),
                file!("t10k-labels-idx1-ubyte.gz"),
                10,
            )?,
        })
    }

    /// The training and test set of a folder of IDX files with the usual names:
    /// `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte`,
    /// `t10k-labels-idx1-ubyte`, each plain or with `.gz`.
    ///
    /// # Errors
    /// A missing file or one of [`Dataset::open_idx`]; test images of another size.
    pub fn open(folder: &Path, classes: usize) -> Result<Self, Error> {
        let open = |set: &str| {
            Dataset::open_idx(
                &find(folder, &format!("{set}-images"), "idx3-ubyte")?,
                &find(folder, &format!("{set}-labels"), "idx1-ubyte")?,
                classes,
            )
        };
        let (train, test): (Dataset<T>, Dataset<T>) = (open("train")?, open("t10k")?);
        if train.width != test.width {
            return Err(Error::input(
                folder.display(),
                "t10k-images",
                format_args!("{} pixels, but train-images has {}", test.width, train.width),
                "give two sets of the same kind",
            ));
        }
        Ok(Self { source: folder.display().to_string(), train, test })
    }
}

/// The first file of the folder that has one of the usual spellings of the name.
fn find(folder: &Path, stem: &str, kind: &str) -> Result<PathBuf, Error> {
    let spellings = ["-", "."].map(|dash| format!("{stem}{dash}{kind}"));
    for name in spellings.iter().flat_map(|s| [s.clone(), format!("{s}.gz")]) {
        let path = folder.join(name);
        if path.is_file() {
            return Ok(path);
        }
    }
    let (problem, remedy) = if folder.is_dir() {
        (format!("no file {stem}-{kind} or {stem}-{kind}.gz"), "put the IDX file there")
    } else {
        ("no such folder".to_owned(), "give the folder of the IDX files")
    };
    Err(Error::input(folder.display(), "", problem, remedy))
}

fn check_labels(labels: impl Iterator<Item = usize>, classes: usize) -> Result<(), Error> {
    match labels.enumerate().find(|(_, label)| *label >= classes) {
        None => Ok(()),
        Some((i, label)) => Err(Error::input(
            "",
            format_args!("label {i}"),
            format_args!(
                "is {label}, but there are {classes} classes (0 to {})",
                classes.max(1) - 1
            ),
            "correct the label, or give the network more outputs",
        )),
    }
}
