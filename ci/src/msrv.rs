//! The stated minimum Rust version, held against what the published crates' dependencies state.
//!
//! The calls into the standard library that are newer than the stated version are found by clippy's
//! `incompatible_msrv`, which the job `lint` denies.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use relfisher_ci::Outcome;
use relfisher_ci::repository::{command, output};

/// Fails when a normal or build dependency of a published crate states a newer Rust. Benches, tests and this
/// program may need one.
pub(crate) fn check() -> Outcome {
    let text = output(command("cargo", &["metadata", "--format-version", "1", "--locked"]))?;
    let metadata: Value = serde_json::from_str(&text).map_err(|e| format!("metadata: {e}"))?;
    let packages: HashMap<&str, &Value> = list(&metadata["packages"])
        .filter_map(|package| Some((package["id"].as_str()?, package)))
        .collect();
    let edges: HashMap<&str, Vec<&str>> = list(&metadata["resolve"]["nodes"])
        .filter_map(|node| Some((node["id"].as_str()?, needed_by_users(node))))
        .collect();

    let mut complaints = Vec::new();
    // `publish = false` is an empty list of registries.
    let members = list(&metadata["workspace_members"])
        .filter_map(|member| packages.get_key_value(member.as_str()?))
        .filter(|(_, package)| package["publish"].is_null());
    for (id, package) in members {
        let name = package["name"].as_str().unwrap_or_default();
        let stated = package["rust_version"].as_str().unwrap_or("none");
        let mut newest = (String::from("1.0"), String::from("nothing"));
        let mut seen = HashSet::new();
        let mut open = edges.get(id).cloned().unwrap_or_default();
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            let package = packages.get(id).ok_or_else(|| format!("no package {id}"))?;
            if let Some(version) = package["rust_version"].as_str() {
                let label = format!("{} {}", package["name"], package["version"]);
                if parse(version) > parse(&newest.0) {
                    newest = (version.to_owned(), label.clone());
                }
                if parse(version) > parse(stated) {
                    complaints
                        .push(format!("{label} needs Rust {version}, {name} states {stated}"));
                }
            }
            open.extend(edges.get(id).into_iter().flatten());
        }
        println!(
            "{name}: states Rust {stated}; the newest that its {} dependencies state is {} ({})",
            seen.len(),
            newest.0,
            newest.1
        );
    }
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("; ")) }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The dependencies of a node that a user compiles: all but the dev-dependencies.
fn needed_by_users(node: &Value) -> Vec<&str> {
    list(&node["deps"])
        .filter(|dep| list(&dep["dep_kinds"]).any(|kind| kind["kind"] != "dev"))
        .filter_map(|dep| dep["pkg"].as_str())
        .collect()
}

/// A dotted version as numbers, missing ones 0.
fn parse(version: &str) -> [u32; 3] {
    let mut parts = version.split('.').map(|p| p.parse().unwrap_or(0));
    [parts.next().unwrap_or(0), parts.next().unwrap_or(0), parts.next().unwrap_or(0)]
}
