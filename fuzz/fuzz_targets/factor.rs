//! Factorisations of any bits: an answer with a small residual, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relfisher_core::factor::{InverseRoot, NewtonSchulz};
use relfisher_core::kron::{FactorDamping, KronCholesky, KronEigen};
use relfisher_core::{Error, MatMut, MatRef, Portable, factor, kron};
use relfisher_fuzz::{Bits, Input};

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let byte = input.byte();
    if byte % 2 == 0 {
        family::<f64>(&mut input, byte / 2);
    } else {
        family::<f32>(&mut input, byte / 2);
    }
});

/// Half of the inputs for one matrix and batches, a quarter each for inverse roots and Kronecker products.
fn family<T: Bits>(input: &mut Input<'_>, kind: u8) {
    match kind % 4 {
        0 | 1 => routine::<T>(input),
        2 => newton_schulz::<T>(input),
        _ => kronecker::<T>(input),
    }
}

fn routine<T: Bits>(input: &mut Input<'_>) {
    let (kind, order) = (input.byte(), input.byte());
    let n = usize::from(if order < 240 { order % 12 } else { order % 48 });
    let batch = if kind % 6 < 3 { 1 } else { usize::from(input.byte() % 19) };
    let damping: T = damping(input);
    let before: Vec<T> = matrices(input, batch, n);
    let mut a = before.clone();
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
        Err(Error::Parameter { .. }) if !valid(damping) => return,
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

/// Mostly none.
fn damping<T: Bits>(input: &mut Input<'_>) -> T {
    if input.byte() < 200 { T::ZERO } else { input.number() }
}

/// Whether a damping is one.
fn valid<T: Bits>(damping: T) -> bool {
    damping.is_finite() && damping >= T::ZERO
}

/// Random matrices are seldom definite: mostly their diagonals become what makes them so.
fn matrices<T: Bits>(input: &mut Input<'_>, batch: usize, n: usize) -> Vec<T> {
    let mut matrices: Vec<T> = input.numbers(batch * n * n);
    if input.byte() < 200 {
        for matrix in matrices.chunks_exact_mut((n * n).max(1)) {
            for i in 0..n {
                let row = (0..n).map(|j| lower(matrix, n, i, j).abs());
                let sum = row.fold(T::ZERO, |sum, x| sum + x);
                matrix[i * n + i] = sum;
            }
        }
    }
    matrices
}

/// Inverse roots of one matrix by products.
fn newton_schulz<T: Bits>(input: &mut Input<'_>) {
    let (kind, order) = (input.byte(), input.byte());
    let n = usize::from(if order < 240 { order % 12 } else { order % 24 });
    let root =
        [InverseRoot::First, InverseRoot::Second, InverseRoot::Fourth][usize::from(kind % 3)];
    let damping: T = damping(input);
    let mut a: Vec<T> = matrices(input, 1, n);
    for i in 0..n {
        for j in i + 1..n {
            a[i * n + j] = a[j * n + i];
        }
    }
    let mut x = vec![T::NAN; n * n];
    let mut work = vec![T::NAN; factor::newton_schulz_workspace_len(n)];
    let (from, to) = (read(&a, n, n), view(&mut x, n, n));
    let options = NewtonSchulz::default();
    let result = factor::newton_schulz(&Portable, to, from, damping, root, options, &mut work);
    let done = match result {
        Err(
            Error::NonFinite { .. }
            | Error::NotPositiveDefinite { .. }
            | Error::NoConvergence { .. },
        ) => return,
        Err(Error::Parameter { .. }) if !valid(damping) => return,
        Err(Error::Parameter { .. }) => {
            // A bound of the norm is not within the format, or (p + 1)/2 over it is not.
            let norm = norm(&a, n, damping);
            let least = 2.0 * (root.degree() + 1) as f64 / T::MAX.to_f64();
            assert!(norm >= T::MAX.to_f64() / 4.0 || norm <= least, "the norm {norm:e} refused");
            return;
        }
        Err(error) => panic!("{error}: the arguments were right"),
        Ok(done) => done,
    };
    // A step stretches X by (p + 1)/p at most.
    let p = root.degree();
    let stretch = ((p + 1) as f64 / p as f64).powi(done.iterations as i32);
    let scale = (p + 1) as f64 / 2.0 / norm(&a, n, damping);
    if x.iter().any(|x| !x.is_finite()) {
        let bound = 2.0 * scale.powf(1.0 / p as f64) * stretch;
        assert!(bound >= T::MAX.to_f64(), "order {n}: not finite, though below {bound:e}");
        return;
    }
    let largest = root_residual(&a, &x, n, (damping, p), options.tolerance);
    assert!(largest.0 >= done.residual.to_f64() - largest.1, "{done:?}, found {largest:?}");
}

/// The largest sum of magnitudes of a row of A + λI.
fn norm<T: Bits>(a: &[T], n: usize, damping: T) -> f64 {
    let rows = a.chunks_exact(n.max(1));
    rows.map(|row| row.iter().map(|x| x.to_f64().abs()).sum::<f64>())
        .fold(0.0, |most: f64, sum| most.max(sum + damping.to_f64()))
}

/// |Xᵖ(A + λI) − I| within the tolerance and the rounding of its products, X symmetric; the largest element
/// of it and of the rounding.
fn root_residual<T: Bits>(
    a: &[T],
    x: &[T],
    n: usize,
    (damping, p): (T, usize),
    tolerance: T,
) -> (f64, f64) {
    let mut product: Vec<f64> = a.iter().map(|a| a.to_f64()).collect();
    (0..n).for_each(|i| product[i * n + i] += damping.to_f64());
    let mut magnitude: Vec<f64> = product.iter().map(|x| x.abs()).collect();
    let factor: Vec<f64> = x.iter().map(|x| x.to_f64()).collect();
    let factor_magnitude: Vec<f64> = factor.iter().map(|x| x.abs()).collect();
    let size = norm(a, n, damping);
    for _ in 0..p {
        product = times(&factor, &product, (n, n, n));
        magnitude = times(&factor_magnitude, &magnitude, (n, n, n));
    }
    let unit = 4.0 * (p * (n + 4)) as f64 * T::EPSILON.to_f64();
    // Elements of the inverse of what is huge are subnormal; those of its roots are not.
    let lost = if p == 1 { size * T::of_word(1).to_f64() } else { 0.0 };
    let mut largest = (0.0_f64, 0.0_f64);
    for i in 0..n {
        for j in 0..n {
            assert!(x[i * n + j] == x[j * n + i], "not symmetric at ({i}, {j})");
            let error = (product[i * n + j] - f64::from(u8::from(i == j))).abs();
            let rounding = unit * magnitude[i * n + j] + lost;
            let bound = tolerance.to_f64() + rounding;
            assert!(error <= bound, "element ({i}, {j}) of order {n}: {error:e} above {bound:e}");
            largest = (largest.0.max(error), largest.1.max(rounding));
        }
    }
    largest
}

/// The damped inverse of G ⊗ A applied to V, through Cholesky factors or eigenvalues.
fn kronecker<T: Bits>(input: &mut Input<'_>) {
    let kind = input.byte();
    let [m, d] = [input.byte(), input.byte()].map(|order| usize::from(order % 12));
    let [left, right]: [T; 2] = [damping(input), damping(input)];
    let [g, a]: [Vec<T>; 2] = [matrices(input, 1, m), matrices(input, 1, d)];
    let v: Vec<T> = input.numbers(m * d);
    let problem = Kronecker { g: &g, a: &a, v: &v, m, d };
    if kind % 2 == 0 {
        problem.cholesky(FactorDamping { g: left, a: right });
    } else {
        problem.eigen(left);
    }
}

/// Two factors, of which the lower triangles count, and a right-hand side.
struct Kronecker<'a, T> {
    g: &'a [T],
    a: &'a [T],
    v: &'a [T],
    m: usize,
    d: usize,
}

