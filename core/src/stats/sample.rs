//! Statistics of the gradients of single samples: by-products of a backward pass.
//!
//! The mean gradient g of a mini-batch of n samples is the mean of the gradients u_s of its samples.
//! Their squared lengths ‖u_s‖² and products ⟨u_s, g⟩ say how far they agree, and neither needs u_s:
//! of a linear layer u_s = δ_s x̃_sᵀ, so ‖u_s‖² = ‖δ_s‖²·‖x̃_s‖² ([`outer_square_norms`]) and
//! ⟨u_s, g⟩ = δ_sᵀ G x̃_s ([`crate::curvature::khatri_rao_apply`]). Where positions share the weights u_s
//! is a sum, formed row by row and used up ([`row_products`]). Both add up over the layers.
//! [`GradientNoise`] makes the numbers of a mini-batch of them.

use crate::blas::vector::{dot, dot_pairwise, norm};
use crate::error::check_len;
use crate::metric::support::check_rows;
use crate::{Error, MatRef, Real};

/// `out ← β out + ‖δ_s‖²·‖x̃_s‖²` for every sample: ‖δ_s x̃_sᵀ‖² of the gradient of a linear layer.
///
/// Shapes: delta n×m, x n×d̃, contiguous rows, out n. β = 0 does not read `out`.
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`].
///
/// # References
/// I. Goodfellow, *Efficient per-example gradient computations*, 2015.
///
/// ```
/// use relfisher_core::{MatRef, stats};
/// let (delta, x) = ([3.0, 4.0], [1.0, 2.0, 2.0]); // one sample, two outputs, three inputs
/// let mut out = [f64::NAN];
/// let (delta, x) = (MatRef::new(&delta, 1, 2)?, MatRef::new(&x, 1, 3)?);
/// stats::outer_square_norms(&mut out, 0.0, delta, x)?;
/// assert_eq!(out, [25.0 * 9.0]);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn outer_square_norms<T: Real>(
    out: &mut [T],
    beta: T,
    delta: MatRef<'_, T>,
    x: MatRef<'_, T>,
) -> Result<(), Error> {
    check_len("outer_square_norms: out", delta.rows(), out.len())?;
    check_len("outer_square_norms: rows of x", delta.rows(), x.rows())?;
    check_rows("outer_square_norms: delta", delta)?;
    check_rows("outer_square_norms: x", x)?;
    for (s, o) in out.iter_mut().enumerate() {
        let (delta, x) = (delta.row(s), x.row(s));
        let square = dot_pairwise(delta, delta) * dot_pairwise(x, x);
        *o = if beta == T::ZERO { square } else { beta * *o + square };
    }
    Ok(())
}

/// `squares ← β squares + ‖u_s‖²` and `products ← β products + ⟨u_s, g⟩` for gradients that are formed.
///
/// Shapes: rows n×p (u_s, contiguous rows), mean p (g), squares and products n. β = 0 does not read
/// the outputs.
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`].
///
/// ```
/// use relfisher_core::{MatRef, stats};
/// let (rows, mean) = ([3.0, 4.0, 1.0, 0.0], [2.0, 2.0]);
/// let (mut squares, mut products) = ([f64::NAN; 2], [f64::NAN; 2]);
/// let rows = MatRef::new(&rows, 2, 2)?;
/// stats::row_products((&mut squares, &mut products), 0.0, rows, &mean)?;
/// assert_eq!((squares, products), ([25.0, 1.0], [14.0, 2.0]));
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn row_products<T: Real>(
    (squares, products): (&mut [T], &mut [T]),
    beta: T,
    rows: MatRef<'_, T>,
    mean: &[T],
) -> Result<(), Error> {
    check_len("row_products: squares", rows.rows(), squares.len())?;
    check_len("row_products: products", rows.rows(), products.len())?;
    check_len("row_products: mean", rows.cols(), mean.len())?;
    check_rows("row_products: rows", rows)?;
    for (s, (square, product)) in squares.iter_mut().zip(products).enumerate() {
        let row = rows.row(s);
        let (new_square, new_product) = (dot_pairwise(row, row), dot_pairwise(row, mean));
        if beta == T::ZERO {
            (*square, *product) = (new_square, new_product);
        } else {
            (*square, *product) = (beta * *square + new_square, beta * *product + new_product);
        }
    }
    Ok(())
}

