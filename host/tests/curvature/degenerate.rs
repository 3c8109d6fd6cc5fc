//! Problems whose matrices are zero, singular, or at the ends of the number range: finite numbers or
//! an error that names the layer, never NaN in a file.

use std::fs;

use relfisher::curvature::Quantity;
use relfisher::format::TensorFile;

use crate::common::stderr;
use crate::lab::{Lab, numbers};

/// The kinds of networks: name, input shape, layers (`#` numbers the parameters), loss.
const NETS: [(&str, &[usize], &str, &str); 4] = [
    (
        "dense",
        &[6],
        r#"{"type": "linear", "in": 6, "out": 5, "param": "p0"}, {"type": "ACT"},
           {"type": "linear", "in": 5, "out": 4, "param": "p1"}, {"type": "ACT"},
           {"type": "linear", "in": 4, "out": 3, "param": "p2"}"#,
        "softmax_cross_entropy",
    ),
    (
        "image",
        &[2, 4, 4],
        r#"{"type": "conv2d", "in_channels": 2, "out_channels": 4, "kernel": 3, "padding": 1,
            "groups": 2, "param": "p0"},
           {"type": "batchnorm", "features": 4, "param": "p1"}, {"type": "ACT"},
           {"type": "maxpool2d", "kernel": 2}, {"type": "flatten"},
           {"type": "linear", "in": 16, "out": 3, "param": "p2"}"#,
        "softmax_cross_entropy",
    ),
    (
        "shared",
        &[3, 4],
        r#"{"type": "linear", "in": 4, "out": 3, "param": "p0"}, {"type": "ACT"},
           {"type": "flatten"}, {"type": "linear", "in": 9, "out": 2, "bias": false, "param": "p1"}"#,
        "mse",
    ),
    (
        "coins",
        &[4],
        r#"{"type": "linear", "in": 4, "out": 3, "param": "p0"}, {"type": "ACT"},
           {"type": "linear", "in": 3, "out": 2, "param": "p1"}"#,
        "binary_cross_entropy",
    ),
];

/// The shapes of the tensors of a network of [`NETS`].
fn shapes(net: &str) -> Vec<(&'static str, Vec<usize>)> {
    match net {
        "dense" => vec![
            ("p0.weight", vec![5, 6]),
            ("p0.bias", vec![5]),
            ("p1.weight", vec![4, 5]),
            ("p1.bias", vec![4]),
            ("p2.weight", vec![3, 4]),
            ("p2.bias", vec![3]),
        ],
        "image" => vec![
            ("p0.weight", vec![4, 1, 3, 3]),
            ("p0.bias", vec![4]),
            ("p1.weight", vec![4]),
            ("p1.bias", vec![4]),
            ("p1.running_mean", vec![4]),
            ("p1.running_var", vec![4]),
            ("p2.weight", vec![3, 16]),
            ("p2.bias", vec![3]),
        ],
        "shared" => {
            vec![("p0.weight", vec![3, 4]), ("p0.bias", vec![3]), ("p1.weight", vec![2, 9])]
        }
        _ => vec![
            ("p0.weight", vec![3, 4]),
            ("p0.bias", vec![3]),
            ("p1.weight", vec![2, 3]),
            ("p1.bias", vec![2]),
        ],
    }
}

/// What is degenerate.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    /// Nothing reaches the first layer's outputs: its weights and biases keep every relu dead.
    Dead,
    /// The outputs do not depend on the hidden layers.
    Deaf,
    /// Every sample is the same.
    Constant,
    /// Every input is zero.
    Zero,
    /// All inputs of a sample are the same: A has rank 2.
    Duplicated,
    /// Weights and biases times a power of ten.
    Scaled(i32),
    /// Inputs times a power of ten.
    Loud(i32),
    /// The top layer times a power of ten: probabilities of 0 and 1.
    Sure(i32),
    /// A batch normalisation that has seen one value only.
    Still,
}

