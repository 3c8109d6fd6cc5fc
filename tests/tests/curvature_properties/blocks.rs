//! Exact blocks and diagonals, and steps with them.

use relfisher::curvature::{Matrix, blocks, diagonals, natural_gradients};
use relfisher::network::Loss;
use relfisher_tests::compare::{assert_close, assert_symmetric};
use relfisher_tests::oracle::dense::Matrix as Dense;
use relfisher_tests::oracle::network::Labels;
use relfisher_tests::oracle::{curvature, enumeration};
use relfisher_tests::problem::{LOSSES, Loaded, Problem, ZOO, network};
use relfisher_tests::tolerance::Oracle;
use relfisher_tests::tolerance::tolerance;

use super::{MEMORY, square, zoo};

const MATRICES: [Matrix; 3] = [Matrix::Ggn, Matrix::EmpiricalFisher, Matrix::Hessian];

/// The dense blocks of a matrix, by dual numbers.
fn dense(p: &Problem, loaded: &Loaded<f64>, matrix: Matrix) -> Vec<Dense> {
    let whole = match matrix {
        Matrix::Ggn => curvature::gauss_newton(p),
        Matrix::EmpiricalFisher => curvature::empirical_fisher(p),
        Matrix::Hessian => {
            let all = loaded.network.blocks().iter();
            return all.map(|block| curvature::hessian_block(p, block)).collect();
        }
    };
    let all = loaded.network.blocks().iter();
    all.map(|b| whole.block(b.offset, b.offset, b.len(), b.len())).collect()
}

#[test]
fn blocks_and_diagonals_are_those_of_the_dense_matrices() {
    for p in zoo() {
        let loaded = p.load::<f64>(2);
        let all: Vec<usize> = (0..loaded.network.blocks().len()).collect();
        for matrix in MATRICES {
            let want = dense(&p, &loaded, matrix);
            for chunk in [p.samples, 2, 1] {
                let label = format!("{} {} by {chunk}", p.label, matrix.name());
                let problem = loaded.problem(chunk);
                let got = blocks(&problem, matrix, &all, MEMORY).expect("blocks");
                let lines = diagonals(&problem, matrix, MEMORY).expect("diagonals");
                for ((got, line), want) in got.iter().zip(&lines).zip(&want) {
                    assert_close(&label, got, &want.data, "block", Oracle::Dual, 1);
                    assert_symmetric(&label, got, want.rows);
                    let diagonal: Vec<f64> = (0..want.rows).map(|i| want.at(i, i)).collect();
                    // Relative to the block, whose rounding the diagonal shares.
                    let scale = want.max_abs().max(f64::MIN_POSITIVE);
                    for (got, want) in line.iter().zip(&diagonal) {
                        let bound = scale * tolerance::<f64>("block", Oracle::Dual, 1);
                        assert!((got - want).abs() <= bound, "{label}: {got} and {want}");
                    }
                }
            }
        }
    }
}

/// Networks that are linear between kinks: f″ = 0 everywhere.
const PIECEWISE: &[(&[usize], &str, usize)] = &[
    (&[3], "L5 relu L4 leaky L3", 6),
    (&[3], "relu L4 B relu l3", 5),
    (&[2, 5, 5], "C3:k3,p1 B relu M:k2 C3:k2 leaky flat L3", 3),
    (&[2, 4, 4], "C2:k3 relu A:k2 flat L3", 3),
    (&[3, 3], "L3 relu L2 flat L3", 3),
    (&[3], "L4 L3 L2", 4),
];

#[test]
fn piecewise_linear_networks_have_semidefinite_hessian_blocks_equal_to_gauss_newton() {
    for (i, (shape, words, samples)) in PIECEWISE.iter().enumerate() {
        for loss in LOSSES {
            let p = Problem::new(words, network(shape, words, loss), *samples, 50 + i as u64);
            let loaded = p.load::<f64>(1);
            let all: Vec<usize> = (0..loaded.network.blocks().len()).collect();
            let problem = loaded.problem(2);
            let hessian = blocks(&problem, Matrix::Hessian, &all, MEMORY).expect("Hessian");
            let ggn = blocks(&problem, Matrix::Ggn, &all, MEMORY).expect("Gauss–Newton");
            for (h, g) in hessian.iter().zip(&ggn) {
                let label = format!("{words} {loss:?}");
                assert_close(&label, h, g, "block", Oracle::Sibling, 1);
                let order = h.len().isqrt();
                let (values, _) = square(h, order).eigh();
                let floor = -tolerance::<f64>("semidefinite", Oracle::Identity, order);
                assert!(values[0] >= floor * values[order - 1], "{label}: {}", values[0]);
            }
        }
    }
}

