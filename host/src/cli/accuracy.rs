//! `relfisher accuracy`: this program's numbers, or another engine's, against independent references.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use relfisher_accuracy::baseline::{Baseline, Scope};
use relfisher_accuracy::comparison::belongs;
use relfisher_accuracy::golden::{Files, bundled, compare_rows, folders};
use relfisher_accuracy::junit::junit;
use relfisher_accuracy::ladder::{Ladder, compare};
use relfisher_accuracy::table::{Key, Table};
use relfisher_accuracy::tensors::Tensors;
use serde_json::json;

use super::curvature::progress;
use super::problem::Device;
use super::say;
use crate::accuracy::{Executors, References, measure, steps};
use crate::error::Error;
use crate::executor::Engine;
use crate::format::{check_apart, check_writable, check_writable_folder, write_bytes};
use crate::train::Machine;

/// Compare the numbers of this program with independent references, and with an earlier run: the
/// formulas with a ladder of definitions, whole networks with golden cases of other packages. Or
/// compare the numbers of another engine (--actual). Exit status 1 when one is off.
#[derive(Debug, Args)]
pub(super) struct AccuracyArgs {
    /// A folder of golden cases, or one case; those that are part of the program by default.
    #[arg(long, value_name = "DIR")]
    golden: Option<PathBuf>,
    /// Precision: both by default, that of the file with --actual.
    #[arg(long, value_name = "TYPE")]
    dtype: Option<Precision>,
    /// What to compare, comma-separated: rows of the table, or what stands before a dot or a damping;
    /// everything by default.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    quantity: Vec<String>,
    /// The machine that computes. A baseline belongs to one; what differs in processor or version is
    /// named.
    #[arg(long, value_name = "WHICH", default_value = "cpu")]
    device: Device,
    /// Threads; all processors by default. The numbers do not depend on it.
    #[arg(long, value_name = "N", value_parser = super::number::threads)]
    threads: Option<usize>,
    /// The errors of an earlier run: fail when one grew by more than its allowance.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Write the errors of this run into the baseline instead, unless one is too large.
    #[arg(long, requires = "baseline")]
    update: bool,
    /// Write the outcome as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the outcome as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Compare the tensors of this file (safetensors), computed by another engine, instead: with the
    /// ladder, or with the case of --case.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["golden", "threads"])]
    actual: Option<PathBuf>,
    /// The golden case that --actual is about.
    #[arg(long, value_name = "DIR", requires = "actual")]
    case: Option<PathBuf>,
    /// Refuse tensors of --actual that are compared with nothing.
    #[arg(long, requires = "actual")]
    strict: bool,
    /// Write the ladder's inputs.safetensors and expected.safetensors into this folder, and compare
    /// nothing.
    #[arg(long, value_name = "DIR", exclusive = true)]
    export: Option<PathBuf>,
    /// No progress, and no table; only what failed.
    #[arg(long)]
    quiet: bool,
}

/// Precisions to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Precision {
    /// Single precision.
    F32,
    /// Double precision.
    F64,
    /// Both.
    Both,
}

impl Precision {
    fn dtypes(self) -> Vec<relfisher_accuracy::Dtype> {
        use relfisher_accuracy::Dtype::{F32, F64};
        match self {
            Precision::F32 => vec![F32],
            Precision::F64 => vec![F64],
            Precision::Both => vec![F64, F32],
        }
    }
}

