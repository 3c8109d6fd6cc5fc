//! `relfisher gradnet` as a user sees it: a table, a record, a picture; bad input into one line.

mod common;

use std::fs;

use common::{assert_plots, assert_refused, folder, relfisher, stderr, stdout};

#[test]
fn a_quick_run_leaves_table_record_and_picture() {
    let out = folder("gradnet").join("run");
    let path = out.to_str().unwrap();
    let output = relfisher(&["gradnet", "--quick", "--epochs", "3", "--out", path]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    for part in ["76570 parameters", "120630 parameters", "original", "gain", "15%", "pixels"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let record = fs::read_to_string(out.join("gradnet.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["train_samples"], 400);
    assert_eq!(
        (&record["settings"]["target"], &record["settings"]["epochs"]),
        (&"uniform".into(), &3.into())
    );
    let networks = record["networks"].as_array().unwrap();
    assert_eq!(networks.len(), 2);
    for network in networks {
        for stopped in network["stopped"].as_array().unwrap() {
            let fractions = stopped["fractions"].as_array().unwrap();
            assert_eq!(fractions.len(), 3);
            let bytes = |f: &serde_json::Value| f["bytes"].as_u64().unwrap();
            assert!(fractions.windows(2).all(|pair| bytes(&pair[0]) < bytes(&pair[1])));
            for f in fractions {
                // Ten classes: anything that is learned is far above a tenth.
                assert!(f["scores"]["linear"].as_f64().unwrap() > 0.3, "{f}");
                let entries = f["entries"].as_f64().unwrap();
                let kept =
                    f["fraction"].as_f64().unwrap() * network["parameters"].as_f64().unwrap();
                assert!(entries <= kept + 5.0, "{f}");
            }
        }
    }
    let csv = fs::read_to_string(out.join("gradnet.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + 2 * 2 * 3);
    assert_plots(&out, &["gradnet"], &["Multi-layer perceptron", "MiB", "linear classifier"]);
    assert_eq!(fs::read_dir(&out).unwrap().count(), 4);
}

#[test]
fn each_class_is_a_target_too() {
    let dir = folder("gradnet-targets");
    let run = |target: &str| -> serde_json::Value {
        let out = dir.join(target);
        let small = ["--train-samples", "60", "--test-samples", "20", "--networks", "mlp"];
        let few = ["--steps", "2", "--fractions", "0.01", "--target", target];
        let last = ["--quiet", "--out", out.to_str().unwrap()];
        let output = relfisher(&[&["gradnet"][..], &small, &few, &last].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let text = fs::read_to_string(out.join("gradnet.json")).unwrap();
        let record: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(record["settings"]["target"], target);
        record["networks"][0].clone()
    };
    let entries = |network: &serde_json::Value| {
        network["stopped"][0]["fractions"][0]["entries"].as_f64().unwrap()
    };
    let (alike, each, label) = (run("uniform"), run("class"), run("label"));
    assert_eq!((&alike["gradients"], &each["gradients"]), (&1.into(), &10.into()));
    // Every gradient keeps a hundredth of its entries, and has at least so many.
    assert_eq!(entries(&each), 10.0 * entries(&alike));
    assert_eq!(entries(&label), entries(&alike));
}

#[test]
fn bad_requests_are_refused() {
    let dir = folder("gradnet-bad");
    let out = dir.join("run");
    let small = ["--train-samples", "60", "--test-samples", "20", "--networks", "mlp"];
    let cases: &[(&[&str], &[&str])] = &[
        (&["--fractions", "0,0.5"], &["--fractions", "above 0"]),
        (&["--fractions", "0.5,1.5"], &["--fractions", "at most 1"]),
        (&["--fractions", "0.5,0.1"], &["--fractions", "ascending"]),
        (&["--steps", "5,5"], &["--steps", "ascending"]),
        (&["--damping=-1"], &["--damping"]),
        (&["--rate", "0"], &["--rate"]),
        (&["--metric", "median"], &["--metric", "median", "geometric"]),
        (&["--networks", "rbm"], &["rbm"]),
        (&["--target", "truth"], &["--target", "truth", "uniform"]),
        (&["--epochs", "0"], &["--epochs"]),
        (&["--data", "/nowhere"], &["/nowhere", "no such folder"]),
        (&["--memory", "0"], &["--memory"]),
        (&["--memory", "0.0001", "--steps", "1"], &["embedding, sample", "limit", "--memory"]),
        (&["--quick", "--steps", "1"], &["--quick", "--steps"]),
    ];
    for (arguments, parts) in cases {
        let mut args = vec!["gradnet", "--out", out.to_str().unwrap()];
        if !arguments.contains(&"--quick") {
            args.extend(small);
        }
        args.extend(*arguments);
        assert_refused(&relfisher(&args), parts);
        assert!(!out.exists(), "{arguments:?} leaves nothing");
    }
    let none = ["gradnet", "--train-samples", "0", "--out", out.to_str().unwrap()];
    assert_refused(&relfisher(&none), &["--train-samples", "no sample"]);
}
