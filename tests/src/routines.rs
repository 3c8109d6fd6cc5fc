//! A catalogue of the core's routines with generated arguments, so that one test can ask the same
//! of all of them: finite answers whatever outputs and workspaces hold, the same bits again, and an
//! error, never a panic, for every wrong shape and short workspace.

use crate::random::Random;
use crate::real::{mat, mat_mut};
use relfisher_core::metric::cost::{LayerKind, Route};
use relfisher_core::metric::layer::{
    LayerMetric, LinearMetric, NonlinearMetric, ResponseMetric, SoftmaxMetric, SolveOptions,
    dense_workspace_len, fold_scale,
};
use relfisher_core::metric::neuron::{Activation, Response};
use relfisher_core::metric::route::{block, conjugate_gradient, kronecker, sample};
use relfisher_core::metric::two_layer::TwoLayerMetric;
use relfisher_core::{Error, Portable, Real, blas, factor, optim};

/// How arguments are made.
#[derive(Clone, Debug)]
pub struct Plan<T> {
    /// The samples n, the outputs m, the inputs d, other columns k.
    pub shape: [usize; 4],
    /// The size of the values.
    pub scale: f64,
    /// What outputs and workspaces hold before the call.
    pub fill: T,
    /// How many elements every workspace lacks.
    pub short: usize,
    /// The dimension (counted over the call) that is one too large.
    pub wrong: Option<usize>,
    /// The random input element (counted over the call) that is NaN.
    pub poison: Option<usize>,
    /// The seed of the values.
    pub seed: u64,
    /// Dimensions asked for so far; afterwards how many the routine has.
    pub dimensions: usize,
    /// Input elements so far; afterwards how many the routine has.
    pub elements: usize,
    /// Workspace elements asked for.
    pub workspace: usize,
}

impl<T: Real> Plan<T> {
    /// A plan with correct arguments and NaN-filled buffers.
    pub fn new(shape: [usize; 4], scale: f64, seed: u64) -> Self {
        Self {
            shape,
            scale,
            fill: T::NAN,
            short: 0,
            wrong: None,
            poison: None,
            seed,
            dimensions: 0,
            elements: 0,
            workspace: 0,
        }
    }
    /// A dimension that another argument fixes as `x`.
    fn dim(&mut self, x: usize) -> usize {
        let wrong = self.wrong == Some(self.dimensions);
        self.dimensions += 1;
        x + usize::from(wrong)
    }
    fn finish(&mut self, mut x: Vec<T>) -> Vec<T> {
        let len = x.len();
        if let Some(p) = self.poison
            && p >= self.elements
            && p < self.elements + len
        {
            x[p - self.elements] = T::NAN;
        }
        self.elements += len;
        x
    }
    fn random(&mut self) -> Random {
        Random::new(self.seed ^ ((self.elements as u64) << 20) ^ ((self.dimensions as u64) << 40))
    }
    /// Normal values times the scale.
    fn values(&mut self, len: usize) -> Vec<T> {
        let (mut random, scale) = (self.random(), self.scale);
        let x = (0..len).map(|_| T::from_f64(random.normal() * scale)).collect();
        self.finish(x)
    }
    /// Numbers in [½, 1).
    fn weights(&mut self, len: usize) -> Vec<T> {
        let x = self.random().uniforms(len, 0.5, 1.0);
        self.finish(x)
    }
    /// Rows that sum to one.
    fn probabilities(&mut self, n: usize, c: usize) -> Vec<T> {
        let mut x = self.random().uniforms::<f64>(n * c, 0.1, 1.0);
        for row in x.chunks_exact_mut(c.max(1)) {
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|p| *p /= sum);
        }
        self.finish(x.into_iter().map(T::from_f64).collect())
    }
    /// A symmetric positive definite matrix of the size of the scale.
    fn spd(&mut self, d: usize) -> Vec<T> {
        let scale = self.scale;
        let x = self.random().spd::<f64>(d, 20.0);
        self.finish(x.into_iter().map(|v| T::from_f64(v * scale)).collect())
    }
    /// A lower-triangular matrix with a diagonal in [½, 1), full: a factor, trusted to be finite.
    fn lower(&mut self, d: usize) -> Vec<T> {
        let mut random = self.random();
        let mut x = vec![T::ZERO; d * d];
        for i in 0..d {
            for j in 0..=i {
                let v = if i == j { random.uniform(0.5, 1.0) } else { 0.2 * random.normal() };
                x[i * d + j] = T::from_f64(v);
            }
        }
        x
    }
    /// The same, m of them, packed.
    fn lower_packed(&mut self, m: usize, d: usize) -> Vec<T> {
        let mut random = self.random();
        let mut x = Vec::new();
        for _ in 0..m {
            for i in 0..d {
                for j in 0..=i {
                    let v = if i == j { random.uniform(0.5, 1.0) } else { 0.2 * random.normal() };
                    x.push(T::from_f64(v));
                }
            }
        }
        x
    }
    /// m packed positive definite triangles.
    fn spd_packed(&mut self, m: usize, d: usize) -> Vec<T> {
        let (mut random, scale) = (self.random(), self.scale);
        let mut x = Vec::new();
        for _ in 0..m {
            let a: Vec<f64> = random.spd(d, 20.0);
            for i in 0..d {
                x.extend(a[i * d..i * d + i + 1].iter().map(|v| T::from_f64(v * scale)));
            }
        }
        self.finish(x)
    }
    fn output(&mut self, len: usize) -> Vec<T> {
        vec![self.fill; len]
    }
    fn work(&mut self, needed: usize) -> Vec<T> {
        self.workspace += needed;
        vec![self.fill; needed.saturating_sub(self.short)]
    }
    /// Workspace whose stated length is the largest that any method of a family needs.
    fn shared_work(&mut self, needed: usize) -> Vec<T> {
        vec![self.fill; needed]
    }
}

