//! For each row a of all triangles, the product of x with the weights ν_i x_a.
//!
//! The factors x_a go to ν: m·n products for a row of m·n·(a + 1) multiply-adds; and x, which never
//! changes, is packed once for all rows.

use faer::prelude::ReborrowMut;
use pulp::bytemuck::{cast_slice, cast_slice_mut};
use relfisher_core::{Error, MatMut, MatRef};

use super::super::Cpu;
use super::super::pool::Divide;
use super::super::views::{dense_mut, packed_len};
use super::{
    DEPTH, NEURONS, PIECE_FLOPS, Slab, VECTORS, lanes, pack, pack_weights, panel_width, store,
    sweep,
};
use crate::Scalar;

/// The rows `first .. first + count` of the triangles of all blocks: columns of `out`.
struct TriangleRows<'a, T> {
    out: faer::MatMut<'a, T>,
    first: usize,
    count: usize,
}

impl<T: Scalar> Divide for TriangleRows<'_, T> {
    fn extent(&self) -> usize {
        self.count
    }
    fn divide(self, at: usize) -> (Self, Self) {
        let (first, count) = (self.first, self.count);
        let cut = packed_len(first + at) - packed_len(first);
        let (head, tail) = self.out.split_at_col_mut(cut);
        (
            TriangleRows { out: head, first, count: at },
            TriangleRows { out: tail, first: first + at, count: count - at },
        )
    }
}

/// The factors of the products, packed once for all rows.
#[derive(Clone, Copy)]
struct Packed<'a, T> {
    /// x as [panel][sample][VECTORS vectors], zero past the last column.
    x: &'a [T],
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
    let x_len = n * d.next_multiple_of(width);
    let nu_len = n * m.next_multiple_of(NEURONS);
    let arena = T::arena(cpu);
    arena.with(x_len + nu_len, T::ZERO, |buffer| {
        let (packed_x, packed_nu) = buffer.split_at_mut(x_len);
        pack(packed_x, x, width);
        pack_weights(packed_nu, nu);
        let packed = Packed { x: packed_x, nu: packed_nu, samples: n, scale };
        let Some(out) = dense_mut(&mut out) else {
            return Err(Error::Layout { what: "packed_grams: contiguous rows needed" });
        };
        let sums = m.next_multiple_of(NEURONS) * width;
        let grain = (PIECE_FLOPS / (m * n * (d + 1)).max(1)).clamp(1, d);
        let whole = TriangleRows { out, first: 0, count: d };
        cpu.pool.for_each(whole, grain, &|_, mut rows: TriangleRows<'_, T>| {
            arena.with(sums + nu_len + n, T::ZERO, |scratch| {
                for a in rows.first..rows.first + rows.count {
                    let start = packed_len(a) - packed_len(rows.first);
                    let out = rows.out.rb_mut().subcols_mut(start, a + 1);
                    pulp::Arch::new().dispatch(Row { packed, x, a, out, scratch });
                }
            });
            Ok(())
        })
    })
}

/// One row a of all triangles.
struct Row<'a, 'b, T> {
    packed: Packed<'a, T>,
    x: MatRef<'a, T>,
    a: usize,
    out: faer::MatMut<'b, T>,
    scratch: &'b mut [T],
}

impl<T: Scalar> pulp::WithSimd for Row<'_, '_, T> {
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

impl<T: Scalar> Row<'_, '_, T> {
    #[inline(always)]
    fn run<S: pulp::Simd, const R: usize>(self, simd: S) {
        let Self { packed, x, a, mut out, scratch } = self;
        let ctx = T::simd_ctx(simd);
        let lanes = lanes::<T, S>();
        let (n, width) = (packed.samples, VECTORS * lanes);
        let tiles = packed.nu.len() / n / R;
        let (sums, scratch) = scratch.split_at_mut(tiles * R * width);
        let sums: &mut [[T::SimdVec<S>; VECTORS]] = cast_slice_mut(sums);
        let (sums, _) = sums.as_chunks_mut::<R>();
        let (weighted, column) = scratch.split_at_mut(packed.nu.len());
        for (s, v) in column.iter_mut().enumerate() {
            *v = x.row(s)[a];
        }
        let groups = weighted.chunks_exact_mut(n * NEURONS);
        for (out, nu) in groups.zip(packed.nu.chunks_exact(n * NEURONS)) {
            let rows = out.chunks_exact_mut(NEURONS).zip(nu.chunks_exact(NEURONS));
            for ((out, nu), v) in rows.zip(&*column) {
                for (o, nu) in out.iter_mut().zip(nu) {
                    *o = *nu * *v;
                }
            }
        }
        let weights = &*weighted;
        for (p, panel) in packed.x.chunks_exact(n * width).enumerate().take(a / width + 1) {
            let columns = (a + 1 - p * width).min(width);
            for from in (0..n).step_by(DEPTH) {
                let depth = DEPTH.min(n - from);
                let panel = &panel[from * width..(from + depth) * width];
                let slab = Slab { panel, weights, from, samples: n };
                sweep::<T, S, R>(&ctx, sums, slab, columns.div_ceil(lanes));
            }
            let sums = cast_slice(sums.as_flattened());
            store(out.rb_mut().subcols_mut(p * width, columns), sums, width, packed.scale);
        }
    }
}
