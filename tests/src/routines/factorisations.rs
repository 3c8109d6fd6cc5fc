//! Factorisations and solves.

use super::{DAMPING, NonFinite, Routine, total};
use crate::real::{mat, mat_mut};
use relfisher_core::{Portable, Real, factor};

pub(super) fn all<T: Real>() -> Vec<Routine<T>> {
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
        routine("newton_schulz", |p| {
            let d = p.shape[2];
            let (r, c, a) = (p.dim(d), p.dim(d), p.spd(d));
            let (mut out, mut work) =
                (p.output(r * c), p.work(factor::newton_schulz_workspace_len(d)));
            let (o, a, options) =
                (mat_mut(&mut out, r, c), mat(&a, d, d), factor::NewtonSchulz::default());
            let root = factor::InverseRoot::Fourth;
            factor::newton_schulz(&Portable, o, a, T::ZERO, root, options, &mut work)?;
            Ok(out)
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
        routine("cholesky_batch", |p| {
            let [_, m, d, _] = p.shape;
            let (e, mut a) = (p.dim(d), p.spd_batch(m, d));
            let mut work = p.work(factor::cholesky_batch_workspace_len(d));
            factor::cholesky_batch(mat_mut(&mut a, m, d * d), e, T::ZERO, &mut work)?;
            // what is above the diagonals is not an output
            let lower = |k: &usize| k % (d * d) % d <= k % (d * d) / d;
            Ok((0..a.len()).filter(lower).map(|k| a[k]).collect())
        }),
        routine("packed_cholesky_batch", |p| {
            let [_, m, d, _] = p.shape;
            let (e, mut blocks) = (p.dim(d), p.spd_packed(m, d));
            let mut work = p.work(factor::cholesky_batch_workspace_len(d));
            let view = mat_mut(&mut blocks, m, total(d));
            factor::packed_cholesky_batch(view, e, T::ZERO, &mut work)?;
            Ok(blocks)
        }),
        routine("eigh_batch", |p| {
            let [_, m, d, _] = p.shape;
            let (r, e, mut a) = (p.dim(m), p.dim(d), p.spd_batch(m, d));
            let mut values = p.output(r * e);
            let mut work = p.work(factor::eigh_batch_workspace_len(d));
            let (a_view, v) = (mat_mut(&mut a, m, d * d), mat_mut(&mut values, r, e));
            factor::eigh_batch(a_view, v, d, &mut work)?;
            Ok([a, values].concat())
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
        routine("scaled_gram_solve_columns", |p| {
            let [n, m, ..] = p.shape;
            let (a, r) = (p.dim(n), p.dim(n));
            let width = m.div_ceil(2);
            let (k, s, mut z) = (p.spd(n), p.weights(a * m), p.values(r * width));
            let mut work = p.work(factor::scaled_gram_solve_workspace_len(n, width));
            let (k, s) = (mat(&k, n, n), mat(&s, a, m));
            let lambda = T::from_f64(DAMPING * p.scale);
            let z_view = mat_mut(&mut z, r, width);
            factor::scaled_gram_solve_columns(z_view, k, s, m - width, lambda, &mut work)?;
            Ok(z)
        }),
        routine("packed_log_determinant", |p| {
            let [_, m, d, _] = p.shape;
            let (e, factors) = (p.dim(d), p.lower_packed(m, d));
            Ok(vec![factor::packed_log_determinant(mat(&factors, m, total(d)), e)?])
        }),
    ]
}
