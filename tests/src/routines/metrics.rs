//! Layer metrics, two layers and the routes to their steps.

use super::{NonFinite, Plan, Routine, damping, total};
use crate::real::{mat, mat_mut};
use relfisher_core::metric::cost::{LayerKind, Route};
use relfisher_core::metric::layer::{
    LayerMetric, LinearMetric, NonlinearMetric, ResponseMetric, SoftmaxMetric, SolveOptions,
    dense_workspace_len,
};
use relfisher_core::metric::normalisation;
use relfisher_core::metric::route::{block, conjugate_gradient, kronecker, sample};
use relfisher_core::metric::two_layer::TwoLayerMetric;
use relfisher_core::{Error, Portable, Real, blas, factor};

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

pub(super) fn all<T: Real>() -> Vec<Routine<T>> {
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
        solve("normalisation::solve, power", |p| {
            let [_, _, c, _] = p.shape;
            let (r, s, e, f) = (p.dim(c), p.dim(2), p.dim(c), p.dim(3));
            let (mut v, mut blocks) = (p.values(r * s), p.spd_packed(e, 2));
            blocks.resize(e * f, T::ONE);
            let (mut w, lambda) = (v.clone(), damping(p));
            normalisation::solve(mat_mut(&mut v, r, s), mat(&blocks, e, f), lambda)?;
            normalisation::power(mat_mut(&mut w, r, s), mat(&blocks, e, f), T::HALF, lambda)?;
            v.extend(w);
            Ok(v)
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
