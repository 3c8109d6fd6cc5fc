//! Products with Jacobians, Hessians, Gauss–Newton and empirical Fisher matrices against dual
//! numbers and dense matrices: every network of the zoo.

use relfisher::curvature::{Matrix, NetworkOperator};
use relfisher::network::{Cotangents, Loss, Mode, Tangents};
use relfisher_tests::compare::{assert_bits_equal, assert_close};
use relfisher_tests::oracle::curvature;
use relfisher_tests::oracle::dense::{self, dot};
use relfisher_tests::oracle::dual::{self, First};
use relfisher_tests::oracle::finite_difference;
use relfisher_tests::problem::{LOSSES, Loaded, Problem, ZOO};
use relfisher_tests::random::Random;
use relfisher_tests::tolerance::Oracle::{Dense, Dual, FiniteDifference, Identity, Sibling};
use relfisher_tests::tolerance::tolerance;

const MATRICES: [Matrix; 3] = [Matrix::Ggn, Matrix::EmpiricalFisher, Matrix::Hessian];

/// Every network of the zoo, the losses in turn.
fn zoo() -> impl Iterator<Item = Problem> {
    (0..ZOO.len()).map(|i| Problem::of_zoo(i, LOSSES[i % 4]))
}

fn normalised(p: &Problem) -> bool {
    !p.parameters.buffers.is_empty()
}

/// J v at the outputs, all samples.
fn push(loaded: &Loaded<f64>, mode: Mode, v: &[f64]) -> Vec<f64> {
    let tape = loaded.forward(mode);
    let Loaded { network, parameters, exec, .. } = loaded;
    let mut tangents = Tangents::new(network, tape.capacity());
    network.push_forward(exec, parameters, &tape, v, &mut tangents).expect("push");
    let outputs = tangents.outputs(tape.batch());
    (0..tape.batch()).flat_map(|s| outputs.row(s).to_vec()).collect()
}

/// Σ_s J_sᵀ u_s.
fn pull(loaded: &Loaded<f64>, mode: Mode, u: &[f64]) -> Vec<f64> {
    let tape = loaded.forward(mode);
    let Loaded { network, parameters, exec, .. } = loaded;
    let n = tape.batch();
    let mut cotangents = Cotangents::new(network, tape.capacity(), 1);
    let mut rows = cotangents.output_mut(0, n);
    for (s, u) in u.chunks(network.outputs()).enumerate() {
        rows.row_mut(s).copy_from_slice(u);
    }
    let mut gradient = vec![f64::NAN; network.parameter_count()];
    let out = Some(&mut gradient[..]);
    network.pull_back(exec, parameters, &tape, &mut cotangents, out).expect("pull");
    // The library's gradient is a mean.
    gradient.iter().map(|g| g * n as f64).collect()
}

#[test]
fn jacobian_products_are_those_of_dual_numbers_and_adjoint() {
    let mut random = Random::new(1);
    for p in zoo() {
        let loaded = p.load::<f64>(1);
        let values = &p.parameters.values;
        // Forward the statistics of a batch count as constants: running averages are.
        let modes =
            if normalised(&p) { &[Mode::Inference][..] } else { &[Mode::Inference, Mode::Train] };
        for &mode in modes {
            let v: Vec<f64> = random.normals(values.len());
            let u: Vec<f64> = random.normals(p.samples * p.architecture.outputs());
            let (jv, ju) = (push(&loaded, mode, &v), pull(&loaded, mode, &u));
            let at: Vec<First> =
                values.iter().zip(&v).map(|(x, v)| First { v: *x, d: *v }).collect();
            let want: Vec<f64> =
                p.naive_outputs(&at, mode).into_iter().flatten().map(|y| y.d).collect();
            assert_close(&format!("{}: J v", p.label), &jv, &want, "product", Dual, 1);
            let along = |w: &[First]| {
                let outputs = p.naive_outputs(w, mode).concat();
                outputs
                    .iter()
                    .zip(&u)
                    .fold(First::fixed(0.0), |sum, (y, u)| sum + *y * First::fixed(*u))
            };
            let want = dual::gradient(along, values);
            assert_close(&format!("{}: Jᵀ u", p.label), &ju, &want, "product", Dual, 1);
            let size = dot(&u, &u).sqrt() * dot(&jv, &jv).sqrt();
            let gap = (dot(&u, &jv) - dot(&ju, &v)).abs() / size;
            assert!(gap <= tolerance::<f64>("adjoint", Identity, v.len()), "{}: {gap}", p.label);
        }
    }
}

