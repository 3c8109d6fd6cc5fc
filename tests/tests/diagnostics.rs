//! Statistics of mini-batches against the gradient of every sample by dual numbers; eigenspaces and
//! comparisons over a run against dense matrices.

use relfisher::Scalar;
use relfisher::curvature::Matrix as Which;
use relfisher::diagnostics::{BatchScratch, batch_noise};
use relfisher::evolution::{Evolution, MATRICES, Options};
use relfisher::network::{Loss, Mode};
use relfisher::spectrum::ExtremalOptions;
use relfisher_tests::both_dtypes;
use relfisher_tests::oracle::curvature::{empirical_fisher, gauss_newton, gradients, hessian};
use relfisher_tests::oracle::dense::{Matrix, dot};
use relfisher_tests::problem::{LOSSES, Problem, ZOO, network};
use relfisher_tests::tolerance::Oracle::Dual;
use relfisher_tests::tolerance::tolerance;

fn statistics_are_those_of_explicit_gradients<T: Scalar>() {
    let mut scratch = BatchScratch::default();
    for i in 0..ZOO.len() {
        for loss in LOSSES {
            let p = Problem::of_zoo(i, loss);
            let loaded = p.load::<T>(1);
            let (network, exec) = (&loaded.network, &loaded.exec);
            let mut tape = loaded.forward(Mode::Inference);
            let mut gradient = vec![T::NAN; network.parameter_count()];
            network.loss(exec, &mut tape, &loaded.targets()).unwrap();
            network.backward(exec, &loaded.parameters, &mut tape, Some(&mut gradient)).unwrap();
            let got = batch_noise(exec, (network, &tape), &gradient, &mut scratch).unwrap();
            let u = gradients(&p);
            let n = u.len() as f64;
            let mean: Vec<f64> =
                (0..gradient.len()).map(|j| u.iter().map(|u| u[j]).sum::<f64>() / n).collect();
            let square = dot(&mean, &mean);
            let second = u.iter().map(|u| dot(u, u)).sum::<f64>() / n;
            let variance = (0..mean.len())
                .map(|j| u.iter().map(|u| (u[j] - mean[j]).powi(2)).sum::<f64>() / (n - 1.0))
                .sum::<f64>();
            let known: Vec<&Vec<f64>> = u.iter().filter(|u| dot(u, u) > 0.0).collect();
            let cosines =
                known.iter().map(|u| dot(u, &mean) / (dot(u, u) * square).sqrt()).sum::<f64>();
            let alignment = cosines / known.len() as f64;
            let length = u.iter().map(|u| dot(u, u).sqrt()).sum::<f64>() / n;
            let bound = tolerance::<T>("batch noise", Dual, 1);
            let check = |what: &str, got: f64, want: f64, scale: f64| {
                let error = (got - want).abs() / scale;
                assert!(error <= bound, "{}: {what} {got} {want}: {error}", p.label);
            };
            check("mean square", got.mean_square, square, second);
            check("second moment", got.second_moment, second, second);
            check("mean norm", got.mean_norm, length, length);
            check("alignment", got.alignment, alignment, 1.0);
            if p.samples > 1 {
                check("variance", got.variance, variance, second);
                check("signal", got.signal, square - variance / n, second);
            } else {
                assert!(got.variance.is_nan() && got.signal.is_nan());
            }
        }
    }
}

both_dtypes!(statistics_are_those_of_explicit_gradients);

#[test]
fn a_gradient_of_another_network_is_refused() {
    let p = Problem::of_zoo(0, Loss::SoftmaxCrossEntropy);
    let loaded = p.load::<f64>(1);
    let tape = loaded.forward(Mode::Inference);
    let values = (&loaded.network, &tape);
    let error = batch_noise(&loaded.exec, values, &[0.0], &mut BatchScratch::default());
    assert!(error.unwrap_err().to_string().contains("gradient"));
}

fn dense(p: &Problem, which: Which) -> Matrix {
    match which {
        Which::Ggn => gauss_newton(p),
        Which::Hessian => hessian(p),
        Which::EmpiricalFisher => empirical_fisher(p),
    }
}

/// The projection onto the k eigenvectors of the largest eigenvalues.
fn projection(a: &Matrix, k: usize) -> (Vec<f64>, Matrix) {
    let (values, vectors) = a.eigh();
    let p = values.len();
    let top = Matrix::from_fn(k, p, |i, j| vectors.at(j, p - 1 - i));
    (values.iter().rev().copied().collect(), top.t().times(&top))
}

