//! The job `api`: the public items of the libraries against the committed lists, and the functions of
//! the core that no example calls.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use public_api::Builder;

use relfisher_ci::Outcome;
use relfisher_ci::repository::{command, output, root, run};

use crate::doc_examples;

/// The crates whose public items are kept.
const CRATES: [&str; 2] = ["relfisher-core", "relfisher"];

/// The folder of the lists.
const FOLDER: &str = "ci/api";

/// Compares both lists, or writes them.
pub(crate) fn check(update: bool) -> Outcome {
    let rustdoc = unlocked_rustdoc()?;
    let mut complaints = Vec::new();
    for package in CRATES {
        let json = describe(package, &rustdoc)?;
        let api = Builder::from_rustdoc_json(&json)
            .omit_blanket_impls(true)
            .omit_auto_trait_impls(true)
            .omit_auto_derived_impls(true)
            .build()
            .map_err(|e| {
                format!(
                    "{}: {e}; the pinned `public-api` reads the rustdoc of Rust 1.95",
                    json.display()
                )
            })?;
        let list: String = api.items().map(|item| format!("{item}\n")).collect();
        complaints.extend(compare(&format!("{FOLDER}/{package}.txt"), &list, update)?);
    }
    let core = root().join("target/doc/relfisher_core.json");
    complaints.extend(doc_examples::check(
        &core,
        &format!("{FOLDER}/without-example.txt"),
        update,
    )?);
    if complaints.is_empty() { Ok(()) } else { Err(format!("\n{}", complaints.join("\n"))) }
}

/// A program that calls rustdoc with its unstable output unlocked. Setting the variable for cargo would
/// build all dependencies again.
fn unlocked_rustdoc() -> Result<PathBuf, String> {
    let path = root().join("target/unlocked-rustdoc");
    let failed = |e: std::io::Error| format!("{}: {e}", path.display());
    fs::write(&path, "#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc \"$@\"\n").map_err(failed)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(failed)?;
    Ok(path)
}

/// Describes a library in JSON and returns the file.
fn describe(package: &str, rustdoc: &Path) -> Result<PathBuf, String> {
    let arguments = ["rustdoc", "--release", "--quiet", "--lib", "-p", package, "--"];
    let json = ["-Zunstable-options", "--output-format", "json"];
    let mut cargo = command("cargo", &[arguments.as_slice(), &json].concat());
    cargo.env("RUSTDOC", rustdoc);
    run(cargo)?;
    Ok(root().join("target/doc").join(format!("{}.json", package.replace('-', "_"))))
}

/// Writes a list, or says where the committed one differs.
fn compare(name: &str, list: &str, update: bool) -> Result<Option<String>, String> {
    let path = root().join(name);
    if update {
        fs::write(&path, list).map_err(|e| format!("{name}: {e}"))?;
    }
    let old = fs::read_to_string(&path)
        .map_err(|e| format!("{name}: {e}; `cargo ci api --update` writes it"))?;
    if old == list {
        println!("{name}: {} items, as committed", list.lines().count());
        return Ok(None);
    }
    let new = root().join("target").join(Path::new(name).file_name().unwrap_or_default());
    fs::write(&new, list).map_err(|e| format!("{}: {e}", new.display()))?;
    // `diff` ends with 1 where the files differ.
    let line = format!("diff -U0 {name} {} || [ $? -eq 1 ]", new.display());
    let difference = output(command("sh", &["-c", &line]))?;
    Ok(Some(format!(
        "{difference}{name}: the public items changed; if that is meant, say so in CHANGELOG.md and \
         run `cargo ci api --update`"
    )))
}
