//! The compiler's part: Rust to PTX with Debian's tool chain.

use std::fs;
use std::path::{Path, PathBuf};

use relfisher_kernels::contract::Variant;

use super::finish::finish;
use super::stamp::{Stamp, source_hash};
use crate::debian;
use crate::repository::{command, output, root, run};

/// What every variant is compiled with. Jump threading of the compiler's middle end duplicates calls
/// of collectives into divergent branches; without it they stay where they were written. A product and a
/// sum become one instruction with one rounding: half the instructions of a polynomial.
pub(super) const FLAGS: [&str; 4] =
    ["--emit=asm", "-Zmir-enable-passes=-JumpThreading", "-C", "llvm-args=-nvptx-fma-level=2"];

/// Cargo's profile for it: one module, linked, without unwinding.
pub(super) const PROFILE: [(&str, &str); 3] = [
    ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
    ("CARGO_PROFILE_RELEASE_LTO", "fat"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
];

const TARGET: &str = "nvptx64-nvidia-cuda";

/// The Cargo feature of a variant.
fn features(variant: Variant) -> &'static [&'static str] {
    match variant {
        Variant::Sm75 => &[],
        Variant::Sm80 => &["--features", "sm_80"],
    }
}

/// Builds, finishes and stamps every variant.
pub(super) fn all() -> Result<Vec<(Variant, String)>, String> {
    debian::install()?;
    let sources = source_hash()?;
    let compiler = compiler()?;
    let mut built = Vec::new();
    for variant in Variant::ALL {
        let text = finish(&one(variant)?, variant)?;
        let stamp = Stamp::new(variant, &sources, &compiler, &text);
        built.push((variant, format!("{stamp}{text}")));
    }
    Ok(built)
}

/// The compiler's version and its LLVM's, in one line.
fn compiler() -> Result<String, String> {
    let text = output(command(debian::RUSTC, &["-vV"]))?;
    let lines: Vec<&str> = text.lines().collect();
    let llvm = lines.iter().find(|line| line.starts_with("LLVM")).unwrap_or(&"LLVM unknown");
    Ok(format!("{}, {llvm}", lines.first().unwrap_or(&"rustc unknown")))
}

/// What the compiler writes for a variant.
fn one(variant: Variant) -> Result<String, String> {
    let target = root().join("target/ptx");
    let mut arguments =
        vec!["rustc", "--release", "--quiet", "-Zbuild-std=core", "--target", TARGET];
    arguments.extend(["-p", "relfisher-kernels", "--lib", "--crate-type", "cdylib"]);
    arguments.extend(features(variant));
    let cpu = format!("target-cpu={}", variant.name());
    arguments.extend(["--", "-C", &cpu]);
    arguments.extend(FLAGS);
    let mut build = command(debian::CARGO, &arguments);
    debian::unlock(&mut build, &target);
    build
        // Full LTO leaves the linked module as text: there is nothing to link.
        .env("CARGO_TARGET_NVPTX64_NVIDIA_CUDA_LINKER", "/bin/true")
        // An incremental build lays blocks out differently.
        .env("CARGO_INCREMENTAL", "0")
        .env_remove("RUSTFLAGS")
        .envs(PROFILE);
    let deps = target.join(TARGET).join("release/deps");
    // The name of the output holds a hash that changes with the features: no older one may stay.
    for old in texts(&deps) {
        fs::remove_file(&old).map_err(|e| format!("{}: {e}", old.display()))?;
    }
    run(build)?;
    let paths = texts(&deps);
    let [path] = paths.as_slice() else {
        return Err(format!("{}: {} files of PTX, not one", deps.display(), paths.len()));
    };
    fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// The kernels as text in a build folder; none when there is no folder yet.
fn texts(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let named = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("relfisher_kernels") && name.ends_with(".s")
    };
    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(named).collect()
}