pub(super) fn run(args: &AccuracyArgs) -> Result<ExitCode, Error> {
    if let Some(folder) = &args.export {
        return export(folder);
    }
    for path in [&args.json, &args.junit].into_iter().flatten() {
        check_writable(path)?;
    }
    apart(args)?;
    let references = references(args)?;
    let actual = args.actual.as_deref().map(Actual::read).transpose()?;
    let engine = Engine::open(args.device.into(), args.threads)?;
    let scope = scope(args, &references, actual.as_ref(), &engine)?;
    let baseline = baseline(args, &scope)?;
    let mut table = match &actual {
        Some(actual) => actual.compare(&references, &scope, args.strict)?,
        None => computed(args, &references, &scope, &engine).map_err(|e| engine.explain(e))?,
    };
    let machine = json!(Machine::detect(engine.executor::<f32>().threads()));
    if let (false, Some(baseline)) = (args.update, &baseline) {
        baseline.gate(&mut table, &scope);
        let other = baseline.differences(env!("CARGO_PKG_VERSION"), &machine);
        other.iter().filter(|_| !args.quiet).for_each(|line| say(&format!("another {line}\n")));
    }
    write_outcome(args, &table, &scope, &machine)?;
    let failures = table.failures();
    if args.quiet {
        failures.iter().for_each(|failure| say(&format!("FAIL {failure}\n")));
    } else {
        say(&table.to_string());
    }
    if !failures.is_empty() {
        if args.update && !args.quiet {
            say("the baseline is unchanged\n");
        }
        return Ok(ExitCode::from(1));
    }
    if let (true, Some(path)) = (args.update, &args.baseline) {
        let grown = baseline.as_ref().map_or(Vec::new(), |old| old.grown(&table));
        let version = (env!("CARGO_PKG_VERSION"), machine);
        let updated = Baseline::updated(baseline.as_ref(), &table, &scope, version);
        let text = updated.to_text().map_err(|e| {
            Error::input(path.display(), "", e, "repair what makes the error infinite")
        })?;
        write_bytes(path, text.as_bytes())?;
        // A raised bar is told even to those who want to hear of nothing else.
        grown.iter().for_each(|line| say(&format!("{line}\n")));
        if !args.quiet {
            say(&format!("{} has {} rows\n", path.display(), updated.errors.len()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses an output that would take the place of something that the command reads, or of another
/// output.
fn apart(args: &AccuracyArgs) -> Result<(), Error> {
    let updated = args.baseline.as_ref().filter(|_| args.update);
    let kept = args.baseline.as_ref().filter(|_| !args.update);
    let written = [("--baseline", updated), ("--json", args.json.as_ref())];
    let written = written.into_iter().chain([("--junit", args.junit.as_ref())]);
    let written: Vec<_> =
        written.filter_map(|(option, path)| Some((option, path?.as_path()))).collect();
    let mut read: Vec<PathBuf> =
        [kept, args.actual.as_ref()].into_iter().flatten().cloned().collect();
    // What a folder of cases holds is read too; one that cannot be listed is refused when it is read.
    let above = args.golden.iter().flat_map(|folder| folders(folder).unwrap_or_default());
    for folder in above.chain(args.case.clone()) {
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        read.extend(files.map(|file| file.path()));
    }
    check_apart(&written, &read.iter().map(PathBuf::as_path).collect::<Vec<_>>())
}

/// Writes the ladder.
fn export(folder: &Path) -> Result<ExitCode, Error> {
    check_writable_folder(folder)?;
    let Ladder { inputs, expected } = Ladder::new();
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, "create", &e))?;
    let mut text = String::new();
    for (name, tensors) in [("inputs", &inputs), ("expected", &expected)] {
        let path = folder.join(name).with_extension("safetensors");
        let bytes = tensors.to_bytes();
        let bytes =
            bytes.map_err(|e| Error::input(path.display(), "", e, "report this as a defect"))?;
        write_bytes(&path, &bytes)?;
        text.push_str(&format!("{}: {} tensors\n", path.display(), tensors.0.len()));
    }
    say(&text);
    Ok(ExitCode::SUCCESS)
}

/// What is compared with: of --actual either the ladder or one case.
fn references(args: &AccuracyArgs) -> Result<References, Error> {
    let unreadable = |text: String| {
        let remedy = "give a folder with arch.json, model.safetensors, x.npy, y.npy, y_mc.npy and \
                      expected.safetensors, or a folder of such folders";
        Error::input("", "", text, remedy)
    };
    let ladder = || Some(Ladder::new());
    Ok(match (&args.actual, &args.case, &args.golden) {
        (Some(_), None, _) => References { ladder: ladder(), cases: Vec::new() },
        (_, Some(case), _) => {
            References { ladder: None, cases: vec![Files::read(case).map_err(unreadable)?] }
        }
        (_, _, Some(folder)) => {
            let found = folders(folder).map_err(unreadable)?;
            let cases: Result<Vec<Files>, String> = found.iter().map(|f| Files::read(f)).collect();
            References { ladder: ladder(), cases: cases.map_err(unreadable)? }
        }
        _ => References { ladder: ladder(), cases: bundled().map_err(unreadable)? },
    })
}

fn scope(
    args: &AccuracyArgs,
    references: &References,
    actual: Option<&Actual>,
    engine: &Engine,
) -> Result<Scope, Error> {
    let quantities: Vec<String> = args.quantity.iter().map(|name| name.trim().into()).collect();
    let known = references.rows();
    for name in &quantities {
        if !known.iter().any(|row| belongs(row, name)) {
            let all = known.join(", ");
            let remedy = format!("give one of: {all}");
            return Err(Error::input("--quantity", name, "is no row of the table", remedy));
        }
    }
    let driver = engine.gpu().map(|gpu| gpu.driver().device().driver);
    let device = match (actual, driver) {
        (Some(_), _) => "actual",
        (None, None) => "cpu",
        (None, Some("emulated")) => "emulated",
        (None, Some(_)) => "cuda",
    };
    let dtypes = match (args.dtype, actual) {
        (Some(Precision::Both), Some(_)) => {
            let problem = "one file of numbers has one precision";
            return Err(Error::input("--dtype", "both", problem, "give f32 or f64"));
        }
        (Some(dtype), _) => dtype.dtypes(),
        (None, Some(actual)) => vec![actual.dtype],
        (None, None) => Precision::Both.dtypes(),
    };
    let mut sources = Vec::new();
    if references.ladder.is_some() {
        sources.push("ladder".to_owned());
    }
    if !references.cases.is_empty() {
        sources.push("golden".to_owned());
    }
    let cases = references.cases.iter().map(|files| files.case.name.clone()).collect();
    Ok(Scope { sources, quantities, dtypes, device: device.into(), cases })
}

/// The baseline of --baseline; `None` without one, or when --update is to begin it.
fn baseline(args: &AccuracyArgs, scope: &Scope) -> Result<Option<Baseline>, Error> {
    let Some(path) = &args.baseline else { return Ok(None) };
    if args.update {
        check_writable(path)?;
        if !path.exists() {
            return Ok(None);
        }
    }
    let text = std::fs::read_to_string(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            let problem = format!("cannot read: {e}");
            Error::input(path.display(), "", problem, "make it with --update")
        }
        _ => Error::io(path, "read", &e),
    })?;
    let read = Baseline::parse(&text).map_err(|(place, problem)| {
        Error::input(path.display(), place, problem, "repair it, or remove it and use --update")
    })?;
    if !args.update {
        read.check_cases(scope).map_err(|problem| {
            let remedy = "give --golden the folder that it was made with, or use --update";
            Error::input(path.display(), "cases", problem, remedy)
        })?;
    }
    Ok(Some(read))
}

/// The table of this program's own numbers.
fn computed(
    args: &AccuracyArgs,
    references: &References,
    scope: &Scope,
    engine: &Engine,
) -> Result<Table, Error> {
    let executors = Executors { single: engine.executor(), double: engine.executor() };
    let bar = progress(steps(references, scope), args.quiet);
    let mut begun = 0;
    let table = measure(references, scope, &executors, &mut |what| {
        bar.set_position(begun);
        bar.set_prefix(what.to_owned());
        begun += 1;
    });
    bar.finish_and_clear();
    Ok(table)
}

/// The numbers of another engine.
struct Actual {
    file: String,
    tensors: Tensors,
    dtype: relfisher_accuracy::Dtype,
}

impl Actual {
    fn read(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", &e))?;
        let (tensors, dtype) = Tensors::parse_typed(&bytes).map_err(|e| {
            let remedy = "write a safetensors file whose tensors are all F32, or all F64";
            Error::input(path.display(), "", e, remedy)
        })?;
        Ok(Self { file: path.display().to_string(), tensors, dtype })
    }

    fn compare(
        &self,
        references: &References,
        scope: &Scope,
        strict: bool,
    ) -> Result<Table, Error> {
        let mut table = Table::default();
        let wanted = |row: &str| scope.wants(row);
        for &dtype in &scope.dtypes {
            let key = |source: &str| Key {
                source: source.into(),
                quantity: String::new(),
                dtype,
                device: scope.device.clone(),
            };
            if let Some(ladder) = &references.ladder {
                self.check_names(&ladder.expected, strict)?;
                table.add(&key("ladder"), "", compare(ladder, &self.tensors, dtype, &wanted));
            }
            for Files { case, .. } in &references.cases {
                self.check_names(&case.expected, strict)?;
                let answer = compare_rows(case, &self.tensors, dtype, &wanted);
                table.add(&key("golden"), &case.name, answer);
            }
        }
        Ok(table)
    }

    /// Refuses tensors that the references do not have, when `strict`.
    fn check_names(&self, expected: &Tensors, strict: bool) -> Result<(), Error> {
        let stranger = self.tensors.names().find(|name| expected.get(name).is_none());
        match stranger {
            Some(name) if strict => Err(Error::input(
                &self.file,
                format_args!("tensor {name:?}"),
                "is compared with nothing",
                "remove it, correct its name, or leave --strict out",
            )),
            _ => Ok(()),
        }
    }
}

/// The files of --json and --junit.
fn write_outcome(
    args: &AccuracyArgs,
    table: &Table,
    scope: &Scope,
    machine: &serde_json::Value,
) -> Result<(), Error> {
    let failures = table.failures();
    if let Some(path) = &args.json {
        let outcome = json!({
            "kind": "relfisher accuracy",
            "schema": 1,
            "version": env!("CARGO_PKG_VERSION"),
            "machine": machine,
            "actual": args.actual,
            "baseline": args.baseline,
            "cases": scope.cases,
            "comparisons": table.comparisons(),
            "passed": failures.is_empty(),
            "rows": table.rows().collect::<Vec<_>>(),
            "failures": failures,
        });
        write_bytes(path, format!("{outcome:#}\n").as_bytes())?;
    }
    if let Some(path) = &args.junit {
        let text = junit(table).map_err(|e| Error::io(path, "write", &e))?;
        write_bytes(path, text.as_bytes())?;
    }
    Ok(())
}
