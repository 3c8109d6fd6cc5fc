//! The four routes to `(Ḡ + λI)⁻¹ G` against the dense solve.

use relfisher_core::metric::cost::{LayerKind, Route};
use relfisher_core::metric::layer::{LayerMetric, NonlinearMetric, SoftmaxMetric, SolveOptions};
use relfisher_core::metric::route::{block, conjugate_gradient, kronecker, sample};
use relfisher_core::metric::two_layer::LowerMetric;
use relfisher_core::metric::{layer::ResponseMetric, layer::dense_workspace_len};
use relfisher_core::{Error, MatRef, Portable, Real, blas, factor};
use relfisher_tests::both_dtypes;
use relfisher_tests::compare::{assert_close, assert_finite, to_f64};
use relfisher_tests::oracle::dense::Matrix;
use relfisher_tests::random::Random;
use relfisher_tests::real::{mat, mat_mut, nans};
use relfisher_tests::tolerance::{Oracle, tolerance};

const EXACT: [Route; 3] = [Route::Block, Route::Sample, Route::ConjugateGradient];

/// (n, m, d̃): n < d̃, n > d̃, one and none, odd, beyond the lane width.
const SHAPES: [(usize, usize, usize); 10] = [
    (1, 1, 1),
    (1, 4, 3),
    (3, 0, 4),
    (5, 2, 1),
    (7, 3, 5),
    (2, 5, 9),
    (23, 4, 6),
    (19, 17, 7),
    (9, 3, 17),
    (33, 2, 21),
];

struct Batch<T> {
    x: Vec<T>,
    nu: Vec<T>,
    eta: Vec<T>,
    g: Vec<T>,
    n: usize,
    m: usize,
    d: usize,
}

impl<T: Real> Batch<T> {
    fn nonlinear(&self) -> NonlinearMetric<'_, T> {
        NonlinearMetric::new(mat(&self.x, self.n, self.d), mat(&self.nu, self.n, self.m)).unwrap()
    }
    fn softmax(&self) -> SoftmaxMetric<'_, T> {
        SoftmaxMetric::new(mat(&self.x, self.n, self.d), mat(&self.eta, self.n, self.m)).unwrap()
    }
    fn row(&self, values: &[T], s: usize, width: usize) -> Vec<f64> {
        to_f64(&values[s * width..(s + 1) * width])
    }
    /// `(1/n) Σ_s R_s ⊗ x̃_s x̃_sᵀ` and its Kronecker approximation `(mean R) ⊗ (mean x̃x̃ᵀ)`.
    fn dense(&self, kind: LayerKind) -> (Matrix, Matrix) {
        let mut metric = Matrix::zeros(self.m * self.d, self.m * self.d);
        let mut output = Matrix::zeros(self.m, self.m);
        let mut input = Matrix::zeros(self.d, self.d);
        let share = 1.0 / self.n as f64;
        for s in 0..self.n {
            let x = self.row(&self.x, s, self.d);
            let a = Matrix::outer(&x, &x);
            let r = match kind {
                LayerKind::Nonlinear => Matrix::diagonal(&self.row(&self.nu, s, self.m)),
                LayerKind::Softmax => {
                    let eta = self.row(&self.eta, s, self.m);
                    Matrix::diagonal(&eta).plus(-1.0, &Matrix::outer(&eta, &eta))
                }
            };
            metric = metric.plus(share, &r.kron(&a));
            output = output.plus(share, &r);
            input = input.plus(share, &a);
        }
        (metric, output.kron(&input))
    }
    fn solve(&self, kind: LayerKind, lambda: T, route: Option<Route>) -> Result<Vec<T>, Error> {
        self.solve_with(kind, lambda, route, 0)
    }
    /// One solve with NaN-filled output and workspace, the workspace `short` elements too short.
    fn solve_with(
        &self,
        kind: LayerKind,
        lambda: T,
        route: Option<Route>,
        short: usize,
    ) -> Result<Vec<T>, Error> {
        let (n, m, d) = (self.n, self.m, self.d);
        let damped = lambda > T::ZERO;
        let options = SolveOptions { route, ..SolveOptions::default() };
        let mut out = nans::<T>(m * d);
        let g = mat(&self.g, m, d);
        match kind {
            LayerKind::Nonlinear => {
                let taken = NonlinearMetric::<T>::route(n, m, d, route, damped);
                let len = NonlinearMetric::<T>::solve_workspace_len(n, m, d, taken);
                let mut work = nans(len.saturating_sub(short));
                let to = mat_mut(&mut out, m, d);
                self.nonlinear().solve(&Portable, to, g, lambda, options, &mut work)?;
            }
            LayerKind::Softmax => {
                let taken = SoftmaxMetric::<T>::route(n, m, d, route, damped);
                let len = SoftmaxMetric::<T>::solve_workspace_len(n, m, d, taken);
                let mut work = nans(len.saturating_sub(short));
                let to = mat_mut(&mut out, m, d);
                self.softmax().solve(&Portable, to, g, lambda, options, &mut work)?;
            }
        }
        Ok(out)
    }
}

