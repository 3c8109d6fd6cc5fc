//! K-FAC, KFLR, KFRA and EKFAC against dense matrices built sample by sample from dual numbers.

use relfisher::Scalar;
use relfisher::curvature::{Memory, kfra};
use relfisher::network::{Block, BlockKind, Loss, Network};
use relfisher::optimizer::{KfacConfig, KroneckerKind, Preconditioner, State};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_close, to_f64};
use relfisher_tests::oracle::curvature::{
    Positions, Site, empirical_fisher, gauss_newton, input_factor, output_factor, sites,
};
use relfisher_tests::oracle::dense::Matrix;
use relfisher_tests::problem::{LOSSES, Problem, ZOO, network};
use relfisher_tests::tolerance::Oracle::{Definition, MonteCarlo, Sibling};
use relfisher_tests::tolerance::tolerance;

use crate::trial::{Trial, block_of, damped_solve};

const LAMBDA: f64 = 0.3;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Labels {
    Type2,
    Empirical,
}

/// What the definitions need of one problem, computed once.
struct Definitions {
    network: Network<f64>,
    /// The sites of every block; none of a batch normalisation.
    sites: Vec<Vec<Site>>,
    /// The whole Gauss–Newton and empirical Fisher matrix, where a batch normalisation needs them.
    whole: Option<[Matrix; 2]>,
}

impl Definitions {
    fn new(p: &Problem) -> Self {
        let network = Network::from_architecture(&p.architecture).unwrap();
        let norm = |b: &Block| b.kind == BlockKind::BatchNorm;
        let blocks = network.blocks().iter().enumerate();
        let all = blocks.map(|(i, b)| if norm(b) { vec![] } else { sites(p, &network, i) });
        Self {
            sites: all.collect(),
            whole: network
                .blocks()
                .iter()
                .any(norm)
                .then(|| [gauss_newton(p), empirical_fisher(p)]),
            network,
        }
    }

    /// G and A of a block.
    fn factors(&self, b: usize, labels: Labels, how: Positions) -> (Matrix, Matrix) {
        let sites = &self.sites[b];
        let one = |site: &Site| match labels {
            Labels::Type2 => site.curvature.clone(),
            Labels::Empirical => site.empirical(),
        };
        let matrices: Vec<Matrix> = sites.iter().map(one).collect();
        (output_factor(&matrices, sites[0].positions, how), input_factor(sites, how))
    }

    /// The damped step of every block.
    fn step(&self, labels: Labels, how: Positions, damping: &str, g: &[f64]) -> Vec<f64> {
        let mut step = Vec::new();
        for (i, block) in self.network.blocks().iter().enumerate() {
            let g = &g[block.range()];
            if block.kind == BlockKind::BatchNorm {
                let [ggn, ef] = self.whole.as_ref().unwrap();
                let whole = if labels == Labels::Type2 { ggn } else { ef };
                for (c, g) in g.chunks(2).enumerate() {
                    let at = block.offset + 2 * c;
                    step.extend(damped_solve(&block_of(whole, at..at + 2), LAMBDA, g));
                }
                continue;
            }
            let (gg, aa) = self.factors(i, labels, how);
            let pi = ((aa.trace() / block.cols as f64) / (gg.trace() / block.rows as f64)).sqrt();
            let root = LAMBDA.sqrt();
            step.extend(match damping {
                "exact" => damped_solve(&gg.kron(&aa), LAMBDA, g),
                "factored" => gg.damped(LAMBDA).kron(&aa.damped(LAMBDA)).solve_vector(g),
                _ => gg.damped(root / pi).kron(&aa.damped(pi * root)).solve_vector(g),
            });
        }
        step
    }
}

/// Every network of the zoo with every loss, and what its curvature is by definition.
fn for_each_problem(mut body: impl FnMut(&Problem, &Definitions)) {
    for i in 0..ZOO.len() {
        for loss in LOSSES {
            let p = Problem::of_zoo(i, loss);
            body(&p, &Definitions::new(&p));
        }
    }
}

fn steps_equal_dense_kronecker_solves<T: Scalar>() {
    for_each_problem(|p, definitions| {
        let mut trial = Trial::<T>::new(p);
        let gradient = to_f64(&trial.gradient);
        let shared = definitions.network.blocks().iter().any(|b| b.positions > 1);
        for labels in [Labels::Type2, Labels::Empirical] {
            for how in [Positions::Expand, Positions::Reduce] {
                if how == Positions::Reduce && !shared {
                    continue;
                }
                for damping in ["pi", "factored", "exact"] {
                    let label = format!("{} {labels:?} {how:?} {damping}", p.label);
                    let names = format!("{labels:?} {how:?}").to_lowercase();
                    let (labels_name, sharing) = names.split_once(' ').unwrap();
                    let text = format!(
                        "kind = 'kfac'\nlabels = '{labels_name}'\nsharing = '{sharing}'\n\
                         damping = {LAMBDA}\ndamping_kind = '{damping}'"
                    );
                    let got = trial.preconditioned(&text);
                    let want = definitions.step(labels, how, damping, &gradient);
                    assert_close(&label, &got, &want, "family step", Definition, 1);
                    if labels == Labels::Type2 {
                        let kflr = text.replace("kfac", "kflr");
                        assert_eq!(trial.preconditioned(&kflr), got, "{label}: KFLR is type-2");
                    }
                }
            }
        }
    });
}

