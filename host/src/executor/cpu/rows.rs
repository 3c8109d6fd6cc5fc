//! Rows of a whole group of matrices into vectors of one element each, and back, by AVX-512.
//!
//! L elements of all L matrices are a square that is transposed in registers. Each of its rows is a cache
//! line or two, which are touched once: those of a group often lie at a distance of whole pages, where
//! they compete for the few places of one set of the level 1 cache, and would be displaced before they
//! were touched again. A row that ends within a square is read and written beyond its end, where the
//! elements get what they held.

use std::arch::x86_64::{__m512, __m512d};

use pulp::bytemuck::cast;
use pulp::x86::V4;

/// Scalars of which a vector holds one of each matrix of a group.
pub(super) trait Lanes: Copy {
    /// L: matrices of a group, elements of a vector.
    const LANES: usize;
    /// L elements of a row, or one of every matrix.
    type Vector: Copy;
    /// L vectors.
    type Square: AsRef<[Self::Vector]> + AsMut<[Self::Vector]>;

    /// A square of zeros.
    fn zeros() -> Self::Square;

    /// Element c of vector r ← element r of vector c.
    fn transpose(simd: V4, square: Self::Square) -> Self::Square;

    /// The first `len` elements of `new`, the others of `old`.
    fn first(simd: V4, len: usize, new: Self::Vector, old: Self::Vector) -> Self::Vector;
}

/// Squares of four elements transposed in every quarter of four vectors.
#[inline(always)]
fn in_quarters(simd: V4, [a, b, c, d]: [__m512; 4]) -> [__m512; 4] {
    let avx = simd.avx512f;
    let p: __m512d = cast(avx._mm512_unpacklo_ps(a, b));
    let q: __m512d = cast(avx._mm512_unpackhi_ps(a, b));
    let r: __m512d = cast(avx._mm512_unpacklo_ps(c, d));
    let s: __m512d = cast(avx._mm512_unpackhi_ps(c, d));
    [
        cast(avx._mm512_unpacklo_pd(p, r)),
        cast(avx._mm512_unpackhi_pd(p, r)),
        cast(avx._mm512_unpacklo_pd(q, s)),
        cast(avx._mm512_unpackhi_pd(q, s)),
    ]
}

/// Quarter i of vector j ← quarter j of vector i.
#[inline(always)]
fn quarters(simd: V4, [a, b, c, d]: [__m512; 4]) -> [__m512; 4] {
    let avx = simd.avx512f;
    let (p, q) = (avx._mm512_shuffle_f32x4::<0x44>(a, b), avx._mm512_shuffle_f32x4::<0xEE>(a, b));
    let (r, s) = (avx._mm512_shuffle_f32x4::<0x44>(c, d), avx._mm512_shuffle_f32x4::<0xEE>(c, d));
    [
        avx._mm512_shuffle_f32x4::<0x88>(p, r),
        avx._mm512_shuffle_f32x4::<0xDD>(p, r),
        avx._mm512_shuffle_f32x4::<0x88>(q, s),
        avx._mm512_shuffle_f32x4::<0xDD>(q, s),
    ]
}

/// Quarter i of vector j ← quarter j of vector i, where a quarter is two elements.
#[inline(always)]
fn quarters_f64(simd: V4, [a, b, c, d]: [__m512d; 4]) -> [__m512d; 4] {
    quarters(simd, [cast(a), cast(b), cast(c), cast(d)]).map(cast)
}

impl Lanes for f32 {
    const LANES: usize = 16;
    type Vector = __m512;
    type Square = [__m512; 16];

    #[inline(always)]
    fn zeros() -> Self::Square {
        [cast([0.0_f32; 16]); 16]
    }

    #[inline(always)]
    fn transpose(simd: V4, x: Self::Square) -> Self::Square {
        let [a0, a1, a2, a3] = quarters(simd, [x[0], x[4], x[8], x[12]]);
        let [b0, b1, b2, b3] = quarters(simd, [x[1], x[5], x[9], x[13]]);
        let [c0, c1, c2, c3] = quarters(simd, [x[2], x[6], x[10], x[14]]);
        let [d0, d1, d2, d3] = quarters(simd, [x[3], x[7], x[11], x[15]]);
        cast([
            in_quarters(simd, [a0, b0, c0, d0]),
            in_quarters(simd, [a1, b1, c1, d1]),
            in_quarters(simd, [a2, b2, c2, d2]),
            in_quarters(simd, [a3, b3, c3, d3]),
        ])
    }

