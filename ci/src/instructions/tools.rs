//! What counting needs beside the benchmark: valgrind, and the runner that drives it.

use std::path::PathBuf;

use serde_json::Value;

use crate::debian;
use crate::repository::{command, output, root, run};

/// The versions that counts depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    /// `rustc --version`.
    pub rustc: String,
    /// `valgrind --version`.
    pub valgrind: String,
}

/// The tools, installed.
#[derive(Clone, Debug)]
pub(super) struct Tools {
    /// Gungraun's runner.
    pub(super) runner: PathBuf,
    /// What they and the compiler are.
    pub(super) versions: Versions,
}

impl Tools {
    /// Installs what is missing: valgrind from Debian's package, the runner below `target`.
    pub(super) fn install() -> Result<Self, String> {
        check_processor()?;
        let version = |program: &str| {
            output(command(program, &["--version"])).map(|text| text.trim().to_owned())
        };
        if version("valgrind").is_err() {
            debian::install_packages(&["valgrind", "libc6-dbg"])?;
        }
        let versions = Versions { rustc: version("rustc")?, valgrind: version("valgrind")? };
        Ok(Self { runner: runner()?, versions })
    }
}

/// Valgrind emulates a processor with AVX2, whatever more the real one has; but not on one with less.
fn check_processor() -> Result<(), String> {
    #[cfg(target_arch = "x86_64")]
    let fits = std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    let fits = false;
    if fits {
        Ok(())
    } else {
        Err("the counts are those of the kernels for AVX2: use an x86-64 processor with AVX2"
            .into())
    }
}

/// The runner, of the version that `Cargo.lock` has of its interface, built once.
fn runner() -> Result<PathBuf, String> {
    let text = output(command("cargo", &["metadata", "--format-version", "1", "--locked"]))?;
    let metadata: Value = serde_json::from_str(&text).map_err(|e| format!("metadata: {e}"))?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let version = packages
        .filter(|package| package["name"] == "gungraun-runner")
        .find_map(|package| package["version"].as_str())
        .ok_or("Cargo.lock has no gungraun-runner")?;
    let folder = root().join(format!("target/gungraun-runner-{version}"));
    let program = folder.join("bin/gungraun-runner");
    if !program.exists() {
        let exact = format!("={version}");
        let arguments = ["install", "gungraun-runner", "--version", exact.as_str(), "--locked"];
        let mut install = command("cargo", &arguments);
        install.arg("--root").arg(&folder);
        run(install)?;
    }
    Ok(program)
}
