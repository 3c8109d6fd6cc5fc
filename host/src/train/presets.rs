//! The experiments that the program carries.

use std::path::Path;

use super::experiment::{Experiment, Size};
use super::tuned::Tuned;
use crate::error::Error;

/// An experiment by name, with the learning rates of `--tune` where they are in a file of their own.
struct Preset {
    name: &'static str,
    text: &'static str,
    tuned: Option<&'static str>,
}

macro_rules! file {
    ($name:literal) => {
        include_str!(concat!("../../data/experiments/", $name, ".toml"))
    };
}

/// The first one, of S4 (slides 25-27), runs when no experiment is named; the others are those of S1
/// and S3.
const PRESETS: [Preset; 4] = [
    Preset { name: "s4", text: file!("s4"), tuned: Some(file!("s4-tuned")) },
    Preset { name: "mnist-autoencoder", text: file!("mnist-autoencoder"), tuned: None },
    Preset { name: "curves-autoencoder", text: file!("curves-autoencoder"), tuned: None },
    Preset { name: "digits-cnn", text: file!("digits-cnn"), tuned: None },
];

impl Experiment {
    /// The names of the bundled experiments.
    pub fn bundled_names() -> impl Iterator<Item = &'static str> {
        PRESETS.iter().map(|preset| preset.name)
    }

    /// The bundled experiment `name`, with its tuned learning rates; `None` when there is none of
    /// that name.
    ///
    /// # Errors
    /// The full size of an experiment that has none.
    pub fn bundled(name: &str, size: Size) -> Result<Option<(Self, Option<Tuned>)>, Error> {
        let Some(preset) = PRESETS.iter().find(|preset| preset.name == name) else {
            return Ok(None);
        };
        let experiment = Self::parse(preset.text, &format!("{name}.toml"), size)?;
        let tuned = match preset.tuned {
            Some(text) => Some(Tuned::parse(text, &format!("{name}-tuned.toml"))?),
            None => None,
        };
        Ok(Some((experiment, tuned)))
    }

    /// The experiment of S4, with its tuned learning rates.
    ///
    /// # Errors
    /// The full size, which it does not have: it is small.
    pub fn s4(size: Size) -> Result<(Self, Option<Tuned>), Error> {
        Self::find(Path::new("s4"), size)
    }

    /// A bundled experiment by its name, or that of a file.
    ///
    /// # Errors
    /// Those of [`Experiment::load`]; a plain word that is neither the name of a bundled experiment
    /// nor a file is refused with the list of names.
    pub fn find(name: &Path, size: Size) -> Result<(Self, Option<Tuned>), Error> {
        let word = name.to_str().unwrap_or_default();
        if let Some(found) = Self::bundled(word, size)? {
            return Ok(found);
        }
        let is_word = !word.is_empty() && !word.contains(['/', '\\', '.']);
        if is_word && !name.exists() {
            let names: Vec<&str> = Self::bundled_names().collect();
            return Err(Error::input(
                "--experiment",
                word,
                "no bundled experiment has this name, and there is no such file",
                format_args!("use {}, or the path of a file", names.join(", ")),
            ));
        }
        Self::load(name, size)
    }
}
