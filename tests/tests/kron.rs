//! Kronecker algebra against dense Kronecker products in f64.

use relfisher_core::kron::{
    self, BiasCorrection, Damping, FactorDamping, KronCholesky, KronEigen, moving_average,
};
use relfisher_core::{Error, Portable, Real};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_bits_equal, assert_close, to_f64};
use relfisher_tests::oracle::dense::Matrix;
use relfisher_tests::random::Random;
use relfisher_tests::real::{mat, mat_mut, nans};
use relfisher_tests::tolerance::Oracle::Dense;

const SHAPES: [(usize, usize); 7] = [(1, 1), (1, 4), (5, 1), (2, 3), (4, 4), (7, 3), (3, 17)];

fn matrix<T: Real>(data: &[T], rows: usize, cols: usize) -> Matrix {
    Matrix::new(rows, cols, to_f64(data))
}

fn to_t<T: Real>(x: &[f64]) -> Vec<T> {
    x.iter().map(|x| T::from_f64(*x)).collect()
}

fn products<T: Real>() {
    let mut random = Random::new(21);
    // rectangular factors too, and empty ones
    for (p, m, q, d) in
        [(1, 1, 1, 1), (2, 3, 4, 5), (5, 2, 1, 7), (3, 3, 6, 6), (0, 2, 3, 4), (2, 0, 3, 4)]
    {
        let (g, a) = (random.normals::<T>(p * m), random.normals::<T>(q * d));
        let v = random.normals::<T>(m * d);
        let dense = matrix(&g, p, m).kron(&matrix(&a, q, d));
        let (mut out, need) = (nans::<T>(p * q), kron::apply_workspace_len(p, d));
        let (gv, av, vv) = (mat(&g, p, m), mat(&a, q, d), mat(&v, m, d));
        kron::apply(&Portable, mat_mut(&mut out, p, q), gv, av, vv, &mut nans(need)).unwrap();
        assert_close("apply", &out, &dense.apply(&to_f64(&v)), "kron", Dense, m * d + 1);
        if need > 0 {
            let mut work = nans(need - 1);
            let short = kron::apply(&Portable, mat_mut(&mut out, p, q), gv, av, vv, &mut work);
            assert_eq!(short, Err(Error::Workspace { needed: need, found: need - 1 }));
        }
        let mut full = nans::<T>(p * q * m * d);
        kron::materialise(mat_mut(&mut full, p * q, m * d), gv, av).unwrap();
        assert_close("materialise", &full, &dense.data, "kron", Dense, 1);
        for index in 0..p * q {
            let mut row = nans::<T>(m * d);
            kron::row(mat_mut(&mut row, m, d), gv, av, index).unwrap();
            assert_bits_equal("row", &row, &full[index * m * d..(index + 1) * m * d]);
        }
        for index in 0..m * d {
            let mut column = nans::<T>(p * q);
            kron::column(mat_mut(&mut column, p, q), gv, av, index).unwrap();
            let want: Vec<T> = (0..p * q).map(|i| full[i * m * d + index]).collect();
            assert_bits_equal("column", &column, &want);
        }
        let outside = kron::row(mat_mut(&mut nans::<T>(m * d), m, d), gv, av, p * q);
        assert!(matches!(outside, Err(Error::Parameter { .. })));
        let wrong = kron::apply(
            &Portable,
            mat_mut(&mut nans::<T>(100), p, q + 1),
            gv,
            av,
            vv,
            &mut nans(100),
        );
        assert!(matches!(wrong, Err(Error::Shape { .. })));
    }
}

