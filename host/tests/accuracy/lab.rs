//! What the tests of the gate share.

use std::path::{Path, PathBuf};

use relfisher::accuracy::{Executors, References, measure};
use relfisher_accuracy::Dtype;
use relfisher_accuracy::baseline::{Baseline, Scope};
use relfisher_accuracy::golden::{Files, bundled, folders};
use relfisher_accuracy::ladder::Ladder;
use relfisher_accuracy::table::Table;

/// A file or folder of the checkout's golden cases.
pub(crate) fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(name)
}

/// The committed baseline.
pub(crate) fn committed() -> PathBuf {
    golden("accuracy-baseline.json")
}

/// The content of a baseline file.
pub(crate) fn parse(path: &Path) -> Baseline {
    Baseline::parse(&std::fs::read_to_string(path).expect("a file")).expect("a baseline")
}

/// The ladder and the bundled cases.
pub(crate) fn bundled_references() -> References {
    References { ladder: Some(Ladder::new()), cases: bundled().expect("whole files") }
}

/// The ladder and the cases of the checkout.
pub(crate) fn all_references() -> References {
    let found = folders(&golden("")).expect("cases");
    let cases = found.iter().map(|folder| Files::read(folder).expect("a case")).collect();
    References { ladder: Some(Ladder::new()), cases }
}

/// Everything in the references that `quantities` name.
pub(crate) fn scope(references: &References, quantities: &[&str]) -> Scope {
    Scope {
        sources: vec!["ladder".into(), "golden".into()],
        quantities: quantities.iter().map(|q| (*q).to_owned()).collect(),
        dtypes: vec![Dtype::F64, Dtype::F32],
        device: "cpu".into(),
        cases: references.cases.iter().map(|files| files.case.name.clone()).collect(),
    }
}

/// The table of some executors, gated by a baseline.
pub(crate) fn gated(
    references: &References,
    quantities: &[&str],
    executors: &Executors<'_>,
    baseline: &Baseline,
) -> Table {
    let scope = scope(references, quantities);
    baseline.check_cases(&scope).expect("the same cases");
    let mut table = measure(references, &scope, executors, &mut |_| {});
    baseline.gate(&mut table, &scope);
    table
}

/// The failures, one line each.
pub(crate) fn failures(table: &Table) -> Vec<String> {
    table.failures().iter().map(ToString::to_string).collect()
}
