//! `relfisher embed` as a user sees it: digits into rows, bad input into one line.

mod common;

use std::fs;
use std::path::Path;
use std::process::Output;

use common::{assert_refused, folder, relfisher, stderr, stdout};
use relfisher::format::save_parameters;
use relfisher::network::{Architecture, Network, Parameters};
use safetensors::{Dtype, SafeTensors};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data");

fn run(out: &Path, more: &[&str]) -> Output {
    run_on("12", out, more)
}

fn run_on(samples: &str, out: &Path, more: &[&str]) -> Output {
    let net = format!("{DATA}/nets/ml_digits.json");
    let weights = format!("{DATA}/nets/ml_digits.safetensors");
    let inputs = format!("{DATA}/mnist10k/t10k-images-idx3-ubyte.gz");
    let mut args = vec!["embed", "--net", &net, "--weights", &weights, "--inputs", &inputs];
    args.extend(["--samples", samples, "--out", out.to_str().unwrap()]);
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
    // Who may read other files of the user may read this one.
    let other = dir.join("other");
    fs::write(&other, "").unwrap();
    let permissions = |path: &Path| fs::metadata(path).unwrap().permissions();
    assert_eq!(permissions(&out), permissions(&other));
    assert_eq!(stderr(&output), "");
}

#[test]
fn the_metric_off_the_diagonal_is_written_too() {
    let out = folder("embed-joint").join("e.safetensors");
    let output = run(&out, &["--target", "uniform", "--fraction", "0.01", "--joint"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("joint support"), "{}", stdout(&output));
    let bytes = fs::read(&out).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let (starts, indices) = (integers(&file, "metric.indptr"), integers(&file, "metric.indices"));
    assert_eq!(starts.len(), 13_090 + 1);
    assert_eq!(starts[13_090] as usize, indices.len());
    assert_eq!(file.tensor("metric.data").unwrap().shape(), [indices.len()]);
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
        (&["--target", "uniform", "--memory", "0.00001"], &["embedding", "bytes", "--memory"]),
        (
            &["--target", "uniform", "--memory", "0.0011"],
            &["embedding", "--fraction of 0.", "fits"],
        ),
        (&["--target", "uniform", "--joint", "--metric", "geometric"], &["--metric", "--joint"]),
        (&["--target", "uniform", "--joint", "--memory", "0.01"], &["joint support", "--memory"]),
        (&["--target", "uniform", "--batch", "0"], &["--batch"]),
        (&["--target", "class", "--kernel", "--memory", "0.0001"], &["kernel", "bytes"]),
        // The mean over all samples of entries that few keep is (1/12)^10000.
        (
            &["--target", "uniform", "--metric", "power:0.0001"],
            &["--metric", "row 0", "zero", "power:0.5", "--damping"],
        ),
        (
            &["--target", "uniform", "--metric", "power:0.0001", "--dtype", "f32"],
            &["--metric", "zero", "--dtype f64"],
        ),
    ];
    for (arguments, parts) in cases {
        assert_refused(&run(&out, arguments), parts);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "{arguments:?} leaves nothing");
    }
    assert_refused(&run_on("0", &out, &["--target", "uniform"]), &["--samples"]);
    let nowhere = dir.join("no/such/folder/e.safetensors");
    assert_refused(&run(&nowhere, &["--target", "uniform"]), &["no/such/folder", "cannot"]);
}

