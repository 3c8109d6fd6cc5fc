//! The job `gpu-bundle`: everything that a GPU machine without Rust needs, in one folder.

use std::fs;
use std::path::{Path, PathBuf};

use relfisher_ci::Outcome;
use relfisher_ci::repository::{artifacts, artifacts_of, command, output, root, run};
use relfisher_ci::stub;
use serde_json::Value;

use crate::Options;
use crate::cuda_drivers::driver_tests;

/// The most that the folder may hold: what copies to such machines take.
const MOST_BYTES: u64 = 60 << 20;

/// A program: its target, the kind of it, and its name in the folder.
type Program = (&'static str, &'static str, &'static str);

/// What is built with the features of the workspace.
const PROGRAMS: [Program; 4] = [
    ("gpu", "test", "parity"),
    ("device", "bench", "criterion"),
    ("relfisher-bench", "bin", "relfisher-bench"),
    ("relfisher", "bin", "relfisher"),
];

/// What runs beside engines, with features of its own.
const ENGINES: Program = ("driver", "test", "engines");

/// The programs, compressed: half a dozen copies of kernels and data shrink to a third.
const ARCHIVE: &str = "programs.tar.gz";

/// Builds the folder, then runs it on the emulator from another one.
pub(crate) fn check(options: &Options) -> Outcome {
    let bundle = options.out.clone().unwrap_or_else(|| root().join("target/gpu-bundle"));
    let problem = |e: std::io::Error| format!("{}: {e}", bundle.display());
    fs::create_dir_all(&bundle).map_err(problem)?;
    let bundle = bundle.canonicalize().map_err(problem)?;
    build(&bundle)?;
    rehearse(&bundle)
}

fn build(bundle: &Path) -> Outcome {
    // The features of the whole workspace, which its tests were built with: nothing is built twice.
    let tests = ["test", "--release", "--workspace", "--test", "gpu", "--no-run"];
    let programs = ["build", "--release", "--workspace", "--bins"];
    let benches = ["bench", "--workspace", "--bench", "device", "--no-run"];
    let mut messages = artifacts(&tests)?;
    messages.extend(artifacts(&programs)?);
    messages.extend(artifacts(&benches)?);
    PROGRAMS.iter().try_for_each(|program| place(&messages, *program, bundle))?;
    // It links the driver by its name: on a machine with a GPU that is the real one. Last, since it builds
    // the program too, linked so, in the place of the one above.
    let engines = driver_tests(&stub::build()?, &["--no-run"]);
    place(&artifacts_of(engines)?, ENGINES, bundle)?;
    let folder = bundle.to_string_lossy();
    let archive = bundle.join(ARCHIVE);
    let mut pack = vec!["--remove-files", "-czf"];
    let archive = archive.to_string_lossy();
    pack.extend([&*archive, "-C", &*folder]);
    pack.extend(PROGRAMS.iter().chain([&ENGINES]).map(|(_, _, name)| *name));
    output(command("tar", &pack))?;
    let write = |name: &str, text: &str| {
        fs::write(bundle.join(name), text).map_err(|e| format!("{name}: {e}"))
    };
    write("run.sh", include_str!("../gpu-bundle/run.sh"))?;
    write("README.md", include_str!("../gpu-bundle/README.md"))?;
    let commit = output(command("git", &["describe", "--always", "--dirty", "--abbrev=12"]));
    write("commit", &commit.unwrap_or_else(|_| "unknown\n".to_owned()))?;
    measure(bundle)
}

/// Copies a program into the folder.
fn place(messages: &[Value], (target, kind, name): Program, bundle: &Path) -> Outcome {
    let built = executable(messages, target, kind)
        .ok_or_else(|| format!("cargo built no {kind} named {target}"))?;
    let to = bundle.join(name);
    fs::copy(&built, &to).map_err(|e| format!("{}: {e}", built.display()))?;
    // Symbols are for debuggers; a profile without them would build everything twice.
    if let Err(problem) = output(command("strip", &[&to.to_string_lossy()])) {
        println!("not stripped: {problem}");
    }
    print_needs(&to)
}

/// Where cargo put the program of a target.
fn executable(messages: &[Value], target: &str, kind: &str) -> Option<PathBuf> {
    let kinds = |message: &Value| -> bool {
        let kinds = message["target"]["kind"].as_array();
        kinds.is_some_and(|kinds| kinds.iter().any(|found| found == kind))
    };
    messages
        .iter()
        .filter(|message| message["target"]["name"] == target && kinds(message))
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

/// Prints the size of a program, and which C library it needs.
fn print_needs(program: &Path) -> Outcome {
    let bytes = fs::read(program).map_err(|e| format!("{}: {e}", program.display()))?;
    let needs = newest_libc(&bytes).map_or(String::new(), |(major, minor)| {
        format!(", needs a C library of at least {major}.{minor}")
    });
    println!("{:10} bytes  {}{needs}", bytes.len(), program.display());
    Ok(())
}

/// Prints the sizes, and refuses a folder that is too large.
fn measure(bundle: &Path) -> Outcome {
    let problem = |e: std::io::Error| format!("{}: {e}", bundle.display());
    let mut total = 0;
    for entry in fs::read_dir(bundle).map_err(problem)? {
        let path = entry.map_err(problem)?.path();
        let bytes = fs::metadata(&path).map_err(problem)?.len();
        total += bytes;
        println!("{bytes:10} bytes  {}", path.display());
    }
    if total > MOST_BYTES {
        return Err(format!("the bundle has {total} bytes, more than {MOST_BYTES}"));
    }
    println!("{total} bytes of {MOST_BYTES}");
    Ok(())
}

/// The newest version of glibc's symbols that a program names.
fn newest_libc(program: &[u8]) -> Option<(u32, u32)> {
    const MARK: &[u8] = b"GLIBC_";
    let versions =
        program.windows(MARK.len() + 8).filter(|w| w.starts_with(MARK)).filter_map(|w| {
            let text = w[MARK.len()..].split(|b| !b.is_ascii_digit() && *b != b'.').next()?;
            let (major, minor) = std::str::from_utf8(text).ok()?.split_once('.')?;
            Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
        });
    program.starts_with(b"\x7fELF").then(|| versions.max()).flatten()
}

/// Runs the bundle on the emulator, in a folder that has nothing to do with the checkout.
fn rehearse(bundle: &Path) -> Outcome {
    let elsewhere = std::env::temp_dir().join(format!("relfisher-bundle-{}", std::process::id()));
    fs::create_dir_all(&elsewhere).map_err(|e| format!("{}: {e}", elsewhere.display()))?;
    let script = bundle.join("run.sh");
    let mut rehearsal = command("bash", &[&script.to_string_lossy(), "--emulated"]);
    rehearsal.current_dir(&elsewhere).env("OUT", elsewhere.join("out"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO") || text.starts_with("RUST") {
            rehearsal.env_remove(&name);
        }
    }
    let outcome = run(rehearsal).and_then(|()| {
        for name in ["summary.txt", "parity.log", "bench.json"] {
            let path = elsewhere.join("out").join(name);
            if fs::metadata(&path).map_or(true, |found| found.len() == 0) {
                return Err(format!("run.sh left no {name}"));
            }
        }
        Ok(())
    });
    // A folder in the system's place for such: nothing depends on its going.
    let _ = fs::remove_dir_all(&elsewhere);
    outcome
}
