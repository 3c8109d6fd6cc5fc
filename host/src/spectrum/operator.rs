//! A symmetric matrix that is only known by its products.

use crate::Scalar;
use crate::error::Error;

/// A symmetric matrix A of order [`LinearOperator::len`] that can be multiplied by a vector: a
/// Hessian, a Gauss–Newton matrix, a Fisher matrix of a whole network.
pub trait LinearOperator<T: Scalar> {
    /// The order N of A.
    fn len(&self) -> usize;

    /// Whether the order is 0.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `out ← A v`. Both have [`LinearOperator::len`] elements; `out` may hold NaN on entry.
    ///
    /// # Errors
    /// What the operator meets: shapes, numbers that are not finite.
    fn apply(&mut self, out: &mut [T], v: &[T]) -> Result<(), Error>;
}
