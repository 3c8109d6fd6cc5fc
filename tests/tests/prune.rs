//! Saliencies, removals and whole pruned networks against constrained minima of dense matrices.

use proptest::prelude::*;
use relfisher::curvature::Memory;
use relfisher::network::{Block, BlockKind, Loss, Network};
use relfisher::prune::{Mask, Method, Options, Scope, prune};
use relfisher_core::prune::{
    CompensateOptions, diagonal_saliency, inverse_saliency, kron_compensate,
    kron_compensate_workspace_len, kron_remove, remove, woodbury_update,
    woodbury_update_workspace_len,
};
use relfisher_core::{Error, Portable, Real};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_close, assert_symmetric, cast};
use relfisher_tests::oracle::curvature::{
    Positions, gauss_newton, gradients, input_factor, output_factor, sites,
};
use relfisher_tests::oracle::dense::Matrix;
use relfisher_tests::problem::{Problem, network};
use relfisher_tests::random::Random;
use relfisher_tests::real::{mat, mat_mut, nans};
use relfisher_tests::tolerance::Oracle::{Dense, Dual};

/// The minimum of ½ δᵀHδ with δ_q = −w_q for every q of `gone`, by the equations of the free weights:
/// w + δ and the minimum.
fn constrained(h: &Matrix, w: &[f64], gone: &[usize]) -> (Vec<f64>, f64) {
    let free: Vec<usize> = (0..w.len()).filter(|i| !gone.contains(i)).collect();
    let hff = Matrix::from_fn(free.len(), free.len(), |i, j| h.at(free[i], free[j]));
    let right: Vec<f64> =
        free.iter().map(|i| gone.iter().map(|q| h.at(*i, *q) * w[*q]).sum()).collect();
    let mut delta: Vec<f64> = vec![0.0; w.len()];
    gone.iter().for_each(|q| delta[*q] = -w[*q]);
    if !free.is_empty() {
        free.iter().zip(hff.solve_vector(&right)).for_each(|(i, x)| delta[*i] = x);
    }
    let cost = 0.5 * h.quadratic_form(&delta);
    (w.iter().zip(&delta).map(|(w, d)| w + d).collect(), cost)
}

fn spd(random: &mut Random, d: usize) -> Matrix {
    Matrix::new(d, d, random.spd::<f64>(d, 20.0))
}

fn saliencies_are_constrained_minima<T: Real>() {
    let mut random = Random::new(31);
    for d in [1, 2, 7] {
        let (h, w) = (spd(&mut random, d), random.normals::<f64>(d));
        let inverse = h.inverse();
        let diagonal = |m: &Matrix| cast::<T>(&(0..d).map(|i| m.at(i, i)).collect::<Vec<_>>());
        let (mut obs, mut obd) = (nans::<T>(d), nans::<T>(d));
        inverse_saliency(&mut obs, &cast::<T>(&w), &diagonal(&inverse)).unwrap();
        let want: Vec<f64> = (0..d).map(|q| constrained(&h, &w, &[q]).1).collect();
        assert_close("OBS", &obs, &want, "pruning", Dense, d);
        diagonal_saliency(&mut obd, &cast::<T>(&w), &diagonal(&h)).unwrap();
        let alone = Matrix::diagonal(&(0..d).map(|i| h.at(i, i)).collect::<Vec<_>>());
        let want: Vec<f64> = (0..d).map(|q| constrained(&alone, &w, &[q]).1).collect();
        assert_close("OBD", &obd, &want, "pruning", Dense, d);
    }
    let one = [T::ONE];
    let mut out = [T::NAN];
    diagonal_saliency(&mut out, &one, &[-T::ONE]).unwrap();
    assert_eq!(out, [T::ZERO], "a negative curvature costs nothing");
    let refused = inverse_saliency(&mut out, &one, &[T::ZERO]);
    assert_eq!(refused, Err(Error::NotPositiveDefinite { block: 0, pivot: 0 }));
    let refused = diagonal_saliency(&mut out, &[T::MAX], &one);
    assert!(matches!(refused, Err(Error::NonFinite { index: 0, .. })), "{refused:?}");
}

