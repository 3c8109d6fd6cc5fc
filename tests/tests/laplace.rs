//! Laplace posteriors against dense matrices from dual numbers, and against an exact evidence.

use relfisher::Scalar;
use relfisher::curvature::Memory;
use relfisher::laplace::{Posterior, Structure, evidence};
use relfisher::network::{BlockKind, Loss, Network};
use relfisher_core::curvature::{LowRank, low_rank_power_workspace_len};
use relfisher_core::laplace::{
    Evidence, effective_parameters, log_determinant, posterior_variances, predictive_covariance,
    predictive_covariance_workspace_len, probit_logits, scale_draw,
};
use relfisher_core::{Error, Portable, Real};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_close, cast};
use relfisher_tests::oracle::curvature::{
    Positions, gauss_newton, input_factor, jacobians, output_factor, sites,
};
use relfisher_tests::oracle::dense::Matrix;
use relfisher_tests::oracle::network::Labels;
use relfisher_tests::problem::{LOSSES, Problem, network};
use relfisher_tests::random::Random;
use relfisher_tests::real::{mat, mat_mut, nans};
use relfisher_tests::tolerance::Oracle::{Dense, Dual, Identity};

const MEMORY: Memory = Memory { limit: 1 << 30 };

/// V S Vᵀ with orthonormal rows in V, and V.
fn low_rank(random: &mut Random, k: usize, d: usize) -> (Matrix, Vec<f64>, Vec<f64>) {
    let vectors = random.orthogonal(d)[..k * d].to_vec();
    let values: Vec<f64> = (0..k).map(|i| 10.0 / (1.0 + i as f64)).collect();
    let mut c = Matrix::zeros(d, d);
    for (v, s) in vectors.chunks_exact(d).zip(&values) {
        c = c.plus(*s, &Matrix::outer(v, v));
    }
    (c, vectors, values)
}

fn low_rank_powers_are_those_of_the_dense_matrix<T: Real>() {
    let mut random = Random::new(5);
    for (r, k, d, lambda) in [(3, 2, 7, 0.3), (1, 0, 4, 2.0), (2, 5, 5, 1e-2), (0, 1, 3, 1.0)] {
        let (c, vectors, values) = low_rank(&mut random, k, d);
        let x: Vec<f64> = random.normals(r * d);
        let (vectors, values) = (cast::<T>(&vectors), cast::<T>(&values));
        let c_low = LowRank { vectors: mat(&vectors, k, d), values: &values };
        for p in [0.0, 0.25, 0.5, 1.0] {
            let dense = c.damped(lambda).function(|s| s.powf(-p));
            let want = Matrix::new(r, d, x.clone()).times(&dense);
            let (mut got, mut work) = (cast::<T>(&x), nans(low_rank_power_workspace_len(r, k)));
            let (p, lambda) = (T::from_f64(p), T::from_f64(lambda));
            c_low.power(&Portable, mat_mut(&mut got, r, d), p, lambda, &mut work).unwrap();
            assert_close("LowRank::power", &got, &want.data, "low rank", Dense, d);
        }
        let got = c_low.log_determinant(T::from_f64(lambda)).unwrap();
        let want = c.damped(lambda).log_determinant();
        assert_close("LowRank::log_determinant", &[got], &[want], "low rank", Dense, d);
    }
    let one = [T::ONE];
    let refused = LowRank { vectors: mat(&one, 1, 1), values: &one };
    let call = |p, lambda| {
        refused.power(&Portable, mat_mut(&mut [T::ONE], 1, 1), p, lambda, &mut [T::ONE])
    };
    assert!(matches!(call(T::ONE, T::ZERO), Err(Error::Parameter { .. })));
    assert!(matches!(call(T::TWO, T::ONE), Err(Error::Parameter { .. })));
}