fn batch<T: Real>(n: usize, m: usize, d: usize) -> Batch<T> {
    let mut random = Random::new((n * 10_000 + m * 100 + d + 7) as u64);
    let mut nu: Vec<T> = random.uniforms(n * m, 0.0, 1.0);
    for (k, w) in nu.iter_mut().enumerate() {
        if k % 5 == 3 {
            *w = T::ZERO;
        }
    }
    let mut eta = Vec::new();
    for _ in 0..n {
        let e: Vec<f64> = (0..m).map(|_| (1.5 * random.normal()).exp()).collect();
        let sum: f64 = e.iter().sum();
        eta.extend(e.iter().map(|e| T::from_f64(e / sum)));
    }
    let x = random.augmented(n, d - 1);
    Batch { x, nu, eta, g: random.normals(m * d), n, m, d }
}

fn routes_agree<T: Real>() {
    for (n, m, d) in SHAPES {
        let b = batch::<T>(n, m, d);
        let g = to_f64(&b.g);
        for kind in [LayerKind::Nonlinear, LayerKind::Softmax] {
            let (metric, approximation) = b.dense(kind);
            let lambda = T::from_f64(0.25);
            let near = |label: &str, got: &[T], matrix: &Matrix| {
                let want = matrix.damped(0.25).solve_vector(&g);
                let label = format!("{label} {kind:?} n={n} m={m} d={d}");
                assert_close(&label, got, &want, "damped solve", Oracle::Dense, n + d + m);
            };
            for route in EXACT {
                let out = b.solve(kind, lambda, Some(route)).unwrap();
                near(&format!("{route:?}"), &out, &metric);
            }
            near("automatic", &b.solve(kind, lambda, None).unwrap(), &metric);
            let out = b.solve(kind, lambda, Some(Route::Kronecker)).unwrap();
            near("Kronecker", &out, &approximation);
            for route in Route::ALL.into_iter().filter(|_| m > 0) {
                let short = b.solve_with(kind, lambda, Some(route), 1);
                assert!(matches!(short, Err(Error::Workspace { .. })), "{route:?}: {short:?}");
            }
        }
    }
}

fn kronecker_is_exact_for_one_response<T: Real>() {
    // ν the same at every sample: the approximation is the metric.
    let mut b = batch::<T>(12, 4, 6);
    for s in 0..12 {
        for i in 0..4 {
            b.nu[s * 4 + i] = T::from_f64(0.2 * (i as f64 + 1.0));
            b.eta[s * 4 + i] = T::from_f64(0.1 * (i as f64 + 1.0));
        }
    }
    for kind in [LayerKind::Nonlinear, LayerKind::Softmax] {
        let out = b.solve(kind, T::HALF, Some(Route::Kronecker)).unwrap();
        let want = b.dense(kind).0.damped(0.5).solve_vector(&to_f64(&b.g));
        assert_close("exact Kronecker", &out, &want, "damped solve", Oracle::Dense, 22);
    }
}

