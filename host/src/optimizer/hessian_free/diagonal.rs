//! The diagonal preconditioner.

use relfisher_core::curvature::{exact_diagonal, exact_diagonal_workspace_len};
use relfisher_core::{MatMut, MatRef, Real};

use crate::Scalar;
use crate::curvature::{Site, parameter_rows};
use crate::error::Error;
use crate::optimizer::Batch;
use crate::scratch::grown;

/// diag(F), F the empirical Fisher matrix of the mini-batch.
#[derive(Default)]
pub(super) struct Diagonal<T> {
    /// The diagonal; flat, as the parameters.
    pub(super) values: Vec<T>,
    squares: Vec<T>,
    rows: Vec<T>,
    work: Vec<T>,
}

impl<T: Scalar> Diagonal<T> {
    /// The mean squares of the per-sample gradients, from the deltas of the training's backward pass.
    pub(super) fn measure(&mut self, batch: &Batch<'_, T>) -> Result<(), Error> {
        let Batch { executor, network, tape, .. } = *batch;
        let values = grown(&mut self.values, network.parameter_count());
        let (n, share) = (tape.batch(), T::ONE / T::from_usize(tape.batch()));
        for (index, block) in network.blocks().iter().enumerate() {
            let (m, d, delta) = (block.rows, block.cols, tape.delta(index));
            let out = &mut values[block.range()];
            if block.is_dense() {
                let squares = grown(&mut self.squares, n * m);
                for (s, row) in squares.chunks_exact_mut(m).enumerate() {
                    row.iter_mut().zip(delta.row(s)).for_each(|(q, x)| *q = *x * *x);
                }
                let (squares, x) = (MatRef::new(squares, n, m)?, tape.layer_input(index));
                let work = grown(&mut self.work, exact_diagonal_workspace_len(n, d));
                let out = MatMut::new(out, m, d)?;
                exact_diagonal(executor, out, squares, x, share, work)?;
                continue;
            }
            let site = Site { network, tape, block: index };
            let rows = grown(&mut self.rows, n * m * d);
            let view = MatMut::new(&mut *rows, n, m * d)?;
            parameter_rows(executor, site, delta, view, &mut self.work)?;
            out.fill(T::ZERO);
            for row in rows.chunks_exact(m * d) {
                out.iter_mut().zip(row).for_each(|(o, x)| *o += share * *x * *x);
            }
        }
        Ok(())
    }

    /// `out ← v / (diag(F) + λ)^¾`.
    pub(super) fn solve(&self, v: &[T], out: &mut [T], damping: T) {
        for ((o, v), x) in out.iter_mut().zip(v).zip(&self.values) {
            let root = Real::sqrt(*x + damping);
            *o = *v / (root * Real::sqrt(root));
        }
    }
}
