//! The job `examples`: every example of `core/examples` and `host/examples` ends well, within a minute; one of
//! `host` leaves a picture below `runs/examples/NAME` and nothing beside that folder (core cannot draw); the
//! numbered ones are the tutorial, as `docs/tutorial.md` lists it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use relfisher_ci::Outcome;
use relfisher_ci::repository::{artifacts, output, root};

/// What an example may take.
const LIMIT: Duration = Duration::from_secs(60);

/// The folders of examples, and the page that lists the numbered ones.
const FOLDERS: [&str; 2] = ["core/examples", HOST];
const HOST: &str = "host/examples";
const PAGE: &str = "docs/tutorial.md";

struct Example {
    name: String,
    program: PathBuf,
    /// Whether a picture is asked of it.
    draws: bool,
}

/// Builds all examples and runs each in a folder of its own.
pub(crate) fn check() -> Outcome {
    let examples = build()?;
    let page = root().join(PAGE);
    let page = std::fs::read_to_string(&page).map_err(|e| format!("{}: {e}", page.display()))?;
    let names: Vec<&str> = examples.iter().map(|example| example.name.as_str()).collect();
    tutorial(&names, &page)?;
    let scratch = std::env::temp_dir().join(format!("relfisher-examples-{}", std::process::id()));
    let outcomes: Vec<(String, Outcome)> = examples
        .into_iter()
        .map(|example| {
            let outcome = check_one(&example, &scratch.join(&example.name));
            (example.name, outcome)
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

/// Every example, in the order of their names.
fn build() -> Result<Vec<Example>, String> {
    let messages = artifacts(&["build", "--release", "--workspace", "--examples"])?;
    let drawing = root().join(HOST);
    let mut examples: Vec<Example> = messages
        .iter()
        .filter_map(|message| {
            let program = PathBuf::from(message["executable"].as_str()?);
            let draws = Path::new(message["target"]["src_path"].as_str()?).starts_with(&drawing);
            Some(Example { name: message["target"]["name"].as_str()?.to_owned(), program, draws })
        })
        .collect();
    examples.sort_by(|a, b| a.name.cmp(&b.name));
    let mut count = 0;
    for folder in FOLDERS.map(|folder| root().join(folder)) {
        let files = std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        count +=
            files.flatten().filter(|f| f.path().extension().is_some_and(|e| e == "rs")).count();
    }
    if count == examples.len() && count > 0 {
        Ok(examples)
    } else {
        Err(format!(
            "{} examples were built, {} have {count}",
            examples.len(),
            FOLDERS.join(" and ")
        ))
    }
}

/// The numbered examples begin at 01 without a gap, and the page gives the command of each, in order.
fn tutorial(names: &[&str], page: &str) -> Outcome {
    let lessons: Vec<&str> =
        names.iter().copied().filter(|n| n.starts_with(|c: char| c.is_ascii_digit())).collect();
    for (place, name) in lessons.iter().enumerate() {
        let number = format!("{:02}_", place + 1);
        if !name.starts_with(&number) {
            return Err(format!("example {name} stands where {number}… should: number them anew"));
        }
    }
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let listed: Vec<&str> = page
        .split("--example ")
        .skip(1)
        .map(|rest| rest.find(|c| !word(c)).map_or(rest, |end| &rest[..end]))
        .collect();
    if listed == lessons {
        Ok(())
    } else {
        Err(format!("{PAGE} gives commands for {listed:?}, the examples are {lessons:?}"))
    }
}

fn check_one(example: &Example, folder: &Path) -> Outcome {
    std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let started = Instant::now();
    output({
        let mut command = Command::new(&example.program);
        command.current_dir(folder);
        command
    })?;
    let taken = started.elapsed();
    let own = folder.join("runs/examples").join(&example.name);
    let pictures = pictures(&own);
    println!("{:<30} {:>5.1} s, {} pictures", example.name, taken.as_secs_f64(), pictures);
    if taken > LIMIT {
        return Err(format!("took {:.0} s, more than {}", taken.as_secs_f64(), LIMIT.as_secs()));
    }
    if example.draws && pictures == 0 {
        return Err(format!("left no PNG with an SVG beside it below {}", own.display()));
    }
    let (all, inside) = (files(folder), files(&own));
    if all > inside {
        return Err(format!("left {} files outside of {}", all - inside, own.display()));
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

#[cfg(test)]
mod tests {
    use super::tutorial;

    #[test]
    fn the_page_lists_the_lessons_in_order() {
        let page = "`cargo run --example 01_a` and\n--example 02_b\n";
        assert!(tutorial(&["01_a", "02_b", "laplace"], page).is_ok());
        let gap = tutorial(&["01_a", "03_b"], page).expect_err("no 02");
        assert!(gap.contains("03_b"), "{gap}");
        let unlisted = tutorial(&["01_a", "02_b", "03_c"], page).expect_err("not on the page");
        assert!(unlisted.contains("03_c"), "{unlisted}");
        assert!(tutorial(&["01_a"], page).is_err(), "a command for nothing");
    }
}
