//! The Kronecker factors of one block: A = E[x̃x̃ᵀ] of its inputs and G = E[δδᵀ] of the derivatives
//! of its outputs.

use relfisher_core::curvature::{Sharing, reduce_mean, reduce_sum};
use relfisher_core::{MatMut, MatRef, blas};

use crate::error::{Context, Error};
use crate::executor::Executor;
use crate::network::{Block, BlockKind, Network, Patches, Tape};
use crate::scratch::grown;
use crate::{Scalar, vectorised};

/// Buffers of [`Site`], which grow on demand.
#[derive(Clone, Debug, Default)]
pub struct FactorScratch<T> {
    rows: Vec<T>,
    patches: Vec<T>,
    work: Vec<T>,
}

/// A block of a network with the values of a batch.
#[derive(Clone, Copy)]
pub struct Site<'a, T: Scalar> {
    /// The network.
    pub network: &'a Network<T>,
    /// The batch after its forward pass.
    pub tape: &'a Tape<T>,
    /// The index of the block.
    pub block: usize,
}

impl<'a, T: Scalar> Site<'a, T> {
    /// The block, of a tape of its network.
    pub(super) fn layer(&self) -> Result<&'a Block, Error> {
        self.network.check_tape(self.tape)?;
        let count = self.network.blocks().len();
        self.network.blocks().get(self.block).ok_or_else(|| {
            let problem = format_args!("{} of {count}", self.block);
            Error::input("", "block", problem, "use the index of a block of the network")
        })
    }

    /// `out ← keep·out + weight·A` (d̃ × d̃), A the factor of the batch: with [`Sharing::Expand`]
    /// (1/(nT)) Σ_s Σ_τ x̃x̃ᵀ; with [`Sharing::Reduce`] x̃ is averaged over the positions first
    /// (R. Grosse, J. Martens, *A Kronecker-factored approximate Fisher matrix for convolution
    /// layers*, ICML 2016; R. Eschenhagen et al., *KFAC for modern neural network architectures*,
    /// NeurIPS 2023). `keep = 0` does not read `out`.
    ///
    /// # Errors
    /// A block that has no such factor, or refusals of the products: the layer's name.
    pub fn input_factor<E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        (out, (keep, weight)): (&mut [T], (T, T)),
        sharing: Sharing,
        scratch: &mut FactorScratch<T>,
    ) -> Result<(), Error> {
        let block = self.layer()?;
        let (n, t, d) = (self.tape.batch(), block.positions, block.cols);
        let out = square(out, d).context(&block.name)?;
        let x = self.tape.layer_input(self.block);
        let mean = |rows: usize| weight / T::from_usize(rows);
        let FactorScratch { rows, patches, work } = scratch;
        let x = match (block.kind, sharing) {
            (BlockKind::Convolution(conv), Sharing::Expand) => {
                let layer = Patches::new(block, conv);
                let shares = (out, keep, mean(n * t));
                // The tape may have room for more samples than the batch has.
                let images = x.data().get(..n * layer.image_len()).unwrap_or(&[]);
                return layer.gram(exec, shares, images, work).context(&block.name);
            }
            (BlockKind::Convolution(conv), Sharing::Reduce) => {
                let layer = Patches::new(block, conv);
                grown(rows, n * d);
                for s in 0..n {
                    layer.mean(&mut rows[s * d..(s + 1) * d], layer.image(x.data(), s), patches)?;
                }
                MatRef::new(rows, n, d)?
            }
            (BlockKind::Linear, Sharing::Reduce) if t > 1 => {
                reduce_mean(MatMut::new(grown(rows, n * d), n, d)?, x)?;
                MatRef::new(rows, n, d)?
            }
            (BlockKind::Linear, _) => x,
            (BlockKind::BatchNorm, _) => return Err(no_factors(&block.name)),
        };
        let work = grown(work, blas::gram_workspace_len(x.rows(), d));
        exec.gram(MatMut::new(out, d, d)?, keep, mean(x.rows()), x, None, work).context(&block.name)
    }

    /// `out ← keep·out + weight·G` (m × m), G = (1/n) Σ_s Σ_c Σ_τ δδᵀ of the derivatives `delta`
    /// (columns·n·T × m) of a batch of n samples; with [`Sharing::Reduce`] δ is summed over the
    /// positions first. `keep = 0` does not read `out`.
    ///
    /// # Errors
    /// Refusals of the products: the layer's name.
    pub fn output_factor<E: Executor<T> + ?Sized>(
        &self,
        exec: &E,
        (out, (keep, weight)): (&mut [T], (T, T)),
        (delta, n): (MatRef<'_, T>, usize),
        sharing: Sharing,
        scratch: &mut FactorScratch<T>,
    ) -> Result<(), Error> {
        let block = self.layer()?;
        let m = block.rows;
        let out = square(out, m).context(&block.name)?;
        let FactorScratch { rows, work, .. } = scratch;
        let delta = if sharing == Sharing::Reduce && block.positions > 1 {
            let count = delta.rows() / block.positions;
            reduce_sum(MatMut::new(grown(rows, count * m), count, m)?, delta)?;
            MatRef::new(rows, count, m)?
        } else {
            delta
        };
        let work = grown(work, blas::gram_workspace_len(delta.rows(), m));
        let out = MatMut::new(out, m, m)?;
        exec.gram(out, keep, weight / T::from_usize(n), delta, None, work).context(&block.name)
    }

    /// The inputs of sample s as T rows of d̃ numbers: patches of a convolution (of one group), rows
    /// of a linear layer.
    ///
    /// # Errors
    /// A batch normalisation.
    pub(super) fn design<'o>(
        &self,
        s: usize,
        group: usize,
        out: &'o mut Vec<T>,
    ) -> Result<MatRef<'o, T>, Error> {
        let block = &self.network.blocks()[self.block];
        let (t, d) = (block.positions, block.cols);
        let x = self.tape.layer_input(self.block);
        let rows = grown(out, t * d);
        match block.kind {
            BlockKind::Linear => {
                for (i, row) in rows.chunks_exact_mut(d).enumerate() {
                    row.copy_from_slice(x.row(s * t + i));
                }
            }
            BlockKind::Convolution(conv) => {
                let layer = Patches::new(block, conv);
                layer.unfold(rows, layer.image(x.data(), s), group)?;
            }
            BlockKind::BatchNorm => return Err(no_factors(&block.name)),
        }
        Ok(MatRef::new(rows, t, d)?)
    }
}

/// The first d² elements.
fn square<T>(out: &mut [T], d: usize) -> Result<&mut [T], Error> {
    let found = out.len();
    out.get_mut(..d * d).ok_or_else(|| {
        let problem = format_args!("{found} elements, but the factor has {d}×{d}");
        Error::input("", "factor", problem, "give room for all of them")
    })
}

fn no_factors(layer: &str) -> Error {
    Error::input(
        "",
        layer,
        "a batch normalisation has no Kronecker factors",
        "ask for its exact block (ggn_block, ef_block)",
    )
}

impl Patches {
    /// The mean over the positions, and the groups, of the patches of one image (d̃).
    fn mean<T: Scalar>(
        &self,
        out: &mut [T],
        image: &[T],
        patches: &mut Vec<T>,
    ) -> Result<(), Error> {
        let (t, d) = (self.positions(), out.len());
        let share = T::ONE / T::from_usize(t * self.groups());
        out.fill(T::ZERO);
        for group in 0..self.groups() {
            let patches = grown(patches, t * d);
            self.unfold(patches, image, group)?;
            vectorised!(for row in patches.chunks_exact(d) {
                out.iter_mut().zip(row).for_each(|(o, x)| *o += share * *x);
            });
        }
        Ok(())
    }
}
