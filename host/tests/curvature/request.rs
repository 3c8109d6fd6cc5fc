//! Requests that cannot be answered.

use std::fs;
use std::process::Output;

use relfisher::format::TensorFile;

use crate::common::{assert_refused, folder, relfisher, stderr};
use crate::lab::{Lab, numbers};

#[test]
fn unknown_quantities_list_the_known_ones() {
    let lab = Lab::new("quantity");
    for name in ["gradient", "", "ggn_top0", "ggn_top-1", "kfac", "grad,hessian"] {
        lab.refuses(
            &["--quantity", name],
            &["--quantity", "no such quantity", "kfac_type2", "rfim"],
        );
    }
}

#[test]
fn dampings_are_refused() {
    let lab = Lab::new("damping");
    for value in ["-1e-3", "NaN", "inf", "1e999", "x", ""] {
        let option = format!("--damping={value}");
        lab.refuses(&[&option], &["--damping", "finite number of at least 0"]);
    }
    for value in ["1e60", "1e-60"] {
        let args = ["--damping", value, "--dtype", "f32", "--quantity", "natgrad_ggn"];
        lab.refuses(&args, &["--damping", value, "f32", "--dtype f64"]);
    }
}

#[test]
fn vectors_are_refused_before_anything_is_computed() {
    let lab = Lab::new("vectors");
    let path = lab.path("v.safetensors");
    let save = |change: &dyn Fn(&mut TensorFile<f64>)| {
        let mut file = TensorFile::<f64>::new();
        for (layer, m, d) in [("hidden", 4, 4), ("top", 2, 5)] {
            file.insert(format!("matvec.v.{layer}"), &[m, d, 3], numbers(m * d * 3, 1));
            file.insert(format!("probe.{layer}"), &[m * d, 2], numbers(m * d * 2, 2));
        }
        change(&mut file);
        file.save(&lab.dir.join("v.safetensors")).unwrap();
    };
    let matvec = ["--quantity", "matvec", "--vectors", &path];
    let probe = ["--quantity", "ggn_block_probe", "--vectors", &path];
    save(&|_| ());
    assert_eq!(lab.answers(&matvec).tensors["matvec.ggn.top"].shape, [2, 5, 3]);
    assert_eq!(lab.answers(&probe).tensors["ggn_block_probe.hidden"].shape, [16, 2]);
    fs::remove_file(lab.dir.join("out.safetensors")).unwrap();

    lab.refuses(&["--quantity", "matvec"], &["--vectors", "matvec.v.hidden", "is missing"]);
    save(&|f| drop(f.tensors.remove("matvec.v.top")));
    lab.refuses(&matvec, &["matvec: tensor \"matvec.v.top\"", "is missing"]);
    save(&|f| f.insert("matvec.v.top", &[5, 2, 3], numbers(30, 1)));
    lab.refuses(&matvec, &["matvec.v.top", "[5, 2, 3]", "give shape (2, 5, k)"]);
    save(&|f| f.insert("matvec.v.top", &[2, 5, 4], numbers(40, 1)));
    lab.refuses(&matvec, &["matvec.v.top", "[2, 5, 4]", "same k"]);
    for layer in [("hidden", 4, 4), ("top", 2, 5)] {
        save(&|f| f.insert(format!("matvec.v.{}", layer.0), &[layer.1, layer.2, 0], Vec::new()));
        lab.refuses(&matvec, &["matvec.v", "k"]);
    }
    save(&|f| f.insert("probe.top", &[9, 2], numbers(18, 1)));
    lab.refuses(&probe, &["probe.top", "[9, 2]", "10 parameters"]);
    save(&|f| f.insert("probe.top", &[10, 0], Vec::new()));
    lab.refuses(&probe, &["probe.top", "[10, 0]", "at least 1"]);
    save(&|f| f.insert("probe.top", &[10, 1], vec![f64::NAN; 10]));
    lab.refuses(&probe, &["v.safetensors", "probe.top", "element 0 is NaN"]);
    save(&|f| f.insert("probe.top", &[10, 1], vec![1e300; 10]));
    let single = [&probe[..], &["--dtype", "f32"]].concat();
    lab.refuses(&single, &["v.safetensors", "probe.top", "element 0 is inf as f32"]);
    // The rest of the request is not begun.
    save(&|f| drop(f.tensors.remove("probe.top")));
    let later = ["--quantity", "hess_block,ggn_block_probe", "--vectors", &path];
    lab.refuses(&later, &["ggn_block_probe", "probe.top", "is missing"]);
}

#[test]
fn what_a_quantity_lacks_is_named() {
    let lab = Lab::new("lacks");
    for quantity in
        ["grad", "ef_block", "hess_diag", "kfac_emp", "natgrad_ggn", "trace", "hess_top2"]
    {
        let args = ["--targets", "-", "--quantity", quantity];
        lab.refuses(&args, &[quantity, "targets", "--targets"]);
    }
    lab.refuses(&["--quantity", "grad,kfac_mc"], &["kfac_mc", "labels", "--labels"]);
    let out = lab.answers(&["--targets", "-", "--quantity", "output,rfim,ggn_block,kflr"]);
    assert_eq!(out.tensors["output"].shape, [5, 2]);
}