/// What a routine promises about NaN among its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonFinite {
    /// An error: factorisations and solves.
    Refused,
    /// Passed on.
    PassedOn,
}

/// One routine: makes its arguments by the plan, calls, returns all outputs.
#[derive(Clone, Copy, Debug)]
pub struct Routine<T: Real> {
    /// Its name.
    pub name: &'static str,
    /// What it does with NaN.
    pub non_finite: NonFinite,
    /// The call.
    pub call: fn(&mut Plan<T>) -> Result<Vec<T>, Error>,
}

const fn total(d: usize) -> usize {
    d * (d + 1) / 2
}

const DAMPING: f64 = 0.25;

fn damping<T: Real>(p: &Plan<T>) -> T {
    T::from_f64(DAMPING * p.scale * p.scale)
}

/// Dense products.
fn products<T: Real>() -> Vec<Routine<T>> {
    use NonFinite::PassedOn;
    let routine = |name, call| Routine { name, non_finite: PassedOn, call };
    vec![
        routine("gemm", |p| {
            let [n, m, d, _] = p.shape;
            let (pn, pm, pd) = (p.dim(n), p.dim(m), p.dim(d));
            let (a, b, mut c) = (p.values(n * d), p.values(pd * m), p.output(pn * pm));
            let out = mat_mut(&mut c, pn, pm);
            blas::gemm(out, T::ZERO, T::ONE, mat(&a, n, d), mat(&b, pd, m))?;
            Ok(c)
        }),
        routine("gram", |p| {
            let [n, _, d, _] = p.shape;
            let (r, s, w) = (p.dim(d), p.dim(d), p.dim(n));
            let (x, weights, mut c) = (p.values(n * d), p.weights(w), p.output(r * s));
            let mut work = p.work(blas::gram_workspace_len(n, d));
            let out = mat_mut(&mut c, r, s);
            blas::gram(out, T::ZERO, T::ONE, mat(&x, n, d), Some(&weights), &mut work)?;
            Ok(c)
        }),
        routine("packed_grams", |p| {
            let [n, m, d, _] = p.shape;
            let (rows, cols, s) = (p.dim(m), p.dim(total(d)), p.dim(n));
            let (x, nu, mut c) = (p.values(n * d), p.weights(s * m), p.output(rows * cols));
            let mut work = p.work(blas::packed_grams_workspace_len(n, m, d));
            let out = mat_mut(&mut c, rows, cols);
            blas::packed_grams(out, T::ZERO, T::ONE, mat(&x, n, d), mat(&nu, s, m), &mut work)?;
            Ok(c)
        }),
        routine("packed_symv", |p| {
            let [_, m, d, _] = p.shape;
            let (rows, cols, r, c) = (p.dim(m), p.dim(total(d)), p.dim(m), p.dim(d));
            let (blocks, v, mut out) = (p.values(rows * cols), p.values(r * c), p.output(m * d));
            blas::packed_symv(mat_mut(&mut out, m, d), mat(&blocks, rows, cols), mat(&v, r, c))?;
            Ok(out)
        }),
        routine("fold_scale", |p| {
            let [n, m, ..] = p.shape;
            let s = p.dim(m);
            let (mut nu, scale) = (p.weights(n * m), p.values(s));
            fold_scale(mat_mut(&mut nu, n, m), &scale)?;
            Ok(nu)
        }),
        routine("nu_slice", |p| {
            let s = p.dim(p.shape[0]);
            let (t, mut out) = (p.values(p.shape[0]), p.output(s));
            let one = T::ONE;
            let r = Response::Relu { leak: T::ZERO, smoothing: one, sigma: one };
            r.nu_slice(&mut out, &t)?;
            Ok(out)
        }),
        routine("mean_slice", |p| {
            let s = p.dim(p.shape[0]);
            let (t, mut out) = (p.values(p.shape[0]), p.output(s));
            Response::Tanh.mean_slice(&mut out, &t)?;
            Ok(out)
        }),
        routine("mean_derivative_slice", |p| {
            let s = p.dim(p.shape[0]);
            let (t, mut out) = (p.values(p.shape[0]), p.output(s));
            Response::Sigm.mean_derivative_slice(&mut out, &t)?;
            Ok(out)
        }),
        routine("value_slice", |p| {
            let s = p.dim(p.shape[0]);
            let (t, mut out) = (p.values(p.shape[0]), p.output(s));
            Activation::Elu { alpha: T::ONE }.value_slice(&mut out, &t)?;
            Ok(out)
        }),
        routine("derivative_slice", |p| {
            let s = p.dim(p.shape[0]);
            let (t, mut out) = (p.values(p.shape[0]), p.output(s));
            Activation::Sigm.derivative_slice(&mut out, &t)?;
            Ok(out)
        }),
        routine("second_derivative_slice", |p| {
            let s = p.dim(p.shape[0]);
            let (t, mut out) = (p.values(p.shape[0]), p.output(s));
            Activation::Tanh.second_derivative_slice(&mut out, &t)?;
            Ok(out)
        }),
        routine("backward_slice", |p| {
            let s = p.dim(p.shape[0]);
            let (t, mut delta) = (p.values(p.shape[0]), p.values(s));
            Activation::Relu { leak: T::HALF }.backward_slice(&mut delta, &t)?;
            Ok(delta)
        }),
        routine("sgd", |p| {
            let (a, b, n) = (p.dim(p.shape[0]), p.dim(p.shape[0]), p.shape[0]);
            let (mut theta, mut velocity, g) = (p.values(n), p.values(a), p.values(b));
            let rule = optim::Sgd {
                learning_rate: T::HALF,
                momentum: T::HALF,
                form: optim::Momentum::Nesterov,
                weight_decay: T::HALF,
            };
            rule.step(&mut theta, &mut velocity, &g)?;
            Ok([theta, velocity].concat())
        }),
        routine("adam", |p| {
            let (a, b, c, n) =
                (p.dim(p.shape[0]), p.dim(p.shape[0]), p.dim(p.shape[0]), p.shape[0]);
            let (mut theta, mut first, mut second, g) =
                (p.values(n), p.values(a), p.weights(b), p.values(c));
            let rule = optim::Adam::default().at(T::HALF, 3);
            rule.step(&mut theta, &mut first, &mut second, &g)?;
            Ok([theta, first, second].concat())
        }),
        routine("descend", |p| {
            let (a, n) = (p.dim(p.shape[0]), p.shape[0]);
            let (mut theta, g) = (p.values(n), p.values(a));
            optim::descend(&mut theta, &g, T::HALF)?;
            Ok(theta)
        }),
        routine("add_weight_decay", |p| {
            let (a, n) = (p.dim(p.shape[0]), p.shape[0]);
            let (mut g, theta) = (p.values(n), p.values(a));
            optim::add_weight_decay(&mut g, &theta, T::HALF)?;
            Ok(g)
        }),
        routine("ema_update", |p| {
            let (a, n) = (p.dim(p.shape[0]), p.shape[0]);
            let (mut average, x) = (p.output(n), p.values(a));
            optim::ema_update(&mut average, &x, T::ZERO)?;
            Ok(average)
        }),
        routine("inner_product", |p| {
            let (a, n) = (p.dim(p.shape[0]), p.shape[0]);
            let (x, y) = (p.values(n), p.values(a));
            Ok(vec![optim::inner_product(&x, &y)?])
        }),
    ]
}