fn predictive_covariance_is_the_dense_product<T: Real>() {
    let mut random = Random::new(6);
    for (n, c, m, d) in [(3, 2, 4, 5), (1, 1, 1, 1), (2, 3, 1, 4)] {
        let (u, v): (Vec<f64>, Vec<f64>) = (random.normals(c * n * m), random.normals(n * d));
        let variances: Vec<f64> = random.uniforms(m * d, 0.1, 2.0);
        let mut want = Vec::new();
        for s in 0..n {
            // J_s by its rows, then J V Jᵀ.
            let j = Matrix::from_fn(c, m * d, |a, k| u[(a * n + s) * m + k / d] * v[s * d + k % d]);
            want.extend(j.times(&Matrix::diagonal(&variances)).times(&j.t()).data);
        }
        let (u, v, variances) = (cast::<T>(&u), cast::<T>(&v), cast::<T>(&variances));
        let mut work = nans(predictive_covariance_workspace_len(n, m, d));
        let parts = (mat(&u, c * n, m), mat(&v, n, d));
        for (beta, start) in [(T::ZERO, T::NAN), (T::ONE, T::ZERO)] {
            let mut got = vec![start; n * c * c];
            let to = mat_mut(&mut got, n, c * c);
            let variances = mat(&variances, m, d);
            predictive_covariance(&Portable, to, beta, parts, variances, &mut work).unwrap();
            assert_close("predictive", &got, &want, "predictive covariance", Dense, m * d);
        }
    }
}

fn functions_of_the_eigenvalues_are_their_definition<T: Real>() {
    let values = cast::<T>(&[0.5, 2.0, 0.0, -1e-9, 1e4]);
    let s = [0.5, 2.0, 0.0, 0.0, 1e4];
    let (n, tau) = (30.0, 0.7);
    let p: Vec<f64> = s.iter().map(|s| n * s + tau).collect();
    let near = |got: f64, want: f64| {
        assert_close("eigenvalues", &[got], &[want], "laplace spectrum", Dense, 5);
    };
    near(log_determinant(&values, n, tau).unwrap(), p.iter().map(|p| p.ln()).sum());
    let effective = s.iter().zip(&p).map(|(s, p)| n * s / p).sum();
    near(effective_parameters(&values, n, tau).unwrap(), effective);
    let mut out = nans::<T>(5);
    posterior_variances(&mut out, &values, n, tau).unwrap();
    let want: Vec<f64> = p.iter().map(|p| 1.0 / p).collect();
    assert_close("variances", &out, &want, "low rank", Dense, 1);
    let mut draw = vec![T::ONE; 5];
    scale_draw(&mut draw, &values, n, tau).unwrap();
    let want: Vec<f64> = p.iter().map(|p| 1.0 / p.sqrt()).collect();
    assert_close("draw", &draw, &want, "low rank", Dense, 1);
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(log_determinant(&values, n, bad), Err(Error::Parameter { .. })));
        let evidence = Evidence { log_likelihood: 0.0, squared_norm: 0.0, parameters: 1 };
        assert!(matches!(evidence.log_marginal(bad, 0.0), Err(Error::Parameter { .. })));
    }
    let refused = log_determinant(&[T::ONE, T::INFINITY], n, tau);
    assert!(matches!(refused, Err(Error::NonFinite { index: 1, .. })), "{refused:?}");
    let mut logits = cast::<T>(&[2.0, -3.0, 1.0]);
    probit_logits(&mut logits, &cast::<T>(&[0.0, 4.0, -1e-9])).unwrap();
    let want = [2.0, -3.0 / (1.0 + std::f64::consts::PI / 2.0).sqrt(), 1.0];
    assert_close("probit", &logits, &want, "low rank", Dense, 1);
}

/// C of the whole network in one structure, from derivatives by dual numbers.
fn curvature(p: &Problem, net: &Network<f64>, structure: Structure) -> Matrix {
    let whole = gauss_newton(p);
    let d = whole.rows;
    match structure {
        Structure::Full => whole,
        Structure::Diagonal => {
            Matrix::diagonal(&(0..d).map(|i| whole.at(i, i)).collect::<Vec<_>>())
        }
        Structure::LowRank(k) => {
            let (values, vectors) = whole.eigh();
            (d - k..d).fold(Matrix::zeros(d, d), |sum, i| {
                let v: Vec<f64> = (0..d).map(|j| vectors.at(j, i)).collect();
                sum.plus(values[i], &Matrix::outer(&v, &v))
            })
        }
        Structure::Kronecker | Structure::Ekfac => {
            let block = |(b, block): (usize, &relfisher::network::Block)| {
                let exact = whole.block(block.offset, block.offset, block.len(), block.len());
                if block.kind == BlockKind::BatchNorm {
                    return exact;
                }
                let sites = sites(p, net, b);
                let a = input_factor(&sites, Positions::Expand);
                let at: Vec<Matrix> = sites.iter().map(|site| site.curvature.clone()).collect();
                let g = output_factor(&at, block.positions, Positions::Expand);
                if structure == Structure::Kronecker {
                    return g.kron(&a);
                }
                let u = g.eigh().1.kron(&a.eigh().1);
                let turned = u.t().times(&exact).times(&u);
                let s: Vec<f64> = (0..block.len()).map(|i| turned.at(i, i)).collect();
                u.times(&Matrix::diagonal(&s)).times(&u.t())
            };
            let blocks: Vec<Matrix> = net.blocks().iter().enumerate().map(block).collect();
            Matrix::block_diagonal(&blocks)
        }
    }
}