impl<T: Bits> Kronecker<'_, T> {
    /// Whether a size is so far from the ends of the format that no product of five of them meets one.
    fn ordinary(size: f64) -> bool {
        let far = T::MAX.to_f64().powf(0.125);
        size <= far && size >= 1.0 / far
    }

    /// (G + λ_G I) W (A + λ_A I) = V.
    fn cholesky(&self, damping: FactorDamping<T>) {
        let (m, d) = (self.m, self.d);
        let (mut g, mut a, mut w) = (self.g.to_vec(), self.a.to_vec(), self.v.to_vec());
        let factors =
            KronCholesky::factor(&Portable, view(&mut g, m, m), view(&mut a, d, d), damping);
        let factors = match factors {
            Err(Error::NonFinite { .. } | Error::NotPositiveDefinite { .. }) => return,
            Err(Error::Parameter { .. }) if !(valid(damping.g) && valid(damping.a)) => return,
            Err(error) => panic!("{error}: the arguments were right"),
            Ok(factors) => factors,
        };
        match factors.solve(&Portable, view(&mut w, m, d), &mut []) {
            // Factors that left the format are refused here.
            Err(Error::NonFinite { .. } | Error::NotPositiveDefinite { .. }) => return,
            Err(error) => panic!("{error}: the arguments were right"),
            Ok(()) => {}
        }
        let most = largest(self.v);
        if w.iter().any(|w| !w.is_finite()) {
            let bound = 4.0 * most.max(1.0) * inverse_bound(&g, m) * inverse_bound(&a, d);
            assert!(
                bound.is_nan() || bound >= T::MAX.to_f64(),
                "{m}×{d}: not finite, though below {bound:e}"
            );
            return;
        }
        let left = full(self.g, m, damping.g);
        let right = full(self.a, d, damping.a);
        let sizes = [diagonal(&left, m), diagonal(&right, d)];
        let tops = [0, 1].map(|k: usize| sizes[k].iter().copied().fold(0.0, f64::max));
        if !(tops.into_iter().all(Self::ordinary) && Self::ordinary(most)) {
            return;
        }
        let w: Vec<f64> = w.iter().map(|w| w.to_f64()).collect();
        // |G_ij| ≤ √(G_ii G_jj), and so are the errors of a factor: in these units the factors are at most 1,
        // and the sum of the solution's magnitudes bounds the residual element by element.
        let roots = sizes.map(|of| of.iter().map(|x| x.sqrt()).collect::<Vec<f64>>());
        let scaled = |of: &[f64], roots: &[f64]| -> Vec<f64> {
            let n = roots.len();
            of.iter().enumerate().map(|(k, x)| x / roots[k / n] / roots[k % n]).collect()
        };
        let (left, right) = (scaled(&left, &roots[0]), scaled(&right, &roots[1]));
        let pair = |k: usize| (roots[0][k / d], roots[1][k % d]);
        let solution = w.iter().enumerate().map(|(k, w)| {
            let (g, a) = pair(k);
            w * g.min(a) * g.max(a)
        });
        let solution: Vec<f64> = solution.collect();
        let measure: f64 = solution.iter().map(|w| w.abs()).sum();
        let product = times(&times(&left, &solution, (m, m, d)), &right, (m, d, d));
        let unit = 16.0 * (m + d + 2) as f64 * T::EPSILON.to_f64();
        let lost = 16.0 * ((m + 1) * (d + 1)) as f64 * T::of_word(1).to_f64();
        let lost = lost * (1.0 + tops[0]) * (1.0 + tops[1]);
        // What underflows in a factor is multiplied by the solution.
        let lost = lost * (1.0 + w.iter().map(|w| w.abs()).sum::<f64>());
        for k in 0..m * d {
            let (g, a) = pair(k);
            let bound = unit * measure + lost / g / a;
            // Beyond this program's own format.
            if !(bound / T::EPSILON.to_f64()).is_finite() {
                continue;
            }
            let error = (product[k] - self.v[k].to_f64() / g / a).abs();
            let (i, j) = (k / d, k % d);
            assert!(error <= bound, "element ({i}, {j}) of {m}×{d}: {error:e} above {bound:e}");
        }
    }

    /// G W A + λW = V.
    fn eigen(&self, damping: T) {
        let (m, d) = (self.m, self.d);
        let (mut g, mut a, mut w) = (self.g.to_vec(), self.a.to_vec(), self.v.to_vec());
        let (mut left, mut right) = (vec![T::NAN; m], vec![T::NAN; d]);
        let mut work = vec![T::NAN; kron::kron_eigen_factor_workspace_len(m, d)];
        let (gs, xs) = ((view(&mut g, m, m), &mut left[..]), (view(&mut a, d, d), &mut right[..]));
        let eigen = match KronEigen::factor(&Portable, gs, xs, &mut work) {
            Err(Error::NonFinite { .. } | Error::NoConvergence { .. }) => return,
            Err(error) => panic!("{error}: the arguments were right"),
            Ok(eigen) => eigen,
        };
        let mut work = vec![T::NAN; kron::kron_eigen_apply_workspace_len(m, d)];
        match eigen.solve(&Portable, view(&mut w, m, d), damping, &mut work) {
            Err(Error::NonFinite { .. } | Error::NotPositiveDefinite { .. }) => return,
            Err(Error::Parameter { .. }) if !valid(damping) => return,
            Err(error) => panic!("{error}: the arguments were right"),
            Ok(()) => {}
        }
        let (left, right) = (full(self.g, m, T::ZERO), full(self.a, d, T::ZERO));
        let v: Vec<f64> = self.v.iter().map(|v| v.to_f64()).collect();
        let sizes = [frobenius(&left), frobenius(&right), frobenius(&v)];
        let shift = damping.to_f64();
        if !(sizes.into_iter().all(Self::ordinary) && (shift == 0.0 || Self::ordinary(shift))) {
            return;
        }
        // Eigenvalues below 0 count as 0: only those of rounding leave the equation as it is.
        let unit = 32.0 * (m + d + 2) as f64 * T::EPSILON.to_f64();
        let negative = |values: &[T], size: f64| values.iter().any(|x| x.to_f64() < -unit * size);
        if negative(eigen.g_values, sizes[0]) || negative(eigen.a_values, sizes[1]) {
            return;
        }
        let w: Vec<f64> = w.iter().map(|w| w.to_f64()).collect();
        let product = times(&times(&left, &w, (m, m, d)), &right, (m, d, d));
        let bound = unit * ((sizes[0] * sizes[1] + shift) * frobenius(&w) + sizes[2]);
        let errors: Vec<f64> = (0..m * d).map(|k| product[k] + shift * w[k] - v[k]).collect();
        let error = frobenius(&errors);
        assert!(error <= bound, "{m}×{d}, damping {shift:e}: {error:e} above {bound:e}");
    }
}

