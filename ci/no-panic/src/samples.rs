//! Statistics of single samples' gradients, comparisons of spaces and matrices.

use relfisher_core::stats::{
    Frobenius, GradientNoise, cosine, outer_square_norms, row_products, subspace_overlap,
    subspace_share,
};
use relfisher_core::{Error, Real};

use crate::{Opaque, probe};

probe! { sample_gradients sample_spaces }

fn sample_gradients<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let [delta, inputs, rows, ..] = &x.inputs;
    let [squares, products, mean, ..] = &mut x.slices;
    outer_square_norms(squares, x.scalars[0], delta.view()?, inputs.view()?)?;
    row_products((squares, products), x.scalars[0], rows.view()?, mean)?;
    let noise = GradientNoise::new(squares, products, x.scalars[1])?;
    x.result = noise.noise_scale() + noise.signal_to_noise(x.counts[0]) + noise.alignment;
    Ok(())
}

fn sample_spaces<T: Real>(x: &mut Opaque<T>) -> Result<(), Error> {
    let [u, v, ..] = &x.inputs;
    let [a, b, ..] = &x.slices;
    let mut sums = Frobenius {
        first: x.scalars[0],
        second: x.scalars[1],
        product: x.scalars[2],
        difference: x.scalars[3],
    };
    sums.add(a, b)?;
    let spaces = subspace_share(u.view()?, a)? + subspace_overlap(u.view()?, v.view()?)?;
    x.result = spaces + cosine(a, b)? + sums.relative_error() + sums.cosine();
    Ok(())
}