/// Networks with few parameters, with every kind of block.
const NETS: [(&[usize], &str); 4] = [
    (&[3], "L4 tanh L3"),
    (&[3], "L3 B sigmoid L2"),
    (&[1, 4, 4], "C2:k3 tanh flat L2"),
    (&[2, 4, 4], "C2:k2,g2 tanh M:k2 flat l2"),
];

const STRUCTURES: [Structure; 5] = [
    Structure::Diagonal,
    Structure::Kronecker,
    Structure::Ekfac,
    Structure::LowRank(4),
    Structure::Full,
];

/// Covariance of draws, log-determinant, effective parameters, evidence and predictive covariance are
/// those of the dense precision N·C + τI.
fn posteriors_are_the_dense_ones<T: Scalar>() {
    for (k, (shape, words)) in NETS.into_iter().enumerate() {
        for loss in LOSSES {
            let p = Problem::new(words, network(shape, words, loss), 5, 70 + k as u64);
            let net = Network::<f64>::from_architecture(&p.architecture).unwrap();
            let other = Problem {
                labels: p.labels.clone(),
                ..Problem::new(words, network(shape, words, loss), 5, 90 + k as u64)
            };
            let other = Problem { parameters: p.parameters.clone(), ..other };
            let (loaded, predicted) = (p.load::<T>(1), other.load::<T>(2));
            let problem = loaded.problem(2);
            let rows = jacobians(&other);
            for (i, structure) in STRUCTURES.into_iter().enumerate() {
                let label = format!("{words} {loss:?} {structure}");
                let tau = [0.5, 2.0, 0.1][(k + i) % 3];
                let n = p.samples as f64;
                let c = curvature(&p, &net, structure);
                let precision = c.scaled(n).damped(tau);
                let covariance = precision.inverse();
                let posterior = Posterior::measure(&problem, structure, MEMORY).expect(&label);

                let d = precision.rows;
                let mut root = Matrix::zeros(d, d);
                for j in 0..d {
                    let mut unit = vec![T::ZERO; d];
                    unit[j] = T::ONE;
                    posterior
                        .transform(&loaded.exec, &loaded.network, &mut unit, tau)
                        .expect(&label);
                    (0..d).for_each(|i| root.data[i * d + j] = unit[i].to_f64());
                }
                let got: Vec<T> = cast(&root.times(&root.t()).data);
                assert_close(&label, &got, &covariance.data, "posterior", Dual, d);

                let determinant = posterior.log_determinant(tau).unwrap();
                let want = precision.log_determinant();
                let got: [T; 1] = [T::from_f64(determinant)];
                assert_close(&label, &got, &[want], "posterior", Dual, d);
                let effective = posterior.effective_parameters(tau).unwrap();
                let want = c.scaled(n).times(&covariance).trace();
                assert_close(&label, &[T::from_f64(effective)], &[want], "posterior", Dual, d);

                let marginal =
                    posterior.log_marginal(&evidence(&problem).unwrap(), tau).expect(&label);
                let want = dense_log_marginal(&p, &precision, tau);
                assert_close(&label, &[T::from_f64(marginal)], &[want], "posterior", Dual, d);

                let prediction = posterior.predict(&predicted.problem(2), tau).expect(&label);
                let want: Vec<f64> =
                    rows.iter().flat_map(|j| j.times(&covariance).times(&j.t()).data).collect();
                assert_close(&label, &prediction.covariance, &want, "posterior", Dual, d);
            }
        }
    }
}

