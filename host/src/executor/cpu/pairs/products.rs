//! The product of ν with the pair products x_a x_b.
//!
//! A panel is [`VECTORS`] vectors of consecutive entries of the packed triangle, over the ends of
//! its rows: no lane is wasted on short rows. Its pair products are formed for [`DEPTH`] samples at
//! a time and serve all m neurons, so that forming costs little when m is large.

use faer::prelude::ReborrowMut;
use pulp::bytemuck::{bytes_of, cast_slice, cast_slice_mut, pod_read_unaligned};
use relfisher_core::{Error, MatMut, MatRef};

use super::super::Cpu;
use super::super::product::{Axis, Tile};
use super::super::views::dense_mut;
use super::{
    DEPTH, NEURONS, PIECE_FLOPS, Slab, VECTORS, lanes, pack, pack_weights, panel_width, store,
    sweep,
};
use crate::Scalar;

/// What all panels are made of.
#[derive(Clone, Copy)]
struct Factors<'a, T> {
    /// Rows of x, each followed by at least one vector of zeros.
    x: &'a [T],
    /// The distance of two rows.
    stride: usize,
    /// d.
    columns: usize,
    /// ν as [group][sample][NEURONS], zero past the last neuron.
    nu: &'a [T],
    samples: usize,
    scale: (T, T),
}

/// `out ← α (pair products) + β out`; shapes and layouts have been checked, none is 0.
pub(in super::super) fn packed_grams<T: Scalar>(
    cpu: &Cpu,
    mut out: MatMut<'_, T>,
    scale: (T, T),
    x: MatRef<'_, T>,
    nu: MatRef<'_, T>,
) -> Result<(), Error> {
    let (n, d, m) = (x.rows(), x.cols(), nu.cols());
    let width = panel_width::<T>();
    let lanes = width / VECTORS;
    let stride = (d + lanes).next_multiple_of(lanes);
    let neurons = m.next_multiple_of(NEURONS);
    let Some(out) = dense_mut(&mut out) else {
        return Err(Error::Layout { what: "packed_grams: contiguous rows needed" });
    };
    let arena = T::arena(cpu);
    arena.with(n * (stride + neurons), T::ZERO, |buffer| {
        let (rows, packed_nu) = buffer.split_at_mut(n * stride);
        pack(rows, x, stride);
        pack_weights(packed_nu, nu);
        let factors = Factors { x: rows, stride, columns: d, nu: packed_nu, samples: n, scale };
        let panels = (PIECE_FLOPS / (2 * neurons * n * width)).max(1);
        let whole = Tile { out, axis: Axis::Columns };
        cpu.pool.for_each(whole, panels * width, &|first: usize, piece: Tile<'_, T>| {
            let len = neurons * width + DEPTH.min(n) * width + lanes;
            arena.with(len, T::ZERO, |scratch| {
                pulp::Arch::new().dispatch(Piece { factors, first, out: piece.out, scratch });
            });
            Ok(())
        })
    })
}

/// Consecutive entries of all triangles, from the packed index `first`.
struct Piece<'a, 'b, T> {
    factors: Factors<'a, T>,
    first: usize,
    out: faer::MatMut<'b, T>,
    scratch: &'b mut [T],
}

impl<T: Scalar> pulp::WithSimd for Piece<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, simd: S) {
        // sixteen registers hold four neurons, thirty-two hold eight
        if size_of::<T::SimdVec<S>>() >= 64 {
            self.run::<S, 8>(simd);
        } else {
            self.run::<S, 4>(simd);
        }
    }
}

impl<T: Scalar> Piece<'_, '_, T> {
    #[inline(always)]
    fn run<S: pulp::Simd, const R: usize>(self, simd: S) {
        let Self { factors, first, mut out, scratch } = self;
        let ctx = T::simd_ctx(simd);
        let (n, width) = (factors.samples, VECTORS * lanes::<T, S>());
        let (sums, panel) = scratch.split_at_mut(factors.nu.len() / n * width);
        let sums: &mut [[T::SimdVec<S>; VECTORS]] = cast_slice_mut(sums);
        let (sums, _) = sums.as_chunks_mut::<R>();
        let mut place = Place::of(first);
        for at in (0..out.ncols()).step_by(width) {
            let count = (out.ncols() - at).min(width);
            for from in (0..n).step_by(DEPTH) {
                let depth = DEPTH.min(n - from);
                let x = &factors.x[from * factors.stride..(from + depth) * factors.stride];
                form::<T, S>(&ctx, panel, x, &factors, place);
                let panel = &panel[..depth * width];
                let slab = Slab { panel, weights: factors.nu, from, samples: n };
                sweep::<T, S, R>(&ctx, sums, slab, VECTORS);
            }
            let sums = cast_slice(sums.as_flattened());
            store(out.rb_mut().subcols_mut(at, count), sums, width, factors.scale);
            place.advance(width);
        }
    }
}

/// An entry (row, column) of the lower triangle.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    column: usize,
}

impl Place {
    /// The entry with a packed index.
    fn of(index: usize) -> Self {
        let mut place = Self { row: 0, column: 0 };
        place.advance(index);
        place
    }

    /// Goes on by `count` entries.
    fn advance(&mut self, count: usize) {
        self.column += count;
        while self.column > self.row {
            self.row += 1;
            self.column -= self.row;
        }
    }
}

/// Forms the products of a panel for the samples of `x`, from an entry of the triangle on.
///
/// Whole vectors are stored, in order: what a row of the triangle has too much is overwritten by
/// the next row, or by the next sample; the panel has room for one vector after the last.
#[inline(always)]
fn form<T: Scalar, S: pulp::Simd>(
    ctx: &T::SimdCtx<S>,
    panel: &mut [T],
    x: &[T],
    factors: &Factors<'_, T>,
    place: Place,
) {
    let lanes = lanes::<T, S>();
    let width = VECTORS * lanes;
    for (s, x) in x.chunks_exact(factors.stride).enumerate() {
        let out = &mut panel[s * width..(s + 1) * width + lanes];
        let (mut row, mut column, mut lane) = (place.row, place.column, 0);
        while lane < width && row < factors.columns {
            let factor = T::simd_splat(ctx, &x[row]);
            let end = (lane + row + 1 - column).min(width);
            let mut to = lane;
            while to < end {
                let from = column + to - lane;
                let v = pod_read_unaligned(cast_slice(&x[from..from + lanes]));
                let v: T::SimdVec<S> = T::simd_mul(ctx, factor, v);
                cast_slice_mut::<T, u8>(&mut out[to..to + lanes]).copy_from_slice(bytes_of(&v));
                to += lanes;
            }
            (lane, row, column) = (end, row + 1, 0);
        }
        out[lane.min(width)..width].fill(T::ZERO);
    }
}
