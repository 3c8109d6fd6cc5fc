//! Element-wise work in pieces of fixed size, each compiled for the processor's SIMD level.

use relfisher_core::metric::neuron::{Activation, Response};
use relfisher_core::{Error, MatMut, MatRef, Real};

use super::pool::{Divide, Pool, RowsMut};
use super::vectorised;
use crate::Scalar;
use crate::executor::{ChunkBody, MAX_CHUNK_SLICES};

/// Elements of a piece: a few microseconds of transcendental work, and half of a level-1 cache.
const GRAIN: usize = 1 << 13;

/// Calls `body(out_row, t_row)` for every row, vectorised, in parallel over fixed groups of rows.
fn rowwise<T: Scalar>(
    pool: &Pool,
    what: &'static str,
    mut out: MatMut<'_, T>,
    t: MatRef<'_, T>,
    body: impl Fn(&mut [T], &[T]) + Sync,
) -> Result<(), Error> {
    if out.rows() != t.rows() {
        return Err(Error::Shape { what, expected: t.rows(), found: out.rows() });
    }
    if out.cols() != t.cols() {
        return Err(Error::Shape { what, expected: t.cols(), found: out.cols() });
    }
    if !t.rows_contiguous() {
        return Err(Error::Layout { what });
    }
    let grain = GRAIN.div_ceil(t.cols().max(1));
    let rows = RowsMut::new(&mut out, what)?;
    pool.for_each(rows, grain, &|first: usize, mut rows: RowsMut<'_, T>| {
        vectorised(|| {
            for (i, out) in rows.iter().enumerate() {
                body(out, t.row(first + i));
            }
        });
        Ok(())
    })
}

#[inline(always)]
fn map<T: Real>(out: &mut [T], t: &[T], f: impl Fn(T) -> T) {
    for (o, &t) in out.iter_mut().zip(t) {
        *o = f(t);
    }
}

#[inline(always)]
fn scale<T: Real>(out: &mut [T], t: &[T], f: impl Fn(T) -> T) {
    for (o, &t) in out.iter_mut().zip(t) {
        *o *= f(t);
    }
}

#[inline(always)]
fn square<T: Real>(x: T) -> T {
    x * x
}

pub(super) fn activate<T: Scalar>(
    pool: &Pool,
    out: MatMut<'_, T>,
    t: MatRef<'_, T>,
    f: Activation<T>,
) -> Result<(), Error> {
    let what = "activate: output";
    match f {
        Activation::Linear => rowwise(pool, what, out, t, |o, t| map(o, t, |t| t)),
        Activation::Tanh => rowwise(pool, what, out, t, |o, t| map(o, t, Real::tanh)),
        Activation::Sigm => rowwise(pool, what, out, t, |o, t| map(o, t, Real::sigm)),
        Activation::Relu { leak } => rowwise(pool, what, out, t, |o, t| {
            map(o, t, |t| if t > T::ZERO { t } else { leak * t });
        }),
        Activation::Elu { alpha } => rowwise(pool, what, out, t, |o, t| {
            map(o, t, |t| if t >= T::ZERO { t } else { alpha * Real::exp_m1(t) });
        }),
    }
}

pub(super) fn activation_backward<T: Scalar>(
    pool: &Pool,
    delta: MatMut<'_, T>,
    t: MatRef<'_, T>,
    f: Activation<T>,
) -> Result<(), Error> {
    let what = "activation_backward: delta";
    match f {
        Activation::Linear => rowwise(pool, what, delta, t, |_, _| ()),
        Activation::Tanh => rowwise(pool, what, delta, t, |d, t| {
            scale(d, t, |t| T::ONE - square(Real::tanh(t)));
        }),
        Activation::Sigm => rowwise(pool, what, delta, t, |d, t| {
            scale(d, t, |t| Real::sigm(t) * Real::sigm(-t));
        }),
        Activation::Relu { leak } => rowwise(pool, what, delta, t, |d, t| {
            scale(d, t, |t| if t > T::ZERO { T::ONE } else { leak });
        }),
        Activation::Elu { alpha } => rowwise(pool, what, delta, t, |d, t| {
            scale(d, t, |t| if t >= T::ZERO { T::ONE } else { alpha * Real::exp(t) });
        }),
    }
}