/// −N ℓ̄ − ½τ‖θ‖² + ½D ln τ − ½ ln det P with a loss from the naive network and constants of its
/// likelihood.
fn dense_log_marginal(p: &Problem, precision: &Matrix, tau: f64) -> f64 {
    let theta = &p.parameters.values;
    let n = p.samples as f64;
    let constant = match p.architecture.loss {
        // σ² = 1/(2 scale): ½ ln 2πσ² for each output.
        Loss::Mse { scale } => {
            let variance = 0.5 / scale;
            0.5 * p.architecture.outputs() as f64 * (std::f64::consts::TAU * variance).ln()
        }
        _ => 0.0,
    };
    let loss: f64 = p.naive(theta, relfisher::network::Mode::Inference);
    let norm: f64 = theta.iter().map(|x| x * x).sum();
    let prior = theta.len() as f64 * tau.ln() - tau * norm;
    -n * (loss + constant) + 0.5 * (prior - precision.log_determinant())
}

both_dtypes!(
    low_rank_powers_are_those_of_the_dense_matrix,
    predictive_covariance_is_the_dense_product,
    functions_of_the_eigenvalues_are_their_definition,
    posteriors_are_the_dense_ones,
);

/// For a linear network and a squared error nothing is approximated: at the maximum a posteriori the
/// evidence is that of the Gaussian of all targets, N(0, σ²I + X̃X̃ᵀ/τ) for each output, and the
/// variance of an output is x̃ᵀ(X̃ᵀX̃/σ² + τI)⁻¹x̃.
#[test]
fn a_linear_network_has_its_exact_evidence() {
    let (scale, tau, n) = (0.8, 1.7, 7);
    let mut p = Problem::new("linear", network(&[3], "L2", Loss::Mse { scale }), n, 4);
    let (outputs, variance) = (2, 0.5 / scale);
    let x = Matrix::from_fn(n, 4, |s, j| if j < 3 { p.inputs[s * 3 + j] } else { 1.0 });
    let Labels::Values(y) = p.labels.clone() else { panic!("values") };
    let y = Matrix::new(n, outputs, y);
    let normal = x.t().times(&x).scaled(1.0 / variance).damped(tau);
    let best = normal.solve(&x.t().times(&y).scaled(1.0 / variance));
    p.parameters.values = best.t().data;
    let marginal = x.times(&x.t()).scaled(1.0 / tau).damped(variance);
    let want: f64 = (0..outputs)
        .map(|c| {
            let y: Vec<f64> = (0..n).map(|s| y.at(s, c)).collect();
            let form: f64 = marginal.solve_vector(&y).iter().zip(&y).map(|(a, b)| a * b).sum();
            let constant = n as f64 * std::f64::consts::TAU.ln() + marginal.log_determinant();
            -0.5 * (form + constant)
        })
        .sum();
    let loaded = p.load::<f64>(1);
    let problem = loaded.problem(3);
    let terms = evidence(&problem).unwrap();
    for structure in
        [Structure::Full, Structure::Kronecker, Structure::Ekfac, Structure::LowRank(8)]
    {
        let posterior = Posterior::measure(&problem, structure, MEMORY).unwrap();
        let got = posterior.log_marginal(&terms, tau).unwrap();
        assert_close(&structure.to_string(), &[got], &[want], "posterior", Identity, 8);
        let prediction = posterior.predict(&problem, tau).unwrap();
        for (s, got) in prediction.variances(outputs).chunks(outputs).enumerate() {
            let want = normal.inverse().quadratic_form(x.row(s));
            assert_close("variance", got, &vec![want; outputs], "posterior", Identity, 8);
        }
        let (_, wide) = prediction.quality(&problem).unwrap();
        let want = (0..n * outputs)
            .map(|k| {
                let (s, c) = (k / outputs, k % outputs);
                let total = variance + normal.inverse().quadratic_form(x.row(s));
                let mean: f64 = (0..4).map(|j| x.at(s, j) * best.at(j, c)).sum();
                let error = y.at(s, c) - mean;
                0.5 * (error * error / total + (std::f64::consts::TAU * total).ln())
            })
            .sum::<f64>()
            / n as f64;
        assert_close("nll", &[wide.nll], &[want], "posterior", Identity, 8);
    }
    // A diagonal is an approximation here too, and must not look exact.
    let diagonal = Posterior::measure(&problem, Structure::Diagonal, MEMORY).unwrap();
    let got = diagonal.log_marginal(&terms, tau).unwrap();
    assert!((got - want).abs() > 0.1, "{got} and {want}");
}

