//! Statistics of the gradients of single samples, and comparisons of spaces and matrices.

use relfisher_core::stats;

use crate::argument::{Element, Matrix, Slice, SliceMut};

/// What the gradients u_1 ... u_n of a mini-batch say about their mean g (McCandlish et al. 2018,
/// appendix A.1).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct GradientNoise<T> {
    /// |g|^2.
    pub mean_square: T,
    /// The mean of the |u_s|^2: the trace of the empirical Fisher matrix.
    pub second_moment: T,
    /// The mean of the |u_s|.
    pub mean_norm: T,
    /// The unbiased estimate of the trace of the covariance of u; not a number for one sample.
    pub variance: T,
    /// The unbiased estimate of the squared length of the true gradient, below 0 where noise is all
    /// there is; not a number for one sample.
    pub signal: T,
    /// The mean cosine between u_s and g.
    pub alignment: T,
    /// variance/signal, in samples: the batch size at which noise and signal are equally large; not a
    /// number where the signal is not positive.
    pub noise_scale: T,
    /// n signal/variance, 0 for a negative signal.
    pub signal_to_noise: T,
}

/// Sums over vectors z for comparing two symmetric matrices A and B by their products with z; all zeros
/// before the first.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Frobenius<T> {
    /// The sum of the |Az|^2.
    pub first: T,
    /// The sum of the |Bz|^2.
    pub second: T,
    /// The sum of the <Az, Bz>.
    pub product: T,
    /// The sum of the |(A - B)z|^2.
    pub difference: T,
}

impl<T: Element> Element for GradientNoise<T> {}
impl<T: Element> Element for Frobenius<T> {}

impl<T> From<Frobenius<T>> for stats::Frobenius<T> {
    fn from(sums: Frobenius<T>) -> Self {
        let Frobenius { first, second, product, difference } = sums;
        Self { first, second, product, difference }
    }
}

export! {
    /// `out_s <- beta out_s + |delta_s|^2 |x_s|^2`: the squared lengths of the gradients `delta_s x_s^T` of a
    /// layer, which add up over the layers. Shapes: delta n*m and x n*d with contiguous rows, out n (read
    /// unless `beta` is 0).
    fn outer_square_norms(out: SliceMut, delta: Matrix, x: Matrix, beta: Scalar) {
        Ok(stats::outer_square_norms(out, beta, delta, x)?)
    }

    /// `squares_s <- beta squares_s + |u_s|^2` and `products_s <- beta products_s + <u_s, g>` for gradients
    /// that are formed. Shapes: rows n*p (u_s, contiguous rows), mean p (g), squares and products n (read
    /// unless `beta` is 0).
    fn row_products(
        squares: SliceMut, products: SliceMut, rows: Matrix, mean: Slice, beta: Scalar,
    ) {
        Ok(stats::row_products((squares, products), beta, rows, mean)?)
    }

    /// The statistics of a mini-batch from |u_s|^2, <u_s, g> (of a layer: `rf_khatri_rao_apply` with V = g)
    /// and |g|^2. Shapes: squares and products n, at least one sample.
    fn batch_statistics(out: NoiseOut, squares: Slice, products: Slice, mean_square: Scalar) {
        let noise = stats::GradientNoise::new(squares, products, mean_square)?;
        *out = GradientNoise {
            mean_square: noise.mean_square,
            second_moment: noise.second_moment,
            mean_norm: noise.mean_norm,
            variance: noise.variance,
            signal: noise.signal,
            alignment: noise.alignment,
            noise_scale: noise.noise_scale(),
            signal_to_noise: noise.signal_to_noise(squares.len()),
        };
        Ok(())
    }

    /// `out <- <a, b>/(|a| |b|)`; 0 where one of them is 0.
    fn cosine(out: Out, a: Slice, b: Slice) {
        *out = stats::cosine(a, b)?;
        Ok(())
    }

    /// `out <- |U g|^2/|g|^2`: the share of a vector in the space of orthonormal rows. Shapes: u k*p with
    /// contiguous rows, g p.
    fn subspace_share(out: Out, u: Matrix, g: Slice) {
        *out = stats::subspace_share(u, g)?;
        Ok(())
    }

    /// `out <- |U V^T|^2/max(k, l)`: the overlap of the spaces of orthonormal rows. Shapes: u k*p, v l*p with
    /// contiguous rows.
    fn subspace_overlap(out: Out, u: Matrix, v: Matrix) {
        *out = stats::subspace_overlap(u, v)?;
        Ok(())
    }

    /// Adds the products of two symmetric matrices with one vector, of independent elements -1 and 1 for an
    /// estimate, to the sums, which are read.
    fn frobenius_add(sums: FrobeniusOut, first: Slice, second: Slice) {
        let mut all = stats::Frobenius::from(*sums);
        all.add(first, second)?;
        let stats::Frobenius { first, second, product, difference } = all;
        *sums = Frobenius { first, second, product, difference };
        Ok(())
    }

    /// `relative_error <- |A - B|/|B|` and `cosine <- <A, B>/(|A| |B|)` in the Frobenius inner product.
    /// `sums` is read and stays.
    fn frobenius_compare(relative_error: Out, cosine: Out, sums: FrobeniusOut) {
        let all = stats::Frobenius::from(*sums);
        (*relative_error, *cosine) = (all.relative_error(), all.cosine());
        Ok(())
    }
}
