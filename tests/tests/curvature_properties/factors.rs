//! Kronecker factors from their definitions, EKFAC, and steps with them.

use relfisher::curvature::{
    Collection, Columns, Matrix, Quantity, Request, blocks, collect, ekfac, kfra,
    kronecker_factors, kronecker_step,
};
use relfisher::network::{BlockKind, Loss, Mode};
use relfisher_core::curvature::Sharing;
use relfisher_core::kron::Damping;
use relfisher_tests::compare::{assert_bits_equal, assert_close};
use relfisher_tests::oracle::curvature::{self, Positions, Site};
use relfisher_tests::oracle::dense::Matrix as Dense;
use relfisher_tests::oracle::dual::{self, Number};
use relfisher_tests::problem::{LOSSES, Loaded, Problem, network};
use relfisher_tests::random::Random;
use relfisher_tests::tolerance::{Oracle, tolerance};

use super::{MEMORY, kron, square, type2, zoo};

fn definition(sites: &[Site], exact: bool, how: Positions) -> (Vec<f64>, Vec<f64>) {
    let matrix = |site: &Site| if exact { site.curvature.clone() } else { site.empirical() };
    let matrices: Vec<Dense> = sites.iter().map(matrix).collect();
    let g = curvature::output_factor(&matrices, sites[0].positions, how);
    (curvature::input_factor(sites, how).data, g.data)
}

#[test]
fn factors_are_those_of_their_definition() {
    for p in zoo() {
        let loaded = p.load::<f64>(2);
        for (b, block) in loaded.network.blocks().iter().enumerate() {
            if block.kind == BlockKind::BatchNorm {
                continue;
            }
            let sites = curvature::sites(&p, &loaded.network, b);
            for (how, sharing) in
                [(Positions::Expand, Sharing::Expand), (Positions::Reduce, Sharing::Reduce)]
            {
                for exact in [true, false] {
                    let (a, g) = definition(&sites, exact, how);
                    // Batches that do not divide the samples leave old samples on the tape.
                    for chunk in [p.samples, 2, 1] {
                        let problem = loaded.problem(chunk);
                        let columns =
                            if exact { Columns::Type2 } else { Columns::Labels(loaded.targets()) };
                        let factors = kronecker_factors(&problem, columns, sharing);
                        let factors = factors.expect("factors")[b].clone().expect("a layer");
                        let label = format!(
                            "{} block {b} {how:?} {} by {chunk}",
                            p.label,
                            if exact { "type 2" } else { "labels" }
                        );
                        assert_close(&label, &factors.a, &a, "factor", Oracle::Definition, 1);
                        assert_close(&label, &factors.g, &g, "factor", Oracle::Definition, 1);
                    }
                }
            }
        }
    }
}

fn everything(loaded: &Loaded<f64>, quantities: &[Quantity]) -> Collection<f64> {
    let request = Request { quantities, dampings: &[0.1], vectors: None, memory: MEMORY };
    collect(&loaded.problem(2), &request, &mut |_| {}).expect("quantities")
}

#[test]
fn kflr_has_the_factors_of_type_2_without_the_bias() {
    let quantities = ["kflr", "kfac_type2"].map(|q| q.parse().expect("a quantity"));
    for p in zoo() {
        let loaded = p.load::<f64>(1);
        let tensors = everything(&loaded, &quantities).tensors.tensors;
        for block in loaded.network.blocks().iter().filter(|b| b.kind != BlockKind::BatchNorm) {
            let get = |name: &str| &tensors[&format!("{name}.{}", block.name)].data;
            assert_bits_equal(&p.label, get("kflr.G"), get("kfac_type2.G"));
            let (d, bare) = (block.cols, block.inputs);
            let a = square(get("kfac.A"), d).block(0, 0, bare, bare);
            assert_bits_equal(&p.label, get("kflr.A_nobias"), &a.data);
        }
    }
}

