//! `relfisher train --diagnose` and `relfisher evolution`: the same training, tables that survive a
//! kill, what is refused.

mod common;

use std::fs;
use std::path::Path;

use common::{
    assert_plots, assert_refused, experiment, folder, kill_repeatedly_with, numbers, relfisher,
    stderr, stdout, weights,
};

fn train(file: &str, out: &Path, more: &[&str]) -> std::process::Output {
    let args = ["train", "--experiment", file, "--quiet", "--out", out.to_str().unwrap()];
    relfisher(&[&args[..], more].concat())
}

fn rows(path: &Path) -> (csv::StringRecord, Vec<csv::StringRecord>) {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header = reader.headers().unwrap().clone();
    (header, reader.records().map(Result::unwrap).collect())
}

#[test]
fn training_has_the_same_bits_with_and_without() {
    let dir = folder("diagnose-bits");
    let file = experiment(&dir, common::SMALL);
    let [plain, diagnosed, sparse] = [
        ("plain", &[][..]),
        ("diagnosed", &["--diagnose"][..]),
        ("sparse", &["--diagnose", "--diagnose-every", "3", "--threads", "1"][..]),
    ]
    .map(|(name, more)| {
        let out = dir.join(name);
        let output = train(&file, &out, more);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        out
    });
    for out in [&diagnosed, &sparse] {
        assert_eq!(numbers(out), numbers(&plain), "losses and accuracies");
        assert!(weights(out) == weights(&plain), "weights, bit by bit");
    }
    assert!(!plain.join("snapshots").exists());
    for run in ["sgd-plain", "adam-bn", "kfac-plain", "rngd-sample-bn"] {
        let (header, all) = rows(&diagnosed.join(format!("diagnostics-{run}.csv")));
        let names = "step epoch samples loss gradient_norm sample_norm second_moment variance signal \
                     snr noise_scale noise_scale_smooth alignment consecutive";
        let mut want: Vec<&str> = names.split_whitespace().collect();
        want.sort_unstable();
        let mut found: Vec<&str> = header.iter().collect();
        found.sort_unstable();
        assert_eq!(found, want);
        assert_eq!(all.len(), 16, "two epochs of eight steps");
        let at = |row: &csv::StringRecord, name: &str| -> f64 {
            row[header.iter().position(|h| h == name).unwrap()].parse().unwrap()
        };
        for (step, row) in all.iter().enumerate() {
            assert_eq!((at(row, "step"), at(row, "samples")), (step as f64, 25.0));
            assert_eq!(at(row, "epoch"), (step / 8 + 1) as f64);
            assert!(at(row, "sample_norm") >= at(row, "gradient_norm"));
            let within = |x: f64| (-1.0..=1.0).contains(&x);
            assert!(within(at(row, "alignment")));
            assert_eq!(at(row, "consecutive").is_nan(), step == 0);
        }
        // Every third step, with the cosine to the step just before.
        let (_, third) = rows(&sparse.join(format!("diagnostics-{run}.csv")));
        let smooth = header.iter().position(|h| h == "noise_scale_smooth").unwrap();
        for (row, k) in third.iter().zip((0..16).step_by(3)) {
            let same = (0..header.len()).filter(|c| *c != smooth).all(|c| row[c] == all[k][c]);
            assert!(same, "{run} {k}: {row:?} {:?}", all[k]);
        }
        assert_eq!(third.len(), 6);
        let stem = format!("diagnostics-{run}");
        assert_plots(&diagnosed, &[&stem], &["Noise scale", "Cosines"]);
        // Before training, after 1, 2 and 4 steps, after each epoch.
        let snapshots = diagnosed.join("snapshots").join(run);
        let mut names: Vec<String> = fs::read_dir(&snapshots)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let want = [0, 1, 2, 4, 8, 16].map(|s| format!("step-{s:08}.safetensors"));
        assert_eq!(names, want);
        let last = fs::read(snapshots.join(&want[5])).unwrap();
        assert!(last == fs::read(diagnosed.join(format!("{run}.safetensors"))).unwrap());
    }
}

