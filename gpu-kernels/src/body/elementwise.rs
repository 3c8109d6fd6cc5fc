//! Element by element: activations, their slopes, and ν of every response model.

use relfisher_core::metric::neuron::{Activation, Response};

use crate::contract::Neurons;
use crate::device::Device;
use crate::word::Scalar;

/// Elements that a block of an element-wise kernel covers.
pub const CHUNK: u32 = 1024;

/// Calls `f` with the start of the block's chunk and each position in it that belongs to the thread.
#[inline(always)]
pub(crate) fn each<D: Device>(d: D, count: u64, mut f: impl FnMut(u64, u32)) {
    let start = u64::from(d.block()[0]) * u64::from(CHUNK);
    let length = if count - start < u64::from(CHUNK) { (count - start) as u32 } else { CHUNK };
    let mut i = d.thread();
    while i < length {
        f(start, i);
        i += d.threads();
    }
}

/// `nu[i] ← ν(t[i])` by the formulas of [`relfisher_core::metric::neuron`].
#[inline(always)]
pub fn nu<T: Scalar, D: Device>(d: D, nu: D::Array<T>, t: D::Array<T>, neurons: Neurons<T>) {
    let response: Response<T> = neurons.response();
    each(d, neurons.count, |start, i| {
        let x = d.load(d.advance(t, start), i);
        d.store(d.advance(nu, start), i, response.nu(x));
    });
}

/// `a[i] ← f(t[i])`, `slope[i] ← f′(t[i])`.
#[inline(always)]
pub fn activate<T: Scalar, D: Device>(
    d: D,
    a: D::Array<T>,
    slope: D::Array<T>,
    t: D::Array<T>,
    neurons: Neurons<T>,
) {
    let f: Activation<T> = neurons.activation();
    each(d, neurons.count, |start, i| {
        let x = d.load(d.advance(t, start), i);
        d.store(d.advance(a, start), i, f.value(x));
        d.store(d.advance(slope, start), i, f.derivative(x));
    });
}
