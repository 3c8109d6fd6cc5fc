//! Checks of the text of the tree.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::repository::root;

/// The longest a source file may be.
const MOST_LINES: usize = 500;

/// What must not stand in a source file of the core outside comments.
const FORBIDDEN_IN_CORE: [&str; 8] = [
    ".unwrap()",
    ".expect(",
    "panic!(",
    "unreachable!(",
    "assert!(",
    "assert_eq!(",
    "todo!(",
    "unimplemented!(",
];

/// Every Rust source below `folder`, build outputs left out.
pub fn rust_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    files(folder, |path| path.extension().is_some_and(|e| e == "rs"))
}

/// The files below `folder` that `wanted` takes, in order, build outputs left out.
pub fn files(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        let entries = fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        for entry in entries {
            let path = entry.map_err(|e| format!("{}: {e}", folder.display()))?.path();
            if path.is_dir() {
                if !path.ends_with("target") && !path.ends_with(".git") {
                    open.push(path);
                }
            } else if wanted(&path) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// File sizes, ignored tests, and panicking calls in the core.
pub fn check() -> Outcome {
    let root = root();
    let mut complaints = Vec::new();
    for path in rust_files(&root)? {
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let name = path.strip_prefix(&root).unwrap_or(&path).display().to_string();
        let lines = text.lines().count();
        if lines > MOST_LINES {
            complaints.push(format!("{name}: {lines} lines, at most {MOST_LINES}: split it"));
        }
        let in_core = name.starts_with("core/src/");
        for (number, line) in text.lines().enumerate() {
            let code = line.trim_start();
            if code.starts_with("//") {
                continue;
            }
            if code.starts_with("#[ignore") {
                complaints.push(format!("{name}:{}: an ignored test proves nothing", number + 1));
            }
            // An assertion in a constant is evaluated by the compiler.
            let at_compile_time = code.starts_with("const {") || code.starts_with("const _");
            if in_core
                && !at_compile_time
                && let Some(word) = FORBIDDEN_IN_CORE.iter().find(|w| code.contains(**w))
            {
                complaints.push(format!("{name}:{}: `{word}` in core", number + 1));
            }
        }
    }
    complaints.extend(missing_files("ARCHITECTURE.md")?);
    if complaints.is_empty() { Ok(()) } else { Err(format!("\n{}", complaints.join("\n"))) }
}

/// The files that a document names between back-ticks and that do not exist.
fn missing_files(document: &str) -> Result<Vec<String>, String> {
    let root = root();
    let text = fs::read_to_string(root.join(document)).map_err(|e| format!("{document}: {e}"))?;
    let named = text.split('`').skip(1).step_by(2);
    Ok(named
        .filter(|name| name.contains('/') && !name.contains(' ') && !root.join(name).exists())
        .map(|name| format!("{document} names {name}, which does not exist"))
        .collect())
}