/// One after the other is all at once, in any order, and the inverse is that of what is left.
fn removals_are_the_joint_minimum<T: Real>() {
    let mut random = Random::new(32);
    for (d, gone) in [(1, vec![0]), (5, vec![3, 0]), (8, vec![7, 1, 2, 5]), (4, vec![0, 1, 2, 3])] {
        let (h, w) = (spd(&mut random, d), random.normals::<f64>(d));
        let (want, cost) = constrained(&h, &w, &gone);
        let (mut got, mut inverse) = (cast::<T>(&w), cast::<T>(&h.inverse().data));
        let mut total = T::ZERO;
        for q in &gone {
            total += remove(&mut got, mat_mut(&mut inverse, d, d), *q).unwrap();
        }
        assert_close("weights", &got, &want, "pruning", Dense, d);
        assert_close("cost", &[total], &[cost], "pruning", Dense, d);
        let free: Vec<usize> = (0..d).filter(|i| !gone.contains(i)).collect();
        let rest = Matrix::from_fn(free.len(), free.len(), |i, j| h.at(free[i], free[j])).inverse();
        let mut padded = Matrix::zeros(d, d);
        for (i, a) in free.iter().enumerate() {
            for (j, b) in free.iter().enumerate() {
                padded.data[a * d + b] = rest.at(i, j);
            }
        }
        assert_close("inverse", &inverse, &padded.data, "pruning", Dense, d);
        let again = remove(&mut got, mat_mut(&mut inverse, d, d), gone[0]);
        assert_eq!(again, Err(Error::NotPositiveDefinite { block: 0, pivot: gone[0] }));
    }
    let refused = remove(&mut [T::ONE], mat_mut(&mut [T::ONE], 1, 1), 1);
    assert!(matches!(refused, Err(Error::Shape { found: 1, .. })), "{refused:?}");
}

fn kronecker_removals_are_the_dense_ones<T: Real>() {
    let mut random = Random::new(33);
    for (m, d, lambda) in [(3, 4, 0.0), (1, 5, 0.3), (4, 1, 1e-2), (5, 6, 0.1)] {
        let (g, a) = (spd(&mut random, m), spd(&mut random, d));
        let w: Vec<f64> = random.normals(m * d);
        let h = g.kron(&a);
        let (i, j) = (m - 1, d / 2);
        let (want, cost) = constrained(&h, &w, &[i * d + j]);
        let mut got = cast::<T>(&w);
        let (gi, ai) = (cast::<T>(&g.inverse().data), cast::<T>(&a.inverse().data));
        let inverses = (mat(&gi, m, m), mat(&ai, d, d));
        let one = kron_remove(mat_mut(&mut got, m, d), inverses, (i, j)).unwrap();
        assert_close("weights", &got, &want, "pruning", Dense, m * d);
        assert_close("cost", &[one], &[cost], "pruning", Dense, m * d);

        let gone: Vec<usize> = (0..m * d).filter(|k| k % 3 != 1).collect();
        let (want, _) = constrained(&h.damped(lambda), &w, &gone);
        let kept: Vec<T> =
            (0..m * d).map(|k| if gone.contains(&k) { T::ZERO } else { T::ONE }).collect();
        let (g, a) = (cast::<T>(&g.data), cast::<T>(&a.data));
        let (mut got, mut work) = (cast::<T>(&w), nans(kron_compensate_workspace_len(m, d)));
        let single = T::EPSILON.to_f64() > 1e-10;
        let tolerance = if single { T::EPSILON * T::from_f64(32.0) } else { T::from_f64(1e-12) };
        let options = CompensateOptions { tolerance, max_iterations: 500 };
        let view = mat_mut(&mut got, m, d);
        let (kept, factors) = (mat(&kept, m, d), (mat(&g, m, m), mat(&a, d, d)));
        let lambda = T::from_f64(lambda);
        let products =
            kron_compensate(&Portable, view, kept, factors, lambda, options, &mut work).unwrap();
        assert!(products < 500, "{products} products");
        assert_close("joint", &got, &want, "compensation", Dense, m * d);
        assert!(gone.iter().all(|q| got[*q] == T::ZERO));
    }
}