#[test]
fn memory_is_asked_for_first() {
    let lab = Lab::new("memory");
    for bad in ["0", "-1", "NaN", "much"] {
        lab.refuses(&[&format!("--memory={bad}")], &["--memory"]);
    }
    // 257 outputs of 512 inputs: the dense block of 131,841² numbers.
    lab.net(
        r#"{"input_shape": [512], "loss": {"type": "softmax_cross_entropy"}, "layers": [
        {"type": "linear", "in": 512, "out": 257, "param": "wide"}]}"#,
    );
    let mut file = TensorFile::new();
    file.insert("wide.weight", &[257, 512], numbers(257 * 512, 1));
    file.insert("wide.bias", &[257], numbers(257, 2));
    lab.weights(&file);
    lab.array("x.npy", &[5, 512], &numbers(5 * 512, 3));
    for (quantity, instead) in [
        ("ggn_block", "ggn_diag"),
        ("hess_block", "hess_diag"),
        ("ef_block", "ef_diag"),
        ("ggn_block_trace_fro", "kfac_type2"),
        ("rfim", "kfac_type2"),
    ] {
        let parts = [quantity, "of layer wide", "bytes", "the limit is", instead];
        lab.refuses(&["--quantity", quantity, "--memory", "2"], &parts);
        // Nothing before it is computed either.
        lab.refuses(&["--quantity", &format!("ggn_diag,{quantity}"), "--memory", "2"], &parts);
    }
    let out = lab.answers(&["--quantity", "ggn_diag,kfac_type2", "--memory", "2"]);
    assert_eq!(out.tensors["ggn_diag.wide"].shape, [257, 513]);
}

#[test]
fn an_output_that_cannot_be_written_is_refused_before_the_files_are_read() {
    let lab = Lab::new("unwritable");
    let absent = ["--inputs", &lab.path("absent.npy")];
    for (out, parts) in [
        (lab.path("no/such/out.safetensors"), &["no/such/out.safetensors", "cannot write"][..]),
        (lab.path("."), &["is a folder"]),
        (lab.path("x.npy/out.safetensors"), &["cannot write"]),
        ("/proc/out.safetensors".to_owned(), &["/proc/out.safetensors", "cannot write"]),
        ("/".to_owned(), &["is a folder"]),
        (String::new(), &["--out <FILE>"]),
    ] {
        lab.refuses(&[&["--out", &out], &absent[..]].concat(), parts);
    }
}

fn spectrum(lab: &Lab, extra: &[&str]) -> Output {
    let (net, weights) = (lab.path("net.json"), lab.path("w.safetensors"));
    let (inputs, targets) = (lab.path("x.npy"), lab.path("y.npy"));
    let usual = ["spectrum", "--net", &net, "--weights", &weights, "--inputs", &inputs];
    relfisher(&[&usual[..], &["--targets", &targets, "--threads", "1"], extra].concat())
}

#[test]
fn spectra_are_refused() {
    let lab = Lab::new("spectra");
    let refused = |extra: &[&str], parts: &[&str]| {
        assert_refused(&spectrum(&lab, extra), parts);
        assert!(!lab.dir.join("out").exists(), "{extra:?}");
    };
    let out = lab.path("out");
    refused(&["--out", &out, "--top", "0"], &["nothing to compute", "--top"]);
    refused(&["--out", &out, "--top", "30", "--products", "5"], &["too few", "more products"]);
    refused(&["--out", &out, "--memory", "1e-9"], &["spectrum", "bytes", "--batch"]);
    refused(&["--out", &lab.path("x.npy")], &["x.npy", "not a folder"]);
    refused(&["--out", &lab.path("x.npy/deeper/out")], &["x.npy", "not a folder"]);
    refused(&["--out", "/proc/out"], &["/proc", "cannot write"]);
    refused(&["--out", &out, "--operator", "fisher"], &["fisher", "ggn", "hess", "ef"]);
    let good = spectrum(&lab, &["--out", &out, "--top", "4", "--bottom", "3", "--density"]);
    assert_eq!((good.status.code(), stderr(&good).as_str()), (Some(0), ""));
    assert!(lab.dir.join("out/spectrum.json").exists());
}

#[test]
fn arguments_are_refused_in_one_line() {
    let dir = folder("curvature-arguments");
    let out = dir.join("out").display().to_string();
    for (args, parts) in [
        (&["curvature"][..], &["--net <FILE>", "--quantity", "relfisher curvature --help"][..]),
        (&["curvature", "--nett", "x"], &["--nett", "--net", "relfisher curvature --help"]),
        (&["curvature", "--dtype", "f16", "--out", &out], &["f16", "f32, f64"]),
        (&["curvature", "--batch", "0"], &["--batch", "0"]),
        (&["curvature", "--threads", "0"], &["--threads", "0"]),
        (&["spectrum", "--seed", "-1"], &["-1", "relfisher spectrum --help"]),
        (&["curve"], &["curve", "curvature", "relfisher --help"]),
        (&["--loud"], &["--loud", "relfisher --help"]),
    ] {
        assert_refused(&relfisher(args), parts);
    }
    let help = relfisher(&["curvature", "--help"]);
    assert_eq!((help.status.code(), stderr(&help).as_str()), (Some(0), ""));
    assert_eq!(relfisher(&["--version"]).status.code(), Some(0));
    assert_eq!(relfisher(&[]).status.code(), Some(2));
}
