//! Curvature of layers.

use super::{NonFinite, Routine, total};
use crate::real::{mat, mat_mut};
use relfisher_core::curvature::{
    self, KronBasis, OutputLoss, ekfac_scale_shared_workspace_len, ekfac_scale_workspace_len,
    ekfac_solve_workspace_len, exact_block_workspace_len, exact_diagonal_workspace_len,
    hessian_step_workspace_len, kfra_step_workspace_len, khatri_rao_apply_workspace_len,
    khatri_rao_gram_workspace_len, khatri_rao_transpose_workspace_len,
    normalisation_full_workspace_len,
};
use relfisher_core::{Portable, Real};

pub(super) fn all<T: Real>() -> Vec<Routine<T>> {
    let mut all = outputs();
    all.extend(blocks());
    all.extend(eigenbasis());
    all.extend(sample_space());
    all
}

fn form<T: Real>(
    name: &'static str,
    call: fn(&mut super::Plan<T>) -> Result<Vec<T>, relfisher_core::Error>,
) -> Routine<T> {
    Routine { name, non_finite: NonFinite::PassedOn, call }
}

fn solve<T: Real>(
    name: &'static str,
    call: fn(&mut super::Plan<T>) -> Result<Vec<T>, relfisher_core::Error>,
) -> Routine<T> {
    Routine { name, non_finite: NonFinite::Refused, call }
}

fn outputs<T: Real>() -> Vec<Routine<T>> {
    vec![
        solve("OutputLoss::hessian_root", |p| {
            let [n, m, ..] = p.shape;
            let (e, f) = (p.dim(n), p.dim(m));
            let (eta, mut out) = (p.probabilities(n, m), p.output(e * f));
            let loss = OutputLoss::SoftmaxCrossEntropy;
            loss.hessian_root(mat_mut(&mut out, e, f), mat(&eta, n, m), 0)?;
            Ok(out)
        }),
        form("OutputLoss::hessian_apply", |p| {
            let [n, m, ..] = p.shape;
            let (e, f, g, h) = (p.dim(n), p.dim(m), p.dim(n), p.dim(m));
            let (eta, v, mut out) = (p.probabilities(n, m), p.values(e * f), p.output(g * h));
            let (eta, v) = (mat(&eta, n, m), mat(&v, e, f));
            OutputLoss::BinaryCrossEntropy.hessian_apply(mat_mut(&mut out, g, h), eta, v)?;
            Ok(out)
        }),
        solve("OutputLoss::hessian_packed", |p| {
            let [n, m, ..] = p.shape;
            let (e, f) = (p.dim(n), p.dim(total(m)));
            let (eta, mut out) = (p.probabilities(n, m), p.output(e * f));
            let loss = OutputLoss::SoftmaxCrossEntropy;
            loss.hessian_packed(mat_mut(&mut out, e, f), mat(&eta, n, m))?;
            Ok(out)
        }),
        form("packed_second_moments", |p| {
            let [n, m, ..] = p.shape;
            let (e, f) = (p.dim(n), p.dim(total(m)));
            let (delta, mut out) = (p.values(n * m), p.output(e * f));
            let o = mat_mut(&mut out, e, f);
            curvature::packed_second_moments(o, T::ZERO, mat(&delta, n, m))?;
            Ok(out)
        }),
    ]
}

