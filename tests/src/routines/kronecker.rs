//! Kronecker algebra.

use super::{NonFinite, Routine, total};
use crate::real::{mat, mat_mut};
use relfisher_core::kron::{
    self, BiasCorrection, Damping, FactorDamping, KronCholesky, KronEigen, KronSum, Sign,
    apply_workspace_len, kron_cholesky_solve_workspace_len, kron_eigen_apply_workspace_len,
    kron_eigen_factor_workspace_len, kron_sum_factor_workspace_len, kron_sum_solve_workspace_len,
    quadratic_form_workspace_len,
};
use relfisher_core::{Portable, Real, factor};

pub(super) fn all<T: Real>() -> Vec<Routine<T>> {
    use NonFinite::{PassedOn, Refused};
    let solve = |name, call| Routine { name, non_finite: Refused, call };
    let form = |name, call| Routine { name, non_finite: PassedOn, call };
    vec![
        form("kron::apply", |p| {
            let [q, m, d, _] = p.shape;
            // G is q × m, A d × d.
            let (r, c, e, f) = (p.dim(q), p.dim(d), p.dim(m), p.dim(d));
            let (g, a, v, mut out) =
                (p.values(q * m), p.values(d * d), p.values(e * f), p.output(r * c));
            let mut work = p.work(apply_workspace_len(q, d));
            let (g, a, v) = (mat(&g, q, m), mat(&a, d, d), mat(&v, e, f));
            kron::apply(&Portable, mat_mut(&mut out, r, c), g, a, v, &mut work)?;
            Ok(out)
        }),
        form("kron::quadratic_form", |p| {
            let [_, m, d, _] = p.shape;
            let (e, f) = (p.dim(m), p.dim(d));
            let (g, a, v) = (p.values(m * m), p.values(d * d), p.values(e * f));
            let mut work = p.work(quadratic_form_workspace_len(m, d));
            let (g, a, v) = (mat(&g, m, m), mat(&a, d, d), mat(&v, e, f));
            Ok(vec![kron::quadratic_form(&Portable, g, a, v, &mut work)?])
        }),
        form("kron::materialise, diagonal", |p| {
            let [_, m, d, _] = p.shape;
            let (r, c, e, f) = (p.dim(m * d), p.dim(m * d), p.dim(m), p.dim(d));
            let (g, a) = (p.values(m * m), p.values(d * d));
            let (mut out, mut diagonal) = (p.output(r * c), p.output(e * f));
            let (g, a) = (mat(&g, m, m), mat(&a, d, d));
            kron::materialise(mat_mut(&mut out, r, c), g, a)?;
            kron::diagonal(mat_mut(&mut diagonal, e, f), g, a)?;
            out.extend(diagonal);
            Ok(out)
        }),
        form("kron::trace, frobenius_inner", |p| {
            let [_, m, d, _] = p.shape;
            let (e, f) = (p.dim(m), p.dim(d));
            let (g, a, h, b) = (p.values(m * m), p.values(d * d), p.values(m * e), p.values(d * f));
            let (g, a, h, b) = (mat(&g, m, m), mat(&a, d, d), mat(&h, m, e), mat(&b, d, f));
            Ok(vec![kron::trace(g, a)?, kron::frobenius_inner((g, a), (h, b))?])
        }),
        form("kron::moving_average", |p| {
            let (a, n) = (p.dim(p.shape[0]), p.shape[0]);
            let (mut average, value) = (p.values(n), p.values(a));
            let correction = BiasCorrection::Normalised;
            kron::moving_average(&mut average, &value, T::HALF, correction, 3)?;
            Ok(average)
        }),
        form("kron::pack, unpack", |p| {
            let d = p.shape[2];
            let (e, f) = (p.dim(total(d)), p.dim(total(d)));
            let (a, mut packed) = (p.values(d * d), p.output(e));
            kron::pack(&mut packed, mat(&a, d, d))?;
            let (half, mut full) = (p.values(f), p.output(d * d));
            kron::unpack(mat_mut(&mut full, d, d), &half)?;
            packed.extend(full);
            Ok(packed)
        }),
        solve("KronEigen", |p| {
            let [_, m, d, _] = p.shape;
            let (x, y, e, f) = (p.dim(m), p.dim(d), p.dim(m), p.dim(d));
            let (mut g, mut a, mut v) = (p.spd(m), p.spd(d), p.values(e * f));
            let (mut s, mut t) = (p.output(x), p.output(y));
            let mut work = p.work(kron_eigen_factor_workspace_len(m, d));
            let (left, right) = (mat_mut(&mut g, m, m), mat_mut(&mut a, d, d));
            let basis = KronEigen::factor(&Portable, (left, &mut s), (right, &mut t), &mut work)?;
            let mut work = p.work(kron_eigen_apply_workspace_len(m, d));
            let lambda = T::from_f64(p.scale * p.scale);
            basis.solve(&Portable, mat_mut(&mut v, e, f), lambda, &mut work)?;
            Ok(v)
        }),
        solve("KronCholesky", |p| {
            let [_, m, d, _] = p.shape;
            let (e, f) = (p.dim(m), p.dim(d));
            let (mut g, mut a, mut v) = (p.spd(m), p.spd(d), p.values(e * f));
            let lambda = T::from_f64(p.scale * p.scale);
            let split = kron::split_damping(mat(&g, m, m), mat(&a, d, d), lambda, Damping::Pi)?;
            let (left, right) = (mat_mut(&mut g, m, m), mat_mut(&mut a, d, d));
            let factors = KronCholesky::factor(&Portable, left, right, split)?;
            let mut work = p.work(kron_cholesky_solve_workspace_len(m, d));
            factors.solve(&Portable, mat_mut(&mut v, e, f), &mut work)?;
            let mut stack = p.values(2 * e * f);
            factors.solve_stacked(&Portable, mat_mut(&mut stack, 2 * e, f), &mut work)?;
            v.extend(stack);
            v.push(factors.log_determinant()?);
            Ok(v)
        }),
        solve("kron::regression", |p| {
            let [_, m, d, _] = p.shape;
            let (e, f) = (p.dim(m), p.dim(d));
            let (cross, mut s) = (p.values(e * f), p.spd(d));
            factor::cholesky(mat_mut(&mut s, d, d), T::ZERO)?;
            let (mut psi, mut explained) = (p.output(m * d), p.output(m * m));
            let out = (mat_mut(&mut psi, m, d), mat_mut(&mut explained, m, m));
            kron::regression(&Portable, out, mat(&cross, e, f), mat(&s, d, d))?;
            psi.extend(explained);
            Ok(psi)
        }),
        solve("KronSum", |p| {
            let [_, m, d, _] = p.shape;
            let (x, y, e, f) = (p.dim(m), p.dim(d), p.dim(m), p.dim(d));
            let (mut g, mut h, mut a, mut b) = (p.spd(m), p.spd(m), p.spd(d), p.spd(d));
            let (mut s, mut t, mut v) = (p.output(x), p.output(y), p.values(e * f));
            let mut work = p.work(kron_sum_factor_workspace_len(m, d));
            let left = (mat_mut(&mut g, m, m), mat_mut(&mut h, m, m), &mut s[..]);
            let right = (mat_mut(&mut a, d, d), mat_mut(&mut b, d, d), &mut t[..]);
            let none = FactorDamping { g: T::ZERO, a: T::ZERO };
            let sum = KronSum::factor(&Portable, left, right, none, Sign::Plus, &mut work)?;
            let mut work = p.work(kron_sum_solve_workspace_len(m, d));
            sum.solve(&Portable, mat_mut(&mut v, e, f), &mut work)?;
            Ok(v)
        }),
    ]
}
