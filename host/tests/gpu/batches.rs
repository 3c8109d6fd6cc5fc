//! Cholesky factors, solves, eigendecompositions and the systems of the sample space.

use relfisher::Scalar;
use relfisher::executor::cuda::{Buffer, LARGEST_EIGH, MatrixMut, SquareForm, Squares};
use relfisher_core::{MatMut, factor};
use relfisher_kernels::body::jacobi;
use relfisher_kernels::contract::RightSides;

use crate::Case;
use crate::compare::{assert_close, to_f64};
use crate::lab::{Dense, Lab, assert_within, unwritten, upload};
use crate::random::Random;
use crate::tolerance::{Oracle, tolerance};

pub(crate) const CASES: &[Case] = &[
    ("spd_inverse_f32", spd_inverse::<f32>),
    ("spd_inverse_f64", spd_inverse::<f64>),
    ("cholesky_f32", cholesky::<f32>),
    ("cholesky_f64", cholesky::<f64>),
    ("a_singular_matrix_flags_itself", singular),
    ("cholesky_solve_f32", cholesky_solve::<f32>),
    ("cholesky_solve_f64", cholesky_solve::<f64>),
    ("eigh_f32", eigh::<f32>),
    ("eigh_f64", eigh::<f64>),
    ("a_matrix_of_nan_flags_itself", not_a_number),
    ("sample_solve_f32", sample_solve::<f32>),
    ("sample_solve_f64", sample_solve::<f64>),
];

const FORMS: [SquareForm; 2] = [SquareForm::Full, SquareForm::Packed];

fn store<T: Copy>(a: &[T], n: usize, form: SquareForm) -> Vec<T> {
    match form {
        SquareForm::Full => a.to_vec(),
        SquareForm::Packed => (0..n).flat_map(|i| a[i * n..=i * n + i].iter().copied()).collect(),
    }
}

/// The factor of A + λI by the core in f64, the upper triangle as A has it.
fn factored(a: &[f64], n: usize, damping: f64) -> Vec<f64> {
    let mut wide = a.to_vec();
    let matrix = MatMut::new(&mut wide, n, n).expect("a square matrix");
    factor::cholesky(matrix, damping).expect("a positive definite matrix");
    wide
}

/// Order and number of matrices: both kernels, around the sides of their blocks.
const SMALL: &[(usize, usize)] = &[(1, 5), (2, 3), (31, 3), (33, 2), (64, 2), (65, 2), (100, 2)];
const LARGE: &[(usize, usize)] = &[(32, 1000), (64, 300), (128, 200), (129, 7), (400, 2)];

fn cholesky<T: Scalar>(lab: &Lab) {
    for (n, count) in lab.shapes(SMALL, LARGE) {
        let mut random = Random::new(n as u64);
        // A few matrices in turn: making one costs more than factoring it.
        let spd: Vec<Vec<T>> = (0..count.min(3)).map(|_| random.spd(n, 10.0)).collect();
        let wanted: Vec<Vec<f64>> = spd.iter().map(|a| factored(&to_f64(a), n, 0.25)).collect();
        for form in FORMS {
            let turns = (0..count).map(|at| at % spd.len());
            let stored: Vec<T> = turns.clone().flat_map(|at| store(&spd[at], n, form)).collect();
            let mut a = upload(&lab.gpu, &stored);
            let mut flags = upload(&lab.gpu, &vec![u32::MAX; count]);
            let squares = Squares { count, order: n, form };
            let damping = T::from_f64(0.25);
            lab.gpu.cholesky(a.view_mut(), flags.view_mut(), squares, damping).expect("cholesky");
            let what = format!("cholesky of {count} × {n} {form:?}");
            assert!(flags.to_vec().expect("a copy").iter().all(|flag| *flag == 0), "{what}: flags");
            let want: Vec<f64> = turns.flat_map(|at| store(&wanted[at], n, form)).collect();
            let got = a.to_vec().expect("a copy");
            assert_close(&what, &got, &want, "cholesky_solve", Oracle::Dense, n);
        }
    }
}