/// The maximum of the curve is one: no grid point and no neighbour is better.
#[test]
fn the_best_prior_precision_is_the_best() {
    let p = Problem::new("curve", network(&[3], "L4 tanh L3", Loss::SoftmaxCrossEntropy), 6, 8);
    let loaded = p.load::<f64>(1);
    let problem = loaded.problem(6);
    let terms = evidence(&problem).unwrap();
    let posterior = Posterior::measure(&problem, Structure::Kronecker, MEMORY).unwrap();
    let curve = posterior.evidence_curve(&terms).unwrap();
    assert!(curve.values.iter().all(|v| *v <= curve.best_value));
    for factor in [0.98, 1.02] {
        let near = posterior.log_marginal(&terms, curve.best * factor).unwrap();
        assert!(near < curve.best_value, "{factor}");
    }
    // MacKay's fixed point: at the maximum τ‖θ‖² = γ.
    let gamma = posterior.effective_parameters(curve.best).unwrap();
    let fixed = curve.best * terms.squared_norm;
    assert!((gamma / fixed - 1.0).abs() < 0.01, "{gamma} and {fixed}");
}

/// The mean square of draws along an eigenvector is the variance there, within what 2,000 of them allow.
#[test]
fn draws_spread_as_the_posterior() {
    let p = Problem::new("draws", network(&[2], "L3 tanh L2", Loss::SoftmaxCrossEntropy), 6, 9);
    let loaded = p.load::<f64>(1);
    let problem = loaded.problem(6);
    let net = Network::<f64>::from_architecture(&p.architecture).unwrap();
    let (tau, count) = (0.5, 2000);
    for structure in [Structure::Kronecker, Structure::LowRank(3)] {
        let covariance = curvature(&p, &net, structure).scaled(6.0).damped(tau).inverse();
        let (values, vectors) = covariance.eigh();
        let posterior = Posterior::measure(&problem, structure, MEMORY).unwrap();
        let mean = &loaded.parameters.values;
        let mut sums = vec![0.0; values.len()];
        for k in 0..count {
            let mut rng = relfisher::random::stream(3, k, "test");
            let draw =
                posterior.draw(&loaded.exec, &loaded.network, (mean, tau), &mut rng).unwrap();
            for (i, sum) in sums.iter_mut().enumerate() {
                let along: f64 =
                    (0..draw.len()).map(|j| (draw[j] - mean[j]) * vectors.at(j, i)).sum();
                *sum += along * along / count as f64;
            }
        }
        for (got, want) in sums.iter().zip(&values) {
            // A χ² of 2,000 degrees of freedom: deviation √(2/2000) = 0.032; five of them.
            assert!((got / want - 1.0).abs() < 0.16, "{structure}: {got} and {want}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let p = Problem::new("bad", network(&[3], "L4 tanh L3", Loss::SoftmaxCrossEntropy), 4, 2);
    let loaded = p.load::<f64>(1);
    let problem = loaded.problem(4);
    let refused = |structure, memory| Posterior::measure(&problem, structure, memory).unwrap_err();
    for structure in STRUCTURES {
        let text = refused(structure, Memory { limit: 100 }).to_string();
        assert!(text.contains("laplace") && text.contains("bytes"), "{text}");
    }
    let text = refused(Structure::LowRank(1000), MEMORY).to_string();
    assert!(text.contains("1000 of 31"), "{text}");
    let posterior = Posterior::measure(&problem, Structure::Diagonal, MEMORY).unwrap();
    let mut short = vec![0.0; 3];
    let refused = posterior.transform(&loaded.exec, &loaded.network, &mut short, 1.0);
    assert!(refused.unwrap_err().to_string().contains("3 numbers"));
    assert!(posterior.predict(&problem, 0.0).is_err());
    assert!(posterior.predict(&problem, f64::NAN).is_err());
    let untargeted = relfisher::curvature::Problem { targets: None, ..problem };
    assert!(evidence(&untargeted).unwrap_err().to_string().contains("--targets"));
}
