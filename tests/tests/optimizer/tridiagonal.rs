//! Block-tridiagonal K-FAC by what defines it: its inverse is block tridiagonal, and the matrix
//! itself has, on the diagonal and beside it, the Kronecker products of the factors.

use relfisher::Scalar;
use relfisher::network::{BlockKind, Loss, Network};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_close, to_f64};
use relfisher_tests::oracle::curvature::{
    Positions, empirical_fisher, gauss_newton, input_factor, sites,
};
use relfisher_tests::oracle::dense::Matrix;
use relfisher_tests::problem::{LOSSES, Problem, network};
use relfisher_tests::tolerance::Oracle::{Definition, Sibling};
use relfisher_tests::tolerance::tolerance;

use crate::trial::{Trial, block_of};

const LAMBDA: f64 = 0.3;

/// E[δ_i δ_jᵀ] of the outputs of two linear layers: the mean over the samples of the part of the
/// Gauss–Newton (or empirical Fisher) matrix of a sample that belongs to their biases.
fn output_cross(p: &Problem, whole: fn(&Problem) -> Matrix, pair: [usize; 2]) -> Matrix {
    let network = Network::<f64>::from_architecture(&p.architecture).unwrap();
    let [i, j] = pair.map(|b| &network.blocks()[b]);
    let mut mean = Matrix::zeros(i.rows, j.rows);
    for s in 0..p.samples {
        let of_sample = whole(&p.sample(s));
        let bias = |b: &relfisher::network::Block, row: usize| b.offset + (row + 1) * b.cols - 1;
        let cross = Matrix::from_fn(i.rows, j.rows, |r, c| of_sample.at(bias(i, r), bias(j, c)));
        mean = mean.plus(1.0 / p.samples as f64, &cross);
    }
    mean
}

/// E[x̃_i x̃_jᵀ].
fn input_cross(p: &Problem, network: &Network<f64>, pair: [usize; 2]) -> Matrix {
    let [x, y] = pair.map(|b| sites(p, network, b));
    let terms = x.iter().zip(&y).map(|(x, y)| x.inputs[0].t().times(&y.inputs[0]));
    let first = Matrix::zeros(x[0].inputs[0].data.len(), y[0].inputs[0].data.len());
    terms.fold(first, |sum, m| sum.plus(1.0 / p.samples as f64, &m))
}

/// The damped factors (G, A) of a block.
fn damped(g: &Matrix, a: &Matrix, rule: &str) -> (Matrix, Matrix) {
    if rule == "factored" {
        return (g.damped(LAMBDA), a.damped(LAMBDA));
    }
    let order = |m: &Matrix| (m.data.len() as f64).sqrt();
    let pi = ((a.trace() / order(a)) / (g.trace() / order(g))).sqrt();
    (g.damped(LAMBDA.sqrt() / pi), a.damped(pi * LAMBDA.sqrt()))
}

/// The operator as a matrix: its action on every unit vector.
fn matrix_of<T: Scalar>(trial: &mut Trial<T>, text: &str) -> Matrix {
    let mut curvature = trial.measured(text);
    let count = trial.gradient.len();
    let mut columns = Vec::new();
    for k in 0..count {
        trial.gradient.fill(T::ZERO);
        trial.gradient[k] = T::ONE;
        columns.extend(to_f64(&trial.apply(&mut *curvature)));
    }
    Matrix::new(count, count, columns).t()
}

