//! Extremal eigenpairs: repeated, clustered, missing, indefinite, small and large.

use relfisher::executor::Cpu;
use relfisher::spectrum::{self, Eigenpairs, ExtremalOptions, LinearOperator, Outcome, Which};
use relfisher::{Error, Scalar};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_bits_equal, assert_close, cast, to_f64};
use relfisher_tests::oracle::dense::{Matrix, dot};
use relfisher_tests::random::Random;
use relfisher_tests::tolerance::Oracle::{Definition, Identity};

use crate::operators::{Broken, Reflected};

fn cpu(threads: usize) -> Cpu {
    Cpu::new(Some(threads)).expect("threads")
}

fn find<T: Scalar>(
    operator: &mut dyn LinearOperator<T>,
    which: Which,
    options: &ExtremalOptions,
) -> Result<Eigenpairs<T>, Error> {
    spectrum::extremal(operator, &cpu(1), which, options, &mut |_| {})
}

/// Both ends: values, orthonormal vectors, residuals, products, the same bits with more threads.
fn check<T: Scalar>(label: &str, operator: &mut Reflected, k: usize) {
    let descending = operator.descending();
    let n = descending.len();
    let size = descending.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    for (which, label) in [
        (Which::Largest(k), format!("{label}: {k} largest of {n}")),
        (Which::Smallest(k), format!("{label}: {k} smallest of {n}")),
    ] {
        operator.products = 0;
        let pairs = find::<T>(operator, which, &ExtremalOptions::default()).expect(&label);
        assert_eq!(pairs.outcome, Outcome::Complete, "{label}");
        assert_eq!(pairs.products, operator.products, "{label}");
        let k = k.min(n);
        assert_eq!(pairs.values.len(), k, "{label}");
        let want: Vec<f64> = match which {
            Which::Largest(_) => descending[..k].to_vec(),
            Which::Smallest(_) => descending.iter().rev().take(k).copied().collect(),
        };
        // relative to the largest |eigenvalue| of all
        let scale = |x: f64| T::from_f64(if size > 0.0 { x / size } else { x });
        let errors: Vec<T> =
            to_f64(&pairs.values).iter().zip(&want).map(|(a, b)| scale(a - b)).collect();
        assert_close(&label, &errors, &vec![0.0; k], "eigenvalue", Definition, n);
        let x = Matrix::new(k, n, to_f64(&pairs.vectors));
        let unit: Vec<T> = cast(&x.times(&x.t()).data);
        assert_close(&label, &unit, &Matrix::identity(k).data, "lanczos", Identity, n);
        for i in 0..k {
            let image = operator.product(x.row(i));
            let value = pairs.values[i].to_f64();
            let rest: Vec<f64> = image.iter().zip(x.row(i)).map(|(y, x)| y - value * x).collect();
            let residual = scale(dot(&rest, &rest).sqrt());
            assert_close(&label, &[residual], &[0.0], "residual", Definition, n);
            let told = [scale(pairs.residuals[i].to_f64()) - residual];
            assert_close(&label, &told, &[0.0], "told residual", Definition, n);
        }
        let three = cpu(3);
        let options = ExtremalOptions::default();
        let again =
            spectrum::extremal::<T>(operator, &three, which, &options, &mut |_| {}).expect(&label);
        assert_bits_equal(&label, &again.values, &pairs.values);
        assert_bits_equal(&label, &again.vectors, &pairs.vectors);
    }
}

fn spread(random: &mut Random, n: usize, low: f64, high: f64) -> Vec<f64> {
    random.uniforms(n, low, high)
}

fn distinct<T: Scalar>() {
    let mut random = Random::new(1);
    for (n, k) in [(1, 1), (2, 1), (5, 9), (40, 3), (43, 5), (60, 59), (120, 7), (300, 20)] {
        let values = spread(&mut random, n, -1.0, 2.0);
        check::<T>("random", &mut Reflected::new(&mut random, &values), k);
        let values: Vec<f64> = (0..n).map(|i| 10f64.powf(-(i as f64) / 15.0)).collect();
        check::<T>("geometric", &mut Reflected::new(&mut random, &values), k.min(6));
    }
}

fn repeated<T: Scalar>() {
    let mut random = Random::new(2);
    let mut values = spread(&mut random, 150, 0.0, 1.0);
    values.extend([3.0, 3.0, 3.0, 2.0, 1.5, 1.5, -1.0, -1.0]);
    for k in [1, 2, 3, 4, 6, 8] {
        check::<T>("threefold", &mut Reflected::new(&mut random, &values), k);
    }
    // not one vector of the space is special
    let mut values = spread(&mut random, 100, 0.0, 1.0);
    values.extend([2.0; 40]);
    check::<T>("fortyfold", &mut Reflected::new(&mut random, &values), 10);
    check::<T>("identity", &mut Reflected::new(&mut random, &[2.5; 90]), 5);
    check::<T>("minus identity", &mut Reflected::new(&mut random, &[-2.5; 90]), 5);
    // the operator is diagonal: coordinate vectors are eigenvectors
    let mut values = vec![0.0; 200];
    values[7] = 1.0;
    values[100] = 1.0;
    check::<T>("projection", &mut Reflected::diagonal(&values), 4);
}