/// H̄ ← (Wᵀ H̄ W) ∘ E[f′ f′ᵀ] from the mean Hessian of the loss, by dense matrices.
#[test]
fn kfra_is_the_averaged_recursion() {
    for (seed, words) in
        ["L4 tanh L3 sigmoid L2", "L3 elu l4 relu L3", "L3 leaky L2"].into_iter().enumerate()
    {
        for loss in LOSSES {
            let p = Problem::new(words, network(&[3], words, loss), 5, seed as u64);
            let loaded = p.load::<f64>(1);
            let blocks = loaded.network.blocks();
            let got = kfra(&loaded.problem(2), MEMORY).expect("kfra");
            let m = loaded.network.outputs();
            let mut h = Dense::zeros(m, m);
            for site in curvature::sites(&p, &loaded.network, blocks.len() - 1) {
                h = h.plus(1.0 / p.samples as f64, &site.curvature);
            }
            for b in (0..blocks.len()).rev() {
                let factors = got[b].as_ref().expect("a linear layer");
                let label = format!("{words} {loss:?} block {b}");
                assert_close(&label, &factors.g, &h.data, "factor", Oracle::Definition, 1);
                let sites = curvature::sites(&p, &loaded.network, b);
                let a = curvature::input_factor(&sites, Positions::Expand);
                assert_close(&label, &factors.a, &a.data, "factor", Oracle::Definition, 1);
                if b == 0 {
                    continue;
                }
                let block = &blocks[b];
                let w = square_rows(&p.parameters.values[block.range()], block.cols);
                let w = w.block(0, 0, block.rows, block.inputs);
                let slopes = Dense::from_fn(p.samples, block.inputs, |s, i| slope(&p, b, s, i));
                let moments = slopes.t().times(&slopes).scaled(1.0 / p.samples as f64);
                let below = w.t().times(&h).times(&w);
                h = Dense::from_fn(below.rows, below.cols, |i, j| {
                    below.at(i, j) * moments.at(i, j)
                });
            }
        }
    }
}

fn square_rows(data: &[f64], cols: usize) -> Dense {
    Dense::new(data.len() / cols, cols, data.to_vec())
}

/// f′ of the i-th input of block b at sample s: the derivative of the activation before it.
fn slope(p: &Problem, b: usize, s: usize, i: usize) -> f64 {
    use relfisher_tests::oracle::network::{Statistics, cut, outputs};
    let below = cut(&p.architecture, b - 1);
    let one = p.sample(s);
    let t = outputs(&below.head, &one.parameters.values, &one.rows(), Statistics::Running(&[]));
    let mut f = below.tail.clone();
    f.layers.truncate(1);
    let rate =
        |t: &[dual::First]| outputs(&f, &[], &[t.to_vec()], Statistics::Running(&[])).remove(0)[i];
    dual::gradient(rate, &t[0])[i]
}

/// The bases diagonalise the factors, and the scale is the diagonal of the exact block in them.
#[test]
fn ekfac_is_the_diagonal_of_the_block_in_the_basis_of_the_factors() {
    for p in zoo() {
        let loaded = p.load::<f64>(1);
        for (columns, matrix) in [
            (Columns::Type2, Matrix::Ggn),
            (Columns::Labels(loaded.targets()), Matrix::EmpiricalFisher),
        ] {
            let problem = loaded.problem(2);
            let factors = kronecker_factors(&problem, columns, Sharing::Expand).expect("factors");
            let bases = ekfac(&problem, columns, &factors).expect("ekfac");
            for (b, block) in loaded.network.blocks().iter().enumerate() {
                let Some(basis) = &bases[b] else { continue };
                let factors = factors[b].as_ref().expect("factors");
                let (m, d) = (block.rows, block.cols);
                let (g, a) = (square(&basis.g, m), square(&basis.a, d));
                for (u, values, of) in
                    [(&g, &basis.g_values, &factors.g), (&a, &basis.a_values, &factors.a)]
                {
                    let identity = Dense::identity(u.rows);
                    let one = u.t().times(u).data;
                    assert_close(&p.label, &one, &identity.data, "basis", Oracle::Identity, 1);
                    let turned = u.times(&Dense::diagonal(values)).times(&u.t());
                    assert_close(&p.label, &turned.data, of, "basis", Oracle::Identity, 1);
                    assert!(values.is_sorted(), "{}: {values:?}", p.label);
                }
                let exact = blocks(&problem, matrix, &[b], MEMORY).expect("block");
                let (q, exact) = (g.kron(&a), square(&exact[0], m * d));
                let turned = q.t().times(&exact).times(&q);
                let scale: Vec<f64> = (0..m * d).map(|i| turned.at(i, i)).collect();
                let label = format!("{} block {b} {}", p.label, matrix.name());
                assert_close(&label, &basis.scale, &scale, "ekfac block", Oracle::Dense, 1);
                let corrected = q.times(&Dense::diagonal(&basis.scale)).times(&q.t());
                check_distance(&label, &exact, &corrected, &kron(factors, (m, d)));
                check_ekfac(&label, (block, basis), &corrected, &loaded);
            }
        }
    }
}

/// EKFAC is never further from the block than K-FAC.
fn check_distance(label: &str, exact: &Dense, ekfac: &Dense, kfac: &Dense) {
    let (near, far) = (exact.plus(-1.0, ekfac).norm(), exact.plus(-1.0, kfac).norm());
    let slack = exact.norm() * tolerance::<f64>("ekfac block", Oracle::Dense, 1);
    assert!(near <= far + slack, "{label}: {near} and {far}");
}

