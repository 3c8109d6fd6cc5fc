//! Rows of a group of matrices into vectors of one element each, and back, by AVX-512.
//!
//! A vector of elements of each of eight matrices is transposed in registers. These are cache lines that are
//! touched once. No more than eight: those of a group often lie at a distance of whole pages,
//! where they compete for the few places of one set of the level 1 cache. A row that ends within a vector
//! is read and written beyond its end, where the elements get what they held.

use std::arch::x86_64::{__m256, __m512, __m512d};

use pulp::bytemuck::{Zeroable, cast};
use pulp::x86::V4;

/// Matrices of which rows are moved at a time.
pub(super) const TOGETHER: usize = 8;

/// Elements of eight matrices.
pub(super) trait Lanes: Copy {
    /// Elements of a row that are moved at a time.
    const WIDTH: usize;
    /// So many elements of a row.
    type Row: Copy;
    /// One element of every matrix.
    type Column: Copy;
    /// [`Lanes::WIDTH`] of them.
    type Columns: Zeroable + AsRef<[Self::Column]> + AsMut<[Self::Column]>;

    /// The columns of eight rows.
    fn columns(simd: V4, rows: [Self::Row; TOGETHER]) -> Self::Columns;

    /// The inverse of [`Lanes::columns`].
    fn rows(simd: V4, columns: Self::Columns) -> [Self::Row; TOGETHER];

    /// The first `len` elements of `new`, the others of `old`.
    fn first(simd: V4, len: usize, new: Self::Row, old: Self::Row) -> Self::Row;
}

/// Squares of four elements transposed in every quarter of four vectors; its own inverse.
#[inline(always)]
fn in_quarters(simd: V4, [a, b, c, d]: [__m512; 4]) -> [__m512d; 4] {
    let avx = simd.avx512f;
    let p: __m512d = cast(avx._mm512_unpacklo_ps(a, b));
    let q: __m512d = cast(avx._mm512_unpackhi_ps(a, b));
    let r: __m512d = cast(avx._mm512_unpacklo_ps(c, d));
    let s: __m512d = cast(avx._mm512_unpackhi_ps(c, d));
    [
        avx._mm512_unpacklo_pd(p, r),
        avx._mm512_unpackhi_pd(p, r),
        avx._mm512_unpacklo_pd(q, s),
        avx._mm512_unpackhi_pd(q, s),
    ]
}

/// Quarters 0 and 1 of a and b in turn, or 2 and 3.
#[inline(always)]
fn in_turn(simd: V4, a: __m512d, b: __m512d) -> [__m512d; 2] {
    let low = cast([0_u64, 1, 8, 9, 2, 3, 10, 11]);
    let high = cast([4_u64, 5, 12, 13, 6, 7, 14, 15]);
    let avx = simd.avx512f;
    [avx._mm512_permutex2var_pd(a, low, b), avx._mm512_permutex2var_pd(a, high, b)]
}

/// The inverse of [`in_turn`].
#[inline(always)]
fn out_of_turn(simd: V4, low: __m512d, high: __m512d) -> [__m512d; 2] {
    let first = cast([0_u64, 1, 4, 5, 8, 9, 12, 13]);
    let second = cast([2_u64, 3, 6, 7, 10, 11, 14, 15]);
    let avx = simd.avx512f;
    [avx._mm512_permutex2var_pd(low, first, high), avx._mm512_permutex2var_pd(low, second, high)]
}

/// Two halves of a vector.
#[inline(always)]
fn halves(simd: V4, x: __m512d) -> [__m256; 2] {
    let avx = simd.avx512f;
    [cast(avx._mm512_castpd512_pd256(x)), cast(avx._mm512_extractf64x4_pd::<1>(x))]
}

/// A vector of two halves.
#[inline(always)]
fn whole(simd: V4, low: __m256, high: __m256) -> __m512d {
    let avx = simd.avx512f;
    avx._mm512_insertf64x4::<1>(avx._mm512_castpd256_pd512(cast(low)), cast(high))
}

impl Lanes for f32 {
    const WIDTH: usize = 16;
    type Row = __m512;
    type Column = __m256;
    type Columns = [__m256; 16];

    #[inline(always)]
    fn columns(simd: V4, [a, b, c, d, e, f, g, h]: [__m512; 8]) -> Self::Columns {
        // quarter q of vector i: column 4q + i
        let [x0, x1, x2, x3] = in_quarters(simd, [a, b, c, d]);
        let [y0, y1, y2, y3] = in_quarters(simd, [e, f, g, h]);
        let [low0, high0] = in_turn(simd, x0, y0);
        let [low1, high1] = in_turn(simd, x1, y1);
        let [low2, high2] = in_turn(simd, x2, y2);
        let [low3, high3] = in_turn(simd, x3, y3);
        let [[c0, c4], [c8, c12]] = [halves(simd, low0), halves(simd, high0)];
        let [[c1, c5], [c9, c13]] = [halves(simd, low1), halves(simd, high1)];
        let [[c2, c6], [c10, c14]] = [halves(simd, low2), halves(simd, high2)];
        let [[c3, c7], [c11, c15]] = [halves(simd, low3), halves(simd, high3)];
        [c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15]
    }

