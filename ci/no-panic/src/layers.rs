//! Metrics of layers, the routes to a step, and the cost model.

use relfisher_core::metric::cost::{self, Construction, LayerKind, Problem, Route};
use relfisher_core::metric::layer::{
    LayerMetric, LinearMetric, NonlinearMetric, ResponseMetric, SoftmaxMetric, SolveOptions,
    dense_workspace_len, fold_scale,
};
use relfisher_core::metric::normalisation;
use relfisher_core::metric::route::conjugate_gradient::{Options, Preconditioner};
use relfisher_core::metric::route::{block, conjugate_gradient, kronecker, sample};
use relfisher_core::metric::two_layer::{LowerMetric, TwoLayerMetric};
use relfisher_core::{Error, MatMut, MatRef, Portable, Real};

use crate::{Opaque, probe};

probe! { normalised linear nonlinear softmax responses_of_layers two_layers block_route softmax_block
sample_route gradient_route kronecker_route costs }

fn route(choice: u8) -> Option<Route> {
    match choice & 7 {
        0 => None,
        1 => Some(Route::Block),
        2 => Some(Route::Sample),
        3 => Some(Route::ConjugateGradient),
        _ => Some(Route::Kronecker),
    }
}

/// What every layer metric provides.
fn provided<T: Real, M: LayerMetric<T>>(
    metric: &M,
    out: &mut MatMut<'_, T>,
    v: MatRef<'_, T>,
    keep: T,
    work: &mut [T],
) -> Result<T, Error> {
    metric.check_inputs()?;
    metric.multiply(&Portable, out.rb_mut(), v, work)?;
    metric.diagonal(out.rb_mut())?;
    metric.accumulate_dense(&Portable, out.rb_mut(), keep, work)?;
    metric.dense(&Portable, out.rb_mut(), work)?;
    let sizes =
        metric.parameters() ^ metric.multiply_workspace_len() ^ metric.respond_workspace_len();
    let entry = metric.weight(sizes, metric.samples(), metric.inputs());
    Ok(metric.quadratic_form(&Portable, v, work)? + entry)
}

fn linear<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let (s, n) = (x.scalars, x.counts);
    let [a, g, ..] = &x.inputs;
    let metric = LinearMetric::new(a.view()?, n[0], s[0])?;
    let mut out = x.out.view_mut()?;
    x.result = provided(&metric, &mut out, g.view()?, s[1], x.work)? + metric.precision();
    metric.block(&Portable, out.rb_mut(), x.work)?;
    x.counts[0] =
        LinearMetric::<T>::solve_workspace_len(n[0], n[1], n[2]) ^ dense_workspace_len(n[0], n[1]);
    metric.solve(&Portable, out, g.view()?, s[2], x.work)
}

fn nonlinear<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let (s, n) = (x.scalars, x.counts);
    fold_scale(x.more.view_mut()?, x.slices[0])?;
    let [a, g, ..] = &x.inputs;
    let metric = NonlinearMetric::new(a.view()?, x.more.view()?)?;
    let mut out = x.out.view_mut()?;
    x.result = provided(&metric, &mut out, g.view()?, s[1], x.work)?;
    metric.block(&Portable, out.rb_mut(), n[0], x.work)?;
    metric.packed(&Portable, out.rb_mut(), s[2], x.work)?;
    let options = SolveOptions { route: route(x.choice), ..Default::default() };
    metric.solve(&Portable, out, g.view()?, s[3], options, x.work)?;
    let chosen = NonlinearMetric::<T>::route(n[0], n[1], n[2], route(x.choice), s[3] > s[4]);
    x.counts[0] = NonlinearMetric::<T>::solve_workspace_len(n[0], n[1], n[2], chosen)
        ^ NonlinearMetric::<T>::block_workspace_len(metric.x().rows(), metric.nu().cols());
    Ok(())
}

