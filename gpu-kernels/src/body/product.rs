//! Matrix products: an operand, a tile, an epilogue.

use super::epilogue::Plain;
use super::operand::{Columns, Rows};
use super::tile::{Place, product};
use crate::contract::{Extent, Strides, Update};
use crate::device::Device;
use crate::word::Scalar;

/// `C ← α A B + β C` in pieces: A rows × inner, B inner × columns, C rows × columns. With several
/// pieces, piece z goes to the z-th matrix from C on, `rows·stride` values apart, to be summed by
/// [`super::reduce::join`].
#[inline(always)]
pub fn nn<T: Scalar, D: Device, const R: usize>(
    d: D,
    c: D::Array<T>,
    a: D::Array<T>,
    b: D::Array<T>,
    extent: Extent,
    strides: Strides,
    update: Update<T>,
) {
    let ab = (Rows::new(a, strides.a), Columns::new(b, strides.b));
    product::<T, D, _, _, _, R>(
        d,
        ab,
        into(d, c, extent, strides, update),
        place::<D, R>(d, extent),
        extent,
    );
}

/// `C ← α A Bᵀ + β C`: A rows × inner, B columns × inner; else like [`nn`].
#[inline(always)]
pub fn nt<T: Scalar, D: Device, const R: usize>(
    d: D,
    c: D::Array<T>,
    a: D::Array<T>,
    b: D::Array<T>,
    extent: Extent,
    strides: Strides,
    update: Update<T>,
) {
    let ab = (Rows::new(a, strides.a), Rows::new(b, strides.b));
    product::<T, D, _, _, _, R>(
        d,
        ab,
        into(d, c, extent, strides, update),
        place::<D, R>(d, extent),
        extent,
    );
}

/// `C ← α Aᵀ B + β C`: A inner × rows, B inner × columns; else like [`nn`].
#[inline(always)]
pub fn tn<T: Scalar, D: Device, const R: usize>(
    d: D,
    c: D::Array<T>,
    a: D::Array<T>,
    b: D::Array<T>,
    extent: Extent,
    strides: Strides,
    update: Update<T>,
) {
    let ab = (Columns::new(a, strides.a), Columns::new(b, strides.b));
    product::<T, D, _, _, _, R>(
        d,
        ab,
        into(d, c, extent, strides, update),
        place::<D, R>(d, extent),
        extent,
    );
}

#[inline(always)]
fn place<D: Device, const R: usize>(d: D, extent: Extent) -> Place {
    Place::of_grid::<D, R>(d, extent)
}

/// Where the block's piece goes.
#[inline(always)]
fn into<T: Scalar, D: Device>(
    d: D,
    c: D::Array<T>,
    extent: Extent,
    strides: Strides,
    update: Update<T>,
) -> Plain<D, T> {
    let size = u64::from(extent.rows) * u64::from(strides.c);
    Plain { c: d.advance(c, u64::from(d.block()[2]) * size), stride: strides.c, update }
}
