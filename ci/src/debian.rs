//! Builds that need the standard library's sources: the compiler of Debian's `rustc-web` packages.
//!
//! A rustup tool chain without its `rust-src` component and targets cannot build `core` for another
//! target; Debian ships both as ordinary packages.

use std::path::Path;
use std::process::Command;

use crate::Outcome;
use crate::repository::{self, run};

/// The packages that bring the compiler, cargo and the library sources.
const PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// Targets that have no std and no operating system.
const BARE_TARGETS: [&str; 1] = ["thumbv7em-none-eabihf"];

/// The compiler of the packages.
pub const RUSTC: &str = "/usr/bin/rustc";
/// The build program of the packages.
pub const CARGO: &str = "/usr/bin/cargo";

/// Installs the compiler where it is missing.
pub fn install() -> Outcome {
    install_packages(&PACKAGES)?;
    if Path::new(RUSTC).exists() {
        Ok(())
    } else {
        Err(format!("{RUSTC} is missing though its package is installed"))
    }
}

/// Installs packages unless every one is there.
pub fn install_packages(packages: &[&str]) -> Outcome {
    let present = |package: &str| {
        Command::new("dpkg").args(["-s", package]).output().is_ok_and(|o| o.status.success())
    };
    if packages.iter().all(|package| present(package)) {
        return Ok(());
    }
    let mut update = Command::new("apt-get");
    update.args(["update", "-qq"]);
    run(update)?;
    let mut install = Command::new("apt-get");
    install.args(["install", "-y", "-qq", "--no-install-recommends"]).args(packages);
    install.env("DEBIAN_FRONTEND", "noninteractive");
    run(install)
        .map_err(|e| format!("{e}; this job needs the Debian packages {}", packages.join(", ")))
}

/// Builds the core for targets without std, against `core` alone (no `alloc`).
pub fn no_std() -> Outcome {
    install()?;
    for target in BARE_TARGETS {
        let mut build = repository::command(
            CARGO,
            &["build", "--release", "-Zbuild-std=core", "--target", target, "-p", "relfisher-core"],
        );
        unlock(&mut build, &repository::root().join("target/no-std"));
        run(build)?;
    }
    Ok(())
}

/// Makes a call of [`CARGO`] use [`RUSTC`], unlocked for `-Zbuild-std`, and build in `target`. The crates
/// themselves use stable features only (but for GPUs).
pub fn unlock(build: &mut Command, target: &Path) {
    build
        .env("RUSTC", RUSTC)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", target)
        .env_remove("CARGO")
        .env_remove("RUSTUP_TOOLCHAIN");
}
