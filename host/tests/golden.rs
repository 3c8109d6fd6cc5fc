//! `relfisher curvature` against the golden cases: every tensor that they expect, in both dtypes.

mod common;

use std::path::{Path, PathBuf};

use relfisher_accuracy::golden::{Program, check};

#[test]
fn the_program_agrees_with_every_golden_case() {
    let program = Program {
        executable: PathBuf::from(env!("CARGO_BIN_EXE_relfisher")),
        scratch: common::folder("golden"),
    };
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
    let report = check(&cases, |case, request| program.answer(case, request)).unwrap();
    println!("{report}");
    let failures = report.failures();
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