const FLAWS: [Flaw; 16] = [
    Flaw::Dead,
    Flaw::Deaf,
    Flaw::Constant,
    Flaw::Zero,
    Flaw::Duplicated,
    Flaw::Still,
    Flaw::Scaled(-30),
    Flaw::Scaled(-12),
    Flaw::Scaled(6),
    Flaw::Scaled(30),
    Flaw::Loud(-30),
    Flaw::Loud(4),
    Flaw::Loud(30),
    Flaw::Sure(2),
    Flaw::Sure(4),
    Flaw::Sure(30),
];

const SAMPLES: usize = 4;

fn power(exponent: i32) -> f64 {
    10_f64.powi(exponent)
}

/// Writes the files of a network with a flaw.
fn prepare(
    lab: &Lab,
    (net, input, layers, loss): (&str, &[usize], &str, &str),
    act: &str,
    flaw: Flaw,
) {
    let layers = layers.replace("ACT", act);
    lab.net(&format!(
        r#"{{"input_shape": {input:?}, "loss": {{"type": "{loss}"}}, "layers": [{layers}]}}"#
    ));
    let tensors = shapes(net);
    let top = tensors.iter().map(|(name, _)| name.split('.').next().unwrap()).next_back().unwrap();
    let mut file = TensorFile::<f64>::new();
    for (i, (name, shape)) in tensors.iter().enumerate() {
        let mut data = numbers(shape.iter().product(), 10 + i as u64);
        if name.ends_with("running_var") {
            data.iter_mut().for_each(|x| *x = if flaw == Flaw::Still { 0.0 } else { 1.0 + *x });
        }
        let parameter = !name.contains("running");
        let bottom = name.starts_with("p0");
        let factor = match flaw {
            Flaw::Scaled(e) if parameter => power(e),
            Flaw::Sure(e) if name.starts_with(top) => power(e),
            Flaw::Deaf if *name == format!("{top}.weight") => 0.0,
            Flaw::Dead if bottom && name.ends_with("weight") => 0.0,
            _ => 1.0,
        };
        data.iter_mut().for_each(|x| *x *= factor);
        if flaw == Flaw::Dead && bottom && name.ends_with("bias") {
            data.fill(-3.0);
        }
        file.insert(*name, shape, data);
    }
    lab.weights(&file);
    let d: usize = input.iter().product();
    let mut x = numbers(SAMPLES * d, 77);
    for (i, x) in x.iter_mut().enumerate() {
        match flaw {
            Flaw::Constant => *x = 0.1 * (i % d) as f64,
            Flaw::Zero => *x = 0.0,
            Flaw::Duplicated => *x = 0.3 * (i / d) as f64 - 0.2,
            Flaw::Loud(e) => *x *= power(e),
            _ => {}
        }
    }
    lab.array("x.npy", &[&[SAMPLES], input].concat(), &x);
    let width = if loss == "mse" || loss == "binary_cross_entropy" { 2 } else { 1 };
    let y: Vec<f64> = (0..SAMPLES * width).map(|i| (i % 2) as f64).collect();
    let shape: &[usize] = if width == 1 { &[SAMPLES] } else { &[SAMPLES, 2] };
    lab.array("y.npy", shape, &y);
    lab.array("mc.npy", shape, &y.iter().map(|y| 1.0 - y).collect::<Vec<_>>());
    let mut vectors = TensorFile::<f64>::new();
    for block in blocks(net) {
        let (m, d) = block.1;
        vectors.insert(format!("matvec.v.{}", block.0), &[m, d, 2], numbers(m * d * 2, 5));
        vectors.insert(format!("probe.{}", block.0), &[m * d, 2], numbers(m * d * 2, 6));
    }
    vectors.save(&lab.dir.join("v.safetensors")).unwrap();
}

fn blocks(net: &str) -> Vec<(&'static str, (usize, usize))> {
    match net {
        "dense" => vec![("p0", (5, 7)), ("p1", (4, 6)), ("p2", (3, 5))],
        "image" => vec![("p0", (4, 10)), ("p1", (4, 2)), ("p2", (3, 17))],
        "shared" => vec![("p0", (3, 5)), ("p1", (2, 9))],
        _ => vec![("p0", (3, 5)), ("p1", (2, 4))],
    }
}

