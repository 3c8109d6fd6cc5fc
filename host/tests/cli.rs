//! The program as a user sees it: records, tables, bad input, divergence.

mod common;

use std::fs;
use std::path::Path;

use common::{
    assert_plots, assert_refused, experiment, folder, idx, record, relfisher, stderr, stdout,
};

#[test]
fn info_names_version_processor_threads_and_gpus() {
    let output = relfisher(&["info", "--threads", "1"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0));
    for part in [env!("CARGO_PKG_VERSION"), "processor", "threads   1", "GPU", "CUDA"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_small_experiment_writes_everything_and_stays_quiet() {
    let dir = folder("cli-small");
    let file = experiment(&dir, common::SMALL);
    let out = dir.join("out");
    let output = relfisher(&["train", "--experiment", &file, "--out", out.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stderr(&output), "", "no progress without a terminal");

    let table = stdout(&output);
    let record = record(&out);
    let runs = record["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 10);
    for key in ["experiment", "seed", "version", "machine", "runs"] {
        assert!(!record[key].is_null(), "{key}");
    }
    let mut rows = 0;
    for run in runs {
        assert!(table.contains(run["optimizer"].as_str().unwrap()));
        assert!(run["settings"]["optimizer"]["learning_rate"].is_number());
        let epochs = run["epochs"].as_array().unwrap();
        assert_eq!(epochs.len(), 3, "before training and after each of two epochs");
        rows += epochs.len();
        for (i, epoch) in epochs.iter().enumerate() {
            assert_eq!(epoch["epoch"], i);
            for key in ["seconds", "train_loss", "train_accuracy", "test_loss", "test_accuracy"] {
                assert!(epoch[key].is_number(), "{key}");
            }
        }
        let losses = [0, 2].map(|i: usize| epochs[i]["train_loss"].as_f64().unwrap());
        assert!(losses[1] < losses[0], "{} learns: {losses:?}", run["optimizer"]);
    }

    let mut reader = csv::Reader::from_path(out.join("record.csv")).unwrap();
    let lines: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(lines.len(), rows);
    let last = runs[9]["epochs"][2]["train_loss"].as_f64().unwrap();
    let column = reader.headers().unwrap().iter().position(|h| h == "train_loss").unwrap();
    assert_eq!(lines[rows - 1][column].parse::<f64>().unwrap(), last);

    let texts = ["train loss", "test accuracy", "K-FAC", "Adam"];
    assert_plots(&out, &["curves-epoch", "curves-seconds"], &texts);
    for name in ["sgd-plain", "adam-bn", "rngd-plain", "rngd-sample-bn", "kfac-plain"] {
        assert!(out.join(format!("{name}.safetensors")).exists(), "{name}");
        let net = relfisher::network::Architecture::load(&out.join(format!("{name}.json")));
        assert!(net.is_ok(), "{name}");
    }
    assert!(!out.join("checkpoints/unfinished").exists());
}

#[test]
fn options_replace_what_the_experiment_says() {
    let dir = folder("cli-options");
    let file = experiment(&dir, common::SMALL);
    let out = dir.join("out");
    let output = relfisher(&[
        "train",
        "--experiment",
        &file,
        "--out",
        out.to_str().unwrap(),
        "--optimizers",
        "kfac,sgd",
        "--batch-norm",
        "bn",
        "--epochs",
        "1",
        "--seed",
        "11",
        "--dtype",
        "f64",
        "--threads",
        "1",
        "--verbose",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stderr(&output).lines().count(), 4, "a line for each epoch: {}", stderr(&output));
    let record = record(&out);
    assert_eq!((record["seed"].as_u64(), &record["machine"]["threads"]), (Some(11), &1.into()));
    let runs = record["runs"].as_array().unwrap();
    let names: Vec<_> = runs.iter().map(|r| r["optimizer"].as_str().unwrap()).collect();
    assert_eq!(names, ["kfac", "sgd"]);
    for run in runs {
        assert_eq!(run["batch_norm"], true);
        assert_eq!(run["settings"]["dtype"], "f64");
        assert_eq!(run["epochs"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn tune_picks_the_lowest_loss_and_its_file_can_be_used() {
    let dir = folder("cli-tune");
    let file = experiment(&dir, common::SMALL);
    let args = ["train", "--tune", "--experiment", &file, "--optimizers", "sgd", "--out"];
    let output = relfisher(&[&args[..], &[dir.to_str().unwrap()]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = fs::read_to_string(dir.join("tuned.toml")).unwrap();
    let tuned: toml::Table = text.parse().unwrap();
    for result in tuned["results"].as_array().unwrap() {
        let trials = result["trials"].as_array().unwrap();
        let loss = |t: &toml::Value| t["train_loss"].as_float().unwrap();
        assert_eq!(trials.len(), 3);
        assert_eq!(loss(&trials[2]), f64::INFINITY, "1e30 diverges");
        let best = trials.iter().min_by(|a, b| loss(a).total_cmp(&loss(b))).unwrap();
        assert_eq!(best["learning_rate"], result["learning_rate"]);
    }
    let with = format!("tuned = \"tuned.toml\"\n{}", common::SMALL);
    let file = experiment(&dir, &with);
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
    assert_eq!(
        record(&out)["runs"][0]["settings"]["optimizer"]["learning_rate"].as_f64(),
        tuned["results"][0]["learning_rate"].as_float(),
    );
}

#[test]
fn a_diverging_run_is_recorded_and_the_others_go_on() {
    let dir = folder("cli-diverge");
    let text = common::SMALL.replace("learning_rate = 0.05", "learning_rate = 1e30");
    let file = experiment(&dir, &text);
    let out = dir.join("out");
    let output = relfisher(&[
        "train",
        "--experiment",
        &file,
        "--optimizers",
        "sgd,adam",
        "--quiet",
        "--out",
        out.to_str().unwrap(),
    ]);
    let line = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{line}");
    assert_eq!(line.trim_end().lines().count(), 1, "{line}");
    assert!(line.contains("sgd-plain") && line.contains("learning rate"), "{line}");
    let record = record(&out);
    assert!(record["runs"][0]["diverged"].as_str().unwrap().contains("epoch 1"));
    assert!(!record["runs"][0]["epochs"].as_array().unwrap().is_empty());
    assert!(record["runs"][1]["diverged"].is_null());
    assert_eq!(record["runs"][1]["epochs"].as_array().unwrap().len(), 3);
}

#[test]
fn bad_settings_are_refused_with_file_place_and_remedy() {
    let dir = folder("cli-settings");
    let refuse = |text: &str, parts: &[&str]| {
        let file = experiment(&dir, text);
        let output = relfisher(&["train", "--experiment", &file, "--out", "/dev/null/x"]);
        assert_refused(&output, &[&[file.as_str()], parts].concat());
    };
    let small = common::SMALL;
    refuse(&small.replace("epochs = 2", "epochs = 2\nepoch = 3"), &["line 5", "epoch"]);
    refuse(&small.replace("refresh = 3", "refrsh = 3"), &["refrsh"]);
    refuse(&small.replace("seed = 3", "seed = -3"), &["line 3"]);
    refuse(&small.replace("epochs = 2", "epochs = "), &["line 4"]);
    refuse(&small.replace("batch_size = 25", "batch_size = 0"), &["batch_size"]);
    refuse(&small.replace("kind = \"adam\"", "kind = \"sgd\""), &["sgd", "twice"]);
    refuse(&small.replace("[12, 9]", "[12, 0]"), &["network.hidden"]);
    refuse(&small.replace("sgd = [0.01, 0.1", "sgd = [-0.01, 0.1"), &["tune.learning_rates.sgd"]);

    assert_refused(&relfisher(&["train", "--experiment", "/no/such.toml"]), &["/no/such.toml"]);
    let out = dir.join("out");
    let out = out.to_str().unwrap();
    let output = relfisher(&["train", "--optimizers", "sgd,lbfgs", "--out", out]);
    assert_refused(&output, &["lbfgs", "rngd-sample"]);
    for bad in [&["--threads", "0"][..], &["--dtype", "f16"], &["--epochs", "x"], &["--what"]] {
        let output = relfisher(&[&["train", "--out", out], bad].concat());
        assert_eq!(output.status.code(), Some(2), "{bad:?}");
    }
}

#[test]
fn an_unwritable_output_is_refused() {
    let dir = folder("cli-unwritable");
    let file = experiment(&dir, common::SMALL);
    let blocked = dir.join("a-file");
    fs::write(&blocked, "not a folder").unwrap();
    let out = blocked.join("out");
    for mode in [&["train"][..], &["train", "--tune"]] {
        let args = [mode, &["--experiment", &file, "--out", out.to_str().unwrap()]].concat();
        assert_refused(&relfisher(&args), &["a-file"]);
    }
}

#[test]
fn bad_data_are_refused() {
    let dir = folder("cli-data");
    let pixels: Vec<u8> = (0..6 * 16).map(|i| (i * 7 % 256) as u8).collect();
    let images = idx(0x803, &[6, 4, 4], &pixels);
    let labels = idx(0x801, &[6], &[0, 1, 2, 0, 1, 2]);
    let write = |name: &str, bytes: &[u8]| fs::write(dir.join(name), bytes).unwrap();
    let reset = || {
        write("train-images-idx3-ubyte", &images);
        write("train-labels-idx1-ubyte", &labels);
        write("t10k-images-idx3-ubyte", &images);
        write("t10k-labels-idx1-ubyte", &labels);
    };
    let text = common::SMALL.replace("train_samples = 200\ntest_samples = 100", "");
    let text = text.replace("batch_size = 25", "batch_size = 4").replace("= 60", "= 5");
    let file = experiment(&dir, &text);
    let out = dir.join("out");
    let train = || {
        relfisher(&[
            "train",
            "--experiment",
            &file,
            "--data",
            dir.to_str().unwrap(),
            "--out",
            out.to_str().unwrap(),
        ])
    };
    reset();
    let output = train();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));

    write("train-images-idx3-ubyte", &images[..40]);
    assert_refused(&train(), &["train-images-idx3-ubyte"]);
    reset();
    write("train-labels-idx1-ubyte", &images);
    assert_refused(&train(), &["train-labels-idx1-ubyte"]);
    reset();
    write("t10k-labels-idx1-ubyte", &idx(0x801, &[5], &[0, 1, 2, 0, 1]));
    assert_refused(&train(), &["t10k-"]);
    reset();
    write("t10k-labels-idx1-ubyte", &idx(0x801, &[6], &[0, 1, 2, 0, 1, 12]));
    assert_refused(&train(), &["t10k-labels-idx1-ubyte"]);
    reset();
    fs::remove_file(dir.join("train-labels-idx1-ubyte")).unwrap();
    assert_refused(&train(), &["train-labels-idx1-ubyte"]);
    let output = relfisher(&["train", "--data", "/no/such/folder", "--out", "/dev/null/x"]);
    assert_refused(&output, &["/no/such/folder"]);
}

fn write_weights(path: &Path, value: f32) {
    let shapes: [(&str, Vec<usize>); 4] = [
        ("layers.0.weight", vec![5, 784]),
        ("layers.0.bias", vec![5]),
        ("layers.1.weight", vec![10, 5]),
        ("layers.1.bias", vec![10]),
    ];
    let blobs: Vec<(&str, Vec<usize>, Vec<u8>)> = shapes
        .into_iter()
        .map(|(name, shape)| {
            let n: usize = shape.iter().product();
            let mut values = vec![0.01_f32; n];
            if name == "layers.1.weight" {
                values[7] = value;
            }
            (name, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect())
        })
        .collect();
    let views = blobs.iter().map(|(name, shape, bytes)| {
        let view =
            safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes);
        (*name, view.unwrap())
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn given_weights_and_networks_are_checked() {
    let dir = folder("cli-weights");
    write_weights(&dir.join("good.safetensors"), 0.5);
    write_weights(&dir.join("nan.safetensors"), f32::NAN);
    let out = dir.join("out");
    let text = common::SMALL.replace("\"plain\", \"batch-norm\"", "\"plain\"");
    let with = |line: &str| {
        let file = experiment(&dir, &text.replace("hidden = [12, 9]", line));
        let out = out.to_str().unwrap();
        relfisher(&["train", "--experiment", &file, "--optimizers", "sgd", "--out", out])
    };
    let good = with("hidden = [5]\nweights = \"good.safetensors\"");
    assert_eq!(good.status.code(), Some(0), "{}", stderr(&good));
    let nan = with("hidden = [5]\nweights = \"nan.safetensors\"");
    assert_refused(&nan, &["nan.safetensors", "layers.1.weight"]);
    let shape = with("hidden = [6]\nweights = \"good.safetensors\"");
    assert_refused(&shape, &["good.safetensors", "layers.0"]);
    let missing = with("hidden = [5]\nweights = \"no.safetensors\"");
    assert_refused(&missing, &["no.safetensors"]);

    let net = r#"{"input_shape": [INPUTS], "loss": {"type": "softmax_cross_entropy"}, "layers": [
        {"type": "linear", "in": INPUTS, "out": 10, "param": "layers.0"}]}"#;
    fs::write(dir.join("net.json"), net.replace("INPUTS", "784")).unwrap();
    let own = with("file = \"net.json\"");
    assert_eq!(own.status.code(), Some(0), "{}", stderr(&own));
    fs::write(dir.join("net.json"), net.replace("INPUTS", "10")).unwrap();
    assert_refused(&with("file = \"net.json\""), &["net.json", "784"]);
    fs::write(dir.join("net.json"), net.replace("INPUTS", "784").replace("param", "colour"))
        .unwrap();
    assert_refused(&with("file = \"net.json\""), &["net.json", "layers[0]"]);
}

#[test]
fn a_singular_metric_without_damping_is_refused() {
    let dir = folder("cli-singular");
    let text = common::SMALL.replace("refresh = 3", "refresh = 3\ndamping = 0.0");
    let file = experiment(&dir, &text);
    let out = dir.join("out");
    let output = relfisher(&[
        "train",
        "--experiment",
        &file,
        "--optimizers",
        "rngd",
        "--out",
        out.to_str().unwrap(),
    ]);
    assert_refused(&output, &["damping"]);
    assert!(out.join("record.json").exists(), "the record so far is kept");
}