fn woodbury_updates_are_the_dense_inverse<T: Real>() {
    let mut random = Random::new(34);
    for (d, n, lambda) in [(1, 3, 0.5), (4, 2, 0.2), (6, 9, 0.05)] {
        let g: Vec<f64> = random.normals(n * d);
        let mut fisher = Matrix::identity(d).scaled(lambda);
        for row in g.chunks_exact(d) {
            fisher = fisher.plus(1.0 / n as f64, &Matrix::outer(row, row));
        }
        let mut inverse = cast::<T>(&Matrix::identity(d).scaled(1.0 / lambda).data);
        let mut work = nans(woodbury_update_workspace_len(d));
        for row in g.chunks_exact(d) {
            let view = mat_mut(&mut inverse, d, d);
            woodbury_update(view, &cast::<T>(row), T::from_usize(n), &mut work).unwrap();
        }
        assert_symmetric("inverse", &inverse, d);
        assert_close("inverse", &inverse, &fisher.inverse().data, "pruning", Dense, d * n);
    }
    let call = |g: T, n: T| woodbury_update(mat_mut(&mut [T::ONE], 1, 1), &[g], n, &mut [T::ONE]);
    assert!(matches!(call(T::ONE, T::ZERO), Err(Error::Parameter { .. })));
    assert!(matches!(call(T::NAN, T::ONE), Err(Error::NonFinite { .. })));
}

both_dtypes!(
    saliencies_are_constrained_minima,
    removals_are_the_joint_minimum,
    kronecker_removals_are_the_dense_ones,
    woodbury_updates_are_the_dense_inverse,
);

proptest! {
    /// No choice of the free weights is cheaper than what `remove` leaves.
    #[test]
    fn nothing_is_cheaper(seed: u64, d in 2_usize..7, gone in 0_usize..6) {
        let mut random = Random::new(seed);
        let (h, w, q) = (spd(&mut random, d), random.normals::<f64>(d), gone % d);
        let (mut got, mut inverse) = (w.clone(), h.inverse().data);
        let cost = remove(&mut got, mat_mut(&mut inverse, d, d), q).unwrap();
        let mut other: Vec<f64> = got.iter().map(|x| x + 0.1 * random.normal()).collect();
        other[q] = 0.0;
        let delta: Vec<f64> = other.iter().zip(&w).map(|(o, w)| o - w).collect();
        prop_assert!(0.5 * h.quadratic_form(&delta) >= cost * (1.0 - 1e-9));
    }
}

const MEMORY: Memory = Memory { limit: 1 << 30 };

fn options(method: Method) -> Options {
    let scope = Scope::Network;
    Options { method, scope, damping: 0.05, block: 7, gradients: 1000, memory: MEMORY }
}

/// The weights that may go and the share of them that goes, cheapest first.
fn cheapest(net: &Network<f64>, costs: &[f64], sparsity: f64, scope: Scope) -> Vec<usize> {
    let prunable = |block: &Block| -> Vec<usize> {
        let weights = block.range().filter(|k| (k - block.offset) % block.cols < block.inputs);
        if block.kind == BlockKind::BatchNorm { Vec::new() } else { weights.collect() }
    };
    let groups: Vec<Vec<usize>> = match scope {
        Scope::Network => vec![net.blocks().iter().flat_map(prunable).collect()],
        Scope::Layer => net.blocks().iter().map(prunable).collect(),
    };
    let mut gone = Vec::new();
    for mut group in groups {
        group.sort_by(|a, b| costs[*a].total_cmp(&costs[*b]).then(a.cmp(b)));
        let count = (sparsity * group.len() as f64 + 1e-9).floor() as usize;
        gone.extend(&group[..count]);
    }
    gone.sort_unstable();
    gone
}

/// A layer's damped factors from derivatives by dual numbers.
fn factors(p: &Problem, net: &Network<f64>, b: usize, lambda: f64) -> (Matrix, Matrix) {
    let sites = sites(p, net, b);
    let a = input_factor(&sites, Positions::Expand);
    let at: Vec<Matrix> = sites.iter().map(|site| site.curvature.clone()).collect();
    let g = output_factor(&at, net.blocks()[b].positions, Positions::Expand);
    let pi = ((a.trace() / a.rows as f64) / (g.trace() / g.rows as f64)).sqrt();
    (g.damped(lambda.sqrt() / pi), a.damped(pi * lambda.sqrt()))
}