/// Products and damped steps with EKFAC's matrix.
fn check_ekfac(
    label: &str,
    (block, basis): (&relfisher::network::Block, &relfisher::curvature::Eigenbasis<f64>),
    dense: &Dense,
    loaded: &Loaded<f64>,
) {
    let v: Vec<f64> = Random::new(4).normals(block.len());
    let product = basis.apply(&loaded.exec, block, &v).expect("product");
    assert_close(label, &product, &dense.apply(&v), "ekfac block", Oracle::Dense, 1);
    let step = basis.step(&loaded.exec, block, &v, 0.1).expect("step");
    let want = dense.damped(0.1).solve_vector(&v);
    assert_close(label, &step, &want, "damped step", Oracle::Dense, 1);
}

#[test]
fn damped_steps_solve_the_damped_products() {
    let lambda = 0.05;
    for p in zoo() {
        let loaded = p.load::<f64>(1);
        for (b, factors) in type2(&loaded, Sharing::Expand, 2).iter().enumerate() {
            let Some(factors) = factors else { continue };
            let block = &loaded.network.blocks()[b];
            let (m, d) = (block.rows, block.cols);
            let (g, a) = (square(&factors.g, m), square(&factors.a, d));
            let v: Vec<f64> = Random::new(b as u64).normals(block.len());
            let mean = |x: &Dense| x.trace() / x.rows as f64;
            let pi = (mean(&a) / mean(&g)).sqrt();
            let root = lambda.sqrt();
            for (damping, dense) in [
                (Damping::Exact, g.kron(&a).damped(lambda)),
                (Damping::Factored, g.damped(lambda).kron(&a.damped(lambda))),
                (Damping::Pi, g.damped(root / pi).kron(&a.damped(pi * root))),
            ] {
                let step = kronecker_step(&loaded.exec, block, factors, &v, (damping, lambda));
                let want = dense.solve_vector(&v);
                let label = format!("{} block {b} {damping:?}", p.label);
                let step = step.expect(&label);
                assert_close(&label, &step, &want, "damped step", Oracle::Dense, 1);
            }
        }
    }
}

/// With labels that were drawn for it K-FAC uses those, not the true ones.
#[test]
fn sampled_factors_use_their_own_labels() {
    for loss in LOSSES {
        let p = Problem::of_zoo(1, loss);
        let mut other = p.clone();
        other.labels = Problem::draw_labels(&p.architecture, p.samples, &mut Random::new(99));
        let (loaded, drawn) = (p.load::<f64>(1), other.load::<f64>(1));
        let mut problem = loaded.problem(3);
        problem.labels = Some(drawn.targets());
        let quantities = ["kfac_mc", "kfac_emp"].map(|q| q.parse().expect("a quantity"));
        let request =
            Request { quantities: &quantities, dampings: &[], vectors: None, memory: MEMORY };
        let tensors = collect(&problem, &request, &mut |_| {}).expect("factors").tensors.tensors;
        for (b, block) in loaded.network.blocks().iter().enumerate() {
            for (p, name) in [(&other, "kfac_mc"), (&p, "kfac_emp")] {
                let sites = curvature::sites(p, &loaded.network, b);
                let (_, g) = definition(&sites, false, Positions::Expand);
                let got = &tensors[&format!("{name}.G.{}", block.name)].data;
                assert_close(&format!("{loss:?}"), got, &g, "factor", Oracle::Definition, 1);
            }
        }
    }
}

/// The mean over labels drawn from the model tends to the exact factor: the sum over all labels,
/// weighted by their probabilities, is it.
#[test]
fn type_2_is_every_label_weighted_by_its_probability() {
    let p = Problem::of_zoo(15, Loss::SoftmaxCrossEntropy);
    let loaded = p.load::<f64>(1);
    let classes = loaded.network.outputs();
    let want = type2(&loaded, Sharing::Expand, 2);
    let probabilities: Vec<Vec<f64>> = p
        .naive_outputs(&p.parameters.values, Mode::Inference)
        .iter()
        .map(|f| f.iter().map(|x| (x - f64::log_sum_exp(f)).exp()).collect())
        .collect();
    for (b, want) in want.iter().enumerate() {
        let Some(want) = want else { continue };
        let mut sum = vec![0.0; want.g.len()];
        for (s, shares) in probabilities.iter().enumerate() {
            for (class, share) in shares.iter().enumerate().take(classes) {
                let mut one = p.sample(s);
                one.labels = relfisher_tests::oracle::network::Labels::Classes(vec![class]);
                let one = one.load::<f64>(1);
                let columns = Columns::Labels(one.targets());
                let factors = kronecker_factors(&one.problem(1), columns, Sharing::Expand);
                let g = factors.expect("factors")[b].clone().expect("a layer").g;
                sum.iter_mut().zip(&g).for_each(|(o, x)| *o += share * x / p.samples as f64);
            }
        }
        assert_close(&p.label, &want.g, &sum, "factor", Oracle::Definition, 1);
    }
}
