//! The loss Hessian at the output against second derivatives by dual numbers.

use crate::net::{LOSSES, loss, probabilities};
use relfisher_core::curvature::{OutputLoss, packed_second_moments};
use relfisher_core::{Error, Real};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_close, cast, to_f64};
use relfisher_tests::oracle::dense::Matrix;
use relfisher_tests::oracle::dual::hessian;
use relfisher_tests::random::Random;
use relfisher_tests::real::{mat, mat_mut, nans};
use relfisher_tests::tolerance::Oracle::{Dense, Dual, Identity};

/// The same loss in another dtype.
pub(crate) fn typed<T: Real>(kind: OutputLoss<f64>) -> OutputLoss<T> {
    match kind {
        OutputLoss::SoftmaxCrossEntropy => OutputLoss::SoftmaxCrossEntropy,
        OutputLoss::Mse { scale } => OutputLoss::Mse { scale: T::from_f64(scale) },
        OutputLoss::BinaryCrossEntropy => OutputLoss::BinaryCrossEntropy,
    }
}

const SHAPES: [(usize, usize); 6] = [(0, 3), (1, 1), (3, 1), (1, 4), (5, 3), (4, 10)];

fn hessians_are_second_derivatives<T: Real>() {
    let mut random = Random::new(601);
    for (kind, (n, m)) in LOSSES.into_iter().flat_map(|k| SHAPES.map(|s| (k, s))) {
        let logits: Vec<Vec<f64>> = (0..n).map(|_| random.normals(m)).collect();
        let p: Vec<T> =
            cast(&logits.iter().flat_map(|f| probabilities(kind, f)).collect::<Vec<_>>());
        let exact: Vec<Matrix> =
            logits.iter().map(|f| Matrix::new(m, m, hessian(|f| loss(kind, f), f))).collect();
        let want: Vec<f64> = exact.iter().flat_map(Matrix::packed).collect();
        let (loss, pairs) = (typed::<T>(kind), m * (m + 1) / 2);
        let mut packed = nans::<T>(n * pairs);
        loss.hessian_packed(mat_mut(&mut packed, n, pairs), mat(&p, n, m)).unwrap();
        let label = format!("{kind:?} {n}×{m}");
        assert_close(&label, &packed, &want, "output hessian", Dual, m);

        // Σ_c column column ᵀ, the KFLR root
        let (mut sum, mut column) = (nans::<T>(n * pairs), nans::<T>(n * m));
        assert_eq!(loss.root_columns(m), m);
        for c in 0..m {
            loss.hessian_root(mat_mut(&mut column, n, m), mat(&p, n, m), c).unwrap();
            let beta = if c == 0 { T::ZERO } else { T::ONE };
            packed_second_moments(mat_mut(&mut sum, n, pairs), beta, mat(&column, n, m)).unwrap();
        }
        assert_close(&label, &sum, &to_f64(&packed), "output hessian", Identity, m);

        // and the triangular one, with one column less for soft-max
        let softmax = kind == OutputLoss::SoftmaxCrossEntropy;
        let count = loss.triangular_columns(m);
        assert_eq!(count, if softmax && m > 1 { m - 1 } else { m });
        sum.fill(T::NAN);
        for c in 0..count {
            loss.triangular_root(mat_mut(&mut column, n, m), mat(&p, n, m), c).unwrap();
            assert!(column.chunks(m).all(|row| row[..c].iter().all(|x| *x == T::ZERO)), "{label}");
            let beta = if c == 0 { T::ZERO } else { T::ONE };
            packed_second_moments(mat_mut(&mut sum, n, pairs), beta, mat(&column, n, m)).unwrap();
        }
        assert_close(&label, &sum, &want, "output hessian", Dual, m);
        if softmax {
            // what is left for a last column is nothing
            loss.triangular_root(mat_mut(&mut column, n, m), mat(&p, n, m), m - 1).unwrap();
            assert!(column.iter().all(|x| *x == T::ZERO), "{label}");
        }

        let (v, mut out) = (random.normals::<T>(n * m), nans::<T>(n * m));
        loss.hessian_apply(mat_mut(&mut out, n, m), mat(&p, n, m), mat(&v, n, m)).unwrap();
        let rows = exact.iter().zip(v.chunks(m)).flat_map(|(h, v)| h.apply(&to_f64(v)));
        assert_close(&label, &out, &rows.collect::<Vec<_>>(), "output hessian", Dual, m);
    }
}

