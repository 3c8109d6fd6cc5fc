//! To be written.
use crate::{Error, MatMut, MatRef, Real};
const NOT: Error = Error::Parameter { what: "not written yet" };

/// To be written.
pub fn cholesky<T: Real>(_a: MatMut<'_, T>, _damping: T) -> Result<(), Error> {
    Err(NOT)
}
/// To be written.
pub fn cholesky_solve<T: Real>(_b: MatMut<'_, T>, _l: MatRef<'_, T>) -> Result<(), Error> {
    Err(NOT)
}
/// To be written.
pub fn spd_inverse<T: Real>(_a: MatMut<'_, T>, _damping: T, _work: &mut [T]) -> Result<(), Error> {
    Err(NOT)
}
/// To be written.
pub const fn spd_inverse_workspace_len(_d: usize) -> usize {
    0
}
/// To be written.
pub fn eigh<T: Real>(_a: MatMut<'_, T>, _values: &mut [T], _work: &mut [T]) -> Result<(), Error> {
    Err(NOT)
}
/// To be written.
pub const fn eigh_workspace_len(_d: usize) -> usize {
    0
}
/// To be written.
pub fn packed_cholesky<T: Real>(
    _blocks: MatMut<'_, T>,
    _d: usize,
    _damping: T,
) -> Result<(), Error> {
    Err(NOT)
}
/// To be written.
pub fn packed_cholesky_solve<T: Real>(
    _v: MatMut<'_, T>,
    _factors: MatRef<'_, T>,
) -> Result<(), Error> {
    Err(NOT)
}
/// To be written.
pub fn packed_inverse<T: Real>(
    _blocks: MatMut<'_, T>,
    _d: usize,
    _damping: T,
    _work: &mut [T],
) -> Result<(), Error> {
    Err(NOT)
}
/// To be written.
pub const fn packed_inverse_workspace_len(_d: usize) -> usize {
    0
}
/// To be written.
pub fn scaled_gram_solve<T: Real>(
    _z: MatMut<'_, T>,
    _k: MatRef<'_, T>,
    _s: MatRef<'_, T>,
    _damping: T,
    _work: &mut [T],
) -> Result<(), Error> {
    Err(NOT)
}
/// To be written.
pub const fn scaled_gram_solve_workspace_len(_n: usize, _m: usize) -> usize {
    0
}
