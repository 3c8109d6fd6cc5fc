//! `relfisher info`: version, processor, threads, GPUs.

use std::process::ExitCode;

use clap::Args;

use super::say;
use crate::error::Error;
use crate::executor::{Cpu, Executor};
use crate::train::{GpuReport, Machine};

/// Show the version, the processor and its vector extensions, threads, and GPUs found or why none.
#[derive(Debug, Args)]
pub(super) struct InfoArgs {
    /// Threads; all processors by default.
    #[arg(long, value_name = "N", value_parser = super::number::threads)]
    threads: Option<usize>,
}

pub(super) fn run(args: &InfoArgs) -> Result<ExitCode, Error> {
    let cpu = Cpu::new(args.threads)?;
    let threads = Executor::<f32>::threads(&cpu);
    let machine = Machine::detect(threads);
    let simd = if machine.simd.is_empty() { "none known".into() } else { machine.simd.join(" ") };
    say(&format!(
        "relfisher {version}\nsystem    {os} {arch}\nprocessor {model}\nfeatures  {simd}\n\
         threads   {threads}\nexecutor  {executor}\n{gpu}",
        version = env!("CARGO_PKG_VERSION"),
        os = machine.os,
        arch = machine.arch,
        model = machine.cpu,
        executor = Executor::<f32>::description(&cpu),
        gpu = GpuReport::detect(),
    ));
    Ok(ExitCode::SUCCESS)
}
