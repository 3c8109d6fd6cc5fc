//! `relfisher laplace` as a user sees it: evidence, draws and predictions of a trained network, bad input
//! in one line.

mod common;

use std::fs;
use std::path::Path;
use std::process::Output;

use common::{assert_plots, assert_refused, folder, relfisher, stderr, stdout};
use safetensors::SafeTensors;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data");

fn data(name: &str) -> String {
    format!("{DATA}/{name}")
}

fn run(out: &Path, more: &[&str]) -> Output {
    let (net, weights) = (data("nets/ml_digits.json"), data("nets/ml_digits.safetensors"));
    let inputs = data("mnist10k/train-images-idx3-ubyte.gz");
    let mut args = vec!["laplace", "--net", &net, "--weights", &weights, "--inputs", &inputs];
    args.extend(["--samples", "60", "--out", out.to_str().unwrap()]);
    args.extend(more);
    relfisher(&args)
}

fn targets() -> String {
    data("mnist10k/train-labels-idx1-ubyte.gz")
}

#[test]
fn a_trained_network_has_a_posterior() {
    let out = folder("laplace-digits");
    let (targets, test) = (targets(), data("mnist10k/t10k-images-idx3-ubyte.gz"));
    let test_targets = data("mnist10k/t10k-labels-idx1-ubyte.gz");
    let output = run(
        &out,
        &[
            "--targets",
            &targets,
            "--structure",
            "diag,kron,ekfac,lowrank:3",
            "--predict",
            &test,
            "--predict-targets",
            &test_targets,
            "--predict-samples",
            "20",
            "--draws",
            "2",
        ],
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for part in ["13090 parameters", "lowrank:3", "log-marginal", "mean deviation"] {
        assert!(stdout(&output).contains(part), "{part}: {}", stdout(&output));
    }
    assert_eq!(stderr(&output), "");
    let text = fs::read_to_string(out.join("laplace.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&text).unwrap();
    let structures = record["structures"].as_array().unwrap();
    assert_eq!(structures.len(), 4);
    for structure in structures {
        let number = |name: &str| structure[name].as_f64().unwrap();
        assert!(number("log_marginal_likelihood").is_finite());
        assert!(number("prior_precision") > 0.0 && number("mean_output_deviation") > 0.0);
        assert!((0.0..=1.0).contains(&structure["predictive"]["accuracy"].as_f64().unwrap()));
        assert!(number("effective_parameters") < 13090.0);
    }
    assert_eq!(fs::read_to_string(out.join("laplace.csv")).unwrap().lines().count(), 4 * 61 + 1);
    assert_plots(&out, &["laplace"], &["prior precision", "kron"]);
    let bytes = fs::read(out.join("laplace.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.tensor("outputs").unwrap().shape(), [20, 10]);
    assert_eq!(file.tensor("kron.covariance").unwrap().shape(), [20, 10, 10]);
    let draws = file.names().into_iter().filter(|name| name.starts_with("ekfac.draw.")).count();
    assert_eq!(draws, 5, "one for each layer");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 5);
    // The same numbers again, on another number of threads.
    let again = folder("laplace-again");
    let output = run(&again, &["--targets", &targets, "--draws", "2", "--threads", "1", "--quiet"]);
    assert_eq!((output.status.code(), stdout(&output)), (Some(0), String::new()));
    let bytes = fs::read(again.join("laplace.safetensors")).unwrap();
    let other = SafeTensors::deserialize(&bytes).unwrap();
    let name = file.names().into_iter().find(|name| name.starts_with("kron.draw.")).unwrap();
    assert_eq!(file.tensor(name).unwrap().data(), other.tensor(name).unwrap().data());
}

#[test]
fn bad_requests_are_refused() {
    let dir = folder("laplace-bad");
    let out = dir.join("out");
    let targets = targets();
    let with = |more: &[&'static str]| -> Vec<String> {
        let mut all = vec!["--targets".to_owned(), targets.clone()];
        all.extend(more.iter().map(|x| (*x).to_owned()));
        all
    };
    let cases: [(Vec<String>, &[&str]); 9] = [
        (Vec::new(), &["--targets"]),
        (with(&["--structure", "banded"]), &["--structure", "banded", "lowrank:K"]),
        (with(&["--structure", "lowrank:0"]), &["--structure", "lowrank:0"]),
        (with(&["--structure", "lowrank:99999"]), &["lowrank", "13090"]),
        (with(&["--structure", "full", "--memory", "0.5"]), &["full", "bytes", "kron"]),
        (with(&["--structure", "diag", "--memory", "0.00001"]), &["diag", "bytes"]),
        (with(&["--prior-precision", "0"]), &["--prior-precision"]),
        (with(&["--prior-precision=-3"]), &["--prior-precision"]),
        (with(&["--predict", "nowhere.npy"]), &["nowhere.npy", "cannot read"]),
    ];
    for (arguments, parts) in cases {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        assert_refused(&run(&out, &arguments), parts);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "{arguments:?} leaves nothing");
    }
}
