//! The C library: its header is current, it cannot panic and needs nothing, and programs in C and C++
//! that use it on real data give the golden values.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use cbindgen::{Builder, Config};
use relfisher_ci::Outcome;
use relfisher_ci::repository::{command, output, root, run};

/// The crate, apart from the workspace.
pub(crate) const MANIFEST: &str = "core/capi/Cargo.toml";
/// What C programs include.
pub(crate) const HEADER: &str = "core/capi/include/relfisher.h";
/// The undefined function that the panic handler of the proof calls.
const MARKER: &str = "relfisher_panic_is_reachable";

/// What the shared library may take from the C library, and nothing else: no allocation, no unwinding.
const IMPORTS: [&str; 8] = [
    "memcpy",
    "memmove",
    "memset",
    "memcmp",
    "bcmp",
    "__cxa_finalize",
    "__gmon_start__",
    "_ITM_deregisterTMCloneTable",
];

/// The warnings that programs are compiled with.
pub(crate) const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Werror", "-pedantic"];

/// Every check; with `update` the header is written anew first.
pub(crate) fn check(update: bool) -> Outcome {
    header(update)?;
    no_panic()?;
    run(cargo(&["build", "--release"]))?;
    imports()?;
    programs()?;
    run(cargo(&["fmt", "--check"]))?;
    run(cargo(&["test", "--lib"]))?;
    run(cargo(&["clippy", "--all-targets", "--", "-D", "warnings"]))?;
    let mut doc = cargo(&["doc", "--no-deps"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    run(doc)
}

/// Where the crate is built.
pub(crate) fn target() -> PathBuf {
    root().join("target/capi")
}

/// `cargo SUBCOMMAND …` on the crate.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let (subcommand, rest) = arguments.split_at(1);
    let mut cargo = command("cargo", &[subcommand, &["--manifest-path", MANIFEST], rest].concat());
    cargo.env("CARGO_TARGET_DIR", target());
    cargo
}

/// Writes the header, or compares the committed one with what the sources give.
fn header(update: bool) -> Outcome {
    // The functions come out of macros, which cbindgen does not expand.
    let arguments = ["rustc", "--lib", "--crate-type", "rlib", "--", "-Zunpretty=expanded"];
    let mut expand = cargo(&arguments);
    // Unlocks that flag; the crate itself is compiled without it.
    expand.env("RUSTC_BOOTSTRAP", "1");
    let expanded = target().join("expanded.rs");
    write(&expanded, &output(expand)?)?;
    let config = Config::from_file(root().join("core/capi/cbindgen.toml"))
        .map_err(|e| format!("core/capi/cbindgen.toml: {e}"))?;
    let bindings = Builder::new()
        .with_config(config.clone())
        .with_src(&expanded)
        .generate()
        .map_err(|e| format!("no header: {e}"))?;
    let mut text = Vec::new();
    bindings.write(&mut text);
    let text = String::from_utf8(text).map_err(|e| format!("{HEADER}: {e}"))?;
    let text = renamed(&text, &config.export.rename);
    let committed = root().join(HEADER);
    if update {
        write(&committed, &text)?;
    }
    let old = fs::read_to_string(&committed).map_err(|e| format!("{HEADER}: {e}"))?;
    if old == text {
        println!("{HEADER}: current");
        return Ok(());
    }
    let first = old.lines().zip(text.lines()).position(|(a, b)| a != b);
    let line = first.unwrap_or_else(|| old.lines().count().min(text.lines().count())) + 1;
    Err(format!("{HEADER}:{line} is not what the sources give: run `cargo ci capi --update`"))
}

/// How instances of generic structs end in Rust, and in C.
const SUFFIXES: [[&str; 2]; 4] =
    [["_f32", "_f32"], ["_f64", "_f64"], ["_u32", "_u32"], ["_usize", "_size"]];

/// The renames of the configuration for generic structs too, whose instances cbindgen names after the
/// Rust type: `Matrix_f32` becomes `rf_matrix_f32`, `Slice_usize` becomes `rf_slice_size`.
fn renamed(text: &str, names: &HashMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut word = String::new();
    for c in text.chars().chain(['\0']) {
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
            continue;
        }
        let instance = SUFFIXES
            .iter()
            .find_map(|[rust, c]| Some([names.get(word.strip_suffix(rust)?)?.as_str(), c]));
        match instance {
            Some(parts) => out.extend(parts),
            None => out.push_str(&word),
        }
        word.clear();
        if c != '\0' {
            out.push(c);
        }
    }
    out
}