/// Values and predicted increase of one step by the definitions.
fn oracle(p: &Problem, net: &Network<f64>, o: &Options, sparsity: f64) -> (Vec<f64>, f64) {
    let w = &p.parameters.values;
    let zeroed = |gone: &[usize]| {
        let mut values = w.clone();
        gone.iter().for_each(|q| values[*q] = 0.0);
        values
    };
    let within = |gone: &[usize], range: &std::ops::Range<usize>| -> Vec<usize> {
        gone.iter().filter(|q| range.contains(q)).map(|q| q - range.start).collect()
    };
    // Parts of the parameters with a matrix each: their joint minima.
    let parts: Vec<(std::ops::Range<usize>, Matrix)> = match o.method {
        Method::Magnitude => {
            let costs: Vec<f64> = w.iter().map(|w| w.abs()).collect();
            return (zeroed(&cheapest(net, &costs, sparsity, o.scope)), f64::NAN);
        }
        Method::Obd => {
            let h = gauss_newton(p);
            let costs: Vec<f64> =
                w.iter().enumerate().map(|(q, w)| 0.5 * h.at(q, q) * w * w).collect();
            let gone = cheapest(net, &costs, sparsity, o.scope);
            return (zeroed(&gone), gone.iter().map(|q| costs[*q]).sum());
        }
        Method::ObsKfac => net
            .blocks()
            .iter()
            .enumerate()
            .filter(|(_, block)| block.kind != BlockKind::BatchNorm)
            .map(|(b, block)| {
                let (g, a) = factors(p, net, b, o.damping);
                (block.range(), g.kron(&a))
            })
            .collect(),
        Method::WoodFisher => {
            let rows = gradients(p);
            let ranges = net.blocks().iter().flat_map(|block| {
                let range = block.range();
                range.clone().step_by(o.block).map(move |at| at..range.end.min(at + o.block))
            });
            ranges
                .map(|range| {
                    let mut h = Matrix::identity(range.len()).scaled(o.damping);
                    for g in &rows {
                        let g = &g[range.clone()];
                        h = h.plus(1.0 / rows.len() as f64, &Matrix::outer(g, g));
                    }
                    (range, h)
                })
                .collect()
        }
    };
    let mut costs = vec![f64::INFINITY; w.len()];
    for (range, h) in &parts {
        let inverse = h.inverse();
        for q in range.clone() {
            let at = q - range.start;
            costs[q] = 0.5 * w[q] * w[q] / inverse.at(at, at);
        }
    }
    let gone = cheapest(net, &costs, sparsity, o.scope);
    let (mut values, mut total) = (w.clone(), 0.0);
    for (range, h) in &parts {
        let (part, cost) = constrained(h, &w[range.clone()], &within(&gone, range));
        values[range.clone()].copy_from_slice(&part);
        total += cost;
    }
    (values, total)
}

const NETS: [(&[usize], &str); 3] =
    [(&[4], "L5 tanh L3"), (&[3], "L4 B sigmoid L3"), (&[1, 4, 4], "C2:k3 tanh flat L2")];

#[test]
fn pruned_networks_are_those_of_dense_matrices() {
    for (k, (shape, words)) in NETS.into_iter().enumerate() {
        let loss = Loss::SoftmaxCrossEntropy;
        let p = Problem::new(words, network(shape, words, loss), 9, 50 + k as u64);
        let net = Network::<f64>::from_architecture(&p.architecture).unwrap();
        let loaded = p.load::<f64>(2);
        for method in Method::ALL {
            for (scope, sparsity) in [(Scope::Network, 0.4), (Scope::Layer, 0.55)] {
                let label = format!("{words} {method} {scope:?} {sparsity}");
                let o = Options { scope, ..options(method) };
                let mut mask = Mask::new(&loaded.network);
                let got = prune(&loaded.problem(4), &mut mask, sparsity, &o).expect(&label);
                let (want, cost) = oracle(&p, &net, &o, sparsity);
                assert_eq!(got.removed, mask.removed(), "{label}");
                assert_eq!(got.removed, want.iter().filter(|w| **w == 0.0).count(), "{label}");
                for (q, w) in got.values.iter().enumerate() {
                    assert_eq!(*w == 0.0, !mask.kept()[q], "{label}: weight {q}");
                }
                assert_close(&label, &got.values, &want, "pruned network", Dual, 1);
                match got.predicted {
                    Some(got) => assert_close(&label, &[got], &[cost], "pruned network", Dual, 1),
                    None => assert!(cost.is_nan(), "{label}"),
                }
            }
        }
    }
}