/// The gradient through the statistics of a batch, with any derivative at the outputs.
#[test]
fn pulling_back_through_batch_statistics() {
    let mut random = Random::new(2);
    for p in zoo().filter(normalised) {
        let u: Vec<f64> = random.normals(p.samples * p.architecture.outputs());
        let got = pull(&p.load::<f64>(1), Mode::Train, &u);
        let along = |w: &[First]| {
            let outputs = p.naive_outputs(w, Mode::Train).concat();
            let terms = outputs.iter().zip(&u).map(|(y, u)| *y * First::fixed(*u));
            terms.fold(First::fixed(0.0), |sum, x| sum + x)
        };
        let want = dual::gradient(along, &p.parameters.values);
        assert_close(&p.label, &got, &want, "product", Dual, 1);
    }
}

#[test]
fn several_columns_are_those_of_one_at_a_time() {
    let mut random = Random::new(3);
    for p in zoo() {
        for mode in [Mode::Inference, Mode::Train] {
            let loaded = p.load::<f64>(2);
            let Loaded { network, parameters, exec, .. } = &loaded;
            let (tape, c) = (loaded.forward(mode), network.outputs());
            let n = tape.batch();
            let columns: Vec<Vec<f64>> = (0..3).map(|_| random.normals(n * c)).collect();
            let fill = |cotangents: &mut Cotangents<f64>, column: usize, u: &[f64]| {
                let mut rows = cotangents.output_mut(column, n);
                u.chunks(c).enumerate().for_each(|(s, u)| rows.row_mut(s).copy_from_slice(u));
            };
            let mut together = Cotangents::new(network, n + 2, 3);
            columns.iter().enumerate().for_each(|(k, u)| fill(&mut together, k, u));
            network.pull_back(exec, parameters, &tape, &mut together, None).expect("columns");
            let mut alone = Cotangents::new(network, n, 1);
            for (k, u) in columns.iter().enumerate() {
                fill(&mut alone, 0, u);
                network.pull_back(exec, parameters, &tape, &mut alone, None).expect("one");
                for (b, block) in network.blocks().iter().enumerate() {
                    let rows = n * block.positions;
                    let (all, one) = (together.block(b, n), alone.block(b, n));
                    assert_eq!((all.rows(), one.rows()), (3 * rows, rows), "{}", p.label);
                    for r in 0..rows {
                        let label = format!("{} {mode:?} block {b} column {k} row {r}", p.label);
                        let scale = one.row(r).iter().fold(0.0f64, |m, x| m.max(x.abs()));
                        let got = all.row(k * rows + r);
                        if scale > 0.0 {
                            assert_close(&label, got, one.row(r), "product", Sibling, 1);
                        } else {
                            assert_bits_equal(&label, got, one.row(r));
                        }
                    }
                }
            }
        }
    }
}

fn apply(loaded: &Loaded<f64>, matrix: Matrix, chunk: usize, v: &[f64]) -> Vec<f64> {
    let mut operator = NetworkOperator::new(&loaded.problem(chunk), matrix).expect("operator");
    let mut out = vec![f64::NAN; operator.len()];
    operator.apply(&mut out, v).expect("product");
    out
}

#[test]
fn operators_are_the_dense_matrices() {
    let mut random = Random::new(4);
    for p in zoo() {
        let loaded = p.load::<f64>(1);
        let v: Vec<f64> = random.normals(p.parameters.values.len());
        for matrix in MATRICES {
            let want = match matrix {
                Matrix::Ggn => curvature::gauss_newton(&p).apply(&v),
                Matrix::EmpiricalFisher => curvature::empirical_fisher(&p).apply(&v),
                Matrix::Hessian => curvature::hessian_product(&p, &v),
            };
            let label = format!("{} {}", p.label, matrix.name());
            let got = apply(&loaded, matrix, p.samples, &v);
            assert_close(&label, &got, &want, "product", Dense, 1);
        }
    }
}

/// H v is the change of the gradient along v.
#[test]
fn hessian_products_are_differences_of_gradients() {
    let mut random = Random::new(5);
    // Kinks have no second differences: smooth networks only.
    let kinked = |p: &Problem| ["relu", "leaky", "elu", "M:"].iter().any(|w| p.label.contains(w));
    let mut tried = 0;
    for p in zoo().filter(|p| !kinked(p)) {
        let loaded = p.load::<f64>(1);
        let v: Vec<f64> = random.normals(p.parameters.values.len());
        let gradient = |t: &[f64]| {
            let mut moved = p.clone();
            let pairs = moved.parameters.values.iter_mut().zip(&v);
            pairs.for_each(|(x, v)| *x += t[0] * v);
            moved.load::<f64>(1).problem(p.samples).evaluate().expect("gradient").gradient
        };
        let want = finite_difference::jacobian(gradient, &[0.0]);
        let got = apply(&loaded, Matrix::Hessian, p.samples, &v);
        assert_close(&p.label, &got, &want, "product", FiniteDifference, 1);
        tried += 1;
    }
    assert!(tried > 10, "{tried} smooth networks");
}

