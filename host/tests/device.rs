//! Training, curvature and spectra on the emulated device: the same numbers as on the processor, nothing
//! copied between two steps, and what a device cannot do is refused.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{assert_refused, folder, idx, record, relfisher, stderr, stdout, weights};

/// A data set of images of 5 × 5 pixels in three classes: which third of the rows is bright.
fn small_images(dir: &Path) -> PathBuf {
    let data = dir.join("data");
    fs::create_dir_all(&data).expect("a folder");
    for (part, count) in [("train", 44u32), ("t10k", 9)] {
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for i in 0..count {
            let class = i % 3;
            labels.push(class as u8);
            for at in 0..25u32 {
                let bright = (at / 9).min(2) == class;
                let noise = (i * 31 + at * 17 + i * at * 7) % 90;
                pixels.push(if bright { 150 + noise } else { noise } as u8);
            }
        }
        let images = idx(0x803, &[count, 5, 5], &pixels);
        fs::write(data.join(format!("{part}-images-idx3-ubyte")), images).expect("writes");
        let labels = idx(0x801, &[count], &labels);
        fs::write(data.join(format!("{part}-labels-idx1-ubyte")), labels).expect("writes");
    }
    data
}

/// Three epochs of five steps, the last one smaller, of the optimisers that run on a device.
const EXPERIMENT: &str = r#"
name = "device"
seed = 7
epochs = 3
batch_size = 10
dtype = "f64"
variants = ["plain"]

[network]
hidden = [6, 5]
activation = "tanh"

[[optimizers]]
kind = "sgd"
learning_rate = 0.1
momentum_kind = "nesterov"

[[optimizers]]
kind = "adam"

[[optimizers]]
kind = "rngd-sample"

[[optimizers]]
kind = "kfac"
refresh = 4
factor_every = 2
damping = 0.05
"#;

struct Case {
    dir: PathBuf,
    data: PathBuf,
    file: String,
}

impl Case {
    fn new(name: &str, experiment: &str) -> Self {
        let dir = folder(name);
        let (data, file) = (small_images(&dir), common::experiment(&dir, experiment));
        Self { dir, data, file }
    }

    /// Trains into a folder of its own and returns it.
    fn train(&self, out: &str, more: &[&str]) -> PathBuf {
        let out = self.dir.join(out);
        let output = self.run(&out, more);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        out
    }

    fn run(&self, out: &Path, more: &[&str]) -> std::process::Output {
        let args = ["train", "--experiment", &self.file, "--quiet"];
        let paths = ["--data", self.data.to_str().unwrap(), "--out", out.to_str().unwrap()];
        relfisher(&[&args[..], &paths, more].concat())
    }
}

/// The losses of all epochs, by optimiser.
fn losses(out: &Path) -> Vec<(String, Vec<f64>)> {
    let record = record(out);
    let runs = record["runs"].as_array().expect("runs").iter();
    runs.map(|run| {
        let epochs = run["epochs"].as_array().expect("epochs").iter();
        let losses = epochs.flat_map(|epoch| {
            ["train_loss", "test_loss"].map(|key| epoch[key].as_f64().expect("a loss"))
        });
        (run["optimizer"].as_str().expect("a name").to_owned(), losses.collect())
    })
    .collect()
}

/// Asserts that both folders hold the same runs up to a relative difference.
fn assert_alike(first: &Path, second: &Path, tolerance: f64) {
    let (first, second) = (losses(first), losses(second));
    assert_eq!(first.len(), second.len());
    for ((name, a), (other, b)) in first.iter().zip(&second) {
        assert_eq!((name, a.len()), (other, b.len()));
        for (i, (x, y)) in a.iter().zip(b).enumerate() {
            let far = (x - y).abs() / x.abs();
            assert!(far <= tolerance, "{name}: value {i}: {x} and {y} differ by {far:e}");
        }
        // The steps must have done something.
        assert!((a[0] - a[a.len() - 2]).abs() > 0.01 * a[0], "{name} learnt nothing: {a:?}");
    }
}

/// Fifteen steps in f64: rounding of another order, and for the soft-max layer of rngd-sample a direct solve
/// in place of conjugate gradients that stop at a relative residual of 4e-9.
const F64: f64 = 1e-9;
/// The same in f32, where the conjugate gradients stop at 9e-5.
const F32: f64 = 2e-4;