fn blocks<T: Real>() -> Vec<Routine<T>> {
    vec![
        form("exact_block", |p| {
            let [n, m, d, _] = p.shape;
            let (e, r, c) = (p.dim(n), p.dim(m * d), p.dim(m * d));
            let (h, x, mut out) = (p.weights(e * total(m)), p.values(n * d), p.output(r * c));
            let mut work = p.work(exact_block_workspace_len(n, m, d));
            let (h, x) = (mat(&h, e, total(m)), mat(&x, n, d));
            let o = mat_mut(&mut out, r, c);
            curvature::exact_block(&Portable, o, h, x, T::HALF, &mut work)?;
            Ok(out)
        }),
        form("exact_diagonal", |p| {
            let [n, m, d, _] = p.shape;
            let (e, r, c) = (p.dim(n), p.dim(m), p.dim(d));
            let (h, x, mut out) = (p.weights(e * m), p.values(n * d), p.output(r * c));
            let mut work = p.work(exact_diagonal_workspace_len(n, d));
            let (h, x) = (mat(&h, e, m), mat(&x, n, d));
            let o = mat_mut(&mut out, r, c);
            curvature::exact_diagonal(&Portable, o, h, x, T::HALF, &mut work)?;
            Ok(out)
        }),
        form("hessian_step", |p| {
            let [n, m, d, _] = p.shape;
            let (a, r, c, e) = (p.dim(total(m)), p.dim(n), p.dim(total(d)), p.dim(d));
            let (f, g) = (p.dim(n), p.dim(n));
            let (h, w, slope) = (p.weights(n * a), p.values(m * d), p.weights(f * e));
            let (bend, mut out) = (p.values(g * e), p.output(r * c));
            let mut work = p.work(hessian_step_workspace_len(m, d));
            let (h, w, slope, bend) =
                (mat(&h, n, a), mat(&w, m, d), mat(&slope, f, e), mat(&bend, g, e));
            let o = mat_mut(&mut out, r, c);
            curvature::hessian_step(&Portable, o, h, w, slope, Some(bend), &mut work)?;
            Ok(out)
        }),
        form("kfra_step", |p| {
            let [n, m, d, _] = p.shape;
            let (a, b, r, c, e) = (p.dim(m), p.dim(m), p.dim(d), p.dim(d), p.dim(d));
            let (g, w, slope) = (p.weights(a * b), p.values(m * d), p.weights(n * e));
            let (mut out, mut work) = (p.output(r * c), p.work(kfra_step_workspace_len(n, m, d)));
            let (g, w, slope) = (mat(&g, a, b), mat(&w, m, d), mat(&slope, n, e));
            curvature::kfra_step(&Portable, mat_mut(&mut out, r, c), g, w, slope, &mut work)?;
            Ok(out)
        }),
        form("normalisation_full", |p| {
            let [n, _, c, _] = p.shape;
            let (r, s, e, f) = (p.dim(2 * c), p.dim(2 * c), p.dim(n), p.dim(c));
            let (x, delta, mut out) = (p.weights(n * c), p.values(e * f), p.output(r * s));
            let mut work = p.work(normalisation_full_workspace_len(n, c));
            let (x, delta, o) = (mat(&x, n, c), mat(&delta, e, f), mat_mut(&mut out, r, s));
            let (zero, half) = (T::ZERO, T::HALF);
            curvature::normalisation_full(&Portable, o, zero, half, x, delta, &mut work)?;
            Ok(out)
        }),
    ]
}

