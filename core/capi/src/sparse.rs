//! Sparse gradient metrics: the largest entries of every sample's gradient, quasi-arithmetic means of
//! their squares, embeddings in that metric.

use relfisher_core::Real;
use relfisher_core::sparse::{self, QuasiMean};

use crate::argument::{Argument, Checked, Element, Region, Slice, SliceMut};
use crate::status::Failure;

/// The sums of a quasi-arithmetic mean over the samples seen so far, one for each entry; all zeros
/// before the first sample. In double precision for gradients of both.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct MeanState {
    /// The sums, relative to the peaks.
    pub sums: SliceMut<f64>,
    /// The largest term of each entry.
    pub peaks: SliceMut<f64>,
    /// The samples that kept the entry.
    pub counts: SliceMut<u32>,
}

impl Argument for MeanState {
    type Lent<'a> = sparse::MeanState<'a>;
    type Regions = [Checked; 3];

    fn regions(&self, what: &'static str) -> Self::Regions {
        [
            Region::new(self.sums.data, self.sums.len, true, what),
            Region::new(self.peaks.data, self.peaks.len, true, what),
            Region::new(self.counts.data, self.counts.len, true, what),
        ]
    }

    unsafe fn lend<'a>(self, what: &'static str) -> Result<Self::Lent<'a>, Failure> {
        // SAFETY: as the caller says.
        let (sums, peaks, counts) =
            unsafe { (self.sums.lend(what)?, self.peaks.lend(what)?, self.counts.lend(what)?) };
        Ok(sparse::MeanState { sums, peaks, counts })
    }
}

/// Sparse vectors, one behind the other: row s is `values[starts[s]] ... values[starts[s + 1] - 1]` at the
/// ascending columns `indices[...]`. That a row's columns ascend is not checked: other orders give other sums.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Sparse<T> {
    /// Where each row begins, and where the last one ends.
    pub starts: Slice<usize>,
    /// The columns.
    pub indices: Slice<u32>,
    /// The values.
    pub values: Slice<T>,
}

/// Sparse vectors that are written, as `rf_sparse`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SparseMut<T> {
    /// Where each row begins, and where the last one ends.
    pub starts: SliceMut<usize>,
    /// The columns.
    pub indices: SliceMut<u32>,
    /// The values.
    pub values: SliceMut<T>,
}

/// Both kinds of sparse vectors as arguments.
macro_rules! sparse_rows {
    ($($name:ident $core:ident $writable:literal;)*) => { $(
        impl<T: Real + Element> Argument for $name<T> {
            type Lent<'a> = sparse::$core<'a, T>;
            type Regions = [Checked; 3];

            fn regions(&self, what: &'static str) -> Self::Regions {
                [
                    Region::new(self.starts.data, self.starts.len, $writable, what),
                    Region::new(self.indices.data, self.indices.len, $writable, what),
                    Region::new(self.values.data, self.values.len, $writable, what),
                ]
            }

            unsafe fn lend<'a>(self, what: &'static str) -> Result<Self::Lent<'a>, Failure> {
                // SAFETY: as the caller says.
                let starts = unsafe { self.starts.lend(what) }?;
                // SAFETY: as the caller says.
                let indices = unsafe { self.indices.lend(what) }?;
                // SAFETY: as the caller says.
                let values = unsafe { self.values.lend(what) }?;
                Ok(sparse::$core { starts, indices, values })
            }
        }
    )* };
}

sparse_rows! {
    Sparse SparseRef false;
    SparseMut SparseMut true;
}

export! {
    /// The places of the largest entries of `values` by magnitude, ascending, and how many: as many as
    /// `indices` has places, fewer where fewer entries are not 0. Of equal magnitudes the first are
    /// taken.
    fn select_largest(indices: IndicesMut, count: CountOut, values: Slice) {
        *count = sparse::select_largest(indices, values)?;
        Ok(())
    }

    /// Adds the entries that one sample keeps, `values[k]` at `indices[k]`, none of them 0, to the power mean
    /// of exponent `power` of their squares: 1 is the diagonal of the empirical Fisher matrix, 0 the
    /// geometric mean, -1 the harmonic one. `state` is read.
    fn quasi_mean_add(state: MeanState, indices: Indices, values: Slice, power: Double) {
        let mut state = state;
        Ok(state.add(QuasiMean::Power(power), indices, values)?)
    }

    /// The embedding of a sample: `psi[k] <- psi[k]/sqrt(g_j + damping)` at the entries j = `indices[k]` that it
    /// keeps; `psi` holds its gradient on entry. `root` is sqrt(g) as `rf_quasi_mean_root_f64` writes it.
    fn embed(psi: SliceMut, indices: Indices, root: Doubles, damping: Double) {
        Ok(sparse::normalise(psi, indices, root, damping)?)
    }

    /// `Out <- Rows^T`. Shapes: rows n*d by n + 1 starts, out d*n by d + 1 starts and at least as many places
    /// as rows has entries.
    fn sparse_transpose(out: SparseMut, rows: Sparse) {
        Ok(sparse::transpose(out, rows)?)
    }

    /// Where the rows of `sum_s u_s u_s^T` begin, and how many entries it has; counting stops at more than
    /// `limit`, and starts are unspecified then. Shapes: rows n*d, columns its transpose, starts d + 1,
    /// marks d.
    fn sparse_outer_pattern(
        starts: CountsMut, entries: CountOut, rows: Sparse, columns: Sparse, limit: Count,
        marks: IndicesMut,
    ) {
        *entries = sparse::outer_pattern(starts, rows, columns, limit, marks)?;
        Ok(())
    }

    /// `Out <- (1/n) sum_s u_s u_s^T` on the joint support, symmetric, both triangles: the arithmetic metric
    /// with what is off its diagonal. Shapes: rows n*d, columns its transpose; the starts of out as
    /// `rf_sparse_outer_pattern` wrote them (read), and exactly as many places as it counted; marks and
    /// places d.
    fn sparse_outer_mean(
        out: SparseMut, rows: Sparse, columns: Sparse, marks: IndicesMut, places: CountsMut,
    ) {
        Ok(sparse::outer_mean(out, rows, columns, marks, places)?)
    }
}

export_double! {
    /// `root_j <- sqrt(g_j)`, g the mean of exponent `power` of the `samples` samples that were added to the
    /// state; 0 where no sample kept the entry. For gradients of both precisions.
    fn quasi_mean_root(root: DoublesMut, state: MeanState, samples: Count, power: Double) {
        Ok(sparse::root_metric(root, &state, QuasiMean::Power(power), samples)?)
    }
}

/// The entries that a layer of d parameters keeps, the smallest number that is at least fraction d;
/// 0 unless 0 < fraction <= 1.
#[unsafe(no_mangle)]
pub extern "C" fn rf_kept_count(fraction: f64, d: usize) -> usize {
    sparse::kept_count(fraction, d).unwrap_or(0)
}