/// What the gradients u_1 … u_n of a mini-batch say about their mean g; G and Σ are mean and
/// covariance of the gradient of a sample drawn from the distribution of the data.
///
/// With B = 1 and B = n as the two batch sizes the estimators of |G|² and tr Σ are those of
/// S. McCandlish, J. Kaplan, D. Amodei et al., *An Empirical Model of Large-Batch Training*, 2018,
/// appendix A.1; each is unbiased for independent samples, their quotient is not: average signal and
/// variance over steps before dividing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GradientNoise<T> {
    /// ‖g‖².
    pub mean_square: T,
    /// (1/n) Σ_s ‖u_s‖², the trace of the second moment (of the empirical Fisher matrix).
    pub second_moment: T,
    /// (1/n) Σ_s ‖u_s‖.
    pub mean_norm: T,
    /// The estimate (n/(n − 1))·((1/n) Σ ‖u_s‖² − ‖g‖²) of tr Σ, at least 0; NaN for n = 1.
    pub variance: T,
    /// The estimate ‖g‖² − variance/n of |G|²; below 0 where noise is all there is, NaN for n = 1.
    pub signal: T,
    /// (1/n) Σ_s cos(u_s, g), over the samples whose gradient is not 0; each u_s is part of g, which
    /// alone gives about 1/√n. 0 where g is 0.
    pub alignment: T,
}

impl<T: Real> GradientNoise<T> {
    /// From ‖u_s‖², ⟨u_s, g⟩ and ‖g‖².
    ///
    /// # Errors
    /// [`Error::Shape`] for slices of different lengths, [`Error::Parameter`] without samples.
    ///
    /// ```
    /// use relfisher_core::stats::GradientNoise;
    /// // u_1 = (2, 0), u_2 = (0, 2): g = (1, 1)
    /// let noise = GradientNoise::new(&[4.0, 4.0], &[2.0, 2.0], 2.0)?;
    /// assert_eq!((noise.second_moment, noise.variance, noise.signal), (4.0, 4.0, 0.0));
    /// assert!((noise.alignment - 0.5_f64.sqrt()).abs() < 1e-15);
    /// # Ok::<(), relfisher_core::Error>(())
    /// ```
    pub fn new(squares: &[T], products: &[T], mean_square: T) -> Result<Self, Error> {
        check_len("GradientNoise: products", squares.len(), products.len())?;
        if squares.is_empty() {
            return Err(Error::Parameter { what: "GradientNoise: at least one sample" });
        }
        let n = T::from_usize(squares.len());
        let (mut sum, mut norms, mut cosines) = (T::ZERO, T::ZERO, T::ZERO);
        let mut counted = T::ZERO;
        let length = mean_square.sqrt();
        for (square, product) in squares.iter().zip(products) {
            let norm = square.sqrt();
            sum += *square;
            norms += norm;
            let scale = norm * length;
            if scale > T::ZERO {
                cosines += *product / scale;
                counted += T::ONE;
            } else if scale != T::ZERO {
                cosines = scale; // NaN
                counted = T::ONE;
            }
        }
        let second_moment = sum / n;
        let spread = second_moment - mean_square;
        // `max` would hide a NaN.
        let spread = if spread < T::ZERO { T::ZERO } else { spread };
        let (variance, signal) = if squares.len() > 1 {
            let variance = spread * n / (n - T::ONE);
            (variance, mean_square - variance / n)
        } else {
            (T::NAN, T::NAN)
        };
        let alignment = if counted > T::ZERO { cosines / counted } else { T::ZERO };
        Ok(Self { mean_square, second_moment, mean_norm: norms / n, variance, signal, alignment })
    }