fn low_rank<T: Scalar>() {
    let mut random = Random::new(3);
    check::<T>("zero", &mut Reflected::new(&mut random, &[0.0; 80]), 3);
    check::<T>("zero", &mut Reflected::new(&mut random, &[0.0]), 1);
    let mut values = vec![0.0; 100];
    values[0] = 5.0;
    check::<T>("rank one", &mut Reflected::new(&mut random, &values), 4);
    values[0] = -5.0;
    check::<T>("negative rank one", &mut Reflected::new(&mut random, &values), 4);
    for (i, v) in values.iter_mut().take(7).enumerate() {
        *v = 1.0 + i as f64;
    }
    check::<T>("rank seven", &mut Reflected::new(&mut random, &values), 6);
    check::<T>("rank seven", &mut Reflected::new(&mut random, &values), 10);
    // more than a basis holds
    let mut values = vec![0.0; 400];
    values.iter_mut().take(120).for_each(|v| *v = random.uniform(0.5, 2.0));
    check::<T>("rank 120", &mut Reflected::new(&mut random, &values), 5);
}

fn indefinite<T: Scalar>() {
    let mut random = Random::new(4);
    let values: Vec<f64> =
        (0..160).map(|i| (1.0 + f64::from(i / 2) / 20.0) * [1.0, -1.0][i as usize % 2]).collect();
    check::<T>("± pairs", &mut Reflected::new(&mut random, &values), 6);
    let mut values = spread(&mut random, 200, -1e-3, 1e-3);
    values.extend([1.0, 0.5, -0.25]);
    check::<T>("mostly small", &mut Reflected::new(&mut random, &values), 5);
    for scale in [1e-12, 1e12] {
        let scaled: Vec<f64> = values.iter().map(|v| v * scale).collect();
        check::<T>("scaled", &mut Reflected::new(&mut random, &scaled), 4);
    }
}

fn clustered<T: Scalar>() {
    let mut random = Random::new(5);
    for distance in [1e-3, 1e-6, 1e-9] {
        let mut values = spread(&mut random, 150, 0.0, 0.9);
        values.extend((0..12).map(|i| 1.0 - distance * f64::from(i)));
        check::<T>("cluster", &mut Reflected::new(&mut random, &values), 8);
    }
    // the k-th value lies inside an even ramp
    let values: Vec<f64> = (0..400).map(f64::from).collect();
    check::<T>("ramp", &mut Reflected::new(&mut random, &values), 5);
}

/// Wanted eigenvalues inside a dense bulk, some of them twice; too large to be written out.
fn bulk<T: Scalar>() {
    let mut random = Random::new(8);
    for k in [1, 4] {
        let mut values = spread(&mut random, 2500, -1.0, 1.0);
        values.sort_by(f64::total_cmp);
        for i in [1, 2, 2496, 2498] {
            values[i] = values[i + 1];
        }
        check::<T>("bulk", &mut Reflected::new(&mut random, &values), k);
    }
}

/// The iteration gives up on eigenvalues that are nearly equal, and the matrix is written out.
fn fallback<T: Scalar>() {
    let mut random = Random::new(9);
    let n = 150;
    let mut values = vec![1.0; n];
    for (i, v) in values.iter_mut().take(n / 2).enumerate() {
        *v = 3e-4 * i as f64 / n as f64;
    }
    let mut operator = Reflected::new(&mut random, &values);
    let options = ExtremalOptions { basis: Some(4), ..ExtremalOptions::default() };
    let pairs = find::<T>(&mut operator, Which::Smallest(2), &options).expect("pairs");
    assert_eq!((pairs.products, pairs.outcome), (2 * n, Outcome::Complete));
    let want = [0.0, 3e-4 / n as f64];
    let errors: Vec<T> =
        to_f64(&pairs.values).iter().zip(want).map(|(a, b)| T::from_f64(a - b)).collect();
    assert_close("fallback", &errors, &[0.0; 2], "eigenvalue", Definition, n);
    // a larger basis needs no more products than there are distinct eigenvalues, and some to look
    // for more
    let options = ExtremalOptions { basis: Some(100), ..ExtremalOptions::default() };
    let pairs = find::<T>(&mut operator, Which::Smallest(2), &options).expect("pairs");
    assert_eq!(pairs.outcome, Outcome::Complete);
    assert!(pairs.products < 2 * n, "{} products", pairs.products);
}

