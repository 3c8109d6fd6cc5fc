//! The Python package: it installs with pip as a user does it, and its tests pass.

use std::path::PathBuf;
use std::process::Command;

use relfisher_ci::Outcome;
use relfisher_ci::debian::install_packages;
use relfisher_ci::repository::{command, output, root, run};

/// The crate, apart from the workspace.
pub(crate) const MANIFEST: &str = "python/Cargo.toml";

/// What the tests need beside the package and what it installs.
const TOOLS: [&str; 3] = ["pytest==9.2.0", "mypy==2.4.1", "numpy>=2,<3"];

/// Formatting, lints, installation, stubs, tests.
pub(crate) fn check() -> Outcome {
    run(cargo(&["fmt", "--check"]))?;
    run(cargo(&["clippy", "--release", "--locked", "--", "-D", "warnings"]))?;
    let python = environment()?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    run(command(&python, &[pip.as_slice(), &TOOLS].concat()))?;
    let mut install = command(&python, &[pip.as_slice(), &["./python"]].concat());
    install.env("CARGO_TARGET_DIR", target());
    run(install)?;
    // Away from the sources of the package, so that the installed one is imported.
    let tests = root().join("python/tests").display().to_string();
    run(outside(&python, &["-m", "mypy.stubtest", "relfisher"]))?;
    run(outside(&python, &["-m", "pytest", "-q", "-p", "no:cacheprovider", &tests]))
}

/// The folder of the workspace: what it built already is not built again.
fn target() -> PathBuf {
    root().join("target")
}

fn cargo(arguments: &[&str]) -> Command {
    let (subcommand, rest) = arguments.split_at(1);
    let mut cargo = command("cargo", &[subcommand, &["--manifest-path", MANIFEST], rest].concat());
    cargo.env("CARGO_TARGET_DIR", target());
    cargo
}

/// The interpreter of an environment of its own below `target`.
fn environment() -> Result<String, String> {
    let folder = target().join("python-venv");
    let python = folder.join("bin/python").display().to_string();
    if output(command(&python, &["-m", "pip", "--version"])).is_err() {
        let make = || {
            output(command("python3", &["-m", "venv", "--clear", &folder.display().to_string()]))
        };
        if let Err(first) = make() {
            install_packages(&["python3-venv"]).map_err(|e| format!("{first}\n{e}"))?;
            make()?;
        }
    }
    Ok(python)
}

fn outside(python: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(python);
    command.args(arguments).current_dir(target()).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}
