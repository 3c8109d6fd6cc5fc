//! Many small Cholesky factorisations and eigendecompositions.

use relfisher::executor::cuda::{Buffer, SquareForm, Squares};

use super::clock::{Case, time_in_turn};
use super::{Failure, Report, Session, check};
use crate::Random;

pub(super) fn measure(session: &Session, report: &mut Report) -> Result<(), Failure> {
    for order in [32, 64, 128] {
        let order = session.size(order, order / 8);
        one(session, report, (order, session.size(1000, 5)))?;
    }
    Ok(())
}

/// A symmetric matrix with eigenvalues around 1: I + (N + Nᵀ)/(4√n).
fn symmetric(random: &mut Random, n: usize) -> Vec<f32> {
    let mut a = vec![0.0f32; n * n];
    let scale = 0.25 / (n as f64).sqrt();
    for i in 0..n {
        for j in 0..=i {
            let value = (scale * (2.0 * random.unit() - 1.0) + f64::from(i == j)) as f32;
            (a[i * n + j], a[j * n + i]) = (value, value);
        }
    }
    a
}

fn one(session: &Session, report: &mut Report, (n, count): (usize, usize)) -> Result<(), Failure> {
    let gpu = &session.gpu;
    let mut random = Random::new(n as u64);
    let matrices: Vec<f32> = (0..count).flat_map(|_| symmetric(&mut random, n)).collect();
    let pristine = Buffer::from_slice(gpu, &matrices)?;
    let [mut factors, mut vectors] =
        [Buffer::<f32>::new(gpu, count * n * n)?, Buffer::<f32>::new(gpu, count * n * n)?];
    let mut values = Buffer::<f32>::new(gpu, count * n)?;
    let [mut flags, mut other_flags] =
        [Buffer::<u32>::new(gpu, count)?, Buffer::<u32>::new(gpu, count)?];
    let squares = Squares { count, order: n, form: SquareForm::Full };

    factors.view_mut().copy_from(pristine.view())?;
    gpu.cholesky(factors.view_mut(), flags.view_mut(), squares, 0.0)?;
    vectors.view_mut().copy_from(pristine.view())?;
    gpu.eigh(vectors.view_mut(), values.view_mut(), other_flags.view_mut(), squares)?;
    if flags.to_vec()?.iter().chain(&other_flags.to_vec()?).any(|flag| *flag != 0) {
        return Err(Failure::Answer(format!("a matrix of order {n} was refused")));
    }
    let (l, u, spectrum) = (factors.to_vec()?, vectors.to_vec()?, values.to_vec()?);
    for b in [0, count / 2, count - 1] {
        let part = |all: &[f32]| all[b * n * n..(b + 1) * n * n].to_vec();
        let lambda = &spectrum[b * n..(b + 1) * n];
        let (a, l, u) = (part(&matrices), part(&l), part(&u));
        let factored = |i: usize, j: usize| -> f64 {
            (0..=j).map(|k| f64::from(l[i * n + k]) * f64::from(l[j * n + k])).sum()
        };
        let decomposed = |i: usize, j: usize| -> f64 {
            let term = |k: usize| u[i * n + k] as f64 * lambda[k] as f64 * u[j * n + k] as f64;
            (0..n).map(term).sum()
        };
        let off = |found: &dyn Fn(usize, usize) -> f64| {
            let pairs = (0..n).flat_map(|i| (0..=i).map(move |j| (i, j)));
            pairs.map(|(i, j)| (found(i, j) - a[i * n + j] as f64).abs()).fold(0.0, f64::max)
        };
        // Backward errors of n·ε of matrices whose norm is below 2.
        let bound = 32.0 * n as f64 * f64::from(f32::EPSILON);
        check(&format!("cholesky of order {n}"), off(&factored), bound)?;
        check(&format!("eigh of order {n}"), off(&decomposed), bound)?;
    }

    let names = [format!("cholesky {count} x {n}"), format!("eigh {count} x {n}")];
    let bytes = 8.0 * (count * n * n) as f64;
    let flops = count as f64 * (n as f64).powi(3) / 3.0;
    let (factors, vectors) = (std::cell::RefCell::new(factors), std::cell::RefCell::new(vectors));
    let mut cases = [
        Case::new(&names[0], (flops, bytes), || {
            gpu.cholesky(factors.borrow_mut().view_mut(), flags.view_mut(), squares, 0.0)
        })
        .after(|| factors.borrow_mut().view_mut().copy_from(pristine.view())),
        Case::new(&names[1], (0.0, bytes), || {
            let mut a = vectors.borrow_mut();
            gpu.eigh(a.view_mut(), values.view_mut(), other_flags.view_mut(), squares)
        })
        .after(|| vectors.borrow_mut().view_mut().copy_from(pristine.view())),
    ];
    let times = time_in_turn(gpu, session.seconds, &mut cases)?;
    report.add(&cases, &times);
    report.share_of_bandwidth(&names[0], "copy");
    for name in &names {
        report.against_baselines(name, &format!("batched {name}"));
    }
    Ok(())
}