#[test]
fn training_is_that_of_the_processor() {
    let case = Case::new("device-f64", EXPERIMENT);
    let cpu = case.train("cpu", &[]);
    let device = case.train("device", &["--device", "emulated"]);
    assert_alike(&cpu, &device, F64);
    let [cpu, device] = ["cpu32", "device32"].map(|name| {
        let device = if name == "cpu32" { "cpu" } else { "emulated" };
        case.train(name, &["--dtype", "f32", "--device", device, "--optimizers", "sgd,kfac"])
    });
    assert_alike(&cpu, &device, F32);
}

#[test]
fn a_lower_precision_changes_the_numbers_a_little() {
    let experiment = EXPERIMENT.replace("dtype = \"f64\"", "dtype = \"f32\"");
    let case = Case::new("device-precision", &experiment);
    let of = |precision: &str| {
        let options = ["--optimizers", "kfac", "--device", "emulated", "--precision", precision];
        losses(&case.train(precision, &options))[0].1.clone()
    };
    let (exact, rough) = (of("f32"), of("bf16"));
    let far = |x: f64, y: f64| (x - y).abs() / x;
    let most = exact.iter().zip(&rough).map(|(x, y)| far(*x, *y)).fold(0.0, f64::max);
    // bf16 keeps 8 bits of an input: products are off by up to 2⁻⁸ of their operands.
    assert!((1e-6..0.05).contains(&most), "{exact:?} and {rough:?} differ by {most:e}");
    let output = case.run(&case.dir.join("none"), &["--precision", "bf16"]);
    assert_refused(&output, &["--precision", "--device cuda"]);
}

#[test]
fn autoencoders_train_too() {
    let experiment = EXPERIMENT
        .replace("name = \"device\"", "name = \"device\"\ntask = \"autoencode\"")
        .replace("epochs = 3", "epochs = 2");
    let case = Case::new("device-autoencoder", &experiment);
    let cpu = case.train("cpu", &[]);
    let device = case.train("device", &["--device", "emulated"]);
    assert_alike(&cpu, &device, F64);
}

#[test]
fn nothing_is_copied_between_two_steps() {
    let case = Case::new("device-traffic", EXPERIMENT);
    let record = record(&case.train("out", &["--device", "emulated"]));
    let steps = 15;
    for run in record["runs"].as_array().expect("runs") {
        let (name, traffic) = (run["optimizer"].as_str().unwrap(), &run["traffic"]);
        let count = |key: &str| traffic[key].as_u64().unwrap_or_else(|| panic!("{name}: no {key}"));
        assert_eq!((count("downloads"), count("downloaded_bytes")), (0, 0), "{name}");
        // K-FAC sends the numbers that labels are drawn with: 8 bytes a sample at every other step.
        let samples = [10, 10, 4, 10, 10, 10, 10, 4].iter().sum::<u64>();
        let sent = if name == "kfac" { (8, 8 * samples) } else { (0, 0) };
        assert_eq!((count("uploads"), count("uploaded_bytes")), sent, "{name}");
        // Of an epoch's five steps the first is new, the second is captured, and the last has another
        // size; Adam and K-FAC change from step to step.
        let repeated = matches!(name, "sgd" | "rngd-sample");
        assert_eq!(count("graph_launches") > 0, repeated, "{name}");
        assert!(count("graph_launches") < steps, "{name}");
        assert!(count("launches") > 0, "{name}");
    }
}

#[test]
fn a_resumed_run_continues_to_the_same_bits() {
    let case = Case::new("device-resume", EXPERIMENT);
    let whole = case.train("whole", &["--device", "emulated"]);
    // A run of one epoch, taken up as one of three.
    let out = case.dir.join("resumed");
    let device = ["--device", "emulated"];
    for kill in 0..4 {
        let mut command = common::program(&[
            "train",
            "--experiment",
            &case.file,
            "--quiet",
            "--resume",
            "--checkpoint-steps",
            "2",
        ]);
        command.args(["--data", case.data.to_str().unwrap(), "--out", out.to_str().unwrap()]);
        let mut child = command.args(device).spawn().expect("the program starts");
        std::thread::sleep(std::time::Duration::from_millis(300 + 400 * kill));
        child.kill().expect("killed");
        child.wait().expect("ended");
    }
    case.train("resumed", &["--device", "emulated", "--resume"]);
    assert_eq!(losses(&whole), losses(&out));
    assert!(weights(&whole) == weights(&out), "weights, bit by bit");
}