fn factored_damping<T: Real>() {
    for (kind, m) in [(LayerKind::Nonlinear, 5), (LayerKind::Softmax, 4)] {
        let (n, d, lambda) = (9, 6, 0.25f64);
        let b = batch::<T>(n, m, d);
        let mut slice = nans::<T>(kronecker::state_len(kind, m, d));
        let mut work = nans(kronecker::workspace_len(kind, n, m, d));
        let mut state = kronecker::State::new(kind, m, d, &mut slice).unwrap();
        for keep in [T::ZERO, T::HALF] {
            match kind {
                LayerKind::Nonlinear => {
                    state.build_nonlinear(&Portable, &b.nonlinear(), keep, &mut work).unwrap();
                }
                LayerKind::Softmax => {
                    state.build_softmax(&Portable, &b.softmax(), keep, &mut work).unwrap();
                }
            }
        }
        let a = Matrix::new(d, d, to_f64(state.input()));
        let g = match kind {
            LayerKind::Nonlinear => Matrix::diagonal(&to_f64(state.output())),
            LayerKind::Softmax => Matrix::new(m, m, to_f64(state.output())),
        };
        let approximation = b.dense(kind).1;
        let kron = g.kron(&a);
        assert_close(
            "averages",
            &cast::<T>(&kron.data),
            &approximation.data,
            "metric dense",
            Oracle::Dense,
            4 * n,
        );
        let pi = ((a.trace() / d as f64) / (g.trace() / m as f64)).sqrt();
        let root = lambda.sqrt();
        let want = g.damped(root / pi).kron(&a.damped(pi * root)).solve_vector(&to_f64(&b.g));
        let form = kronecker::Damping::Factored;
        let lambda = T::from_f64(lambda);
        state.factor(&Portable, form, lambda, &mut work).unwrap();
        let mut out = b.g.clone();
        state.apply(&Portable, mat_mut(&mut out, m, d), form, lambda, &mut work).unwrap();
        assert_close("factored", &out, &want, "damped solve", Oracle::Dense, n + d);
    }
}

fn cast<T: Real>(x: &[f64]) -> Vec<T> {
    x.iter().map(|x| T::from_f64(*x)).collect()
}

fn kept_factors<T: Real>() {
    let (n, m, d) = (9, 4, 13);
    let b = batch::<T>(n, m, d);
    let p = d * (d + 1) / 2;
    let lambda = T::from_f64(0.5);
    let want = b.dense(LayerKind::Nonlinear).0.damped(0.5).solve_vector(&to_f64(&b.g));
    let mut blocks = nans::<T>(m * p);
    let mut work = nans(blas::packed_grams_workspace_len(n, m, d));
    let metric = b.nonlinear();
    for keep in [T::ZERO, T::from_f64(0.75)] {
        block::build(&Portable, mat_mut(&mut blocks, m, p), &metric, keep, &mut work).unwrap();
    }
    let mut inverses = blocks.clone();
    block::factor(&Portable, mat_mut(&mut blocks, m, p), d, lambda).unwrap();
    let mut work = nans(factor::packed_inverse_workspace_len(d));
    block::invert(&Portable, mat_mut(&mut inverses, m, p), d, lambda, &mut work).unwrap();
    let mut out = b.g.clone();
    block::apply(&Portable, mat_mut(&mut out, m, d), mat(&blocks, m, p)).unwrap();
    assert_close("apply", &out, &want, "damped solve", Oracle::Dense, n + d);
    let mut out = nans::<T>(m * d);
    let to = mat_mut(&mut out, m, d);
    block::apply_inverse(&Portable, to, mat(&inverses, m, p), mat(&b.g, m, d)).unwrap();
    assert_close("inverse", &out, &want, "damped solve", Oracle::Dense, n + d);
    for keep in [-T::ONE, T::TWO, T::NAN] {
        let refused = block::build(&Portable, mat_mut(&mut blocks, m, p), &metric, keep, &mut work);
        assert!(matches!(refused, Err(Error::Parameter { .. })));
    }

    let full = m * d;
    let want = b.dense(LayerKind::Softmax).0.damped(0.5).solve_vector(&to_f64(&b.g));
    let mut matrix = nans::<T>(full * full);
    let mut work = nans(dense_workspace_len(n, d));
    for keep in [T::ZERO, T::HALF] {
        let to = mat_mut(&mut matrix, full, full);
        block::softmax_build(&Portable, to, &b.softmax(), keep, &mut work).unwrap();
    }
    block::softmax_factor(&Portable, mat_mut(&mut matrix, full, full), lambda).unwrap();
    let mut out = b.g.clone();
    block::softmax_apply(&Portable, &mut out, mat(&matrix, full, full)).unwrap();
    assert_close("softmax", &out, &want, "damped solve", Oracle::Dense, n + full);
}

