//! The rows of the ladder about sparse gradients.

use relfisher_accuracy::ladder::{DAMPING, FRACTION, MEANS, Mean};
use relfisher_core::sparse::{QuasiMean, kept_count, select_largest};

use super::ladder::{Climb, SHAPE};
use crate::embedding::{SparseRows, fit_metric, joint_metric, kernel, normalise_rows};
use crate::{Error, Scalar};

impl<T: Scalar> Climb<'_, T> {
    /// `sparse.…`.
    pub(super) fn sparse_gradients(&mut self) -> Result<(), Error> {
        let (n, m, d) = SHAPE;
        let p = m * d;
        let rows = self.kept(p)?;
        if self.wants("sparse.selection") {
            self.put("sparse.selection", &[n, p], dense(&rows, p));
        }
        for (name, mean) in MEANS {
            let names = [format!("sparse.metric.{name}"), format!("sparse.embedding.{name}")];
            let with_kernel = mean == Mean::Arithmetic && self.wants("sparse.kernel");
            if !(names.iter().any(|row| self.wants(row)) || with_kernel) {
                continue;
            }
            let root = fit_metric(p, &rows, quasi(mean))?;
            let mut psi = rows.clone();
            normalise_rows(&mut psi, &root, DAMPING)?;
            if with_kernel {
                let kernel = kernel(self.executor, &psi, p)?;
                self.put("sparse.kernel", &[n, n], kernel);
            }
            let [metric, embedding] = names;
            if self.wants(&metric) {
                self.put(metric, &[p], root.iter().map(|g| T::from_f64(*g)).collect());
            }
            if self.wants(&embedding) {
                self.put(embedding, &[n, p], dense(&psi, p));
            }
        }
        if self.wants("sparse.joint") {
            let joint = joint_metric(&rows, p, 1 << 20)?;
            self.put("sparse.joint", &[p, p], dense(&joint, p));
        }
        Ok(())
    }

    /// What each sample keeps of its gradient.
    fn kept(&self, p: usize) -> Result<SparseRows<T>, Error> {
        let mut rows = SparseRows { starts: vec![0], indices: Vec::new(), values: Vec::new() };
        let mut places = vec![0; kept_count(FRACTION, p)?];
        for row in self.gradients("in.delta")?.chunks_exact(p) {
            let count = select_largest(&mut places, row)?;
            rows.indices.extend(&places[..count]);
            rows.values.extend(places[..count].iter().map(|j| row[*j as usize]));
            rows.starts.push(rows.values.len());
        }
        Ok(rows)
    }
}

/// The core's name of a mean.
fn quasi(mean: Mean) -> QuasiMean {
    match mean {
        Mean::Arithmetic => QuasiMean::Arithmetic,
        Mean::Geometric => QuasiMean::Geometric,
        Mean::Harmonic => QuasiMean::Harmonic,
        Mean::Root => QuasiMean::Power(0.5),
    }
}

/// Sparse rows with their zeros.
fn dense<T: Scalar>(rows: &SparseRows<T>, columns: usize) -> Vec<T> {
    let mut out = vec![T::ZERO; rows.rows() * columns];
    for (i, out) in out.chunks_exact_mut(columns).enumerate() {
        let (indices, values) = rows.row(i);
        indices.iter().zip(values).for_each(|(j, x)| out[*j as usize] = *x);
    }
    out
}