fn forms<T: Real>() {
    let mut random = Random::new(22);
    for (m, d) in SHAPES {
        let (g, a) = (random.spd::<T>(m, 5.0), random.spd::<T>(d, 5.0));
        let (h, b) = (random.normals::<T>(m * m), random.normals::<T>(d * d));
        let v = random.normals::<T>(m * d);
        let dense = matrix(&g, m, m).kron(&matrix(&a, d, d));
        let other = matrix(&h, m, m).kron(&matrix(&b, d, d));
        let (gv, av) = (mat(&g, m, m), mat(&a, d, d));
        let mut work = nans(kron::quadratic_form_workspace_len(m, d));
        let quadratic = kron::quadratic_form(&Portable, gv, av, mat(&v, m, d), &mut work).unwrap();
        let trace = kron::trace(gv, av).unwrap();
        let inner = kron::frobenius_inner((gv, av), (mat(&h, m, m), mat(&b, d, d))).unwrap();
        let size: f64 = dense.data.iter().zip(&other.data).map(|(x, y)| (x * y).abs()).sum();
        let product: f64 = dense.data.iter().zip(&other.data).map(|(x, y)| x * y).sum();
        let n = m * d;
        assert_close(
            "quadratic",
            &[quadratic],
            &[dense.quadratic_form(&to_f64(&v))],
            "kron",
            Dense,
            n,
        );
        assert_close("trace", &[trace], &[dense.trace()], "kron", Dense, n);
        let sized = [inner, T::from_f64(size)];
        assert_close("inner", &sized, &[product, size], "kron", Dense, n);
        let mut diagonal = nans::<T>(n);
        kron::diagonal(mat_mut(&mut diagonal, m, d), gv, av).unwrap();
        let want: Vec<f64> = (0..n).map(|i| dense.at(i, i)).collect();
        assert_close("diagonal", &diagonal, &want, "kron", Dense, 1);
    }
}

fn cholesky_inverse<T: Real>() {
    let mut random = Random::new(23);
    for (m, d) in SHAPES {
        let (g, a) = (random.spd::<T>(m, 10.0), random.spd::<T>(d, 10.0));
        let v = random.normals::<T>(m * d);
        let lambda = 0.01;
        for damping in [Damping::Factored, Damping::Pi, Damping::Exact] {
            let (gv, av) = (mat(&g, m, m), mat(&a, d, d));
            let split = kron::split_damping(gv, av, T::from_f64(lambda), damping).unwrap();
            let (g64, a64) = (matrix(&g, m, m), matrix(&a, d, d));
            let pi = ((a64.trace() / d as f64) / (g64.trace() / m as f64)).sqrt();
            let want = match damping {
                Damping::Factored => [lambda, lambda],
                Damping::Pi => [lambda.sqrt() / pi, lambda.sqrt() * pi],
                Damping::Exact => [0.0, 0.0],
            };
            assert_close("split", &[split.g, split.a], &want, "kron", Dense, m + d);
            let (mut lg, mut la) = (g.clone(), a.clone());
            let factors = KronCholesky::factor(
                &Portable,
                mat_mut(&mut lg, m, m),
                mat_mut(&mut la, d, d),
                split,
            )
            .unwrap();
            let dense = g64.damped(want[0]).kron(&a64.damped(want[1]));
            let mut x = v.clone();
            let mut work = nans(kron::kron_cholesky_solve_workspace_len(m, d));
            factors.solve(&Portable, mat_mut(&mut x, m, d), &mut work).unwrap();
            let want = dense.solve_vector(&to_f64(&v));
            assert_close("solve", &x, &want, "kron inverse", Dense, m + d);
            let mut two: Vec<T> = v.iter().map(|x| *x + *x).chain(v.iter().copied()).collect();
            factors.solve_stacked(&Portable, mat_mut(&mut two, 2 * m, d), &mut work).unwrap();
            let twice: Vec<f64> =
                want.iter().map(|w| 2.0 * w).chain(want.iter().copied()).collect();
            assert_close("stacked solve", &two, &twice, "kron inverse", Dense, m + d);
            let scale = (m * d + 1) as f64;
            let got = [factors.log_determinant().unwrap(), T::from_f64(scale)];
            let want = [dense.log_determinant(), scale];
            assert_close("log det", &got, &want, "log_determinant", Dense, m + d);
        }
    }
}