fn conjugate_gradients<T: Real>() {
    let (n, m, d) = (9, 4, 13);
    let mut b = batch::<T>(n, m, d);
    let metric = b.nonlinear();
    let len = conjugate_gradient::workspace_len(m, d, metric.multiply_workspace_len());
    let lambda = T::from_f64(0.25);
    let run = |options, g: &[T], out: &mut [T]| {
        let (to, g) = (mat_mut(out, m, d), mat(g, m, d));
        conjugate_gradient::solve(&Portable, to, &metric, g, lambda, options, &mut nans(len))
    };
    let mut out = nans::<T>(m * d);
    for preconditioner in
        [conjugate_gradient::Preconditioner::None, conjugate_gradient::Preconditioner::Jacobi]
    {
        let options = conjugate_gradient::Options { preconditioner, ..Default::default() };
        let iterations = run(options, &b.g, &mut out).unwrap();
        assert!((2..=2 * d).contains(&iterations), "{iterations}");
        let want = b.dense(LayerKind::Nonlinear).0.damped(0.25).solve_vector(&to_f64(&b.g));
        assert_close("cg", &out, &want, "damped solve", Oracle::Dense, n + d);
    }
    // Scale invariance: nothing under- or overflows between.
    for scale in [T::MIN_POSITIVE * T::from_f64(1e6), T::MAX * T::from_f64(1e-4)] {
        let g: Vec<T> = b.g.iter().map(|g| *g * scale).collect();
        run(conjugate_gradient::Options::default(), &g, &mut out).unwrap();
        let unit: Vec<T> = out.iter().map(|x| *x / scale).collect();
        let want = b.dense(LayerKind::Nonlinear).0.damped(0.25).solve_vector(&to_f64(&b.g));
        assert_close("cg scaled", &unit, &want, "damped solve", Oracle::Dense, n + d);
    }
    let few = conjugate_gradient::Options { max_iterations: 2, ..Default::default() };
    assert_eq!(run(few, &b.g, &mut out), Err(Error::NoConvergence { iterations: 2 }));
    let none = run(few, &vec![T::ZERO; m * d], &mut out);
    assert_eq!((none, out.iter().all(|x| *x == T::ZERO)), (Ok(0), true));
    let bad = conjugate_gradient::Options { tolerance: T::NAN, ..Default::default() };
    assert!(matches!(run(bad, &b.g, &mut out), Err(Error::Parameter { .. })));
    // The metric of a lower layer is a joint system of another kind.
    let c = 2;
    let weights: Vec<T> = Random::new(3).normals(c * m);
    b.nu.truncate(n * m);
    let eta = batch::<T>(n, c, d).eta;
    let response = ResponseMetric::Softmax(mat(&eta, n, c));
    let (x, slope) = (mat(&b.x, n, d), mat(&b.nu, n, m));
    let lower = LowerMetric::new(x, slope, mat(&weights, c, m), response).unwrap();
    let full = m * d;
    let mut dense = nans::<T>(full * full);
    let mut work = nans(dense_workspace_len(n, d));
    lower.dense(&Portable, mat_mut(&mut dense, full, full), &mut work).unwrap();
    let want = Matrix::new(full, full, to_f64(&dense)).damped(0.25).solve_vector(&to_f64(&b.g));
    let mut work = nans(conjugate_gradient::workspace_len(m, d, lower.multiply_workspace_len()));
    let (to, g) = (mat_mut(&mut out, m, d), mat(&b.g, m, d));
    let options = Default::default();
    conjugate_gradient::solve(&Portable, to, &lower, g, lambda, options, &mut work).unwrap();
    assert_close("cg lower", &out, &want, "damped solve", Oracle::Dense, n + full);
}

