//! Networks and data without full rank: every quantity is finite, or is refused with the name of a
//! layer.

use relfisher::curvature::{Matrix, Quantity, Request, collect};
use relfisher::format::TensorFile;
use relfisher::network::Loss;
use relfisher_tests::compare::assert_finite;
use relfisher_tests::problem::{LOSSES, Loaded, Problem, ZOO, network};
use relfisher_tests::random::Random;

use super::MEMORY;

/// The vectors that products need, for every layer.
fn vectors(loaded: &Loaded<f64>) -> TensorFile<f64> {
    let mut random = Random::new(1);
    let mut file = TensorFile::new();
    for block in loaded.network.blocks() {
        let (m, d) = (block.rows, block.cols);
        let name = &block.name;
        file.insert(format!("matvec.v.{name}"), &[m, d, 2], random.normals(2 * m * d));
        file.insert(format!("probe.{name}"), &[m * d, 3], random.normals(3 * m * d));
    }
    file
}

/// Asks for every quantity; with a damping of 0 a singular matrix may be refused.
fn ask(p: &Problem, damping: f64) {
    let loaded = p.load::<f64>(1);
    let vectors = vectors(&loaded);
    let eigenvalues = [Matrix::Ggn, Matrix::Hessian, Matrix::EmpiricalFisher]
        .map(|m| [Quantity::Top(m, 3), Quantity::Bottom(m, 2)]);
    let few = |q: &Quantity| !matches!(q, Quantity::Top(..) | Quantity::Bottom(..));
    let all = Quantity::all().into_iter().filter(few).chain(eigenvalues.into_iter().flatten());
    for quantity in all {
        let request = Request {
            quantities: &[quantity],
            dampings: &[damping],
            vectors: Some(&vectors),
            memory: MEMORY,
        };
        let label = format!("{} {quantity} λ {damping}", p.label);
        match collect(&loaded.problem(2), &request, &mut |_| {}) {
            Ok(collection) => {
                let tensors = &collection.tensors.tensors;
                let plain = loaded.network.blocks().iter().any(|b| b.cols > 2);
                assert!(!tensors.is_empty() || !plain, "{label}: nothing");
                for (name, tensor) in tensors {
                    assert_finite(&format!("{label}: {name}"), &tensor.data);
                    let count: usize = tensor.shape.iter().product();
                    assert_eq!(count, tensor.data.len(), "{label}: {name}");
                }
            }
            Err(e) => {
                let text = e.to_string();
                assert!(damping == 0.0, "{label}: {text}");
                let named = loaded.network.blocks().iter().any(|b| text.contains(&b.name));
                assert!(named && text.contains("damping"), "{label}: {text}");
                assert_eq!(e.exit_code(), 2, "{label}: {text}");
            }
        }
    }
}

#[test]
fn every_quantity_of_every_network_is_finite() {
    for (i, _) in ZOO.iter().enumerate() {
        ask(&Problem::of_zoo(i, LOSSES[(i + 3) % 4]), 1e-3);
    }
}

/// Layers whose units never fire: G = 0 below them.
#[test]
fn dead_layers() {
    for (shape, words) in
        [(&[3][..], "L4 relu L3 relu L2"), (&[2, 4, 4], "C3:k3 relu C2:k2 relu flat L2")]
    {
        for loss in LOSSES {
            let mut p = Problem::new(words, network(shape, words, loss), 4, 5);
            let loaded = p.load::<f64>(1);
            let block = loaded.network.blocks()[1].clone();
            for row in p.parameters.values[block.range()].chunks_exact_mut(block.cols) {
                row[block.cols - 1] = -1e6;
            }
            ask(&p, 1e-3);
            ask(&p, 0.0);
        }
    }
}

#[test]
fn inputs_without_rank() {
    for (shape, words) in [
        (&[4][..], "L3 tanh L2"),
        (&[2, 4, 4], "C2:k2 B tanh A:k3 flat L2"),
        (&[3, 4], "L2 elu flat L3"),
    ] {
        for loss in [LOSSES[0], LOSSES[2]] {
            let net = || network(shape, words, loss);
            let len = net().inputs();
            // A batch of one; the same sample again; duplicated features; constants; nothing at all.
            let one = Problem::new("one sample", net(), 1, 7);
            let mut same = Problem::new("the same sample", net(), 3, 7);
            let first = same.inputs[..len].to_vec();
            same.inputs = first.repeat(3);
            let mut doubled = Problem::new("duplicated features", net(), 5, 7);
            for row in doubled.inputs.chunks_mut(len) {
                row.copy_within(..len / 2, len / 2);
            }
            let mut constant = Problem::new("constant inputs", net(), 4, 7);
            constant.inputs.fill(0.5);
            let mut zero = Problem::new("no input", net(), 4, 7);
            zero.inputs.fill(0.0);
            for mut p in [one, same, doubled, constant, zero] {
                p.label = format!("{words} {loss:?} {}", p.label);
                ask(&p, 1e-3);
                ask(&p, 0.0);
            }
        }
    }
}

/// Outputs so sure that soft-max and Bernoulli probabilities are 0 and 1 to the last bit.
#[test]
fn certain_outputs() {
    for loss in [Loss::SoftmaxCrossEntropy, Loss::BinaryCrossEntropy] {
        let mut p = Problem::new("certain", network(&[3], "L4 tanh L3", loss), 4, 9);
        p.label = format!("certain {loss:?}");
        let last = p.parameters.values.len() - 15;
        p.parameters.values[last..].iter_mut().for_each(|w| *w *= 1e4);
        ask(&p, 1e-3);
    }
}

/// All-zero weights: every hidden unit and every derivative is the same.
#[test]
fn zero_weights() {
    for i in [0, 1, 9, 15, 24] {
        let mut p = Problem::of_zoo(i, LOSSES[i % 4]);
        p.parameters.values.fill(0.0);
        ask(&p, 1e-3);
        ask(&p, 0.0);
    }
}
