//! Relative Fisher metrics on arrays.

use pyo3::prelude::*;
use relfisher_core::metric::cost::Route;
use relfisher_core::metric::layer::{NonlinearMetric, SoftmaxMetric, SolveOptions};
use relfisher_core::metric::neuron::Response;
use relfisher_core::{MatMut, blas, kron};

use crate::arrays::{Array, Number, dispatch, output, precision};
use crate::engine::engine;
use crate::errors::{bad, core, unlocked};

/// The parameters of response models; those that a model lacks are ignored by it.
#[derive(Clone, Copy)]
struct Constants {
    leak: f64,
    smoothing: f64,
    alpha: f64,
    sigma: f64,
}

fn response<T: Number>(name: &str, with: Constants) -> PyResult<Response<T>> {
    let sigma = T::from_f64(with.sigma);
    Ok(match name {
        "tanh" => Response::Tanh,
        "sigmoid" => Response::Sigm,
        "relu" => Response::Relu {
            leak: T::from_f64(with.leak),
            smoothing: T::from_f64(with.smoothing),
            sigma,
        },
        "elu" => Response::Elu { alpha: T::from_f64(with.alpha), sigma },
        "linear" => Response::Linear { sigma },
        other => {
            let remedy = "use \"tanh\", \"sigmoid\", \"relu\", \"elu\" or \"linear\"";
            return Err(bad("response", &format!("{other:?}"), remedy));
        }
    })
}

/// `nu(response, t, *, leak=0.0, smoothing=0.0, alpha=1.0, sigma=1.0)`: ν_f(t) of every
/// pre-activation, the shape of t. The metric of a neuron's weights is ν·x̃x̃ᵀ.
///
/// "tanh": sech² t; "sigmoid": sigm t (1 − sigm t); "relu": σ⁻²[ι + (1 − ι) sigm((1 − ι)t/ω)]² with
/// leak ι and smoothing ω (0: the limit, t = 0 active); "elu": σ⁻² above 0, σ⁻²(αeᵗ)² below;
/// "linear": σ⁻².
#[pyfunction]
#[pyo3(signature = (response, t, *, leak=0.0, smoothing=0.0, alpha=1.0, sigma=1.0))]
pub(crate) fn nu<'py>(
    response: &str,
    t: &Bound<'py, PyAny>,
    leak: f64,
    smoothing: f64,
    alpha: f64,
    sigma: f64,
) -> PyResult<Bound<'py, PyAny>> {
    let with = Constants { leak, smoothing, alpha, sigma };
    dispatch!(precision("t", t)?, weights(response, t, with))
}

fn weights<'py, T: Number>(
    name: &str,
    t: &Bound<'py, PyAny>,
    with: Constants,
) -> PyResult<Bound<'py, PyAny>> {
    let (py, model) = (t.py(), response::<T>(name, with)?);
    let array = Array::<T>::new("t", t)?;
    let t = array.elements();
    let out = unlocked(py, || {
        let mut out = vec![T::ZERO; t.len()];
        model.nu_slice(&mut out, &t).map_err(|e| core("nu", e))?;
        Ok(out)
    })?;
    Ok(output(py, array.shape(), out)?.into_any())
}

/// `layer_metric(x, nu)`: the metrics (1/n) Σ_s ν_si x̃_s x̃_sᵀ of all neurons of a layer, packed: row i
/// is the lower triangle of neuron i, row by row ([`unpack`]). Shapes: x (n, d̃), the bias input last;
/// nu (n, m); the result (m, d̃(d̃ + 1)/2).
#[pyfunction]
pub(crate) fn layer_metric<'py>(
    x: &Bound<'py, PyAny>,
    nu: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    dispatch!(precision("x", x)?, packed(x, nu))
}

fn packed<'py, T: Number>(
    x: &Bound<'py, PyAny>,
    nu: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = x.py();
    let (x, nu) = (Array::<T>::new("x", x)?, Array::<T>::new("nu", nu)?);
    let (x, nu) = (x.matrix()?, nu.matrix()?);
    let ((n, d), m) = (x.shape(), same_rows("nu", x.shape(), nu.shape())?);
    let engine = engine(None)?;
    let len = kron::packed_len(d);
    let out = unlocked(py, || {
        let mut out = vec![T::ZERO; m * len];
        let mut work = vec![T::ZERO; blas::packed_grams_workspace_len(n, m, d)];
        let (x, nu) = (x.view()?, nu.view()?);
        let mut fill = || {
            let metric = NonlinearMetric::new(x, nu)?;
            let out = MatMut::new(&mut out, m, len)?;
            metric.packed(engine.executor::<T>(), out, T::ZERO, &mut work)
        };
        fill().map_err(|e| core("layer_metric", e))?;
        Ok(out)
    })?;
    Ok(output(py, &[m, len], out)?.into_any())
}

/// `unpack(packed)`: symmetric matrices (m, d, d), both triangles, of packed rows (m, d(d + 1)/2).
#[pyfunction]
pub(crate) fn unpack<'py>(packed: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    dispatch!(precision("packed", packed)?, unpacked(packed))
}

fn unpacked<'py, T: Number>(packed: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = packed.py();
    let array = Array::<T>::new("packed", packed)?;
    let rows = array.matrix()?;
    let (m, len) = rows.shape();
    let Some(d) = (0..=len).take_while(|&d| kron::packed_len(d) <= len).last() else {
        return Err(bad("packed", "no columns", "give d(d + 1)/2 of them"));
    };
    if kron::packed_len(d) != len {
        let problem = format!("{len} columns are no triangle");
        return Err(bad("packed", &problem, "give d(d + 1)/2 of them"));
    }
    let out = unlocked(py, || {
        let (view, mut out) = (rows.view()?, vec![T::ZERO; m * d * d]);
        for (i, square) in out.chunks_exact_mut((d * d).max(1)).enumerate() {
            let row = view.row(i);
            MatMut::new(square, d, d)
                .and_then(|square| kron::unpack(square, row))
                .map_err(|e| core("unpack", e))?;
        }
        Ok(out)
    })?;
    Ok(output(py, &[m, d, d], out)?.into_any())
}

