//! Packed Gram matrices for all neurons at once, with a register kernel of the processor's SIMD
//! width: `out[i, k(a, b)] = Σ_s ν_si x_sa x_sb` for b ≤ a.
//!
//! Two constructions multiply a panel of [`VECTORS`] vectors a sample by weights of [`NEURONS`]
//! neurons a sample ([`sweep`]). They differ in where the product with x_sa goes:
//! - [`products`]: into the panel, which holds x_sa x_sb in packed order and serves all neurons;
//! - [`rows`]: into the weights, which hold ν_si x_sa and serve one row a of all triangles.

mod products;
mod rows;

use faer::prelude::ReborrowMut;
use pulp::bytemuck::cast_slice;
use relfisher_core::MatRef;

use crate::Scalar;

pub(super) use products::packed_grams as by_products;
pub(super) use rows::packed_grams as by_rows;

/// Neurons of a register tile.
const NEURONS: usize = 8;
/// Vectors of a register tile, and of a panel.
const VECTORS: usize = 3;
/// Samples between two passes over the sums: a panel of that depth stays in level 1.
const DEPTH: usize = 128;
/// FLOPs of a piece of work, about.
const PIECE_FLOPS: usize = 1 << 22;

/// The elements of a vector.
#[inline(always)]
const fn lanes<T: Scalar, S: pulp::Simd>() -> usize {
    size_of::<T::SimdVec<S>>() / size_of::<T>()
}

/// The columns of a panel on this processor.
fn panel_width<T: Scalar>() -> usize {
    struct Lanes<T>(std::marker::PhantomData<T>);
    impl<T: Scalar> pulp::WithSimd for Lanes<T> {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, _: S) -> usize {
            lanes::<T, S>()
        }
    }
    VECTORS * pulp::Arch::new().dispatch(Lanes::<T>(std::marker::PhantomData))
}

/// Copies columns of a row-major matrix into panels: [panel][row][width], zero past the end.
fn pack<T: Scalar>(panels: &mut [T], source: MatRef<'_, T>, width: usize) {
    let rows = source.rows();
    for (p, panel) in panels.chunks_exact_mut(rows * width).enumerate() {
        for (s, out) in panel.chunks_exact_mut(width).enumerate() {
            pad(out, source.row(s), p * width);
        }
    }
}

/// [`pack`] with a width of [`NEURONS`]: copies of a fixed length.
fn pack_weights<T: Scalar>(groups: &mut [T], nu: MatRef<'_, T>) {
    for (g, group) in groups.chunks_exact_mut(nu.rows() * NEURONS).enumerate() {
        let (group, _) = group.as_chunks_mut::<NEURONS>();
        for (s, out) in group.iter_mut().enumerate() {
            match nu.row(s).get(g * NEURONS..).and_then(<[T]>::first_chunk) {
                Some(full) => *out = *full,
                None => pad(out, nu.row(s), g * NEURONS),
            }
        }
    }
}

/// Copies a row from `from` on, then zeros.
fn pad<T: Scalar>(out: &mut [T], row: &[T], from: usize) {
    let row = row.get(from..).unwrap_or(&[]);
    let count = row.len().min(out.len());
    out[..count].copy_from_slice(&row[..count]);
    out[count..].fill(T::ZERO);
}

/// The samples from `from` of a panel, with the weights of all samples, [group][sample][NEURONS].
#[derive(Clone, Copy)]
struct Slab<'a, T> {
    panel: &'a [T],
    weights: &'a [T],
    from: usize,
    samples: usize,
}

/// Adds a slab to the sums [neuron][VECTORS vectors], of which the first `vectors` of each neuron
/// matter; those of the first slab need not be set.
#[inline(always)]
fn sweep<T: Scalar, S: pulp::Simd, const R: usize>(
    ctx: &T::SimdCtx<S>,
    sums: &mut [[[T::SimdVec<S>; VECTORS]; R]],
    slab: Slab<'_, T>,
    vectors: usize,
) {
    let panel: &[[T::SimdVec<S>; VECTORS]] = cast_slice(slab.panel);
    let first = slab.from * NEURONS;
    let groups = slab.weights.chunks_exact(slab.samples * NEURONS);
    for (group, sums) in groups.zip(sums.chunks_exact_mut(NEURONS / R)) {
        let (group, _) = group[first..first + panel.len() * NEURONS].as_chunks::<NEURONS>();
        for (half, sums) in sums.iter_mut().enumerate() {
            if first == 0 {
                *sums = [[T::simd_splat(ctx, &T::ZERO); VECTORS]; R];
            }
            let at = half * R;
            match vectors {
                1 => tile::<T, S, R, 1>(ctx, sums, panel, group, at),
                2 => tile::<T, S, R, 2>(ctx, sums, panel, group, at),
                _ => tile::<T, S, R, 3>(ctx, sums, panel, group, at),
            }
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
    for (x, weights) in panel.iter().zip(group) {
        for r in 0..R {
            let weight = T::simd_splat(ctx, &weights[at + r]);
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

/// Stores the sums [neuron][VECTORS vectors] in columns of the output: out ← α sums + β out.
#[inline(always)]
fn store<T: Scalar>(mut out: faer::MatMut<'_, T>, sums: &[T], width: usize, (beta, alpha): (T, T)) {
    for (i, sums) in sums.chunks_exact(width).enumerate().take(out.nrows()) {
        let Some(out) = out.rb_mut().row_mut(i).try_as_row_major_mut() else { return };
        let out = out.as_slice_mut();
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
}
