//! Stochastic Lanczos quadrature against exact traces.

use relfisher::executor::Cpu;
use relfisher::spectrum::{self, Density, DensityOptions, LinearOperator};
use relfisher::{Error, Scalar};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::assert_close;
use relfisher_tests::oracle::dense::dot;
use relfisher_tests::random::Random;
use relfisher_tests::tolerance::Oracle::{Dense, Identity, MonteCarlo};

use crate::operators::{Broken, Reflected};

fn estimate<T: Scalar>(
    operator: &mut dyn LinearOperator<T>,
    (probes, steps, seed): (usize, usize, u64),
    threads: usize,
) -> Result<Density, Error> {
    let cpu = Cpu::new(Some(threads)).expect("threads");
    let options = DensityOptions { probes, steps, seed };
    spectrum::density(operator, &cpu, options, &mut |_| {})
}

fn moment(density: &Density, power: i32) -> f64 {
    density.mean(|t| t.powi(power)).0
}

/// Sign vectors see a diagonal exactly, whatever the seed.
fn diagonal<T: Scalar>() {
    let mut random = Random::new(1);
    for n in [1, 2, 3, 50, 700] {
        let values: Vec<f64> = random.uniforms(n, -1.0, 1.0);
        let mut operator = Reflected::diagonal(&values);
        let density = estimate::<T>(&mut operator, (2, 8, 5), 2).expect("density");
        assert_eq!(density.products, operator.products);
        assert_eq!((density.dimension, density.quadratures.len()), (n, 2));
        for power in 0..16 {
            let want: f64 = values.iter().map(|v| v.powi(power)).sum::<f64>() / n as f64;
            let got = [T::from_f64(moment(&density, power) - want)];
            assert_close(&format!("{n}, {power}"), &got, &[0.0], "quadrature", Dense, n.max(8));
        }
    }
}

/// vᵀ Aᵖ v/N for each probe that the operator saw.
fn moments_of_each_probe<T: Scalar>() {
    let mut random = Random::new(2);
    let (n, steps, probes) = (120, 7, 3);
    let values: Vec<f64> = random.uniforms(n, -1.0, 1.0);
    let mut operator = Reflected::new(&mut random, &values);
    operator.period = steps;
    let density = estimate::<T>(&mut operator, (probes, steps, 9), 1).expect("density");
    assert_eq!((operator.starts.len(), operator.products), (probes, probes * steps));
    for (v, q) in operator.starts.iter().zip(&density.quadratures) {
        let mut image = v.clone();
        for power in 0..2 * steps {
            let want = dot(v, &image) / dot(v, v);
            let pairs = q.nodes.iter().zip(&q.weights);
            let got: f64 = pairs.map(|(t, w)| w * t.powi(power as i32)).sum();
            let error = [T::from_f64(got - want)];
            assert_close(&format!("power {power}"), &error, &[0.0], "quadrature", Dense, n);
            image = operator.product(&image);
        }
    }
    let signs = |v: &Vec<f64>| v.iter().all(|x| (x * x * n as f64 - 1.0).abs() < 1e-5);
    assert!(operator.starts.iter().all(signs), "probes are sign vectors");
    assert!(operator.starts[0] != operator.starts[1], "each probe is another vector");
}

/// Traces of powers, within five deviations of Hutchinson's estimator.
fn traces<T: Scalar>() {
    let mut random = Random::new(3);
    let (n, probes) = (150, 60);
    let mut values: Vec<f64> = random.uniforms(n, -0.2, 0.2);
    values[..4].copy_from_slice(&[1.0, 0.8, 0.8, -0.5]);
    let mut operator = Reflected::new(&mut random, &values);
    let density = estimate::<T>(&mut operator, (probes, 12, 1), 2).expect("density");
    let mut power = operator.matrix();
    for exponent in 1..=6 {
        // variance of vᵀ M v for sign vectors: 2 (‖M‖² − Σ M_ii²)
        let squares: f64 = (0..n).map(|i| power.at(i, i).powi(2)).sum();
        let deviation = (2.0 * (power.norm().powi(2) - squares) / probes as f64).sqrt() / n as f64;
        let want = values.iter().map(|v| v.powi(exponent)).sum::<f64>() / n as f64;
        let (got, error) = density.mean(|t| t.powi(exponent));
        let label = format!("tr A^{exponent}");
        let in_deviations = [T::from_f64((got - want) / deviation)];
        assert_close(&label, &in_deviations, &[0.0], "trace", MonteCarlo, 1);
        // its own estimate of the error agrees within a factor of two
        assert!((0.5..2.0).contains(&(error / deviation)), "{label}: {error} for {deviation}");
        power = power.times(&operator.matrix());
    }
}

