//! Views, products and factorisations.

use relfisher_core::blas::{self, vector};
use relfisher_core::factor::batch::{self, Elements};
use relfisher_core::factor::{self, InverseRoot, NewtonSchulz, Triangular};
use relfisher_core::{Backend, Error, MatMut, MatRef, Portable, Real};

use crate::{Opaque, probe};

probe! { view products vectors cholesky_family eigen inverse_roots packed batched batched_matrices }

fn view<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let n = x.counts;
    let [a, b, ..] = &x.inputs;
    let a = a.view()?;
    let b = b.view()?.t().sub(n[0], n[1], n[2], n[3])?;
    b.check_finite("b")?;
    let whole = MatRef::new(a.data(), n[0], n[1])?;
    let mut out = x.out.view_mut()?;
    out.set(n[4], n[5], a.at(n[6], n[7]));
    out.fill(whole.at(n[4], n[5]));
    let ok = out.rows_contiguous() && b.rows_contiguous() && out.rows() < b.cols();
    if let (Some(to), Some(from)) = (out.row_mut(n[0]).first_mut(), b.row(n[1]).first()) {
        *to = *from;
    }
    if let Some(first) = out.rb_mut().t().data_mut().first_mut() {
        *first = if ok { a.at(a.row_stride(), a.col_stride()) } else { a.at(a.rows(), a.cols()) };
    }
    x.result = out.rb().at(out.row_stride(), out.col_stride())
        + out.row(n[3]).iter().fold(T::ZERO, |s, v| s + *v);
    x.result += out.into_ref().at(n[2], n[3]);
    #[cfg(feature = "planted")]
    {
        x.slices[0][n[0]] = x.result;
    }
    Ok(())
}

fn products<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let [alpha, beta, ..] = x.scalars;
    let [a, b, ..] = &x.inputs;
    let (a, b) = (a.view()?, b.view()?);
    let [w, ..] = &x.slices;
    Portable.gemm(x.out.view_mut()?, beta, alpha, a, b)?;
    let weights = if x.choice == 0 { None } else { Some(&**w) };
    Portable.gram(x.out.view_mut()?, beta, alpha, a, weights, x.work)?;
    Portable.gram_lower(x.out.view_mut()?, beta, alpha, a, x.work)?;
    Portable.packed_grams(x.out.view_mut()?, beta, alpha, a, b, x.work)?;
    let form = match x.choice {
        0 => blas::PackedForm::PairProducts,
        1 => blas::PackedForm::PerNeuron,
        _ => blas::PackedForm::Automatic,
    };
    blas::packed_grams_by(x.out.view_mut()?, beta, alpha, a, b, form)?;
    Portable.packed_symv(x.out.view_mut()?, a, b)?;
    let n = x.counts;
    x.counts[0] = blas::gram_workspace_len(n[0], n[1]);
    x.counts[1] = blas::packed_grams_workspace_len(n[0], n[1], n[2]);
    blas::gemm(x.out.view_mut()?, beta, alpha, a, b)?;
    blas::gram(x.out.view_mut()?, beta, alpha, a, None, x.work)?;
    blas::packed_grams(x.out.view_mut()?, beta, alpha, a, b, x.work)?;
    blas::packed_symv(x.out.view_mut()?, a, b)
}

fn vectors<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let [y, v, ..] = &mut x.slices;
    vector::axpy(y, x.scalars[0], v);
    vector::scale(y, x.scalars[1]);
    x.result = vector::dot(y, v) + vector::nrm2(v);
    if vector::all_finite(y) { Ok(()) } else { Err(Error::NonFinite { what: "y", index: 0 }) }
}

fn cholesky_family<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let [damping, ..] = x.scalars;
    let [l, ..] = &x.inputs;
    let l = l.view()?;
    Portable.cholesky(x.out.view_mut()?, damping)?;
    Portable.cholesky_solve(x.out.view_mut()?, l)?;
    Portable.cholesky_solve_stacked(x.out.view_mut()?, l)?;
    factor::for_each_stacked(x.out.view_mut()?, x.counts[2], |b| factor::cholesky_solve(b, l))?;
    let which = if x.choice == 0 { Triangular::Lower } else { Triangular::LowerTransposed };
    factor::triangular_solve_left(x.out.view_mut()?, l, which)?;
    factor::triangular_solve_right(x.out.view_mut()?, l, which)?;
    Portable.spd_inverse(x.out.view_mut()?, damping, x.work)?;
    x.result = factor::log_determinant(l)? + factor::pivot_tolerance::<T>(x.counts[0]);
    x.counts[1] = factor::spd_inverse_workspace_len(x.counts[1]);
    factor::cholesky(x.out.view_mut()?, damping)?;
    factor::cholesky_solve(x.out.view_mut()?, l)?;
    factor::spd_inverse(x.out.view_mut()?, damping, x.work)
}

