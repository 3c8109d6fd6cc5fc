//! The files of a diagnosed run: the statistics of its mini-batches as CSV and pictures, and the
//! weights on the way, for [`crate::evolution`].

use std::fs;
use std::path::{Path, PathBuf};

use super::run::Run;
use crate::diagnostics::{StepRecord, steps_csv};
use crate::error::Error;
use crate::format::{save_parameters, write_bytes};
use crate::plot::diagnostic_curves;
use crate::scalar::Scalar;

/// Where a run leaves its files.
#[derive(Clone, Debug)]
pub(super) struct Diagnosis {
    out: PathBuf,
    run: String,
}

impl Diagnosis {
    /// The files of the run `run` in the folder `out`.
    pub(super) fn new(out: &Path, run: &str) -> Self {
        Self { out: out.to_owned(), run: run.to_owned() }
    }

    fn snapshots(&self) -> PathBuf {
        self.out.join("snapshots").join(&self.run)
    }

    fn stem(&self) -> String {
        format!("diagnostics-{}", self.run)
    }

    /// Removes what an earlier run of this name left.
    pub(super) fn clear(&self) -> Result<(), Error> {
        let folder = self.snapshots();
        match fs::remove_dir_all(&folder) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io(&folder, "remove", &e))
            }
            _ => Ok(()),
        }
    }

    /// Keeps the weights when they are due: before the first step, after 1, 2, 4, … steps of the
    /// first epoch, and at the end of every epoch.
    pub(super) fn snapshot<T: Scalar>(&self, run: &Run<'_, T>) -> Result<(), Error> {
        let (steps, epoch) = (run.steps_done(), run.steps_per_epoch());
        let early = steps < epoch && (steps == 0 || steps.is_power_of_two());
        if !early && !steps.is_multiple_of(epoch) {
            return Ok(());
        }
        let folder = self.snapshots();
        fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, "create the folder", &e))?;
        let path = folder.join(format!("step-{steps:08}.safetensors"));
        if path.exists() {
            // The end of an epoch after its last step, or a run taken up: the same bits.
            return Ok(());
        }
        save_parameters(run.network(), &*run.parameters()?, &path)
    }

    /// Writes the rows so far.
    pub(super) fn write(&self, rows: &[StepRecord]) -> Result<(), Error> {
        let path = self.out.join(format!("{}.csv", self.stem()));
        let bytes =
            steps_csv(rows).map_err(|e| Error::input(path.display(), "", e, "report this"))?;
        write_bytes(&path, &bytes)
    }

    /// Draws the rows; nothing without any.
    pub(super) fn draw(&self, rows: &[StepRecord]) -> Result<Vec<PathBuf>, Error> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        diagnostic_curves(rows, &self.run, &self.out, &self.stem())
    }
}
