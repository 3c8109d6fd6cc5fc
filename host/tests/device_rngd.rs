//! Relative natural gradient descent in blocks on a device (emulated here) takes the processor's path,
//! copies nothing between two refreshes, refuses what the processor refuses, and continues to the
//! same bits.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use common::{assert_refused, folder, idx, numbers, program, record, relfisher, stderr, weights};
use relfisher::random;
use safetensors::SafeTensors;

/// Rows, columns and classes of the images.
const IMAGE: (u32, u32) = (3, 4);
const CLASSES: usize = 4;
/// Images for training, and for tests.
const SAMPLES: [u32; 2] = [48, 8];

/// 12-6-4 on 48 images: two epochs of six steps, the metric of 20 of them refreshed every fifth step.
const SMALL: &str = r#"
name = "small"
seed = 3
epochs = 2
batch_size = 8

[data]
directory = "DATA"
classes = 4

[network]
hidden = [6]

[[optimizers]]
kind = "rngd"
learning_rate = 0.2
momentum = 0.5
weight_decay = 1e-3
damping = 0.05
refresh = 5
metric_samples = 20
"#;
const STEPS: u64 = 12;
const REFRESHES: u64 = 3;
const METRIC_SAMPLES: u64 = 20;

/// Data sets of images of this size with random classes, in the format of MNIST; `pixel` makes the
/// pixel at a place out of a random one.
fn images(dir: &Path, size: (u32, u32), pixel: impl Fn(usize, u8) -> u8) {
    let mut rng = random::stream(7, 0, "images");
    for (set, count) in ["train", "t10k"].iter().zip(SAMPLES) {
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for _ in 0..count {
            labels.push(random::below(&mut rng, CLASSES) as u8);
            for i in 0..(size.0 * size.1) as usize {
                pixels.push(pixel(i, random::below(&mut rng, 256) as u8));
            }
        }
        let images = idx(0x803, &[count, size.0, size.1], &pixels);
        fs::write(dir.join(format!("{set}-images-idx3-ubyte")), images).unwrap();
        let labels = idx(0x801, &[count], &labels);
        fs::write(dir.join(format!("{set}-labels-idx1-ubyte")), labels).unwrap();
    }
}

/// An experiment on such images with `more` at its end.
fn experiment(dir: &Path, text: &str, more: &str) -> String {
    let text = text.replace("DATA", &dir.display().to_string()) + more;
    common::experiment(dir, &text)
}

fn arguments<'a>(file: &'a str, out: &'a Path, device: &'a str) -> Vec<&'a str> {
    let out = out.to_str().unwrap();
    vec!["train", "--experiment", file, "--quiet", "--out", out, "--device", device]
}

fn train(file: &str, out: &Path, device: &str, more: &[&str]) -> Output {
    relfisher(&[&arguments(file, out, device)[..], more].concat())
}

/// Trains to the end.
fn trained(file: &str, out: PathBuf, device: &str, more: &[&str]) -> PathBuf {
    let output = train(file, &out, device, more);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    out
}

