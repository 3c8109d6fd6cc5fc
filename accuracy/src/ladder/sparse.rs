//! Sparse gradients, their metrics, embeddings and kernel: a sort, plain means, a dense solve.

use super::inputs::{DAMPING, FRACTION, INPUTS, OUTPUTS, SAMPLES};
use super::metric::{alone, fisher, gradients};
use crate::dense::{damped, product, solve, transpose};
use crate::tensors::Tensors;

/// A quasi-arithmetic mean of the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mean {
    /// Σ h/n over all samples.
    Arithmetic,
    /// The k-th root of the product of the k squares that are not zero.
    Geometric,
    /// k/Σ h⁻¹ over the k squares that are not zero.
    Harmonic,
    /// (Σ √h/n)² over all samples: the power ½.
    Root,
}

/// The means of `sparse.metric.…` and `sparse.embedding.…`, by name.
pub const MEANS: [(&str, Mean); 4] = [
    ("arithmetic", Mean::Arithmetic),
    ("geometric", Mean::Geometric),
    ("harmonic", Mean::Harmonic),
    ("power", Mean::Root),
];

impl Mean {
    /// The mean of the squares of the entries `u` of all samples; 0 where none is kept.
    fn of_squares(self, u: &[f64]) -> f64 {
        let kept: Vec<f64> = u.iter().copied().filter(|u| *u != 0.0).collect();
        let (n, k) = (u.len() as f64, kept.len() as f64);
        if kept.is_empty() {
            return 0.0;
        }
        match self {
            Mean::Arithmetic => u.iter().map(|u| u * u).sum::<f64>() / n,
            Mean::Geometric => kept.iter().product::<f64>().abs().powf(2.0 / k),
            Mean::Harmonic => k / kept.iter().map(|u| 1.0 / (u * u)).sum::<f64>(),
            Mean::Root => (u.iter().map(|u| u.abs()).sum::<f64>() / n).powi(2),
        }
    }
}

/// The ⌈q·D⌉ largest entries by magnitude, of equal ones those that come first; the others are 0.
fn cut(row: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..row.len()).collect();
    // A stable sort: equal ones stay in order.
    order.sort_by(|a, b| row[*b].abs().total_cmp(&row[*a].abs()));
    order.truncate((FRACTION * row.len() as f64).ceil() as usize);
    (0..row.len()).map(|j| if order.contains(&j) { row[j] } else { 0.0 }).collect()
}

/// `sparse.…`.
pub(super) fn expect(inputs: &Tensors, expected: &mut Tensors) {
    let (n, p) = (SAMPLES, OUTPUTS * INPUTS);
    let rows: Vec<Vec<f64>> = gradients(inputs, "in.delta").iter().map(|row| cut(row)).collect();
    let u = rows.concat();
    let mut put = |name: &str, shape: &[usize], data: Vec<f64>| {
        expected.insert(format!("sparse.{name}"), shape, data);
    };
    for (name, mean) in MEANS {
        let column = |j: usize| rows.iter().map(|row| row[j]).collect::<Vec<f64>>();
        let g: Vec<f64> = (0..p).map(|j| mean.of_squares(&column(j))).collect();
        let psi = (0..n * p).map(|k| u[k] / (g[k % p] + DAMPING).sqrt()).collect();
        put(&format!("embedding.{name}"), &[n, p], psi);
        if mean == Mean::Arithmetic {
            let diagonal: Vec<f64> =
                (0..p * p).map(|k| if k / p == k % p { g[k / p] } else { 0.0 }).collect();
            let right = solve(&damped(&diagonal, p, DAMPING), &transpose(&u, n, p), p).0;
            put("kernel", &[n, n], product(&u, &right, n, n));
        }
        put(&format!("metric.{name}"), &[p], g.into_iter().map(f64::sqrt).collect());
    }
    put("joint", &[p, p], fisher(u.chunks_exact(p), alone));
    put("selection", &[n, p], u);
}

#[cfg(test)]
mod tests {
    use super::super::Ladder;
    use super::*;

    #[test]
    fn means_that_are_known_by_hand() {
        let u = [2.0, 0.0, -4.0, 0.0];
        let of = |mean: Mean| mean.of_squares(&u);
        assert_eq!(of(Mean::Arithmetic), 5.0);
        assert!((of(Mean::Geometric) - 8.0).abs() < 1e-14);
        assert!((of(Mean::Harmonic) - 6.4).abs() < 1e-14);
        assert_eq!(of(Mean::Root), 2.25);
        assert_eq!(Mean::Geometric.of_squares(&[0.0; 3]), 0.0);
    }

    #[test]
    fn the_largest_entries_are_kept() {
        let row = [1.0, -3.0, 2.0, 0.5, 2.0, -2.0, 0.0, 0.25];
        assert_eq!(cut(&row), [0.0, -3.0, 2.0, 0.0, 2.0, 0.0, 0.0, 0.0], "three of eight");
    }

    /// The problem has what the definitions distinguish: ties, and entries that only some keep.
    #[test]
    fn samples_keep_different_entries() {
        let ladder = Ladder::new();
        let kept = &ladder.expected.0["sparse.selection"].data;
        let p = OUTPUTS * INPUTS;
        let count = |j: usize| kept.iter().skip(j).step_by(p).filter(|u| **u != 0.0).count();
        let some = (0..p).filter(|j| (1..SAMPLES).contains(&count(*j))).count();
        assert!(some > p / 2, "{some} of {p} entries are kept by some samples only");
    }
}