/// Whether numbers of this size may overflow when they are squared.
fn overflows(flaw: Flaw, dtype: &str) -> bool {
    dtype == "f32" && matches!(flaw, Flaw::Scaled(30) | Flaw::Loud(30) | Flaw::Sure(30))
}

/// Whether a damping may vanish beside the largest eigenvalue.
fn drowns(flaw: Flaw, quantity: &str) -> bool {
    let large = match flaw {
        Flaw::Scaled(e) | Flaw::Loud(e) | Flaw::Sure(e) => e > 0,
        // 1/√eps is large too.
        Flaw::Still => true,
        _ => false,
    };
    large && (quantity.contains("precond") || quantity.contains("natgrad"))
}

/// Asks for one quantity, or all of them. An answer is finite; an error is one line, and nothing is
/// written then.
fn ask(lab: &Lab, quantity: &str, dtype: &str, damping: &str) -> Result<(), String> {
    let out = lab.dir.join("out.safetensors");
    let _ = fs::remove_file(&out);
    let (labels, vectors) = (lab.path("mc.npy"), lab.path("v.safetensors"));
    let output = lab.run(&[
        "--quantity",
        quantity,
        "--dtype",
        dtype,
        "--damping",
        damping,
        "--labels",
        &labels,
        "--vectors",
        &vectors,
    ]);
    let text = stderr(&output);
    if output.status.code() == Some(0) {
        let file = TensorFile::<f64>::load(&out).unwrap();
        for (name, tensor) in &file.tensors {
            assert!(tensor.data.iter().all(|x| x.is_finite()), "{name}");
        }
        return Ok(());
    }
    assert!(matches!(output.status.code(), Some(1 | 2)), "{:?}: {text}", output.status);
    assert_eq!(text.trim_end().lines().count(), 1, "{text}");
    assert!(!out.exists(), "{text}");
    Err(text)
}

/// Whether an error is one that the flaw explains, and names the layer (or is of the whole network).
fn explained(text: &str, flaw: Flaw, dtype: &str, damping: &str, quantity: &str) -> bool {
    let whole = ["_top", "_bottom", "loss"].iter().any(|part| quantity.contains(part));
    let named = whole || ["p0", "p1", "p2"].iter().any(|layer| text.contains(layer));
    let infinite = ["not finite", "is inf", "is -inf", "is NaN"].iter().any(|w| text.contains(w));
    let singular = text.contains("not positive definite") || text.contains("damping is 0");
    let undamped = damping == "0" && (quantity.contains("precond") || quantity.contains("natgrad"));
    let allowed =
        infinite && overflows(flaw, dtype) || singular && (undamped || drowns(flaw, quantity));
    named && allowed
}

/// Every network with every flaw: all quantities at once, and one by one where that is refused.
fn every_flaw(act: &str, damping: &str) {
    let all: Vec<String> = Quantity::all().iter().map(ToString::to_string).collect();
    let mut unexplained = Vec::new();
    for net in NETS {
        let lab = Lab::new(&format!("degenerate-{}-{act}-{damping}", net.0));
        for (flaw, dtype) in FLAWS.into_iter().flat_map(|f| [(f, "f64"), (f, "f32")]) {
            prepare(&lab, net, act, flaw);
            if ask(&lab, &all.join(","), dtype, damping).is_ok() {
                continue;
            }
            for quantity in &all {
                if let Err(text) = ask(&lab, quantity, dtype, damping)
                    && !explained(&text, flaw, dtype, damping, quantity)
                {
                    unexplained
                        .push(format!("{} {act} {flaw:?} {dtype} {quantity}: {text}", net.0));
                }
            }
        }
    }
    assert!(unexplained.is_empty(), "{} refusals:\n{}", unexplained.len(), unexplained.join(""));
}

#[test]
fn relu_networks_with_damping() {
    every_flaw("relu", "1e-3");
}

#[test]
fn tanh_networks_with_damping() {
    every_flaw("tanh", "1e-3");
}
