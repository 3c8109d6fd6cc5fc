//! How a damping λ of G ⊗ A is divided between the factors.

use crate::{Error, MatRef, Real};

/// What takes the place of G ⊗ A in a damped inverse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Damping {
    /// (G + λI) ⊗ (A + λI).
    Factored,
    /// (G + √λ/π I) ⊗ (A + π√λ I), the split that keeps the cross terms small (Martens and Grosse 2015,
    /// §6.3):
    /// $$ \pi = \sqrt{\frac{\operatorname{tr} A / \dim A}{\operatorname{tr} G / \dim G}} $$
    /// When a trace is not positive π does not exist and both factors get +λ.
    #[default]
    Pi,
    /// G ⊗ A + λI itself, through the eigenbases: the reference. See
    /// [`KronEigen`](super::KronEigen).
    Exact,
}

/// What is added to the diagonal of each factor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FactorDamping<T> {
    /// Added to G.
    pub g: T,
    /// Added to A.
    pub a: T,
}

/// The damping of each factor. Shapes: g m×m, a d×d. [`Damping::Exact`] adds nothing to the
/// factors: both are 0 and λ goes to [`KronEigen`](super::KronEigen).
///
/// # Errors
/// [`Error::Parameter`] unless λ is finite and not negative; [`Error::NonFinite`] when a diagonal
/// holds NaN or infinity; [`Error::Shape`] unless the factors are square.
///
/// ```
/// use relfisher_core::{MatRef, kron::{self, Damping}};
/// let (g, a) = (MatRef::new(&[1.0_f64], 1, 1)?, MatRef::new(&[4.0], 1, 1)?);
/// let split = kron::split_damping(g, a, 0.25, Damping::Pi)?;
/// assert_eq!((split.g, split.a), (0.25, 1.0));
/// # Ok::<(), relfisher_core::Error>(())
/// ```
pub fn split_damping<T: Real>(
    g: MatRef<'_, T>,
    a: MatRef<'_, T>,
    lambda: T,
    damping: Damping,
) -> Result<FactorDamping<T>, Error> {
    crate::error::check_len("split_damping: g", g.rows(), g.cols())?;
    crate::error::check_len("split_damping: a", a.rows(), a.cols())?;
    if !(lambda >= T::ZERO && lambda.is_finite()) {
        return Err(Error::Parameter { what: "damping must be finite and >= 0" });
    }
    let mean = |x: MatRef<'_, T>, what: &'static str| -> Result<T, Error> {
        let n = T::from_usize(x.rows());
        let mut sum = T::ZERO;
        for i in 0..x.rows() {
            if !x.at(i, i).is_finite() {
                let index = i.wrapping_mul(x.cols()).wrapping_add(i);
                return Err(Error::NonFinite { what, index });
            }
            // divided first: the sum of huge elements may overflow
            sum += x.at(i, i) / n;
        }
        Ok(sum)
    };
    let both = FactorDamping { g: lambda, a: lambda };
    match damping {
        Damping::Factored => Ok(both),
        Damping::Exact => Ok(FactorDamping { g: T::ZERO, a: T::ZERO }),
        Damping::Pi => {
            let (g, a) = (mean(g, "split_damping: g")?, mean(a, "split_damping: a")?);
            let pi = a.sqrt() / g.sqrt();
            let root = lambda.sqrt();
            let split = FactorDamping { g: root / pi, a: pi * root };
            let exists = g > T::ZERO && a > T::ZERO && split.g.is_finite() && split.a.is_finite();
            Ok(if exists { split } else { both })
        }
    }
}
