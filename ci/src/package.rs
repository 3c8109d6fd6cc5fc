//! The job `package`: what would be published is complete, small, and builds from its archive alone.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use relfisher_ci::Outcome;
use relfisher_ci::repository::{command, output, root, run};

/// The most that crates.io takes.
const MOST_BYTES: u64 = 10 << 20;

/// What lies in every package.
const FILES: [&str; 5] =
    ["Cargo.toml", "README.md", "LICENSE-MIT", "LICENSE-APACHE", "katex-header.html"];

/// The limits of crates.io on keywords: their number and length.
const KEYWORDS: (usize, usize) = (5, 20);

/// Packs every crate that may be published and builds each from its archive and those of the others.
pub(crate) fn check() -> Outcome {
    let text = output(command("cargo", &["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&text).map_err(|e| format!("metadata: {e}"))?;
    // `publish = false` is an empty list of registries.
    let published: Vec<&Value> = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|package| package["publish"].is_null())
        .collect();
    let mut complaints: Vec<String> = published.iter().flat_map(|p| described(p)).collect();
    let names: Vec<&str> = published.iter().filter_map(|p| p["name"].as_str()).collect();
    let mut pack = vec!["package", "--locked", "--allow-dirty", "--quiet"];
    names.iter().for_each(|name| pack.extend(["-p", name]));
    let mut build = command("cargo", &pack);
    // Only whether they build is asked.
    build.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_INCREMENTAL", "0");
    run(build)?;
    for package in published {
        complaints.extend(archive(package)?);
    }
    if complaints.is_empty() { Ok(()) } else { Err(format!("\n{}", complaints.join("\n"))) }
}

/// What the manifest lacks.
fn described(package: &Value) -> Vec<String> {
    let name = package["name"].as_str().unwrap_or_default();
    let mut complaints = Vec::new();
    for field in ["description", "license", "readme", "rust_version"] {
        if package[field].as_str().is_none_or(str::is_empty) {
            complaints.push(format!("{name}: its manifest has no {field}"));
        }
    }
    let words: Vec<&str> =
        package["keywords"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let (most, longest) = KEYWORDS;
    if words.is_empty() || words.len() > most || words.iter().any(|w| w.len() > longest) {
        complaints.push(format!("{name}: keywords: one to {most} of at most {longest} letters"));
    }
    if package["categories"].as_array().is_none_or(Vec::is_empty) {
        complaints.push(format!("{name}: its manifest has no categories"));
    }
    // A dependency without a version cannot be published; one for tests is left out of the archive.
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        if dependency["kind"] != "dev" && dependency["req"] == "*" {
            complaints.push(format!("{name}: {} has no version", dependency["name"]));
        }
    }
    if package["metadata"]["docs"]["rs"]["rustdoc-args"].as_array().is_none_or(Vec::is_empty) {
        complaints.push(format!("{name}: package.metadata.docs.rs has no rustdoc-args"));
    }
    complaints
}

/// What is wrong with the archive of a package.
fn archive(package: &Value) -> Result<Vec<String>, String> {
    let (name, version) = (package["name"].as_str(), package["version"].as_str());
    let (name, version) = (name.unwrap_or_default(), version.unwrap_or_default());
    let stem = format!("{name}-{version}");
    let path = root().join("target/package").join(format!("{stem}.crate"));
    let size = fs::metadata(&path).map_err(|e| format!("{}: {e}", path.display()))?.len();
    let listed = output(command("tar", &["-tzf", &path.display().to_string()]))?;
    let files: BTreeSet<&str> =
        listed.lines().filter_map(|line| line.strip_prefix(&format!("{stem}/"))).collect();
    let mut complaints = Vec::new();
    for file in FILES.iter().filter(|file| !files.contains(**file)) {
        complaints.push(format!("{stem}.crate: {file} is missing"));
    }
    if size > MOST_BYTES {
        complaints.push(format!("{stem}.crate: {size} bytes, at most {MOST_BYTES}"));
    }
    // A link would be a text of a few bytes after an extraction elsewhere.
    let licence = Path::new("target/package").join(&stem).join("LICENSE-APACHE");
    if fs::read(root().join(&licence)).ok() != fs::read(root().join("LICENSE-APACHE")).ok() {
        complaints.push(format!("{}: not the text of the licence", licence.display()));
    }
    println!("{stem}.crate: {} files, {} KiB", files.len(), size.div_ceil(1024));
    Ok(complaints)
}