fn it_is_what_its_definition_says<T: Scalar>() {
    let nets = ["L3 tanh L2 sigmoid L3 tanh L2", "L4 relu L3", "L3 tanh L3 elu L2", "L3"];
    for (k, words) in nets.into_iter().enumerate() {
        for (labels, whole) in [
            ("type2", gauss_newton as fn(&Problem) -> Matrix),
            ("empirical", empirical_fisher as fn(&Problem) -> Matrix),
        ] {
            let loss = LOSSES[(k + labels.len()) % LOSSES.len()];
            let p = Problem::new(words, network(&[3], words, loss), 7, 90 + k as u64);
            let network = Network::<f64>::from_architecture(&p.architecture).unwrap();
            let blocks = network.blocks();
            for rule in ["pi", "factored"] {
                let mut trial = Trial::<T>::new(&p);
                let text = format!(
                    "kind = 'kfac-tridiagonal'\nlabels = '{labels}'\ndamping = {LAMBDA}\n\
                     damping_kind = '{rule}'"
                );
                let inverse = matrix_of(&mut trial, &text);
                let full = inverse.inverse();
                for (i, one) in blocks.iter().enumerate() {
                    for (j, two) in blocks.iter().enumerate().skip(i) {
                        let label = format!("{words} {labels} {rule} {loss:?} block {i} {j}");
                        let part = |m: &Matrix| {
                            let part = m.block(one.offset, two.offset, one.len(), two.len());
                            part.data.iter().map(|x| T::from_f64(*x)).collect::<Vec<T>>()
                        };
                        let want = match j - i {
                            0 => {
                                let a = input_factor(&sites(&p, &network, i), Positions::Expand);
                                let g = output_cross(&p, whole, [i, i]);
                                let (g, a) = damped(&g, &a, rule);
                                g.kron(&a)
                            }
                            1 => output_cross(&p, whole, [i, j]).kron(&input_cross(
                                &p,
                                &network,
                                [i, j],
                            )),
                            _ => {
                                // Beyond, it is the inverse that is zero.
                                let zero = tolerance::<T>("family step", Definition, 1);
                                let outside = part(&inverse);
                                let largest = inverse.max_abs();
                                for x in outside {
                                    assert!(x.to_f64().abs() <= zero * largest, "{label}: {x:?}");
                                }
                                continue;
                            }
                        };
                        assert_close(
                            &label,
                            &part(&full),
                            &want.data,
                            "family step",
                            Definition,
                            1,
                        );
                    }
                }
            }
        }
    }
}

both_dtypes!(it_is_what_its_definition_says);

/// A convolution and shared positions end a chain; without links it is K-FAC, and a batch
/// normalisation lies on the chain and keeps its own blocks.
#[test]
fn chains_end_at_convolutions() {
    let softmax = Loss::SoftmaxCrossEntropy;
    for (shape, words) in [
        (&[1, 5, 5][..], "C2:k3 tanh C2:k2 tanh flat L3"),
        (&[4, 3], "L3 tanh L2 flat L2"),
        (&[4], "L3"),
    ] {
        let p = Problem::new(words, network(shape, words, softmax), 4, 5);
        let text = "kind = 'kfac'\nlabels = 'type2'\ndamping = 0.3";
        let plain = Trial::<f64>::new(&p).preconditioned(text);
        let chain = Trial::<f64>::new(&p).preconditioned(&text.replace("kfac", "kfac-tridiagonal"));
        assert_close(words, &chain, &plain, "family step", Sibling, 1);
    }
    let words = "L3 B tanh L2";
    let p = Problem::new(words, network(&[3], words, softmax), 6, 5);
    let text = "kind = 'kfac'\nlabels = 'type2'\ndamping = 0.3";
    let plain = matrix_of(&mut Trial::<f64>::new(&p), text);
    let chain = matrix_of(&mut Trial::<f64>::new(&p), &text.replace("kfac", "kfac-tridiagonal"));
    let network = Network::<f64>::from_architecture(&p.architecture).unwrap();
    let [first, norm, last] = network.blocks() else { unreachable!() };
    assert_eq!(norm.kind, BlockKind::BatchNorm);
    let (one, two) = (block_of(&chain, norm.range()), block_of(&plain, norm.range()));
    assert_close(words, &one.data, &two.data, "family step", Sibling, 1);
    let between = chain.block(first.offset, last.offset, first.len(), last.len());
    assert!(between.max_abs() > 1e-3 * chain.max_abs(), "the layers beside it are linked");
    let beside = chain.block(first.offset, norm.offset, first.len(), norm.len());
    assert_eq!(beside.max_abs(), 0.0);
}
