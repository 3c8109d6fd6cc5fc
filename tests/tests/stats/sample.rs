//! Statistics of single samples' gradients, spaces and matrices, against gradients and matrices that
//! are written out.

use relfisher_core::stats::{
    Frobenius, GradientNoise, cosine, outer_square_norms, row_products, subspace_overlap,
    subspace_share,
};
use relfisher_core::{Error, Real};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_close, cast, to_f64};
use relfisher_tests::oracle::dense::{Matrix, dot};
use relfisher_tests::random::Random;
use relfisher_tests::real::{mat, nans};
use relfisher_tests::tolerance::Oracle::{Dense, MonteCarlo};
use relfisher_tests::tolerance::tolerance;

/// ‖δ xᵀ‖² and ⟨u, g⟩ of matrices that are formed, added to what two outputs held.
fn norms_are_those_of_the_gradients<T: Real>() {
    let mut random = Random::new(5);
    for (n, m, d) in [(0, 2, 3), (1, 1, 1), (4, 3, 7), (5, 1, 300), (3, 200, 2), (2, 0, 3)] {
        let (delta, x) = (random.normals::<T>(n * m), random.normals::<T>(n * d));
        let mean = random.normals::<T>(m * d);
        let outer = |s: usize| {
            let (delta, x) = (&delta[s * m..(s + 1) * m], &x[s * d..(s + 1) * d]);
            Matrix::outer(&to_f64(delta), &to_f64(x)).data
        };
        let label = format!("{n} × {m} × {d}");
        let want: Vec<f64> = (0..n).map(|s| dot(&outer(s), &outer(s))).collect();
        let mut out = nans::<T>(n);
        outer_square_norms(&mut out, T::ZERO, mat(&delta, n, m), mat(&x, n, d)).unwrap();
        assert_close(&label, &out, &want, "sample norms", Dense, m + d);
        outer_square_norms(&mut out, T::TWO, mat(&delta, n, m), mat(&x, n, d)).unwrap();
        let thrice: Vec<f64> = want.iter().map(|x| 3.0 * x).collect();
        assert_close(&label, &out, &thrice, "sample norms", Dense, m + d);

        let rows: Vec<T> = cast(&(0..n).flat_map(outer).collect::<Vec<f64>>());
        let (mut squares, mut products) = (nans::<T>(n), nans::<T>(n));
        let formed = mat(&rows, n, m * d);
        row_products((&mut squares, &mut products), T::ZERO, formed, &mean).unwrap();
        row_products((&mut squares, &mut products), T::ONE, formed, &mean).unwrap();
        let twice: Vec<f64> = want.iter().map(|x| 2.0 * x).collect();
        assert_close(&label, &squares, &twice, "sample norms", Dense, m * d);
        let along: Vec<f64> = (0..n).map(|s| 2.0 * dot(&outer(s), &to_f64(&mean))).collect();
        // Relative to the lengths: products may cancel.
        for (s, (got, want)) in products.iter().zip(&along).enumerate() {
            let scale = (dot(&outer(s), &outer(s)) * dot(&to_f64(&mean), &to_f64(&mean))).sqrt();
            let error = (got.to_f64() - want).abs() / scale.max(f64::MIN_POSITIVE);
            assert!(error <= tolerance::<T>("sample norms", Dense, m * d), "{label}: {error}");
        }
    }
}

