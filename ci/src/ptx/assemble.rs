//! The assembler's part: every variant for every architecture, with what each kernel uses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use relfisher_kernels::contract::{CONTRACTS, Variant};

use crate::repository::{command, output, root, run};

/// The package that brings the assembler, and its version.
const PACKAGE: &str = "nvidia-cuda-nvcc==13.5.37";

/// The architectures that a variant must assemble for.
pub(super) fn architectures(variant: Variant) -> &'static [&'static str] {
    const ALL: [&str; 7] = ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"];
    match variant {
        Variant::Sm75 => &ALL,
        Variant::Sm80 => ALL.split_at(1).1,
    }
}

/// What an assembled kernel uses.
#[derive(Clone, Debug, Default)]
pub(super) struct Usage {
    pub(super) entry: String,
    pub(super) registers: u32,
    stack: u32,
    spills: u32,
}

/// The assembler: named by `RELFISHER_PTXAS`, or installed below `target/`.
fn assembler() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("RELFISHER_PTXAS") {
        return Ok(path.into());
    }
    let folder = root().join("target/cuda");
    let path = folder.join("nvidia/cu13/bin/ptxas");
    if !path.exists() {
        let target = folder.display().to_string();
        run(command(
            "python3",
            &["-m", "pip", "install", "--quiet", "--no-deps", "--target", &target, PACKAGE],
        ))
        .map_err(|e| format!("{e}; or name a ptxas in RELFISHER_PTXAS"))?;
    }
    Ok(path)
}

/// Assembles a text for an architecture.
fn assemble(ptxas: &Path, text: &Path, architecture: &str) -> Result<Vec<Usage>, String> {
    let mut command = Command::new(ptxas);
    command.args(["-v", "-o", "/dev/null", "-arch", architecture]).arg(text);
    // What it prints goes to the error stream.
    let result = command.output().map_err(|e| format!("{}: {e}", ptxas.display()))?;
    let said = String::from_utf8_lossy(&result.stderr).into_owned()
        + &String::from_utf8_lossy(&result.stdout);
    if !result.status.success() {
        return Err(format!("{} for {architecture}: {said}", text.display()));
    }
    let mut usages: Vec<Usage> = Vec::new();
    for line in said.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            let entry = rest.split('\'').next().unwrap_or_default().to_owned();
            usages.push(Usage { entry, ..Usage::default() });
        } else if let Some(usage) = usages.last_mut() {
            if line.contains("bytes stack frame") {
                usage.stack = before(line, "bytes stack frame");
                usage.spills =
                    before(line, "bytes spill stores") + before(line, "bytes spill loads");
            } else if line.contains("Used ") {
                usage.registers = before(line, "registers");
            }
        }
    }
    Ok(usages)
}

/// The number before a phrase.
fn before(line: &str, phrase: &str) -> u32 {
    let number = line.split_once(phrase).and_then(|(head, _)| head.split_whitespace().last());
    number.and_then(|n| n.parse().ok()).unwrap_or(u32::MAX)
}

/// Assembles a file of a variant for an architecture.
pub(super) fn usage(
    text: &str,
    variant: Variant,
    architecture: &str,
) -> Result<Vec<Usage>, String> {
    let folder = root().join("target/ptx");
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let path = folder.join(format!("{}-for-{architecture}.ptx", variant.name()));
    fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    assemble(&assembler()?, &path, architecture)
}

/// Assembles everything for everything: no spill, no stack, registers inside the budget, no
/// collective under a predicate, no call.
pub(super) fn check(built: &[(Variant, String)]) -> Result<(), String> {
    println!("{}", output(command(&assembler()?.display().to_string(), &["--version"]))?.trim());
    let mut complaints = Vec::new();
    for (variant, text) in built {
        // What is not inlined is a panic, or a function that moves registers through memory.
        if let Some(line) = text.lines().find(|line| line.trim_start().starts_with("call")) {
            complaints.push(format!("{}: a kernel calls a function: {line}", variant.name()));
        }
        for (entry, places) in super::collectives(text) {
            if places.contains('@') {
                complaints.push(format!("{} {entry}: {places}", variant.name()));
            }
        }
        // One process for each architecture: the assembler uses one thread.
        let results: Vec<_> = std::thread::scope(|scope| {
            let start = |architecture| scope.spawn(move || usage(text, *variant, architecture));
            let running: Vec<_> = architectures(*variant).iter().map(|a| (a, start(a))).collect();
            running.into_iter().map(|(a, thread)| (a, thread.join())).collect()
        });
        for (architecture, result) in results {
            let usages = result.map_err(|_| format!("no result for {architecture}"))??;
            let most = usages.iter().map(|u| u.registers).max().unwrap_or(0);
            println!(
                "{} for {architecture}: {} kernels, at most {most} registers",
                variant.name(),
                usages.len()
            );
            complaints.extend(usages.iter().filter_map(|u| complaint(u, architecture)));
        }
    }
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n")) }
}

fn complaint(usage: &Usage, architecture: &str) -> Option<String> {
    let Usage { entry, registers, stack, spills } = usage;
    let budget = CONTRACTS.iter().find(|c| c.name == entry)?.registers();
    if *stack == 0 && *spills == 0 && *registers <= budget {
        return None;
    }
    Some(format!(
        "{entry} for {architecture}: {registers} registers of {budget}, {stack} bytes of stack, \
         {spills} bytes of spills"
    ))
}
