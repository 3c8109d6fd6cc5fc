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
    sums: DeterminantalSums,
}

/// What a [`DeterminantalAverage`] knows beside its vector; the default is that of an empty one.
///
/// With it, [`DeterminantalAverage::resume`] goes on over the same vector: for callers that cannot keep a
/// borrow from one step to the next, as those in other languages.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DeterminantalSums {
    /// The largest logarithm met; without meaning before the first.
    pub largest: f64,
    /// Σ w with w = det(H_t) relative to the largest; 0 before the first.
    pub total: f64,
    /// Σ w²; 0 before the first.
    pub squares: f64,
}

impl<'a, T: Real> DeterminantalAverage<'a, T> {
    /// An empty average of vectors as long as `sum`, which may hold NaN.
    pub fn new(sum: &'a mut [T]) -> Self {
        Self { sum, sums: DeterminantalSums::default() }
    }

    /// The average that [`DeterminantalAverage::sums`] were taken of, over the same vector with the contents
    /// that it left there; over any contents when nothing was added yet.
    ///
    /// # Errors
    /// [`Error::Parameter`] for sums that no steps give.
    ///
    /// ```
    /// use relfisher_core::optim::{DeterminantalAverage, DeterminantalSums};
    /// let (mut step, mut sums) = ([f64::NAN], DeterminantalSums::default());
    /// for (worker, log_determinant) in [([6.0], 0.0), ([2.0], 3.0_f64.ln())] {
    ///     let mut average = DeterminantalAverage::resume(&mut step, sums)?;
    ///     average.add(&worker, log_determinant)?;
    ///     sums = average.sums();
    /// }
    /// DeterminantalAverage::resume(&mut step, sums)?.finish()?;
    /// assert!((step[0] - 3.0).abs() < 1e-15);
    /// # Ok::<(), relfisher_core::Error>(())
    /// ```
    pub fn resume(sum: &'a mut [T], sums: DeterminantalSums) -> Result<Self, Error> {
        let DeterminantalSums { largest, total, squares } = sums;
        let finite = largest.is_finite() && total.is_finite() && squares.is_finite();
        let empty = total == 0.0 && squares == 0.0;
        // The largest counts 1.
        if finite && (empty || total >= 1.0 && squares >= 1.0) {
            Ok(Self { sum, sums })
        } else {
            Err(Error::Parameter { what: "determinantal average: these are the sums of none" })
        }
    }

    /// What [`DeterminantalAverage::resume`] needs beside the vector.
    #[inline]
    pub const fn sums(&self) -> DeterminantalSums {
        self.sums
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
        let DeterminantalSums { largest, total, squares } = &mut self.sums;
        if *total == 0.0 {
            for (s, x) in self.sum.iter_mut().zip(step) {
                *s = *x;
            }
            (*largest, *total, *squares) = (log_determinant, 1.0, 1.0);
            return Ok(());
        }
        if log_determinant > *largest {
            // The sums become relative to the new determinant.
            let shrink = Real::exp(Real::max(*largest - log_determinant, -1e4));
            let factor = T::from_f64(shrink);
            self.sum.iter_mut().for_each(|s| *s *= factor);
            *total *= shrink;
            *squares *= shrink * shrink;
            *largest = log_determinant;
        }
        let weight = Real::exp(log_determinant - *largest);
        let factor = T::from_f64(weight);
        for (s, x) in self.sum.iter_mut().zip(step) {
            *s += factor * *x;
        }
        *total += weight;
        *squares += weight * weight;
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
        let DeterminantalSums { total, squares, .. } = self.sums;
        if total > 0.0 {
            let share = T::from_f64(1.0 / total);
            self.sum.iter_mut().for_each(|s| *s *= share);
            Ok(total * total / squares)
        } else {
            Err(Error::Parameter { what: "a determinantal average needs at least one step" })
        }
    }
}
