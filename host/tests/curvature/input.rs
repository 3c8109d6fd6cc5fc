//! Files that are not what they should be: one line that names file, place and remedy, exit status 2,
//! nothing written.

use std::fs;

use relfisher::format::TensorFile;

use crate::lab::{Lab, NET, numbers};

/// A safetensors file with the header `header`, written by hand, and `bytes` bytes of data.
fn raw_tensors(header: &str, bytes: usize) -> Vec<u8> {
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend_from_slice(header.as_bytes());
    out.resize(out.len() + bytes, 0);
    out
}

/// A `.npy` file with the header `header`, written by hand, and `bytes` bytes of data.
fn raw_array(header: &str, bytes: usize) -> Vec<u8> {
    let mut text = header.to_owned();
    while !(10 + text.len() + 1).is_multiple_of(64) {
        text.push(' ');
    }
    text.push('\n');
    let mut out = b"\x93NUMPY\x01\x00".to_vec();
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    out.resize(out.len() + bytes, 0);
    out
}

#[test]
fn a_good_problem_is_answered() {
    let lab = Lab::new("good");
    let out = lab.answers(&[]);
    assert_eq!(out.tensors.keys().collect::<Vec<_>>(), ["grad.hidden", "grad.top"]);
    assert_eq!(out.tensors["grad.hidden"].shape, [4, 4]);
}

