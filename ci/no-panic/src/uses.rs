//! Uses of curvature: posterior, pruning, averages over workers.

use relfisher_core::curvature::{LowRank, low_rank_power_workspace_len};
use relfisher_core::laplace::{
    Evidence, effective_parameters, log_determinant, posterior_variances, predictive_covariance,
    predictive_covariance_workspace_len, probit_logits, scale_draw,
};
use relfisher_core::optim::{DeterminantalAverage, DeterminantalSums};
use relfisher_core::prune::{
    CompensateOptions, diagonal_saliency, inverse_saliency, kron_compensate,
    kron_compensate_workspace_len, kron_remove, remove, woodbury_update,
    woodbury_update_workspace_len,
};
use relfisher_core::{Error, Portable, Real};

use crate::{Opaque, probe};

probe! { low_rank laplace_spectrum laplace_predictive determinantal saliencies removals compensation }

fn low_rank<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let s = x.scalars;
    let [vectors, ..] = &x.inputs;
    let [values, ..] = &x.slices;
    let c = LowRank { vectors: vectors.view()?, values };
    c.power(&Portable, x.out.view_mut()?, s[0], s[1], x.work)?;
    x.result = c.log_determinant(s[1])?;
    x.counts[0] = low_rank_power_workspace_len(x.counts[1], x.counts[2]);
    Ok(())
}

fn laplace_spectrum<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let [n, tau, likelihood, norm] = [0, 1, 2, 3].map(|i| x.scalars[i].to_f64());
    let [values, draw, variances, _] = &mut x.slices;
    scale_draw(draw, values, n, tau)?;
    posterior_variances(variances, values, n, tau)?;
    let determinant = log_determinant(values, n, tau)?;
    let evidence =
        Evidence { log_likelihood: likelihood, squared_norm: norm, parameters: x.counts[0] };
    let value = evidence.log_marginal(tau, determinant)? + effective_parameters(values, n, tau)?;
    x.result = T::from_f64(value);
    Ok(())
}

fn laplace_predictive<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let [u, v, variances, ..] = &x.inputs;
    let (u, v, variances) = (u.view()?, v.view()?, variances.view()?);
    let beta = x.scalars[0];
    predictive_covariance(&Portable, x.out.view_mut()?, beta, (u, v), variances, x.work)?;
    let [logits, variances, ..] = &mut x.slices;
    probit_logits(logits, variances)?;
    x.counts[0] = predictive_covariance_workspace_len(x.counts[1], x.counts[2], x.counts[3]);
    Ok(())
}

fn determinantal<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let [sum, step, ..] = &mut x.slices;
    let [first, second, largest, total] = x.scalars.map(|s| s.to_f64());
    let mut average = DeterminantalAverage::new(sum);
    average.add(step, first)?;
    average.add(step, second)?;
    x.result = T::from_f64(average.finish()?);
    let sums = DeterminantalSums { largest, total, squares: first };
    let mut average = DeterminantalAverage::resume(sum, sums)?;
    average.add(step, second)?;
    x.result += T::from_f64(average.sums().total + average.finish()?);
    Ok(())
}

fn saliencies<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let [out, w, h, _] = &mut x.slices;
    diagonal_saliency(out, w, h)?;
    inverse_saliency(out, w, h)
}

fn removals<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let n = x.counts;
    let [w, g, ..] = &mut x.slices;
    x.result = remove(w, x.out.view_mut()?, n[0])?;
    woodbury_update(x.out.view_mut()?, g, x.scalars[0], x.work)?;
    let [g, a, ..] = &x.inputs;
    let inverses = (g.view()?, a.view()?);
    x.result += kron_remove(x.more.view_mut()?, inverses, (n[1], n[2]))?;
    x.counts[0] = woodbury_update_workspace_len(n[0]);
    Ok(())
}

fn compensation<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let (n, s) = (x.counts, x.scalars);
    let options = CompensateOptions { tolerance: s[1], max_iterations: n[0] };
    let [g, a, kept, ..] = &x.inputs;
    let (factors, kept) = ((g.view()?, a.view()?), kept.view()?);
    let w = x.out.view_mut()?;
    x.counts[0] = kron_compensate(&Portable, w, kept, factors, s[0], options, x.work)?
        ^ kron_compensate_workspace_len(n[1], n[2]);
    x.result = CompensateOptions::<T>::default().tolerance;
    Ok(())
}
