//! Uses of curvature: posterior, pruning, averages over workers.

use super::{NonFinite, Plan, Routine};
use crate::real::{mat, mat_mut};
use relfisher_core::curvature::{LowRank, low_rank_power_workspace_len};
use relfisher_core::laplace::{
    self, Evidence, effective_parameters, log_determinant, posterior_variances,
    predictive_covariance_workspace_len, probit_logits, scale_draw,
};
use relfisher_core::optim::DeterminantalAverage;
use relfisher_core::prune::{
    self, CompensateOptions, kron_compensate_workspace_len, woodbury_update_workspace_len,
};
use relfisher_core::{Error, Portable, Real};

type Call<T> = fn(&mut Plan<T>) -> Result<Vec<T>, Error>;

pub(super) fn all<T: Real>() -> Vec<Routine<T>> {
    let mut all = posterior();
    all.extend(pruning());
    all
}

fn form<T: Real>(name: &'static str, call: Call<T>) -> Routine<T> {
    Routine { name, non_finite: NonFinite::PassedOn, call }
}

fn solve<T: Real>(name: &'static str, call: Call<T>) -> Routine<T> {
    Routine { name, non_finite: NonFinite::Refused, call }
}

fn posterior<T: Real>() -> Vec<Routine<T>> {
    vec![
        form("LowRank::power, log_determinant", |p| {
            let [n, _, d, _] = p.shape;
            let rank = d.min(2);
            let (e, f) = (p.dim(rank), p.dim(d));
            let (vectors, values) = (p.values(rank * d), p.values(e));
            let (mut x, lambda) = (p.values(n * f), super::damping(p));
            let c = LowRank { vectors: mat(&vectors, rank, d), values: &values };
            let mut work = p.work(low_rank_power_workspace_len(n, rank));
            c.power(&Portable, mat_mut(&mut x, n, f), T::HALF, lambda, &mut work)?;
            x.push(c.log_determinant(lambda)?);
            Ok(x)
        }),
        solve("laplace: functions of the eigenvalues", |p| {
            let d = p.shape[2];
            let (e, f) = (p.dim(d), p.dim(d));
            let (values, mut draw) = (p.values(d), p.values(e));
            let mut variances = p.output(f);
            scale_draw(&mut draw, &values, 7.0, p.scale)?;
            posterior_variances(&mut variances, &values, 7.0, p.scale)?;
            let determinant = log_determinant(&values, 7.0, p.scale)?;
            let evidence = Evidence { log_likelihood: -1.0, squared_norm: 0.5, parameters: d };
            let marginal = evidence.log_marginal(p.scale, determinant)?;
            let effective = effective_parameters(&values, 7.0, p.scale)?;
            draw.extend(variances);
            draw.extend([marginal, effective].map(T::from_f64));
            // A draw that is not a number stays one.
            match draw.iter().position(|x| !x.is_finite()) {
                Some(index) => Err(Error::NonFinite { what: "draw", index }),
                None => Ok(draw),
            }
        }),
        form("laplace::predictive_covariance, probit_logits", |p| {
            let [n, m, d, _] = p.shape;
            let (a, b, e, f) = (p.dim(n), p.dim(4), p.dim(m), p.dim(d));
            let (u, v, variances) = (p.values(2 * n * m), p.values(n * d), p.weights(e * f));
            let (mut out, mut logits) = (p.output(a * b), p.values(4 * n));
            let mut work = p.work(predictive_covariance_workspace_len(n, m, d));
            let parts = (mat(&u, 2 * n, m), mat(&v, n, d));
            let to = mat_mut(&mut out, a, b);
            let variances = mat(&variances, e, f);
            laplace::predictive_covariance(&Portable, to, T::ZERO, parts, variances, &mut work)?;
            probit_logits(&mut logits, &out)?;
            out.extend(logits);
            Ok(out)
        }),
        solve("DeterminantalAverage", |p| {
            let d = p.shape[2];
            let e = p.dim(d);
            let (first, second, mut sum) = (p.values(e), p.values(d), p.output(d));
            let mut average = DeterminantalAverage::new(&mut sum);
            average.add(&first, 1.0)?;
            average.add(&second, 900.0)?;
            average.finish()?;
            Ok(sum)
        }),
    ]
}

fn pruning<T: Real>() -> Vec<Routine<T>> {
    vec![
        solve("prune::diagonal_saliency, inverse_saliency", |p| {
            let d = p.shape[2];
            let (e, f) = (p.dim(d), p.dim(d));
            let (w, h, inverse) = (p.values(d), p.values(e), p.weights(f));
            let (mut out, mut other) = (p.output(d), p.output(d));
            prune::diagonal_saliency(&mut out, &w, &h)?;
            prune::inverse_saliency(&mut other, &w, &inverse)?;
            out.extend(other);
            Ok(out)
        }),
        form("prune::remove", |p| {
            let d = p.shape[2];
            let (e, f) = (p.dim(d), p.dim(d));
            let (mut w, mut inverse) = (p.values(e), p.spd(d));
            inverse.resize(d * f, T::ONE);
            let last = d.saturating_sub(1);
            let cost = prune::remove(&mut w, mat_mut(&mut inverse, d, f), last)?;
            w.extend(inverse);
            w.push(cost);
            Ok(w)
        }),
        form("prune::kron_remove", |p| {
            let [_, m, d, _] = p.shape;
            let (e, f) = (p.dim(m), p.dim(d));
            let (g, a, mut w) = (p.spd(m), p.spd(d), p.values(e * f));
            let inverses = (mat(&g, m, m), mat(&a, d, d));
            let cost =
                prune::kron_remove(mat_mut(&mut w, e, f), inverses, (0, d.saturating_sub(1)))?;
            w.push(cost);
            Ok(w)
        }),
        form("prune::kron_compensate", |p| {
            let [_, m, d, _] = p.shape;
            let (e, f, k, l) = (p.dim(m), p.dim(d), p.dim(m), p.dim(d));
            let (g, a, mut w) = (p.spd(m), p.spd(d), p.values(e * f));
            let kept: Vec<T> = (0..k * l).map(|i| T::from_usize(i % 3 % 2)).collect();
            let mut work = p.work(kron_compensate_workspace_len(m, d));
            let factors = (mat(&g, m, m), mat(&a, d, d));
            let (view, kept) = (mat_mut(&mut w, e, f), mat(&kept, k, l));
            let (lambda, options) = (super::damping(p), CompensateOptions::default());
            prune::kron_compensate(&Portable, view, kept, factors, lambda, options, &mut work)?;
            Ok(w)
        }),
        solve("prune::woodbury_update", |p| {
            let d = p.shape[2];
            let (e, f) = (p.dim(d), p.dim(d));
            let (mut inverse, g) = (p.spd(d), p.values(e));
            inverse.resize(d * f, T::ONE);
            let mut work = p.work(woodbury_update_workspace_len(e));
            let view = mat_mut(&mut inverse, d, f);
            prune::woodbury_update(view, &g, T::from_f64(7.0), &mut work)?;
            Ok(inverse)
        }),
    ]
}