#[test]
fn network_files_are_refused() {
    let lab = Lab::new("net");
    for (from, to, parts) in [
        ("tanh", "tangent", &["net.json", "layers[1] (tangent)", "unknown variant"][..]),
        ("\"tanh\"", "\"tanh\", \"leak\": 1", &["net.json", "layers[1] (tanh)", "leak"]),
        ("\"in\": 3,", "\"in\": 3, \"stride\": 2,", &["layers[0] (linear)", "stride"]),
        ("\"in\": 4", "\"in\": 5", &["layers[2].in", "is 5", "4 numbers", "make them equal"]),
        ("\"in\": 3, ", "", &["layers[0] (linear)", "missing field `in`"]),
        ("\"out\": 2", "\"out\": 0", &["layers[2].out", "is 0", "at least one"]),
        ("\"out\": 2", "\"out\": -2", &["layers[2] (linear)", "-2"]),
        ("\"out\": 2", "\"out\": 2.5", &["layers[2] (linear)", "2.5"]),
        ("\"out\": 2", "\"out\": 99999999999999999999", &["layers[2] (linear)"]),
        ("\"out\": 4", "\"out\": 18446744073709551615", &["layers[0]", "too many"]),
        ("\"param\": \"top\"", "\"param\": \"hidden\"", &["layers[2].param", "earlier layer"]),
        ("\"param\": \"top\"", "\"param\": \"\"", &["layers[2].param", "is empty"]),
        ("\"tanh\"", "\"flatten\", \"extra\": 0", &["layers[1] (flatten)", "extra"]),
        ("\"tanh\"", "\"elu\", \"alpha\": 0", &["layers[1].alpha", "alpha > 0"]),
        ("\"tanh\"", "\"relu\", \"leak\": -1", &["layers[1].leak", "0 ≤ leak < 1"]),
        ("\"tanh\"", "\"conv2d\"", &["layers[1] (conv2d)", "missing field"]),
        ("\"tanh\"", "\"maxpool2d\", \"kernel\": 2", &["layers[1].type", "needs an image"]),
        ("\"tanh\"", "\"softmax\"", &["layers[1].type", "part of the loss"]),
        ("[3]", "[]", &["input_shape"]),
        ("[3]", "[0]", &["input_shape", "at least 1"]),
        ("[3]", "[4294967296, 4294967296]", &["input_shape", "too many"]),
        ("[3]", "[3, 100000, 100000]", &["input_shape", "too many"]),
        ("[3]", "[4]", &["layers[0].in", "is 3"]),
        ("\"loss\"", "\"cost\"", &["net.json", "unknown field `cost`"]),
        ("\"loss\": {", "\"epochs\": 3, \"loss\": {", &["unknown field `epochs`"]),
        ("softmax_cross_entropy", "hinge", &["net.json: loss", "hinge", "mse"]),
        ("softmax_cross_entropy\"", "mse\", \"scale\": 0", &["loss.scale", "above 0"]),
        ("softmax_cross_entropy\"", "mse\", \"sigma\": 1", &["loss.sigma", "unknown field"]),
        ("]}", "", &["net.json", "not a network file"]),
    ] {
        assert!(NET.contains(from), "{from}");
        lab.net(&NET.replacen(from, to, 1));
        lab.refuses(&[], parts);
    }
    lab.net(r#"{"input_shape": [3], "loss": {"type": "mse"}, "layers": []}"#);
    lab.refuses(&[], &["net.json: layers", "add one"]);
    fs::write(lab.dir.join("net.json"), [0xff, 0xfe, 0]).unwrap();
    lab.refuses(&[], &["net.json"]);
    lab.refuses(&["--net", &lab.path("absent.json")], &["absent.json", "check the path"]);
    lab.refuses(&["--net", &lab.path(".")], &["cannot read"]);
}

#[test]
fn a_scale_outside_of_f32_is_refused() {
    let lab = Lab::new("scale");
    lab.array("y.npy", &[5, 2], &numbers(10, 8));
    lab.net(&NET.replace("softmax_cross_entropy\"", "mse\", \"scale\": 1e300"));
    lab.refuses(&["--dtype", "f32"], &["net.json: loss.scale", "number type", "--dtype f64"]);
    lab.net(&NET.replace("\"tanh\"", "\"elu\", \"alpha\": 1e-300"));
    lab.refuses(&["--dtype", "f32"], &["net.json: layers[1].alpha", "number type", "--dtype f64"]);
}

#[test]
fn weights_are_refused() {
    let lab = Lab::new("weights");
    let spoilt = |spoil: &dyn Fn(&mut TensorFile<f64>), parts: &[&str]| {
        let mut file = Lab::tensors();
        spoil(&mut file);
        lab.weights(&file);
        lab.refuses(&[], &[&["w.safetensors"], parts].concat());
    };
    spoilt(&|f| drop(f.tensors.remove("top.bias")), &["\"top.bias\"", "is missing"]);
    spoilt(&|f| f.insert("top.bias", &[3], numbers(3, 1)), &["top.bias", "[3]", "[2] is needed"]);
    spoilt(&|f| f.insert("hidden.weight", &[3, 4], numbers(12, 1)), &["[3, 4]", "[4, 3]"]);
    spoilt(&|f| f.insert("hidden.weight", &[12], numbers(12, 1)), &["hidden.weight", "[12]"]);
    spoilt(&|f| f.insert("hidden.wieght", &[1], vec![0.0]), &["hidden.wieght", "no layer"]);
    for bad in [f64::NAN, f64::INFINITY] {
        spoilt(&|f| f.insert("top.bias", &[2], vec![0.5, bad]), &["top.bias", "element 1"]);
    }
    lab.weights(&{
        let mut file = Lab::tensors();
        file.insert("top.bias", &[2], vec![0.5, 1e300]);
        file
    });
    lab.refuses(&["--dtype", "f32"], &["w.safetensors", "top.bias", "element 1 is inf as f32"]);

    let raw = |header: &str, bytes: usize, parts: &[&str]| {
        fs::write(lab.dir.join("w.safetensors"), raw_tensors(header, bytes)).unwrap();
        lab.refuses(&[], &[&["w.safetensors"], parts].concat());
    };
    let one = |dtype: &str, shape: &str, end: usize| {
        format!(
            r#"{{"hidden.weight":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,{end}]}}}}"#
        )
    };
    raw(&one("F16", "[4,3]", 24), 24, &["hidden.weight", "F16", "F32 or F64"]);
    raw(&one("I64", "[4,3]", 96), 96, &["hidden.weight", "I64", "F32 or F64"]);
    raw(&one("F77", "[4,3]", 96), 96, &["header"]);
    raw(&one("F64", "[4,3]", 96), 90, &["header", "again"]);
    raw(&one("F64", "[4,4]", 96), 96, &["header"]);
    raw(&one("F64", "[4294967296,4294967296,4294967296]", 96), 96, &["header"]);
    raw("{\"hidden.weight\":", 0, &["header"]);
    fs::write(lab.dir.join("w.safetensors"), u64::MAX.to_le_bytes()).unwrap();
    lab.refuses(&[], &["w.safetensors", "header"]);
    fs::write(lab.dir.join("w.safetensors"), []).unwrap();
    lab.refuses(&[], &["w.safetensors", "header"]);
}

#[test]
fn weights_that_the_network_file_promises_are_not_allocated() {
    let lab = Lab::new("promised");
    lab.net(
        r#"{"input_shape": [1000000], "loss": {"type": "mse"}, "layers": [
        {"type": "linear", "in": 1000000, "out": 2000, "param": "hidden"}]}"#,
    );
    lab.refuses(&[], &["w.safetensors", "hidden.weight", "[2000, 1000000] is needed"]);
}

