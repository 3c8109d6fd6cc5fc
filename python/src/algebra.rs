//! K-FAC factors and products with them, on arrays.

use pyo3::prelude::*;
use relfisher_core::kron::{self, Damping, KronCholesky, KronEigen};
use relfisher_core::{MatMut, blas};

use crate::arrays::{Array, Number, dispatch, output, precision};
use crate::engine::engine;
use crate::errors::{bad, core, unlocked};

/// `kfac_factors(x, delta, positions=1)`: the K-FAC factors (G, A) of a layer.
///
/// A = XᵀX/(n·positions) and G = ΔᵀΔ/n of the augmented inputs X̃ (n·positions, d̃), the bias input
/// last, and the derivatives Δ of the loss at the layer's outputs (a multiple of these rows, m).
#[pyfunction]
#[pyo3(signature = (x, delta, positions=1))]
pub(crate) fn kfac_factors<'py>(
    x: &Bound<'py, PyAny>,
    delta: &Bound<'py, PyAny>,
    positions: usize,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    dispatch!(precision("x", x)?, factors(x, delta, positions))
}

fn factors<'py, T: Number>(
    x: &Bound<'py, PyAny>,
    delta: &Bound<'py, PyAny>,
    positions: usize,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let py = x.py();
    let (x, delta) = (Array::<T>::new("x", x)?, Array::<T>::new("delta", delta)?);
    let (x, delta) = (x.matrix()?, delta.matrix()?);
    let ((rows, d), (answers, m)) = (x.shape(), delta.shape());
    if positions == 0 || rows == 0 || rows % positions != 0 {
        let problem = format!("{positions} positions do not divide the {rows} rows of x");
        return Err(bad("positions", &problem, "give a row for each sample and position"));
    }
    if answers == 0 || answers % rows != 0 {
        let problem = format!("{answers} rows for {rows} rows of x");
        return Err(bad("delta", &problem, "give a row for each of x, or several for each"));
    }
    let engine = engine(None)?;
    let samples = T::from_usize(rows / positions);
    let (g, a) = unlocked(py, || {
        let backend = engine.executor::<T>();
        let moment = |view, scale: T, d: usize, n: usize| {
            let mut out = vec![T::ZERO; d * d];
            let mut work = vec![T::ZERO; blas::gram_workspace_len(n, d)];
            let target = MatMut::new(&mut out, d, d).map_err(|e| core("kfac_factors", e))?;
            backend
                .gram(target, T::ZERO, T::ONE / scale, view, None, &mut work)
                .map_err(|e| core("kfac_factors", e))?;
            Ok::<_, PyErr>(out)
        };
        let a = moment(x.view()?, T::from_usize(rows), d, rows)?;
        Ok((moment(delta.view()?, samples, m, answers)?, a))
    })?;
    Ok((output(py, &[m, m], g)?.into_any(), output(py, &[d, d], a)?.into_any()))
}

fn split_of(name: &str) -> PyResult<Damping> {
    match name {
        "factored" => Ok(Damping::Factored),
        "pi" => Ok(Damping::Pi),
        "exact" => Ok(Damping::Exact),
        other => Err(bad("split", &format!("{other:?}"), "use \"pi\", \"factored\" or \"exact\"")),
    }
}

/// `precondition(g, a, grad, damping, split="pi")`: the damped step (G ⊗ A + λI)⁻¹ vec(grad), shape
/// (m, d̃); `split` says what takes the place of the damped product.
///
/// "pi": (G + √λ/π I) ⊗ (A + π√λ I), π² = (tr A/dim A)/(tr G/dim G); "factored": (G + λI) ⊗ (A + λI);
/// "exact": G ⊗ A + λI itself, through the eigenbases.
#[pyfunction]
#[pyo3(signature = (g, a, grad, damping, split="pi"))]
pub(crate) fn precondition<'py>(
    g: &Bound<'py, PyAny>,
    a: &Bound<'py, PyAny>,
    grad: &Bound<'py, PyAny>,
    damping: f64,
    split: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let split = split_of(split)?;
    dispatch!(precision("grad", grad)?, solve((g, a), grad, damping, split))
}

