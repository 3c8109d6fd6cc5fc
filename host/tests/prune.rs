//! `relfisher prune` as a user sees it: accuracy against sparsity, networks that can be read again, bad
//! input in one line.

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
    let mut args = vec!["prune", "--net", &net, "--weights", &weights, "--inputs", &inputs];
    args.extend(["--samples", "100", "--block", "60", "--gradients", "40"]);
    args.extend(["--out", out.to_str().unwrap()]);
    args.extend(more);
    relfisher(&args)
}

fn targets() -> String {
    data("mnist10k/train-labels-idx1-ubyte.gz")
}

/// The zeros among the weights (not the biases) of a file.
fn zeros(path: &Path) -> usize {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let weights = file.iter().filter(|(_, view)| view.shape().len() > 1);
    weights
        .map(|(_, view)| {
            let numbers = view.data().chunks_exact(8);
            numbers.filter(|b| f64::from_le_bytes((*b).try_into().unwrap()) == 0.0).count()
        })
        .sum()
}

#[test]
fn a_trained_network_gets_sparse() {
    let out = folder("prune-digits");
    let (targets, test) = (targets(), data("mnist10k/t10k-images-idx3-ubyte.gz"));
    let test_targets = data("mnist10k/t10k-labels-idx1-ubyte.gz");
    let more = ["--targets", &targets, "--test-inputs", &test, "--test-targets", &test_targets];
    let output = run(&out, &[&more[..], &["--sparsity", "0.3,0.6"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
    let text = fs::read_to_string(out.join("prune.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 1 + 4 * 2, "{text}");
    assert_eq!(&rows[0][0], "whole");
    let accuracy: f64 = rows[0][7].parse().unwrap();
    assert!(accuracy > 0.94, "{text}");
    assert_plots(&out, &["prune"], &["share of weights removed", "test accuracy", "woodfisher"]);
    let count = |row: &csv::StringRecord| row[2].parse::<usize>().unwrap();
    for row in &rows[1..] {
        let file = out.join(format!("{}-{}.safetensors", &row[0], &row[1]));
        assert_eq!(zeros(&file), count(row), "{}", file.display());
        let loss: f64 = row[4].parse().unwrap();
        assert!(loss.is_finite() && row[3].is_empty() == (&row[0] == "magnitude"), "{text}");
    }
    // What is written is a network like any other.
    let sparse = out.join("obs-kfac-0.6.safetensors");
    let one = folder("prune-again");
    let net = data("nets/ml_digits.json");
    let inputs = data("mnist10k/train-images-idx3-ubyte.gz");
    let args = [
        "prune",
        "--net",
        &net,
        "--weights",
        sparse.to_str().unwrap(),
        "--inputs",
        &inputs,
        "--targets",
        &targets,
        "--samples",
        "100",
        "--method",
        "magnitude",
        "--sparsity",
        "0.6",
        "--schedule",
        "one-shot",
        "--quiet",
        "--out",
        one.to_str().unwrap(),
    ];
    let output = relfisher(&args);
    assert_eq!((output.status.code(), stdout(&output)), (Some(0), String::new()));
    let again = fs::read_to_string(one.join("prune.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(again.as_bytes());
    let first = reader.records().next().unwrap().unwrap();
    let row = rows.iter().find(|r| &r[0] == "obs-kfac" && &r[1] == "0.6").unwrap();
    assert_eq!(first[4].parse::<f64>().unwrap(), row[4].parse::<f64>().unwrap());
}

/// A share of 0 removes nothing and costs nothing: 0, not −0.
#[test]
fn nothing_removed_costs_nothing() {
    let out = folder("prune-nothing");
    let output = run(&out, &["--targets", &targets(), "--sparsity", "0"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(!stdout(&output).contains("-0.0"), "{}", stdout(&output));
    let text = fs::read_to_string(out.join("prune.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    for row in reader.records().map(Result::unwrap).filter(|row| &row[0] != "whole") {
        let cost = if &row[0] == "magnitude" { "" } else { "0" };
        assert_eq!((&row[2], &row[3]), ("0", cost), "{text}");
    }
}

#[test]
fn layers_alike_and_single_precision() {
    let out = folder("prune-layer");
    let targets = targets();
    let more = ["--targets", &targets, "--scope", "layer", "--dtype", "f32"];
    let output = run(&out, &[&more[..], &["--sparsity", "0.5", "--method", "obd"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let bytes = fs::read(out.join("obd-0.5.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    for (name, view) in file.iter().filter(|(_, view)| view.shape().len() > 1) {
        let numbers = view.data().chunks_exact(4);
        let zeros = numbers.filter(|b| f32::from_le_bytes((*b).try_into().unwrap()) == 0.0);
        let all: usize = view.shape().iter().product();
        assert_eq!(zeros.count(), all / 2, "{name}");
    }
}

#[test]
fn bad_requests_are_refused() {
    let dir = folder("prune-bad");
    let out = dir.join("out");
    let targets = targets();
    let cases: [(&[&str], &[&str]); 9] = [
        (&[], &["--targets"]),
        (&["--method", "lottery"], &["--method", "lottery", "obs-kfac"]),
        (&["--sparsity", "1"], &["--sparsity", "below 1"]),
        (&["--sparsity=-0.5"], &["--sparsity"]),
        (&["--sparsity", "0.5,0.4"], &["--sparsity", "rise"]),
        (&["--sparsity", "nan"], &["--sparsity"]),
        (&["--damping", "0"], &["--damping"]),
        (&["--method", "woodfisher", "--memory", "0.0001"], &["woodfisher", "bytes", "--block"]),
        (&["--test-inputs", "x.npy"], &["--test-targets"]),
    ];
    for (i, (arguments, parts)) in cases.into_iter().enumerate() {
        let given = ["--targets", &targets];
        let arguments = if i == 0 { Vec::new() } else { [&given[..], arguments].concat() };
        assert_refused(&run(&out, &arguments), parts);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "{arguments:?} leaves nothing");
    }
}