/// Factorisations and solves.
fn factorisations<T: Real>() -> Vec<Routine<T>> {
    use NonFinite::Refused;
    let routine = |name, call| Routine { name, non_finite: Refused, call };
    vec![
        routine("cholesky", |p| {
            let d = p.shape[2];
            let (r, mut a) = (p.dim(d), p.spd(d));
            a.resize(r * d, T::ZERO);
            factor::cholesky(mat_mut(&mut a, r, d), T::ZERO)?;
            Ok(a)
        }),
        routine("cholesky_solve", |p| {
            let [_, _, d, k] = p.shape;
            let (r, l) = (p.dim(d), p.lower(d));
            let mut b = p.values(r * k);
            factor::cholesky_solve(mat_mut(&mut b, r, k), mat(&l, d, d))?;
            Ok(b)
        }),
        routine("triangular_solve_left", |p| {
            let [_, _, d, k] = p.shape;
            let (r, l) = (p.dim(d), p.lower(d));
            let mut b = p.values(r * k);
            let out = mat_mut(&mut b, r, k);
            factor::triangular_solve_left(out, mat(&l, d, d), factor::Triangular::Lower)?;
            Ok(b)
        }),
        routine("triangular_solve_right", |p| {
            let [_, _, d, k] = p.shape;
            let (c, l) = (p.dim(d), p.lower(d));
            let mut b = p.values(k * c);
            let which = factor::Triangular::LowerTransposed;
            factor::triangular_solve_right(mat_mut(&mut b, k, c), mat(&l, d, d), which)?;
            Ok(b)
        }),
        routine("log_determinant", |p| {
            let d = p.shape[2];
            let (r, mut l) = (p.dim(d), p.lower(d));
            l.resize(r * d, T::ZERO);
            Ok(vec![factor::log_determinant(mat(&l, r, d))?])
        }),
        routine("spd_inverse", |p| {
            let d = p.shape[2];
            let (r, mut a) = (p.dim(d), p.spd(d));
            a.resize(r * d, T::ZERO);
            let mut work = p.work(factor::spd_inverse_workspace_len(d));
            factor::spd_inverse(mat_mut(&mut a, r, d), T::ZERO, &mut work)?;
            Ok(a)
        }),
        routine("eigh", |p| {
            let d = p.shape[2];
            let (r, v, mut a) = (p.dim(d), p.dim(d), p.spd(d));
            a.resize(r * d, T::ZERO);
            let (mut values, mut work) = (p.output(v), p.work(factor::eigh_workspace_len(d)));
            factor::eigh(mat_mut(&mut a, r, d), &mut values, &mut work)?;
            Ok([a, values].concat())
        }),
        routine("packed_cholesky", |p| {
            let [_, m, d, _] = p.shape;
            let (e, mut blocks) = (p.dim(d), p.spd_packed(m, d));
            factor::packed_cholesky(mat_mut(&mut blocks, m, total(d)), e, T::ZERO)?;
            Ok(blocks)
        }),
        routine("packed_cholesky_solve", |p| {
            let [_, m, d, _] = p.shape;
            let (r, c, factors) = (p.dim(m), p.dim(d), p.lower_packed(m, d));
            let mut v = p.values(r * c);
            factor::packed_cholesky_solve(mat_mut(&mut v, r, c), mat(&factors, m, total(d)))?;
            Ok(v)
        }),
        routine("packed_inverse", |p| {
            let [_, m, d, _] = p.shape;
            let (e, mut blocks) = (p.dim(d), p.spd_packed(m, d));
            let mut work = p.work(factor::packed_inverse_workspace_len(e));
            factor::packed_inverse(mat_mut(&mut blocks, m, total(d)), e, T::ZERO, &mut work)?;
            Ok(blocks)
        }),
        routine("scaled_gram_solve", |p| {
            let [n, m, ..] = p.shape;
            let (a, b, r, c) = (p.dim(n), p.dim(m), p.dim(n), p.dim(m));
            let (k, s, mut z) = (p.spd(n), p.weights(a * b), p.values(r * c));
            let mut work = p.work(factor::scaled_gram_solve_workspace_len(n, m));
            let (k, s) = (mat(&k, n, n), mat(&s, a, b));
            let lambda = T::from_f64(DAMPING * p.scale);
            factor::scaled_gram_solve(mat_mut(&mut z, r, c), k, s, lambda, &mut work)?;
            Ok(z)
        }),
    ]
}

