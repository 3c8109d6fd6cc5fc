//! `--actual`: the numbers of another engine through the same gate.

use std::fs;
use std::path::Path;

use relfisher_accuracy::tensors::Tensors;
use safetensors::tensor::TensorView;

use crate::common::{assert_refused, folder, relfisher};
use crate::files::{ends, text};
use crate::lab::golden;

fn read(path: &Path) -> Tensors {
    Tensors::parse(&fs::read(path).expect("a file")).expect("tensors")
}

fn write(path: &Path, tensors: &Tensors) {
    fs::write(path, tensors.to_bytes().expect("bytes")).expect("writes");
}

/// Writes tensors in single precision.
fn write_single(path: &Path, tensors: &Tensors) {
    let raw =
        |data: &[f64]| -> Vec<u8> { data.iter().flat_map(|x| (*x as f32).to_le_bytes()).collect() };
    let all: Vec<_> = tensors.0.iter().map(|(name, t)| (name, &t.shape, raw(&t.data))).collect();
    let views = all.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(safetensors::Dtype::F32, shape.to_vec(), bytes);
        (*name, view.expect("a view"))
    });
    fs::write(path, safetensors::serialize(views, None).expect("bytes")).expect("writes");
}

#[test]
fn another_engine_is_held_against_the_ladder() {
    let dir = folder("accuracy-actual-ladder");
    let ladder = dir.join("ladder");
    ends(&["--export", text(&ladder)], 0);
    let expected = read(&ladder.join("expected.safetensors"));
    let inputs = read(&ladder.join("inputs.safetensors"));
    assert!(inputs.get("in.t").is_some() && expected.get("nu.tanh").is_some());

    // The references rounded to f32 are within half an ulp.
    let actual = dir.join("actual.safetensors");
    write_single(&actual, &expected);
    let table = ends(&["--actual", text(&actual), "--strict"], 0);
    assert!(table.contains(" f32 ") && !table.contains(" f64 "), "{table}");
    // As numbers of f64 they are not right.
    let table = ends(&["--actual", text(&actual), "--dtype", "f64"], 1);
    assert!(table.contains("FAIL ladder nu.tanh f64"), "{table}");

    // His own baseline: one entry moves by less than the tolerance, but more than its allowance.
    let baseline = dir.join("baseline.json");
    let gate = ["--actual", text(&actual), "--baseline", text(&baseline)];
    ends(&[&gate[..], &["--update"]].concat(), 0);
    ends(&gate, 0);
    let mut moved = expected.clone();
    let tensor = moved.0.get_mut("nu.sigm").expect("a tensor");
    let ulp = relfisher_accuracy::Dtype::F32.ulp(tensor.data[7]);
    tensor.data[7] += 5.0 * ulp;
    write_single(&actual, &moved);
    let table = ends(&gate, 1);
    assert!(table.contains("FAIL ladder nu.sigm f32: nu.sigm: the error grew from"), "{table}");
    assert!(!table.contains("is off by"), "{table}");
    ends(&["--actual", text(&actual)], 0);

    // A single wrong entry.
    let tensor = moved.0.get_mut("nu.sigm").expect("a tensor");
    tensor.data[7] += 20.0 * ulp;
    write(&actual, &moved);
    let table = ends(&["--actual", text(&actual)], 1);
    assert!(table.contains("FAIL ladder nu.sigm f64: nu.sigm is off by"), "{table}");

    // What is missing fails by name, unless it is not asked for.
    let mut part = expected.clone();
    part.0.retain(|name, _| name.starts_with("nu.") && name != "nu.elu");
    write(&actual, &part);
    let table = ends(&["--actual", text(&actual)], 1);
    assert!(table.contains("FAIL ladder nu.elu f64: nu.elu was not computed"), "{table}");
    assert!(table.contains("FAIL ladder factor.cholesky f64"), "{table}");
    ends(&["--actual", text(&actual), "--quantity", "nu.tanh,nu.sigm"], 0);

    // A name too many is an error with --strict only.
    part.insert("mine", &[1], vec![0.0]);
    write(&actual, &part);
    let arguments = ["accuracy", "--actual", text(&actual), "--quantity", "nu.tanh"];
    ends(&arguments[1..], 0);
    let output = relfisher(&[&arguments[..], &["--strict"]].concat());
    assert_refused(&output, &[text(&actual), "mine", "--strict"]);
    // Numbers that are none fail wherever they stand.
    part.insert("mine", &[1], vec![f64::NAN]);
    write(&actual, &part);
    let table = ends(&arguments[1..], 1);
    assert!(table.contains("mine: element 0 is NaN"), "{table}");
}