/// A + λI, both triangles from the lower one.
fn full<T: Bits>(a: &[T], n: usize, damping: T) -> Vec<f64> {
    let mut full: Vec<f64> = (0..n * n).map(|k| lower(a, n, k / n, k % n).to_f64()).collect();
    (0..n).for_each(|i| full[i * n + i] += damping.to_f64());
    full
}

fn diagonal(a: &[f64], n: usize) -> Vec<f64> {
    (0..n).map(|i| a[i * n + i]).collect()
}

fn frobenius(a: &[f64]) -> f64 {
    a.iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn largest<T: Bits>(a: &[T]) -> f64 {
    a.iter().fold(0.0, |most: f64, x| most.max(x.to_f64().abs()))
}

/// The product of an m×k and a k×n matrix.
fn times(a: &[f64], b: &[f64], (m, k, n): (usize, usize, usize)) -> Vec<f64> {
    let element = |i: usize, j: usize| (0..k).map(|l| a[i * k + l] * b[l * n + j]).sum();
    (0..m * n).map(|at| element(at / n, at % n)).collect()
}

/// No sum of magnitudes of a solution of L Lᵀ x = b, |b| ≤ 1, is above this: substitution with nothing but
/// additions, forwards, then backwards.
fn inverse_bound<T: Bits>(l: &[T], n: usize) -> f64 {
    let mut x = vec![1.0_f64; n];
    for i in 0..n {
        let sum: f64 = (0..i).map(|j| l[i * n + j].to_f64().abs() * x[j]).sum();
        x[i] = (x[i] + sum) / l[i * n + i].to_f64();
    }
    for i in (0..n).rev() {
        let sum: f64 = (i + 1..n).map(|j| l[j * n + i].to_f64().abs() * x[j]).sum();
        x[i] = (x[i] + sum) / l[i * n + i].to_f64();
    }
    let sum: f64 = x.iter().sum();
    if !sum.is_finite() {
        return f64::INFINITY;
    }
    // What meets the end of the format on the way does so between the two.
    sum.max(1.0) * l.iter().fold(1.0, |most: f64, l| most.max(l.to_f64().abs()))
}

fn read<T: Bits>(data: &[T], rows: usize, cols: usize) -> MatRef<'_, T> {
    MatRef::new(data, rows, cols).expect("as long as its shape")
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

/// A unit in the last place of what underflows, relative to a size; not less than one of this program's own
/// arithmetic.
fn underflow<T: Bits>(size: f64) -> f64 {
    (T::of_word(1).to_f64() / size).max(f64::from_bits(1))
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
            // A diagonal element over the size may underflow; its root does not.
            let share = |i: usize| damped(i, i).sqrt() / root;
            let bound = unit * share(i) * share(j) + lost;
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
