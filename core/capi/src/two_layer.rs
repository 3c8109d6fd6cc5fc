//! Metrics of two layers: the exact one of both together, and the lower layer's own block of it.

use relfisher_core::metric::layer::{LayerMetric, ResponseMetric};
use relfisher_core::metric::route::conjugate_gradient::{self, Options};
use relfisher_core::metric::two_layer::TwoLayerMetric;
use relfisher_core::{MatRef, Real};

use crate::argument::{Argument, Checked, Matrix, MatrixMut, Region, Slice, SliceMut};
use crate::metric::{AnyMetric, Metric};
use crate::shared::Shared;
use crate::status::Failure;

/// The metric of two layers, W (m*d) below and C (c*k) above: hidden outputs h = f(W x), outputs
/// u = C h, and the metric R of the response at u. `J_s` is the derivative of u_s in (W, C), and the
/// metric `(1/n) sum_s J_s^T R_s J_s`; for a network of two layers this is its exact Fisher matrix.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TwoLayer<T> {
    /// The augmented inputs [x, 1], n*d with contiguous rows, a sample a row.
    pub x: Matrix<T>,
    /// f'(t) of the hidden neurons, n*m with contiguous rows.
    pub slope: Matrix<T>,
    /// The weights C of the upper layer, c*k with contiguous rows, hidden neurons first.
    pub c: Matrix<T>,
    /// The metric of the upper layer: its inputs are the hidden outputs [h, 1], n*k with k at least m,
    /// its neurons the c outputs.
    pub upper: Metric<T>,
}

impl<T: Real> Argument for TwoLayer<T> {
    type Lent<'a> = TwoLayerMetric<'a, T>;
    type Regions = [Checked; 5];

    fn regions(&self, what: &'static str) -> Self::Regions {
        let of = |m: &Matrix<T>| Region::new(m.data, m.len, false, what);
        let [h, weights] = self.upper.regions(what);
        [of(&self.x), of(&self.slope), of(&self.c), h, weights]
    }

    unsafe fn lend<'a>(self, what: &'static str) -> Result<Self::Lent<'a>, Failure> {
        // SAFETY: as the caller says.
        let views: [MatRef<'a, T>; 4] = unsafe {
            [
                self.x.lend("x of the layers")?,
                self.slope.lend("slope of the layers")?,
                self.c.lend("c of the layers")?,
                self.upper.x.lend("x of the upper metric")?,
            ]
        };
        // SAFETY: as the caller says.
        let response = match unsafe { self.upper.lend(what) }? {
            AnyMetric::Linear(metric) => {
                ResponseMetric::Constant { weight: metric.precision(), outputs: self.upper.outputs }
            }
            AnyMetric::Nonlinear(metric) => ResponseMetric::Independent(metric.nu()),
            AnyMetric::Softmax(metric) => ResponseMetric::Softmax(metric.eta()),
        };
        let [x, slope, c, h] = views;
        Ok(TwoLayerMetric::new(x, slope, h, c, response)?)
    }
}

/// The stopping rule of the conjugate gradients; no products stand for the default number.
fn options<T: Real>(tolerance: T, most: u32) -> Options<T> {
    let default = Options::default();
    let max_iterations = if most == 0 { default.max_iterations } else { most as usize };
    let tolerance = if tolerance == T::ZERO { default.tolerance } else { tolerance };
    Options { tolerance, max_iterations, ..default }
}