    #[inline(always)]
    fn first(simd: V4, len: usize, new: __m512, old: __m512) -> __m512 {
        simd.avx512f._mm512_mask_blend_ps((1 << len) - 1, old, new)
    }
}

impl Lanes for f64 {
    const LANES: usize = 8;
    type Vector = __m512d;
    type Square = [__m512d; 8];

    #[inline(always)]
    fn zeros() -> Self::Square {
        [cast([0.0_f64; 8]); 8]
    }

    #[inline(always)]
    fn transpose(simd: V4, x: Self::Square) -> Self::Square {
        let avx = simd.avx512f;
        let [a0, a1, a2, a3] = quarters_f64(simd, [x[0], x[2], x[4], x[6]]);
        let [b0, b1, b2, b3] = quarters_f64(simd, [x[1], x[3], x[5], x[7]]);
        [
            avx._mm512_unpacklo_pd(a0, b0),
            avx._mm512_unpackhi_pd(a0, b0),
            avx._mm512_unpacklo_pd(a1, b1),
            avx._mm512_unpackhi_pd(a1, b1),
            avx._mm512_unpacklo_pd(a2, b2),
            avx._mm512_unpackhi_pd(a2, b2),
            avx._mm512_unpacklo_pd(a3, b3),
            avx._mm512_unpackhi_pd(a3, b3),
        ]
    }

    #[inline(always)]
    fn first(simd: V4, len: usize, new: __m512d, old: __m512d) -> __m512d {
        simd.avx512f._mm512_mask_blend_pd((1 << len) - 1, old, new)
    }
}

/// The machine's way, if it has one for groups of L matrices at distances of `stride`, whose rows fill
/// the squares of `width` columns within `len` elements.
#[inline(always)]
fn way<T: Lanes, const L: usize>(width: usize, stride: usize, len: usize) -> Option<V4> {
    let end = stride.checked_mul(L.checked_sub(1)?)?;
    let end = end.checked_add(width.checked_next_multiple_of(L)?)?;
    // the squares of one matrix must not hold elements of the next one's
    if L == T::LANES && stride >= L && end <= len { V4::try_new() } else { None }
}

/// [`Transpose::load_rows`](relfisher_core::factor::batch::Transpose::load_rows).
#[inline(always)]
pub(super) fn load<T: Lanes, const L: usize>(
    vectors: &mut [[T; L]],
    data: &[T],
    stride: usize,
) -> bool {
    let Some(simd) = way::<T, L>(vectors.len(), stride, data.len()) else { return false };
    for (c, vectors) in vectors.chunks_mut(L).enumerate() {
        let mut square = T::zeros();
        for (k, row) in square.as_mut().iter_mut().enumerate() {
            // SAFETY: L elements from column L·c of row k, of which the last ends within `data`.
            *row = unsafe { data.as_ptr().add(k * stride + L * c).cast::<T::Vector>().read_unaligned() };
        }
        let square = T::transpose(simd, square);
        for (vector, x) in vectors.iter_mut().zip(square.as_ref()) {
            // SAFETY: a vector is L elements.
            unsafe { vector.as_mut_ptr().cast::<T::Vector>().write_unaligned(*x) };
        }
    }
    true
}

/// [`Transpose::store_rows`](relfisher_core::factor::batch::Transpose::store_rows).
#[inline(always)]
pub(super) fn store<T: Lanes, const L: usize>(
    data: &mut [T],
    stride: usize,
    vectors: &[[T; L]],
    len: usize,
) -> bool {
    let Some(simd) = way::<T, L>(vectors.len(), stride, data.len()) else { return false };
    for (c, vectors) in vectors.chunks(L).enumerate() {
        let mut square = T::zeros();
        for (x, vector) in square.as_mut().iter_mut().zip(vectors) {
            // SAFETY: a vector is L elements.
            *x = unsafe { vector.as_ptr().cast::<T::Vector>().read_unaligned() };
        }
        let square = T::transpose(simd, square);
        let len = len.saturating_sub(L * c);
        for (k, row) in square.as_ref().iter().enumerate() {
            // SAFETY: as in `load`.
            unsafe {
                let at = data.as_mut_ptr().add(k * stride + L * c).cast::<T::Vector>();
                let x = if len < L { T::first(simd, len, *row, at.read_unaligned()) } else { *row };
                at.write_unaligned(x);
            }
        }
    }
    true
}