/// The final weights, tensor by tensor.
fn parameters(out: &Path) -> Vec<(String, Vec<f64>)> {
    let bytes = fs::read(out.join("rngd-plain.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut all: Vec<_> = tensors
        .iter()
        .map(|(name, tensor)| {
            let data = tensor.data();
            let values = if data.len() == 4 * tensor.shape().iter().product::<usize>() {
                data.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect()
            } else {
                data.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect()
            };
            (name.to_owned(), values)
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// Asserts that every tensor of `found` is `expected` up to a part of its largest element.
fn assert_close(found: &Path, expected: &Path, tolerance: f64) {
    let (found, expected) = (parameters(found), parameters(expected));
    assert_eq!(found.len(), expected.len());
    for ((name, found), (same, expected)) in found.iter().zip(&expected) {
        assert_eq!((name, found.len()), (same, expected.len()));
        let largest = expected.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        let worst = found.iter().zip(expected).fold(0.0_f64, |m, (x, y)| m.max((x - y).abs()));
        assert!(worst <= tolerance * largest, "{name}: off by {worst:e} of {largest:e}");
    }
}

/// Trains on both and compares; returns the folder of the device's run.
fn same_path(name: &str, text: &str, more: &str, size: (u32, u32)) -> PathBuf {
    let dir = folder(name);
    images(&dir, size, |_, value| value);
    let file = experiment(&dir, text, more);
    // Twelve steps amplify rounding errors of single solves.
    for (dtype, tolerance) in [("f32", 1e-4), ("f64", 1e-9)] {
        let more = ["--dtype", dtype];
        let host = trained(&file, dir.join(format!("{dtype}-host")), "cpu", &more);
        let device = trained(&file, dir.join(format!("{dtype}-device")), "emulated", &more);
        assert_close(&device, &host, tolerance);
        let start = dir.join(format!("{dtype}-start"));
        let still = [&more[..], &["--epochs", "0"]].concat();
        trained(&file, start.clone(), "cpu", &still);
        assert!(moved(&start, &host) > 0.05, "the weights hardly moved");
    }
    dir.join("f32-device")
}

/// How far the weights of two runs are apart, relative to their largest.
fn moved(from: &Path, to: &Path) -> f64 {
    let pairs: Vec<(f64, f64)> = parameters(from)
        .into_iter()
        .zip(parameters(to))
        .flat_map(|((_, a), (_, b))| a.into_iter().zip(b))
        .collect();
    let largest = pairs.iter().fold(0.0_f64, |m, (_, b)| m.max(b.abs()));
    pairs.iter().fold(0.0_f64, |m, (a, b)| m.max((a - b).abs())) / largest
}

#[test]
fn it_takes_the_path_of_the_processor_and_sends_only_the_numbers_of_samples() {
    let out = same_path("device-rngd-path", SMALL, "", IMAGE);
    let traffic = &record(&out)["runs"][0]["traffic"];
    let count = |key: &str| traffic[key].as_u64().unwrap();
    assert!(count("launches") >= 10 * STEPS);
    assert_eq!(count("uploads"), REFRESHES, "a copy for each refresh, none for the other steps");
    assert_eq!(count("uploaded_bytes"), REFRESHES * METRIC_SAMPLES * 4);
    assert_eq!((count("downloads"), count("downloaded_bytes")), (0, 0));
}

#[test]
fn it_takes_the_path_of_the_processor_with_a_moving_average() {
    same_path("device-rngd-average", SMALL, "metric_decay = 0.7\n", IMAGE);
}

/// Blocks of order 71 and a soft-max matrix of order 84: too large for the shared memory of a block.
#[test]
fn it_takes_the_path_of_the_processor_with_metrics_that_are_factored_in_panels() {
    let text = SMALL.replace("epochs = 2", "epochs = 1").replace("[6]", "[20]");
    same_path("device-rngd-panels", &text, "", (7, 10));
}

/// No layer is a soft-max layer: the outputs are Bernoulli variables.
#[test]
fn it_takes_the_path_of_the_processor_with_an_autoencoder() {
    let text = SMALL
        .replace("epochs = 2", "epochs = 2\ntask = \"autoencode\"")
        .replace("[6]", "[6, 3]")
        .replace("learning_rate = 0.2", "learning_rate = 0.02");
    same_path("device-rngd-autoencoder", &text, "", IMAGE);
}

/// Interrupts a run after its first refresh.
fn interrupted(file: &str, out: &Path) {
    let more = ["--dtype", "f64", "--checkpoint-steps", "2"];
    let mut command = program(&[&arguments(file, out, "emulated")[..], &more].concat());
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let checkpoint = out.join("checkpoints/rngd-plain.safetensors");
    let refreshed = || {
        let bytes = fs::read(&checkpoint).unwrap_or_default();
        ["rngd.reference", "rngd.metric"]
            .iter()
            .any(|key| bytes.windows(key.len()).any(|part| part == key.as_bytes()))
    };
    let begin = Instant::now();
    while !refreshed() && begin.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(refreshed(), "no checkpoint between two refreshes");
    assert!(out.join("checkpoints/unfinished").exists(), "the run ended before it was interrupted");
}

/// An interrupted run continues to the same bits.
fn continues(name: &str, more: &str) {
    let dir = folder(name);
    images(&dir, IMAGE, |_, value| value);
    let file = experiment(&dir, SMALL, more);
    let more = ["--dtype", "f64"];
    let whole = trained(&file, dir.join("whole"), "emulated", &more);
    let out = dir.join("interrupted");
    interrupted(&file, &out);
    let out = trained(&file, out, "emulated", &[&more[..], &["--resume"]].concat());
    assert!(weights(&out) == weights(&whole), "weights, bit by bit");
    let epochs = |out: &Path| numbers(out)["runs"][0]["epochs"].clone();
    assert_eq!(epochs(&out), epochs(&whole));
}

#[test]
fn an_interrupted_run_continues_to_the_same_bits() {
    continues("device-rngd-resume", "");
}

#[test]
fn an_interrupted_run_with_a_moving_average_continues_to_the_same_bits() {
    continues("device-rngd-resume-average", "metric_decay = 0.7\n");
}

#[test]
fn without_damping_it_refuses_the_layer_that_the_processor_refuses() {
    let dir = folder("device-rngd-singular");
    let text = SMALL.replace("damping = 0.05", "damping = 0.0");
    // The soft-max layer is always singular; a pixel without ink makes the first one so.
    for (case, dead) in [("softmax", None), ("pixel", Some(5))] {
        let dir = dir.join(case);
        fs::create_dir(&dir).unwrap();
        images(&dir, IMAGE, |i, value| if dead == Some(i) { 0 } else { value });
        let file = experiment(&dir, &text, "");
        let [host, device] = ["cpu", "emulated"].map(|device| {
            let output = train(&file, &dir.join(device), device, &["--dtype", "f64"]);
            assert_refused(&output, &["rngd-plain", "singular", "damping"]);
            stderr(&output)
        });
        assert_eq!(device, host);
        let layer = if dead.is_none() { "layers.1" } else { "layers.0" };
        assert!(host.contains(layer), "{layer} is missing in: {host}");
    }
}

#[test]
fn layers_that_are_too_wide_are_refused_by_name() {
    let dir = folder("device-rngd-wide");
    images(&dir, IMAGE, |_, value| value);
    let file = experiment(&dir, &SMALL.replace("[6]", "[1024]"), "");
    let output = train(&file, &dir.join("out"), "emulated", &[]);
    assert_refused(&output, &["--device", "layers.1", "order 4100", "4096"]);
}

#[test]
fn it_is_among_the_optimisers_that_a_device_knows() {
    let dir = folder("device-rngd-others");
    images(&dir, IMAGE, |_, value| value);
    let text = "[[optimizers]]\nkind = \"kflr\"\n";
    let file = experiment(&dir, SMALL, text);
    let output = train(&file, &dir.join("out"), "emulated", &["--optimizers", "kflr"]);
    assert_refused(&output, &["kflr", "sgd, adam, kfac, rngd or rngd-sample"]);
}
