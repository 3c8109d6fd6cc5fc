//! The command line: one file for each subcommand.

mod curvature;
mod embed;
mod info;
mod problem;
mod spectrum;
mod train;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Natural gradient with closed-form relative Fisher metrics.
#[derive(Debug, Parser)]
#[command(name = "relfisher", version, about, long_about = None)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Train(train::TrainArgs),
    Curvature(curvature::CurvatureArgs),
    Spectrum(spectrum::SpectrumArgs),
    Embed(embed::EmbedArgs),
    Info(info::InfoArgs),
}

/// Runs the program with the arguments of the process.
///
/// Exit status: 0; 1 when a run left the finite numbers (the record is kept); 2 for bad input, with
/// one line on the standard error output that names file, place and remedy.
pub fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Train(args) => train::run(&args),
        Command::Curvature(args) => curvature::run(&args),
        Command::Spectrum(args) => spectrum::run(&args),
        Command::Embed(args) => embed::run(&args),
        Command::Info(args) => info::run(&args),
    };
    match result {
        Ok(code) => code,
        Err(e) => {
            complain(&e.to_string());
            ExitCode::from(e.exit_code())
        }
    }
}

/// Prints to the standard output; a reader that went away is no error.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

/// Prints one line to the standard error output.
fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "relfisher: {line}");
}
