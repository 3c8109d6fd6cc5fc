//! The committed results: every run of the CPU in the order of time, and those of GPUs.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::gpu::GpuRun;
use crate::record::{LAYOUT, Record};

/// A file and what it holds.
#[derive(Clone, Debug)]
pub struct Named<T> {
    /// Where it was read.
    pub path: PathBuf,
    /// What was read.
    pub content: T,
}

impl<T> Named<T> {
    /// The name of the file.
    #[must_use]
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }
}

/// What a folder of results holds.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// Runs of the CPU, oldest first.
    pub records: Vec<Named<Record>>,
    /// Runs of GPUs, oldest first.
    pub gpu: Vec<Named<GpuRun>>,
    /// Files that were left out, and why.
    pub left_out: Vec<String>,
}

impl Results {
    /// Reads every `.json` of a folder and of its folders `cpu` and `gpu`. A record of another layout
    /// is left out and said so: history outlives layouts.
    ///
    /// # Errors
    /// A folder that cannot be read; a file that is neither a record nor the `bench.json` of a GPU.
    pub fn read(folder: &Path) -> Result<Self, String> {
        let mut results = Self::default();
        for path in files(folder)? {
            results.add(path)?;
        }
        results.records.sort_by_key(|record| record.content.run.unix_seconds);
        results.gpu.sort_by_key(|run| run.content.unix_seconds);
        Ok(results)
    }

    /// One record alone.
    #[must_use]
    pub fn of(path: &Path, content: Record) -> Self {
        let records = vec![Named { path: path.to_owned(), content }];
        Self { records, ..Self::default() }
    }

    fn add(&mut self, path: PathBuf) -> Result<(), String> {
        let problem = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
        let text = std::fs::read_to_string(&path).map_err(|e| problem(&e))?;
        let value: Value = serde_json::from_str(&text).map_err(|e| {
            let remedy = "measure it again, or move it elsewhere";
            problem(&format!("{e}: no result: {remedy}"))
        })?;
        let layout = value.get("layout");
        if layout.is_some_and(|found| *found != LAYOUT) {
            let found = layout.unwrap_or(&Value::Null);
            let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
            self.left_out.push(format!("{name}: layout {found}, not {LAYOUT}"));
        } else if layout.is_some() {
            let content = Record::read(&path)?;
            self.records.push(Named { path, content });
        } else if value.get("rows").is_some() {
            let content = GpuRun::parse(&value)
                .map_err(|e| problem(&format!("{e}: measure it again, or move it elsewhere")))?;
            self.gpu.push(Named { path, content });
        } else {
            let remedy = "neither a record of `relfisher-bench measure` nor the bench.json of \
                          `relfisher-bench gpu`: move it elsewhere";
            return Err(problem(&remedy));
        }
        Ok(())
    }

    /// The record that was measured last.
    #[must_use]
    pub fn newest(&self) -> Option<&Named<Record>> {
        self.records.last()
    }
}

/// The files that [`Results::read`] reads.
///
/// # Errors
/// A folder that cannot be read.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut paths = json_files(folder)?;
    for below in ["cpu", "gpu"].map(|name| folder.join(name)) {
        if below.is_dir() {
            paths.extend(json_files(&below)?);
        }
    }
    Ok(paths)
}

/// The `.json` files of a folder by name.
fn json_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let problem = |e: std::io::Error| format!("{}: {e}", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(problem)? {
        let path = entry.map_err(problem)?.path();
        if path.is_file() && path.extension().is_some_and(|e| e == "json") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
