//! The proof that no panic of the core can be reached.
//!
//! The crate `ci/no-panic` calls every public routine of the core with arguments that the optimiser
//! knows nothing about, and its panic handler calls a function that exists nowhere. Linked with
//! full LTO and without unused sections, it links exactly when no panic (an index check, an integer
//! division, a slice conversion) survives. A second look at the sources makes sure that each public
//! routine is called there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use relfisher_ci::Outcome;
use relfisher_ci::repository::{self, output, root};
use relfisher_ci::sources::rust_files;

/// The undefined function that the proof's panic handler calls.
const MARKER: &str = "relfisher_panic_is_reachable";

/// Routines that the proof need not call, each with its reason.
const EXEMPT: &[(&str, &str)] = &[("fmt", "formatting of errors: core::fmt is not called on data")];

/// Builds the proof, negative control first.
pub(crate) fn prove() -> Outcome {
    complete()?;
    // A proof that cannot fail proves nothing: with a planted panic the link must break.
    match build(&["--features", "planted"]) {
        Ok(()) => return Err("the planted panic was not found: the proof is void".to_owned()),
        Err(text) if text.contains(MARKER) => println!("planted panic: found, as it must be"),
        Err(text) => return Err(format!("the control build failed for another reason:\n{text}")),
    }
    if let Err(text) = build(&[]) {
        let callers = callers().unwrap_or_default();
        return Err(if callers.is_empty() {
            text
        } else {
            format!("a panic is reachable; the functions that keep one:\n{}", callers.join("\n"))
        });
    }
    println!("linked: no panic is reachable from any probe");
    Ok(())
}

fn build(extra: &[&str]) -> Result<(), String> {
    let mut arguments = vec!["build", "--release", "--manifest-path", "ci/no-panic/Cargo.toml"];
    arguments.extend(extra);
    let mut command = repository::command("cargo", &arguments);
    command
        .env("CARGO_TARGET_DIR", root().join("target/no-panic"))
        .env("RUSTFLAGS", "-C link-arg=-lc -C link-arg=-Wl,--gc-sections -C link-arg=-Wl,-z,defs");
    output(command).map(|_| ())
}

/// The functions of the optimised proof that call a panicking routine, with the routine.
fn callers() -> Result<Vec<String>, String> {
    let target = root().join("target/no-panic");
    let mut command = repository::command(
        "cargo",
        &["rustc", "--release", "--manifest-path", "ci/no-panic/Cargo.toml", "--", "--emit=asm"],
    );
    command.env("CARGO_TARGET_DIR", &target);
    output(command)?;
    let mut found = BTreeSet::new();
    let folder = target.join("release/deps");
    for entry in fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))? {
        let path = entry.map_err(|e| e.to_string())?.path();
        if path.extension().is_none_or(|e| e != "s") {
            continue;
        }
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let mut function = "";
        for line in text.lines() {
            if !line.starts_with(['\t', '.', ' ', '#']) && line.ends_with(':') {
                function = line.trim_end_matches(':');
            } else if !function.contains("panicking")
                && let Some((_, callee)) =
                    line.split_once("call").or_else(|| line.split_once("jmp"))
                && (callee.contains("panicking") || callee.contains("_fail"))
            {
                found.insert(format!(
                    "  {function} calls {}",
                    callee.trim_start_matches('q').trim()
                ));
            }
        }
    }
    Ok(found.into_iter().collect())
}

/// Every public function of the core is called in the proof (or exempt, with a reason).
fn complete() -> Outcome {
    let mut probes = String::new();
    for path in rust_files(&root().join("ci/no-panic/src"))? {
        probes += &fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    let words: BTreeSet<&str> =
        probes.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
    let mut missing = Vec::new();
    for path in rust_files(&root().join("core/src"))? {
        for name in public_functions(&path)? {
            let exempt = EXEMPT.iter().any(|(n, _)| *n == name);
            if !exempt && !words.contains(name.as_str()) {
                missing.push(format!("{name} ({})", path.display()));
            }
        }
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "public routines of core without a probe in ci/no-panic: {}",
            missing.join(", ")
        ))
    }
}

/// The names after `pub fn` and `pub const fn` in a file, in order.
fn public_functions(path: &Path) -> Result<Vec<String>, String> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut names = Vec::new();
    for line in text.lines() {
        let code = line.trim_start();
        let rest = code.strip_prefix("pub fn ").or_else(|| code.strip_prefix("pub const fn "));
        if let Some(rest) = rest {
            names.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    Ok(names)
}
