//! Recurrences and spectra.

use relfisher_core::blas::vector;
use relfisher_core::stats::{
    self, Eigenvectors, Lanczos, LanczosState, NextVector, gaussian_density, lanczos_quadrature,
    tridiagonal_eigh,
};
use relfisher_core::{Error, Portable, Real};

use crate::{Opaque, probe};

probe! { lanczos resumption tridiagonal quadrature sums }

fn lanczos<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    x.counts[1] = stats::lanczos_workspace_len(x.counts[0], x.counts[1]);
    x.counts[2] = stats::lanczos_restart_workspace_len(x.counts[2], x.counts[3]);
    let [locked, out, s, start, product] = &mut x.inputs;
    let [alpha, beta, values, bounds] = &mut x.slices;
    let (basis, locked) = (x.out.view_mut()?, locked.view()?);
    let (coefficients, more) = (s.view()?, &mut *x.work);
    let (work, scratch) = more.split_at_mut_checked(x.counts[4]).unwrap_or_default();
    let mut lanczos = Lanczos::new(basis, alpha, beta, locked, x.scalars[0], work)?;
    lanczos.start(&Portable, start.view()?.data())?;
    lanczos.advance(&Portable, product.view()?.data())?;
    lanczos.advance(&Portable, product.view()?.data())?;
    lanczos.ritz(&Portable, values, bounds, x.more.view_mut()?, scratch)?;
    lanczos.combine(&Portable, out.view_mut()?, coefficients)?;
    lanczos.restart(&Portable, values, coefficients, scratch)?;
    let next = lanczos.next_vector().first().copied().unwrap_or(T::ZERO);
    x.result = next + lanczos.scale() + lanczos.basis()?.at(x.counts[5], x.counts[6]);
    x.counts[7] = lanczos.len().wrapping_add(lanczos.kept());
    let (alpha, beta) = (lanczos.alpha(), lanczos.beta());
    if lanczos.is_empty() || alpha.len() != beta.len() {
        return Err(Error::Parameter { what: "empty" });
    }
    Ok(())
}

fn resumption<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let [locked, out, s, product, ..] = &mut x.inputs;
    let [alpha, beta, values, bounds] = &mut x.slices;
    let (work, scratch) = x.work.split_at_mut_checked(x.counts[0]).unwrap_or_default();
    let next = if x.choice == 0 { NextVector::Vacant } else { NextVector::Ready };
    let state = LanczosState { len: x.counts[1], kept: x.counts[2], next, scale: x.scalars[0] };
    let (basis, locked) = (x.out.view_mut()?, locked.view()?);
    let mut lanczos = Lanczos::resume(basis, alpha, beta, locked, state, work)?;
    lanczos.advance(&Portable, product.view()?.data())?;
    lanczos.ritz(&Portable, values, bounds, x.more.view_mut()?, scratch)?;
    lanczos.combine(&Portable, out.view_mut()?, s.view()?)?;
    lanczos.restart(&Portable, values, s.view()?, scratch)?;
    let state = lanczos.state();
    x.result = state.scale + lanczos.next_vector().first().copied().unwrap_or(T::ZERO);
    x.counts[3] = state.len.wrapping_add(state.kept);
    Ok(())
}

fn tridiagonal<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let [values, vectors, alpha, beta] = &mut x.slices;
    let vectors = match x.choice {
        0 => Eigenvectors::None,
        1 => Eigenvectors::First(vectors),
        _ => Eigenvectors::All(vectors),
    };
    tridiagonal_eigh(values, vectors, alpha, beta, x.work)
}

fn quadrature<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let [nodes, weights, alpha, beta] = &mut x.slices;
    lanczos_quadrature(nodes, weights, alpha, beta, x.work)?;
    gaussian_density(x.work, alpha, nodes, weights, x.scalars[0])
}

fn sums<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let [a, b, ..] = &x.slices;
    x.result = vector::dot_pairwise(a, b) + vector::norm(a);
    Ok(())
}
