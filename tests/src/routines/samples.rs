//! Statistics of single samples' gradients, comparisons of spaces and matrices.

use super::{NonFinite, Routine};
use crate::real::mat;
use relfisher_core::stats::{
    Frobenius, GradientNoise, cosine, outer_square_norms, row_products, subspace_overlap,
    subspace_share,
};
use relfisher_core::{Error, Real};

/// The answer, or a refusal where squares left the range of the numbers.
fn finite<T: Real>(x: Vec<T>) -> Result<Vec<T>, Error> {
    match x.iter().position(|x| !x.is_finite()) {
        Some(index) => Err(Error::NonFinite { what: "squares", index }),
        None => Ok(x),
    }
}

/// Values of order 1: squares of the scale would leave the range.
fn unit<T: Real>(x: Vec<T>, scale: f64) -> Vec<T> {
    x.into_iter().map(|x| T::from_f64(x.to_f64() / scale)).collect()
}

pub(super) fn all<T: Real>() -> Vec<Routine<T>> {
    use NonFinite::PassedOn;
    let routine = |name, call| Routine { name, non_finite: PassedOn, call };
    vec![
        routine("outer_square_norms", |p| {
            let [n, m, d, _] = p.shape;
            let (e, r) = (p.dim(n), p.dim(n));
            let (delta, x) = (p.values(n * m), p.values(e * d));
            let (delta, x) = (unit(delta, p.scale), unit(x, p.scale));
            let mut out = p.output(r);
            outer_square_norms(&mut out, T::ZERO, mat(&delta, n, m), mat(&x, e, d))?;
            Ok(out)
        }),
        routine("row_products", |p| {
            let [n, _, d, _] = p.shape;
            let (e, r, s) = (p.dim(d), p.dim(n), p.dim(n));
            let (rows, mean) = (p.values(n * d), p.values(e));
            let (rows, mean) = (unit(rows, p.scale), unit(mean, p.scale));
            let (mut squares, mut products) = (p.output(r), p.output(s));
            row_products((&mut squares, &mut products), T::ZERO, mat(&rows, n, d), &mean)?;
            Ok([squares, products].concat())
        }),
        routine("GradientNoise, Frobenius", |p| {
            let [n, _, d, _] = p.shape;
            let (e, f) = (p.dim(n), p.dim(d));
            let (squares, products) = (p.weights(n), p.weights(e));
            let (a, b) = (p.values(d), p.values(f));
            let (a, b) = (unit(a, p.scale), unit(b, p.scale));
            let mut sums = Frobenius::default();
            sums.add(&a, &b)?;
            let noise = GradientNoise::new(&squares, &products, T::HALF)?;
            let (first, cosine) = (noise.second_moment + noise.alignment, cosine(&a, &b)?);
            finite(vec![first, cosine, sums.first, sums.cosine()])
        }),
        routine("subspace_share, subspace_overlap", |p| {
            let [n, m, d, _] = p.shape;
            let (e, f) = (p.dim(d), p.dim(d));
            let (u, v, g) = (p.weights(n * d), p.weights(m * e), p.values(f));
            let g = unit(g, p.scale);
            let overlap = subspace_overlap(mat(&u, n, d), mat(&v, m, e))?;
            Ok(vec![overlap, subspace_share(mat(&u, n, d), &g)?])
        }),
    ]
}