fn softmax<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let (s, n) = (x.scalars, x.counts);
    let [a, eta, g, ..] = &x.inputs;
    let metric = SoftmaxMetric::new(a.view()?, eta.view()?)?;
    let mut out = x.out.view_mut()?;
    x.result = provided(&metric, &mut out, g.view()?, s[1], x.work)?;
    let options = SolveOptions { route: route(x.choice), ..Default::default() };
    metric.solve(&Portable, out, g.view()?, s[3], options, x.work)?;
    let chosen = SoftmaxMetric::<T>::route(n[0], n[1], n[2], route(x.choice), s[3] > s[4]);
    x.counts[0] = SoftmaxMetric::<T>::solve_workspace_len(n[0], n[1], n[2], chosen)
        ^ metric.x().rows()
        ^ metric.eta().cols();
    Ok(())
}

fn response<'a, T: Real>(
    choice: u8,
    eta: MatRef<'a, T>,
    weight: T,
    outputs: usize,
) -> ResponseMetric<'a, T> {
    match choice {
        0 => ResponseMetric::Constant { weight, outputs },
        1 => ResponseMetric::Independent(eta),
        _ => ResponseMetric::Softmax(eta),
    }
}

fn responses_of_layers<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let [eta, p, ..] = &x.inputs;
    let r = response(x.choice, eta.view()?, x.scalars[0], x.counts[0]);
    r.check_shape(x.counts[1])?;
    r.check_values()?;
    let mut out = x.out.view_mut()?;
    r.apply(&mut out);
    x.result = r.energy(p.view()?) + r.entry(r.outputs(), x.counts[2], x.counts[3]);
    Ok(())
}

fn two_layers<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let (s, n) = (x.scalars, x.counts);
    let [a, slope, h, c, eta] = &x.inputs;
    let r = response(x.choice, eta.view()?, s[0], n[0]);
    let lower = LowerMetric::new(a.view()?, slope.view()?, c.view()?, r)?;
    let metric =
        TwoLayerMetric::new(a.view()?, slope.view()?, h.view()?, c.view()?, lower.response())?;
    metric.check_inputs()?;
    let mut out = x.out.view_mut()?;
    let upper = metric.upper();
    x.result = provided(&metric.lower(), &mut out, h.view()?, s[1], x.work)?
        + provided(&upper, &mut out, h.view()?, s[1], x.work)?
        + metric.quadratic_form(&Portable, a.view()?, c.view()?, x.work)?;
    metric.multiply(&Portable, out.rb_mut(), x.more.view_mut()?, a.view()?, c.view()?, x.work)?;
    metric.cross(&Portable, out.rb_mut(), x.work)?;
    x.counts[0] =
        metric.parameters() ^ TwoLayerMetric::<T>::multiply_workspace_len(n[0], n[1], n[2]);
    metric.dense(&Portable, out, x.work)?;
    x.counts[1] = TwoLayerMetric::<T>::solve_workspace_len(n[0], n[1], n[2], n[3]);
    let options =
        Options { tolerance: s[2], max_iterations: n[4], preconditioner: Preconditioner::Jacobi };
    let [first, second, ..] = &mut x.slices;
    x.counts[2] = metric.solve(&Portable, first, second, s[3], options, x.work)?;
    Ok(())
}

fn block_route<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let (s, n) = (x.scalars, x.counts);
    let [a, nu, v, ..] = &x.inputs;
    let metric = NonlinearMetric::new(a.view()?, nu.view()?)?;
    let mut out = x.out.view_mut()?;
    block::build(&Portable, out.rb_mut(), &metric, s[0], x.work)?;
    block::factor(&Portable, out.rb_mut(), n[0], s[1])?;
    block::apply(&Portable, out.rb_mut(), v.view()?)?;
    block::invert(&Portable, out.rb_mut(), n[0], s[1], x.work)?;
    block::apply_inverse(&Portable, out, a.view()?, v.view()?)
}

fn softmax_block<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let s = x.scalars;
    let [a, eta, f, ..] = &x.inputs;
    let metric = SoftmaxMetric::new(a.view()?, eta.view()?)?;
    let mut out = x.out.view_mut()?;
    block::softmax_build(&Portable, out.rb_mut(), &metric, s[0], x.work)?;
    block::softmax_factor(&Portable, out, s[1])?;
    block::softmax_apply(&Portable, x.slices[0], f.view()?)
}