fn write(path: &PathBuf, text: &str) -> Outcome {
    fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

/// The shared library links without a panic handler; one with a planted panic does not.
fn no_panic() -> Outcome {
    match link("planted") {
        Ok(_) => return Err("the planted panic was not found: the proof is void".to_owned()),
        Err(text) if text.contains(MARKER) => println!("planted panic: found, as it must be"),
        Err(text) => return Err(format!("the control build failed for another reason:\n{text}")),
    }
    link("prove-no-panic").map_err(|text| format!("a panic is reachable:\n{text}"))?;
    println!("linked: no function can panic");
    Ok(())
}

fn link(feature: &str) -> Result<String, String> {
    let build = ["rustc", "--release", "--lib", "--crate-type", "cdylib", "--features", feature];
    let flags = ["--", "-Clink-arg=-lc", "-Clink-arg=-Wl,--gc-sections,-z,defs"];
    output(cargo(&[build.as_slice(), &flags].concat()))
}

/// What the shared library leaves to others.
fn imports() -> Outcome {
    let library = target().join("release/librelfisher.so").display().to_string();
    let listed = output(command("nm", &["-D", "--undefined-only", &library]))?;
    let foreign: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.split_whitespace().last())
        .map(|symbol| symbol.split('@').next().unwrap_or(symbol))
        .filter(|symbol| !IMPORTS.contains(symbol) && !symbol.starts_with("_ITM_"))
        .collect();
    if foreign.is_empty() {
        println!("librelfisher.so takes nothing but memory copies from outside");
        Ok(())
    } else {
        Err(format!("librelfisher.so needs {}", foreign.join(", ")))
    }
}

/// A program of core/capi/examples, compiled against the header with warnings as errors.
fn compile(source: &str, flags: &[&str], libraries: &[&str]) -> Result<String, String> {
    let name = source.split('.').next().unwrap_or(source);
    let program = format!("{}/{name}", target().display());
    let compiler = if source.ends_with(".cpp") { "g++" } else { "gcc" };
    let source = format!("core/capi/examples/{source}");
    let fixed = ["-Icore/capi/include", &source, "-o", &program];
    run(command(compiler, &[WARNINGS.as_slice(), flags, &fixed, libraries].concat()))?;
    Ok(program)
}

/// The programs of core/capi/examples on the bundled digits and the golden cases.
fn programs() -> Outcome {
    let folder = target().display().to_string();
    for file in ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"] {
        let line = format!("gzip -dc host/data/mnist10k/{file}.gz > '{folder}/{file}'");
        run(command("sh", &["-c", &line]))?;
    }
    let archive = format!("{folder}/release/librelfisher.a");
    let hello = compile("hello.c", &["-std=c99"], &[&archive])?;
    // (Ḡ + 0.1 I)⁻¹ (½, ¼), by hand.
    let step = output(command(&hello, &[]))?;
    if !step.ends_with(": step 0.349476 0.308592\n") {
        return Err(format!("hello.c printed {step}"));
    }

    let digits = compile("digits.c", &["-std=c99", "-O2"], &[&archive, "-lm", "-pthread"])?;
    run(command(
        &digits,
        &[
            &format!("{folder}/t10k-images-idx3-ubyte"),
            &format!("{folder}/t10k-labels-idx1-ubyte"),
            "host/data/nets/ml_digits.safetensors",
        ],
    ))?;
    run(command(&compile("refusals.c", &["-std=c99", "-O2"], &[&archive])?, &[]))?;
    run(command(&compile("spectrum.c", &["-std=c99", "-O2"], &[&archive, "-lm"])?, &[]))?;

    let search = [format!("-L{folder}/release"), format!("-Wl,-rpath,{folder}/release")];
    let shared = [search[0].as_str(), &search[1], "-lrelfisher"];
    let flags = ["-std=c++17", "-O2"];
    for source in ["golden.cpp", "golden_layers.cpp"] {
        run(command(&compile(source, &flags, &shared)?, &["tests/golden"]))?;
    }
    for source in ["definitions_layers.cpp", "definitions_matrices.cpp", "definitions_weights.cpp"]
    {
        run(command(&compile(source, &flags, &shared)?, &[]))?;
    }
    Ok(())
}