/// A⁻¹(Ax) = x for a few x: an oracle that costs O(n²) at every order.
fn spd_inverse<T: Scalar>(lab: &Lab) {
    for n in lab.shapes(&[1, 63, 130], &[1000, 4097]) {
        let mut random = Random::new(n as u64);
        // Diagonally dominant, so that its condition does not grow with the order.
        let mut a: Vec<T> = random.uniforms(n * n, -0.5 / n as f64, 0.5 / n as f64);
        for i in 0..n {
            for j in 0..i {
                a[j * n + i] = a[i * n + j];
            }
            a[i * n + i] = T::from_f64(1.0 + (i % 7) as f64);
        }
        let (wide, damping) = (to_f64(&a), T::from_f64(0.25));
        let (mut inverse, mut flag) = (upload(&lab.gpu, &a), upload(&lab.gpu, &[u32::MAX]));
        let matrix = MatrixMut::new(inverse.view_mut(), n, n).expect("a square");
        lab.gpu.spd_inverse(matrix, flag.view_mut(), damping).expect("spd_inverse");
        assert_eq!(flag.to_vec().expect("a copy"), [0], "order {n}");
        let inverse = to_f64(&inverse.to_vec().expect("a copy"));
        let times = |m: &[f64], x: &[f64]| -> Vec<f64> {
            m.chunks(n).map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum()).collect()
        };
        for _ in 0..3 {
            let x: Vec<f64> = random.normals(n);
            let image = times(&wide, &x);
            let damped: Vec<f64> = image.iter().zip(&x).map(|(y, x)| y + 0.25 * x).collect();
            let found: Vec<T> = times(&inverse, &damped).into_iter().map(T::from_f64).collect();
            assert_close(
                &format!("inverse of order {n}"),
                &found,
                &x,
                "cholesky_solve",
                Oracle::Dense,
                n,
            );
        }
    }
}

fn singular(lab: &Lab) {
    for n in [20, 70] {
        let mut random = Random::new(77);
        let mut spd: Vec<Vec<f32>> = (0..4).map(|_| random.spd(n, 10.0)).collect();
        let pivot = n - 2;
        spd[1][pivot * n + pivot] = -1.0;
        spd[2][0] = f32::NAN;
        let mut a = upload(&lab.gpu, &spd.concat());
        let mut flags = upload(&lab.gpu, &[u32::MAX; 4]);
        let squares = Squares { count: 4, order: n, form: SquareForm::Full };
        lab.gpu.cholesky(a.view_mut(), flags.view_mut(), squares, 0.0).expect("cholesky");
        assert_eq!(flags.to_vec().expect("a copy"), [0, pivot as u32 + 1, 1, 0], "order {n}");
        let got = a.to_vec().expect("a copy");
        for i in [0, 3] {
            let want = factored(&to_f64(&spd[i]), n, 0.0);
            let got = &got[i * n * n..(i + 1) * n * n];
            assert_close("beside a singular one", got, &want, "cholesky_solve", Oracle::Dense, n);
        }
    }
}

/// Order, matrices, right sides.
const SOLVES: &[[usize; 3]] = &[[1, 2, 3], [31, 2, 1], [33, 3, 2], [100, 1, 40]];
const MORE_SOLVES: &[[usize; 3]] = &[[64, 500, 3], [300, 2, 513], [129, 80, 1]];

/// Right sides x of known solutions, in columns of a matrix and one after the other.
fn cholesky_solve<T: Scalar>(lab: &Lab) {
    for [n, count, sides] in lab.shapes(SOLVES, MORE_SOLVES) {
        let mut random = Random::new((n + sides) as u64);
        let spd: Vec<f64> = random.spd(n, 10.0);
        let l = factored(&spd, n, 0.0);
        let solutions: Vec<f64> = random.normals(count * n * sides);
        for (form, columns) in [(SquareForm::Full, true), (SquareForm::Packed, false)] {
            let factors: Vec<T> =
                store(&l, n, form).repeat(count).into_iter().map(T::from_f64).collect();
            let (side, element) = if columns { (1, sides) } else { (n, 1) };
            let places = RightSides {
                distance: (n * sides) as u64,
                side: side as u32,
                element: element as u32,
            };
            let at = |b: usize, k: usize, i: usize| b * n * sides + k * side + i * element;
            let mut right = vec![T::NAN; count * n * sides];
            for b in 0..count {
                for k in 0..sides {
                    for i in 0..n {
                        let sum: f64 =
                            (0..n).map(|j| spd[i * n + j] * solutions[at(b, k, j)]).sum();
                        right[at(b, k, i)] = T::from_f64(sum);
                    }
                }
            }
            let (mut x, l) = (upload(&lab.gpu, &right), upload(&lab.gpu, &factors));
            let squares = Squares { count, order: n, form };
            lab.gpu
                .cholesky_solve(x.view_mut(), (places, sides), l.view(), squares)
                .expect("cholesky_solve");
            let what = format!("{sides} solves of {count} × {n} {form:?}");
            let got = x.to_vec().expect("a copy");
            assert_close(&what, &got, &solutions, "cholesky_solve", Oracle::Dense, n);
        }
    }
}

