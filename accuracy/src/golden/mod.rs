//! The program `relfisher curvature` against the golden cases.
//!
//! A case is a folder with a network, data and `expected.safetensors`, written by other packages or
//! from the definitions (`tests/golden/CONVENTIONS.md`, `tests/golden/README.md`). The program is
//! called once for each case and dtype with every quantity that the case expects; every tensor of
//! the case is then compared with what the program wrote. Nothing here uses the library: a number
//! that both got wrong in the same way would pass.
//!
//! - [`Case`]: a folder, and what it asks of the program.
//! - [`compare`]: all comparisons of one answer.
//! - [`check`]: every case of a folder, as a [`Report`].
//! - [`Program`]: calls the program.

mod bundled;
mod compare;
mod condition;
mod eigenbasis;
mod program;
mod quantity;
mod report;
mod tolerance;

use std::path::{Path, PathBuf};

pub use crate::Dtype;
pub use crate::comparison::{Answer, Comparison};
pub use crate::tensors::{Tensor, Tensors};
pub use bundled::{Files, bundled};
pub use compare::{compare, compare_rows};
pub(crate) use eigenbasis::eigenbasis_error;
pub use program::Program;
pub use quantity::{Kind, kind, request, request_rows};
pub use report::Report;

/// A folder of files that belong together.
#[derive(Clone, Debug)]
pub struct Case {
    /// The folder's name.
    pub name: String,
    /// The folder.
    pub folder: PathBuf,
    /// The names of the layers with parameters, in forward order.
    pub params: Vec<String>,
    /// What the program must write.
    pub expected: Tensors,
}

impl Case {
    /// Reads `arch.json` and `expected.safetensors` of a folder.
    ///
    /// # Errors
    /// A file that is missing or damaged, by name.
    pub fn read(folder: &Path) -> Result<Self, String> {
        let file = folder.join("arch.json");
        let text =
            std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        let expected = Tensors::read(&folder.join("expected.safetensors"))?;
        let params = params(&text).map_err(|e| format!("{}: {e}", file.display()))?;
        Ok(Self { name: name_of(folder), folder: folder.to_owned(), params, expected })
    }

    /// The row of the table that a tensor belongs to: its name without the layer at its end.
    pub fn row(&self, name: &str) -> String {
        let cut = self.params.iter().filter_map(|param| {
            name.strip_suffix(param.as_str()).and_then(|rest| rest.strip_suffix('.'))
        });
        cut.min_by_key(|row| row.len()).unwrap_or(name).to_owned()
    }

    /// The rows that the case has; none for a tensor outside the contract.
    pub fn rows(&self) -> Vec<String> {
        let mut rows = Vec::new();
        for name in self.expected.names() {
            let row = self.row(name);
            match kind(name) {
                Err(_) | Ok(Kind::Input | Kind::Foreign) => continue,
                Ok(Kind::Moments) => rows.extend(operator_row(&row)),
                Ok(Kind::Values | Kind::Eigenbasis) => {}
            }
            rows.push(row);
        }
        rows
    }

    /// Whether a tensor serves one of the rows that `wanted` names. An unknown one always does: it
    /// must not go unnoticed.
    fn serves(&self, name: &str, wanted: &dyn Fn(&str) -> bool) -> bool {
        let row = self.row(name);
        kind(name).is_err() || wanted(&row) || operator_row(&row).is_some_and(|row| wanted(&row))
    }
}

/// EKFAC's scale is compared as such and as an operator: `….lambda` → `….operator`.
fn operator_row(row: &str) -> Option<String> {
    row.strip_suffix(".lambda").map(|head| format!("{head}.operator"))
}

/// The last part of a path.
fn name_of(folder: &Path) -> String {
    folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned()
}

/// The names of the layers with parameters in the text of a network file.
fn params(text: &str) -> Result<Vec<String>, String> {
    let net: serde_json::Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let layers = net["layers"].as_array().ok_or("no layers")?;
    Ok(layers.iter().filter_map(|l| l["param"].as_str()).map(str::to_owned).collect())
}

/// What the program is asked for: one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The names for `--quantity`.
    pub quantities: Vec<String>,
    /// The values for `--damping`, spelled as in the names of the tensors.
    pub dampings: Vec<String>,
    /// The dtype of the computation.
    pub dtype: Dtype,
}

/// The folders with a network file: `folder` itself, or those in it, by name.
///
/// # Errors
/// A folder that cannot be read, or none found: a check of nothing must not pass.
pub fn folders(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let holds_case = |path: &Path| path.join("arch.json").is_file();
    if holds_case(folder) {
        return Ok(vec![folder.to_owned()]);
    }
    let unreadable = |e: std::io::Error| format!("{}: {e}", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if holds_case(&path) {
            found.push(path);
        }
    }
    found.sort();
    if found.is_empty() {
        return Err(format!("{}: no folder with an arch.json", folder.display()));
    }
    Ok(found)
}

/// Checks every case below `folder` in both dtypes; `answer` computes what a case asks for.
///
/// A case that cannot be read or answered fails in the report.
///
/// # Errors
/// Those of [`folders`].
pub fn check(
    folder: &Path,
    mut answer: impl FnMut(&Case, &Request) -> Result<Tensors, String>,
) -> Result<Report, String> {
    let mut report = Report::default();
    for folder in folders(folder)? {
        let case = match Case::read(&folder) {
            Ok(case) => case,
            Err(problem) => {
                report.problem(&folder.display().to_string(), None, problem);
                continue;
            }
        };
        for dtype in [Dtype::F64, Dtype::F32] {
            let asked = request(&case, dtype);
            match asked.and_then(|asked| answer(&case, &asked)) {
                Ok(out) => report.add(&case.name, dtype, compare(&case, &out, dtype)),
                Err(problem) => report.problem(&case.name, Some(dtype), problem),
            }
        }
    }
    Ok(report)
}
