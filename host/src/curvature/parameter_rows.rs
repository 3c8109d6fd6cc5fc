//! Per-sample derivatives with respect to the parameters of one block, as rows of a matrix.

use relfisher_core::{MatMut, MatRef};

use super::factors::Site;
use crate::Scalar;
use crate::error::Error;
use crate::executor::Executor;
use crate::network::BlockKind;
use crate::scratch::grown;

/// `out[c·n + s] ← vec(Σ_τ δ_csτ x̃_sτᵀ)`: the derivatives with respect to the parameters of the
/// block (columns·n × m·d̃) from those of its output (columns·n·T × m).
pub(crate) fn parameter_rows<T: Scalar, E: Executor<T> + ?Sized>(
    exec: &E,
    site: Site<'_, T>,
    delta: MatRef<'_, T>,
    mut out: MatMut<'_, T>,
    scratch: &mut Vec<T>,
) -> Result<(), Error> {
    let block = &site.network.blocks()[site.block];
    let (n, t, m, d) = (site.tape.batch(), block.positions, block.rows, block.cols);
    for s in 0..n {
        let rows = (s..out.rows()).step_by(n);
        if block.kind == BlockKind::BatchNorm {
            let hats = site.tape.normalised(site.block);
            for row in rows {
                let pairs = out.row_mut(row);
                pairs.fill(T::ZERO);
                for i in 0..t {
                    let values = delta.row(row * t + i).iter().zip(hats.row(s * t + i));
                    for (pair, (&d, &hat)) in pairs.chunks_exact_mut(2).zip(values) {
                        pair[0] += d * hat;
                        pair[1] += d;
                    }
                }
            }
            continue;
        }
        let groups = block.groups();
        let each = m / groups;
        for group in 0..groups {
            let x = site.design(s, group, scratch)?;
            for row in rows.clone() {
                let delta = delta.sub(row * t, group * each, t, each)?;
                let target = &mut out.row_mut(row)[group * each * d..(group + 1) * each * d];
                if t == 1 {
                    for (out, &g) in target.chunks_exact_mut(d).zip(delta.row(0)) {
                        out.iter_mut().zip(x.row(0)).for_each(|(o, &x)| *o = g * x);
                    }
                } else {
                    let target = MatMut::new(target, each, d)?;
                    exec.gemm(target, T::ZERO, T::ONE, delta.t(), x)?;
                }
            }
        }
    }
    Ok(())
}

/// Appends ‖∂ℓ_s/∂(parameters of the block)‖² of every sample on the tape, after its backward pass.
pub(super) fn square_norms<T: Scalar, E: Executor<T> + ?Sized>(
    exec: &E,
    site: Site<'_, T>,
    norms: &mut Vec<T>,
) -> Result<(), Error> {
    let Site { network, tape, block } = site;
    let square = |row: &[T]| row.iter().fold(T::ZERO, |sum, &x| sum + x * x);
    let layer = &network.blocks()[block];
    let (delta, n) = (tape.delta(block), tape.batch());
    if layer.kind == BlockKind::Linear && layer.positions == 1 {
        let x = tape.layer_input(block);
        norms.extend((0..n).map(|s| square(delta.row(s)) * square(x.row(s))));
        return Ok(());
    }
    let (mut row, mut scratch) = (Vec::new(), Vec::new());
    let rows = grown(&mut row, n * layer.len());
    parameter_rows(exec, site, delta, MatMut::new(rows, n, layer.len())?, &mut scratch)?;
    norms.extend(rows.chunks_exact(layer.len()).map(square));
    Ok(())
}
