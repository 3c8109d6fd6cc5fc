//! Determinantal averages of Newton steps.

use relfisher_core::optim::{self, DeterminantalAverage};

use crate::argument::{Element, Slice, SliceMut};

/// What a determinantal average knows beside its vector; all zeros before the first step. In double
/// precision for vectors of both.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct DeterminantalSums {
    /// The largest logarithm met.
    pub largest: f64,
    /// The sum of the weights, the determinants relative to the largest.
    pub total: f64,
    /// The sum of their squares.
    pub squares: f64,
}

impl Element for DeterminantalSums {}

impl From<DeterminantalSums> for optim::DeterminantalSums {
    fn from(sums: DeterminantalSums) -> Self {
        let DeterminantalSums { largest, total, squares } = sums;
        Self { largest, total, squares }
    }
}

export! {
    /// Adds a worker's step H_t^-1 g and ln det H_t to `average` and its sums, which are read; `average` may
    /// hold anything before the first step, when the sums are all zeros. After a refusal of the step the
    /// sums, and what was added before, are as they were.
    fn determinantal_add(
        average: SliceMut, sums: DeterminantalSumsOut, step: Slice, log_determinant: Double,
    ) {
        let mut all = DeterminantalAverage::resume(average, (*sums).into())?;
        all.add(step, log_determinant)?;
        let optim::DeterminantalSums { largest, total, squares } = all.sums();
        *sums = DeterminantalSums { largest, total, squares };
        Ok(())
    }

    /// `average <- sum_t det(H_t) H_t^-1 g/sum_t det(H_t)`, unbiased for the step of the mean of the H_t where
    /// the plain average is not (Derezinski and Mahoney 2019), and the workers that count in it, (sum
    /// w)^2/sum w^2 with the determinants w. `average` is read. The sums are all zeros again.
    fn determinantal_finish(
        average: SliceMut, workers: DoubleOut, sums: DeterminantalSumsOut,
    ) {
        *workers = DeterminantalAverage::resume(average, (*sums).into())?.finish()?;
        *sums = DeterminantalSums { largest: 0.0, total: 0.0, squares: 0.0 };
        Ok(())
    }
}