/// A second step keeps what is gone, and its costs are those without it.
#[test]
fn a_second_step_goes_on_from_the_first() {
    let loss = Loss::SoftmaxCrossEntropy;
    let p = Problem::new("steps", network(&[4], "L5 tanh L3", loss), 9, 77);
    for method in Method::ALL {
        let mut mask = Mask::new(&p.load::<f64>(1).network);
        let mut current = p.clone();
        let mut gone: Vec<usize> = Vec::new();
        for sparsity in [0.2, 0.5, 0.8] {
            let loaded = current.load::<f64>(1);
            let got = prune(&loaded.problem(9), &mut mask, sparsity, &options(method)).unwrap();
            let wanted = (sparsity * mask.prunable() as f64 + 1e-9).floor() as usize;
            assert_eq!(mask.removed(), wanted, "{method} {sparsity}");
            assert!(gone.iter().all(|q| got.values[*q] == 0.0), "{method} {sparsity}");
            gone = (0..got.values.len()).filter(|q| !mask.kept()[*q]).collect();
            current.parameters.values = got.values;
        }
        let loaded = current.load::<f64>(1);
        let refused = prune(&loaded.problem(9), &mut mask, 0.5, &options(method));
        assert!(refused.unwrap_err().to_string().contains("gone already"), "{method}");
    }
}

/// The best step of the quadratic model is better than leaving the others as they are, in the model
/// and, at the maximum of a linear network's likelihood, in the loss.
#[test]
fn surgery_beats_damage_where_the_loss_is_quadratic() {
    let loss = Loss::Mse { scale: 0.5 };
    let mut p = Problem::new("quadratic", network(&[6], "L2", loss), 40, 3);
    // Correlated inputs: without one the others can make up for it.
    for row in p.inputs.chunks_exact_mut(6) {
        for j in 1..6 {
            row[j] = 0.9 * row[j - 1] + 0.3 * row[j];
        }
    }
    let x = Matrix::from_fn(40, 7, |s, j| if j < 6 { p.inputs[s * 6 + j] } else { 1.0 });
    let relfisher_tests::oracle::network::Labels::Values(y) = p.labels.clone() else {
        panic!("values")
    };
    let y = Matrix::new(40, 2, y);
    p.parameters.values = x.t().times(&x).solve(&x.t().times(&y)).t().data;
    let loss_of = |values: &[f64]| p.naive(values, relfisher::network::Mode::Inference);
    let before: f64 = loss_of(&p.parameters.values);
    let loaded = p.load::<f64>(1);
    let mut losses = Vec::new();
    for method in [Method::Obd, Method::ObsKfac] {
        let o = Options { damping: 1e-10, ..options(method) };
        let mut mask = Mask::new(&loaded.network);
        let got = prune(&loaded.problem(40), &mut mask, 0.5, &o).unwrap();
        losses.push(loss_of(&got.values) - before);
        if method == Method::ObsKfac {
            // K-FAC is the Hessian here: the model is the loss.
            let predicted = got.predicted.unwrap();
            let after = losses[1];
            assert!((predicted / after - 1.0).abs() < 1e-3, "{predicted} and {after}");
        }
    }
    assert!(losses[1] < 0.7 * losses[0], "{losses:?}");
}

#[test]
fn bad_requests_are_refused() {
    let loss = Loss::SoftmaxCrossEntropy;
    let p = Problem::new("bad", network(&[4], "L5 tanh L3", loss), 9, 77);
    let loaded = p.load::<f64>(1);
    let problem = loaded.problem(9);
    let fresh = || Mask::new(&loaded.network);
    let refused = |o: &Options, sparsity: f64| {
        prune(&problem, &mut fresh(), sparsity, o).unwrap_err().to_string()
    };
    for method in Method::ALL {
        let o = options(method);
        for bad in [1.0, -0.1, f64::NAN] {
            assert!(refused(&o, bad).contains("--sparsity"), "{method} {bad}");
        }
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(refused(&Options { damping: bad, ..o }, 0.5).contains("--damping"));
        }
        if method != Method::Magnitude {
            let text = refused(&Options { memory: Memory { limit: 100 }, ..o }, 0.5);
            assert!(text.contains(method.name()) && text.contains("bytes"), "{text}");
        }
    }
    let o = options(Method::WoodFisher);
    assert!(refused(&Options { block: 0, ..o }, 0.5).contains("--block"));
    assert!(refused(&Options { gradients: 0, ..o }, 0.5).contains("--gradients"));
    let untargeted = relfisher::curvature::Problem { targets: None, ..problem };
    let text = prune(&untargeted, &mut fresh(), 0.5, &o).unwrap_err().to_string();
    assert!(text.contains("--targets"), "{text}");
    let other = Problem::new("other", network(&[4], "L3", loss), 9, 77).load::<f64>(1);
    let text = prune(&problem, &mut Mask::new(&other.network), 0.5, &o).unwrap_err().to_string();
    assert!(text.contains("mask"), "{text}");
    assert!("median".parse::<Method>().unwrap_err().to_string().contains("obs-kfac"));
}
