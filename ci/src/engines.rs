//! The crates of engines/, apart from the workspace: formatted, linted and tested in one target folder.

use std::process::Command;
use std::time::Instant;

use relfisher_ci::Outcome;
use relfisher_ci::repository::{command, root, run};

/// The folders and the features of their tests, cheap ones first.
const CRATES: [(&str, &str); 6] = [
    ("testing", ""),
    ("views", "ndarray,nalgebra,faer"),
    ("common", ""),
    ("ndarray", ""),
    ("candle", ""),
    ("burn", ""),
];

/// Every crate, and what each took.
pub(crate) fn check() -> Outcome {
    let mut lines = Vec::new();
    for (name, features) in CRATES {
        let start = Instant::now();
        run(cargo(name, &["fmt", "--check"]))?;
        // The features add up: views build with any one of them, and with none.
        for feature in features.split(',').filter(|f| !f.is_empty()) {
            run(linted(name, &["build", "--lib", "--features", feature]))?;
        }
        if !features.is_empty() {
            run(linted(name, &["build", "--lib"]))?;
        }
        run(linted(name, &["test", "--features", features]))?;
        lines.push(format!("engines/{name}: {:.0} s", start.elapsed().as_secs_f64()));
    }
    println!("{}", lines.join("\n"));
    Ok(())
}

/// `cargo SUBCOMMAND …` on a crate.
fn cargo(name: &str, arguments: &[&str]) -> Command {
    let (subcommand, rest) = arguments.split_at(1);
    let manifest = format!("engines/{name}/Cargo.toml");
    command("cargo", &[subcommand, &["--manifest-path", &manifest], rest].concat())
}

/// The same, released, with the crate's own sources compiled by clippy and warnings denied. `cargo clippy`
/// beside `cargo test` would compile every dependency twice: once to be linked, once to be checked.
fn linted(name: &str, arguments: &[&str]) -> Command {
    let mut cargo = cargo(name, &[arguments, &["--release", "--locked"]].concat());
    cargo
        .env("CARGO_TARGET_DIR", root().join("target/engines"))
        .env("CARGO_INCREMENTAL", "0")
        .env("RUSTC_WORKSPACE_WRAPPER", "clippy-driver")
        // How `cargo clippy` hands on what stands behind its `--`.
        .env("CLIPPY_ARGS", "-Dwarnings__CLIPPY_HACKERY__");
    cargo
}
