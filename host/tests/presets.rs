//! The bundled experiments, and experiments without classes, as a user sees them.

mod common;

use std::fs;
use std::time::Instant;

use common::{
    assert_plots, assert_refused, experiment, folder, kill_repeatedly, numbers, record, relfisher,
    stderr, stdout, weights,
};
use relfisher::train::{Experiment, Size};

/// A small autoencoder on curves with the optimisers of the bundled ones, and more.
const TINY: &str = r#"
name = "tiny"
seed = 4
task = "autoencode"
pace = "updates"
epochs = 3
batch_size = 20
target_train_loss = 300.0

[data]
curves = { seed = 2 }
train_samples = 100
test_samples = 30

[network]
hidden = [20, 4]
activation = "sigmoid"
init = { kind = "sparse", connections = 15 }

[[optimizers]]
kind = "sgd"
learning_rate = 0.003

[[optimizers]]
kind = "adam"
learning_rate = 0.01

[[optimizers]]
kind = "kfac"
learning_rate = 0.3
damping = 10.0
refresh = 2
factor_every = 1
kl_clip = 10.0

[[optimizers]]
kind = "kfra"
learning_rate = 0.3
damping = 10.0
refresh = 2
factor_every = 1
kl_clip = 10.0

[[optimizers]]
kind = "ekfac"
learning_rate = 0.3
damping = 10.0
refresh = 2
factor_every = 1
kl_clip = 10.0

[full]
epochs = 4
epochs_of = { sgd = 6 }

[full.data]
train_samples = 140
"#;

#[test]
fn every_bundled_experiment_is_sound_at_both_sizes() {
    let names: Vec<&str> = Experiment::bundled_names().collect();
    assert_eq!(names, ["s4", "mnist-autoencoder", "curves-autoencoder", "digits-cnn"]);
    for name in names {
        let (reduced, tuned) = Experiment::bundled(name, Size::Reduced).unwrap().unwrap();
        assert_eq!(reduced.name, name);
        assert_eq!(tuned.is_some(), name == "s4");
        let full = Experiment::bundled(name, Size::Full);
        if name == "s4" {
            assert!(full.is_err(), "it has one size");
            continue;
        }
        let (full, _) = full.unwrap().unwrap();
        assert!(full.epochs > reduced.epochs && full.optimizers == reduced.optimizers, "{name}");
        assert!(full.data.train_samples > reduced.data.train_samples, "{name}");
        assert_eq!(full.network, reduced.network, "{name}");
        // Every rate is one of the grid that it was chosen from, and neither end of it.
        let grids = reduced.tune.unwrap().learning_rates;
        for optimizer in &reduced.optimizers {
            let (rate, grid) = (optimizer.learning_rate(), &grids[optimizer.name()]);
            let inside = &grid[1..grid.len() - 1];
            assert!(inside.contains(&rate), "{name}: {}: {rate}, {grid:?}", optimizer.name());
        }
    }
    assert_eq!(Experiment::bundled("no-such", Size::Reduced).unwrap(), None);
}

#[test]
fn bundled_experiments_start_by_name() {
    let dir = folder("presets-start");
    for name in ["mnist-autoencoder", "curves-autoencoder", "digits-cnn"] {
        let out = dir.join(name);
        let output = relfisher(&[
            "train",
            "--experiment",
            name,
            "--epochs",
            "0",
            "--optimizers",
            "sgd",
            "--out",
            out.to_str().unwrap(),
        ]);
        assert_eq!(output.status.code(), Some(0), "{name}: {}", stderr(&output));
        let record = record(&out);
        assert_eq!(record["experiment"], name);
        assert_eq!(record["runs"][0]["epochs"][0]["updates"], 0);
    }
}

#[test]
fn a_name_that_does_not_exist_is_refused_with_those_that_do() {
    let bad = relfisher(&["train", "--experiment", "mnist-autoencodr", "--out", "/dev/null/x"]);
    assert_refused(&bad, &["mnist-autoencodr", "mnist-autoencoder", "curves-autoencoder", "s4"]);
    let bad = relfisher(&["train", "--experiment", "no/such", "--out", "/dev/null/x"]);
    assert_refused(&bad, &["no/such", "cannot read"]);
    let bad = relfisher(&["train", "--full", "--out", "/dev/null/x"]);
    assert_refused(&bad, &["s4.toml", "[full]", "--full"]);
}