fn eigh<T: Scalar>(lab: &Lab) {
    // 49 to 64 fit into shared memory in f32 only.
    let more = [(32, 500), (64, 100), (128, 20), (257, 1)];
    for (n, count) in lab.shapes(&[(1, 3), (2, 3), (31, 3), (33, 3), (50, 3), (66, 3)], &more) {
        let mut random = Random::new(n as u64);
        let mut matrices: Vec<Vec<T>> = vec![random.spd(n, 100.0), random.spd(n, 1.5)];
        // Many equal eigenvalues: the identity.
        matrices.push((0..n * n).map(|i| T::from_f64(f64::from(i / n == i % n))).collect());
        let stored: Vec<T> = (0..count).flat_map(|at| matrices[at % 3].clone()).collect();
        let mut a = upload(&lab.gpu, &stored);
        let mut values = unwritten::<T>(&lab.gpu, count * n);
        let mut flags = upload(&lab.gpu, &vec![u32::MAX; count]);
        let squares = Squares { count, order: n, form: SquareForm::Full };
        lab.gpu.eigh(a.view_mut(), values.view_mut(), flags.view_mut(), squares).expect("eigh");
        assert!(flags.to_vec().expect("a copy").iter().all(|flag| *flag == 0), "eigh {n}: flags");
        let (vectors, values) = (a.to_vec().expect("a copy"), values.to_vec().expect("a copy"));
        for b in (0..count.min(3)).chain([count - 1]) {
            let values = to_f64(&values[b * n..(b + 1) * n]);
            assert!(values.is_sorted(), "eigh {n}: eigenvalues not ascending");
            let vectors = to_f64(&vectors[b * n * n..(b + 1) * n * n]);
            check_decomposition::<T>(&to_f64(&matrices[b % 3]), vectors, &values);
        }
    }
    let mut a = unwritten::<T>(&lab.gpu, 1);
    let mut values = unwritten::<T>(&lab.gpu, 1);
    let mut flags = upload(&lab.gpu, &[0u32]);
    let squares = Squares::one(LARGEST_EIGH + 1);
    let views = (a.view_mut(), values.view_mut(), flags.view_mut());
    assert!(
        lab.gpu.eigh(views.0, views.1, views.2, squares).is_err(),
        "an order that is too large"
    );
}

/// A = U diag(λ) Uᵀ and UᵀU = I; the norms of both are 1.
fn check_decomposition<T: Scalar>(a: &[f64], vectors: Vec<f64>, values: &[f64]) {
    let n = values.len();
    let bound = tolerance::<T>("eigh", Oracle::Identity, n);
    let u = Dense { rows: n, cols: n, values: vectors };
    let columns = u.transposed();
    for i in 0..n {
        let scaled: Vec<f64> = u.row(i).iter().zip(values).map(|(u, l)| u * l).collect();
        for j in 0..n {
            let error = (crate::lab::dot(&scaled, u.row(j)) - a[i * n + j]).abs();
            assert!(error <= bound, "eigh {n} ({}): A off by {error:e} at ({i}, {j})", T::NAME);
            let gram = crate::lab::dot(columns.row(i), columns.row(j));
            let error = (gram - f64::from(i == j)).abs();
            assert!(error <= bound, "eigh {n} ({}): UᵀU off by {error:e} at ({i}, {j})", T::NAME);
        }
    }
}

fn not_a_number(lab: &Lab) {
    for n in [3, 70] {
        let mut matrices = vec![0.0f32; 2 * n * n];
        for i in 0..n {
            matrices[i * n + i] = 1.0;
            matrices[n * n + i * n + i] = (n - i) as f32;
        }
        matrices[n + 1] = f32::NAN;
        let (mut a, mut values) = (upload(&lab.gpu, &matrices), unwritten::<f32>(&lab.gpu, 2 * n));
        let mut flags: Buffer<u32> = upload(&lab.gpu, &[u32::MAX; 2]);
        let squares = Squares { count: 2, order: n, form: SquareForm::Full };
        lab.gpu.eigh(a.view_mut(), values.view_mut(), flags.view_mut(), squares).expect("eigh");
        assert_eq!(flags.to_vec().expect("a copy"), [jacobi::SWEEPS, 0], "order {n}");
        let want: Vec<f32> = (1..=n).map(|i| i as f32).collect();
        assert_eq!(values.to_vec().expect("a copy")[n..], want, "order {n}");
    }
}

