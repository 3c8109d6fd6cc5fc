//! Every method of [`Gpu`] on a device, against plain loops or the core in f64.
//!
//! `RELFISHER_GPU` names the device: `cuda` (default) for the first GPU, `emulated` for the emulator.
//! `RELFISHER_GPU_SIZES` names the sizes: `large` ones (default of a GPU) besides `small` ones, which
//! the emulator and tools that slow a GPU down can do. Without a GPU every test is skipped, and the last line counts them;
//! `REQUIRE_GPU=1` makes each of them a failure.

#[path = "../../../tests/src/compare.rs"]
#[allow(dead_code, unreachable_pub, unused_imports)]
mod compare;
#[path = "../../../tests/src/random.rs"]
#[allow(dead_code, unreachable_pub, unused_imports)]
mod random;
#[path = "../../../tests/src/tolerance/mod.rs"]
#[allow(dead_code, unreachable_pub, unused_imports)]
mod tolerance;

mod batches;
mod elementwise;
mod entries;
mod lab;
mod layers;
mod memory;
mod metrics;
mod products;
mod recursions;
mod steps;
mod training;

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use relfisher::driver::{self, Emulated};
use relfisher::executor::cuda::Gpu;

use lab::Lab;

/// A test: its name, and what it does.
type Case = (&'static str, fn(&Lab));

/// Every test, by file.
const SUITES: &[(&str, &[Case])] = &[
    ("products", products::CASES),
    ("metrics", metrics::CASES),
    ("layers", layers::CASES),
    ("elementwise", elementwise::CASES),
    ("batches", batches::CASES),
    ("recursions", recursions::CASES),
    ("steps", steps::CASES),
    ("training", training::CASES),
    ("memory", memory::CASES),
    ("entries", entries::CASES),
];

static SKIPPED: AtomicUsize = AtomicUsize::new(0);

/// Why there is no device to test.
enum Absence {
    /// The machine has none, which may be.
    NoDevice(String),
    /// It has one that refuses the kernels, which may not be.
    Refusal(String),
}

/// The device, opened once: its driver compiles all kernels then.
static DEVICE: LazyLock<Result<Arc<Gpu>, Absence>> = LazyLock::new(|| {
    let driver = match std::env::var("RELFISHER_GPU").as_deref() {
        Ok("emulated") => Ok(Arc::new(Emulated::new()) as Arc<dyn driver::Driver>),
        Err(_) | Ok("cuda") => driver::detect(0).map_err(|e| Absence::NoDevice(e.to_string())),
        Ok(other) => panic!("RELFISHER_GPU is {other}, neither cuda nor emulated"),
    };
    let start = std::time::Instant::now();
    let gpu = Gpu::new(driver?).map_err(|e| Absence::Refusal(e.to_string()))?;
    let device = gpu.driver().device();
    eprintln!(
        "device: {} ({}), compute capability {}.{}, CUDA {}.{}, kernels {} in {:.1} s",
        device.name,
        device.driver,
        device.capability.0,
        device.capability.1,
        device.version.0,
        device.version.1,
        gpu.variant().name(),
        start.elapsed().as_secs_f64()
    );
    Ok(gpu)
});

fn is_set(name: &str, value: &str) -> bool {
    std::env::var(name).is_ok_and(|found| found == value)
}

fn run(case: fn(&Lab)) -> Result<Completion, Failed> {
    match &*DEVICE {
        Ok(gpu) => {
            let large = match std::env::var("RELFISHER_GPU_SIZES").as_deref() {
                Ok("small") => false,
                Ok("large") => true,
                _ => gpu.driver().device().driver != "emulated",
            };
            case(&Lab::new(gpu, large));
            Ok(Completion::Completed)
        }
        Err(Absence::Refusal(reason)) => Err(format!("the device is unusable: {reason}").into()),
        Err(Absence::NoDevice(reason)) if is_set("REQUIRE_GPU", "1") => {
            Err(format!("REQUIRE_GPU=1, but {reason}").into())
        }
        Err(Absence::NoDevice(reason)) => {
            SKIPPED.fetch_add(1, Ordering::Relaxed);
            Ok(Completion::ignored_with(reason))
        }
    }
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // One at a time: a failed kernel of one test would be reported by another.
    arguments.test_threads.get_or_insert(1);
    let trials = SUITES.iter().flat_map(|(suite, cases)| {
        cases.iter().map(move |(name, case)| {
            let case = *case;
            Trial::ignorable_test(format!("{suite}::{name}"), move || run(case))
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    if !arguments.list {
        let skipped = SKIPPED.load(Ordering::Relaxed);
        println!(
            "gpu parity: {} passed, {} failed, {skipped} skipped for want of a GPU",
            conclusion.num_passed, conclusion.num_failed
        );
    }
    conclusion.exit_code()
}
