//! Element-wise work in pieces of fixed size, each compiled for the processor's SIMD level.

use relfisher_core::metric::neuron::{Activation, Response};
use relfisher_core::{Error, MatMut, MatRef, Real};

use super::pool::{Divide, Pool, RowsMut};
use super::views::{check_layout, check_len};
use crate::executor::{ChunkBody, MAX_CHUNK_SLICES};
use crate::{Scalar, vectorised};

/// Elements of a piece: a few microseconds of transcendental work, and half of a level-1 cache.
const GRAIN: usize = 1 << 13;

/// Calls `body(out, t)` for groups of rows of fixed size, in parallel, compiled for the widest
/// instruction set: a group as one slice where neither matrix has gaps, else row by row.
fn rowwise<T: Scalar>(
    pool: &Pool,
    what: &'static str,
    mut out: MatMut<'_, T>,
    t: MatRef<'_, T>,
    body: impl Fn(&mut [T], &[T]) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    check_len(what, t.rows(), out.rows())?;
    check_len(what, t.cols(), out.cols())?;
    check_layout(what, t.rows_contiguous())?;
    let (cols, stride) = (t.cols(), t.row_stride());
    let grain = GRAIN.div_ceil(cols.max(1));
    let rows = RowsMut::new(&mut out, what)?;
    pool.for_each(rows, grain, &|first: usize, mut rows: RowsMut<'_, T>| match rows.solid() {
        Some(out) if stride == cols => {
            let from = first * cols;
            vectorised!(body(out, &t.data()[from..from + out.len()]))
        }
        _ => vectorised!({
            for (i, out) in rows.iter().enumerate() {
                body(out, t.row(first + i))?;
            }
            Ok(())
        }),
    })
}

pub(super) fn activate<T: Scalar>(
    pool: &Pool,
    out: MatMut<'_, T>,
    t: MatRef<'_, T>,
    f: Activation<T>,
) -> Result<(), Error> {
    f.check()?;
    rowwise(
        pool,
        "activate: output",
        out,
        t,
        #[inline(always)]
        |out, t| f.value_slice(out, t),
    )
}

pub(super) fn activation_backward<T: Scalar>(
    pool: &Pool,
    delta: MatMut<'_, T>,
    t: MatRef<'_, T>,
    f: Activation<T>,
) -> Result<(), Error> {
    f.check()?;
    rowwise(
        pool,
        "activation_backward: delta",
        delta,
        t,
        #[inline(always)]
        |d, t| f.backward_slice(d, t),
    )
}

pub(super) fn response_nu<T: Scalar>(
    pool: &Pool,
    nu: MatMut<'_, T>,
    t: MatRef<'_, T>,
    response: Response<T>,
) -> Result<(), Error> {
    response.check()?;
    rowwise(
        pool,
        "response_nu: nu",
        nu,
        t,
        #[inline(always)]
        |nu, t| response.nu_slice(nu, t),
    )
}

pub(super) fn softmax<T: Scalar>(
    pool: &Pool,
    mut probabilities: MatMut<'_, T>,
    logits: MatRef<'_, T>,
) -> Result<(), Error> {
    let what = "softmax: probabilities";
    rowwise(
        pool,
        what,
        probabilities.rb_mut(),
        logits,
        #[inline(always)]
        |p, t| {
            p.copy_from_slice(t);
            Ok(())
        },
    )?;
    let grain = (GRAIN / 4).div_ceil(logits.cols().max(1));
    let rows = RowsMut::new(&mut probabilities, what)?;
    pool.for_each(rows, grain, &|_, mut rows: RowsMut<'_, T>| {
        vectorised!({
            for p in rows.iter() {
                let top = p.iter().fold(-T::INFINITY, |a, &b| Real::max(b, a));
                for p in &mut *p {
                    *p = Real::exp(*p - top);
                }
                let total = p.iter().fold(T::ZERO, |a, &b| a + b);
                for p in p {
                    *p /= total;
                }
            }
        });
        Ok(())
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
