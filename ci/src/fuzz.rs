//! The job `fuzz`: every target of `fuzz/` for a while, from seeds that are real files.
//!
//! Targets are built on the nightly tool chain with AddressSanitizer; memory and time of one input are
//! bounded, so a header that asks for gigabytes or an endless loop is a failure too.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use relfisher_ci::Failure;
use relfisher_ci::repository::{command, root, run};
use relfisher_ci::sources::files;

use crate::nightly::{self, TARGET};

/// The version of `cargo-fuzz`.
const VERSION: &str = "0.13.2";

/// Seconds that each target runs unless `--seconds` says otherwise.
const SECONDS: u64 = 10;

/// A target, its longest input, and where its seeds are.
struct Target {
    name: &'static str,
    longest: usize,
    seeds: Seeds,
}

/// Real files to start from.
enum Seeds {
    /// The files below a folder with one of these names or endings.
    Files(&'static str, &'static [&'static str]),
    /// A network file and its weights, one behind the other, as the target takes them apart.
    Networks,
    /// None: the input says which arguments to make.
    None,
}

const TARGETS: [Target; 8] = [
    Target { name: "network", longest: 4096, seeds: Seeds::Files("tests/golden", &["arch.json"]) },
    Target { name: "idx", longest: 4096, seeds: Seeds::Files("fuzz/seeds/idx", &[""]) },
    Target { name: "npy", longest: 8192, seeds: Seeds::Files("tests/golden", &[".npy"]) },
    Target { name: "weights", longest: 8192, seeds: Seeds::Networks },
    Target {
        name: "experiment",
        longest: 4096,
        seeds: Seeds::Files("host/data/experiments", &[".toml"]),
    },
    Target {
        name: "checkpoint",
        longest: 8192,
        seeds: Seeds::Files("fuzz/seeds/checkpoint", &[".safetensors"]),
    },
    Target { name: "capi", longest: 1024, seeds: Seeds::None },
    Target { name: "factor", longest: 4096, seeds: Seeds::None },
];

/// Builds all targets and runs each for `seconds`.
pub(crate) fn check(seconds: Option<u64>) -> Result<(), Failure> {
    let tool = install().map_err(Failure::Unable)?;
    let folder = root().join("target/fuzz");
    let folder_name = folder.display().to_string();
    let place = ["--fuzz-dir", "fuzz", "--target-dir", &folder_name, "--target", TARGET];
    let mut build = nightly::tool("cargo", &[["fuzz", "build"].as_slice(), &place].concat());
    build.env("PATH", path_with(&tool));
    run(build).map_err(Failure::Failed)?;
    let mut failures = Vec::new();
    for target in &TARGETS {
        match one(target, &folder, seconds.unwrap_or(SECONDS)) {
            Ok(line) => println!("{line}"),
            Err(reason) => failures.push(format!("{}: {reason}", target.name)),
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(Failure::Failed(failures.join("\n"))) }
}

/// The nightly tool chain and `cargo-fuzz`, whose folder is returned.
fn install() -> Result<PathBuf, String> {
    nightly::install()?;
    let tools = root().join("target/tools");
    if !tools.join("bin/cargo-fuzz").exists() {
        let folder = tools.display().to_string();
        let wanted = ["install", "cargo-fuzz", "--version", VERSION, "--locked", "--root", &folder];
        run(command("cargo", &wanted))?;
    }
    Ok(tools.join("bin"))
}

fn path_with(folder: &Path) -> std::ffi::OsString {
    let mut path = folder.as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path
}

/// Runs one target; what it did, in a line.
fn one(target: &Target, folder: &Path, seconds: u64) -> Result<String, String> {
    let name = target.name;
    let [corpus, seeds, found] =
        ["corpus", "seeds", "found"].map(|kind| folder.join(kind).join(name));
    for folder in [&corpus, &seeds, &found] {
        fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    let count = write_seeds(target, &seeds)?;
    let program = folder.join(TARGET).join("release").join(name);
    let mut fuzzer = Command::new(program);
    fuzzer.current_dir(root()).arg(&corpus).arg(&seeds);
    fuzzer.arg(format!("-max_total_time={seconds}"));
    fuzzer.arg(format!("-max_len={}", target.longest));
    fuzzer.arg(format!("-artifact_prefix={}/", found.display()));
    // Seconds and MiB of one input; a single allocation.
    fuzzer.args(["-timeout=20", "-rss_limit_mb=2048", "-malloc_limit_mb=256"]);
    fuzzer.args(["-print_final_stats=1", "-verbosity=0"]);
    if count == 0 {
        // Long inputs from the start: there is no seed to grow from.
        fuzzer.arg("-len_control=0");
    }
    let dictionary = root().join("fuzz/dictionaries").join(name);
    if dictionary.exists() {
        fuzzer.arg(format!("-dict={}", dictionary.display()));
    }
    let output = fuzzer.output().map_err(|e| format!("did not start: {e}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let said: Vec<&str> = text.lines().filter(|line| !line.starts_with("stat::")).collect();
        // The message of a panic stands before a long trace, the input at the end.
        let panic = said.iter().position(|line| line.contains("panicked at"));
        let message = panic.map_or(&[][..], |at| &said[at..said.len().min(at + 3)]);
        let last = said.len().saturating_sub(40);
        let lines = [message, &said[last..]].concat().join("\n");
        return Err(format!("{lines}\nthe input is in {}", found.display()));
    }
    let runs = text.lines().find_map(|l| l.strip_prefix("stat::number_of_executed_units:"));
    let runs = runs.ok_or("no statistics")?.trim();
    if runs.parse::<u64>().is_ok_and(|runs| runs > count as u64) {
        Ok(format!("{name:<12} {seconds:>5} s, {count:>3} seeds, {runs:>9} inputs, none found"))
    } else {
        Err(format!("only {runs} inputs were run"))
    }
}

/// Copies the seeds of a target; how many there are.
fn write_seeds(target: &Target, folder: &Path) -> Result<usize, String> {
    let mut contents: Vec<Vec<u8>> = Vec::new();
    let read = |path: &Path| fs::read(path).map_err(|e| format!("{}: {e}", path.display()));
    match &target.seeds {
        Seeds::Files(below, endings) => {
            for path in files(&root().join(below), |_| true)? {
                let name = path.to_string_lossy();
                if endings.iter().any(|ending| name.ends_with(ending)) {
                    contents.push(read(&path)?);
                }
            }
        }
        Seeds::Networks => {
            for path in files(&root().join("tests/golden"), |path| path.ends_with("arch.json"))? {
                let weights = path.with_file_name("model.safetensors");
                if weights.exists() {
                    let network = read(&path)?;
                    let length = u16::try_from(network.len())
                        .map_err(|_| format!("{}: too long for a seed", path.display()))?;
                    contents.push([&length.to_le_bytes()[..], &network, &read(&weights)?].concat());
                }
            }
        }
        Seeds::None => return Ok(0),
    }
    contents.retain(|content| content.len() <= target.longest);
    if contents.is_empty() {
        return Err("no seeds".into());
    }
    for (k, content) in contents.iter().enumerate() {
        let path = folder.join(format!("seed-{k}"));
        fs::write(&path, content).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(contents.len())
}
