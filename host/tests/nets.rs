//! The trained networks under `host/data/nets` reproduce the figures of their README.

use std::path::{Path, PathBuf};

use relfisher::dataset::Idx;
use relfisher::executor::Cpu;
use relfisher::format::load_parameters;
use relfisher::network::{Architecture, Network, Tape, Targets};
use relfisher_core::MatRef;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name)
}

/// What a network says of the test digits.
struct Verdict {
    accuracy: f64,
    nll: f64,
    first: Vec<f32>,
}

fn judge(name: &str, (mean, deviation): (f32, f32)) -> Verdict {
    let file = |kind: &str| data(&format!("nets/{name}.{kind}"));
    let network =
        Network::<f32>::from_architecture(&Architecture::load(&file("json")).unwrap()).unwrap();
    let parameters = load_parameters(&network, &file("safetensors")).unwrap();
    let read = |f: &str| std::fs::read(data(&format!("mnist10k/{f}.gz"))).unwrap();
    let images = Idx::images(&read("t10k-images-idx3-ubyte")).unwrap();
    let labels = Idx::labels(&read("t10k-labels-idx1-ubyte")).unwrap();
    let pixels: Vec<f32> =
        images.data.iter().map(|&x| (f32::from(x) / 255.0 - mean) / deviation).collect();
    let classes: Vec<usize> = labels.data.iter().map(|&y| usize::from(y)).collect();
    let (n, exec) = (images.samples(), Cpu::new(Some(2)).unwrap());
    let features = MatRef::new(&pixels, n, network.inputs()).unwrap();
    let mut tape = Tape::new(&network, 500);
    let targets = Targets::Classes(&classes);
    let report = network.evaluate(&exec, &parameters, &mut tape, features, &targets).unwrap();
    tape.gather(features, &[0]).unwrap();
    let mode = relfisher::network::Mode::Inference;
    network.forward(&exec, &parameters, mode, &mut tape).unwrap();
    Verdict {
        accuracy: report.correct.unwrap() as f64 / n as f64,
        nll: report.mean,
        first: tape.logits().row(0).to_vec(),
    }
}

#[test]
fn the_convolutional_network_gives_its_figures() {
    let verdict = judge("ccexam_mnist", (0.1307, 0.3081));
    assert_eq!(verdict.accuracy, 0.9990);
    assert!((verdict.nll - 0.00617).abs() < 5e-6, "{}", verdict.nll);
    let want =
        [-20.227, 33.726, -41.207, -61.750, -47.388, -34.571, -33.315, -14.416, -56.196, -43.412];
    for (got, want) in verdict.first.iter().zip(want) {
        // Three decimals are stated.
        assert!((got - want).abs() < 1e-3, "{got}, not {want}");
    }
}

#[test]
fn the_small_network_gives_its_figures() {
    let verdict = judge("ml_digits", (0.0, 1.0));
    assert_eq!(verdict.accuracy, 0.9505);
    assert!((verdict.nll - 0.15240).abs() < 5e-6, "{}", verdict.nll);
}