    /// The simple noise scale tr Σ/|G|², in samples: the batch size at which noise and signal of the
    /// mean gradient are equally large (McCandlish et al. 2018, equation 2.9). NaN where the estimate
    /// of |G|² is not positive.
    /// ```
    /// use relfisher_core::stats::GradientNoise;
    /// // u_1 = (2, 0), u_2 = (2, 1): g = (2, ½)
    /// let noise = GradientNoise::new(&[4.0, 5.0], &[4.0, 4.5], 4.25)?;
    /// assert_eq!((noise.variance, noise.signal), (0.5, 4.0));
    /// assert_eq!((noise.noise_scale(), noise.signal_to_noise(2)), (0.125, 16.0));
    /// # Ok::<(), relfisher_core::Error>(())
    /// ```
    pub fn noise_scale(&self) -> T {
        if self.signal > T::ZERO { self.variance / self.signal } else { T::NAN }
    }

    /// The signal-to-noise ratio of the mini-batch's gradient, n |G|²/tr Σ, with 0 for a negative
    /// estimate of |G|²; infinite where all samples agree.
    pub fn signal_to_noise(&self, samples: usize) -> T {
        if self.signal < T::ZERO {
            return T::ZERO;
        }
        T::from_usize(samples) * self.signal / self.variance
    }
}

/// ⟨a, b⟩/(‖a‖ ‖b‖); 0 where one of them is 0, NaN where an element is.
///
/// # Errors
/// [`Error::Shape`] for vectors of different lengths.
///
/// ```
/// let cosine = relfisher_core::stats::cosine(&[1e-200, 0.0], &[1e200_f64, 1e200])?;
/// assert!((cosine - 0.5_f64.sqrt()).abs() < 1e-15);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
#[inline(always)]
pub fn cosine<T: Real>(a: &[T], b: &[T]) -> Result<T, Error> {
    check_len("cosine: b", a.len(), b.len())?;
    let (length_a, length_b) = (norm(a), norm(b));
    if length_a == T::ZERO || length_b == T::ZERO {
        // 0·b is NaN where b is not finite.
        return Ok(length_a * length_b);
    }
    let scale = length_a * length_b;
    let squares = T::MIN_POSITIVE / T::EPSILON;
    if length_a * length_a > squares && length_b * length_b > squares && scale < T::MAX * T::EPSILON
    {
        return Ok(dot_pairwise(a, b) / scale);
    }
    // Products that would leave the range.
    let mut sum = T::ZERO;
    for (a, b) in a.iter().zip(b) {
        sum += (*a / length_a) * (*b / length_b);
    }
    Ok(sum)
}

/// ‖U g‖²/‖g‖²: the share of a vector in the space of orthonormal rows U, between 0 and 1; 0 for
/// g = 0.
///
/// Shapes: u k×p with contiguous rows, g p.
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`].
///
/// # References
/// G. Gur-Ari, D. Roberts, E. Dyer, *Gradient Descent Happens in a Tiny Subspace*, 2018, equation 1.
///
/// ```
/// use relfisher_core::{MatRef, stats};
/// let u = MatRef::new(&[1.0, 0.0, 0.0], 1, 3)?;
/// assert_eq!(stats::subspace_share(u, &[3.0, 4.0, 0.0])?, 9.0 / 25.0);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn subspace_share<T: Real>(u: MatRef<'_, T>, g: &[T]) -> Result<T, Error> {
    check_len("subspace_share: g", u.cols(), g.len())?;
    check_rows("subspace_share: u", u)?;
    let length = norm(g);
    if length == T::ZERO {
        return Ok(T::ZERO);
    }
    let mut sum = T::ZERO;
    for i in 0..u.rows() {
        let cosine = dot_pairwise(u.row(i), g) / length;
        sum += cosine * cosine;
    }
    Ok(sum)
}