pub(super) fn response_nu<T: Scalar>(
    pool: &Pool,
    nu: MatMut<'_, T>,
    t: MatRef<'_, T>,
    response: Response<T>,
) -> Result<(), Error> {
    let what = "response_nu: nu";
    match response {
        Response::Tanh => rowwise(pool, what, nu, t, |o, t| {
            map(o, t, |t| {
                let four = T::TWO * T::TWO;
                four * Real::sigm(T::TWO * t) * Real::sigm(-T::TWO * t)
            });
        }),
        Response::Sigm => rowwise(pool, what, nu, t, |o, t| {
            map(o, t, |t| Real::sigm(t) * Real::sigm(-t));
        }),
        Response::Relu { leak, smoothing, sigma } => rowwise(pool, what, nu, t, |o, t| {
            let (span, precision) = (T::ONE - leak, T::ONE / square(sigma));
            if smoothing > T::ZERO {
                let rate = span / smoothing;
                map(o, t, |t| precision * square(leak + span * Real::sigm(rate * t)));
            } else {
                map(o, t, |t| precision * if t >= T::ZERO { T::ONE } else { square(leak) });
            }
        }),
        Response::Elu { alpha, sigma } => rowwise(pool, what, nu, t, |o, t| {
            let precision = T::ONE / square(sigma);
            map(o, t, |t| {
                precision * if t >= T::ZERO { T::ONE } else { square(alpha * Real::exp(t)) }
            });
        }),
        Response::Linear { sigma } => rowwise(pool, what, nu, t, |o, t| {
            map(o, t, |_| T::ONE / square(sigma));
        }),
        Response::Gaussian { activation, sigma } => {
            let mut nu = nu;
            nu.fill(T::ONE / sigma);
            activation_backward(pool, nu.rb_mut(), t, activation)?;
            let scaled = nu.rb_mut();
            rowwise(pool, what, scaled, t, |o, _| {
                for o in o {
                    *o = square(*o);
                }
            })
        }
    }
}

pub(super) fn softmax<T: Scalar>(
    pool: &Pool,
    probabilities: MatMut<'_, T>,
    logits: MatRef<'_, T>,
) -> Result<(), Error> {
    rowwise(pool, "softmax: probabilities", probabilities, logits, |p, t| {
        let top = t.iter().fold(-T::INFINITY, |a, &b| Real::max(b, a));
        map(p, t, |t| Real::exp(t - top));
        let total = p.iter().fold(T::ZERO, |a, &b| a + b);
        for p in p {
            *p = *p / total;
        }
    })
}

/// The same range of several slices.
struct Slices<'a, 'b, T> {
    outputs: [&'a mut [T]; MAX_CHUNK_SLICES],
    inputs: [&'b [T]; MAX_CHUNK_SLICES],
    len: usize,
}

impl<T: Scalar> Divide for Slices<'_, '_, T> {
    fn extent(&self) -> usize {
        self.len
    }
    fn divide(self, at: usize) -> (Self, Self) {
        let mut tails: [&mut [T]; MAX_CHUNK_SLICES] = Default::default();
        let mut heads: [&mut [T]; MAX_CHUNK_SLICES] = Default::default();
        for ((whole, head), tail) in self.outputs.into_iter().zip(&mut heads).zip(&mut tails) {
            let middle = at.min(whole.len());
            (*head, *tail) = whole.split_at_mut(middle);
        }
        let cut = |s: &&_| -> usize { at.min(<[T]>::len(s)) };
        let (front, back) =
            (self.inputs.map(|s| &s[..cut(&s)]), self.inputs.map(|s| &s[cut(&s)..]));
        (
            Slices { outputs: heads, inputs: front, len: at },
            Slices { outputs: tails, inputs: back, len: self.len - at },
        )
    }
}

pub(super) fn for_each_chunk<T: Scalar>(
    pool: &Pool,
    outputs: &mut [&mut [T]],
    inputs: &[&[T]],
    body: &ChunkBody<'_, T>,
) -> Result<(), Error> {
    let what = "for_each_chunk: slices";
    let (outs, ins) = (outputs.len(), inputs.len());
    let most = outs.max(ins);
    if most > MAX_CHUNK_SLICES {
        return Err(Error::Shape { what, expected: MAX_CHUNK_SLICES, found: most });
    }
    let len = outputs.first().map_or(0, |s| s.len());
    let lengths = outputs.iter().map(|s| s.len()).chain(inputs.iter().map(|s| s.len()));
    for found in lengths {
        if found != len {
            return Err(Error::Shape { what, expected: len, found });
        }
    }
    let mut slices = Slices { outputs: Default::default(), inputs: Default::default(), len };
    for (slot, slice) in slices.outputs.iter_mut().zip(outputs) {
        *slot = slice;
    }
    for (slot, slice) in slices.inputs.iter_mut().zip(inputs) {
        *slot = slice;
    }
    pool.for_each(slices, GRAIN, &|_, mut part: Slices<'_, '_, T>| {
        body(&mut part.outputs[..outs], &part.inputs[..ins]);
        Ok(())
    })
}