#[test]
fn operators_are_symmetric_and_linear() {
    let mut random = Random::new(6);
    for p in zoo() {
        let loaded = p.load::<f64>(1);
        let len = p.parameters.values.len();
        let (u, v): (Vec<f64>, Vec<f64>) = (random.normals(len), random.normals(len));
        for matrix in MATRICES {
            let (cu, cv) =
                (apply(&loaded, matrix, p.samples, &u), apply(&loaded, matrix, p.samples, &v));
            let label = format!("{} {}", p.label, matrix.name());
            let size = dot(&u, &u).sqrt() * dot(&cv, &cv).sqrt();
            let gap = (dot(&u, &cv) - dot(&v, &cu)).abs() / size.max(f64::MIN_POSITIVE);
            assert!(gap <= tolerance::<f64>("adjoint", Identity, len), "{label}: {gap}");
            if matrix != Matrix::Hessian {
                assert!(dot(&v, &cv) >= -1e-15 * size, "{label} is semidefinite");
            }
            let sum: Vec<f64> = u.iter().zip(&v).map(|(u, v)| u - 2.0 * v).collect();
            let want: Vec<f64> = cu.iter().zip(&cv).map(|(u, v)| u - 2.0 * v).collect();
            let got = apply(&loaded, matrix, p.samples, &sum);
            assert_close(&label, &got, &want, "product", Sibling, 1);
        }
    }
}

#[test]
fn several_batches_are_one() {
    let mut random = Random::new(7);
    for p in zoo().filter(|p| p.samples > 1) {
        let loaded = p.load::<f64>(2);
        let v: Vec<f64> = random.normals(p.parameters.values.len());
        for matrix in MATRICES {
            let label = format!("{} {}", p.label, matrix.name());
            let want = apply(&loaded, matrix, p.samples, &v);
            for chunk in [1, 2, p.samples - 1, p.samples + 7] {
                let got = apply(&loaded, matrix, chunk, &v);
                assert_close(&format!("{label} by {chunk}"), &got, &want, "product", Sibling, 1);
            }
        }
        // A mean over batches is the mean over samples for the gradient too.
        let want = loaded.problem(p.samples).evaluate().expect("one batch");
        let got = loaded.problem(2).evaluate().expect("batches");
        assert_close(&p.label, &got.gradient, &want.gradient, "product", Sibling, 1);
        assert_close(&p.label, &got.losses, &want.losses, "product", Sibling, 1);
    }
}

/// The values that an operator keeps between calls belong to them.
#[test]
fn an_operator_can_be_used_again() {
    let p = Problem::of_zoo(23, Loss::SoftmaxCrossEntropy);
    let loaded = p.load::<f64>(1);
    let len = p.parameters.values.len();
    let mut random = Random::new(8);
    let (u, v): (Vec<f64>, Vec<f64>) = (random.normals(len), random.normals(len));
    for matrix in MATRICES {
        for chunk in [2, p.samples] {
            let mut operator = NetworkOperator::new(&loaded.problem(chunk), matrix).expect("one");
            let mut first = vec![f64::NAN; len];
            operator.apply(&mut first, &v).expect("first");
            let mut other = vec![f64::NAN; len];
            operator.apply(&mut other, &u).expect("other");
            assert!(operator.apply(&mut other[1..], &u).is_err());
            let mut again = vec![f64::NAN; len];
            operator.apply(&mut again, &v).expect("again");
            assert_bits_equal("the same product", &again, &first);
        }
    }
}

/// Curvature counts the samples alike: twice the same data is the same matrix.
#[test]
fn a_repeated_data_set_has_the_same_curvature() {
    for i in [1, 9, 15, 24] {
        let p = Problem::of_zoo(i, Loss::Mse { scale: 1.0 });
        let mut twice = p.clone();
        twice.inputs.extend_from_within(..);
        twice.samples *= 2;
        if let relfisher_tests::oracle::network::Labels::Values(v) = &mut twice.labels {
            v.extend_from_within(..);
        }
        let v: Vec<f64> = Random::new(9).normals(p.parameters.values.len());
        for matrix in MATRICES {
            let want = apply(&p.load(1), matrix, p.samples, &v);
            let got = apply(&twice.load(1), matrix, 3, &v);
            assert_close(&p.label, &got, &want, "product", Sibling, 1);
        }
    }
    // And the dense matrices are what they say for one linear layer: (2 scale) E[x̃x̃ᵀ].
    let p = Problem::new(
        "one layer",
        relfisher_tests::problem::network(&[2], "L1", Loss::Mse { scale: 0.5 }),
        4,
        3,
    );
    let mut want = dense::Matrix::zeros(3, 3);
    for x in p.inputs.chunks(2) {
        let x = [x[0], x[1], 1.0];
        want = want.plus(0.25, &dense::Matrix::outer(&x, &x));
    }
    let got = curvature::gauss_newton(&p).data;
    assert_close("E[x̃x̃ᵀ]", &got, &want.data, "oracle", Identity, 1);
}