/// Solves of a layer by a route; the closures of the catalogue cannot capture.
fn layer_solve<T: Real>(p: &mut Plan<T>, kind: LayerKind, route: Route) -> Result<Vec<T>, Error> {
    let [n, m, d, _] = p.shape;
    let (r, c, s) = (p.dim(m), p.dim(d), p.dim(n));
    let x = p.values(n * d);
    let mut out = p.output(m * d);
    let options = SolveOptions { route: Some(route), ..Default::default() };
    let lambda = damping(p);
    match kind {
        LayerKind::Nonlinear => {
            let (nu, g) = (p.weights(s * m), p.values(r * c));
            let mut work = p.work(NonlinearMetric::<T>::solve_workspace_len(n, m, d, route));
            let metric = NonlinearMetric::new(mat(&x, n, d), mat(&nu, s, m))?;
            let (o, g) = (mat_mut(&mut out, m, d), mat(&g, r, c));
            metric.solve(&Portable, o, g, lambda, options, &mut work)?;
        }
        LayerKind::Softmax => {
            let (eta, g) = (p.probabilities(s, m), p.values(r * c));
            let mut work = p.work(SoftmaxMetric::<T>::solve_workspace_len(n, m, d, route));
            let metric = SoftmaxMetric::new(mat(&x, n, d), mat(&eta, s, m))?;
            let (o, g) = (mat_mut(&mut out, m, d), mat(&g, r, c));
            metric.solve(&Portable, o, g, lambda, options, &mut work)?;
        }
    }
    Ok(out)
}

