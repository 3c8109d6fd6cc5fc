//! Relative Frobenius errors and cosines of matrices, block by block, from products.

use std::ops::Range;

use relfisher_core::stats::Frobenius;

use super::{MATRICES, PAIRS};
use crate::Scalar;
use crate::curvature::{Matrix, NetworkOperator};
use crate::error::Error;
use crate::random::{self, Rng};

/// A number and the standard error of its estimate (jackknife over the random vectors); 0 where it is
/// exact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// Its standard error.
    pub error: f64,
}

/// How near a matrix A is to a matrix B.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// A.
    pub first: Matrix,
    /// B.
    pub second: Matrix,
    /// The layer whose diagonal block is meant; `None` for the whole matrix.
    pub block: Option<usize>,
    /// ‖A − B‖_F/‖B‖_F.
    pub relative_error: Estimate,
    /// ⟨A, B⟩_F/(‖A‖_F ‖B‖_F).
    pub cosine: Estimate,
}

/// The sums of every pair for one vector.
type Sums = [Frobenius<f64>; PAIRS.len()];

/// Compares the diagonal block of the parameters `part` by `probes` random sign vectors; by all unit
/// vectors, and so exactly, where those are not more.
pub(super) fn compare<T: Scalar>(
    operators: &mut [NetworkOperator<'_, T>; MATRICES.len()],
    (block, part): (Option<usize>, Range<usize>),
    probes: usize,
    rng: &mut Rng,
) -> Result<Vec<Comparison>, Error> {
    let exact = part.len() <= probes;
    let count = if exact { part.len() } else { probes };
    let len = operators[0].len();
    let mut probe = vec![T::ZERO; len];
    let mut products = [(); MATRICES.len()].map(|()| vec![T::ZERO; len]);
    let mut all: Vec<Sums> = Vec::with_capacity(count);
    for i in 0..count {
        let elements = probe[part.clone()].iter_mut().enumerate();
        elements.for_each(|(j, z)| {
            *z = match exact {
                true if i == j => T::ONE,
                true => T::ZERO,
                false if random::below(rng, 2) == 0 => T::ONE,
                false => -T::ONE,
            };
        });
        for (operator, product) in operators.iter_mut().zip(&mut products) {
            operator.apply(product, &probe)?;
        }
        let mut sums = Sums::default();
        for (sums, (a, b)) in sums.iter_mut().zip(PAIRS) {
            let mut one = Frobenius::<T>::default();
            one.add(&products[a][part.clone()], &products[b][part.clone()])?;
            *sums = wide(&one);
        }
        all.push(sums);
    }
    let pairs = PAIRS.iter().enumerate().map(|(pair, &(a, b))| {
        let sums: Vec<Frobenius<f64>> = all.iter().map(|sums| sums[pair]).collect();
        let estimate = |of: fn(&Frobenius<f64>) -> f64| match exact {
            true => Estimate { value: of(&total(&sums)), error: 0.0 },
            false => jackknife(&sums, of),
        };
        Comparison {
            first: MATRICES[a],
            second: MATRICES[b],
            block,
            relative_error: estimate(Frobenius::relative_error),
            cosine: estimate(Frobenius::cosine),
        }
    });
    Ok(pairs.collect())
}

fn wide<T: Scalar>(sums: &Frobenius<T>) -> Frobenius<f64> {
    Frobenius {
        first: sums.first.to_f64(),
        second: sums.second.to_f64(),
        product: sums.product.to_f64(),
        difference: sums.difference.to_f64(),
    }
}

/// a + sign·b.
fn combined(a: Frobenius<f64>, b: &Frobenius<f64>, sign: f64) -> Frobenius<f64> {
    Frobenius {
        first: a.first + sign * b.first,
        second: a.second + sign * b.second,
        product: a.product + sign * b.product,
        difference: a.difference + sign * b.difference,
    }
}

fn total(sums: &[Frobenius<f64>]) -> Frobenius<f64> {
    sums.iter().fold(Frobenius::default(), |all, one| combined(all, one, 1.0))
}

/// A function of the sums, and its standard error from leaving out one vector at a time.
fn jackknife(sums: &[Frobenius<f64>], of: fn(&Frobenius<f64>) -> f64) -> Estimate {
    let all = total(sums);
    let n = sums.len() as f64;
    let without: Vec<f64> = sums.iter().map(|one| of(&combined(all, one, -1.0))).collect();
    let mean = without.iter().sum::<f64>() / n;
    let spread: f64 = without.iter().map(|x| (x - mean).powi(2)).sum();
    let error = if sums.len() > 1 { ((n - 1.0) / n * spread).sqrt() } else { f64::NAN };
    Estimate { value: of(&all), error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jackknife_of_a_mean_is_its_standard_error() {
        // The first sum alone, read as a mean: relative to a second sum of one each.
        let sums = [1.0, 2.0, 4.0, 9.0].map(|first| Frobenius {
            first,
            second: 1.0,
            product: 0.0,
            difference: 0.0,
        });
        let estimate = jackknife(&sums, |s| s.first / s.second);
        let (mean, n) = (4.0, 4.0);
        let variance = sums.iter().map(|s| (s.first - mean).powi(2)).sum::<f64>() / (n - 1.0) / n;
        assert_eq!(estimate.value, mean);
        assert!((estimate.error - variance.sqrt()).abs() < 1e-12, "{estimate:?}");
    }
}