fn route_of(name: &str) -> PyResult<Option<Route>> {
    match name {
        "auto" => Ok(None),
        "block" => Ok(Some(Route::Block)),
        "sample" => Ok(Some(Route::Sample)),
        "cg" => Ok(Some(Route::ConjugateGradient)),
        "kronecker" => Ok(Some(Route::Kronecker)),
        other => {
            let remedy = "use \"auto\", \"block\", \"sample\", \"cg\" or \"kronecker\"";
            Err(bad("route", &format!("{other:?}"), remedy))
        }
    }
}

/// The response metrics that a layer can have.
#[derive(Clone, Copy)]
enum Layer {
    Independent,
    Softmax,
}

/// `layer_step(x, nu, grad, damping, route="auto")`: the relative natural gradient (Ḡ + λI)⁻¹ grad of
/// a layer of m neurons with the metric of [`layer_metric`]. Shapes: x (n, d̃), nu (n, m), grad (m, d̃).
///
/// Routes: "block" (packed Cholesky), "sample" (Woodbury), "cg" (matrix-free), the cheapest of which
/// is "auto"; "kronecker" solves with diag(ν̄) ⊗ (1/n) Σ x̃x̃ᵀ instead.
#[pyfunction]
#[pyo3(signature = (x, nu, grad, damping, route="auto"))]
pub(crate) fn layer_step<'py>(
    x: &Bound<'py, PyAny>,
    nu: &Bound<'py, PyAny>,
    grad: &Bound<'py, PyAny>,
    damping: f64,
    route: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let layer = (Layer::Independent, "nu", nu);
    dispatch!(precision("x", x)?, step(x, layer, grad, (damping, route_of(route)?)))
}

/// `softmax_step(x, eta, grad, damping, route="auto")`: as [`layer_step`], with the metric
/// (1/n) Σ (diag η − ηηᵀ) ⊗ x̃x̃ᵀ of a soft-max layer with probabilities eta (n, m).
#[pyfunction]
#[pyo3(signature = (x, eta, grad, damping, route="auto"))]
pub(crate) fn softmax_step<'py>(
    x: &Bound<'py, PyAny>,
    eta: &Bound<'py, PyAny>,
    grad: &Bound<'py, PyAny>,
    damping: f64,
    route: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let layer = (Layer::Softmax, "eta", eta);
    dispatch!(precision("x", x)?, step(x, layer, grad, (damping, route_of(route)?)))
}

fn step<'py, T: Number>(
    x: &Bound<'py, PyAny>,
    (layer, name, weights): (Layer, &str, &Bound<'py, PyAny>),
    grad: &Bound<'py, PyAny>,
    (damping, route): (f64, Option<Route>),
) -> PyResult<Bound<'py, PyAny>> {
    let py = x.py();
    let (x, weights) = (Array::<T>::new("x", x)?, Array::<T>::new(name, weights)?);
    let grad = Array::<T>::new("grad", grad)?;
    let (x, weights, grad) = (x.matrix()?, weights.matrix()?, grad.matrix()?);
    let ((n, d), m) = (x.shape(), same_rows(name, x.shape(), weights.shape())?);
    if grad.shape() != (m, d) {
        let problem = format!("shape {:?}", grad.shape());
        return Err(bad("grad", &problem, &format!("give shape {:?}", (m, d))));
    }
    let engine = engine(None)?;
    let lambda = T::from_f64(damping);
    let out = unlocked(py, || {
        let backend = engine.executor::<T>();
        let (x, weights, grad) = (x.view()?, weights.view()?, grad.view()?);
        let mut out = vec![T::ZERO; m * d];
        let mut solve = || {
            let options = SolveOptions { route, ..SolveOptions::default() };
            let out = MatMut::new(&mut out, m, d)?;
            let damped = lambda > T::ZERO;
            match layer {
                Layer::Independent => {
                    let way = NonlinearMetric::<T>::route(n, m, d, route, damped);
                    let len = NonlinearMetric::<T>::solve_workspace_len(n, m, d, way);
                    let metric = NonlinearMetric::new(x, weights)?;
                    metric.solve(backend, out, grad, lambda, options, &mut vec![T::ZERO; len])
                }
                Layer::Softmax => {
                    let way = SoftmaxMetric::<T>::route(n, m, d, route, damped);
                    let len = SoftmaxMetric::<T>::solve_workspace_len(n, m, d, way);
                    let metric = SoftmaxMetric::new(x, weights)?;
                    metric.solve(backend, out, grad, lambda, options, &mut vec![T::ZERO; len])
                }
            }
        };
        solve().map_err(|e| core(if name == "nu" { "layer_step" } else { "softmax_step" }, e))?;
        Ok(out)
    })?;
    Ok(output(py, &[m, d], out)?.into_any())
}

/// The columns of an array that has a row for each row of x.
fn same_rows(name: &str, x: (usize, usize), other: (usize, usize)) -> PyResult<usize> {
    if x.0 == other.0 {
        return Ok(other.1);
    }
    let problem = format!("{} rows for {} rows of x", other.0, x.0);
    Err(bad(name, &problem, "give a row for each row of x"))
}
