//! Curvature of layers.

use relfisher_core::curvature::{
    self, KronBasis, Labels, OutputLoss, ekfac_apply, ekfac_scale, ekfac_scale_shared, ekfac_solve,
    exact_block, exact_diagonal, hessian_step, kfra_step, khatri_rao_apply, khatri_rao_gram,
    khatri_rao_transpose, normalisation_full, normalisation_gradients, packed_second_moments,
    reduce_mean, reduce_sum,
};
use relfisher_core::{Error, Portable, Real};

use crate::{Opaque, probe};

probe! {
    curvature_output curvature_blocks curvature_recursions curvature_ekfac curvature_khatri_rao
    curvature_shares curvature_normalisation curvature_lengths
}

fn loss<T: Real>(x: &Opaque<T>) -> OutputLoss<T> {
    match x.choice {
        0 => OutputLoss::SoftmaxCrossEntropy,
        1 => OutputLoss::Mse { scale: x.scalars[0] },
        _ => OutputLoss::BinaryCrossEntropy,
    }
}

fn curvature_output<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let (loss, n) = (loss(x), x.counts);
    let [p, v, ..] = &x.inputs;
    loss.hessian_root(x.out.view_mut()?, p.view()?, n[0])?;
    loss.hessian_apply(x.out.view_mut()?, p.view()?, v.view()?)?;
    loss.hessian_packed(x.more.view_mut()?, p.view()?)
}

fn curvature_blocks<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let s = x.scalars;
    let [h, inputs, diagonal, delta, ..] = &x.inputs;
    exact_block(&Portable, x.out.view_mut()?, h.view()?, inputs.view()?, s[0], x.work)?;
    let (o, diagonal) = (x.more.view_mut()?, diagonal.view()?);
    exact_diagonal(&Portable, o, diagonal, inputs.view()?, s[0], x.work)?;
    packed_second_moments(x.out.view_mut()?, s[1], delta.view()?)
}

fn curvature_recursions<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let [h, w, slope, bend, g] = &x.inputs;
    let (w, slope) = (w.view()?, slope.view()?);
    let bend = if x.choice == 0 { None } else { Some(bend.view()?) };
    hessian_step(&Portable, x.out.view_mut()?, h.view()?, w, slope, bend, x.work)?;
    kfra_step(&Portable, x.more.view_mut()?, g.view()?, w, slope, x.work)
}

fn curvature_ekfac<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let s = x.scalars;
    let [g, a, delta, inputs, scale] = &x.inputs;
    let basis = KronBasis { g: g.view()?, a: a.view()? };
    let (parts, scale) = ((delta.view()?, inputs.view()?), scale.view()?);
    ekfac_scale(&Portable, x.out.view_mut()?, s[0], s[1], basis, parts, x.work)?;
    ekfac_scale_shared(&Portable, x.out.view_mut()?, s[1], basis, parts, x.work)?;
    ekfac_solve(&Portable, x.more.view_mut()?, basis, scale, s[2], x.work)?;
    ekfac_apply(&Portable, x.more.view_mut()?, basis, scale, s[2], x.work)
}

fn curvature_khatri_rao<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let s = x.scalars;
    let [delta, inputs, v, ..] = &x.inputs;
    let (delta, inputs) = (delta.view()?, inputs.view()?);
    let [out, coefficients, ..] = &mut x.slices;
    khatri_rao_gram(&Portable, x.out.view_mut()?, s[0], delta, inputs, x.work)?;
    khatri_rao_apply(&Portable, out, s[0], delta, inputs, v.view()?, x.work)?;
    khatri_rao_transpose(&Portable, x.more.view_mut()?, s[0], delta, inputs, coefficients, x.work)
}

fn curvature_shares<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let a = x.inputs[0].view()?;
    reduce_sum(x.out.view_mut()?, a)?;
    reduce_mean(x.more.view_mut()?, a)
}

fn curvature_normalisation<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let s = x.scalars;
    let [inputs, delta, ..] = &x.inputs;
    let (inputs, delta) = (inputs.view()?, delta.view()?);
    normalisation_gradients(x.more.view_mut()?, inputs, delta)?;
    normalisation_full(&Portable, x.out.view_mut()?, s[0], s[1], inputs, delta, x.work)
}

fn curvature_lengths<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let [n, m, d, c, ..] = x.counts;
    let labels = if x.choice == 0 { Labels::MonteCarlo { draws: c } } else { Labels::Type2 };
    x.counts[0] = labels.columns(m)
        ^ loss(x).root_columns(m)
        ^ curvature::exact_block_workspace_len(n, m, d)
        ^ curvature::exact_diagonal_workspace_len(n, d)
        ^ curvature::hessian_step_workspace_len(m, d)
        ^ curvature::kfra_step_workspace_len(n, m, d)
        ^ curvature::ekfac_scale_workspace_len(n, m, d)
        ^ curvature::ekfac_scale_shared_workspace_len(n, m, d)
        ^ curvature::ekfac_solve_workspace_len(m, d)
        ^ curvature::ekfac_apply_workspace_len(m, d)
        ^ curvature::khatri_rao_gram_workspace_len(n, c)
        ^ curvature::khatri_rao_apply_workspace_len(n, m)
        ^ curvature::khatri_rao_transpose_workspace_len(n, m)
        ^ curvature::normalisation_full_workspace_len(n, c);
    Ok(())
}