/// Every curve has the mass 1 and stands where the eigenvalues are.
fn curves<T: Scalar>() {
    let mut random = Random::new(4);
    let mut spectra = vec![vec![0.0; 60], vec![3.0; 40], vec![-2.0], vec![1e-20; 3]];
    spectra.push([vec![0.0; 99], vec![7.0]].concat());
    spectra.push(random.uniforms(200, -1.0, 4.0));
    for values in spectra {
        let mut operator = Reflected::new(&mut random, &values);
        let density = estimate::<T>(&mut operator, (3, 30, 2), 1).expect("density");
        let sigma = density.deviation(100.0);
        let grid = density.grid(4001, 8.0 * sigma);
        let curve = density.curve(&grid, sigma).expect("curve");
        assert!(curve.iter().all(|d| d.is_finite() && *d >= 0.0));
        let mass: f64 = curve.iter().sum::<f64>() * ((grid[4000] - grid[0]) / 4000.0);
        let label = format!("{} values up to {}", values.len(), operator.descending()[0]);
        assert_close(&label, &[T::from_f64(mass)], &[1.0], "mass", Identity, 1);
        let (low, high) = density.range();
        let (top, bottom) = (operator.descending()[0], *operator.descending().last().unwrap());
        let slack = 1e-5 * top.abs().max(bottom.abs());
        assert!(bottom - slack <= low && high <= top + slack, "{label}: {low} to {high}");
    }
    // few distinct eigenvalues: a breakdown ends the recurrence and the quadrature is exact
    let mut operator = Reflected::new(&mut random, &[vec![0.0; 99], vec![7.0]].concat());
    let density = estimate::<T>(&mut operator, (1, 30, 3), 1).expect("density");
    assert_eq!(density.quadratures[0].nodes.len(), 2);
    assert!(density.mean(|t| t).1.is_nan(), "no error from one probe");
}

fn reproducible<T: Scalar>() {
    let mut random = Random::new(5);
    let values: Vec<f64> = random.uniforms(3000, -1.0, 4.0);
    let mut operator = Reflected::new(&mut random, &values);
    let mut run = |seed, probes, threads| {
        estimate::<T>(&mut operator, (probes, 20, seed), threads).expect("density").quadratures
    };
    let one = run(1, 3, 1);
    assert_eq!(one, run(1, 3, 3), "threads");
    assert_eq!(one[..2], run(1, 2, 2)[..], "a probe does not depend on the number of probes");
    assert_ne!(one, run(2, 3, 1), "seeds");
    // not one node moves by more than rounding between the ends of the spectrum
    let (low, high) = (one[0].nodes[0], one[0].nodes[19]);
    assert!(T::from_f64(low).abs() <= T::from_f64(1.0001) && high <= 4.0001);
}

fn refusals<T: Scalar>() {
    let mut operator = Reflected::diagonal(&[1.0, 2.0]);
    for (probes, steps, word) in [(0, 3, "no probes"), (3, 0, "no steps")] {
        let refused = estimate::<T>(&mut operator, (probes, steps, 1), 1).expect_err(word);
        assert!(refused.to_string().contains(word), "{refused}");
    }
    let refused = estimate::<T>(&mut Reflected::diagonal(&[]), (1, 1, 1), 1).expect_err("empty");
    assert!(refused.to_string().contains("no parameters"), "{refused}");
    let refused = estimate::<T>(&mut Broken, (1, 4, 1), 1).expect_err("NaN");
    assert_eq!(refused.exit_code(), 1);
}

both_dtypes!(diagonal, moments_of_each_probe, traces, curves, reproducible, refusals);