/// Layer metrics, two layers and the routes to their steps.
fn metrics<T: Real>() -> Vec<Routine<T>> {
    use NonFinite::{PassedOn, Refused};
    let solve = |name, call| Routine { name, non_finite: Refused, call };
    let form = |name, call| Routine { name, non_finite: PassedOn, call };
    vec![
        solve("nonlinear solve: block", |p| layer_solve(p, LayerKind::Nonlinear, Route::Block)),
        solve("nonlinear solve: sample", |p| layer_solve(p, LayerKind::Nonlinear, Route::Sample)),
        solve("nonlinear solve: cg", |p| {
            layer_solve(p, LayerKind::Nonlinear, Route::ConjugateGradient)
        }),
        solve("nonlinear solve: kronecker", |p| {
            layer_solve(p, LayerKind::Nonlinear, Route::Kronecker)
        }),
        solve("softmax solve: block", |p| layer_solve(p, LayerKind::Softmax, Route::Block)),
        solve("softmax solve: sample", |p| layer_solve(p, LayerKind::Softmax, Route::Sample)),
        solve("softmax solve: cg", |p| {
            layer_solve(p, LayerKind::Softmax, Route::ConjugateGradient)
        }),
        solve("softmax solve: kronecker", |p| layer_solve(p, LayerKind::Softmax, Route::Kronecker)),
        solve("linear solve", |p| {
            let [n, m, d, _] = p.shape;
            let (r, c, x) = (p.dim(m), p.dim(d), p.values(n * d));
            let (g, mut out) = (p.values(r * c), p.output(m * d));
            let mut work = p.work(LinearMetric::<T>::solve_workspace_len(n, m, d));
            let metric = LinearMetric::new(mat(&x, n, d), m, T::HALF)?;
            let (o, lambda) = (mat_mut(&mut out, m, d), damping(p));
            metric.solve(&Portable, o, mat(&g, r, c), lambda, &mut work)?;
            Ok(out)
        }),
        solve("route::block", |p| {
            let [n, m, d, _] = p.shape;
            let (x, nu) = (p.values(n * d), p.weights(n * m));
            let metric = NonlinearMetric::new(mat(&x, n, d), mat(&nu, n, m))?;
            let (mut blocks, mut v) = (p.output(m * total(d)), p.values(m * d));
            let (mut inverses, mut out) = (p.output(m * total(d)), p.output(m * d));
            let mut build = p.work(blas::packed_grams_workspace_len(n, m, d));
            let mut invert = p.work(factor::packed_inverse_workspace_len(d));
            let (lambda, t) = (damping(p), total(d));
            block::build(&Portable, mat_mut(&mut blocks, m, t), &metric, T::ZERO, &mut build)?;
            inverses.copy_from_slice(&blocks);
            block::factor(&Portable, mat_mut(&mut blocks, m, t), d, lambda)?;
            block::invert(&Portable, mat_mut(&mut inverses, m, t), d, lambda, &mut invert)?;
            let (o, i) = (mat_mut(&mut out, m, d), mat(&inverses, m, t));
            block::apply_inverse(&Portable, o, i, mat(&v, m, d))?;
            block::apply(&Portable, mat_mut(&mut v, m, d), mat(&blocks, m, t))?;
            Ok([blocks, inverses, v, out].concat())
        }),
        solve("route::block: softmax", |p| {
            let [n, c, d, _] = p.shape;
            let (x, eta) = (p.values(n * d), p.probabilities(n, c));
            let metric = SoftmaxMetric::new(mat(&x, n, d), mat(&eta, n, c))?;
            let (size, mut work) = (c * d, p.work(dense_workspace_len(n, d)));
            let (mut matrix, mut v) = (p.output(size * size), p.values(size));
            let lambda = damping(p);
            let out = mat_mut(&mut matrix, size, size);
            block::softmax_build(&Portable, out, &metric, T::ZERO, &mut work)?;
            block::softmax_factor(&Portable, mat_mut(&mut matrix, size, size), lambda)?;
            block::softmax_apply(&Portable, &mut v, mat(&matrix, size, size))?;
            Ok(v)
        }),
        solve("route::sample", |p| {
            let [n, m, d, _] = p.shape;
            let (r, c, x, nu) = (p.dim(m), p.dim(d), p.values(n * d), p.weights(n * m));
            let (g, mut out) = (p.values(r * c), p.output(m * d));
            let mut work = p.work(sample::workspace_len(n, m, d));
            let metric = NonlinearMetric::new(mat(&x, n, d), mat(&nu, n, m))?;
            let (o, lambda) = (mat_mut(&mut out, m, d), damping(p));
            sample::solve(&Portable, o, &metric, mat(&g, r, c), lambda, &mut work)?;
            Ok(out)
        }),
        solve("route::sample: softmax", |p| {
            let [n, m, d, _] = p.shape;
            let (r, c, x, eta) = (p.dim(m), p.dim(d), p.values(n * d), p.probabilities(n, m));
            let (g, mut out) = (p.values(r * c), p.output(m * d));
            let mut work = p.work(sample::softmax_workspace_len(n, m));
            let metric = SoftmaxMetric::new(mat(&x, n, d), mat(&eta, n, m))?;
            let (o, lambda) = (mat_mut(&mut out, m, d), damping(p));
            sample::softmax_solve(&Portable, o, &metric, mat(&g, r, c), lambda, &mut work)?;
            Ok(out)
        }),
        form("softmax_roots", |p| {
            let [n, c, ..] = p.shape;
            let (rows, cols) = (p.dim(n * c.saturating_sub(1)), p.dim(c));
            let (eta, mut out) = (p.probabilities(n, c), p.output(rows * cols));
            sample::softmax_roots(mat_mut(&mut out, rows, cols), mat(&eta, n, c))?;
            Ok(out)
        }),
        solve("route::conjugate_gradient", |p| {
            let [n, m, d, _] = p.shape;
            let (r, c, x, nu) = (p.dim(m), p.dim(d), p.values(n * d), p.weights(n * m));
            let (g, mut out) = (p.values(r * c), p.output(m * d));
            let metric = NonlinearMetric::new(mat(&x, n, d), mat(&nu, n, m))?;
            let len = conjugate_gradient::workspace_len(m, d, metric.multiply_workspace_len());
            let (mut work, options) = (p.work(len), conjugate_gradient::Options::default());
            let (o, lambda) = (mat_mut(&mut out, m, d), damping(p));
            let g = mat(&g, r, c);
            conjugate_gradient::solve(&Portable, o, &metric, g, lambda, options, &mut work)?;
            Ok(out)
        }),
        solve("route::kronecker", |p| {
            let [n, m, d, _] = p.shape;
            let (x, nu) = (p.values(n * d), p.weights(n * m));
            let (r, c) = (p.dim(m), p.dim(d));
            let mut v = p.values(r * c);
            let metric = NonlinearMetric::new(mat(&x, n, d), mat(&nu, n, m))?;
            let kind = LayerKind::Nonlinear;
            let mut state = p.output(kronecker::state_len(kind, m, d));
            let mut work = p.shared_work(kronecker::workspace_len(kind, n, m, d));
            let (split, lambda) = (kronecker::Damping::Factored, damping(p));
            let mut state = kronecker::State::new(kind, m, d, &mut state)?;
            state.build_nonlinear(&Portable, &metric, T::ZERO, &mut work)?;
            state.factor(&Portable, split, lambda, &mut work)?;
            state.apply(&Portable, mat_mut(&mut v, r, c), split, lambda, &mut work)?;
            Ok(v)
        }),
        form("multiply", |p| {
            let [n, m, d, _] = p.shape;
            let (x, nu) = (p.values(n * d), p.weights(n * m));
            let (r, c, e, f) = (p.dim(m), p.dim(d), p.dim(m), p.dim(d));
            let (v, mut out) = (p.values(r * c), p.output(e * f));
            let metric = NonlinearMetric::new(mat(&x, n, d), mat(&nu, n, m))?;
            let mut work = p.work(metric.multiply_workspace_len());
            metric.multiply(&Portable, mat_mut(&mut out, e, f), mat(&v, r, c), &mut work)?;
            Ok(out)
        }),
        form("quadratic_form", |p| {
            let [n, m, d, _] = p.shape;
            let (x, eta) = (p.values(n * d), p.probabilities(n, m));
            let (r, c) = (p.dim(m), p.dim(d));
            let v = p.values(r * c);
            let metric = SoftmaxMetric::new(mat(&x, n, d), mat(&eta, n, m))?;
            let mut work = p.work(metric.multiply_workspace_len());
            Ok(vec![metric.quadratic_form(&Portable, mat(&v, r, c), &mut work)?])
        }),
        form("dense, packed, block, diagonal", |p| {
            let [n, m, d, _] = p.shape;
            let (x, nu) = (p.values(n * d), p.weights(n * m));
            let (r, c, q) = (p.dim(m * d), p.dim(m * d), p.dim(total(d)));
            let metric = NonlinearMetric::new(mat(&x, n, d), mat(&nu, n, m))?;
            let (mut dense, mut packed) = (p.output(r * c), p.output(m * q));
            let mut work = p.work(dense_workspace_len(n, d));
            metric.dense(&Portable, mat_mut(&mut dense, r, c), &mut work)?;
            let mut work = p.work(blas::packed_grams_workspace_len(n, m, d));
            metric.packed(&Portable, mat_mut(&mut packed, m, q), T::ZERO, &mut work)?;
            let mut diagonal = p.output(m * d);
            metric.diagonal(mat_mut(&mut diagonal, m, d))?;
            let mut block = Vec::new();
            if m > 0 {
                let mut work = p.work(NonlinearMetric::<T>::block_workspace_len(n, d));
                block = p.output(d * d);
                metric.block(&Portable, mat_mut(&mut block, d, d), m - 1, &mut work)?;
            }
            Ok([dense, packed, diagonal, block].concat())
        }),
        form("two layers", two_layers),
    ]
}

