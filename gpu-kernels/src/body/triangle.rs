//! Inverses of small triangles, which stand on the diagonal of a large one.

use crate::contract::Triangles;
use crate::device::{Device, Shared};
use crate::word::Scalar;

/// The order of a diagonal block.
pub const ORDER: u32 = 64;
/// Threads of a block: sixteen for each column.
pub const THREADS: u32 = 16 * ORDER;
/// The distance between rows in shared memory: neighbouring rows and columns are on different banks.
const ROW: u32 = ORDER + 1;

/// Bytes of shared memory: L, and the inverse transposed above its diagonal.
pub const fn shared_bytes(bytes: u32) -> u32 {
    ORDER * ROW * bytes
}

/// `W_bb ← L_bb⁻¹` for each diagonal block of order [`ORDER`] (the last may be smaller) of the lower
/// triangle L, with zeros above the diagonal; block b of the grid has block b. Nothing else of W is
/// written, and L is not read above its diagonal.
///
/// Column j of the inverse solves L w = e_j by forward substitution. In step k, w_k is ready, and what it
/// takes from all later rows is taken; all columns do so at once.
#[inline(always)]
pub fn invert<T: Scalar, D: Device>(d: D, w: D::Array<T>, l: D::Array<T>, t: Triangles) {
    let first = d.block()[0] * ORDER;
    let n = if t.order - first < ORDER { t.order - first } else { ORDER };
    let corner = |stride: u32| u64::from(first) * (u64::from(stride) + 1);
    let (w, l) = (d.advance(w, corner(t.w)), d.advance(l, corner(t.l)));
    let square = Shared::<T>::at(0);
    let (j, group) = (d.thread() % ORDER, d.thread() / ORDER);
    let mut i = group;
    while i < n {
        if j <= i {
            d.shared_store(square, i * ROW + j, d.load(l, i * t.l + j));
        }
        i += THREADS / ORDER;
    }
    d.barrier();
    // Element (k, j) of the inverse; what is left of its equation stands at (j, k).
    let solved = |k: u32| {
        let left = if j == k { T::ONE } else { d.shared_load(square, j * ROW + k) };
        left / d.shared_load(square, k * ROW + k)
    };
    let mut k = 0;
    while k < n {
        if j <= k {
            let value = solved(k);
            let mut i = k + 1 + group;
            while i < n {
                let before = if j == k { T::ZERO } else { d.shared_load(square, j * ROW + i) };
                let change = d.shared_load(square, i * ROW + k) * value;
                d.shared_store(square, j * ROW + i, before - change);
                i += THREADS / ORDER;
            }
        }
        d.barrier();
        k += 1;
    }
    let mut i = group;
    while i < n {
        if j < n {
            let value = if j <= i { solved(i) } else { T::ZERO };
            d.store(w, i * t.w + j, value);
        }
        i += THREADS / ORDER;
    }
}