#[test]
fn another_engine_is_held_against_a_case() {
    let dir = folder("accuracy-actual-case");
    let case = golden("xc_tanh_mse_default");
    let expected = read(&case.join("expected.safetensors"));
    let actual = dir.join("actual.safetensors");
    let gate = ["--actual", text(&actual), "--case", text(&case)];
    write(&actual, &expected);
    let table = ends(&[&gate[..], &["--strict"]].concat(), 0);
    assert!(table.contains("golden  kfac.A "), "{table}");

    let mut wrong = expected.clone();
    wrong.0.get_mut("kfac_type2.G.layers.0").expect("a tensor").data[2] += 1e-6;
    wrong.0.remove("grad.layers.1");
    write(&actual, &wrong);
    let table = ends(&gate, 1);
    for part in [
        "FAIL golden kfac_type2.G f64: xc_tanh_mse_default: kfac_type2.G.layers.0 is off by",
        "FAIL golden grad f64: xc_tanh_mse_default: grad.layers.1",
    ] {
        assert!(table.contains(part), "{part}: {table}");
    }
    ends(&[&gate[..], &["--quantity", "kfac.A,ggn_block"]].concat(), 0);

    fs::write(&actual, b"no tensors").expect("writes");
    let output = relfisher(&[&["accuracy"], &gate[..]].concat());
    assert_refused(&output, &[text(&actual), "safetensors"]);
    write(&actual, &expected);
    let output = relfisher(&[&["accuracy"], &gate[..], &["--dtype", "both"]].concat());
    assert_refused(&output, &["--dtype", "both"]);
    let output = relfisher(&["accuracy", "--actual", text(&actual), "--case", text(&dir)]);
    assert_refused(&output, &["arch.json"]);
}

/// Writes the first tensor in double precision, the others in single.
fn write_mixed(path: &Path, tensors: &Tensors) {
    let all: Vec<_> = tensors.0.iter().enumerate().collect();
    let raw = |k: usize, data: &[f64]| -> Vec<u8> {
        match k {
            0 => data.iter().flat_map(|x| x.to_le_bytes()).collect(),
            _ => data.iter().flat_map(|x| (*x as f32).to_le_bytes()).collect(),
        }
    };
    let all: Vec<_> =
        all.iter().map(|(k, (name, t))| (*k, name, t.shape.clone(), raw(*k, &t.data))).collect();
    let views = all.iter().map(|(k, name, shape, bytes)| {
        let dtype = if *k == 0 { safetensors::Dtype::F64 } else { safetensors::Dtype::F32 };
        (*name, TensorView::new(dtype, shape.clone(), bytes).expect("a view"))
    });
    fs::write(path, safetensors::serialize(views, None).expect("bytes")).expect("writes");
}

#[test]
fn a_stray_tensor_of_another_type_is_named() {
    let dir = folder("accuracy-actual-mixed");
    let expected = read(&golden("xc_tanh_mse_default").join("expected.safetensors"));
    let odd = expected.names().next().expect("a tensor").to_owned();
    let actual = dir.join("actual.safetensors");
    write_mixed(&actual, &expected);
    let output = relfisher(&["accuracy", "--actual", text(&actual)]);
    assert_refused(&output, &[text(&actual), "two types", &odd, "of F64", "all F32"]);
}

#[test]
fn an_output_takes_the_place_of_nothing() {
    let dir = folder("accuracy-apart");
    let expected = read(&golden("xc_tanh_mse_default").join("expected.safetensors"));
    let actual = dir.join("actual.safetensors");
    write(&actual, &expected);
    let before = fs::read(&actual).expect("a file");
    let round = dir.join("../accuracy-apart/actual.safetensors");
    let (file, other) = (text(&actual), dir.join("other.json"));
    let [case, other] = [golden("xc_tanh_mse_default"), other];
    let input = case.join("x.npy");
    for arguments in [
        ["--actual", file, "--json", text(&round)],
        ["--actual", file, "--junit", file],
        ["--json", text(&other), "--junit", text(&other)],
        ["--baseline", text(&other), "--json", text(&other)],
        ["--golden", text(&case), "--json", text(&input)],
    ] {
        let output = relfisher(&[&["accuracy"], &arguments[..]].concat());
        assert_refused(&output, &[" too", "give --", "another name"]);
    }
    let both = ["accuracy", "--baseline", text(&other), "--update", "--junit", text(&other)];
    assert_refused(&relfisher(&both), &["is written by --baseline too"]);
    assert!(!other.exists());
    assert_eq!(fs::read(&actual).expect("a file"), before);
}
