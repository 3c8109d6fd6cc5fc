//! Elementary functions and neurons.

use relfisher_core::math;
use relfisher_core::metric::neuron::{Activation, Response};
use relfisher_core::{Error, Real};

use crate::{Opaque, probe};

probe! { functions activations responses }

fn functions<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let [t, p, ..] = x.scalars;
    let sums = [
        t.exp(),
        t.exp_m1(),
        t.ln(),
        t.ln_1p(),
        t.tanh(),
        t.sigm(),
        t.powf(p),
        t.sqrt(),
        t.abs(),
        t.copysign(p),
        t.max(p),
        t.min(p),
        T::from_f64(t.to_f64()),
        T::from_usize(x.counts[0]),
        math::sech2(t),
        math::sigm_variance(t),
        math::sigm_complement(t),
        math::softplus(t),
    ];
    x.result = sums.iter().fold(T::ZERO, |a, b| a + *b);
    if x.result.is_finite() { Ok(()) } else { Err(Error::NonFinite { what: "t", index: 0 }) }
}

fn activation<T: Real>(choice: u8, s: [T; 8]) -> Activation<T> {
    match choice {
        0 => Activation::Linear,
        1 => Activation::Tanh,
        2 => Activation::Sigm,
        3 => Activation::Relu { leak: s[0] },
        _ => Activation::Elu { alpha: s[0] },
    }
}

fn activations<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let f = activation(x.choice, x.scalars);
    f.check()?;
    let t = x.scalars[7];
    x.result = f.value(t) + f.derivative(t) + f.second_derivative(t);
    let [out, t, ..] = &mut x.slices;
    f.value_slice(out, t)?;
    f.derivative_slice(out, t)?;
    f.second_derivative_slice(out, t)?;
    f.backward_slice(out, t)
}

fn responses<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let s = x.scalars;
    let (leak, smoothing, sigma, alpha) = (s[0], s[1], s[2], s[0]);
    let r = match x.choice {
        0 => Response::Tanh,
        1 => Response::Sigm,
        2 => Response::Relu { leak, smoothing, sigma },
        3 => Response::Elu { alpha, sigma },
        4 => Response::Linear { sigma },
        5 => Response::of_activation(activation(x.choice, s), smoothing, sigma),
        more => Response::Gaussian { activation: activation(more.wrapping_sub(6), s), sigma },
    };
    r.check()?;
    x.result = r.nu(s[7]) + r.mean(s[7]) + r.mean_derivative(s[7]);
    let [out, t, ..] = &mut x.slices;
    r.nu_slice(out, t)?;
    r.mean_slice(out, t)?;
    r.mean_derivative_slice(out, t)
}