#[test]
fn inputs_are_refused() {
    let lab = Lab::new("inputs");
    let array = |shape: &[usize], data: &[f64], parts: &[&str]| {
        lab.array("x.npy", shape, data);
        lab.refuses(&[], &[&["x.npy"], parts].concat());
    };
    array(&[5, 4], &numbers(20, 1), &["header", "[5, 4]", "takes [3]"]);
    array(&[15], &numbers(15, 1), &["header", "[15]", "takes [3]"]);
    array(&[], &[1.0], &["header", "a single number"]);
    array(&[0, 3], &[], &["no samples", "at least one"]);
    array(&[5, 0], &[], &["[5, 0]", "takes [3]"]);
    let mut data = numbers(15, 1);
    data[7] = f64::NAN;
    array(&[5, 3], &data, &["element 7", "NaN"]);
    data[7] = f64::NEG_INFINITY;
    array(&[5, 3], &data, &["element 7", "-inf"]);
    data[7] = 1e300;
    lab.array("x.npy", &[5, 3], &data);
    lab.refuses(&["--dtype", "f32"], &["x.npy", "element 7", "inf as f32"]);

    let raw = |header: &str, bytes: usize, parts: &[&str]| {
        fs::write(lab.dir.join("x.npy"), raw_array(header, bytes)).unwrap();
        lab.refuses(&[], &[&["x.npy"], parts].concat());
    };
    let header = |kind: &str, shape: &str| {
        format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}")
    };
    raw(&header("<f8", "(5, 3)"), 119, &["header", "119 bytes", "truncated"]);
    raw(&header("<f8", "(5, 3)"), 121, &["header", "121 bytes"]);
    raw(&header("<f8", "(4294967296, 4294967296)"), 0, &["header", "4294967296"]);
    raw(&header("<f8", "(4294967296, 4294967296, 3)"), 120, &["header", "4294967296"]);
    raw(&header("<f8", "(0, 4294967296, 4294967296, 4)"), 0, &["no samples"]);
    raw(&header("<f8", "(99999999999999999999, 3)"), 120, &["header"]);
    raw(&header("<f8", "(-5, 3)"), 120, &["header"]);
    raw(&header("<c16", "(5, 3)"), 240, &["header", "c16", "32 or 64 bits"]);
    raw(&header("<f2", "(5, 3)"), 30, &["header", "f2", "32 or 64 bits"]);
    raw(&header("|S8", "(5, 3)"), 120, &["header", "S8", "32 or 64 bits"]);
    raw(&header("<f8", "(5, 3)").replace("False", "True"), 120, &["header", "Fortran order"]);
    raw("{'descr': '<f8'}", 120, &["header"]);
    raw("not a header", 120, &["header"]);
    fs::write(lab.dir.join("x.npy"), b"\x93NUMPY\x02\x00\xff\xff\xff\xff{").unwrap();
    lab.refuses(&[], &["x.npy", "truncated"]);
    fs::write(lab.dir.join("x.npy"), b"hello").unwrap();
    lab.refuses(&[], &["x.npy", "not a .npy file"]);
    lab.refuses(&["--inputs", &lab.path("absent.npy")], &["absent.npy", "check the path"]);
}

#[test]
fn targets_are_refused() {
    let lab = Lab::new("targets");
    let array = |shape: &[usize], data: &[f64], parts: &[&str]| {
        lab.array("y.npy", shape, data);
        lab.refuses(&[], &[&["y.npy"], parts].concat());
    };
    array(&[5], &[0.0, 1.0, 2.0, 0.0, 1.0], &["class 2 of sample 2", "2 outputs"]);
    array(&[5], &[0.0, 1.0, -1.0, 0.0, 1.0], &["element 2", "-1 is not a class"]);
    array(&[5], &[0.0, 1.0, 0.5, 0.0, 1.0], &["element 2", "0.5 is not a class"]);
    array(&[5], &[0.0, 1.0, f64::NAN, 0.0, 1.0], &["element 2", "NaN is not a class"]);
    array(&[4], &[0.0, 1.0, 1.0, 0.0], &["4 classes for 5 samples"]);
    array(&[6], &[0.0; 6], &["6 classes for 5 samples"]);
    array(&[5, 2], &[0.0; 10], &["header", "one dimension"]);
    // Labels drawn from the model are checked alike.
    lab.array("mc.npy", &[5], &[0.0, 1.0, 7.0, 0.0, 1.0]);
    lab.array("y.npy", &[5], &[0.0; 5]);
    lab.refuses(&["--labels", &lab.path("mc.npy")], &["mc.npy", "class 7 of sample 2"]);

    lab.net(&NET.replace("softmax_cross_entropy", "binary_cross_entropy"));
    array(&[5, 2], &[1.5; 10], &["outside 0..1"]);
    array(&[5], &[1.0; 5], &["header", "[5]", "(5, 2)"]);
    lab.net(&NET.replace("softmax_cross_entropy", "mse"));
    array(&[5, 3], &[1.0; 15], &["header", "[5, 3]", "(5, 2)"]);
    array(&[5, 2], &[f64::NAN; 10], &["element 0", "NaN"]);
}

#[test]
fn a_batch_of_one_is_answered() {
    let lab = Lab::new("one");
    lab.array("x.npy", &[1, 3], &numbers(3, 1));
    lab.array("y.npy", &[1], &[1.0]);
    let quantities = "grad,ggn_block,hess_block,ef_block,kfac_type2,kflr,kfra,ekfac_emp,\
                      natgrad_ggn,natgrad_ef,kfac_type2_precond_pi,trace,ggn_top10,hess_bottom5,rfim";
    for dtype in ["f32", "f64"] {
        let out = lab.answers(&["--quantity", quantities, "--dtype", dtype]);
        assert_eq!(out.tensors["ggn_block.top"].shape, [10, 10]);
    }
}
