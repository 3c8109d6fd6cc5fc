//! `relfisher embed` as a user sees it: digits into rows, bad input into one line.

mod common;

use std::fs;
use std::path::Path;
use std::process::Output;

use common::{assert_refused, folder, relfisher, stderr, stdout};
use safetensors::{Dtype, SafeTensors};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data");

fn run(out: &Path, more: &[&str]) -> Output {
    let net = format!("{DATA}/nets/ml_digits.json");
    let weights = format!("{DATA}/nets/ml_digits.safetensors");
    let inputs = format!("{DATA}/mnist10k/t10k-images-idx3-ubyte.gz");
    let mut args = vec!["embed", "--net", &net, "--weights", &weights, "--inputs", &inputs];
    args.extend(["--samples", "12", "--out", out.to_str().unwrap()]);
    args.extend(more);
    relfisher(&args)
}

fn targets() -> String {
    format!("{DATA}/mnist10k/t10k-labels-idx1-ubyte.gz")
}

/// The integers of a tensor.
fn integers(file: &SafeTensors<'_>, name: &str) -> Vec<i64> {
    let view = file.tensor(name).unwrap();
    assert_eq!(view.dtype(), Dtype::I64, "{name}");
    view.data().chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect()
}

#[test]
fn a_trained_network_embeds_digits() {
    let dir = folder("embed-digits");
    let out = dir.join("e.safetensors");
    let targets = targets();
    let output = run(
        &out,
        &["--targets", &targets, "--fraction", "0.05", "--metric", "power:0.5", "--kernel"],
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    for part in ["parameters", "kept a row", "share", "bound", "e.safetensors"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let bytes = fs::read(&out).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let (starts, indices) = (integers(&file, "indptr"), integers(&file, "indices"));
    let data = file.tensor("data").unwrap();
    assert_eq!((starts.len(), starts[0]), (13, 0));
    assert_eq!(starts[12] as usize, indices.len());
    assert_eq!(data.shape(), [indices.len()]);
    assert_eq!(file.tensor("kernel").unwrap().shape(), [12, 12]);
    for row in starts.windows(2) {
        let row = &indices[row[0] as usize..row[1] as usize];
        assert!(!row.is_empty() && row.windows(2).all(|pair| pair[0] < pair[1]), "ascending");
    }
    // No file is left beside it, and nothing on the error stream without a terminal.
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    assert_eq!(stderr(&output), "");
}

#[test]
fn each_class_gives_a_row() {
    let out = folder("embed-class").join("e.safetensors");
    let output = run(&out, &["--target", "class", "--dtype", "f32", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output), "");
    let bytes = fs::read(&out).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(integers(&file, "indptr").len(), 121);
    assert_eq!(file.tensor("data").unwrap().dtype(), Dtype::F32);
}

#[test]
fn bad_requests_are_refused() {
    let dir = folder("embed-bad");
    let out = dir.join("e.safetensors");
    let targets = targets();
    let cases: &[(&[&str], &[&str])] = &[
        (&[], &["targets", "--target"]),
        (&["--target", "uniform", "--targets", &targets], &["--target", "one of them"]),
        (&["--target", "uniform", "--fraction", "0"], &["--fraction"]),
        (&["--target", "uniform", "--fraction", "1.01"], &["--fraction"]),
        (&["--target", "uniform", "--metric", "median"], &["--metric", "median", "geometric"]),
        (&["--target", "uniform", "--metric", "power:x"], &["--metric", "power:x"]),
        (&["--target", "uniform", "--metric", "power:inf"], &["--metric", "power:inf"]),
        (&["--target", "uniform", "--damping=-1"], &["--damping"]),
        (&["--target", "uniform", "--memory", "0"], &["--memory"]),
        (&["--target", "uniform", "--memory", "0.00001"], &["embedding", "bytes", "--fraction"]),
        (&["--target", "class", "--kernel", "--memory", "0.0001"], &["kernel", "bytes"]),
    ];
    for (arguments, parts) in cases {
        assert_refused(&run(&out, arguments), parts);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "{arguments:?} leaves nothing");
    }
    let nowhere = dir.join("no/such/folder/e.safetensors");
    assert_refused(&run(&nowhere, &["--target", "uniform"]), &["no/such/folder", "cannot"]);
}