/// EKFAC's scale is the diagonal of the exact block in the bases that it keeps, the bases
/// diagonalise the factors, and no other diagonal there (K-FAC's) is nearer to the block.
fn ekfac_is_the_diagonal_of_the_exact_block<T: Scalar>() {
    for i in 0..ZOO.len() {
        let p = Problem::of_zoo(i, LOSSES[i % LOSSES.len()]);
        let definitions = Definitions::new(&p);
        let mut trial = Trial::<T>::new(&p);
        for (labels, whole) in
            [(Labels::Type2, gauss_newton(&p)), (Labels::Empirical, empirical_fisher(&p))]
        {
            let name = format!("{labels:?}").to_lowercase();
            let text = format!("kind = 'ekfac'\nlabels = '{name}'\ndamping = {LAMBDA}");
            let mut ekfac = trial.measured(&text);
            let mut state = State::new();
            ekfac.save(&mut state);
            let step = trial.apply(&mut *ekfac);
            for (b, block) in definitions.network.blocks().iter().enumerate() {
                if block.kind == BlockKind::BatchNorm {
                    continue;
                }
                let label = format!("{} {labels:?} {}", p.label, block.name);
                let tensor = |end: &str, rows: usize, cols: usize| {
                    let name = format!("ekfac.{end}.{}", block.name);
                    Matrix::new(rows, cols, to_f64(state.tensor(&name, rows * cols).unwrap()))
                };
                let (m, d) = (block.rows, block.cols);
                let (u_g, u_a) = (tensor("g_basis", m, m), tensor("a_basis", d, d));
                let (g, a) = definitions.factors(b, labels, Positions::Expand);
                for (u, factor) in [(&u_g, &g), (&u_a, &a)] {
                    let turned = u.t().times(factor).times(u);
                    let (values, _) = factor.eigh();
                    let wanted = Matrix::diagonal(&values).data;
                    let got: Vec<T> = turned.data.iter().map(|x| T::from_f64(*x)).collect();
                    assert_close(&label, &got, &wanted, "family basis", Definition, 1);
                }
                let u = u_g.kron(&u_a);
                let exact = block_of(&whole, block.range());
                let turned = u.t().times(&exact).times(&u);
                let diagonal: Vec<f64> = (0..m * d).map(|k| turned.at(k, k)).collect();
                let scale = tensor("scale", m, d).data;
                let typed: Vec<T> = scale.iter().map(|x| T::from_f64(*x)).collect();
                assert_close(&label, &typed, &diagonal, "family scale", Definition, 1);
                let damped: Vec<f64> = diagonal.iter().map(|s| 1.0 / (s + LAMBDA)).collect();
                let inverse = u.times(&Matrix::diagonal(&damped)).times(&u.t());
                let want = inverse.apply(&to_f64(&trial.gradient[block.range()]));
                let got = &step[block.range()];
                assert_close(&label, got, &want, "family step", Definition, 1);
                let distance = |diagonal: &[f64]| {
                    u.times(&Matrix::diagonal(diagonal)).times(&u.t()).plus(-1.0, &exact).norm()
                };
                let near = distance(&scale);
                let far = g.kron(&a).plus(-1.0, &exact).norm();
                let slack = tolerance::<T>("family scale", Definition, 1) * exact.norm();
                assert!(near <= far + slack, "{label}: {near} above {far}");
            }
        }
    }
}

/// (G ⊗ A + λI)⁻ᵖ of matrices written out, by their eigenvalues; 2 × 2 blocks alike.
fn fractional_steps_equal_dense_powers<T: Scalar>() {
    for_each_problem(|p, definitions| {
        let mut trial = Trial::<T>::new(p);
        for power in [0.25, 0.5, 0.9] {
            let mut want = Vec::new();
            for (i, block) in definitions.network.blocks().iter().enumerate() {
                let g = to_f64(&trial.gradient[block.range()]);
                let f = |x: f64| x.max(LAMBDA).powf(-power);
                if block.kind == BlockKind::BatchNorm {
                    let whole = &definitions.whole.as_ref().unwrap()[0];
                    for (c, g) in g.chunks(2).enumerate() {
                        let at = block.offset + 2 * c;
                        let pair = block_of(whole, at..at + 2).damped(LAMBDA);
                        want.extend(pair.function(f).apply(g));
                    }
                    continue;
                }
                let (gg, aa) = definitions.factors(i, Labels::Type2, Positions::Expand);
                want.extend(gg.kron(&aa).damped(LAMBDA).function(f).apply(&g));
            }
            let text = format!("kind = 'kflr'\ndamping = {LAMBDA}\npower = {power}");
            let got = trial.preconditioned(&text);
            assert_close(
                &format!("{} {power}", p.label),
                &got,
                &want,
                "family step",
                Definition,
                1,
            );
        }
    });
}