export! {
    /// `(Out_W, Out_C) <- M (V_W, V_C)` without forming M. Shapes: out_w and v_w m*d, out_c and v_c c*k,
    /// all with contiguous rows. Work: `rf_two_layer_multiply_workspace_len(n, m, c)`.
    fn two_layer_multiply(
        out_w: MatrixMut, out_c: MatrixMut, metric: TwoLayer, v_w: Matrix, v_c: Matrix,
        work: SliceMut,
    ) {
        Ok(metric.multiply(&Shared, out_w, out_c, v_w, v_c, work)?)
    }

    /// `out <- ` the squared length of the step (V_W, V_C), never negative. Shapes: v_w m*d, v_c c*k with
    /// contiguous rows. Work: `rf_two_layer_multiply_workspace_len(n, m, c)`.
    fn two_layer_quadratic_form(
        out: Out, metric: TwoLayer, v_w: Matrix, v_c: Matrix, work: SliceMut,
    ) {
        *out = metric.quadratic_form(&Shared, v_w, v_c, work)?;
        Ok(())
    }

    /// `Out <- M`, dense, (md + ck)*(md + ck), both triangles: for tests and small networks. Work:
    /// `rf_metric_dense_workspace_len(n, the larger of d and k)`.
    fn two_layer_dense(out: MatrixMut, metric: TwoLayer, work: SliceMut) {
        Ok(metric.dense(&Shared, out, work)?)
    }

    /// `Out <- ` the block (W, C) of M, md*ck. Work: `rf_metric_dense_workspace_len(n, d)`.
    fn two_layer_cross(out: MatrixMut, metric: TwoLayer, work: SliceMut) {
        Ok(metric.cross(&Shared, out, work)?)
    }

    /// `out <- (M + damping I)^-1 g` by conjugate gradients, and how many products with M that took.
    /// Converged when the residual is at most tolerance |g|; a tolerance of 0 stands for 16 times the
    /// machine precision, 0 for `most` products for 1000. Shapes: out and g md + ck elements, W first,
    /// each row-major. Work: `rf_two_layer_solve_workspace_len(n, m, d, c, k)`.
    fn two_layer_solve(
        out: SliceMut, products: CountOut, metric: TwoLayer, g: Slice, damping: Scalar,
        tolerance: Scalar, most: Most, work: SliceMut,
    ) {
        let options = options(tolerance, most);
        *products = metric.solve(&Shared, out, g, damping, options, work)?;
        Ok(())
    }

    /// `Out <- B V`, B the block (W, W) of M: the metric of the lower layer seen from the response.
    /// Shapes: out and v m*d, out with contiguous rows. Work:
    /// `rf_two_layer_lower_workspace_len(n, m, c)`.
    fn two_layer_lower_multiply(out: MatrixMut, metric: TwoLayer, v: Matrix, work: SliceMut) {
        Ok(metric.lower().multiply(&Shared, out, v, work)?)
    }

    /// `out <- vec(V)^T B vec(V)`, B as in `rf_two_layer_lower_multiply`, never negative. Shape: v m*d.
    /// Work: `rf_two_layer_lower_workspace_len(n, m, c)`.
    fn two_layer_lower_quadratic_form(
        out: Out, metric: TwoLayer, v: Matrix, work: SliceMut,
    ) {
        *out = metric.lower().quadratic_form(&Shared, v, work)?;
        Ok(())
    }

    /// `Out <- ` the diagonal of B as an m*d matrix.
    fn two_layer_lower_diagonal(out: MatrixMut, metric: TwoLayer) {
        Ok(metric.lower().diagonal(out)?)
    }

    /// `Out <- B`, dense, md*md, both triangles: for tests and small layers. Work:
    /// `rf_metric_dense_workspace_len(n, d)`.
    fn two_layer_lower_dense(out: MatrixMut, metric: TwoLayer, work: SliceMut) {
        Ok(metric.lower().dense(&Shared, out, work)?)
    }

    /// `Out <- (B + damping I)^-1 G` by conjugate gradients, and how many products with B that took;
    /// tolerance and most as in `rf_two_layer_solve`. Shapes: out and g m*d with contiguous rows. Work:
    /// `rf_two_layer_lower_solve_workspace_len(n, m, d, c)`.
    fn two_layer_lower_solve(
        out: MatrixMut, products: CountOut, metric: TwoLayer, g: Matrix, damping: Scalar,
        tolerance: Scalar, most: Most, work: SliceMut,
    ) {
        let (lower, options) = (metric.lower(), options(tolerance, most));
        *products =
            conjugate_gradient::solve(&Shared, out, &lower, g, damping, options, work)?;
        Ok(())
    }
}

const fn lower_workspace_len(n: usize, m: usize, c: usize) -> usize {
    n.saturating_mul(m.saturating_add(c))
}

const fn lower_solve_workspace_len(n: usize, m: usize, d: usize, c: usize) -> usize {
    conjugate_gradient::workspace_len(m, d, lower_workspace_len(n, m, c))
}

const fn solve_workspace_len(n: usize, m: usize, d: usize, c: usize, k: usize) -> usize {
    let parameters = m.saturating_mul(d).saturating_add(c.saturating_mul(k));
    TwoLayerMetric::<f64>::solve_workspace_len(n, m, c, parameters)
}

lengths! {
    /// The elements of `work` for `rf_two_layer_multiply` and `rf_two_layer_quadratic_form`: n samples,
    /// m hidden neurons, c outputs.
    fn two_layer_multiply_workspace_len(n, m, c) = TwoLayerMetric::<f64>::multiply_workspace_len;
    /// The elements of `work` for `rf_two_layer_solve`: n samples, W m*d, C c*k.
    fn two_layer_solve_workspace_len(n, m, d, c, k) = solve_workspace_len;
    /// The elements of `work` for `rf_two_layer_lower_multiply` and
    /// `rf_two_layer_lower_quadratic_form`: n samples, m hidden neurons, c outputs.
    fn two_layer_lower_workspace_len(n, m, c) = lower_workspace_len;
    /// The elements of `work` for `rf_two_layer_lower_solve`: n samples, W m*d, c outputs.
    fn two_layer_lower_solve_workspace_len(n, m, d, c) = lower_solve_workspace_len;
}
