//! Determinantal averages: exactly unbiased over all subsets, where the plain average is not.

use relfisher_core::optim::{DeterminantalAverage, DeterminantalSums};
use relfisher_core::{Error, Real};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_bits_equal, assert_close, cast, relative_error};
use relfisher_tests::oracle::dense::{Matrix, dot};
use relfisher_tests::random::Random;
use relfisher_tests::tolerance::Oracle::Dense;

/// H_S = λI + Σ_{i ∈ S} x_i x_iᵀ/(n q) for every subset S of n data, each kept with probability q: the
/// subset's probability, its matrix, and the mean of all.
fn subsets(n: usize, d: usize, q: f64, lambda: f64) -> (Vec<(f64, Matrix)>, Matrix) {
    let mut random = Random::new(91);
    let x: Vec<f64> = random.normals(n * d);
    let sum = |scale: f64, kept: &dyn Fn(usize) -> bool| {
        let rows = x.chunks_exact(d).enumerate().filter(|(i, _)| kept(*i));
        let start = Matrix::identity(d).scaled(lambda);
        rows.fold(start, |sum, (_, x)| sum.plus(scale, &Matrix::outer(x, x)))
    };
    let all = (0..1_usize << n).map(|set| {
        let size = set.count_ones() as i32;
        let probability = q.powi(size) * (1.0 - q).powi(n as i32 - size);
        (probability, sum(1.0 / (n as f64 * q), &|i| set >> i & 1 == 1))
    });
    (all.collect(), sum(1.0 / n as f64, &|_| true))
}

/// E[det(H) H⁻¹g]/E[det H] = (E H)⁻¹g to rounding; E[H⁻¹g] is far from it.
fn the_expectation_is_the_step_of_the_mean<T: Real>() {
    let (n, d) = (8, 3);
    let (all, mean) = subsets(n, d, 0.4, 0.1);
    let g: Vec<f64> = Random::new(92).normals(d);
    let want = mean.solve_vector(&g);
    let mut got = vec![T::NAN; d];
    let mut average = DeterminantalAverage::new(&mut got);
    let mut plain = vec![0.0; d];
    for (probability, h) in &all {
        let step = h.solve_vector(&g);
        // The expectation: a subset counts as often as it is likely.
        average.add(&cast::<T>(&step), h.log_determinant() + probability.ln()).unwrap();
        plain.iter_mut().zip(&step).for_each(|(p, s)| *p += probability * s);
    }
    average.finish().unwrap();
    assert_close("determinantal", &got, &want, "determinantal average", Dense, 1);
    let bias = relative_error(&plain, &want);
    assert!(bias > 0.2, "the plain average is off by {bias}");
}

/// Logarithms of any size: only their differences count.
fn determinants_never_overflow<T: Real>() {
    let mut results = Vec::new();
    for shift in [0.0, 1e6, -1e6] {
        let mut got = vec![T::NAN; 2];
        let mut average = DeterminantalAverage::new(&mut got);
        for (k, weight) in [0.1_f64, 2.0, 0.5, 4.0].into_iter().enumerate() {
            let step = [T::from_usize(k), T::ONE];
            average.add(&step, weight.ln() + shift).unwrap();
        }
        let workers = average.finish().unwrap();
        assert!((workers - 6.6 * 6.6 / 20.26).abs() < 1e-6, "{workers}");
        results.push(got);
    }
    let want = [(2.0 + 2.0 * 0.5 + 3.0 * 4.0) / 6.6, 1.0];
    for got in results {
        // ln w loses digits beside 10⁶.
        assert!(relative_error(&got, &want) < 1e-6, "{got:?}");
    }
    // A worker with no weight beside another counts as none.
    let mut got = vec![T::NAN; 1];
    let mut average = DeterminantalAverage::new(&mut got);
    average.add(&[T::ONE], 0.0).unwrap();
    average.add(&[T::TWO], 5e8).unwrap();
    assert_eq!(average.finish(), Ok(1.0));
    assert_eq!(got, [T::TWO]);
}

