//! Fails when a public function of the core is named in no test: new code comes with its proof.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Public functions that no test needs to name, each with the reason.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("power_of_two", "a step of the exponentials in a private module, proved by their ulp tests"),
    (
        "upper_half",
        "a step of the split products in a private module, proved by the ulp tests of ν",
    ),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn text(folders: &[&str]) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let mut files = Vec::new();
    for folder in folders {
        sources(&root.join(folder), &mut files);
    }
    files.sort();
    files
        .into_iter()
        .map(|p| (p.clone(), std::fs::read_to_string(p).expect("a readable source")))
        .collect()
}

/// The name of the function that a line declares as public (or as part of a public trait).
fn declared(line: &str, in_trait: bool) -> Option<&str> {
    let line = line.trim_start();
    let rest = ["pub fn ", "pub const fn "]
        .iter()
        .find_map(|p| line.strip_prefix(p))
        .or_else(|| if in_trait { line.strip_prefix("fn ") } else { None })?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

#[test]
fn every_public_function_of_the_core_is_tested() {
    let mut names: BTreeMap<String, PathBuf> = BTreeMap::new();
    for (path, source) in text(&["core/src"]) {
        let mut in_trait = false;
        for line in source.lines() {
            if line.starts_with("pub trait") {
                in_trait = true;
            } else if line.starts_with('}') {
                in_trait = false;
            }
            if let Some(name) = declared(line, in_trait) {
                names.entry(name.to_owned()).or_insert_with(|| path.clone());
            }
        }
    }
    assert!(names.len() > 50, "the scan found only {} functions", names.len());
    let words: BTreeSet<String> = text(&["tests/src", "tests/tests"])
        .iter()
        .filter(|(path, _)| !path.ends_with("tests/coverage.rs"))
        .flat_map(|(_, source)| {
            source
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    for (name, reason) in EXCEPTIONS {
        assert!(names.contains_key(*name), "exception {name} names no function of the core");
        assert!(!words.contains(*name), "exception {name} is tested: remove it");
        assert!(reason.len() > 10, "exception {name} has no reason");
    }
    let missing: Vec<String> = names
        .iter()
        .filter(|(name, _)| !words.contains(*name))
        .filter(|(name, _)| EXCEPTIONS.iter().all(|(e, _)| e != name))
        .map(|(name, path)| format!("{name} ({})", path.display()))
        .collect();
    assert!(missing.is_empty(), "public functions of the core in no test:\n{}", missing.join("\n"));
}
