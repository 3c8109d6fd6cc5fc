//! The stated minimum Rust version: of the published crates, and of those apart from the workspace that have
//! a lock file of their own.
//!
//! What dependencies state is compared with it, and what people link is compiled by that very version: a
//! dependency's feature, or a rule of the language, may need a newer one without saying so. The calls into
//! the standard library that are newer are also found by clippy's `incompatible_msrv`, which the job `lint`
//! denies, in all targets of the workspace.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde_json::Value;

use relfisher_ci::Outcome;
use relfisher_ci::repository::{command, output, root, run};
use relfisher_ci::sources::files;

/// What is compiled, each by the version that the first name states: the crates that engines and devices
/// link, and the library with its program. The other crates with lock files are checked by what their
/// dependencies state.
const COMPILED: [(&str, &[&str]); 3] = [
    ("relfisher-core", &["-p", "relfisher-core", "-p", "relfisher-kernels"]),
    ("relfisher-capi", &["--manifest-path", "core/capi/Cargo.toml"]),
    ("relfisher", &["-p", "relfisher"]),
];

/// Fails when a normal or build dependency states a newer Rust, or the crates do not compile with the stated
/// one. Benches, tests and this program may need a newer.
pub(crate) fn check() -> Outcome {
    let (mut complaints, mut stated) = dependencies(None)?;
    for lock in files(&root(), |path| path.ends_with("Cargo.lock"))? {
        let manifest = lock.with_file_name("Cargo.toml");
        let manifest = manifest.strip_prefix(root()).unwrap_or(&manifest);
        if manifest != Path::new("Cargo.toml") {
            let (more, versions) = dependencies(Some(&manifest.display().to_string()))?;
            complaints.extend(more);
            stated.extend(versions);
        }
    }
    if !complaints.is_empty() {
        return Err(complaints.join("; "));
    }
    COMPILED.into_iter().try_for_each(|(name, arguments)| {
        let version = stated.get(name).ok_or_else(|| format!("{name} states no Rust"))?;
        compile(version, arguments)
    })
}

/// What dependencies state against what the crates of a manifest do, and what each of these states. Of the
/// workspace, which `None` stands for, only the published ones count.
fn dependencies(manifest: Option<&str>) -> Result<(Vec<String>, HashMap<String, String>), String> {
    let mut arguments = vec!["metadata", "--format-version", "1", "--locked"];
    arguments.extend(manifest.into_iter().flat_map(|manifest| ["--manifest-path", manifest]));
    if manifest.is_some() {
        // Optional ones, as views have for each library, are what their users compile.
        arguments.push("--all-features");
    }
    let text = output(command("cargo", &arguments))?;
    let metadata: Value = serde_json::from_str(&text).map_err(|e| format!("metadata: {e}"))?;
    let packages: HashMap<&str, &Value> = list(&metadata["packages"])
        .filter_map(|package| Some((package["id"].as_str()?, package)))
        .collect();
    let edges: HashMap<&str, Vec<&str>> = list(&metadata["resolve"]["nodes"])
        .filter_map(|node| Some((node["id"].as_str()?, needed_by_users(node))))
        .collect();

    let (mut complaints, mut versions) = (Vec::new(), HashMap::new());
    // `publish = false` is an empty list of registries.
    let members = list(&metadata["workspace_members"])
        .filter_map(|member| packages.get_key_value(member.as_str()?))
        .filter(|(_, package)| manifest.is_some() || package["publish"].is_null());
    for (id, package) in members {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(stated) = package["rust_version"].as_str() else {
            println!("{name}: states no Rust");
            continue;
        };
        versions.insert(name.to_owned(), stated.to_owned());
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
    Ok((complaints, versions))
}

/// Compiles by the stated version itself. Without a network to install it from, says that this was not done.
fn compile(stated: &str, arguments: &[&str]) -> Outcome {
    let there = ["run", stated, "rustc", "--version"];
    if output(command("rustup", &there)).is_err() {
        let wanted = ["toolchain", "install", stated, "--profile", "minimal"];
        if let Err(reason) = run(command("rustup", &wanted)) {
            println!("not compiled by Rust {stated}, which cannot be installed: {reason}");
            return Ok(());
        }
    }
    let fixed = ["run", stated, "cargo", "check", "--locked"];
    let mut check = command("rustup", &[fixed.as_slice(), arguments].concat());
    check.env("CARGO_TARGET_DIR", root().join("target/msrv")).env("CARGO_INCREMENTAL", "0");
    // Those of the tool chain that runs this program.
    check.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").env_remove("RUSTC");
    run(check)
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
