//! The job `features`: every crate compiles with none of its features, each alone, the default ones and
//! all of them, so that no feature takes anything away or leans on another one.

use std::collections::BTreeSet;

use serde_json::Value;

use relfisher_ci::Outcome;
use relfisher_ci::repository::{command, output, run};
use relfisher_ci::stub;

/// Features that leave a choice to others, with the one that the default features make.
const CHOICES: [(&str, &str); 1] = [
    // The version of CUDA that `cudarc` declares; an engine that uses the crate already has chosen.
    ("cudarc", "cudarc,cudarc?/cuda-11040"),
];

/// Checks every library crate of the workspace over its own list of features.
pub(crate) fn check() -> Outcome {
    let text = output(command("cargo", &["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&text).map_err(|e| format!("metadata: {e}"))?;
    // Where the build scripts of the crates that link the CUDA driver look for it.
    let stub = stub::build()?;
    let home = stub.whole.parent().unwrap_or(&stub.whole).to_path_buf();
    let mut checked = 0;
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        for arguments in matrix(package) {
            let mut check = command("cargo", &["check", "--release", "--quiet", "-p", name]);
            check.args(&arguments).env("CUDA_LIBRARY_PATH", &home);
            run(check).map_err(|e| format!("{e}: a feature is not additive"))?;
            checked += 1;
        }
    }
    println!("{checked} sets of features compile");
    Ok(())
}

/// The arguments of each set of features; one without any for a package that has none.
fn matrix(package: &Value) -> Vec<Vec<String>> {
    let features: BTreeSet<&str> = package["features"]
        .as_object()
        .into_iter()
        .flat_map(|features| features.keys())
        .map(String::as_str)
        .filter(|feature| *feature != "default")
        .collect();
    let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let mut sets = vec![owned(&["--no-default-features"])];
    for feature in &features {
        let choice =
            CHOICES.iter().find(|(name, _)| name == feature).map_or(*feature, |(_, with)| *with);
        sets.push(owned(&["--no-default-features", "--features", choice]));
    }
    if package["features"].get("default").is_some() {
        sets.push(Vec::new());
    }
    if features.len() > 1 {
        sets.push(owned(&["--all-features"]));
    }
    sets
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::matrix;

    #[test]
    fn every_feature_stands_alone_and_among_all() {
        let sets = |features| -> Vec<String> {
            matrix(&json!({ "features": features })).iter().map(|set| set.join(" ")).collect()
        };
        assert_eq!(sets(json!({})), ["--no-default-features"]);
        assert_eq!(
            sets(json!({ "std": [] })),
            ["--no-default-features", "--no-default-features --features std"]
        );
        let chosen = "--no-default-features --features cudarc,cudarc?/cuda-11040";
        assert_eq!(sets(json!({ "cudarc": [] })), ["--no-default-features", chosen]);
        assert_eq!(
            sets(json!({ "default": ["a"], "a": [], "b": [] })),
            [
                "--no-default-features",
                "--no-default-features --features a",
                "--no-default-features --features b",
                "",
                "--all-features"
            ]
        );
    }
}
