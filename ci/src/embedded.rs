//! The C library where there is no operating system: a microcontroller, a web page, a GPU.
//!
//! The same tour (core/capi/examples/tour.c, core/capi/wasm/tour.mjs) runs natively, on an emulated
//! Cortex-M4 and as a wasm module in Node and in the page, and must print the same bits.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use relfisher_ci::repository::{command, output, root, run};
use relfisher_ci::{Outcome, debian, footprint};

use crate::capi::{self, MANIFEST, WARNINGS};
use crate::web_page;

/// The board, the compiler for it, and an interpreter of wasm.
const PACKAGES: [&str; 2] = ["qemu-system-arm", "gcc-arm-none-eabi"];
/// Cortex-M4 with single-precision floating-point unit.
const ARM: &str = "thumbv7em-none-eabihf";
const WASM: &str = "wasm32-unknown-unknown";
const PTX: &str = "nvptx64-nvidia-cuda";

/// Builds the library for every target and compares the tours.
pub(crate) fn check(update: bool) -> Outcome {
    debian::install()?;
    debian::install_packages(&PACKAGES)?;
    if output(command("node", &["--version"])).is_err() {
        debian::install_packages(&["nodejs"])?;
    }
    let native = native()?;
    // The three compilations are independent, and most of each runs on one core.
    let results = thread::scope(|scope| {
        let parts = [
            scope.spawn(|| web(&native)),
            scope.spawn(|| {
                let deepest = footprints(update)?;
                same("Cortex-M4 under qemu", &native, &microcontroller(deepest)?)
            }),
            scope.spawn(gpu),
        ];
        parts.map(|part| part.join().unwrap_or_else(|_| Err("a check panicked".to_owned())))
    });
    let failures: Vec<String> = results.into_iter().filter_map(Result::err).collect();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// The two texts are equal, line by line.
fn same(where_: &str, native: &str, other: &str) -> Outcome {
    let lines = native.lines().count();
    if native == other && lines > 0 {
        println!("{where_}: {lines} lines, the same bits as native");
        return Ok(());
    }
    let differing: Vec<String> = native
        .lines()
        .zip(other.lines())
        .filter(|(a, b)| a != b)
        .map(|(a, b)| format!("  native {a}\n  there  {b}"))
        .collect();
    let (count, there) = (differing.len(), other.lines().count());
    Err(format!(
        "{where_}: {count} of {lines} lines differ, {there} came:\n{}",
        differing.join("\n")
    ))
}

fn folder() -> String {
    capi::target().display().to_string()
}

fn native() -> Result<String, String> {
    run(capi::cargo(&["build", "--release"]))?;
    let program = format!("{}/tour", folder());
    let archive = format!("{}/release/librelfisher.a", folder());
    let sources = ["core/capi/examples/tour.c", "core/capi/examples/tour_native.c", &archive];
    let flags = ["-std=c99", "-O2", "-Icore/capi/include", "-o", &program];
    run(command("gcc", &[WARNINGS.as_slice(), &flags, &sources].concat()))?;
    output(command(&program, &[]))
}

/// `cargo rustc` with the compiler that has the library sources.
fn build(target: &str, arguments: &[&str], flags: &[&str]) -> Outcome {
    let fixed = ["rustc", "--manifest-path", MANIFEST, "-Zbuild-std=core", "--target", target];
    let mut build = command(debian::CARGO, &[fixed.as_slice(), arguments, &["--"], flags].concat());
    // A folder each: cargo locks it while it builds.
    debian::unlock(&mut build, &capi::target().join(target));
    run(build)
}

/// The linker that rustup ships: it knows every target.
fn linker() -> Result<String, String> {
    let sysroot = output(command("rustc", &["--print", "sysroot"]))?;
    let host = output(command("rustc", &["--print", "host-tuple"]))?;
    let path = Path::new(sysroot.trim()).join("lib/rustlib").join(host.trim()).join("bin/rust-lld");
    if path.exists() {
        Ok(path.display().to_string())
    } else {
        Err(format!("{} is missing: linking wasm needs the tool chain of rustup", path.display()))
    }
}

/// The module in Node and, where there is one, in a browser.
fn web(native: &str) -> Outcome {
    let module = wasm()?;
    let node = output(command("node", &["core/capi/wasm/tour.mjs", &module]))?;
    same("wasm in Node", native, &node)?;
    glue(&module)?;
    match web_page::open(&module)? {
        Some(shown) => same("the page in Chromium", native, &shown),
        None => {
            println!("the page was not opened: that needs chromium");
            Ok(())
        }
    }
}

/// What the glue refuses, and the program that the page shows with what it prints.
fn glue(module: &str) -> Outcome {
    run(command("node", &["core/capi/wasm/test.mjs", module, capi::HEADER]))?;
    let read =
        |path: &str| fs::read_to_string(root().join(path)).map_err(|e| format!("{path}: {e}"));
    let (program, page) = ("core/capi/wasm/hello.mjs", "docs/embedding.md");
    let printed = output(command("node", &[program, module]))?;
    let shown = read(page)?;
    for (what, text) in [("the source", read(program)?), ("what it prints", printed)] {
        // The page ends a sentence on what is printed.
        if text.trim().is_empty() || !shown.contains(text.trim_end()) {
            return Err(format!("{page} does not show {what} of {program}: {text}"));
        }
    }
    println!("{program}: prints what {page} says");
    Ok(())
}

/// The wasm module.
fn wasm() -> Result<String, String> {
    let linker = format!("-Clinker={}", linker()?);
    let flags = [linker.as_str(), "-Clinker-flavor=wasm-lld", "-Clink-arg=--export=__heap_base"];
    build(WASM, &["--profile", "small", "--crate-type", "cdylib"], &flags)?;
    let module = format!("{}/{WASM}/{WASM}/small/relfisher.wasm", folder());
    println!("relfisher.wasm: {} bytes", size(&module)?);
    Ok(module)
}

fn size(path: &str) -> Result<u64, String> {
    fs::metadata(path).map(|m| m.len()).map_err(|e| format!("{path}: {e}"))
}

/// The tour on the emulated board, which also measures its stack: no deeper than the `deepest` function,
/// the callers and the printing.
fn microcontroller(deepest: u64) -> Result<String, String> {
    let program = format!("{}/tour.elf", folder());
    let archive = format!("{}/{ARM}/{ARM}/small/librelfisher.a", folder());
    let flags = ["-std=c99", "-Os", "-ffreestanding", "-ffunction-sections", "-Icore/capi/include"];
    let limit = format!("-DSTACK_LIMIT={}u", deepest + 1024);
    let sources = [
        "-Icore/capi/examples",
        &limit,
        "core/capi/examples/tour.c",
        "core/capi/bare-metal/cortex_m4.c",
    ];
    let link = [
        "-nostdlib",
        "-Tcore/capi/bare-metal/mps2_an386.ld",
        "-Wl,--gc-sections,-z,noexecstack",
        &archive,
        "-lgcc",
        "-o",
        &program,
    ];
    let all = [WARNINGS.as_slice(), &MACHINE, &flags, &sources, &link].concat();
    run(command("arm-none-eabi-gcc", &all))?;
    run(command("arm-none-eabi-size", &[&program]))?;
    let board = ["60", "qemu-system-arm", "-machine", "mps2-an386", "-display", "none"];
    let quiet = ["-monitor", "none", "-serial", "none", "-no-reboot"];
    let semihosting = ["-semihosting-config", "enable=on,target=native", "-kernel", &program];
    let mut emulator: Command =
        command("timeout", &[board.as_slice(), &quiet, &semihosting].concat());
    emulator.stdin(std::process::Stdio::null());
    // Semihosting writes to the standard error of the emulator.
    let result = emulator.output().map_err(|e| format!("qemu-system-arm: {e}"))?;
    let text = String::from_utf8_lossy(&[result.stdout, result.stderr].concat()).into_owned();
    if result.status.success() {
        Ok(text)
    } else {
        // 4 is the stack, see core/capi/bare-metal/cortex_m4.c.
        Err(format!("qemu-system-arm ended with {} ({limit}):\n{text}", result.status))
    }
}

/// The machine of the microcontroller, for its compiler.
const MACHINE: [&str; 4] = ["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"];
/// What every function costs there.
const TABLE: &str = "core/capi/footprint.csv";

/// Code size and stack of every function against the committed table, or the table written anew;
/// returns the deepest stack.
fn footprints(update: bool) -> Result<u64, String> {
    build(ARM, &["--profile", "small", "--crate-type", "staticlib"], &[])?;
    let archive = format!("{}/{ARM}/{ARM}/small/librelfisher.a", folder());
    let image = format!("{}/all.elf", folder());
    let link = ["-nostdlib", "-Wl,--whole-archive", &archive, "-Wl,--no-whole-archive", "-lgcc"];
    // The linker's own script puts its stack, with a symbol, at 0x80000 into the midst of the code: a function
    // that begins there would lose its name.
    let stack = "-Wl,--section-start=.stack=0x20000000";
    let rest = ["-Wl,-Ttext=0", "-Wl,--entry=0", stack, "-o", &image];
    run(command("arm-none-eabi-gcc", &[MACHINE.as_slice(), &link, &rest].concat()))?;
    let disassembly = output(command("arm-none-eabi-objdump", &["-d", &image]))?;
    let symbols = output(command("arm-none-eabi-nm", &[&image]))?;
    let now = footprint::measure(&disassembly, &symbols, "rf_")?;
    let most = |of: fn(&footprint::Footprint) -> u64| now.values().map(of).max().unwrap_or(0);
    println!(
        "{} functions: at most {} bytes of code and {} bytes of stack each",
        now.len(),
        most(|f| f.code),
        most(|f| f.stack)
    );
    let deepest = most(|f| f.stack);
    let path = root().join(TABLE);
    if update {
        fs::write(&path, footprint::to_csv(&now)).map_err(|e| format!("{TABLE}: {e}"))?;
    }
    let committed = fs::read_to_string(&path).map_err(|e| format!("{TABLE}: {e}"))?;
    let complaints = footprint::compare(&committed, &now).map_err(|e| format!("{TABLE}: {e}"))?;
    if complaints.is_empty() {
        return Ok(deepest);
    }
    let remedy = "where the growth is meant, run `cargo ci embedded --update`";
    Err(format!("{TABLE}: {}; {remedy}", complaints.join("; ")))
}

/// PTX with every function of the header as a device function.
fn gpu() -> Outcome {
    let linker = ["-Clinker=/bin/true", "--emit=asm", "-Ctarget-cpu=sm_75"];
    // That it compiles is the point: one round of optimisation is enough.
    let profile = ["--profile", "small", "--config", "profile.small.opt-level=1"];
    build(PTX, &[profile.as_slice(), &["--crate-type", "cdylib"]].concat(), &linker)?;
    let header = root().join(capi::HEADER);
    let header = fs::read_to_string(&header).map_err(|e| format!("{}: {e}", header.display()))?;
    let deps = capi::target().join(PTX).join(PTX).join("small/deps");
    let mut assembly = String::new();
    for entry in fs::read_dir(&deps).map_err(|e| format!("{}: {e}", deps.display()))? {
        let path = entry.map_err(|e| format!("{}: {e}", deps.display()))?.path();
        if path.extension().is_some_and(|e| e == "s") {
            assembly +=
                &fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        }
    }
    let declared = |line: &str| {
        let (before, _) = line.split_once('(')?;
        let name = before.rsplit([' ', '*']).next()?;
        (name.starts_with("rf_") && !line.trim_start().starts_with("//")).then(|| name.to_owned())
    };
    let functions: Vec<String> = header.lines().filter_map(declared).collect();
    let missing: Vec<&str> = functions
        .iter()
        .filter(|name| {
            !assembly.contains(&format!("{name}(")) && !assembly.contains(&format!("{name}\n"))
        })
        .map(String::as_str)
        .collect();
    if functions.is_empty() || !missing.is_empty() {
        return Err(format!("missing from the PTX: {}", missing.join(", ")));
    }
    println!("{PTX}: {} functions as PTX", functions.len());
    Ok(())
}
