//! To be written.
use crate::{Error, MatMut, MatRef, Real};
const NOT: Error = Error::Parameter { what: "not written yet" };

/// To be written.
pub fn gemm<T: Real>(
    _c: MatMut<'_, T>,
    _beta: T,
    _alpha: T,
    _a: MatRef<'_, T>,
    _b: MatRef<'_, T>,
) -> Result<(), Error> {
    Err(NOT)
}
/// To be written.
pub fn gram<T: Real>(
    _c: MatMut<'_, T>,
    _beta: T,
    _alpha: T,
    _x: MatRef<'_, T>,
    _w: Option<&[T]>,
    _work: &mut [T],
) -> Result<(), Error> {
    Err(NOT)
}
/// To be written.
pub const fn gram_workspace_len(_n: usize, _d: usize) -> usize {
    0
}
/// To be written.
pub fn packed_grams<T: Real>(
    _out: MatMut<'_, T>,
    _beta: T,
    _alpha: T,
    _x: MatRef<'_, T>,
    _nu: MatRef<'_, T>,
    _work: &mut [T],
) -> Result<(), Error> {
    Err(NOT)
}
/// To be written.
pub const fn packed_grams_workspace_len(_n: usize, _m: usize, _d: usize) -> usize {
    0
}
/// To be written.
pub fn packed_symv<T: Real>(
    _out: MatMut<'_, T>,
    _blocks: MatRef<'_, T>,
    _v: MatRef<'_, T>,
) -> Result<(), Error> {
    Err(NOT)
}