/// ‖U Vᵀ‖²_F / max(k, l): the overlap of the spaces of orthonormal rows U and V. 1 for the same
/// space, 0 for orthogonal ones, k/p expected of random spaces of dimension k in p dimensions.
///
/// Shapes: u k×p, v l×p with contiguous rows; 0 where both are empty.
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`].
///
/// # References
/// Gur-Ari et al. 2018, equation 4 (k = l there).
///
/// ```
/// use relfisher_core::{MatRef, stats};
/// let u = MatRef::new(&[1.0, 0.0, 0.0, 0.0, 1.0, 0.0], 2, 3)?;
/// let v = MatRef::new(&[0.0, 1.0, 0.0, 0.0, 0.0, 1.0], 2, 3)?;
/// assert_eq!(stats::subspace_overlap(u, v)?, 0.5);
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn subspace_overlap<T: Real>(u: MatRef<'_, T>, v: MatRef<'_, T>) -> Result<T, Error> {
    check_len("subspace_overlap: columns of v", u.cols(), v.cols())?;
    check_rows("subspace_overlap: u", u)?;
    check_rows("subspace_overlap: v", v)?;
    let larger = u.rows().max(v.rows());
    if larger == 0 {
        return Ok(T::ZERO);
    }
    let mut sum = T::ZERO;
    for i in 0..u.rows() {
        for j in 0..v.rows() {
            let product = dot_pairwise(u.row(i), v.row(j));
            sum += product * product;
        }
    }
    Ok(sum / T::from_usize(larger))
}

/// Relative error and cosine of two symmetric matrices A and B in the Frobenius inner product, from
/// their products with random vectors z of independent elements ±1: ⟨A, B⟩_F = E⟨Az, Bz⟩.
///
/// Squared lengths and products are summed over the vectors; unit vectors e_1 … e_p in place of random
/// ones give the exact values.
///
/// # References
/// M. Hutchinson, *A stochastic estimator of the trace of the influence matrix*, 1989, for tr(AB).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frobenius<T> {
    /// Σ ‖Az‖².
    pub first: T,
    /// Σ ‖Bz‖².
    pub second: T,
    /// Σ ⟨Az, Bz⟩.
    pub product: T,
    /// Σ ‖(A − B)z‖², summed as such: no cancellation.
    pub difference: T,
}

impl<T: Real> Default for Frobenius<T> {
    /// No vector yet.
    fn default() -> Self {
        let zero = T::ZERO;
        Self { first: zero, second: zero, product: zero, difference: zero }
    }
}

impl<T: Real> Frobenius<T> {
    /// Adds one vector, by its products with A and B.
    ///
    /// # Errors
    /// [`Error::Shape`] for vectors of different lengths.
    ///
    /// ```
    /// use relfisher_core::stats::Frobenius;
    /// let mut sums = Frobenius::<f64>::default();
    /// sums.add(&[3.0, 0.0], &[0.0, 4.0])?;
    /// assert_eq!((sums.relative_error(), sums.cosine()), (1.25, 0.0));
    /// # Ok::<(), relfisher_core::Error>(())
    /// ```
    pub fn add(&mut self, first: &[T], second: &[T]) -> Result<(), Error> {
        check_len("Frobenius: second", first.len(), second.len())?;
        self.first += dot_pairwise(first, first);
        self.second += dot_pairwise(second, second);
        self.product += dot_pairwise(first, second);
        let mut difference = T::ZERO;
        let mut lane = [T::ZERO; 64];
        // Two iterators of chunks are not zipped: that would divide by the length of a chunk.
        let mut others = second.chunks(lane.len());
        for a in first.chunks(lane.len()) {
            let Some(b) = others.next() else { break };
            for (l, (a, b)) in lane.iter_mut().zip(a.iter().zip(b)) {
                *l = *a - *b;
            }
            let part = lane.get(..a.len()).unwrap_or(&[]);
            difference += dot(part, part);
        }
        self.difference += difference;
        Ok(())
    }

    /// ‖A − B‖_F/‖B‖_F; 0 where both are 0, infinite where B alone is.
    pub fn relative_error(&self) -> T {
        if self.difference == T::ZERO {
            return T::ZERO;
        }
        (self.difference / self.second).sqrt()
    }

    /// ⟨A, B⟩_F/(‖A‖_F ‖B‖_F); 0 where one of them is 0.
    pub fn cosine(&self) -> T {
        let scale = self.first.sqrt() * self.second.sqrt();
        if scale == T::ZERO { T::ZERO } else { self.product / scale }
    }
}