fn confident_softmax_keeps_its_digits<T: Real>() {
    // p_0 = 1 − 3e-9 in f64 and exactly 1 in f32: the root and the diagonal come from the others
    let p: Vec<T> = cast(&[1.0 - 3e-9, 1e-9, 2e-9]);
    let others = p[1].to_f64() + p[2].to_f64();
    let (mut root, mut packed) = (nans::<T>(3), nans::<T>(6));
    let loss = OutputLoss::<T>::SoftmaxCrossEntropy;
    loss.hessian_root(mat_mut(&mut root, 1, 3), mat(&p, 1, 3), 0).unwrap();
    loss.hessian_packed(mat_mut(&mut packed, 1, 6), mat(&p, 1, 3)).unwrap();
    let got = [root[0], packed[0]];
    let exact = p[0].to_f64();
    assert_close(
        "1 − p",
        &got,
        &[exact.sqrt() * others, exact * others],
        "output hessian",
        Dense,
        3,
    );
    // Λ v as Σ_j p_i p_j (v_i − v_j), which has no 1 − p; each element on its own
    let v: Vec<T> = cast(&[0.7, -0.4, 1.9]);
    loss.hessian_apply(mat_mut(&mut root, 1, 3), mat(&p, 1, 3), mat(&v, 1, 3)).unwrap();
    let (exact_p, exact_v) = (to_f64(&p), to_f64(&v));
    for (i, got) in root.iter().enumerate() {
        let pairs = exact_p.iter().zip(&exact_v);
        let want: f64 = pairs.map(|(p, v)| exact_p[i] * p * (exact_v[i] - v)).sum();
        assert_close("Λ v", &[*got], &[want], "output hessian", Dense, 3);
    }
    loss.triangular_root(mat_mut(&mut root, 1, 3), mat(&p, 1, 3), 0).unwrap();
    let own = (exact * others / (exact + others)).sqrt();
    let want = [own, -p[1].to_f64() / others * own, -p[2].to_f64() / others * own];
    for (got, want) in root.iter().zip(want) {
        // each element on its own: the small ones keep their digits beside the large one
        assert_close("L", &[*got], &[want], "output hessian", Dense, 3);
    }
    // probabilities that underflowed, before, at and after the column
    for p in [[T::ZERO, T::ONE, T::ZERO], [T::ONE, T::ZERO, T::ZERO], [T::ZERO, T::ZERO, T::ONE]] {
        for c in 0..3 {
            loss.triangular_root(mat_mut(&mut root, 1, 3), mat(&p, 1, 3), c).unwrap();
            assert_eq!(root, [T::ZERO; 3], "a certain class has no curvature");
        }
    }
}

fn domains<T: Real>() {
    let (mut out, half) = (nans::<T>(2), vec![T::HALF; 2]);
    let softmax = OutputLoss::<T>::SoftmaxCrossEntropy;
    let refused = softmax.hessian_root(mat_mut(&mut out, 1, 2), mat(&half, 1, 2), 2);
    assert!(matches!(refused, Err(Error::Parameter { .. })), "column outside");
    let refused = softmax.triangular_root(mat_mut(&mut out, 1, 2), mat(&half, 1, 2), 2);
    assert!(matches!(refused, Err(Error::Parameter { .. })), "column outside");
    for (bad, loss) in [
        (-T::HALF, OutputLoss::SoftmaxCrossEntropy),
        (-T::HALF, OutputLoss::BinaryCrossEntropy),
        (T::TWO, OutputLoss::BinaryCrossEntropy),
        (T::NAN, OutputLoss::SoftmaxCrossEntropy),
        (T::INFINITY, OutputLoss::BinaryCrossEntropy),
    ] {
        let p = [T::HALF, bad];
        let refused = loss.hessian_root(mat_mut(&mut out, 1, 2), mat(&p, 1, 2), 0);
        assert!(matches!(refused, Err(Error::Parameter { .. } | Error::NonFinite { .. })), "{bad}");
        assert!(loss.triangular_root(mat_mut(&mut out, 1, 2), mat(&p, 1, 2), 0).is_err());
        let v = mat(&half, 1, 2);
        assert!(loss.hessian_apply(mat_mut(&mut out, 1, 2), mat(&p, 1, 2), v).is_err());
        assert!(loss.hessian_packed(mat_mut(&mut nans(3), 1, 3), mat(&p, 1, 2)).is_err());
    }
    for scale in [-T::ONE, T::NAN, T::INFINITY] {
        let loss = OutputLoss::Mse { scale };
        let refused = loss.hessian_root(mat_mut(&mut out, 1, 2), mat(&half, 1, 2), 0);
        assert!(matches!(refused, Err(Error::Parameter { .. })));
    }
    // mse takes no probabilities, and its packed form no length that is no triangle
    let mse = OutputLoss::Mse { scale: T::ONE };
    mse.hessian_root(mat_mut(&mut out, 1, 2), mat(&[], 0, 0), 1).unwrap();
    assert_eq!(out, [T::ZERO, T::TWO.sqrt()]);
    for (len, triangle) in [(0, true), (1, true), (2, false), (3, true), (5, false), (6, true)] {
        let answer = mse.hessian_packed(mat_mut(&mut nans(len), 1, len), mat(&[], 0, 0));
        assert_eq!(answer.is_ok(), triangle, "{len}");
    }
    for m in 0..200 {
        let len = m * (m + 1) / 2;
        mse.hessian_packed(mat_mut(&mut nans(len), 1, len), mat(&[], 0, 0)).unwrap();
    }
}

both_dtypes!(hessians_are_second_derivatives, confident_softmax_keeps_its_digits, domains);