#[test]
fn an_autoencoder_learns_with_every_optimiser_and_has_no_accuracy() {
    let dir = folder("presets-tiny");
    let file = experiment(&dir, TINY);
    let out = dir.join("out");
    let output = relfisher(&["train", "--experiment", &file, "--out", out.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let table = stdout(&output);
    assert!(table.contains("sq. error") && table.contains("updates to 300"), "{table}");
    assert!(!table.contains("acc"), "{table}");
    assert!(table.contains("curves-like images"), "{table}");

    let record = record(&out);
    let runs = record["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 5);
    for run in runs {
        assert_eq!(run["settings"]["task"], "autoencode");
        assert_eq!(run["settings"]["init"]["connections"], 15);
        let epochs = run["epochs"].as_array().unwrap();
        assert_eq!(epochs.len(), 4);
        for (i, epoch) in epochs.iter().enumerate() {
            assert_eq!((&epoch["epoch"], &epoch["updates"]), (&i.into(), &(5 * i).into()));
            let mut keys: Vec<&String> = epoch.as_object().unwrap().keys().collect();
            keys.sort();
            let wanted = [
                "epoch",
                "seconds",
                "test_loss",
                "test_squared_error",
                "train_loss",
                "train_squared_error",
                "updates",
            ];
            assert_eq!(keys, wanted);
        }
        for key in ["train_loss", "train_squared_error", "test_loss"] {
            let [first, last] = [0, 3].map(|i: usize| epochs[i][key].as_f64().unwrap());
            assert!(last < first, "{}: {key} {first} -> {last}", run["optimizer"]);
        }
    }
    let mut reader = csv::Reader::from_path(out.join("record.csv")).unwrap();
    let header: Vec<&str> = reader.headers().unwrap().iter().skip(4).collect();
    let wanted = [
        "epoch",
        "updates",
        "seconds",
        "train_loss",
        "train_squared_error",
        "test_loss",
        "test_squared_error",
    ];
    assert_eq!(header, wanted);
    for (name, axis) in [("curves-updates", "updates"), ("curves-seconds", "seconds")] {
        let texts = [axis, "train loss", "squared error", "K-FAC", "KFRA", "EKFAC", "Adam"];
        assert_plots(&out, &[name], &texts);
        let svg = fs::read_to_string(out.join(format!("{name}.svg"))).unwrap();
        assert!(!svg.contains("accuracy"), "{name}.svg");
    }
    assert!(!out.join("curves-epoch.svg").exists());
}

#[test]
fn experiments_that_count_epochs_keep_the_format_of_their_records() {
    let dir = folder("presets-format");
    let file = experiment(&dir, common::SMALL);
    let out = dir.join("out");
    let output = relfisher(&[
        "train",
        "--experiment",
        &file,
        "--optimizers",
        "sgd",
        "--out",
        out.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let record = record(&out);
    let run = &record["runs"][0];
    let keys = |value: &serde_json::Value| -> Vec<String> {
        let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    assert_eq!(
        keys(&run["epochs"][1]),
        ["epoch", "seconds", "test_accuracy", "test_loss", "train_accuracy", "train_loss"]
    );
    assert_eq!(
        keys(&run["settings"]),
        ["batch_size", "data", "dtype", "epochs", "network", "optimizer", "seed", "weights"]
    );
    let csv = fs::read_to_string(out.join("record.csv")).unwrap();
    assert_eq!(
        csv.lines().next(),
        Some(
            "experiment,seed,optimizer,batch_norm,epoch,seconds,train_loss,train_accuracy,\
             test_loss,test_accuracy"
        )
    );
}

#[test]
fn the_full_size_replaces_what_its_table_says() {
    let dir = folder("presets-full");
    let file = experiment(&dir, TINY);
    let out = dir.join("out");
    let output = relfisher(&[
        "train",
        "--experiment",
        &file,
        "--full",
        "--optimizers",
        "sgd,adam",
        "--out",
        out.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let record = record(&out);
    let run = &record["runs"][0];
    assert_eq!(run["epochs"].as_array().unwrap().len(), 7, "sgd has epochs of its own");
    assert_eq!(record["runs"][1]["epochs"].as_array().unwrap().len(), 5);
    let data = &run["settings"]["data"];
    assert_eq!((&data["train_samples"], &data["test_samples"]), (&140.into(), &30.into()));
    assert_eq!(run["epochs"][1]["updates"], 7);
    // What the folder says about itself can be run again as it is.
    let text = fs::read_to_string(out.join("experiment.toml")).unwrap();
    let again = Experiment::parse(&text, "experiment.toml", Size::Reduced).unwrap();
    assert_eq!((again.epochs, again.data.train_samples), (4, Some(140)));
}

#[test]
fn a_killed_autoencoder_continues_to_the_same_bits() {
    let dir = folder("presets-kill");
    let file = experiment(&dir, TINY);
    let whole = dir.join("whole");
    let train = |out: &std::path::Path, more: &[&str]| {
        let args = ["train", "--experiment", &file, "--quiet", "--out", out.to_str().unwrap()];
        relfisher(&[&args[..], more].concat())
    };
    let begin = Instant::now();
    let output = train(&whole, &["--threads", "1"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let duration = begin.elapsed();
    let out = dir.join("killed");
    kill_repeatedly(&file, &out, "2", (6, duration / 12));
    let output = train(&out, &["--resume"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(numbers(&out), numbers(&whole), "losses and errors");
    assert_eq!(weights(&out).len(), 5);
    assert!(weights(&out) == weights(&whole), "weights, bit by bit");
}

#[test]
fn contradictions_are_refused_with_file_place_and_remedy() {
    let dir = folder("presets-bad");
    let refuse = |text: &str, parts: &[&str]| {
        let file = experiment(&dir, text);
        let output = relfisher(&["train", "--experiment", &file, "--out", "/dev/null/x"]);
        assert_refused(&output, &[&[file.as_str()], parts].concat());
    };
    refuse(&TINY.replace("\"autoencode\"", "\"classify\""), &["data.curves", "autoencode"]);
    refuse(&TINY.replace("[data]", "[data]\nscaling = \"standard\""), &["data.scaling", "unit"]);
    refuse(&TINY.replace("[data]", "[data]\ndirectory = \"x\""), &["data.curves", "directory"]);
    refuse(&TINY.replace("= 15", "= 0"), &["network.init.connections"]);
    refuse(&TINY.replace("seed = 4", "seed = 4\nepochs_of = { sdg = 3 }"), &["epochs_of.sdg"]);
    refuse(&TINY.replace("\"sparse\"", "\"spars\""), &["line", "spars"]);
    let normalised = TINY.replace("epochs = 3", "epochs = 3\nvariants = [\"batch-norm\"]");
    refuse(&normalised, &["variants", "autoencode"]);
    refuse(&TINY.replace("[full]", "[full]\nepoch = 3"), &["full", "epoch"]);
    refuse(&TINY.replace("[full]", "[full]\nbatch_size = 0"), &["full", "batch_size"]);

    let net = |loss: &str, outputs: usize| {
        format!(
            "[network.inline]\ninput_shape = [784]\nloss = {{ type = \"{loss}\" }}\nlayers = [\
             {{ type = \"linear\", in = 784, out = {outputs}, param = \"l\" }}]\n\n[[optimizers]]\n\
             kind = \"sgd\""
        )
    };
    let with = |net: &str| {
        let text = TINY.replace("hidden = [20, 4]", "").replace("activation = \"sigmoid\"", "");
        text.replacen("[[optimizers]]\nkind = \"sgd\"", net, 1)
    };
    let run = |text: &str| {
        let file = experiment(&dir, text);
        let out = dir.join("out");
        let out = out.to_str().unwrap();
        relfisher(&["train", "--experiment", &file, "--optimizers", "sgd", "--out", out])
    };
    let good = run(&with(&net("mse", 784)));
    assert_eq!(good.status.code(), Some(0), "{}", stderr(&good));
    assert_refused(&run(&with(&net("mse", 10))), &["network.inline", "784"]);
    assert_refused(
        &run(&with(&net("softmax_cross_entropy", 784))),
        &["network.inline", "loss.type", "binary_cross_entropy"],
    );
    assert_refused(&run(&with(&net("mean", 784))), &["network.inline", "loss"]);
}