fn eigen_inverse_and_powers<T: Real>() {
    let mut random = Random::new(24);
    for (m, d) in SHAPES {
        let (g, a) = (random.spd::<T>(m, 10.0), random.spd::<T>(d, 10.0));
        let v = random.normals::<T>(m * d);
        let dense = matrix(&g, m, m).kron(&matrix(&a, d, d));
        let (mut ug, mut ua) = (g.clone(), a.clone());
        let (mut sg, mut sa) = (nans::<T>(m), nans::<T>(d));
        let mut work = nans(kron::kron_eigen_factor_workspace_len(m, d));
        let eigen = KronEigen::factor(
            &Portable,
            (mat_mut(&mut ug, m, m), &mut sg),
            (mat_mut(&mut ua, d, d), &mut sa),
            &mut work,
        )
        .unwrap();
        let need = kron::kron_eigen_apply_workspace_len(m, d);
        for lambda in [0.0, 0.01, 1.0] {
            let damped = dense.damped(lambda);
            let l = T::from_f64(lambda);
            let mut x = v.clone();
            eigen.solve(&Portable, mat_mut(&mut x, m, d), l, &mut nans(need)).unwrap();
            let want = damped.solve_vector(&to_f64(&v));
            assert_close("eigen solve", &x, &want, "kron inverse", Dense, m + d);
            for p in [0.0, 0.25, 0.5, 1.0] {
                let mut x = v.clone();
                let power = T::from_f64(p);
                eigen.power(&Portable, mat_mut(&mut x, m, d), power, l, &mut nans(need)).unwrap();
                let want = damped.function(|s| s.powf(-p)).apply(&to_f64(&v));
                assert_close(&format!("power {p}"), &x, &want, "kron inverse", Dense, m + d);
            }
            let scale = (m * d + 1) as f64;
            let got = [eigen.log_determinant(l).unwrap(), T::from_f64(scale)];
            let want = [damped.log_determinant(), scale];
            assert_close("eigen log det", &got, &want, "kron inverse", Dense, m + d);
        }
        let mut x = v.clone();
        let short = eigen.solve(&Portable, mat_mut(&mut x, m, d), T::ONE, &mut nans(need - 1));
        assert_eq!(short, Err(Error::Workspace { needed: need, found: need - 1 }));
        let outside =
            eigen.power(&Portable, mat_mut(&mut x, m, d), T::TWO, T::ONE, &mut nans(need));
        assert!(matches!(outside, Err(Error::Parameter { .. })));
        x[0] = T::NAN;
        let refused = eigen.solve(&Portable, mat_mut(&mut x, m, d), T::ONE, &mut nans(need));
        assert!(matches!(refused, Err(Error::NonFinite { index: 0, .. })));
    }
}

fn singular_factors<T: Real>() {
    let (m, d) = (3, 4);
    let mut random = Random::new(25);
    let u = matrix(&random.normals::<T>(d), d, 1);
    let (g, a) = (random.spd::<T>(m, 2.0), to_t::<T>(&u.times(&u.t()).data));
    let none = FactorDamping { g: T::ZERO, a: T::ZERO };
    let (mut lg, mut la) = (g.clone(), a.clone());
    let refused =
        KronCholesky::factor(&Portable, mat_mut(&mut lg, m, m), mat_mut(&mut la, d, d), none);
    assert!(
        matches!(refused, Err(Error::NotPositiveDefinite { block: 1, pivot: 1 })),
        "{refused:?}"
    );
    let (mut ug, mut ua) = (g.clone(), a.clone());
    let (mut sg, mut sa) = (nans::<T>(m), nans::<T>(d));
    let mut work = nans(kron::kron_eigen_factor_workspace_len(m, d));
    let eigen = KronEigen::factor(
        &Portable,
        (mat_mut(&mut ug, m, m), &mut sg),
        (mat_mut(&mut ua, d, d), &mut sa),
        &mut work,
    )
    .unwrap();
    let mut work = nans(kron::kron_eigen_apply_workspace_len(m, d));
    let mut v = random.normals::<T>(m * d);
    let refused = eigen.solve(&Portable, mat_mut(&mut v, m, d), T::ZERO, &mut work);
    assert!(matches!(refused, Err(Error::NotPositiveDefinite { block: 1, .. })), "{refused:?}");
    // with damping it is exact: (G ⊗ uuᵀ + λI)⁻¹
    let dense = matrix(&g, m, m).kron(&matrix(&a, d, d)).damped(0.5);
    let want = dense.solve_vector(&to_f64(&v));
    eigen.solve(&Portable, mat_mut(&mut v, m, d), T::HALF, &mut work).unwrap();
    assert_close("singular, damped", &v, &want, "kron inverse", Dense, m + d);
    // traces of zero: both factors get λ
    let zero = vec![T::ZERO; m * m];
    let split = kron::split_damping(mat(&zero, m, m), mat(&a, d, d), T::HALF, Damping::Pi).unwrap();
    assert_eq!((split.g, split.a), (T::HALF, T::HALF));
    for lambda in [-T::ONE, T::NAN, T::INFINITY] {
        let refused = kron::split_damping(mat(&g, m, m), mat(&a, d, d), lambda, Damping::Pi);
        assert!(matches!(refused, Err(Error::Parameter { .. })));
    }
}

