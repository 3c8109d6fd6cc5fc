//! Element by element: activations, their slopes, and ν of every response model.

use relfisher_core::metric::neuron::{Activation, Response};

use crate::contract::Neurons;
use crate::device::Device;
use crate::word::{Scalar, unroll};

/// Elements that a block of an element-wise kernel covers.
pub const CHUNK: u32 = 1024;
/// Threads of such a block.
pub const THREADS: u32 = 256;

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

const EACH: usize = (CHUNK / THREADS) as usize;

/// Like [`each`] with what `f` stores parted from what `load` reads, so that all loads of a full chunk are
/// under way before the first store.
#[inline(always)]
pub(crate) fn map<D: Device, V: Copy>(
    d: D,
    count: u64,
    load: impl Fn(u64, u32) -> V,
    mut f: impl FnMut(u64, u32, V),
) {
    let start = u64::from(d.block()[0]) * u64::from(CHUNK);
    if count - start < u64::from(CHUNK) {
        return each(d, count, |start, i| f(start, i, load(start, i)));
    }
    let first = d.thread();
    let values: [V; EACH] = [0, 1, 2, 3].map(
        #[inline(always)]
        |k| load(start, first + k * THREADS),
    );
    unroll::<EACH>(
        #[inline(always)]
        |k| f(start, first + k as u32 * THREADS, values[k]),
    );
}

/// `nu[i] ← ν(t[i])` by the formulas of [`relfisher_core::metric::neuron`].
#[inline(always)]
pub fn nu<T: Scalar, D: Device>(d: D, nu: D::Array<T>, t: D::Array<T>, neurons: Neurons<T>) {
    // The choice is made once, not for every element.
    match neurons.response() {
        Response::Tanh => nu_of(d, nu, t, neurons.count, Response::Tanh),
        Response::Sigm => nu_of(d, nu, t, neurons.count, Response::Sigm),
        other => nu_of(d, nu, t, neurons.count, other),
    }
}

#[inline(always)]
fn nu_of<T: Scalar, D: Device>(
    d: D,
    nu: D::Array<T>,
    t: D::Array<T>,
    count: u64,
    response: Response<T>,
) {
    let load = |start, i| d.load(d.advance(t, start), i);
    map(d, count, load, |start, i, x| {
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
    match neurons.activation() {
        Activation::Tanh => activate_by(d, (a, slope), t, neurons.count, Activation::Tanh),
        Activation::Sigm => activate_by(d, (a, slope), t, neurons.count, Activation::Sigm),
        other => activate_by(d, (a, slope), t, neurons.count, other),
    }
}

#[inline(always)]
fn activate_by<T: Scalar, D: Device>(
    d: D,
    (a, slope): (D::Array<T>, D::Array<T>),
    t: D::Array<T>,
    count: u64,
    f: Activation<T>,
) {
    each(d, count, |start, i| {
        let x = d.load(d.advance(t, start), i);
        d.store(d.advance(a, start), i, f.value(x));
        d.store(d.advance(slope, start), i, f.derivative(x));
    });
}
