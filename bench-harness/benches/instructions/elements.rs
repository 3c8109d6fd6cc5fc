//! ν, activations and selection, against their definitions.

use relfisher::Scalar;
use relfisher::executor::Executor;
use relfisher_bench::Random;
use relfisher_core::metric::neuron::{Activation, Response};
use relfisher_core::sparse::select_largest;
use relfisher_core::{MatMut, MatRef};

use crate::case::{Aligned, Case, Data, direct, near, ulps};

/// The rows and columns of the arguments; the width is no whole number of vectors.
const SHAPE: (usize, usize) = (256, 301);

/// Arguments in [−8, 8), where every piece of every function is met.
fn arguments<T: Scalar>() -> Aligned<T> {
    Aligned::random(&mut Random::new(1), SHAPE.0 * SHAPE.1, -8.0, 8.0)
}

fn sigm(t: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-t))
}

/// ν(t) by the definition of the response model.
fn nu_of(response: Response<f64>, t: f64) -> f64 {
    let slope = |leak: f64, t: f64| if t >= 0.0 { 1.0 } else { leak };
    match response {
        Response::Tanh => 1.0 - libm::tanh(t).powi(2),
        Response::Sigm => sigm(t) * (1.0 - sigm(t)),
        Response::Relu { leak, smoothing, sigma } if smoothing > 0.0 => {
            ((leak + (1.0 - leak) * sigm((1.0 - leak) * t / smoothing)) / sigma).powi(2)
        }
        Response::Relu { leak, sigma, .. } => (slope(leak, t) / sigma).powi(2),
        Response::Elu { alpha, sigma } => {
            ((if t >= 0.0 { 1.0 } else { alpha * libm::exp(t) }) / sigma).powi(2)
        }
        Response::Linear { sigma } => 1.0 / (sigma * sigma),
        Response::Gaussian { activation, sigma } => (derivative(activation, t) / sigma).powi(2),
    }
}

/// f′(t) by the definition of the function.
fn derivative(f: Activation<f64>, t: f64) -> f64 {
    match f {
        Activation::Linear => 1.0,
        Activation::Tanh => 1.0 - libm::tanh(t).powi(2),
        Activation::Sigm => sigm(t) * (1.0 - sigm(t)),
        Activation::Relu { leak } => {
            if t > 0.0 {
                1.0
            } else {
                leak
            }
        }
        Activation::Elu { alpha } => {
            if t >= 0.0 {
                1.0
            } else {
                alpha * libm::exp(t)
            }
        }
    }
}

/// ν of every sample and neuron.
pub(crate) fn nu<T: Scalar>(response: Response<f64>) -> Case {
    let (rows, cols) = SHAPE;
    let model = match response {
        Response::Tanh => Response::Tanh,
        Response::Sigm => Response::Sigm,
        Response::Relu { leak, smoothing, sigma } => {
            let [leak, smoothing, sigma] = [leak, smoothing, sigma].map(T::from_f64);
            Response::Relu { leak, smoothing, sigma }
        }
        Response::Elu { alpha, sigma } => {
            Response::Elu { alpha: T::from_f64(alpha), sigma: T::from_f64(sigma) }
        }
        Response::Linear { sigma } => Response::Linear { sigma: T::from_f64(sigma) },
        Response::Gaussian { activation, sigma } => {
            let activation = relfisher::network::cast_activation(activation);
            Response::Gaussian { activation, sigma: T::from_f64(sigma) }
        }
    };
    direct(
        Data::<T>::new(vec![arguments::<T>()], rows * cols, 0),
        move |cpu, given, out, _| {
            let (out, t) = (MatMut::new(out, rows, cols)?, MatRef::new(&given[0], rows, cols)?);
            cpu.response_nu(out, t, model)
        },
        move |given, out| {
            let want: Vec<f64> = given[0].iter().map(|t| nu_of(response, t.to_f64())).collect();
            near(out, &want, ulps::<T>(8.0));
        },
    )
}

/// δ ← δ ∘ f′(t), on the way back through a layer.
pub(crate) fn activation_backward<T: Scalar>(f: Activation<f64>) -> Case {
    let (rows, cols) = SHAPE;
    let delta = Aligned::random(&mut Random::new(2), rows * cols, -1.0, 1.0);
    direct(
        Data::<T>::in_place(vec![delta, arguments::<T>()], 0),
        move |cpu, given, out, _| {
            let (out, t) = (MatMut::new(out, rows, cols)?, MatRef::new(&given[1], rows, cols)?);
            cpu.activation_backward(out, t, relfisher::network::cast_activation(f))
        },
        move |given, out| {
            let each = given[0].iter().zip(given[1].iter());
            let want: Vec<f64> =
                each.map(|(d, t)| d.to_f64() * derivative(f, t.to_f64())).collect();
            near(out, &want, ulps::<T>(8.0));
        },
    )
}

/// Class probabilities.
pub(crate) fn softmax<T: Scalar>() -> Case {
    let (rows, cols) = SHAPE;
    direct(
        Data::<T>::new(vec![arguments::<T>()], rows * cols, 0),
        move |cpu, given, out, _| {
            let out = MatMut::new(out, rows, cols)?;
            cpu.softmax(out, MatRef::new(&given[0], rows, cols)?)
        },
        move |given, out| {
            let mut want = Vec::with_capacity(out.len());
            for row in given[0].chunks_exact(cols) {
                let terms: Vec<f64> = row.iter().map(|t| libm::exp(t.to_f64())).collect();
                let sum: f64 = terms.iter().sum();
                want.extend(terms.iter().map(|term| term / sum));
            }
            near(out, &want, ulps::<T>(16.0));
        },
    )
}

/// The indices of the largest tenth of the entries.
pub(crate) fn select<T: Scalar>() -> Case {
    let count = SHAPE.0 * SHAPE.1 / 10;
    direct(
        Data::<T>::new(vec![arguments::<T>()], count, 0),
        move |_, given, out, _| {
            let mut indices = vec![u32::MAX; count];
            let found = select_largest(&mut indices, &given[0])?;
            for (out, index) in out.iter_mut().zip(&indices[..found]) {
                *out = T::from_usize(*index as usize);
            }
            Ok(())
        },
        move |given, out| {
            let mut order: Vec<usize> = (0..given[0].len()).collect();
            let size = |i: usize| given[0][i].to_f64().abs();
            order.sort_by(|a, b| size(*b).total_cmp(&size(*a)));
            order.truncate(count);
            order.sort_unstable();
            let want: Vec<f64> = order.iter().map(|i| *i as f64).collect();
            near(out, &want, 0.0);
        },
    )
}
