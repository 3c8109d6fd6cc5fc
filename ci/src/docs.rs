//! The job `docs`: the documentation as it is published, and every formula in it set once.

use std::fs;

use relfisher_ci::Outcome;
use relfisher_ci::repository::{command, output, root, run};

/// The header of the published documentation, with which formulas are set.
const HEADER: &str = "docs/katex-header.html";

/// Builds the documentation, warnings denied, and sets the formulas.
pub(crate) fn check() -> Outcome {
    let mut doc = command("cargo", &["doc", "--release", "--workspace", "--no-deps"]);
    doc.env("RUSTDOCFLAGS", format!("-D warnings --html-in-header {HEADER}"));
    run(doc)?;
    formulas()
}

/// Every formula by the KaTeX that the header names, without a browser.
fn formulas() -> Outcome {
    if ["node", "npm"].iter().any(|tool| output(command(tool, &["--version"])).is_err()) {
        println!("the formulas were not set: that needs node and npm");
        return Ok(());
    }
    let text = fs::read_to_string(root().join(HEADER)).map_err(|e| format!("{HEADER}: {e}"))?;
    let package = text
        .split('/')
        .find(|part| part.starts_with("katex@"))
        .ok_or_else(|| format!("{HEADER} names no version of KaTeX"))?;
    let place = "target/formulas";
    run(command("npm", &["install", "--silent", "--no-save", "--prefix", place, package]))?;
    let katex = format!("{place}/node_modules/katex");
    let doc = root().join("target/doc");
    let mut pages = Vec::new();
    for entry in fs::read_dir(&doc).map_err(|e| format!("{}: {e}", doc.display()))? {
        let path = entry.map_err(|e| format!("{}: {e}", doc.display()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // Documentation of other crates may be there from other commands.
        if path.is_dir() && name.starts_with("relfisher") {
            pages.push(path.display().to_string());
        }
    }
    let mut check = command("node", &["ci/formulas/check.mjs", HEADER, &katex]);
    check.args(pages);
    run(check)
}