/// E_y[g_y g_yᵀ] over every outcome of the model: the Fisher matrix.
fn fisher(p: &Problem, outcomes: &[Vec<f64>]) -> Dense {
    let order = p.parameters.values.len();
    let mut total = Dense::zeros(order, order);
    for sample in curvature::samples(p) {
        let mut certain = 0.0;
        for y in outcomes {
            let labels = match p.architecture.loss {
                Loss::SoftmaxCrossEntropy => Labels::Classes(vec![y[0] as usize]),
                _ => Labels::Values(y.clone()),
            };
            let sample = Problem { labels, ..sample.clone() };
            // The loss is −ln p(y | x).
            let loss = sample.naive(&sample.parameters.values, relfisher::network::Mode::Inference);
            let g = curvature::gradients(&sample).remove(0);
            certain += (-loss).exp();
            total = total.plus((-loss).exp() / p.samples as f64, &Dense::outer(&g, &g));
        }
        assert!((certain - 1.0).abs() < 1e-12, "probabilities sum to {certain}");
    }
    total
}

#[test]
fn gauss_newton_is_the_fisher_matrix_of_every_outcome() {
    for i in [0, 1, 5, 9, 13, 15, 19, 24, 26, 37] {
        for loss in [Loss::SoftmaxCrossEntropy, Loss::BinaryCrossEntropy] {
            let p = Problem::of_zoo(i, loss);
            let m = p.architecture.outputs();
            let outcomes = match loss {
                Loss::SoftmaxCrossEntropy => (0..m).map(|k| vec![k as f64]).collect(),
                _ => enumeration::product(&[0.0, 1.0], m),
            };
            let (want, loaded) = (fisher(&p, &outcomes), p.load::<f64>(1));
            for (b, block) in loaded.network.blocks().iter().enumerate() {
                let got = blocks(&loaded.problem(2), Matrix::Ggn, &[b], MEMORY).expect("block");
                let want = want.block(block.offset, block.offset, block.len(), block.len());
                assert_close(&p.label, &got[0], &want.data, "block", Oracle::Definition, 1);
            }
        }
    }
}

/// (B + λI)⁻¹ g by elimination, for layers with fewer and with more parameters than derivatives.
#[test]
fn natural_gradients_solve_the_damped_blocks() {
    let dampings = [1e-2, 0.3];
    let mut wide = 0;
    for i in 0..ZOO.len() {
        let p = Problem::of_zoo(i, LOSSES[(i + 1) % 4]);
        let loaded = p.load::<f64>(1);
        let problem = loaded.problem(2);
        let gradient = problem.evaluate().expect("gradient").gradient;
        for matrix in [Matrix::Ggn, Matrix::EmpiricalFisher] {
            let steps = natural_gradients(&problem, matrix, &gradient, &dampings, MEMORY);
            let steps = steps.expect("steps");
            let want = dense(&p, &loaded, matrix);
            for (b, block) in loaded.network.blocks().iter().enumerate() {
                let columns = if matrix == Matrix::Ggn { loaded.network.outputs() } else { 1 };
                wide += usize::from(block.len() > columns * p.samples);
                for (k, damping) in dampings.iter().enumerate() {
                    let g = &gradient[block.range()];
                    let want = want[b].damped(*damping).solve_vector(g);
                    let label = format!("{} {} block {b} λ {damping}", p.label, matrix.name());
                    assert_close(&label, &steps[k][b], &want, "damped step", Oracle::Dense, 1);
                }
            }
        }
    }
    assert!(wide > 40, "{wide} blocks in sample space");
}
