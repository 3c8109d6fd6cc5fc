//! Packed Gram matrices by pair products, with a register kernel of the processor's SIMD width.
//!
//! Row a of all blocks at once is one product: `out[i, k(a, b)] = Σ_s (ν_si x_sa) x_sb` for b ≤ a.
//! So the pair product x_sa x_sb need not be formed for each pair: the factor x_sa goes to ν, m·n
//! products for a row of m·n·(a + 1) multiply-adds, and x, which never changes, is packed once for
//! all rows. The result rows are written where they belong; nothing of size d² is stored besides.

use faer::prelude::ReborrowMut;
use pulp::bytemuck::{cast_slice, cast_slice_mut};
use relfisher_core::{Error, MatMut, MatRef};

use super::Cpu;
use super::pool::Divide;
use super::views::{dense_mut, packed_len};
use crate::Scalar;

/// Neurons of a register tile.
const NEURONS: usize = 8;
/// Vectors of a register tile, and of a packed panel of x.
const VECTORS: usize = 3;
/// Samples between two passes over the sums: a panel of that depth stays in level 1.
const DEPTH: usize = 128;
/// FLOPs of a piece of work, about.
const PIECE_FLOPS: usize = 1 << 22;

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
    neurons: usize,
    beta: T,
    alpha: T,
}

/// The columns of a panel.
fn panel_width<T: Scalar>() -> usize {
    struct Lanes<T>(std::marker::PhantomData<T>);
    impl<T: Scalar> pulp::WithSimd for Lanes<T> {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, _: S) -> usize {
            size_of::<T::SimdVec<S>>() / size_of::<T>()
        }
    }
    VECTORS * pulp::Arch::new().dispatch(Lanes::<T>(std::marker::PhantomData))
}

/// Copies columns of a row-major matrix into panels: [panel][row][width], zero past the end.
fn pack<T: Scalar>(panels: &mut [T], source: MatRef<'_, T>, width: usize) {
    let rows = source.rows();
    for (p, panel) in panels.chunks_exact_mut(rows * width).enumerate() {
        for (s, out) in panel.chunks_exact_mut(width).enumerate() {
            let row = source.row(s).get(p * width..).unwrap_or(&[]);
            let count = row.len().min(width);
            out[..count].copy_from_slice(&row[..count]);
            out[count..].fill(T::ZERO);
        }
    }
}

/// `out ← α (pair products) + β out`; shapes and layouts have been checked.
pub(super) fn packed_grams<T: Scalar>(
    cpu: &Cpu,
    mut out: MatMut<'_, T>,
    beta: T,
    alpha: T,
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
        pack(packed_nu, nu, NEURONS);
        let packed = Packed { x: packed_x, nu: packed_nu, samples: n, neurons: m, beta, alpha };
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
        let zero = T::simd_splat(&ctx, &T::ZERO);
        let lanes = size_of::<T::SimdVec<S>>() / size_of::<T>();
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
        for (p, panel) in packed.x.chunks_exact(n * width).enumerate().take(a / width + 1) {
            let columns = (a + 1 - p * width).min(width);
            let vectors = columns.div_ceil(lanes);
            for from in (0..n).step_by(DEPTH) {
                let depth = DEPTH.min(n - from);
                let panel = &panel[from * width..(from + depth) * width];
                let panel: &[[T::SimdVec<S>; VECTORS]] = cast_slice(panel);
                let groups = weighted.chunks_exact(n * NEURONS);
                for (group, sums) in groups.zip(sums.chunks_exact_mut(NEURONS / R)) {
                    let group = &group[from * NEURONS..(from + depth) * NEURONS];
                    let (group, _) = group.as_chunks::<NEURONS>();
                    for (half, sums) in sums.iter_mut().enumerate() {
                        if from == 0 {
                            *sums = [[zero; VECTORS]; R];
                        }
                        let at = half * R;
                        match vectors {
                            1 => tile::<T, S, R, 1>(&ctx, sums, panel, group, at),
                            2 => tile::<T, S, R, 2>(&ctx, sums, panel, group, at),
                            _ => tile::<T, S, R, 3>(&ctx, sums, panel, group, at),
                        }
                    }
                }
            }
            let sums: &[T] = cast_slice(sums.as_flattened());
            for (i, sums) in sums.chunks_exact(width).enumerate().take(packed.neurons) {
                let row = out.rb_mut().row_mut(i).subcols_mut(p * width, columns);
                let Some(row) = row.try_as_row_major_mut() else { return };
                store(row.as_slice_mut(), sums, packed.beta, packed.alpha);
            }
        }
    }
}

/// out ← α sums + β out.
#[inline(always)]
fn store<T: Scalar>(out: &mut [T], sums: &[T], beta: T, alpha: T) {
    if beta == T::ZERO {
        for (o, s) in out.iter_mut().zip(sums) {
            *o = alpha * *s;
        }
    } else {
        for (o, s) in out.iter_mut().zip(sums) {
            *o = beta * *o + alpha * *s;
        }
    }
}

/// Adds the samples of a panel to R neurons × V vectors of columns, in registers.
#[inline(always)]
fn tile<T: Scalar, S: pulp::Simd, const R: usize, const V: usize>(
    ctx: &T::SimdCtx<S>,
    kept: &mut [[T::SimdVec<S>; VECTORS]; R],
    panel: &[[T::SimdVec<S>; VECTORS]],
    group: &[[T; NEURONS]],
    at: usize,
) {
    let mut sums: [[T::SimdVec<S>; V]; R] =
        std::array::from_fn(|r| std::array::from_fn(|v| kept[r][v]));
    for (x, nu) in panel.iter().zip(group) {
        for r in 0..R {
            let weight = T::simd_splat(ctx, &nu[at + r]);
            for v in 0..V {
                sums[r][v] = T::simd_mul_add(ctx, weight, x[v], sums[r][v]);
            }
        }
    }
    for r in 0..R {
        for v in 0..V {
            kept[r][v] = sums[r][v];
        }
    }
}
