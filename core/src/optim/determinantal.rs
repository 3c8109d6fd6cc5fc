//! Averages of Newton steps over workers, weighted by determinants.

use crate::error::check_len;
use crate::{Error, Real};

/// `Σ_t det(H_t) H_t⁻¹g / Σ_t det(H_t)`: the step of the mean matrix from steps of estimates of it.
///
/// A worker that sees a part of the data has H_t with E\[H_t\] = H, but E\[H_t⁻¹\] ≠ H⁻¹: the plain average
/// of the steps H_t⁻¹g stays wrong however many workers there are. Weighted by the determinants it does
/// not: for H_t = B + Σ_i s_i x_i x_iᵀ with independent random weights s_i (each datum, of rank one,
/// drawn by itself) E\[det H_t\] = det H and E\[det(H_t) H_t⁻¹\] = det(H) H⁻¹ (M. Dereziński, M. Mahoney,
/// *Distributed estimation of the inverse Hessian by determinantal averaging*, NeurIPS 2019). With terms
/// of higher rank, as those of a soft-max, this holds approximately.
///
/// Determinants enter as their logarithms and relative to the largest one met, so that none
/// overflows. The same average over the steps of an iteration is a momentum for Newton steps.
#[derive(Debug)]
pub struct DeterminantalAverage<'a, T> {
    sum: &'a mut [T],
    largest: f64,
    total: f64,
    squares: f64,
}

impl<'a, T: Real> DeterminantalAverage<'a, T> {
    /// An empty average of vectors as long as `sum`, which may hold NaN.
    pub fn new(sum: &'a mut [T]) -> Self {
        sum.fill(T::ZERO);
        Self { sum, largest: f64::NEG_INFINITY, total: 0.0, squares: 0.0 }
    }

    /// Adds a worker's `step` H_t⁻¹g and ln det H_t.
    ///
    /// # Errors
    /// [`Error::Shape`]; [`Error::NonFinite`] for a step or logarithm that is not finite: nothing is
    /// added then.
    pub fn add(&mut self, step: &[T], log_determinant: f64) -> Result<(), Error> {
        check_len("determinantal average: step", self.sum.len(), step.len())?;
        if !log_determinant.is_finite() {
            return Err(Error::NonFinite {
                what: "determinantal average: log_determinant",
                index: 0,
            });
        }
        if let Some(index) = step.iter().position(|x| !x.is_finite()) {
            return Err(Error::NonFinite { what: "determinantal average: step", index });
        }
        if log_determinant > self.largest {
            // The sums become relative to the new determinant; e^−∞ = 0 at first.
            let shrink = Real::exp(Real::max(self.largest - log_determinant, -1e4));
            let factor = T::from_f64(shrink);
            self.sum.iter_mut().for_each(|s| *s *= factor);
            self.total *= shrink;
            self.squares *= shrink * shrink;
            self.largest = log_determinant;
        }
        let weight = Real::exp(log_determinant - self.largest);
        let factor = T::from_f64(weight);
        for (s, x) in self.sum.iter_mut().zip(step) {
            *s += factor * *x;
        }
        self.total += weight;
        self.squares += weight * weight;
        Ok(())
    }

    /// Divides: the average is in the slice given to [`DeterminantalAverage::new`]. Returns the workers
    /// that count, (Σ w)²/Σ w²: all of them when the determinants are equal, 1 when one outweighs the
    /// rest.
    ///
    /// # Errors
    /// [`Error::Parameter`] when nothing was added.
    ///
    /// ```
    /// use relfisher_core::optim::DeterminantalAverage;
    /// // two workers, H = 1 and H = 3, whose mean is 2; gradient 6
    /// let mut step = [f64::NAN];
    /// let mut average = DeterminantalAverage::new(&mut step);
    /// average.add(&[6.0], 0.0)?;
    /// average.add(&[2.0], 3.0_f64.ln())?;
    /// let workers = average.finish()?;
    /// assert!((step[0] - 3.0).abs() < 1e-15 && (workers - 1.6).abs() < 1e-15);
    /// # Ok::<(), relfisher_core::Error>(())
    /// ```
    pub fn finish(self) -> Result<f64, Error> {
        if self.total > 0.0 {
            let share = T::from_f64(1.0 / self.total);
            self.sum.iter_mut().for_each(|s| *s *= share);
            Ok(self.total * self.total / self.squares)
        } else {
            Err(Error::Parameter { what: "a determinantal average needs at least one step" })
        }
    }
}