/// Taken up anew at every step: the same bits as in one piece.
fn an_average_goes_on_over_the_same_vector<T: Real>() {
    let mut random = Random::new(93);
    let (mut got, mut pieces) = (vec![T::NAN; 5], vec![T::NAN; 5]);
    let mut average = DeterminantalAverage::new(&mut got);
    let mut sums = DeterminantalSums::default();
    for log_determinant in [-2.0, 5.0, 4.5, 800.0, 799.0, -1e5] {
        let step = random.normals::<T>(5);
        average.add(&step, log_determinant).unwrap();
        let mut piece = DeterminantalAverage::resume(&mut pieces, sums).unwrap();
        piece.add(&step, log_determinant).unwrap();
        sums = piece.sums();
        assert_eq!(sums, average.sums());
    }
    let workers = DeterminantalAverage::resume(&mut pieces, sums).unwrap().finish();
    assert_eq!(average.finish(), workers);
    assert_bits_equal("resumed", &pieces, &got);
    for wrong in [
        DeterminantalSums { total: 0.5, ..sums },
        DeterminantalSums { total: f64::NAN, ..sums },
        DeterminantalSums { squares: 0.0, ..sums },
        DeterminantalSums { squares: f64::INFINITY, ..sums },
        DeterminantalSums { largest: f64::NEG_INFINITY, ..sums },
    ] {
        let refused = DeterminantalAverage::resume(&mut pieces, wrong).map(|_| ());
        assert!(matches!(refused, Err(Error::Parameter { .. })), "{wrong:?}");
    }
    assert_bits_equal("untouched", &pieces, &got);
    let empty = DeterminantalAverage::resume(&mut pieces, DeterminantalSums::default()).unwrap();
    assert!(matches!(empty.finish(), Err(Error::Parameter { .. })));
}

fn bad_steps_are_refused<T: Real>() {
    let mut got = vec![T::NAN; 2];
    let mut average = DeterminantalAverage::new(&mut got);
    let refused = average.add(&[T::ONE], 0.0);
    assert!(matches!(refused, Err(Error::Shape { expected: 2, found: 1, .. })), "{refused:?}");
    let refused = average.add(&[T::ONE, T::NAN], 0.0);
    assert!(matches!(refused, Err(Error::NonFinite { index: 1, .. })), "{refused:?}");
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(average.add(&[T::ONE, T::ONE], bad).is_err(), "{bad}");
    }
    assert!(matches!(average.finish(), Err(Error::Parameter { .. })), "nothing was added");
}

both_dtypes!(
    the_expectation_is_the_step_of_the_mean,
    determinants_never_overflow,
    an_average_goes_on_over_the_same_vector,
    bad_steps_are_refused,
);

/// With sampled workers the error falls as 1/√workers; that of the plain average stays.
#[test]
fn more_workers_help() {
    let (n, d, q) = (8, 3, 0.4);
    let (all, mean) = subsets(n, d, q, 0.1);
    let g: Vec<f64> = Random::new(92).normals(d);
    let want = mean.solve_vector(&g);
    let scale = dot(&want, &want).sqrt();
    let error = |got: &[f64]| {
        let off: Vec<f64> = got.iter().zip(&want).map(|(a, b)| a - b).collect();
        dot(&off, &off).sqrt() / scale
    };
    let mut errors = Vec::new();
    for workers in [100, 10_000] {
        let (mut exact, mut plain) = (0.0, 0.0);
        for trial in 0..5 {
            let mut random = Random::new(1000 * workers as u64 + trial);
            let mut got = vec![0.0; d];
            let mut average = DeterminantalAverage::new(&mut got);
            let mut sum = vec![0.0; d];
            for _ in 0..workers {
                let set = (0..n).fold(0, |s, i| s | usize::from(random.unit() < q) << i);
                let step = all[set].1.solve_vector(&g);
                average.add(&step, all[set].1.log_determinant()).unwrap();
                sum.iter_mut().zip(&step).for_each(|(a, s)| *a += s / workers as f64);
            }
            average.finish().unwrap();
            exact += error(&got) / 5.0;
            plain += error(&sum) / 5.0;
        }
        errors.push((exact, plain));
    }
    // A hundred times the workers, a tenth of the error.
    assert!(errors[1].0 < 0.25 * errors[0].0, "{errors:?}");
    assert!(errors[1].1 > 0.2, "{errors:?}");
    assert!(errors[1].0 < 0.1 * errors[1].1, "{errors:?}");
}
