//! Drives the core's layer metrics as an engine would: NaN-filled outputs, workspaces of exactly
//! the stated length (NaN-filled too), everything through the portable backend.

use crate::compare::{assert_close, assert_symmetric, cast};
use crate::oracle::dense::Matrix;
use crate::oracle::response::{Function, Model};
use crate::random::Random;
use crate::real::{mat, mat_mut, nans};
use crate::tolerance::Oracle;
use relfisher_core::metric::layer::{LayerMetric, dense_workspace_len};
use relfisher_core::metric::neuron::{Activation, Response};
use relfisher_core::{Backend, Portable, Real};

/// `T = X̃ W̃ᵀ`, n × m.
///
/// # Panics
/// When the product refuses.
pub fn pre_activations<T: Real>(x: &[T], w: &[T], n: usize, m: usize, d: usize) -> Vec<T> {
    let mut t = nans(n * m);
    let product =
        Portable.gemm(mat_mut(&mut t, n, m), T::ZERO, T::ONE, mat(x, n, d), mat(w, m, d).t());
    product.expect("gemm");
    t
}

/// ν(t) of a batch.
///
/// # Panics
/// When the response refuses its parameters.
pub fn nu<T: Real>(response: Response<T>, t: &[T]) -> Vec<T> {
    let mut out = nans(t.len());
    response.nu_slice(&mut out, t).expect("nu");
    out
}

/// The dense matrix of a layer metric.
///
/// # Panics
/// When the metric refuses, or is not symmetric bit by bit.
pub fn dense<T: Real, M: LayerMetric<T>>(label: &str, metric: &M) -> Vec<T> {
    let p = metric.parameters();
    let mut work = nans(dense_workspace_len(metric.samples(), metric.inputs()));
    let mut out = nans(p * p);
    metric.dense(&Portable, mat_mut(&mut out, p, p), &mut work).expect("dense");
    assert_symmetric(label, &out, p);
    out
}

/// Checks every form of a layer metric against its dense matrix from an oracle: dense form,
/// product, quadratic form, diagonal, moving average. `routine` and `oracle` name the tolerance of
/// the dense form, n its dimension.
///
/// # Panics
/// When one is off.
pub fn check<T: Real, M: LayerMetric<T>>(
    label: &str,
    metric: &M,
    want: &Matrix,
    routine: &str,
    oracle: Oracle,
) {
    let (m, d, p) = (metric.outputs(), metric.inputs(), metric.parameters());
    let n = d + metric.samples();
    assert_eq!(p, want.rows, "{label}: parameters");
    let near = |what: &str, got: &[T], want: &[f64]| {
        assert_close(&format!("{label}: {what}"), got, want, routine, oracle, n + p);
    };
    let got = dense(label, metric);
    assert_close(&format!("{label}: dense"), &got, &want.data, routine, oracle, n);

    let mut random = Random::new(p as u64);
    let v: Vec<T> = random.normals(p);
    let v64: Vec<f64> = v.iter().map(|x| x.to_f64()).collect();
    let mut work = nans(metric.multiply_workspace_len());
    let mut out = nans(p);
    metric
        .multiply(&Portable, mat_mut(&mut out, m, d), mat(&v, m, d), &mut work)
        .expect("multiply");
    near("multiply", &out, &want.apply(&v64));

    let mut work = nans(metric.multiply_workspace_len());
    let q = metric.quadratic_form(&Portable, mat(&v, m, d), &mut work).expect("quadratic form");
    assert!(q.to_f64() >= 0.0, "{label}: quadratic form {q}");
    // A form that cancels is judged by the size of its terms: |v|ᵀ |Ḡ| |v|.
    let absolute = |a: &[f64]| a.iter().map(|x| x.abs()).collect::<Vec<_>>();
    let terms = Matrix::new(p, p, absolute(&want.data)).quadratic_form(&absolute(&v64));
    near("quadratic form", &[q, T::from_f64(terms)], &[want.quadratic_form(&v64), terms]);

    // The pieces of the product and the form, sample by sample.
    metric.check_inputs().expect("finite inputs");
    let (n_samples, x) = (metric.samples(), metric.input());
    let mut pushed = nans(n_samples * m);
    let product =
        Portable.gemm(mat_mut(&mut pushed, n_samples, m), T::ZERO, T::ONE, x, mat(&v, m, d).t());
    product.expect("gemm");
    let mut responded = pushed.clone();
    let mut work = nans(metric.respond_workspace_len());
    let view = mat_mut(&mut responded, n_samples, m);
    metric.respond(&Portable, view, &mut work).expect("respond");
    let by_weights: Vec<f64> = (0..n_samples * m)
        .map(|k| {
            let (s, i) = (k / m, k % m);
            (0..m).map(|j| metric.weight(s, i, j).to_f64() * pushed[s * m + j].to_f64()).sum()
        })
        .collect();
    near("respond", &responded, &by_weights);
    let inner: f64 = responded.iter().zip(&pushed).map(|(a, b)| a.to_f64() * b.to_f64()).sum();
    let view = mat_mut(&mut pushed, n_samples, m);
    let energy = metric.energy(&Portable, view, &mut work).expect("energy").to_f64();
    let scale = n_samples as f64;
    near("energy", &[T::from_f64(energy / scale), T::from_f64(terms)], &[inner / scale, terms]);

    let mut out = nans(p);
    metric.diagonal(mat_mut(&mut out, m, d)).expect("diagonal");
    near("diagonal", &out, &(0..p).map(|i| want.at(i, i)).collect::<Vec<_>>());

    // keep·M + (1 − keep)·Ḡ over the lower blocks.
    let past: Vec<f64> = random.spd(p, 10.0);
    let mut out: Vec<T> = cast(&past);
    let mut work = nans(dense_workspace_len(metric.samples(), d));
    let keep = T::from_f64(0.75);
    metric
        .accumulate_dense(&Portable, mat_mut(&mut out, p, p), keep, &mut work)
        .expect("accumulate");
    let lower = |a: &dyn Fn(usize, usize) -> f64| -> Vec<f64> {
        (0..p).flat_map(|i| (0..=i).map(move |j| (i, j))).map(|(i, j)| a(i, j)).collect()
    };
    let average = lower(&|i, j| 0.75 * past[i * p + j] + 0.25 * want.at(i, j));
    near("moving average", &cast(&lower(&|i, j| out[i * p + j].to_f64())), &average);
}

