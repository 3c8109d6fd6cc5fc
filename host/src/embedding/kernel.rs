//! The Hessian kernel K = ΨΨᵀ of embeddings.

use relfisher_core::{MatMut, blas};

use super::SparseRows;
use crate::Scalar;
use crate::error::{Context, Error};
use crate::executor::Executor;

/// The most bytes of a dense tile of embeddings.
const TILE_BYTES: usize = 256 << 20;

/// Parameters of a tile over `rows` rows, of all `parameters`.
fn tile(rows: usize, parameters: usize, bytes: usize) -> usize {
    let fitting = TILE_BYTES / rows.saturating_mul(bytes).max(1);
    fitting.clamp(16, 1 << 16).min(parameters.max(1))
}

/// The bytes of a tile.
pub(super) fn tile_bytes(rows: usize, parameters: usize, bytes: usize) -> usize {
    tile(rows, parameters, bytes).saturating_mul(rows).saturating_mul(bytes)
}

/// `K[s, t] = ψ_sᵀ ψ_t` = u_sᵀ(G + λI)⁻¹u_t, rows × rows: symmetric and positive semi-definite. The
/// embeddings are unpacked a tile of parameters at a time, for the products of dense matrices.
pub(crate) fn kernel<T: Scalar>(
    executor: &dyn Executor<T>,
    rows: &SparseRows<T>,
    parameters: usize,
) -> Result<Vec<T>, Error> {
    let n = rows.rows();
    let width = tile(n, parameters, size_of::<T>());
    let mut dense = vec![T::ZERO; width * n];
    let mut work = vec![T::ZERO; blas::gram_workspace_len(width, n)];
    let mut out = vec![T::ZERO; n * n];
    let mut next = rows.starts[..n].to_vec();
    let mut beta = T::ZERO;
    for first in (0..parameters).step_by(width) {
        dense.fill(T::ZERO);
        for (s, at) in next.iter_mut().enumerate() {
            let end = rows.starts[s + 1];
            while *at < end && (rows.indices[*at] as usize) < first + width {
                dense[(rows.indices[*at] as usize - first) * n + s] = rows.values[*at];
                *at += 1;
            }
        }
        let x = relfisher_core::MatRef::new(&dense, width, n)?;
        let view = MatMut::new(&mut out, n, n)?;
        executor.gram(view, beta, T::ONE, x, None, &mut work).context("kernel")?;
        beta = T::ONE;
    }
    Ok(out)
}
