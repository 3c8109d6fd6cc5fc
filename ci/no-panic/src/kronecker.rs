//! Kronecker algebra.

use relfisher_core::kron::{
    self, BiasCorrection, Damping, KronCholesky, KronEigen, KronSum, Sign, moving_average,
    split_damping,
};
use relfisher_core::{Error, MatMut, MatRef, Portable, Real};

use crate::{Opaque, probe};

probe! { kron_products kron_cholesky kron_eigen kron_sum kron_regression kron_average kron_packed }

fn kron_products<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let n = x.counts;
    let [g, a, v, h, b] = &x.inputs;
    let (g, a, v) = (g.view()?, a.view()?, v.view()?);
    kron::apply(&Portable, x.out.view_mut()?, g, a, v, x.work)?;
    x.result = kron::quadratic_form(&Portable, g, a, v, x.work)?
        + kron::trace(g, a)?
        + kron::frobenius_inner((g, a), (h.view()?, b.view()?))?;
    kron::materialise(x.out.view_mut()?, g, a)?;
    kron::diagonal(x.out.view_mut()?, g, a)?;
    kron::row(x.out.view_mut()?, g, a, n[2])?;
    kron::column(x.out.view_mut()?, g, a, n[3])?;
    x.counts[0] =
        kron::apply_workspace_len(n[0], n[1]) ^ kron::quadratic_form_workspace_len(n[0], n[1]);
    Ok(())
}

fn damping(choice: u8) -> Damping {
    match choice {
        0 => Damping::Factored,
        1 => Damping::Pi,
        _ => Damping::Exact,
    }
}

fn kron_cholesky<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let n = x.counts;
    let [g, a, ..] = &x.inputs;
    let split = split_damping(g.view()?, a.view()?, x.scalars[0], damping(x.choice))?;
    let [slice, other, ..] = &mut x.slices;
    let (g, a) = (MatMut::new(slice, n[0], n[0])?, MatMut::new(other, n[1], n[1])?);
    let factors = KronCholesky::factor(&Portable, g, a, split)?;
    factors.solve(&Portable, x.out.view_mut()?, x.work)?;
    factors.solve_stacked(&Portable, x.out.view_mut()?, x.work)?;
    x.result = factors.log_determinant()?;
    x.counts[0] = kron::kron_cholesky_solve_workspace_len(n[0], n[1]);
    Ok(())
}

fn kron_eigen<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let (n, s) = (x.counts, x.scalars);
    let [g, a, g_values, a_values] = &mut x.slices;
    let (g, a) = (MatMut::new(g, n[0], n[0])?, MatMut::new(a, n[1], n[1])?);
    let factors = KronEigen::factor(&Portable, (g, g_values), (a, a_values), x.work)?;
    factors.solve(&Portable, x.out.view_mut()?, s[0], x.work)?;
    factors.power(&Portable, x.out.view_mut()?, s[1], s[0], x.work)?;
    x.result = factors.log_determinant(s[0])?;
    x.counts[0] = kron::kron_eigen_factor_workspace_len(n[0], n[1])
        ^ kron::kron_eigen_apply_workspace_len(n[0], n[1]);
    Ok(())
}

fn kron_sum<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let (n, sign) = (x.counts, if x.choice == 0 { Sign::Plus } else { Sign::Minus });
    let damping = kron::FactorDamping { g: x.scalars[0], a: x.scalars[1] };
    let [h, b, g_values, a_values] = &mut x.slices;
    let (h, b) = (MatMut::new(h, n[0], n[0])?, MatMut::new(b, n[1], n[1])?);
    let [g, a, ..] = &mut x.inputs;
    let left = (g.view_mut()?, h, &mut **g_values);
    let right = (a.view_mut()?, b, &mut **a_values);
    let sum = KronSum::factor(&Portable, left, right, damping, sign, x.work)?;
    sum.solve(&Portable, x.out.view_mut()?, x.work)?;
    x.counts[0] = kron::kron_sum_factor_workspace_len(n[0], n[1])
        ^ kron::kron_sum_solve_workspace_len(n[0], n[1]);
    Ok(())
}

fn kron_regression<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let n = x.counts;
    let [psi, ..] = &mut x.slices;
    let out = (MatMut::new(psi, n[0], n[1])?, x.out.view_mut()?);
    let [cross, l, ..] = &x.inputs;
    kron::regression(&Portable, out, cross.view()?, l.view()?)
}

fn kron_average<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let correction = match x.choice {
        0 => BiasCorrection::None,
        1 => BiasCorrection::Normalised,
        _ => BiasCorrection::Warm,
    };
    let [average, value, ..] = &mut x.slices;
    moving_average(average, value, x.scalars[0], correction, x.counts[0] as u64)
}

fn kron_packed<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let n = x.counts;
    let [packed, full, ..] = &mut x.slices;
    kron::pack(packed, MatRef::new(full, n[0], n[0])?)?;
    kron::unpack(x.out.view_mut()?, packed)?;
    x.counts[0] = kron::packed_len(n[0]) ^ kron::packed_index(n[1], n[2]);
    Ok(())
}
