//! Sums over flat vectors, in pieces of fixed length.

use relfisher_core::optim;

use crate::error::{Context, Error};
use crate::executor::Executor;
use crate::scratch::grown;
use crate::{Scalar, vectorised};

/// Elements of a piece.
const PIECE: usize = 1 << 15;

/// Σ a_i b_i, the pieces in parallel and their sums in order. `partials` is scratch.
pub(super) fn dot<T: Scalar>(
    executor: &dyn Executor<T>,
    a: &[T],
    b: &[T],
    partials: &mut Vec<T>,
) -> Result<T, Error> {
    let partials = grown(partials, a.len().div_ceil(PIECE));
    executor
        .for_each_part(partials, 1, 0, &|i, sum, _| {
            let range = i * PIECE..a.len().min((i + 1) * PIECE);
            let (a, b) = (&a[range.clone()], b.get(range).unwrap_or(&[]));
            sum[0] = vectorised!(optim::inner_product(a, b))?;
            Ok(())
        })
        .context("inner product")?;
    Ok(partials.iter().fold(T::ZERO, |sum, &x| sum + x))
}
