//! Vector helpers with a fixed order of summation.
//!
//! Sums run in 32 independent lanes, so that LLVM turns them into vector code on any machine, and
//! the lanes are added as a fixed binary tree: the result depends on the length only. Where two
//! slices differ in length the shorter one counts.

use crate::Real;

const LANES: usize = 32;

/// The sum of the lanes: eight columns, then a binary tree.
#[inline(always)]
fn tree<T: Real>(lanes: &[T; LANES]) -> T {
    let mut eight = [T::ZERO; 8];
    for group in lanes.as_chunks::<8>().0 {
        for (s, x) in eight.iter_mut().zip(group) {
            *s += *x;
        }
    }
    let [a, b, c, d, e, f, g, h] = eight;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

/// Σᵢ xᵢ yᵢ.
///
/// ```
/// assert_eq!(relfisher_core::blas::vector::dot(&[1.0, 2.0], &[3.0, 4.0]), 11.0);
/// ```
#[inline(always)]
pub fn dot<T: Real>(x: &[T], y: &[T]) -> T {
    let n = x.len().min(y.len());
    let (x, y) = (x.get(..n).unwrap_or(&[]), y.get(..n).unwrap_or(&[]));
    let ((xs, xt), (ys, yt)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    let mut acc = [T::ZERO; LANES];
    for (a, b) in xs.iter().zip(ys) {
        for (s, (a, b)) in acc.iter_mut().zip(a.iter().zip(b)) {
            *s += *a * *b;
        }
    }
    let ((xs, xt), (ys, yt)) = (xt.as_chunks::<8>(), yt.as_chunks::<8>());
    for (a, b) in xs.iter().zip(ys) {
        for (s, (a, b)) in acc.iter_mut().zip(a.iter().zip(b)) {
            *s += *a * *b;
        }
    }
    let mut tail = T::ZERO;
    for (a, b) in xt.iter().zip(yt) {
        tail += *a * *b;
    }
    if n < 8 { tail } else { tree(&acc) + tail }
}

/// The elements that [`dot_pairwise`] sums in lanes.
const BLOCK: usize = 1024;

/// Σᵢ xᵢ yᵢ for long vectors: blocks of 1,024 elements by [`dot`], their sums added as a binary
/// tree (pairwise summation; N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, §4.2).
///
/// The rounding error is at most (40 + log₂(n/1024))·ε·Σ|xᵢ yᵢ|, so that a sum over millions of
/// `f32` keeps its digits. The order depends on the length only.
///
/// ```
/// let x = vec![0.1_f32; 1 << 22];
/// let sum = relfisher_core::blas::vector::dot_pairwise(&x, &x);
/// assert!((f64::from(sum) / (0.1_f64 * 0.1 * f64::from(1 << 22)) - 1.0).abs() < 1e-6);
/// ```
#[inline(always)]
pub fn dot_pairwise<T: Real>(x: &[T], y: &[T]) -> T {
    let n = x.len().min(y.len());
    let (x, y) = (x.get(..n).unwrap_or(&[]), y.get(..n).unwrap_or(&[]));
    // levels[k] holds the sum of 2ᵏ blocks where bit k of the count of blocks is set
    let mut levels = [T::ZERO; usize::BITS as usize];
    let mut count = 0_usize;
    // Two iterators of chunks are not zipped: that would divide by the length of a chunk.
    let mut others = y.chunks(BLOCK);
    for x in x.chunks(BLOCK) {
        let Some(y) = others.next() else { break };
        let (mut sum, mut carries) = (dot(x, y), count);
        for level in &mut levels {
            if carries & 1 == 0 {
                *level = sum;
                break;
            }
            sum = *level + sum;
            carries >>= 1;
        }
        count = count.wrapping_add(1);
    }
    let mut total = T::ZERO;
    for level in levels {
        if count & 1 == 1 {
            total = level + total;
        }
        count >>= 1;
    }
    total
}

/// y ← y + α x.
///
/// ```
/// let mut y = [1.0, 1.0];
/// relfisher_core::blas::vector::axpy(&mut y, 2.0, &[1.0, 3.0]);
/// assert_eq!(y, [3.0, 7.0]);
/// ```
#[inline(always)]
pub fn axpy<T: Real>(y: &mut [T], alpha: T, x: &[T]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += alpha * *x;
    }
}

/// x ← α x; α = 0 overwrites without reading.
/// ```
/// let mut x = [1.0, f64::NAN];
/// relfisher_core::blas::vector::scale(&mut x[..1], 2.0);
/// relfisher_core::blas::vector::scale(&mut x[1..], 0.0);
/// assert_eq!(x, [2.0, 0.0]);
/// ```
#[inline(always)]
pub fn scale<T: Real>(x: &mut [T], alpha: T) {
    if alpha == T::ZERO {
        x.fill(T::ZERO);
    } else if alpha != T::ONE {
        for x in x {
            *x *= alpha;
        }
    }
}

/// ‖x‖₂ = √(Σ xᵢ²), without protection against overflow of the squares.
/// ```
/// assert_eq!(relfisher_core::blas::vector::nrm2(&[3.0, 4.0]), 5.0);
/// ```
#[inline(always)]
pub fn nrm2<T: Real>(x: &[T]) -> T {
    dot(x, x).sqrt()
}

/// ‖x‖₂ with the accuracy of [`dot_pairwise`], without overflow or underflow of the squares; NaN
/// or infinite when an element is.
///
/// ```
/// assert_eq!(relfisher_core::blas::vector::norm(&[3e-200_f64, 4e-200]), 5e-200);
/// ```
#[inline(always)]
pub fn norm<T: Real>(x: &[T]) -> T {
    let squared = dot_pairwise(x, x);
    if squared > T::MIN_POSITIVE / (T::EPSILON * T::EPSILON) && squared < T::MAX {
        return squared.sqrt();
    }
    let largest = x.iter().fold(T::ZERO, |m, x| x.abs().max(m));
    if squared.is_finite() && largest == T::ZERO {
        return T::ZERO;
    }
    if !largest.is_finite() || squared.partial_cmp(&squared).is_none() {
        return squared;
    }
    let mut scaled = [T::ZERO; BLOCK];
    let mut total = T::ZERO;
    for block in x.chunks(BLOCK) {
        for (s, x) in scaled.iter_mut().zip(block) {
            *s = *x / largest;
        }
        let part = scaled.get(..block.len()).unwrap_or(&[]);
        total += dot(part, part);
    }
    largest * total.sqrt()
}

/// Whether every element is finite.
/// ```
/// use relfisher_core::blas::vector::all_finite;
/// assert!(all_finite(&[1.0, -2.0]) && !all_finite(&[1.0, f64::INFINITY]));
/// ```
#[inline(always)]
pub fn all_finite<T: Real>(x: &[T]) -> bool {
    // 0·x is 0 for finite x and NaN otherwise, and a NaN stays in its lane
    let (xs, xt) = x.as_chunks::<LANES>();
    let mut acc = [T::ZERO; LANES];
    for a in xs {
        for (s, a) in acc.iter_mut().zip(a) {
            *s += T::ZERO * *a;
        }
    }
    let mut tail = T::ZERO;
    for a in xt {
        tail += T::ZERO * *a;
    }
    tree(&acc) + tail == T::ZERO
}

/// Copies `src` to `dst`, element by element up to the shorter length.
#[inline(always)]
pub(crate) fn copy<T: Real>(dst: &mut [T], src: &[T]) {
    for (d, s) in dst.iter_mut().zip(src) {
        *d = *s;
    }
}
