//! The statistics of the mini-batch on a tape.

use relfisher_core::blas::vector::dot_pairwise;
use relfisher_core::curvature::{khatri_rao_apply, khatri_rao_apply_workspace_len};
use relfisher_core::stats::{GradientNoise, outer_square_norms, row_products};
use relfisher_core::{MatMut, MatRef};

use crate::curvature::{Site, parameter_rows};
use crate::error::{Context, Error};
use crate::executor::Executor;
use crate::network::{BlockKind, Network, Tape};
use crate::scratch::grown;
use crate::{Scalar, vectorised};

/// Buffers of [`batch_noise`], which grow on demand.
#[derive(Clone, Debug, Default)]
pub struct BatchScratch<T> {
    squares: Vec<T>,
    products: Vec<T>,
    rows: Vec<T>,
    work: Vec<T>,
}

/// The statistics of the batch on `tape` after its forward, loss and backward pass, which left
/// `gradient`, the mean gradient of the batch without weight decay.
///
/// Lengths and products are formed in `T` for each sample and layer, everything else in f64. Behind a
/// batch normalisation in training the samples mix: u_s is then what row s contributes to the gradient
/// of the sum of all losses. Cost and memory: the module's text.
///
/// # Errors
/// A gradient or a tape of another network.
pub fn batch_noise<T: Scalar>(
    executor: &dyn Executor<T>,
    (network, tape): (&Network<T>, &Tape<T>),
    gradient: &[T],
    scratch: &mut BatchScratch<T>,
) -> Result<GradientNoise<f64>, Error> {
    network.check_tape(tape)?;
    if gradient.len() != network.parameter_count() {
        let problem = format_args!(
            "{} numbers, but there are {} parameters",
            gradient.len(),
            network.parameter_count()
        );
        let remedy = "give one number for each parameter";
        return Err(Error::input("", "gradient", problem, remedy));
    }
    let n = tape.batch();
    let BatchScratch { squares, products, rows, work } = scratch;
    let (squares, products) = (grown(squares, n), grown(products, n));
    squares.fill(T::ZERO);
    products.fill(T::ZERO);
    for (index, block) in network.blocks().iter().enumerate() {
        let mean = &gradient[block.range()];
        let delta = tape.delta(index);
        if block.kind == BlockKind::Linear && block.positions == 1 {
            let (x, g) = (tape.layer_input(index), MatRef::new(mean, block.rows, block.cols)?);
            outer_square_norms(squares, T::ONE, delta, x).context(&block.name)?;
            let work = grown(work, khatri_rao_apply_workspace_len(n, block.rows));
            khatri_rao_apply(executor, products, T::ONE, delta, x, g, work).context(&block.name)?;
            continue;
        }
        let formed = grown(rows, n * block.len());
        let site = Site { network, tape, block: index };
        let out = MatMut::new(&mut *formed, n, block.len())?;
        parameter_rows(executor, site, delta, out, work)?;
        let formed = MatRef::new(formed, n, block.len())?;
        row_products((&mut *squares, &mut *products), T::ONE, formed, mean).context(&block.name)?;
    }
    let wide = |x: &[T]| x.iter().map(|x| x.to_f64()).collect::<Vec<f64>>();
    let mean_square = vectorised!(dot_pairwise(gradient, gradient)).to_f64();
    Ok(GradientNoise::new(&wide(squares), &wide(products), mean_square)?)
}