    #[inline(always)]
    fn rows(simd: V4, c: Self::Columns) -> [__m512; 8] {
        let [x0, y0] = out_of_turn(simd, whole(simd, c[0], c[4]), whole(simd, c[8], c[12]));
        let [x1, y1] = out_of_turn(simd, whole(simd, c[1], c[5]), whole(simd, c[9], c[13]));
        let [x2, y2] = out_of_turn(simd, whole(simd, c[2], c[6]), whole(simd, c[10], c[14]));
        let [x3, y3] = out_of_turn(simd, whole(simd, c[3], c[7]), whole(simd, c[11], c[15]));
        let [a, b, c, d] = in_quarters(simd, [cast(x0), cast(x1), cast(x2), cast(x3)]);
        let [e, f, g, h] = in_quarters(simd, [cast(y0), cast(y1), cast(y2), cast(y3)]);
        [cast(a), cast(b), cast(c), cast(d), cast(e), cast(f), cast(g), cast(h)]
    }

    #[inline(always)]
    fn first(simd: V4, len: usize, new: __m512, old: __m512) -> __m512 {
        simd.avx512f._mm512_mask_blend_ps((1 << len) - 1, old, new)
    }
}

/// Quarter i of vector j ← quarter j of vector i.
#[inline(always)]
fn quarters(simd: V4, [a, b, c, d]: [__m512d; 4]) -> [__m512d; 4] {
    let avx = simd.avx512f;
    let (p, q) = (avx._mm512_shuffle_f64x2::<0x44>(a, b), avx._mm512_shuffle_f64x2::<0xEE>(a, b));
    let (r, s) = (avx._mm512_shuffle_f64x2::<0x44>(c, d), avx._mm512_shuffle_f64x2::<0xEE>(c, d));
    [
        avx._mm512_shuffle_f64x2::<0x88>(p, r),
        avx._mm512_shuffle_f64x2::<0xDD>(p, r),
        avx._mm512_shuffle_f64x2::<0x88>(q, s),
        avx._mm512_shuffle_f64x2::<0xDD>(q, s),
    ]
}

impl Lanes for f64 {
    const WIDTH: usize = 8;
    type Row = __m512d;
    type Column = __m512d;
    type Columns = [__m512d; 8];

    #[inline(always)]
    fn columns(simd: V4, x: [__m512d; 8]) -> Self::Columns {
        let avx = simd.avx512f;
        let [a0, a1, a2, a3] = quarters(simd, [x[0], x[2], x[4], x[6]]);
        let [b0, b1, b2, b3] = quarters(simd, [x[1], x[3], x[5], x[7]]);
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
    fn rows(simd: V4, columns: Self::Columns) -> [__m512d; 8] {
        // a transposition is its own inverse
        Self::columns(simd, columns)
    }

    #[inline(always)]
    fn first(simd: V4, len: usize, new: __m512d, old: __m512d) -> __m512d {
        simd.avx512f._mm512_mask_blend_pd((1 << len) - 1, old, new)
    }
}

/// The machine's way, if it has one for rows of `width` elements of eight matrices at distances of
/// `stride` whose last vectors end within `len` elements, and for lanes `part` of L.
#[inline(always)]
fn way<T: Lanes, const L: usize>(
    [width, part]: [usize; 2],
    stride: usize,
    len: usize,
) -> Option<V4> {
    let end = stride.checked_mul(TOGETHER - 1)?;
    let end = end.checked_add(width.checked_next_multiple_of(T::WIDTH)?)?;
    let lanes = part.checked_mul(TOGETHER)?.checked_add(TOGETHER)?;
    // the vectors of one matrix must not hold elements of the next one's
    if lanes <= L && stride >= T::WIDTH && end <= len { V4::try_new() } else { None }
}

/// [`Transpose::load_rows`](relfisher_core::factor::batch::Transpose::load_rows).
#[inline(always)]
pub(super) fn load<T: Lanes, const L: usize>(
    vectors: &mut [[T; L]],
    part: usize,
    data: &[T],
    stride: usize,
) -> bool {
    let Some(simd) = way::<T, L>([vectors.len(), part], stride, data.len()) else { return false };
    for (c, vectors) in vectors.chunks_mut(T::WIDTH).enumerate() {
        let at = |k: usize| {
            // SAFETY: a vector from column WIDTH·c of row k, of which the last ends within `data`.
            unsafe {
                data.as_ptr().add(k * stride + T::WIDTH * c).cast::<T::Row>().read_unaligned()
            }
        };
        let rows = [at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)];
        let columns = T::columns(simd, rows);
        for (vector, x) in vectors.iter_mut().zip(columns.as_ref()) {
            // SAFETY: eight lanes of L, which are as many as those before and these.
            unsafe {
                vector.as_mut_ptr().add(TOGETHER * part).cast::<T::Column>().write_unaligned(*x);
            }
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
    [part, len]: [usize; 2],
) -> bool {
    let Some(simd) = way::<T, L>([vectors.len(), part], stride, data.len()) else { return false };
    for (c, vectors) in vectors.chunks(T::WIDTH).enumerate() {
        let mut columns = T::Columns::zeroed();
        for (x, vector) in columns.as_mut().iter_mut().zip(vectors) {
            // SAFETY: as in `load`.
            *x = unsafe {
                vector.as_ptr().add(TOGETHER * part).cast::<T::Column>().read_unaligned()
            };
        }
        let len = len.saturating_sub(T::WIDTH * c);
        for (k, row) in T::rows(simd, columns).iter().enumerate() {
            // SAFETY: as in `load`.
            unsafe {
                let at = data.as_mut_ptr().add(k * stride + T::WIDTH * c).cast::<T::Row>();
                let whole = len >= T::WIDTH;
                let x = if whole { *row } else { T::first(simd, len, *row, at.read_unaligned()) };
                at.write_unaligned(x);
            }
        }
    }
    true
}