fn two_layers<T: Real>(p: &mut Plan<T>) -> Result<Vec<T>, Error> {
    let [n, m, d, c] = p.shape;
    let k = m + 1;
    let (sn, sm, hn, ck, en) = (p.dim(n), p.dim(m), p.dim(n), p.dim(k), p.dim(n));
    let (x, slope) = (p.values(n * d), p.weights(sn * sm));
    let (h, upper, eta) = (p.weights(hn * k), p.weights(c * ck), p.probabilities(en, c));
    let metric = TwoLayerMetric::new(
        mat(&x, n, d),
        mat(&slope, sn, sm),
        mat(&h, hn, k),
        mat(&upper, c, ck),
        ResponseMetric::Softmax(mat(&eta, en, c)),
    )?;
    let (r, s, t, u) = (p.dim(m), p.dim(d), p.dim(c), p.dim(k));
    let (w, v) = (p.values(r * s), p.values(t * u));
    let (mut out_w, mut out_c) = (p.output(m * d), p.output(c * k));
    let mut work = p.work(TwoLayerMetric::<T>::multiply_workspace_len(n, m, c));
    let (o, q) = (mat_mut(&mut out_w, m, d), mat_mut(&mut out_c, c, k));
    metric.multiply(&Portable, o, q, mat(&w, r, s), mat(&v, t, u), &mut work)?;
    let mut work = p.work(TwoLayerMetric::<T>::multiply_workspace_len(n, m, c));
    let form = metric.quadratic_form(&Portable, mat(&w, r, s), mat(&v, t, u), &mut work)?;
    let (size, mut work) = (metric.parameters(), p.work(dense_workspace_len(n, d.max(k))));
    let (mut dense, mut cross) = (p.output(size * size), p.output(m * d * c * k));
    metric.dense(&Portable, mat_mut(&mut dense, size, size), &mut work)?;
    metric.cross(&Portable, mat_mut(&mut cross, m * d, c * k), &mut work)?;
    Ok([out_w, out_c, vec![form], dense, cross].concat())
}

/// All of them.
pub fn all<T: Real>() -> Vec<Routine<T>> {
    let mut all = products();
    all.extend(factorisations());
    all.extend(metrics());
    all
}
