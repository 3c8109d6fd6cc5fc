//! How far a row of the ladder may be from its reference: the only home of these numbers.
//!
//! Bounds in ulp hold for both dtypes. The reference is rounded to f64 itself, which is half an ulp
//! there. The others are multiples of ε = 2⁻⁵² or 2⁻²³, at least four times the largest error of the
//! sequential backend of the core and of the executor on AVX-512, which sum in different orders.

use crate::comparison::Unit;
use crate::dtype::Dtype;

/// Rows with one bound.
pub(super) struct Entry {
    /// The row, or what stands before its dot.
    rows: &'static [&'static str],
    /// What errors are counted in.
    pub(super) unit: Unit,
    /// The bound: ulps, or multiples of ε.
    factor: f64,
    /// Why so much.
    pub(super) reason: &'static str,
}

impl Entry {
    /// The bound for a dtype.
    pub(super) fn bound(&self, dtype: Dtype) -> f64 {
        match self.unit {
            Unit::Ulp => self.factor,
            Unit::Relative => self.factor * dtype.epsilon(),
        }
    }
}

const fn ulp(rows: &'static [&'static str], factor: f64, reason: &'static str) -> Entry {
    Entry { rows, unit: Unit::Ulp, factor, reason }
}

const fn epsilons(rows: &'static [&'static str], factor: f64, reason: &'static str) -> Entry {
    Entry { rows, unit: Unit::Relative, factor, reason }
}

const TABLE: &[Entry] = &[
    ulp(
        &["nu.linear", "nu.relu", "nu.leaky_relu", "activation.leaky_relu", "slope.leaky_relu"],
        2.0,
        "a product or two",
    ),
    ulp(&["nu"], 6.0, "an exponential, a quotient and squares, each rounded"),
    ulp(&["activation", "slope"], 6.0, "an exponential and a quotient, squared for a slope"),
    ulp(&["softmax"], 6.0, "an exponential and a sum of four terms"),
    epsilons(&["rfim"], 16.0, "ν to a few units, a sum over nine samples"),
    epsilons(&["rfim_solve"], 64.0, "the error of the matrix times a condition number below 10"),
    epsilons(&["output", "kfac", "ef_block", "ekfac"], 16.0, "sums of nine products"),
    epsilons(&["kron.apply"], 16.0, "two products with sums of five terms"),
    epsilons(&["kron.log_determinant"], 32.0, "logarithms of 20 eigenvalues that lie around 1"),
    epsilons(
        &["kron"],
        512.0,
        "factorisations of both factors; condition numbers of 10 each multiply",
    ),
    epsilons(&["factor.cholesky"], 16.0, "sums of eight products, divided by pivots"),
    epsilons(&["factor.eigenvalues", "factor.eigenvectors"], 64.0, "residual of order n·ε, n = 8"),
    ulp(&["sparse.selection"], 0.5, "products that are exact, chosen: nothing is rounded"),
    epsilons(&["sparse"], 16.0, "logarithms, exponentials and sums of nine squares"),
    epsilons(
        &["stats.quadrature", "stats.density"],
        64.0,
        "eight steps of Lanczos; nodes that move by ε‖S‖ beside a deviation of ½",
    ),
    epsilons(
        &["stats"],
        16.0,
        "sums of products; signal and variance are differences of some of them",
    ),
    epsilons(
        &["laplace", "low_rank"],
        64.0,
        "eigenvalues of both factors, times the condition number of their damped product",
    ),
    epsilons(&["step"], 64.0, "a condition number below 20; the sum over 512 workers"),
    epsilons(&["prune.obd"], 16.0, "three products"),
    epsilons(&["prune"], 64.0, "inverses of damped factors; a residual of at most 32 ε"),
    epsilons(&["factor"], 256.0, "residual of order n·ε times a condition number of 20"),
];

/// The entry of a row: the most specific one comes first.
pub(super) fn entry(row: &str) -> Option<&'static Entry> {
    let class = row.split('.').next().unwrap_or(row);
    let named = |name: &str| TABLE.iter().find(|entry| entry.rows.contains(&name));
    named(row).or_else(|| named(class))
}

#[cfg(test)]
mod tests {
    use super::super::Ladder;
    use super::*;

    #[test]
    fn every_row_has_a_bound_and_every_bound_a_row() {
        let ladder = Ladder::new();
        for row in ladder.expected.names() {
            assert!(entry(row).is_some(), "{row}");
        }
        for (i, e) in TABLE.iter().enumerate() {
            assert!(e.reason.len() > 10 && e.factor > 0.0, "{:?}", e.rows);
            for name in e.rows {
                let used = |row: &str| row == *name || row.split('.').next() == Some(name);
                assert!(ladder.expected.names().any(used), "{name} is no row");
                assert!(!TABLE[..i].iter().any(|other| other.rows.contains(name)), "{name} twice");
            }
        }
    }
}
