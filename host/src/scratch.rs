//! Buffers that grow on demand and keep their length, so that a steady state allocates nothing.

use relfisher_core::Real;

/// The first `len` elements of a buffer; what they hold is unspecified.
pub(crate) fn grown<T: Real>(buffer: &mut Vec<T>, len: usize) -> &mut [T] {
    if buffer.len() < len {
        // Not more than asked for: what a request needs is estimated before it is begun.
        buffer.reserve_exact(len - buffer.len());
        buffer.resize(len, T::ZERO);
    }
    &mut buffer[..len]
}
