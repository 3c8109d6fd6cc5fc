//! What the tests of the program share: folders, small experiments, and calls.
#![allow(dead_code, unreachable_pub)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// An empty folder of its own for the test `name`.
pub fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if path.exists() {
        fs::remove_dir_all(&path).expect("the old folder goes");
    }
    fs::create_dir_all(&path).expect("a new folder");
    path
}

/// The program with `args`, not started yet.
pub fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relfisher"));
    command.args(args);
    command
}

/// Runs the program to its end.
pub fn relfisher(args: &[&str]) -> Output {
    program(args).output().expect("the program starts")
}

/// The standard error output.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The standard output.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Asserts exit status 2 and a single line that contains every one of `parts`.
pub fn assert_refused(output: &Output, parts: &[&str]) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert_eq!(text.trim_end().lines().count(), 1, "one line: {text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in: {text}");
    }
}

/// A small experiment over the bundled digits, all optimisers, two epochs of eight steps.
pub const SMALL: &str = r#"
name = "small"
seed = 3
epochs = 2
batch_size = 25
variants = ["plain", "batch-norm"]

[data]
train_samples = 200
test_samples = 100

[network]
hidden = [12, 9]

[[optimizers]]
kind = "sgd"
learning_rate = 0.05

[[optimizers]]
kind = "adam"

[[optimizers]]
kind = "rngd"
refresh = 3
metric_samples = 60

[[optimizers]]
kind = "rngd-sample"

[[optimizers]]
kind = "kfac"

[tune]
seed = 5
epochs = 1
[tune.learning_rates]
sgd = [0.01, 0.1, 1e30]
adam = [0.001]
rngd = [0.01]
rngd-sample = [0.01]
kfac = [0.01]
"#;

/// Writes `text` as an experiment file into `dir`.
pub fn experiment(dir: &Path, text: &str) -> String {
    let path = dir.join("experiment.toml");
    fs::write(&path, text).expect("writes");
    path.display().to_string()
}

/// The parsed `record.json` of an output folder.
pub fn record(out: &Path) -> serde_json::Value {
    let text = fs::read_to_string(out.join("record.json")).expect("a record");
    serde_json::from_str(&text).expect("JSON")
}

/// The record without what the clock and the machine put in: equal for equal runs.
pub fn numbers(out: &Path) -> serde_json::Value {
    let mut record = record(out);
    record["machine"] = serde_json::Value::Null;
    for run in record["runs"].as_array_mut().expect("runs") {
        for epoch in run["epochs"].as_array_mut().expect("epochs") {
            epoch["seconds"] = serde_json::Value::Null;
        }
    }
    record
}

/// Asserts that `out` has the plots `names` as SVG, with every one of `texts`, and as PNG.
pub fn assert_plots(out: &Path, names: &[&str], texts: &[&str]) {
    for name in names {
        let svg = fs::read_to_string(out.join(format!("{name}.svg"))).expect("an SVG");
        for text in texts {
            assert!(svg.contains(text), "{name}.svg has no {text:?}");
        }
        let png = fs::read(out.join(format!("{name}.png"))).expect("a PNG");
        assert_eq!(png.get(..4), Some(&[0x89, b'P', b'N', b'G'][..]));
    }
}

/// Takes up the experiment `file` in the folder `out` again and again, with a checkpoint every `steps`
/// steps, and kills it each time, after one to seven `moment`s.
pub fn kill_repeatedly(file: &str, out: &Path, steps: &str, kills: (u32, Duration)) {
    kill_repeatedly_with(file, out, &["--checkpoint-steps", steps], kills);
}

/// The same with these arguments more.
pub fn kill_repeatedly_with(
    file: &str,
    out: &Path,
    more: &[&str],
    (kills, moment): (u32, Duration),
) {
    let out = out.to_str().expect("text");
    let args = ["train", "--experiment", file, "--quiet", "--resume", "--out", out];
    let mut met = 0;
    for k in 0..kills {
        let mut command = program(&args);
        command.args(more).stderr(Stdio::null()).stdout(Stdio::null());
        let mut child = command.spawn().expect("the program starts");
        std::thread::sleep(moment * (1 + k * 5 % 7) + Duration::from_millis(5));
        met += u32::from(child.try_wait().expect("a state").is_none());
        child.kill().expect("killed");
        child.wait().expect("ended");
    }
    assert!(met > 0, "at least one kill met a running program");
}

/// Name and bytes of every file of final weights.
pub fn weights(out: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(out)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "safetensors"))
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read(&path).expect("reads"))
        })
        .collect();
    files.sort();
    files
}

/// The bytes of an IDX file.
pub fn idx(magic: u32, shape: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = magic.to_be_bytes().to_vec();
    shape.iter().for_each(|n| bytes.extend(n.to_be_bytes()));
    bytes.extend(data);
    bytes
}