/// The estimators against their definitions over the samples: covariance with n − 1, McCandlish's
/// formulas for batches of 1 and n.
fn noise_is_that_of_the_samples<T: Real>() {
    let mut random = Random::new(9);
    for (n, p, shift) in [(2, 3, 0.0), (7, 4, 1.0), (50, 20, 0.3), (3, 1, 5.0)] {
        let u: Vec<Vec<f64>> =
            (0..n).map(|_| random.normals::<f64>(p).iter().map(|x| x + shift).collect()).collect();
        let mean: Vec<f64> =
            (0..p).map(|j| u.iter().map(|u| u[j]).sum::<f64>() / n as f64).collect();
        let squares: Vec<f64> = u.iter().map(|u| dot(u, u)).collect();
        let products: Vec<f64> = u.iter().map(|u| dot(u, &mean)).collect();
        let square = dot(&mean, &mean);
        let noise = GradientNoise::<T>::new(&cast(&squares), &cast(&products), T::from_f64(square));
        let noise = noise.unwrap();
        let second = squares.iter().sum::<f64>() / n as f64;
        let variance: f64 = (0..p)
            .map(|j| u.iter().map(|u| (u[j] - mean[j]).powi(2)).sum::<f64>() / (n - 1) as f64)
            .sum();
        // |G|² = (B|G_B|² − b|G_b|²)/(B − b), S = (|G_b|² − |G_B|²)/(1/b − 1/B), b = 1, B = n.
        let signal = (n as f64 * square - second) / (n as f64 - 1.0);
        let trace = (second - square) / (1.0 - 1.0 / n as f64);
        assert!((trace / variance - 1.0).abs() < 1e-12);
        let alignment =
            u.iter().map(|u| dot(u, &mean) / (dot(u, u) * square).sqrt()).sum::<f64>() / n as f64;
        let length = squares.iter().map(|q| q.sqrt()).sum::<f64>() / n as f64;
        let got = [
            noise.mean_square,
            noise.second_moment,
            noise.mean_norm,
            noise.variance,
            noise.signal,
            noise.alignment,
        ];
        let want = [square, second, length, variance, signal, alignment];
        for (i, (got, want)) in got.iter().zip(want).enumerate() {
            let scale = if i < 5 { second } else { 1.0 };
            let error = (got.to_f64() - want).abs() / scale;
            let bound = tolerance::<T>("sample norms", Dense, n);
            assert!(error <= bound, "{n} samples, {i}: {got} {want}");
        }
        if signal > 0.01 * second {
            let ratio = noise.noise_scale().to_f64() / (variance / signal);
            let snr = noise.signal_to_noise(n).to_f64() * noise.noise_scale().to_f64() / n as f64;
            let bound = 200.0 * tolerance::<T>("sample norms", Dense, n);
            assert!((ratio - 1.0).abs() < bound && (snr - 1.0).abs() < bound, "{ratio} {snr}");
        }
    }
}

fn unusual_samples_have_defined_statistics<T: Real>() {
    let (one, zero) = (T::ONE, T::ZERO);
    let refused = GradientNoise::<T>::new(&[], &[], zero);
    assert!(matches!(refused, Err(Error::Parameter { .. })), "{refused:?}");
    assert!(GradientNoise::new(&[one], &[one, one], one).is_err());
    // One sample: no variance.
    let single =
        GradientNoise::new(&[T::TWO * T::TWO], &[T::TWO * T::TWO], T::TWO * T::TWO).unwrap();
    assert!(!single.variance.is_finite() && !single.noise_scale().is_finite());
    assert_eq!((single.mean_norm, single.alignment), (T::TWO, one));
    // All zero: nothing is NaN but the quotients.
    let none = GradientNoise::new(&[zero; 3], &[zero; 3], zero).unwrap();
    assert_eq!((none.variance, none.signal, none.alignment), (zero, zero, zero));
    // All alike: no noise.
    let same = GradientNoise::new(&[one; 4], &[one; 4], one).unwrap();
    assert_eq!((same.variance, same.noise_scale(), same.alignment), (zero, zero, one));
    assert_eq!(same.signal_to_noise(4), T::INFINITY);
    // Opposite: all noise.
    let opposed = GradientNoise::new(&[one; 2], &[zero; 2], zero).unwrap();
    assert!(opposed.signal < zero && opposed.signal_to_noise(2) == zero);
    assert!(!opposed.noise_scale().is_finite());
    let bad = GradientNoise::new(&[one, T::NAN], &[one, one], one).unwrap();
    assert!(!bad.variance.is_finite() && !bad.alignment.is_finite());
    assert_eq!(cosine(&[zero, zero], &[one, one]).unwrap(), zero);
    assert!(!cosine(&[zero], &[T::NAN]).unwrap().is_finite());
    for scale in [1e-30, 1.0, 1e30] {
        let (a, b) =
            (cast::<T>(&[3.0 * scale, 4.0 * scale]), cast::<T>(&[4.0 / scale, 3.0 / scale]));
        let got = cosine(&a, &b).unwrap().to_f64();
        assert!((got - 0.96).abs() < 8.0 * T::EPSILON.to_f64(), "{scale}: {got}");
    }
}