fn eigenbasis<T: Real>() -> Vec<Routine<T>> {
    vec![
        form("ekfac_scale", |p| {
            let [n, m, d, _] = p.shape;
            let (a, b, r, c) = (p.dim(m), p.dim(d), p.dim(m), p.dim(d));
            let (e, f) = (p.dim(m), p.dim(d));
            let (g, u) = (p.weights(e * a), p.weights(f * b));
            let (delta, x, mut out) = (p.weights(n * m), p.values(n * d), p.output(r * c));
            let mut work = p.work(ekfac_scale_workspace_len(n, m, d));
            let basis = KronBasis { g: mat(&g, e, a), a: mat(&u, f, b) };
            let (parts, o) = ((mat(&delta, n, m), mat(&x, n, d)), mat_mut(&mut out, r, c));
            curvature::ekfac_scale(&Portable, o, T::ZERO, T::HALF, basis, parts, &mut work)?;
            Ok(out)
        }),
        form("ekfac_scale_shared", |p| {
            let [t, m, d, _] = p.shape;
            let (a, b, e) = (p.dim(m), p.dim(d), p.dim(t));
            let (g, u) = (p.weights(m * a), p.weights(d * b));
            let (delta, x, mut out) = (p.weights(e * m), p.values(t * d), p.weights(m * d));
            let mut work = p.work(ekfac_scale_shared_workspace_len(t, m, d));
            let basis = KronBasis { g: mat(&g, m, a), a: mat(&u, d, b) };
            let (parts, o) = ((mat(&delta, e, m), mat(&x, t, d)), mat_mut(&mut out, m, d));
            curvature::ekfac_scale_shared(&Portable, o, T::HALF, basis, parts, &mut work)?;
            Ok(out)
        }),
        solve("ekfac_solve", |p| {
            let [_, m, d, _] = p.shape;
            let (a, b, e, f) = (p.dim(m), p.dim(d), p.dim(m), p.dim(d));
            // eigenvectors are trusted, like factors
            let (g, u) = (vec![T::HALF; m * a], vec![T::HALF; d * b]);
            let (scale, mut v) = (p.weights(e * f), p.values(m * d));
            let mut work = p.work(ekfac_solve_workspace_len(m, d));
            let basis = KronBasis { g: mat(&g, m, a), a: mat(&u, d, b) };
            let scale = mat(&scale, e, f);
            let o = mat_mut(&mut v, m, d);
            curvature::ekfac_solve(&Portable, o, basis, scale, T::HALF, &mut work)?;
            Ok(v)
        }),
    ]
}

fn sample_space<T: Real>() -> Vec<Routine<T>> {
    vec![
        form("khatri_rao_gram", |p| {
            let [n, m, d, _] = p.shape;
            let (r, c) = (p.dim(2 * n), p.dim(2 * n));
            let (delta, x, mut out) = (p.weights(2 * n * m), p.values(n * d), p.output(r * c));
            let mut work = p.work(khatri_rao_gram_workspace_len(n, 2));
            let (delta, x, o) = (mat(&delta, 2 * n, m), mat(&x, n, d), mat_mut(&mut out, r, c));
            curvature::khatri_rao_gram(&Portable, o, T::ZERO, delta, x, &mut work)?;
            Ok(out)
        }),
        form("khatri_rao_apply", |p| {
            let [n, m, d, _] = p.shape;
            let (r, e, f) = (p.dim(2 * n), p.dim(m), p.dim(d));
            let (delta, x, v) = (p.weights(2 * n * m), p.values(n * d), p.weights(e * f));
            let (mut out, mut work) = (p.output(r), p.work(khatri_rao_apply_workspace_len(n, m)));
            let (delta, x, v) = (mat(&delta, 2 * n, m), mat(&x, n, d), mat(&v, e, f));
            curvature::khatri_rao_apply(&Portable, &mut out, T::ZERO, delta, x, v, &mut work)?;
            Ok(out)
        }),
        form("khatri_rao_transpose", |p| {
            let [n, m, d, _] = p.shape;
            let (u, r, c) = (p.dim(2 * n), p.dim(m), p.dim(d));
            let (delta, x) = (p.weights(2 * n * m), p.values(n * d));
            let (u, mut out) = (p.weights(u), p.output(r * c));
            let mut work = p.work(khatri_rao_transpose_workspace_len(n, m));
            let (delta, x, o) = (mat(&delta, 2 * n, m), mat(&x, n, d), mat_mut(&mut out, r, c));
            curvature::khatri_rao_transpose(&Portable, o, T::ZERO, delta, x, &u, &mut work)?;
            Ok(out)
        }),
        form("reduce_sum, reduce_mean", |p| {
            let [n, _, d, t] = p.shape;
            let (e, f) = (p.dim(d), p.dim(d));
            // no sample has no position, and a sample at least one
            let t = t.max(1);
            let (a, mut sum, mut mean) = (p.values(n * t * d), p.output(n * e), p.output(n * f));
            curvature::reduce_sum(mat_mut(&mut sum, n, e), mat(&a, n * t, d))?;
            curvature::reduce_mean(mat_mut(&mut mean, n, f), mat(&a, n * t, d))?;
            sum.extend(mean);
            Ok(sum)
        }),
    ]
}
