//! Network files.

use relfisher::network::{Architecture, Loss, Normalisation};
use relfisher_core::metric::neuron::Activation;

use super::{Folder, says};

const NET: &str = r#"{"name": "n", "input_shape": [2], "seed": 1, "n_samples": 3, "dtype": "float64",
    "special": null, "digits_rows": [1], "pooled_2x2": true,
    "layers": [{"type": "linear", "in": 2, "out": 3, "bias": true, "param": "a"}, {"type": "relu"},
        {"type": "linear", "in": 3, "out": 2, "param": "b"}],
    "loss": {"type": "mse", "scale": 1.0, "reduction": "mean_over_samples"}}"#;

#[test]
fn network_files_read_back_the_same() {
    let net = Architecture::parse(NET).expect("net");
    assert_eq!((net.inputs(), net.outputs(), net.loss), (2, 2, Loss::Mse { scale: 1.0 }));
    assert_eq!(Architecture::parse(&net.to_json()).expect("again"), net);
    for f in [Activation::Relu { leak: 0.25 }, Activation::Elu { alpha: 2.0 }, Activation::Sigm] {
        let loss = Loss::BinaryCrossEntropy;
        let net = Architecture::mlp(&[3, 4, 5], f, Normalisation::Batch, loss).expect("mlp");
        assert_eq!(Architecture::parse(&net.to_json()).expect("again"), net);
    }
}

#[test]
fn network_files_that_are_wrong() {
    let check = |from: &str, to: &str, words: &[&str]| {
        assert!(NET.contains(from), "{from}");
        says(Architecture::parse(&NET.replacen(from, to, 1)), words);
    };
    check("\"input_shape\"", "\"input_shapes\"", &["unknown field `input_shapes`"]);
    check("\"bias\": true", "\"biass\": true", &["layers[0] (linear)", "unknown field `biass`"]);
    check("{\"type\": \"relu\"}", "{\"type\": \"relu\", \"slope\": 1}", &["layers[1] (relu)"]);
    check("{\"type\": \"relu\"}", "{\"type\": \"tanh\", \"leak\": 1}", &["layers[1] (tanh)"]);
    check("\"relu\"", "\"gelu\"", &["layers[1] (gelu)", "unknown variant `gelu`"]);
    check("\"relu\"", "\"conv2d\"", &["layers[1] (conv2d)", "missing field `in_channels`"]);
    let pool = "\"maxpool2d\", \"kernel\": 2";
    check("\"relu\"", pool, &["layers[1].type: needs an image", "gives 3 numbers"]);
    check("\"relu\"", "\"softmax\"", &["softmax is part of the loss"]);
    check("\"relu\"", "\"relu\", \"leak\": 1.0", &["layers[1].leak: is 1"]);
    check("\"relu\"", "\"elu\", \"alpha\": 0.0", &["layers[1].alpha: is 0"]);
    check("\"in\": 3", "\"in\": 4", &["layers[2].in: is 4", "gives 3"]);
    check("\"out\": 2", "\"out\": 0", &["layers[2].out: is 0"]);
    check("\"out\": 2", "\"out\": -2", &["layers[2] (linear)", "invalid value"]);
    check("\"out\": 2", "\"out\": 18446744073709551615", &["layers[2]", "too many numbers"]);
    check("\"b\"", "\"a\"", &["layers[2].param", "\"a\" is used by an earlier layer"]);
    check("\"b\"", "\"\"", &["layers[2].param: is empty"]);
    check(", \"param\": \"b\"", "", &["layers[2] (linear)", "missing field `param`"]);
    check("\"scale\": 1.0", "\"scale\": 0.0", &["loss.scale: is 0"]);
    check("\"scale\": 1.0", "\"sigma\": 1.0", &["loss.sigma: unknown field"]);
    check("\"mse\", \"scale\": 1.0", "\"hinge\"", &["loss: unknown variant `hinge`"]);
    check("\"input_shape\": [2]", "\"input_shape\": [0]", &["input_shape"]);
    check("\"input_shape\": [2]", "\"input_shape\": []", &["input_shape"]);
    let image = "\"input_shape\": [1, 1, 2]";
    check("\"input_shape\": [2]", image, &["layers[0].type", "put a flatten layer before it"]);
    let sequence = "\"input_shape\": [1, 2]";
    check("\"input_shape\": [2]", sequence, &["add a flatten layer at the end"]);
    // Two activations in a row are a network like any other.
    let two = "{\"type\": \"relu\"}, {\"type\": \"tanh\"}";
    let net = Architecture::parse(&NET.replacen("{\"type\": \"relu\"}", two, 1));
    assert_eq!(net.expect("two activations").layers.len(), 4);
    says(Architecture::parse("{"), &["not a network file"]);
    let norm = r#"{"type": "batchnorm", "features": 3, "param": "n"}"#;
    let with = |layer: &str| NET.replacen("{\"type\": \"relu\"}", layer, 1);
    assert!(Architecture::parse(&with(norm)).is_ok());
    says(Architecture::parse(&with(&norm.replace('3', "2"))), &["layers[1].features: is 2"]);
    says(
        Architecture::parse(&with(&norm.replace("\"param\"", "\"eps\": -1.0, \"param\""))),
        &["layers[1].eps: is -1"],
    );
    let twice = format!("{norm}, {}", norm.replace("\"n\"", "\"k\""));
    says(Architecture::parse(&with(&twice)), &["layers[2].type: follows another batchnorm"]);
    for n in 0..NET.len() {
        says(Architecture::parse(&NET[..n]), &["not a network file"]);
    }
    let folder = Folder::new("net");
    says(Architecture::load(&folder.file("net.json", b"[]")), &["net.json: not a network file"]);
    says(Architecture::load(&folder.file("net.json", &[0xff])), &["net.json: cannot read"]);
}