fn singular_metrics<T: Real>() {
    // n < d̃, λ = 0: an error on every route, automatic too; never a number that is not finite.
    let b = batch::<T>(3, 4, 6);
    for kind in [LayerKind::Nonlinear, LayerKind::Softmax] {
        for route in [None, Some(Route::Block), Some(Route::Kronecker)] {
            let refused = b.solve(kind, T::ZERO, route);
            assert!(
                matches!(refused, Err(Error::NotPositiveDefinite { .. })),
                "{kind:?} {route:?}: {refused:?}"
            );
        }
        for route in [Route::Sample, Route::ConjugateGradient] {
            let refused = b.solve(kind, T::ZERO, Some(route));
            assert!(matches!(refused, Err(Error::Parameter { .. })), "{kind:?} {route:?}");
        }
        for lambda in [-T::ONE, T::NAN, T::INFINITY] {
            for route in Route::ALL {
                let refused = b.solve(kind, lambda, Some(route));
                assert!(matches!(refused, Err(Error::Parameter { .. })), "{kind:?} {route:?}");
            }
        }
    }
    // n > d̃: the soft-max metric is singular all the same, the non-linear one is not.
    let mut b = batch::<T>(40, 3, 4);
    let refused = b.solve(LayerKind::Softmax, T::ZERO, None);
    assert!(matches!(refused, Err(Error::NotPositiveDefinite { .. })), "{refused:?}");
    for w in &mut b.nu {
        *w += T::HALF;
    }
    let out = b.solve(LayerKind::Nonlinear, T::ZERO, None).unwrap();
    let want = b.dense(LayerKind::Nonlinear).0.solve_vector(&to_f64(&b.g));
    assert_close("undamped", &out, &want, "damped solve", Oracle::Dense, 44);
    // A dead neuron: ν = 0 at every sample.
    for s in 0..40 {
        b.nu[s * 3 + 1] = T::ZERO;
    }
    let refused = b.solve(LayerKind::Nonlinear, T::ZERO, None);
    assert!(matches!(refused, Err(Error::NotPositiveDefinite { block: 1, .. })), "{refused:?}");
    let g = to_f64(&b.g);
    for route in EXACT {
        let out = b.solve(LayerKind::Nonlinear, T::HALF, Some(route)).unwrap();
        let want: Vec<f64> = g[4..8].iter().map(|g| 2.0 * g).collect();
        assert_close("dead neuron", &out[4..8], &want, "damped solve", Oracle::Dense, 1);
    }
}

fn non_finite_inputs<T: Real>() {
    for kind in [LayerKind::Nonlinear, LayerKind::Softmax] {
        for route in Route::ALL {
            for bad in [T::NAN, T::INFINITY, -T::INFINITY] {
                let mut b = batch::<T>(7, 3, 18);
                b.x[20] = bad;
                let refused = b.solve(kind, T::ONE, Some(route));
                assert_eq!(refused, Err(Error::NonFinite { what: "x", index: 20 }), "{route:?}");
                let mut b = batch::<T>(7, 3, 18);
                b.g[5] = bad;
                let refused = b.solve(kind, T::ONE, Some(route));
                assert_eq!(refused, Err(Error::NonFinite { what: "g", index: 5 }), "{route:?}");
                let mut b = batch::<T>(7, 3, 18);
                b.nu[4] = bad;
                b.eta[4] = bad;
                let what = if kind == LayerKind::Nonlinear { "nu" } else { "eta" };
                let refused = b.solve(kind, T::ONE, Some(route));
                assert_eq!(refused, Err(Error::NonFinite { what, index: 4 }), "{route:?}");
            }
            let mut b = batch::<T>(7, 3, 18);
            b.nu[4] = -T::ONE;
            b.eta[4] = -T::ONE;
            let refused = b.solve(kind, T::ONE, Some(route));
            assert!(matches!(refused, Err(Error::Parameter { .. })), "{route:?}: {refused:?}");
        }
    }
}