fn averages<T: Real>() {
    let mut random = Random::new(26);
    let (len, rho) = (9, 0.75);
    let values: Vec<Vec<T>> = (0..6).map(|_| random.normals(len)).collect();
    for correction in [BiasCorrection::None, BiasCorrection::Normalised, BiasCorrection::Warm] {
        let mut average =
            if correction == BiasCorrection::None { vec![T::ZERO; len] } else { nans(len) };
        for t in 1..=values.len() {
            let step = t as u64;
            moving_average(&mut average, &values[t - 1], T::from_f64(rho), correction, step)
                .unwrap();
            // the definition: a weighted sum of all values so far
            let newest = |s: usize| match correction {
                BiasCorrection::Warm => (1.0 - rho).max(1.0 / s as f64),
                _ => 1.0 - rho,
            };
            let weight =
                |s: usize| newest(s) * (s + 1..=t).map(|u| 1.0 - newest(u)).product::<f64>();
            let total = match correction {
                BiasCorrection::Normalised => (1..=t).map(weight).sum::<f64>(),
                _ => 1.0,
            };
            let want: Vec<f64> = (0..len)
                .map(|i| {
                    (1..=t).map(|s| weight(s) * values[s - 1][i].to_f64()).sum::<f64>() / total
                })
                .collect();
            assert_close(&format!("{correction:?} {t}"), &average, &want, "kron", Dense, t);
        }
    }
    let mut average = vec![T::ZERO; 2];
    let refused = moving_average(&mut average, &[T::ONE; 3], T::HALF, BiasCorrection::None, 1);
    assert!(matches!(refused, Err(Error::Shape { .. })));
    for (decay, step) in [(T::ONE, 1), (-T::HALF, 1), (T::NAN, 1), (T::HALF, 0)] {
        let refused = moving_average(&mut average, &[T::ONE; 2], decay, BiasCorrection::Warm, step);
        assert!(matches!(refused, Err(Error::Parameter { .. })));
    }
}

fn triangles<T: Real>() {
    let mut random = Random::new(27);
    for d in [0, 1, 2, 7] {
        let a = random.spd::<T>(d, 3.0);
        let mut packed = nans::<T>(kron::packed_len(d));
        kron::pack(&mut packed, mat(&a, d, d)).unwrap();
        assert_bits_equal("pack", &packed, &to_t::<T>(&matrix(&a, d, d).packed()));
        for i in 0..d {
            for j in 0..d {
                assert_eq!(packed[kron::packed_index(i, j)], a[i * d + j]);
            }
        }
        let mut back = nans::<T>(d * d);
        kron::unpack(mat_mut(&mut back, d, d), &packed).unwrap();
        assert_bits_equal("unpack", &back, &a);
        let refused = kron::pack(&mut nans::<T>(d + 100), mat(&a, d, d));
        assert!(matches!(refused, Err(Error::Shape { .. })));
    }
}

both_dtypes!(
    products,
    forms,
    cholesky_inverse,
    eigen_inverse_and_powers,
    singular_factors,
    averages,
    triangles,
);
