//! Factorisations of any bits: an answer with a small residual, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relfisher_core::{Error, MatMut, factor};
use relfisher_fuzz::{Bits, Input};

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    if input.byte() % 2 == 0 {
        routine::<f64>(&mut input);
    } else {
        routine::<f32>(&mut input);
    }
});

fn routine<T: Bits>(input: &mut Input<'_>) {
    let (kind, order) = (input.byte(), input.byte());
    let n = usize::from(if order < 240 { order % 12 } else { order % 48 });
    let batch = if kind % 6 < 3 { 1 } else { usize::from(input.byte() % 19) };
    let damping: T = if input.byte() < 200 { T::ZERO } else { input.number() };
    let mut matrices: Vec<T> = input.numbers(batch * n * n);
    // Random matrices are seldom definite: mostly add to the diagonals what makes them so.
    if input.byte() < 200 {
        for matrix in matrices.chunks_exact_mut((n * n).max(1)) {
            for i in 0..n {
                let row = (0..n).map(|j| lower(matrix, n, i, j).abs());
                let sum = row.fold(T::ZERO, |sum, x| sum + x);
                matrix[i * n + i] = sum;
            }
        }
    }
    let before = matrices.clone();
    let mut a = matrices;
    let (m, width) = (batch, n * n);
    let mut values = vec![T::NAN; batch * n];
    let result = match kind % 6 {
        0 => factor::cholesky(view(&mut a, n, n), damping),
        1 => {
            let mut work = vec![T::NAN; factor::spd_inverse_workspace_len(n)];
            factor::spd_inverse(view(&mut a, n, n), damping, &mut work)
        }
        2 => {
            let mut work = vec![T::NAN; factor::eigh_workspace_len(n)];
            factor::eigh(view(&mut a, n, n), &mut values, &mut work)
        }
        3 => {
            let mut work = vec![T::NAN; factor::cholesky_batch_workspace_len(n)];
            factor::cholesky_batch(view(&mut a, m, width), n, damping, &mut work)
        }
        4 => {
            let mut work = vec![T::NAN; factor::eigh_batch_workspace_len(n)];
            factor::eigh_batch(view(&mut a, m, width), view(&mut values, m, n), n, &mut work)
        }
        _ => packed(&mut a, (m, n), damping),
    };
    match result {
        Err(Error::NonFinite { .. } | Error::NotPositiveDefinite { .. }) => return,
        Err(Error::NoConvergence { .. }) if matches!(kind % 6, 2 | 4) => return,
        Err(Error::Parameter { .. }) if !(damping.is_finite() && damping >= T::ZERO) => return,
        Err(error) => panic!("{error}: the arguments were right"),
        Ok(()) => {}
    }
    for i in 0..batch {
        let place = i * width..(i + 1) * width;
        let (old, new) = (&before[place.clone()], &a[place]);
        match kind % 6 {
            0 | 3 | 5 => cholesky_residual(old, new, n, damping),
            1 => inverse_is_finite(old, new, n),
            _ => eigen_residual(old, new, &values[i * n..(i + 1) * n]),
        }
    }
}

fn view<T: Bits>(data: &mut [T], rows: usize, cols: usize) -> MatMut<'_, T> {
    MatMut::new(data, rows, cols).expect("as long as its shape")
}

/// The packed batch; the factors are put back into full matrices.
fn packed<T: Bits>(a: &mut [T], (m, n): (usize, usize), damping: T) -> Result<(), Error> {
    let rows = |i: usize| (0..n).flat_map(move |r| (0..=r).map(move |c| i * n * n + r * n + c));
    let places: Vec<usize> = (0..m).flat_map(rows).collect();
    let mut blocks: Vec<T> = places.iter().map(|&k| a[k]).collect();
    let mut work = vec![T::NAN; factor::cholesky_batch_workspace_len(n)];
    let result =
        factor::packed_cholesky_batch(view(&mut blocks, m, n * (n + 1) / 2), n, damping, &mut work);
    places.iter().zip(blocks).for_each(|(&k, x)| a[k] = x);
    result
}

/// Element (i, j) of the symmetric matrix that its lower triangle gives.
fn lower<T: Copy>(a: &[T], n: usize, i: usize, j: usize) -> T {
    a[i.max(j) * n + i.min(j)]
}

