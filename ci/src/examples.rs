//! The job `examples`: every example of `host/examples` ends well, within a minute, and leaves a picture
//! below `runs/examples/NAME`, and nothing beside that folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use relfisher_ci::Outcome;
use relfisher_ci::repository::{artifacts, output, root};

/// What an example may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Builds all examples and runs each in a folder of its own.
pub(crate) fn check() -> Outcome {
    let examples = build()?;
    if examples.is_empty() {
        return Err("host/examples has no example".into());
    }
    let scratch = std::env::temp_dir().join(format!("relfisher-examples-{}", std::process::id()));
    let outcomes: Vec<(String, Outcome)> = examples
        .into_iter()
        .map(|(name, program)| {
            let outcome = check_one((&name, &program), &scratch.join(&name));
            (name, outcome)
        })
        .collect();
    // What is left there is of no use to anyone, and failing to remove it harms nobody.
    let _ = std::fs::remove_dir_all(&scratch);
    let failures: Vec<String> = outcomes
        .into_iter()
        .filter_map(|(name, outcome)| Some(format!("{name}: {}", outcome.err()?)))
        .collect();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// Name and executable of every example, in order.
fn build() -> Result<Vec<(String, PathBuf)>, String> {
    let messages = artifacts(&["build", "--release", "--workspace", "--examples"])?;
    let mut examples: Vec<(String, PathBuf)> = messages
        .iter()
        .filter_map(|message| {
            let name = message["target"]["name"].as_str()?.to_owned();
            Some((name, PathBuf::from(message["executable"].as_str()?)))
        })
        .collect();
    examples.sort();
    let folder = root().join("host/examples");
    let files = std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let sources = files.flatten().filter(|file| file.path().extension().is_some_and(|e| e == "rs"));
    let count = sources.count();
    if count == examples.len() {
        Ok(examples)
    } else {
        Err(format!("{} examples were built, {} has {count}", examples.len(), folder.display()))
    }
}

fn check_one((name, program): (&str, &Path), folder: &Path) -> Outcome {
    std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let started = Instant::now();
    output({
        let mut command = Command::new(program);
        command.current_dir(folder);
        command
    })?;
    let taken = started.elapsed();
    let own = folder.join("runs/examples").join(name);
    let pictures = pictures(&own);
    println!("{name:<30} {:>5.1} s, {pictures} pictures", taken.as_secs_f64());
    if taken > LIMIT {
        return Err(format!("took {:.0} s, more than {}", taken.as_secs_f64(), LIMIT.as_secs()));
    }
    if pictures == 0 {
        return Err(format!("left no PNG with an SVG beside it below runs/examples/{name}"));
    }
    let (all, inside) = (files(folder), files(&own));
    if all > inside {
        return Err(format!("left {} files outside of runs/examples/{name}", all - inside));
    }
    Ok(())
}

/// The files below a folder.
fn files(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let paths = entries.flatten().map(|entry| entry.path());
    paths.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

/// The pictures below a folder: PNG files that are not empty, with an SVG beside each.
fn pictures(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let filled = |path: &Path| std::fs::metadata(path).is_ok_and(|file| file.len() > 1000);
    entries
        .flatten()
        .map(|entry| entry.path())
        .map(|path| match path.extension().and_then(|e| e.to_str()) {
            _ if path.is_dir() => pictures(&path),
            Some("png") => usize::from(filled(&path) && filled(&path.with_extension("svg"))),
            _ => 0,
        })
        .sum()
}