fn softmax_roots<T: Real>() {
    let tiny = T::MIN_POSITIVE.to_f64();
    let rows: [&[f64]; 6] = [
        &[0.1, 0.2, 0.3, 0.4],
        &[1.0, 0.0, 0.0, 0.0],
        &[0.0, 0.0, 0.0, 1.0],
        &[0.0, 0.5, 0.0, 0.5],
        &[1.0 - 1e-6, 1e-6, 0.0, 0.0],
        &[1.0, tiny, tiny, tiny],
    ];
    for eta in rows {
        let probabilities: Vec<T> = cast(eta);
        let mut roots = nans::<T>(3 * 4);
        sample::softmax_roots(mat_mut(&mut roots, 3, 4), mat(&probabilities, 1, 4)).unwrap();
        assert_finite("roots", &roots);
        let b = Matrix::new(3, 4, to_f64(&roots));
        let eta = to_f64(&probabilities);
        let rest = |i: usize| (0..4).filter(|k| *k != i).map(|k| eta[k]).sum::<f64>();
        let want =
            Matrix::from_fn(4, 4, |i, j| if i == j { eta[i] * rest(i) } else { -eta[i] * eta[j] });
        let got: Vec<T> = cast(&b.t().times(&b).data);
        assert_close("roots", &got, &want.data, "softmax roots", Oracle::Identity, 4);
    }
}

/// ‖(Ḡ + λI)v − g‖∞ / ‖g‖∞ at real sizes, for each route.
fn residuals<T: Real>() {
    let small = [(50, 80, 785, Route::Sample), (50, 80, 785, Route::ConjugateGradient)];
    let square = [(200, 6, 150, Route::Block), (200, 6, 150, Route::Sample)];
    for (n, m, d, route) in small.into_iter().chain(square) {
        let mut b = batch::<T>(n, m, d);
        for x in &mut b.x {
            *x *= T::from_f64(0.5);
        }
        let out = b.solve(LayerKind::Nonlinear, T::from_f64(0.1), Some(route)).unwrap();
        check_residual(&b.nonlinear(), &out, &b.g, &format!("{route:?} {n} {m} {d}"));
    }
    for route in EXACT {
        let b = batch::<T>(50, 10, 81);
        let out = b.solve(LayerKind::Softmax, T::from_f64(0.1), Some(route)).unwrap();
        check_residual(&b.softmax(), &out, &b.g, &format!("softmax {route:?}"));
    }
}

fn check_residual<T: Real, M: LayerMetric<T>>(metric: &M, v: &[T], g: &[T], label: &str) {
    let (n, m, d) = (metric.samples(), metric.outputs(), metric.inputs());
    let mut product = nans::<T>(m * d);
    let mut work = nans(metric.multiply_workspace_len());
    metric.multiply(&Portable, mat_mut(&mut product, m, d), mat(v, m, d), &mut work).unwrap();
    let back: Vec<T> = product.iter().zip(v).map(|(p, v)| *p + T::from_f64(0.1) * *v).collect();
    assert_close(label, &back, &to_f64(g), "damped solve", Oracle::Identity, n + d);
}

fn same_bits_and_views<T: Real>() {
    let b = batch::<T>(9, 3, 7);
    let mut padded = nans::<T>(9 * 8);
    for s in 0..9 {
        padded[s * 8..s * 8 + 7].copy_from_slice(&b.x[s * 7..(s + 1) * 7]);
    }
    let x = MatRef::with_strides(&padded, 9, 7, 8, 1).unwrap();
    let metric = NonlinearMetric::new(x, mat(&b.nu, 9, 3)).unwrap();
    for route in Route::ALL {
        let once = b.solve(LayerKind::Nonlinear, T::HALF, Some(route)).unwrap();
        let twice = b.solve(LayerKind::Nonlinear, T::HALF, Some(route)).unwrap();
        assert!(once == twice);
        let mut out = nans::<T>(21);
        let options = SolveOptions { route: Some(route), ..Default::default() };
        let mut work = nans(NonlinearMetric::<T>::solve_workspace_len(9, 3, 7, route));
        let (to, g) = (mat_mut(&mut out, 3, 7), mat(&b.g, 3, 7));
        metric.solve(&Portable, to, g, T::HALF, options, &mut work).unwrap();
        assert!(once == out, "{route:?}: padded rows change the result");
    }
    let bound = tolerance::<T>("damped solve", Oracle::Dense, 1);
    assert!(bound > 0.0);
}

both_dtypes!(
    routes_agree,
    kronecker_is_exact_for_one_response,
    factored_damping,
    kept_factors,
    conjugate_gradients,
    singular_metrics,
    non_finite_inputs,
    softmax_roots,
    residuals,
    same_bits_and_views,
);