/// x with A x = b by Gaussian elimination with pivots, in f64.
fn eliminate(mut a: Vec<f64>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for k in 0..n {
        let by = |i: &usize| a[i * n + k].abs();
        let pivot = (k..n).max_by(|i, j| by(i).total_cmp(&by(j))).expect("a row");
        for j in 0..n {
            a.swap(k * n + j, pivot * n + j);
        }
        b.swap(k, pivot);
        for i in k + 1..n {
            let share = a[i * n + k] / a[k * n + k];
            for j in k..n {
                a[i * n + j] -= share * a[k * n + j];
            }
            b[i] -= share * b[k];
        }
    }
    for k in (0..n).rev() {
        let known: f64 = (k + 1..n).map(|j| a[k * n + j] * b[j]).sum();
        b[k] = (b[k] - known) / a[k * n + k];
    }
    b
}

/// Samples and neurons.
const SAMPLES: &[(usize, usize)] = &[(1, 1), (5, 3), (33, 4), (64, 2)];

/// z ← S (λ'I + S K S)⁻¹ S z. With K of norm 1 and ν below 1, the norm of S K S is below 1 and that of
/// λ' = n/4 above 1/4: condition numbers below 5.
fn sample_solve<T: Scalar>(lab: &Lab) {
    for (n, m) in lab.shapes(SAMPLES, &[(50, 80), (64, 4096)]) {
        let mut random = Random::new((n * m) as u64);
        let k: Vec<T> = random.spd(n, 10.0);
        let nu: Vec<T> = random.uniforms(n * m, 0.0, 1.0);
        let right: Vec<T> = random.normals(n * m);
        let (kernel, weights) = (upload(&lab.gpu, &k), upload(&lab.gpu, &nu));
        let mut z = upload(&lab.gpu, &right);
        let mut flags = upload(&lab.gpu, &vec![u32::MAX; m]);
        let damping = 0.25 * n as f64;
        let arguments = ((kernel.view(), n), weights.view(), T::from_f64(damping));
        lab.gpu
            .sample_solve(z.view_mut(), flags.view_mut(), arguments.0, arguments.1, arguments.2)
            .expect("sample_solve");
        assert!(flags.to_vec().expect("a copy").iter().all(|flag| *flag == 0), "flags");
        let got = z.to_vec().expect("a copy");
        let neurons = (0..m).step_by(if m > 100 { 97 } else { 1 });
        for i in neurons {
            let roots: Vec<f64> = (0..n).map(|s| nu[s * m + i].to_f64().sqrt()).collect();
            let system = (0..n * n).map(|at| {
                let (s, t) = (at / n, at % n);
                roots[s] * k[at].to_f64() * roots[t] + if s == t { damping } else { 0.0 }
            });
            let sides = (0..n).map(|s| roots[s] * right[s * m + i].to_f64()).collect();
            let solved = eliminate(system.collect(), sides);
            let want: Vec<f64> = solved.iter().zip(&roots).map(|(x, root)| x * root).collect();
            let scale = want.iter().fold(0.0f64, |most, x| most.max(x.abs()));
            let pairs = (0..n).map(|s| (got[s * m + i], want[s]));
            let what = format!("sample_solve n {n} m {m}, neuron {i}");
            assert_within(&what, pairs, scale, ("gpu sample solve", Oracle::Dense, n));
        }
    }
    // Without damping, a neuron that a sample does not reach has a singular system.
    let (n, m) = (5, 3);
    let mut random = Random::new(71);
    let k: Vec<T> = random.spd(n, 4.0);
    let mut nu: Vec<T> = random.uniforms(n * m, 0.5, 1.0);
    nu[2 * m + 1] = T::ZERO;
    let (kernel, weights) = (upload(&lab.gpu, &k), upload(&lab.gpu, &nu));
    let mut z = upload(&lab.gpu, &random.normals::<T>(n * m));
    let mut flags = upload(&lab.gpu, &[u32::MAX; 3]);
    lab.gpu
        .sample_solve(z.view_mut(), flags.view_mut(), (kernel.view(), n), weights.view(), T::ZERO)
        .expect("sample_solve");
    assert_eq!(flags.to_vec().expect("a copy"), [0, 3, 0]);
}