fn eigen<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let [values, ..] = &mut x.slices;
    x.counts[1] = factor::eigh_workspace_len(x.counts[1]);
    Portable.eigh(x.out.view_mut()?, values, x.work)?;
    factor::eigh(x.out.view_mut()?, values, x.work)
}

fn inverse_roots<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let (n, s) = (x.counts, x.scalars);
    let root = match x.choice {
        0 => InverseRoot::First,
        1 => InverseRoot::Second,
        _ => InverseRoot::Fourth,
    };
    let options = NewtonSchulz { tolerance: s[1], max_iterations: n[1] };
    let a = x.inputs[0].view()?;
    let out = x.out.view_mut()?;
    let done = factor::newton_schulz(&Portable, out, a, s[0], root, options, x.work)?;
    x.result = done.residual + NewtonSchulz::<T>::default().tolerance;
    x.counts[0] = factor::newton_schulz_workspace_len(n[0]) ^ root.degree() ^ done.iterations;
    Ok(())
}

fn packed<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let ([damping, ..], [d, ..]) = (x.scalars, x.counts);
    let [f, ..] = &x.inputs;
    let f = f.view()?;
    Portable.packed_cholesky(x.out.view_mut()?, d, damping)?;
    Portable.packed_cholesky_solve(x.out.view_mut()?, f)?;
    Portable.packed_inverse(x.out.view_mut()?, d, damping, x.work)?;
    x.result = factor::packed_log_determinant(f, d)?;
    x.counts[1] = factor::packed_inverse_workspace_len(x.counts[1]);
    factor::packed_cholesky(x.out.view_mut()?, d, damping)?;
    factor::packed_cholesky_solve(x.out.view_mut()?, f)?;
    factor::packed_inverse(x.out.view_mut()?, d, damping, x.work)
}

fn batched<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let ([damping, ..], [first, ..]) = (x.scalars, x.counts);
    let [k, s, ..] = &x.inputs;
    let (k, s) = (k.view()?, s.view()?);
    Portable.scaled_gram_solve(x.out.view_mut()?, k, s, damping, x.work)?;
    factor::scaled_gram_solve(x.out.view_mut()?, k, s, damping, x.work)?;
    x.counts[1] = factor::scaled_gram_solve_workspace_len(x.counts[1], x.counts[2]);
    factor::scaled_gram_solve_columns(x.out.view_mut()?, k, s, first, damping, x.work)
}

fn batched_matrices<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let ([damping, ..], [n, ..]) = (x.scalars, x.counts);
    let [values, ..] = &mut x.slices;
    let values = &mut **values;
    let rows = values.len() / n.max(1);
    Portable.cholesky_batch(x.out.view_mut()?, n, damping, x.work)?;
    factor::cholesky_batch(x.out.view_mut()?, n, damping, x.work)?;
    factor::packed_cholesky_batch(x.out.view_mut()?, n, damping, x.work)?;
    Portable.eigh_batch(x.out.view_mut()?, MatMut::new(values, rows, n)?, n, x.work)?;
    factor::eigh_batch(x.out.view_mut()?, MatMut::new(values, rows, n)?, n, x.work)?;
    batch::cholesky_batch_by::<T, Elements>(x.out.view_mut()?, n, damping, x.work)?;
    batch::packed_cholesky_batch_by::<T, Elements>(x.out.view_mut()?, n, damping, x.work)?;
    let values = MatMut::new(values, rows, n)?;
    batch::eigh_batch_by::<T, Elements>(x.out.view_mut()?, values, n, x.work)?;
    x.counts[0] = factor::cholesky_batch_workspace_len(n);
    x.counts[1] = factor::eigh_batch_workspace_len(n).wrapping_add(batch::group_len::<T>());
    Ok(())
}