/// A response model of the core with its description for the oracle.
#[derive(Clone, Copy, Debug)]
pub struct Neuron {
    /// A label.
    pub name: &'static str,
    /// The core's, in f64.
    pub response: Response<f64>,
    /// The mean of the answer as a function of t …
    pub function: Function,
    /// … and the distribution around it.
    pub model: Model,
}

impl Neuron {
    /// The core's response in dtype `T`.
    pub fn response<T: Real>(&self) -> Response<T> {
        let c = T::from_f64;
        match self.response {
            Response::Tanh => Response::Tanh,
            Response::Sigm => Response::Sigm,
            Response::Relu { leak, smoothing, sigma } => {
                Response::Relu { leak: c(leak), smoothing: c(smoothing), sigma: c(sigma) }
            }
            Response::Elu { alpha, sigma } => Response::Elu { alpha: c(alpha), sigma: c(sigma) },
            Response::Linear { sigma } => Response::Linear { sigma: c(sigma) },
            Response::Gaussian { activation, sigma } => {
                Response::Gaussian { activation: convert(activation), sigma: c(sigma) }
            }
        }
    }
}

/// An activation in another dtype.
pub fn convert<T: Real>(activation: Activation<f64>) -> Activation<T> {
    match activation {
        Activation::Linear => Activation::Linear,
        Activation::Tanh => Activation::Tanh,
        Activation::Sigm => Activation::Sigm,
        Activation::Relu { leak } => Activation::Relu { leak: T::from_f64(leak) },
        Activation::Elu { alpha } => Activation::Elu { alpha: T::from_f64(alpha) },
    }
}

/// The oracle's description of an activation.
pub fn describe(activation: Activation<f64>) -> Function {
    match activation {
        Activation::Linear => Function::Linear,
        Activation::Tanh => Function::Tanh,
        Activation::Sigm => Function::Sigm,
        Activation::Relu { leak } => Function::Relu { leak },
        Activation::Elu { alpha } => Function::Elu { alpha },
    }
}

/// Every neuron of the theory, with parameters that are exact in f32.
pub fn neurons() -> Vec<Neuron> {
    let mut all = vec![
        Neuron {
            name: "tanh",
            response: Response::Tanh,
            function: Function::Linear,
            model: Model::Sign,
        },
        Neuron {
            name: "sigm",
            response: Response::Sigm,
            function: Function::Linear,
            model: Model::Bernoulli,
        },
    ];
    for (leak, smoothing, sigma) in
        [(0.0, 1.0, 1.0), (0.125, 1.0, 0.5), (0.5, 0.25, 2.0), (0.0, 4.0, 1.0)]
    {
        all.push(Neuron {
            name: "smooth relu",
            response: Response::Relu { leak, smoothing, sigma },
            function: Function::SmoothRelu { leak, smoothing },
            model: Model::Gaussian { sigma },
        });
    }
    for (leak, sigma) in [(0.0, 1.0), (0.125, 0.5)] {
        all.push(Neuron {
            name: "relu in the limit",
            response: Response::Relu { leak, smoothing: 0.0, sigma },
            function: Function::Relu { leak },
            model: Model::Gaussian { sigma },
        });
    }
    for (alpha, sigma) in [(1.0, 1.0), (0.5, 2.0), (1.75, 0.25)] {
        all.push(Neuron {
            name: "elu",
            response: Response::Elu { alpha, sigma },
            function: Function::Elu { alpha },
            model: Model::Gaussian { sigma },
        });
    }
    for sigma in [1.0, 0.5, 4.0] {
        all.push(Neuron {
            name: "linear",
            response: Response::Linear { sigma },
            function: Function::Linear,
            model: Model::Gaussian { sigma },
        });
    }
    for (activation, sigma) in [
        (Activation::Tanh, 0.5),
        (Activation::Sigm, 1.0),
        (Activation::Relu { leak: 0.25 }, 2.0),
        (Activation::Elu { alpha: 1.5 }, 1.0),
        (Activation::Linear, 0.25),
    ] {
        all.push(Neuron {
            name: "gaussian",
            response: Response::Gaussian { activation, sigma },
            function: describe(activation),
            model: Model::Gaussian { sigma },
        });
    }
    all
}