fn sample_route<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let (s, n) = (x.scalars, x.counts);
    let [a, nu, g, ..] = &x.inputs;
    let mut out = x.out.view_mut()?;
    let metric = NonlinearMetric::new(a.view()?, nu.view()?)?;
    sample::solve(&Portable, out.rb_mut(), &metric, g.view()?, s[0], x.work)?;
    let metric = SoftmaxMetric::new(a.view()?, nu.view()?)?;
    sample::softmax_roots(out.rb_mut(), nu.view()?)?;
    sample::softmax_solve(&Portable, out, &metric, g.view()?, s[0], x.work)?;
    x.counts[0] =
        sample::workspace_len(n[0], n[1], n[2]) ^ sample::softmax_workspace_len(n[0], n[1]);
    Ok(())
}

fn gradient_route<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let (s, n) = (x.scalars, x.counts);
    let [a, nu, g, ..] = &x.inputs;
    let mut out = x.out.view_mut()?;
    let preconditioner =
        if x.choice & 1 == 0 { Preconditioner::None } else { Preconditioner::Jacobi };
    let options = Options { tolerance: s[1], max_iterations: n[0], preconditioner };
    let metric = NonlinearMetric::new(a.view()?, nu.view()?)?;
    x.counts[0] = conjugate_gradient::solve(
        &Portable,
        out.rb_mut(),
        &metric,
        g.view()?,
        s[0],
        options,
        x.work,
    )?;
    x.counts[1] = conjugate_gradient::workspace_len(n[0], n[1], n[2]);
    let metric = SoftmaxMetric::new(a.view()?, nu.view()?)?;
    conjugate_gradient::solve(&Portable, out, &metric, g.view()?, s[0], options, x.work).map(|_| ())
}

fn kronecker_route<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let (s, n) = (x.scalars, x.counts);
    let kind = if x.choice & 1 == 0 { LayerKind::Nonlinear } else { LayerKind::Softmax };
    let form =
        if x.choice & 2 == 0 { kronecker::Damping::Exact } else { kronecker::Damping::Factored };
    let [a, nu, ..] = &x.inputs;
    let [storage, ..] = &mut x.slices;
    let mut state = kronecker::State::new(kind, n[0], n[1], storage)?;
    state.build_nonlinear(
        &Portable,
        &NonlinearMetric::new(a.view()?, nu.view()?)?,
        s[0],
        x.work,
    )?;
    state.build_softmax(&Portable, &SoftmaxMetric::new(a.view()?, nu.view()?)?, s[0], x.work)?;
    state.factor(&Portable, form, s[1], x.work)?;
    state.apply(&Portable, x.out.view_mut()?, form, s[1], x.work)?;
    x.counts[2] = state.input().len() ^ state.output().len();
    x.counts[0] =
        kronecker::state_len(kind, n[0], n[1]) ^ kronecker::workspace_len(kind, n[0], n[1], n[2]);
    Ok(())
}

fn costs<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let n = x.counts;
    let kind = if x.choice & 1 == 0 { LayerKind::Nonlinear } else { LayerKind::Softmax };
    let problem = Problem::new(kind, n[0], n[1], n[2]);
    let problem = Problem { refresh: n[3], iterations: n[4], element_bytes: n[5], ..problem };
    let how = cost::choose_construction(n[0], n[1], n[2]);
    let share = cost::construction_efficiency(how, n[0], n[1], n[2]);
    let route = route(x.choice).unwrap_or(cost::choose(&problem));
    x.result = T::from_f64(cost::cost(&problem, route).time() + share);
    if how == Construction::PerNeuron { Ok(()) } else { Err(Error::Parameter { what: "pairs" }) }
}

fn normalised<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let s = x.scalars;
    let [a, nu, ..] = &x.inputs;
    normalisation::blocks(x.out.view_mut()?, a.view()?, nu.view()?, s[0])?;
    normalisation::solve(x.out.view_mut()?, a.view()?, s[1])?;
    normalisation::power(x.out.view_mut()?, a.view()?, s[2], s[1])
}