#[test]
fn a_killed_run_keeps_its_table() {
    let dir = folder("diagnose-kill");
    let text = common::SMALL.replace("epochs = 2", "epochs = 3");
    let file = experiment(&dir, &text);
    let whole = dir.join("whole");
    let begin = std::time::Instant::now();
    let output = train(&file, &whole, &["--diagnose"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let duration = begin.elapsed();
    let out = dir.join("killed");
    kill_repeatedly_with(
        &file,
        &out,
        &["--checkpoint-steps", "3", "--diagnose"],
        (8, duration / 14),
    );
    let output = train(&file, &out, &["--resume", "--diagnose"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(weights(&out) == weights(&whole));
    for run in ["sgd-plain", "adam-plain", "rngd-bn", "kfac-bn"] {
        let name = format!("diagnostics-{run}.csv");
        let [killed, whole] = [&out, &whole].map(|d| fs::read_to_string(d.join(&name)).unwrap());
        assert_eq!(killed, whole, "{run}");
        let snapshot = format!("snapshots/{run}/step-00000004.safetensors");
        assert!(
            fs::read(out.join(&snapshot)).unwrap()
                == fs::read(dir.join("whole").join(&snapshot)).unwrap()
        );
    }
}

#[test]
fn evolution_writes_tables_and_pictures() {
    let dir = folder("diagnose-evolution");
    let text = common::SMALL.replace("[\"plain\", \"batch-norm\"]", "[\"plain\"]");
    let file = experiment(&dir, &text);
    let out = dir.join("train");
    let output = train(&file, &out, &["--diagnose", "--optimizers", "sgd"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/mnist10k");
    let [net, snapshots, evolution] =
        ["sgd-plain.json", "snapshots/sgd-plain", "evolution"].map(|n| out.join(n));
    let [inputs, targets] =
        ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"].map(|n| data.join(n));
    let path = |p: &Path| p.to_str().unwrap().to_owned();
    let call = |weights: &Path, more: &[&str]| {
        let args = [
            "evolution",
            "--net",
            &path(&net),
            "--weights",
            &path(weights),
            "--inputs",
            &path(&inputs),
            "--targets",
            &path(&targets),
            "--samples",
            "60",
            "--top",
            "3",
            "--out",
            &path(&evolution),
        ]
        .map(str::to_owned);
        let args: Vec<&str> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
        relfisher(&args)
    };
    let output = call(&snapshots, &["--probes", "3"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("share of the gradient"));
    let (_, spaces) = rows(&evolution.join("subspaces.csv"));
    assert_eq!(spaces.len(), 6 * 3, "six points, three matrices");
    let (header, comparison) = rows(&evolution.join("comparison.csv"));
    assert_eq!(comparison.len(), 6 * 3 * 4, "three pairs, three layers and all");
    assert_eq!(&header[0], "step");
    let (_, eigenvalues) = rows(&evolution.join("eigenvalues.csv"));
    assert_eq!(eigenvalues.len(), 6 * 3 * 5);
    let stems = [
        "share",
        "overlap",
        "eigenvalues",
        "comparison-error",
        "comparison-cosine",
        "comparison-overlap",
    ];
    assert_plots(&evolution, &stems, &[]);

    // The last point alone has the same numbers.
    let again = call(&snapshots, &["--from", "9", "--probes", "0", "--quiet"]);
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
    assert_eq!(stdout(&again), "");
    let (header, last) = rows(&evolution.join("subspaces.csv"));
    let largest = header.iter().position(|h| h == "largest").unwrap();
    assert_eq!(last.len(), 3);
    for (one, other) in last.iter().zip(&spaces[15..]) {
        assert_eq!((&one[0], &one[largest]), (&other[0], &other[largest]));
    }

    assert_refused(&call(&snapshots, &["--from", "17"]), &["snapshots", "17"]);
    assert_refused(&call(&dir.join("nothing"), &[]), &["nothing"]);
    assert_refused(&call(&snapshots, &["--memory", "1e-6"]), &["evolution", "bytes"]);
    assert_refused(&call(&snapshots, &["--products", "2"]), &["products"]);
    let device = train(&file, &dir.join("x"), &["--diagnose", "--device", "emulated"]);
    assert_refused(&device, &["--diagnose", "cpu"]);
    assert_refused(&train(&file, &dir.join("x"), &["--diagnose-every", "2"]), &["--diagnose"]);
    assert_refused(&train(&file, &dir.join("x"), &["--diagnose", "--tune"]), &["--tune"]);
}
