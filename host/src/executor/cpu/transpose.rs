//! Transpositions of 4×4 squares by vector shuffles, and of whole rows of a group of matrices.
//!
//! The element-wise form of the core costs a load and a store of one element each; here four
//! elements move at once. The instructions of the squares belong to every x86-64 processor, so that no
//! dispatch is needed. With AVX-512 whole vectors of eight matrices are transposed at once, with one check
//! of bounds a row. Other machines take the element-wise form.

use relfisher_core::factor::batch::Transpose;

/// Squares of `f32` and `f64`.
pub struct Shuffles;

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m128, __m128d, _mm_movehl_ps, _mm_movelh_ps, _mm_unpackhi_pd, _mm_unpackhi_ps,
        _mm_unpacklo_pd, _mm_unpacklo_ps,
    };

    use pulp::bytemuck::cast;

    use super::super::rows;
    use super::{Shuffles, Transpose};

    /// The methods that [`rows`] has for both types.
    macro_rules! whole_rows {
        ($t:ty) => {
            const TOGETHER: usize = rows::TOGETHER;

            #[inline(always)]
            fn load_rows<const L: usize>(
                vectors: &mut [[$t; L]],
                part: usize,
                data: &[$t],
                stride: usize,
            ) -> bool {
                rows::load(vectors, part, data, stride)
            }

            #[inline(always)]
            fn store_rows<const L: usize>(
                data: &mut [$t],
                stride: usize,
                vectors: &[[$t; L]],
                part_and_len: [usize; 2],
            ) -> bool {
                rows::store(data, stride, vectors, part_and_len)
            }
        };
    }

    impl Transpose<f32> for Shuffles {
        #[inline(always)]
        fn transpose(rows: [[f32; 4]; 4]) -> [[f32; 4]; 4] {
            let [a, b, c, d]: [__m128; 4] = cast(rows);
            // SAFETY: SSE belongs to every x86-64 processor.
            cast(unsafe {
                let (low, high) = (_mm_unpacklo_ps(a, b), _mm_unpackhi_ps(a, b));
                let (next_low, next_high) = (_mm_unpacklo_ps(c, d), _mm_unpackhi_ps(c, d));
                [
                    _mm_movelh_ps(low, next_low),
                    _mm_movehl_ps(next_low, low),
                    _mm_movelh_ps(high, next_high),
                    _mm_movehl_ps(next_high, high),
                ]
            })
        }

        whole_rows!(f32);
    }

    impl Transpose<f64> for Shuffles {
        #[inline(always)]
        fn transpose(rows: [[f64; 4]; 4]) -> [[f64; 4]; 4] {
            let [[a, p], [b, q], [c, r], [d, s]]: [[__m128d; 2]; 4] = cast(rows);
            // SAFETY: SSE2 belongs to every x86-64 processor.
            cast(unsafe {
                [
                    [_mm_unpacklo_pd(a, b), _mm_unpacklo_pd(c, d)],
                    [_mm_unpackhi_pd(a, b), _mm_unpackhi_pd(c, d)],
                    [_mm_unpacklo_pd(p, q), _mm_unpacklo_pd(r, s)],
                    [_mm_unpackhi_pd(p, q), _mm_unpackhi_pd(r, s)],
                ]
            })
        }

        whole_rows!(f64);
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl<T: Copy> Transpose<T> for Shuffles {
    #[inline(always)]
    fn transpose(rows: [[T; 4]; 4]) -> [[T; 4]; 4] {
        relfisher_core::factor::batch::Elements::transpose(rows)
    }
}