#[test]
fn a_checkpoint_of_the_processor_is_not_continued_on_a_device() {
    let case = Case::new("device-foreign", EXPERIMENT);
    let out = case.train("out", &["--optimizers", "sgd"]);
    let output = case.run(&out, &["--resume", "--optimizers", "sgd", "--device", "emulated"]);
    assert_refused(&output, &["sgd-plain", "other settings"]);
}

#[test]
fn a_divergence_is_found_at_the_end_of_its_epoch() {
    let experiment = EXPERIMENT.replace("learning_rate = 0.1", "learning_rate = 1e300");
    let case = Case::new("device-divergence", &experiment);
    let [cpu, device] = ["cpu", "emulated"].map(|device| {
        let out = case.dir.join(device);
        let output = case.run(&out, &["--optimizers", "sgd", "--device", device]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let how = record(&out)["runs"][0]["diverged"].as_str().expect("how").to_owned();
        how.split(": ").next().expect("where").to_owned()
    });
    assert_eq!(cpu, device);
}

#[test]
fn what_a_device_cannot_do_is_refused() {
    let case = Case::new("device-refused", EXPERIMENT);
    let run = |experiment: &str, more: &[&str]| {
        let file = case.dir.join("other.toml");
        fs::write(&file, experiment).expect("writes");
        let args = ["train", "--experiment", file.to_str().unwrap(), "--quiet"];
        let out = case.dir.join("refused");
        let paths = ["--data", case.data.to_str().unwrap(), "--out", out.to_str().unwrap()];
        let output = relfisher(&[&args[..], &paths, &["--device", "emulated"], more].concat());
        let _ = fs::remove_dir_all(&out);
        output
    };
    let hessian_free = EXPERIMENT.replace("kind = \"adam\"", "kind = \"hessian-free\"");
    assert_refused(
        &run(&hessian_free, &["--optimizers", "hessian-free"]),
        &["hessian-free", "cpu"],
    );
    assert_refused(&run(EXPERIMENT, &["--batch-norm", "bn"]), &["batch normalisation", "cpu"]);
    let exact = EXPERIMENT.replace("refresh = 4", "damping_kind = \"exact\"");
    assert_refused(&run(&exact, &["--optimizers", "kfac"]), &["damping_kind", "pi", "cpu"]);
    let large = EXPERIMENT.replace("batch_size = 10", "batch_size = 40");
    assert_eq!(run(&large, &["--optimizers", "rngd-sample"]).status.code(), Some(0));

    // There is no GPU where these tests must pass, or there is one: no third way.
    let output = case.run(&case.dir.join("cuda"), &["--device", "cuda", "--optimizers", "sgd"]);
    if output.status.code() != Some(0) {
        assert_refused(&output, &["device", "--device cpu"]);
    }
}

/// A network file, its weights and inputs of a golden case.
fn golden(name: &str) -> Vec<String> {
    let case = format!("{}/../tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    let files = [
        ("--net", "arch.json"),
        ("--weights", "model.safetensors"),
        ("--inputs", "x.npy"),
        ("--targets", "y.npy"),
    ];
    files.iter().flat_map(|(option, file)| [option.to_string(), format!("{case}/{file}")]).collect()
}

#[test]
fn curvature_and_spectrum_lend_their_products_to_the_device() {
    let dir = folder("device-curvature");
    let problem = golden("sa_tanh_ce");
    let files: Vec<&str> = problem.iter().map(String::as_str).collect();
    let quantities = "grad,kfac_type2,kflr,kfra,ggn_diag,natgrad_ggn,rfim";
    let [cpu, device] = ["cpu", "emulated"].map(|device| {
        let out = dir.join(format!("{device}.safetensors"));
        let options =
            ["--quantity", quantities, "--device", device, "--out", out.to_str().unwrap()];
        let output = relfisher(&[&["curvature"], &files[..], &options].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(stdout(&output).contains("copies to it"), device == "emulated");
        relfisher::format::TensorFile::<f64>::load(&out).expect("tensors")
    });
    assert_eq!(cpu.tensors.len(), device.tensors.len());
    for (name, want) in &cpu.tensors {
        let found = &device.tensors[name];
        let largest = want.data.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        for (x, y) in want.data.iter().zip(&found.data) {
            assert!((x - y).abs() <= 1e-10 * largest, "{name}: {x} and {y}");
        }
    }
    let out = dir.join("spectrum");
    let options = ["--top", "2", "--device", "emulated", "--out", out.to_str().unwrap()];
    let output = relfisher(&[&["spectrum"], &files[..], &options].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(out.join("spectrum.json").exists());
}
