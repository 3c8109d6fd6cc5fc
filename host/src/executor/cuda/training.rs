//! What a training step needs around its products: samples by number, labels drawn from the model,
//! what went wrong so far, sums, and scalars that stay on the device.

use std::sync::Arc;

use relfisher_core::Error as CoreError;
use relfisher_kernels::body::{elementwise, reduce, softmax};
use relfisher_kernels::contract::{Classes, Combination, Rows, Update};

use super::elementwise::{chunks, lengths};
use super::memory::Buffer;
use super::product::{names, narrow, plain, shape};
use super::{Error, Gpu, Matrix, MatrixMut, View, ViewMut};
use crate::Scalar;

/// The shape of a matrix that is written and of one that is read.
fn rows(rows: usize, columns: usize, (y, x): (usize, usize)) -> Rows {
    let count = rows as u64 * columns as u64;
    Rows { count, columns: narrow(columns.max(1)), y: narrow(y), x: narrow(x) }
}

impl Gpu {
    /// Row i of `out` ← row `index[i]` of `from`, which the caller knows to exist.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn gather<T: Scalar>(
        &self,
        out: MatrixMut<'_, T>,
        from: Matrix<'_, T>,
        index: View<'_, u32>,
    ) -> Result<(), Error> {
        shape("gather: rows", index.len(), out.rows())?;
        shape("gather: columns", from.cols(), out.cols())?;
        let rows = rows(out.rows(), out.cols(), (out.stride(), from.stride()));
        let launch = self.kernel(plain::<T>(names!("gather")))?;
        let launch = launch.write(&out.values).read(from.values).read(index).value(&rows);
        // SAFETY: shapes were checked; the numbers are the caller's.
        unsafe { launch.over(chunks(out.rows() * out.cols(), elementwise::CHUNK)?) }
    }

    /// `out[i] ← from[index[i]]`, numbers that the caller knows to exist.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn gather_labels(
        &self,
        out: ViewMut<'_, u32>,
        from: View<'_, u32>,
        index: View<'_, u32>,
    ) -> Result<(), Error> {
        lengths("gather_labels", index.len(), &[out.len()])?;
        let launch = self.kernel("gather_u32")?.write(&out).read(from).read(index);
        let launch = launch.value(&Rows::vectors(index.len() as u64));
        // SAFETY: lengths were checked; the numbers are the caller's.
        unsafe { launch.over(chunks(out.len(), elementwise::CHUNK)?) }
    }

    /// `δ_s ← η_s − e_y` for a class y drawn from η_s by the number u_s in 0..1. Shapes: δ, η n·C, u n.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn draw_deltas<T: Scalar>(
        &self,
        delta: ViewMut<'_, T>,
        eta: View<'_, T>,
        uniform: View<'_, f64>,
    ) -> Result<(), Error> {
        let n = uniform.len();
        let classes = eta.len().checked_div(n).unwrap_or(0);
        lengths("draw_deltas", n * classes, &[eta.len(), delta.len()])?;
        let scalars = Classes { samples: narrow(n), classes: narrow(classes), scale: T::ONE };
        let launch = self.kernel(plain::<T>(names!("draw")))?;
        let launch = launch.write(&delta).read(eta).read(uniform).value(&scalars);
        // SAFETY: lengths were checked.
        unsafe { launch.over(chunks(n, elementwise::CHUNK)?) }
    }

    /// `δ_i ← p_i − y_i`, p = sigm z, with y_i = 1 for u_i < p_i. All of one length.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn draw_bernoulli<T: Scalar>(
        &self,
        delta: ViewMut<'_, T>,
        logits: View<'_, T>,
        uniform: View<'_, f64>,
    ) -> Result<(), Error> {
        let count = uniform.len();
        lengths("draw_bernoulli", count, &[logits.len(), delta.len()])?;
        let launch = self.kernel(plain::<T>(names!("draw_bernoulli")))?.write(&delta).read(logits);
        // SAFETY: equal lengths, as counted.
        unsafe {
            let launch = launch.read(uniform).value(&(count as u64));
            launch.over(chunks(count, elementwise::CHUNK)?)
        }
    }

    /// The rows `√η_c (e_c − η)` of every sample, whose outer products sum to diag(η) − ηηᵀ. Shapes: `root`
    /// n·C·C, η n·C.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn softmax_root<T: Scalar>(
        &self,
        root: ViewMut<'_, T>,
        eta: View<'_, T>,
        (n, classes): (usize, usize),
    ) -> Result<(), Error> {
        lengths("softmax_root", n * classes, &[eta.len()])?;
        lengths("softmax_root: root", n * classes * classes, &[root.len()])?;
        let scalars = Classes { samples: narrow(n), classes: narrow(classes), scale: T::ONE };
        let launch = self.kernel(plain::<T>(names!("softmax_root")))?;
        let launch = launch.write(&root).read(eta).value(&scalars);
        // SAFETY: lengths were checked.
        unsafe { launch.over(chunks(n, softmax::ROWS)?) }
    }

    /// `R_s ← diag(η_s) − η_s η_sᵀ` of every sample, packed. Shapes: R n·C(C + 1)/2, η n·C.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn softmax_metric<T: Scalar>(
        &self,
        r: ViewMut<'_, T>,
        eta: View<'_, T>,
        (n, classes): (usize, usize),
    ) -> Result<(), Error> {
        lengths("softmax_metric", n * classes, &[eta.len()])?;
        lengths("softmax_metric: r", n * (classes * (classes + 1) / 2), &[r.len()])?;
        let scalars = Classes { samples: narrow(n), classes: narrow(classes), scale: T::ONE };
        let launch = self.kernel(plain::<T>(names!("softmax_metric")))?;
        let launch = launch.write(&r).read(eta).value(&scalars);
        // SAFETY: lengths were checked.
        unsafe { launch.over(chunks(n, softmax::ROWS)?) }
    }

    /// `factor[0] ← min(1, √(κ/(γ² c)))` with c = `curvature[0]`; `limits` are γ and κ.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn kl_clip<T: Scalar>(
        &self,
        factor: ViewMut<'_, T>,
        curvature: View<'_, T>,
        (learning_rate, bound): (T, T),
    ) -> Result<(), Error> {
        lengths("kl_clip", 1, &[curvature.len(), factor.len()])?;
        let launch = self.kernel(plain::<T>(names!("kl_clip")))?.write(&factor).read(curvature);
        // SAFETY: a value each.
        unsafe { launch.value(&learning_rate).value(&bound).over([1, 1, 1]) }
    }

    /// How λ is split over pairs of factors by the means of their diagonals, that of G before that of A:
    /// √λ/π and π√λ with π² = mean A / mean G.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn split_damping<T: Scalar>(
        &self,
        damping: ViewMut<'_, T>,
        means: View<'_, T>,
        lambda: T,
    ) -> Result<(), Error> {
        lengths("split_damping", means.len(), &[damping.len()])?;
        lengths("split_damping: means", means.len() / 2 * 2, &[means.len()])?;
        let pairs = means.len() / 2;
        let launch = self.kernel(plain::<T>(names!("split_damping")))?.write(&damping).read(means);
        let launch = launch.value(&(pairs as u64)).value(&lambda);
        // SAFETY: two values a pair.
        unsafe { launch.over(chunks(pairs, elementwise::CHUNK)?) }
    }

    /// `Y ← α f X + β Y` with f = `factor[0]`; Y is not read for β = 0.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn axpby_scaled<T: Scalar>(
        &self,
        y: ViewMut<'_, T>,
        (beta, alpha): (T, T),
        x: View<'_, T>,
        factor: View<'_, T>,
    ) -> Result<(), Error> {
        lengths("axpby_scaled", x.len(), &[y.len()])?;
        lengths("axpby_scaled: factor", 1, &[factor.len()])?;
        let rows = Rows::vectors(x.len() as u64);
        let scalars = Combination { rows, update: Update { alpha, beta } };
        let launch = self.kernel(plain::<T>(names!("axpby_scaled")))?.write(&y).read(x);
        // SAFETY: equal lengths, and a factor.
        unsafe {
            let launch = launch.read(factor).value(&scalars);
            launch.over(chunks(x.len(), elementwise::CHUNK)?)
        }
    }

    /// `y ← α x + β y`; y is not read for β = 0.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn axpby<T: Scalar>(
        &self,
        y: ViewMut<'_, T>,
        (beta, alpha): (T, T),
        x: View<'_, T>,
    ) -> Result<(), Error> {
        lengths("axpby", x.len(), &[y.len()])?;
        let rows = Rows::vectors(x.len() as u64);
        let launch = self.kernel(plain::<T>(names!("axpby")))?.write(&y).read(x);
        let launch = launch.value(&Combination { rows, update: Update { alpha, beta } });
        // SAFETY: equal lengths.
        unsafe { launch.over(chunks(x.len(), elementwise::CHUNK)?) }
    }

    /// `Y ← α X + β Y`; Y is not read for β = 0.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn combine<T: Scalar>(
        &self,
        y: MatrixMut<'_, T>,
        (beta, alpha): (T, T),
        x: Matrix<'_, T>,
    ) -> Result<(), Error> {
        shape("combine: rows", x.rows(), y.rows())?;
        shape("combine: columns", x.cols(), y.cols())?;
        let rows = rows(y.rows(), y.cols(), (y.stride(), x.stride()));
        let launch = self.kernel(plain::<T>(names!("axpby")))?.write(&y.values).read(x.values);
        let launch = launch.value(&Combination { rows, update: Update { alpha, beta } });
        // SAFETY: equal shapes, and the rows are those of the matrices.
        unsafe { launch.over(chunks(y.rows() * y.cols(), elementwise::CHUNK)?) }
    }

    /// `Y ← I`.
    ///
    /// # Errors
    /// Failed calls.
    pub fn identity<T: Scalar>(&self, y: MatrixMut<'_, T>) -> Result<(), Error> {
        let rows = rows(y.rows(), y.cols(), (y.stride(), y.stride()));
        let launch = self.kernel(plain::<T>(names!("identity")))?.write(&y.values).value(&rows);
        // SAFETY: the rows are those of the matrix.
        unsafe { launch.over(chunks(y.rows() * y.cols(), elementwise::CHUNK)?) }
    }

    /// Counts in `broken[step]` values that are not finite.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn watch<T: Scalar>(
        &self,
        broken: ViewMut<'_, u32>,
        values: View<'_, T>,
        step: usize,
    ) -> Result<(), Error> {
        if step >= broken.len() {
            let (what, expected) = ("watch: step", broken.len());
            return Err(CoreError::Shape { what, expected, found: step }.into());
        }
        let launch = self.kernel(plain::<T>(names!("watch")))?.write(&broken).read(values);
        let launch = launch.value(&(values.len() as u64)).value(&narrow(step));
        // SAFETY: the step lies in `broken`.
        unsafe { launch.over(chunks(values.len(), elementwise::CHUNK)?) }
    }

    /// `worst[i] ← last[i] + offset` where nothing stands there yet and `last[i]` is not 0.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn keep_flags(
        &self,
        worst: ViewMut<'_, u32>,
        last: View<'_, u32>,
        offset: u32,
    ) -> Result<(), Error> {
        lengths("keep_flags", last.len(), &[worst.len()])?;
        let launch = self.kernel("keep_u32")?.write(&worst).read(last);
        let launch = launch.value(&(last.len() as u64)).value(&offset);
        // SAFETY: equal lengths, as counted.
        unsafe { launch.over(chunks(last.len(), elementwise::CHUNK)?) }
    }

    /// `out[0] ← Σ x[i]·y[i]`, in an order that the length fixes.
    ///
    /// # Errors
    /// Shape; failed calls.
    pub fn dot<T: Scalar>(
        self: &Arc<Self>,
        out: ViewMut<'_, T>,
        x: View<'_, T>,
        y: View<'_, T>,
    ) -> Result<(), Error> {
        let count = x.len();
        lengths("dot", count, &[y.len()])?;
        lengths("dot: out", 1, &[out.len()])?;
        let mut parts = count.div_ceil(reduce::CHUNK as usize).max(1);
        let mut sums = Buffer::<T>::new(self, parts)?;
        let launch = self.kernel(plain::<T>(names!("dot")))?.write(&sums.view_mut());
        let launch = launch.read(x).read(y).value(&(count as u64));
        // SAFETY: equal lengths, and a value for each block.
        unsafe { launch.over(chunks(count.max(1), reduce::CHUNK)?)? };
        while parts > 1 {
            let fewer = parts.div_ceil(reduce::CHUNK as usize);
            let mut next = Buffer::<T>::new(self, fewer)?;
            let launch = self.kernel(plain::<T>(names!("sum")))?.write(&next.view_mut());
            let launch = launch.read(sums.view()).value(&(parts as u64));
            // SAFETY: a value for each block.
            unsafe { launch.over(chunks(parts, reduce::CHUNK)?)? };
            (sums, parts) = (next, fewer);
        }
        out.copy_from(sums.view())
    }
}