/// A remedy that asks for another precision than the one of the run, or for less than would do, is none.
#[test]
fn remedies_suffice() {
    let dir = folder("embed-remedies");
    let out = dir.join("e.safetensors");
    let line = |samples: &str, arguments: &[&str]| {
        let output = run_on(samples, &out, arguments);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        stderr(&output)
    };
    let fits = |samples: &str, arguments: &[&str]| {
        let output = run_on(samples, &out, arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
    };
    let after = |line: &str, words: &str| -> String {
        let (_, rest) = line.split_once(words).unwrap_or_else(|| panic!("{words}: {line}"));
        rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect()
    };
    let vanishing = line("12", &["--target", "uniform", "--metric", "power:0.0001"]);
    assert!(!vanishing.contains("--dtype"), "{vanishing}");
    // A kernel above the limit, with rows that fit without it.
    let tight = ["--target", "uniform", "--fraction", "0.01", "--memory", "0.03"];
    let square = [&tight[..], &["--kernel"]].concat();
    let refusal = line("1500", &square);
    assert!(refusal.contains("kernel") && refusal.contains("leave --kernel out, or"), "{refusal}");
    fits("1500", &tight);
    fits(&after(&refusal, "at most "), &square);
    // The same with rows that do not.
    let tight = ["--target", "uniform", "--memory", "0.03"];
    let refusal = line("1500", &[&tight[..], &["--kernel"]].concat());
    let fraction = after(&refusal, "leave --kernel out and take a --fraction of ");
    fits("1500", &[&tight[..], &["--fraction", &fraction]].concat());
    // Nothing smaller fits: the memory that does.
    let least = ["--target", "uniform", "--kernel"];
    let refusal = line("12", &[&least[..], &["--memory", "0.00001"]].concat());
    fits("12", &[&least[..], &["--memory", &after(&refusal, "give --memory ")]].concat());
}

/// Powers of any size: far from 0 the largest and the smallest gradients.
#[test]
fn large_powers_are_their_limits() {
    let out = folder("embed-powers").join("e.safetensors");
    for power in ["power:1e308", "power:-1e308"] {
        for dtype in ["f64", "f32"] {
            let output = run(&out, &["--target", "uniform", "--metric", power, "--dtype", dtype]);
            assert_eq!(output.status.code(), Some(0), "{power} {dtype}: {}", stderr(&output));
        }
    }
}

/// Runs on `inputs` with weights of zero: outputs alike for all classes, the uniform target itself.
#[test]
fn no_samples_are_refused_and_gradients_of_zeros_are_empty_rows() {
    let dir = folder("embed-zeros");
    let net = format!("{DATA}/nets/ml_digits.json");
    let architecture = Architecture::load(Path::new(&net)).unwrap();
    let network = Network::<f64>::from_architecture(&architecture).unwrap();
    let zeros = Parameters { values: vec![0.0; network.parameter_count()], buffers: Vec::new() };
    let weights = dir.join("zeros.safetensors");
    save_parameters(&network, &zeros, &weights).unwrap();
    let out = dir.join("e.safetensors");
    let embed = |inputs: &str, metric: &str| {
        let args = ["embed", "--net", &net, "--weights", weights.to_str().unwrap()];
        let more = ["--inputs", inputs, "--samples", "5", "--target", "uniform", "--kernel"];
        let last = ["--metric", metric, "--out", out.to_str().unwrap()];
        relfisher(&[&args[..], &more[..], &last[..]].concat())
    };
    let digits = format!("{DATA}/mnist10k/t10k-images-idx3-ubyte.gz");
    for metric in ["arithmetic", "geometric", "harmonic", "power:-0.5"] {
        let output = embed(&digits, metric);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(stdout(&output).contains("every gradient is zero"), "{}", stdout(&output));
        let bytes = fs::read(&out).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(integers(&file, "indptr"), [0; 6]);
        assert!(file.tensor("kernel").unwrap().data().iter().all(|byte| *byte == 0));
        fs::remove_file(&out).unwrap();
    }
    let empty = dir.join("none.npy");
    let header =
        format!("{{'descr': '<f8', 'fortran_order': False, 'shape': (0, 28, 28), }}{:<40}\n", "");
    let mut npy = b"\x93NUMPY\x01\x00".to_vec();
    npy.extend((header.len() as u16).to_le_bytes());
    npy.extend(header.as_bytes());
    fs::write(&empty, npy).unwrap();
    assert_refused(&embed(empty.to_str().unwrap(), "arithmetic"), &["none.npy", "no samples"]);
    assert!(!out.exists());
}

/// What is not a file stays what it is, a link leads to its file, and no input is written over.
#[cfg(unix)]
#[test]
fn only_files_are_replaced() {
    let dir = folder("embed-special");
    let (link, file, socket) = (dir.join("link"), dir.join("file"), dir.join("socket"));
    fs::write(&file, "before").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let uniform = ["--target", "uniform", "--fraction", "0.01"];
    let output = run(&link, &uniform);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(link.is_symlink() && fs::read(&file).unwrap().len() > 100);
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert_refused(&run(&socket, &uniform), &["socket", "device or a pipe"]);
    let net = dir.join("net.json");
    fs::copy(format!("{DATA}/nets/ml_digits.json"), &net).unwrap();
    let weights = format!("{DATA}/nets/ml_digits.safetensors");
    let inputs = format!("{DATA}/mnist10k/t10k-images-idx3-ubyte.gz");
    let name = net.to_str().unwrap();
    let files = ["embed", "--net", name, "--weights", &weights, "--inputs", &inputs, "--out", name];
    assert_refused(
        &relfisher(&[&files[..], &uniform].concat()),
        &["net.json", "is read by", "--out"],
    );
    assert_eq!(fs::read(&net).unwrap(), fs::read(format!("{DATA}/nets/ml_digits.json")).unwrap());
}

/// Embeddings of single precision whose products leave its range.
#[test]
fn a_kernel_that_overflows_is_refused() {
    let out = folder("embed-overflow").join("e.safetensors");
    let case = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/sa_tanh_ce");
    let file = |name: &str| format!("{case}/{name}");
    let (net, weights, x, y) =
        (file("arch.json"), file("model.safetensors"), file("x.npy"), file("y.npy"));
    let run = |more: &[&str]| {
        let files =
            ["embed", "--net", &net, "--weights", &weights, "--inputs", &x, "--targets", &y];
        let how =
            ["--normalise", "0", "0.02", "--metric", "harmonic", "--fraction", "1", "--kernel"];
        let out = ["--out", out.to_str().unwrap()];
        relfisher(&[&files[..], &how, &out, more].concat())
    };
    let parts = ["--kernel", "rows ", "--damping", "--dtype f64"];
    assert_refused(&run(&["--dtype", "f32"]), &parts);
    assert!(!out.exists());
    // As it says.
    for more in [["--dtype", "f64"], ["--damping", "1e-6"]] {
        let output = run(&more);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
}