/// Shares and overlaps of eigenvectors of random matrices against projections written out.
fn spaces_are_compared_by_their_projections<T: Real>() {
    let mut random = Random::new(4);
    for (p, k, l) in [(5, 2, 2), (9, 3, 1), (6, 6, 2), (4, 0, 0), (7, 1, 7)] {
        let mut space = |k: usize| {
            let a: Vec<f64> = random.spd(p, 50.0);
            let (_, vectors) = Matrix::new(p, p, a).eigh();
            Matrix::from_fn(k, p, |i, j| vectors.at(j, p - 1 - i))
        };
        let (u, v) = (space(k), space(l));
        let g: Vec<f64> = random.normals(p);
        let (tu, tv, tg): (Vec<T>, Vec<T>, Vec<T>) = (cast(&u.data), cast(&v.data), cast(&g));
        let share = subspace_share(mat(&tu, k, p), &tg).unwrap();
        let projected = u.t().times(&u).apply(&g);
        let want = dot(&projected, &projected) / dot(&g, &g);
        let label = format!("{k} and {l} of {p}");
        assert_close(&label, &[share], &[want], "spaces", Dense, p);
        let overlap = subspace_overlap(mat(&tu, k, p), mat(&tv, l, p)).unwrap();
        let both = u.t().times(&u).times(&v.t().times(&v)).trace() / k.max(l).max(1) as f64;
        assert_close(&label, &[overlap], &[both], "spaces", Dense, p);
        let zero = vec![T::ZERO; p];
        assert_eq!(subspace_share(mat(&tu, k, p), &zero).unwrap(), T::ZERO);
        assert!(subspace_share(mat(&tu, k, p), &tg[1..]).is_err());
    }
}

/// Unit vectors give the matrices' own error and cosine; random signs come near.
fn frobenius_is_that_of_the_matrices<T: Real>() {
    let mut random = Random::new(14);
    let p = 6;
    let [a, b] = [0, 1].map(|_| Matrix::new(p, p, random.spd(p, 10.0)));
    let error = a.plus(-1.0, &b).norm() / b.norm();
    let inner = dot(&a.data, &b.data) / (a.norm() * b.norm());
    let mut exact = Frobenius::<T>::default();
    for i in 0..p {
        exact.add(&cast::<T>(a.row(i)), &cast::<T>(b.row(i))).unwrap();
    }
    let got = [exact.relative_error(), exact.cosine()];
    assert_close("unit vectors", &got, &[error, inner], "spaces", Dense, p * p);
    let mut drawn = Frobenius::<T>::default();
    for _ in 0..4000 {
        let z: Vec<f64> = (0..p).map(|_| if random.below(2) == 0 { 1.0 } else { -1.0 }).collect();
        drawn.add(&cast::<T>(&a.apply(&z)), &cast::<T>(&b.apply(&z))).unwrap();
    }
    let got = [drawn.relative_error(), drawn.cosine()];
    assert_close("signs", &got, &[error, inner], "drawn matrices", MonteCarlo, 1);
    assert!(drawn.add(&[T::ONE], &[]).is_err());
    let none = Frobenius::<T>::default();
    assert_eq!((none.relative_error(), none.cosine()), (T::ZERO, T::ZERO));
}

both_dtypes!(
    norms_are_those_of_the_gradients,
    noise_is_that_of_the_samples,
    unusual_samples_have_defined_statistics,
    spaces_are_compared_by_their_projections,
    frobenius_is_that_of_the_matrices
);