/// 2ᵏ next to the largest element, so that products of what is divided by it (or its root) are finite.
fn size(a: impl Iterator<Item = f64>) -> f64 {
    let largest = a.fold(0.0, |m: f64, x| m.max(x.abs()));
    if largest == 0.0 { 1.0 } else { (2.0 * (largest.log2() / 2.0).floor()).exp2() }
}

/// Half a unit in the last place of what underflows, relative to a size.
fn underflow<T: Bits>(size: f64) -> f64 {
    T::of_word(1).to_f64() / size
}

/// |A + λI − LLᵀ| ≤ 4(n + 1)ε √(a_ii a_jj), and what underflows.
fn cholesky_residual<T: Bits>(a: &[T], l: &[T], n: usize, damping: T) {
    let damped = |i: usize, j: usize| {
        let shift = if i == j { damping.to_f64() } else { 0.0 };
        lower(a, n, i, j).to_f64() + shift
    };
    if (0..n).any(|i| !(lower(a, n, i, i) + damping).is_finite()) {
        // A + λI lies outside the format, and so does L.
        return;
    }
    let size = size((0..n).map(|i| damped(i, i)));
    let root = size.sqrt();
    let unit = 4.0 * (n + 1) as f64 * T::EPSILON.to_f64();
    // Products of elements of L are formed at the scale of A: each can lose half of the least number.
    let lost = 4.0 * (n + 1) as f64 * underflow::<T>(size);
    for i in 0..n {
        for j in 0..=i {
            let terms =
                (0..=j).map(|k| (l[i * n + k].to_f64() / root) * (l[j * n + k].to_f64() / root));
            let product: f64 = terms.sum();
            let wanted = damped(i, j) / size;
            let bound = unit * (damped(i, i) / size).sqrt() * (damped(j, j) / size).sqrt() + lost;
            let error = (product - wanted).abs();
            assert!(error <= bound, "element ({i}, {j}) of order {n}: {error:e} above {bound:e}");
        }
    }
}

/// Pivots are at least a few ε of their diagonal elements, so the inverse of what is not tiny is finite.
fn inverse_is_finite<T: Bits>(a: &[T], x: &[T], n: usize) {
    let least = T::MAX.to_f64().powf(-0.5);
    if (0..n).any(|i| lower(a, n, i, i).to_f64() < least) {
        return;
    }
    for i in 0..n {
        for j in 0..n {
            assert!(x[i * n + j].is_finite(), "element ({i}, {j}) is {}", x[i * n + j]);
            assert!(x[i * n + j] == x[j * n + i], "not symmetric at ({i}, {j})");
        }
    }
}

/// ‖A − UΛUᵀ‖ and ‖UᵀU − I‖ of the order of nε, values in order.
fn eigen_residual<T: Bits>(a: &[T], u: &[T], values: &[T]) {
    let n = values.len();
    let size = size((0..n).flat_map(|i| (0..=i).map(move |j| lower(a, n, i, j).to_f64())));
    let unit = 32.0 * (n + 1) as f64 * T::EPSILON.to_f64();
    let bound = unit * (n as f64).max(1.0) + 32.0 * (n + 1) as f64 * underflow::<T>(size);
    assert!(values.windows(2).all(|pair| pair[0] <= pair[1]), "not in order: {values:?}");
    if values.iter().any(|value| !value.is_finite()) {
        // An eigenvalue of a finite matrix can lie outside the format: no further than n times.
        assert!(size * n as f64 * 2.0 >= T::MAX.to_f64(), "{values:?} at the size {size:e}");
        return;
    }
    for i in 0..n {
        for j in 0..=i {
            let row = |r: usize, k: usize| u[r * n + k].to_f64();
            let product: f64 =
                (0..n).map(|k| row(i, k) * (values[k].to_f64() / size) * row(j, k)).sum();
            let error = (product - lower(a, n, i, j).to_f64() / size).abs();
            assert!(error <= bound, "element ({i}, {j}) of order {n}: {error:e} above {bound:e}");
            let inner: f64 = (0..n).map(|k| row(k, i) * row(k, j)).sum();
            let error = (inner - f64::from(u8::from(i == j))).abs();
            assert!(error <= unit, "vectors {i} and {j} of order {n}: {error:e} above {unit:e}");
        }
    }
}
