//! The command line: one file for each subcommand.

mod accuracy;
mod curvature;
mod embed;
mod evolution;
mod gradnet;
mod info;
mod laplace;
mod number;
mod problem;
mod prune;
mod spectrum;
mod train;

use std::io::Write;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

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
    Evolution(evolution::EvolutionArgs),
    Embed(embed::EmbedArgs),
    Laplace(laplace::LaplaceArgs),
    Prune(prune::PruneArgs),
    Gradnet(gradnet::GradnetArgs),
    Accuracy(accuracy::AccuracyArgs),
    Info(info::InfoArgs),
}

/// Runs the program with the arguments of the process.
///
/// Exit status: 0; 1 when a run left the finite numbers (the record is kept) or a comparison failed; 2
/// for bad input, with one line on the standard error output that names file, place and remedy.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => return refuse_arguments(&e),
    };
    let result = match cli.command {
        Command::Train(args) => train::run(&args),
        Command::Curvature(args) => curvature::run(&args),
        Command::Spectrum(args) => spectrum::run(&args),
        Command::Evolution(args) => evolution::run(&args),
        Command::Embed(args) => embed::run(&args),
        Command::Laplace(args) => laplace::run(&args),
        Command::Prune(args) => prune::run(&args),
        Command::Gradnet(args) => gradnet::run(&args),
        Command::Accuracy(args) => accuracy::run(&args),
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

/// What became of arguments that do not name a command: help and version as they are, anything else
/// as one line.
fn refuse_arguments(e: &clap::Error) -> ExitCode {
    if matches!(
        e.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        // A reader that went away is no error.
        let _ = e.print();
        return ExitCode::from(if e.use_stderr() { 2 } else { 0 });
    }
    let given = std::env::args().nth(1).unwrap_or_default();
    let known = Cli::command().get_subcommands().any(|c| c.get_name() == given);
    let help = if known { format!("relfisher {given} --help") } else { "relfisher --help".into() };
    complain(&format!("{}; see {help}", one_line(&e.to_string())));
    ExitCode::from(2)
}

/// The paragraphs of a message of the argument parser that say what is wrong, on one line.
fn one_line(message: &str) -> String {
    let wanted = |part: &&str| !part.starts_with("Usage:") && !part.starts_with("For more");
    let parts: Vec<String> = message
        .split("\n\n")
        .map(str::trim)
        .filter(wanted)
        .map(|part| part.lines().map(str::trim).collect::<Vec<_>>().join(" "))
        .collect();
    parts.join("; ").trim_start_matches("error: ").to_owned()
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