fn solve<'py, T: Number>(
    (g, a): (&Bound<'py, PyAny>, &Bound<'py, PyAny>),
    grad: &Bound<'py, PyAny>,
    damping: f64,
    split: Damping,
) -> PyResult<Bound<'py, PyAny>> {
    let py = grad.py();
    let (g, a) = (Array::<T>::new("g", g)?, Array::<T>::new("a", a)?);
    let grad = Array::<T>::new("grad", grad)?;
    let (g, a, grad) = (g.strided()?, a.strided()?, grad.strided()?);
    let (m, d) = grad.shape();
    for (name, shape, side) in [("g", g.shape(), m), ("a", a.shape(), d)] {
        if shape != (side, side) {
            let problem = format!("shape {shape:?} for a gradient of shape {:?}", (m, d));
            return Err(bad(name, &problem, &format!("give shape {:?}", (side, side))));
        }
    }
    let engine = engine(None)?;
    let out = unlocked(py, || {
        let backend = engine.executor::<T>();
        let refused = |e| core("precondition", e);
        let lambda = T::from_f64(damping);
        let damping = kron::split_damping(g.view()?, a.view()?, lambda, split).map_err(refused)?;
        let (mut g, mut a, mut out) = (g.to_vec(), a.to_vec(), grad.to_vec());
        let mut step = || {
            let (g, a) = (MatMut::new(&mut g, m, m)?, MatMut::new(&mut a, d, d)?);
            let v = MatMut::new(&mut out, m, d)?;
            if split != Damping::Exact {
                let factors = KronCholesky::factor(backend, g, a, damping)?;
                let mut work = vec![T::ZERO; kron::kron_cholesky_solve_workspace_len(m, d)];
                return factors.solve(backend, v, &mut work);
            }
            let (mut s, mut t) = (vec![T::ZERO; m], vec![T::ZERO; d]);
            let mut work = vec![T::ZERO; kron::kron_eigen_factor_workspace_len(m, d)];
            let eigen = KronEigen::factor(backend, (g, &mut s), (a, &mut t), &mut work)?;
            let mut work = vec![T::ZERO; kron::kron_eigen_apply_workspace_len(m, d)];
            eigen.solve(backend, v, lambda, &mut work)
        };
        step().map_err(refused)?;
        Ok(out)
    })?;
    Ok(output(py, &[m, d], out)?.into_any())
}

/// `kron_apply(g, a, v)`: (G ⊗ A) vec(V) as the matrix G V Aᵀ. Shapes: g (p, m), a (q, d), v (m, d).
#[pyfunction]
pub(crate) fn kron_apply<'py>(
    g: &Bound<'py, PyAny>,
    a: &Bound<'py, PyAny>,
    v: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    dispatch!(precision("v", v)?, product(g, a, v))
}

fn product<'py, T: Number>(
    g: &Bound<'py, PyAny>,
    a: &Bound<'py, PyAny>,
    v: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = v.py();
    let (g, a) = (Array::<T>::new("g", g)?, Array::<T>::new("a", a)?);
    let v = Array::<T>::new("v", v)?;
    let (g, a, v) = (g.strided()?, a.strided()?, v.strided()?);
    let ((p, m), (q, d)) = (g.shape(), a.shape());
    if v.shape() != (m, d) {
        let problem = format!("shape {:?} between columns {m} of g and {d} of a", v.shape());
        return Err(bad("v", &problem, &format!("give shape {:?}", (m, d))));
    }
    let engine = engine(None)?;
    let out = unlocked(py, || {
        let mut out = vec![T::ZERO; p * q];
        let mut work = vec![T::ZERO; kron::apply_workspace_len(p, d)];
        let target = MatMut::new(&mut out, p, q).map_err(|e| core("kron_apply", e))?;
        let views = (g.view()?, a.view()?, v.view()?);
        kron::apply(engine.executor::<T>(), target, views.0, views.1, views.2, &mut work)
            .map_err(|e| core("kron_apply", e))?;
        Ok(out)
    })?;
    Ok(output(py, &[p, q], out)?.into_any())
}