both_dtypes!(
    fractional_steps_equal_dense_powers,
    steps_equal_dense_kronecker_solves,
    ekfac_is_the_diagonal_of_the_exact_block
);

/// A batch of several draws is the mean of as many measurements with one draw each.
#[test]
fn draws_are_averaged() {
    for (i, (_, words, _)) in ZOO.iter().enumerate() {
        let p = Problem::of_zoo(i, LOSSES[i % LOSSES.len()]);
        let three = Trial::<f64>::new(&p).preconditioned("kind = 'kfac'\ndraws = 3");
        let mut trial = Trial::<f64>::new(&p);
        let text = "kind = 'kfac'\nfactor_every = 1\nrefresh = 1\ndecay = 0.99";
        let mut once = trial.measured(text);
        // The moving average begins as a plain mean.
        once.update(trial.batch()).unwrap();
        once.update(trial.batch()).unwrap();
        let want = trial.apply(&mut *once);
        assert_close(words, &three, &want, "family step", Sibling, 1);
    }
}

/// Labels drawn from the model give the type-2 factor on average.
#[test]
fn many_draws_approach_the_exact_factor() {
    const DRAWS: usize = 4000;
    for loss in LOSSES {
        let p = Problem::new("draws", network(&[3], "L3 tanh L3", loss), 3, 8);
        let mut trial = Trial::<f64>::new(&p);
        let mut factors = |kind, draws| {
            let config = KfacConfig { draws, ..KfacConfig::default() };
            let mut kfac = relfisher::optimizer::Kfac::new(kind, &config, &trial.loaded.network);
            kfac.update(trial.batch()).unwrap();
            [0, 1].map(|b| kfac.factors(b).unwrap().1.to_vec())
        };
        let (drawn, exact) = (factors(KroneckerKind::Kfac, DRAWS), factors(KroneckerKind::Kflr, 1));
        for (drawn, exact) in drawn.iter().zip(&exact) {
            assert_close(&format!("{loss:?}"), drawn, exact, "drawn factor", MonteCarlo, 1);
            assert_ne!(drawn, exact);
        }
    }
}

#[test]
fn kfra_factors_are_those_of_the_data_set() {
    for_each_problem(|p, definitions| {
        let mut trial = Trial::<f64>::new(p);
        let config = KfacConfig::default();
        let network = &trial.loaded.network;
        let mut averaged = relfisher::optimizer::Kfac::new(KroneckerKind::Kfra, &config, network);
        let memory = Memory { limit: 1 << 30 };
        let want = kfra(&trial.loaded.problem(p.samples), memory).unwrap();
        averaged.update(trial.batch()).unwrap();
        for (b, block) in definitions.network.blocks().iter().enumerate() {
            let Some(want) = &want[b] else { continue };
            let (a, g) = averaged.factors(b).unwrap();
            let label = format!("{} {}", p.label, block.name);
            assert_close(&label, a, &want.a, "kfra factor", Sibling, 1);
            assert_close(&label, g, &want.g, "kfra factor", Sibling, 1);
        }
        assert!(trial.apply(&mut averaged).iter().all(|x| x.is_finite()));
    });
}

/// One sample, or a deep linear network with squares: G ⊗ A is the exact block, so K-FAC with exact
/// damping, EKFAC and the exact block take the same step; KFRA too.
#[test]
fn without_approximation_all_steps_are_the_exact_one() {
    let mut problems: Vec<Problem> = Vec::new();
    for (i, (_, words, _)) in ZOO.iter().enumerate() {
        let p = Problem::of_zoo(i, LOSSES[i % LOSSES.len()]).sample(0);
        let network = Network::<f64>::from_architecture(&p.architecture).unwrap();
        // A batch normalisation has blocks of its channels only.
        if network.blocks().iter().all(|b| b.is_dense()) && !words.contains('B') {
            problems.push(p);
        }
    }
    assert!(problems.len() > 5);
    for words in ["L4 L3 L2", "l4 L3"] {
        problems.push(Problem::new(words, network(&[3], words, Loss::Mse { scale: 0.7 }), 9, 17));
    }
    for p in &problems {
        let mut trial = Trial::<f64>::new(p);
        let exact = trial.preconditioned("kind = 'ggn-block'\ndamping = 0.3");
        for text in [
            "kind = 'kfac'\nlabels = 'type2'\ndamping = 0.3\ndamping_kind = 'exact'",
            "kind = 'kflr'\ndamping = 0.3\ndamping_kind = 'exact'",
            "kind = 'kfra'\ndamping = 0.3\ndamping_kind = 'exact'",
            "kind = 'ekfac'\nlabels = 'type2'\ndamping = 0.3",
        ] {
            let got = trial.preconditioned(text);
            assert_close(&format!("{} {text}", p.label), &got, &exact, "family step", Sibling, 1);
        }
    }
}
