//! A killed run continues to the same bits; a damaged or foreign checkpoint is refused; the number
//! of threads changes nothing.

mod common;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{
    assert_refused, experiment, folder, kill_repeatedly, numbers, program, relfisher, stderr,
    weights,
};

fn train(file: &str, out: &Path, more: &[&str]) -> std::process::Output {
    let args = ["train", "--experiment", file, "--quiet", "--out", out.to_str().unwrap()];
    relfisher(&[&args[..], more].concat())
}

#[test]
fn a_killed_experiment_continues_to_the_same_bits() {
    let dir = folder("resume-kill");
    let file = experiment(&dir, &common::SMALL.replace("epochs = 2", "epochs = 3"));
    let whole = dir.join("whole");
    let begin = Instant::now();
    let output = train(&file, &whole, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let duration = begin.elapsed();

    // Moments spread over the run; each time the same folder is taken up again and killed again.
    let out = dir.join("killed");
    kill_repeatedly(&file, &out, "3", (12, duration / 20));
    let output = train(&file, &out, &["--resume"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(numbers(&out), numbers(&whole), "losses and accuracies");
    assert_eq!(weights(&out).len(), 10);
    assert!(weights(&out) == weights(&whole), "weights, bit by bit");

    // A finished experiment has nothing to continue, and says the same.
    let again = train(&file, &out, &["--resume"]);
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
    assert_eq!(numbers(&out), numbers(&whole));
}

#[test]
fn threads_change_nothing() {
    let dir = folder("resume-threads");
    let file = experiment(&dir, common::SMALL);
    let [one, two] = ["1", "2"].map(|threads| {
        let out = dir.join(threads);
        let output = train(&file, &out, &["--threads", threads]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        out
    });
    assert_eq!(numbers(&one), numbers(&two));
    assert!(weights(&one) == weights(&two));
}

/// An experiment that is killed in its first run, as soon as there is a checkpoint.
fn unfinished(dir: &Path) -> (String, std::path::PathBuf) {
    let text = common::SMALL.replace("epochs = 2", "epochs = 100000");
    let file = experiment(dir, &text);
    let out = dir.join("out");
    let args = ["train", "--experiment", &file, "--quiet", "--out", out.to_str().unwrap()];
    let mut child = program(&args).spawn().unwrap();
    let checkpoint = out.join("checkpoints/sgd-plain.safetensors");
    let begin = Instant::now();
    while !checkpoint.exists() && begin.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(checkpoint.exists());
    (file, out)
}

#[test]
fn other_settings_and_damaged_checkpoints_are_refused() {
    let dir = folder("resume-refuse");
    let (file, out) = unfinished(&dir);
    let checkpoint = out.join("checkpoints/sgd-plain.safetensors");

    assert_refused(&train(&file, &out, &[]), &["out", "--resume"]);
    assert_refused(
        &train(&file, &out, &["--resume", "--epochs", "3"]),
        &["sgd-plain.safetensors", "epochs", "settings"],
    );
    assert_refused(
        &train(&file, &out, &["--resume", "--seed", "4"]),
        &["sgd-plain.safetensors", "seed"],
    );
    assert_refused(
        &train(&file, &out, &["--resume", "--dtype", "f64"]),
        &["sgd-plain.safetensors"],
    );

    let bytes = fs::read(&checkpoint).unwrap();
    fs::write(&checkpoint, &bytes[..bytes.len() / 2]).unwrap();
    assert_refused(&train(&file, &out, &["--resume"]), &["sgd-plain.safetensors", "damaged"]);
    let mut flipped = bytes.clone();
    let middle = bytes.len() * 3 / 4;
    flipped[middle] ^= 0x10;
    fs::write(&checkpoint, &flipped).unwrap();
    assert_refused(&train(&file, &out, &["--resume"]), &["sgd-plain.safetensors", "damaged"]);
}