/// Outliers above a bulk, as networks have them: one pass of the basis or a few.
fn outliers<T: Scalar>() {
    let mut random = Random::new(6);
    let n = 20_000;
    let mut values = spread(&mut random, n - 10, -0.05, 1.0);
    values.extend((0..10).map(|i| 3.0 + 2.0 * f64::from(i)));
    let mut operator = Reflected::new(&mut random, &values);
    let (options, mut calls) = (ExtremalOptions::default(), Vec::new());
    let pairs =
        spectrum::extremal::<T>(&mut operator, &cpu(2), Which::Largest(10), &options, &mut |p| {
            calls.push(*p)
        })
        .expect("pairs");
    let want = &operator.descending()[..10];
    assert_close("outliers", &pairs.values, want, "eigenvalue", Definition, n);
    assert_eq!(pairs.outcome, Outcome::Complete);
    assert!(pairs.products <= 120, "{} products", pairs.products);
    assert!(calls.windows(2).all(|w| w[0].products <= w[1].products));
    assert_eq!(calls.last().map(|p| (p.products, p.done)), Some((pairs.products, 10)));
}

fn seeds_and_limits<T: Scalar>() {
    let mut random = Random::new(7);
    let values = spread(&mut random, 500, 0.0, 1.0);
    let mut operator = Reflected::new(&mut random, &values);
    let find = |operator: &mut Reflected, seed, max_products| {
        let options = ExtremalOptions { seed, max_products, ..ExtremalOptions::default() };
        find::<T>(operator, Which::Largest(4), &options).expect("pairs")
    };
    let (one, two) = (find(&mut operator, 1, 10_000), find(&mut operator, 2, 10_000));
    assert_close("seeds", &two.values, &to_f64(&one.values), "eigenvalue", Definition, 500);
    assert_ne!(one.vectors, two.vectors, "another seed, another start");

    // too few products: the best pairs so far, with their true residuals
    for limit in [5, 6, 12, 30] {
        let pairs = find(&mut operator, 1, limit);
        assert_eq!(pairs.outcome, Outcome::Unfinished, "{limit} products");
        assert!(pairs.products <= limit && pairs.values.len() <= 4);
        assert_eq!(pairs.values.len(), 4.min(limit - 4), "{limit} products");
        for (i, x) in pairs.vectors.chunks(500).enumerate() {
            let (x, value) = (to_f64(x), pairs.values[i].to_f64());
            let rest: Vec<f64> =
                operator.product(&x).iter().zip(&x).map(|(y, x)| y - value * x).collect();
            let residual = [T::from_f64(dot(&rest, &rest).sqrt())];
            let told = [pairs.residuals[i].to_f64()];
            assert_close("told", &residual, &told, "told residual", Definition, 500);
        }
    }
    let nothing = find(&mut operator, 1, 20_000);
    assert_eq!(nothing.outcome, Outcome::Complete);
}

fn refusals<T: Scalar>() {
    let mut operator = Reflected::diagonal(&[1.0; 50]);
    let few = ExtremalOptions { max_products: 3, ..ExtremalOptions::default() };
    let refused = find::<T>(&mut operator, Which::Largest(3), &few).expect_err("too few products");
    assert_eq!(refused.exit_code(), 2);
    let odd = ExtremalOptions { tolerance: f64::NAN, ..ExtremalOptions::default() };
    let refused = find::<T>(&mut operator, Which::Largest(3), &odd).expect_err("NaN tolerance");
    assert!(refused.to_string().contains("tolerance"), "{refused}");
    let options = ExtremalOptions::default();
    for k in [2, 60] {
        let refused = find::<T>(&mut Broken, Which::Smallest(k), &options).expect_err("NaN");
        assert_eq!(refused.exit_code(), 1);
        assert!(refused.to_string().contains("product 1: element 7"), "{refused}");
    }
    let nothing = find::<T>(&mut operator, Which::Largest(0), &options).expect("nothing");
    assert_eq!((nothing.products, nothing.outcome), (0, Outcome::Complete));
    let empty = find::<T>(&mut Reflected::diagonal(&[]), Which::Smallest(2), &options);
    assert!(empty.expect("nothing").values.is_empty());
    // asymmetric by mistake: the residuals tell
    struct Shift;
    impl<T: Scalar> LinearOperator<T> for Shift {
        fn len(&self) -> usize {
            30
        }
        fn apply(&mut self, out: &mut [T], v: &[T]) -> Result<(), Error> {
            out.copy_from_slice(v);
            out.rotate_left(1);
            Ok(())
        }
    }
    let pairs = find::<T>(&mut Shift, Which::Largest(2), &options).expect("pairs");
    assert_eq!(pairs.outcome, Outcome::Unfinished);
}

both_dtypes!(
    distinct,
    repeated,
    low_rank,
    indefinite,
    clustered,
    bulk,
    fallback,
    outliers,
    seeds_and_limits,
    refusals,
);