/// Two points of a run: the problem, and the same with parameters moved.
#[test]
fn a_run_is_measured_as_dense_matrices_say() {
    for (words, shape) in [("L4 tanh L3", vec![3]), ("C2:k2 tanh flat L3", vec![1, 3, 4])] {
        let first = Problem::new(words, network(&shape, words, Loss::SoftmaxCrossEntropy), 9, 21);
        let mut second = first.clone();
        second.parameters.values.iter_mut().enumerate().for_each(|(i, v)| {
            *v += 0.2 * (i as f64).sin();
        });
        let (top, count) = (2, first.parameters.values.len());
        let options = Options {
            top,
            eigenvalues: 4,
            probes: count,
            extremal: ExtremalOptions { seed: 3, ..ExtremalOptions::default() },
        };
        let mut run = Evolution::<f64>::new(options).unwrap();
        let mut before: Vec<Matrix> = Vec::new();
        for (step, p) in [&first, &second].into_iter().enumerate() {
            let loaded = p.load::<f64>(1);
            let point = run.measure(&loaded.problem(5), step, &mut |_, _| {}).unwrap();
            let gradient: Vec<f64> = {
                let u = gradients(p);
                (0..count).map(|j| u.iter().map(|u| u[j]).sum::<f64>() / u.len() as f64).collect()
            };
            let bound = tolerance::<f64>("evolution", Dual, 1);
            let near = |what: &str, got: f64, want: f64| {
                assert!((got - want).abs() <= bound, "{words} {step} {what}: {got} {want}");
            };
            let matrices = MATRICES.map(|which| dense(p, which));
            let spaces: Vec<_> = matrices.iter().map(|a| projection(a, top)).collect();
            near("gradient", point.gradient_norm, dot(&gradient, &gradient).sqrt());
            for (i, space) in point.spaces.iter().enumerate() {
                let (values, projector) = &spaces[i];
                assert!(space.complete && space.eigenvalues.len() == 4);
                for (got, want) in space.eigenvalues.iter().zip(values) {
                    near("eigenvalue", *got, *want);
                }
                let inside = projector.apply(&gradient);
                let share = dot(&inside, &inside) / dot(&gradient, &gradient);
                near("share", space.gradient_share, share);
                match before.get(i) {
                    None => assert!(space.overlap_previous.is_nan() && space.overlap_first == 1.0),
                    Some(before) => {
                        let overlap = before.times(projector).trace() / top as f64;
                        near("overlap", space.overlap_previous, overlap);
                        near("overlap", space.overlap_first, overlap);
                    }
                }
            }
            for (a, b, overlap) in &point.overlaps {
                let [a, b] = [a, b].map(|w| MATRICES.iter().position(|m| m == w).unwrap());
                let want = spaces[a].1.times(&spaces[b].1).trace() / top as f64;
                near("overlap of matrices", *overlap, want);
            }
            // As many vectors as parameters: exact.
            let blocks = loaded.network.blocks();
            assert_eq!(point.comparisons.len(), 3 * (blocks.len() + 1));
            for c in &point.comparisons {
                let range = c.block.map_or(0..count, |b| blocks[b].range());
                let part = |w: Which| {
                    let whole = &matrices[MATRICES.iter().position(|m| *m == w).unwrap()];
                    whole.block(range.start, range.start, range.len(), range.len())
                };
                let (a, b) = (part(c.first), part(c.second));
                near("error", c.relative_error.value, a.plus(-1.0, &b).norm() / b.norm());
                let cosine = dot(&a.data, &b.data) / (a.norm() * b.norm());
                near("cosine", c.cosine.value, cosine);
                assert_eq!((c.relative_error.error, c.cosine.error), (0.0, 0.0));
            }
            before = spaces.into_iter().map(|(_, projector)| projector).collect();
        }
    }
}

/// With fewer vectors the estimate is within its own error of the truth, five times over.
#[test]
fn an_estimate_knows_its_error() {
    let net = network(&[5], "L6 tanh L4", Loss::SoftmaxCrossEntropy);
    let p = Problem::new("estimate", net, 20, 8);
    let loaded = p.load::<f64>(1);
    let measure = |probes: usize| {
        let extremal = ExtremalOptions { seed: 1, ..ExtremalOptions::default() };
        let options = Options { top: 1, eigenvalues: 1, probes, extremal };
        let mut run = Evolution::<f64>::new(options).unwrap();
        run.measure(&loaded.problem(20), 0, &mut |_, _| {}).unwrap().comparisons
    };
    let (exact, drawn) = (measure(p.parameters.values.len()), measure(20));
    for (exact, drawn) in exact.iter().zip(&drawn) {
        for (exact, drawn) in
            [(exact.relative_error, drawn.relative_error), (exact.cosine, drawn.cosine)]
        {
            // The Hessian of the last layer is its Gauss–Newton matrix: nothing to estimate.
            let same = exact.value < 1e-12 || (exact.value - 1.0).abs() < 1e-12;
            assert!(same || drawn.error > 1e-4 && drawn.error < 0.3, "{drawn:?}");
            let distance = (exact.value - drawn.value).abs();
            assert!(distance <= 5.0 * drawn.error + 1e-12, "{exact:?} {drawn:?}");
        }
    }
    for (top, eigenvalues) in [(0, 1), (3, 2)] {
        let options = Options { top, eigenvalues, probes: 0, extremal: ExtremalOptions::default() };
        assert!(Evolution::<f64>::new(options).is_err());
    }
}
