//! Metrics of layers: products, forms and damped solves that never form the matrix unless asked.

use relfisher_core::metric::cost;
use relfisher_core::metric::layer::{
    self, LayerMetric, LinearMetric, NonlinearMetric, SoftmaxMetric, SolveOptions, fold_scale,
};
use relfisher_core::metric::normalisation;
use relfisher_core::{MatRef, Real, blas};

use crate::argument::{Argument, Checked, Matrix, MatrixMut, Region, Slice, SliceMut};
use crate::shared::Shared;
use crate::status::Failure;

choice! {
    /// The structure of a layer's metric.
    enum MetricKind: "metric must be an rf_metric_kind" {
        /// Linear neurons: `sigma^-2 I (x) (1/n) X^T X`.
        Linear = 0,
        /// Independent neurons: block i is `(1/n) sum_s nu_si x_s x_s^T`.
        Nonlinear = 1,
        /// Soft-max: `(1/n) sum_s (diag(eta_s) - eta_s eta_s^T) (x) x_s x_s^T`.
        Softmax = 2,
    }
}

choice! {
    /// The way to a damped step.
    enum Route: "route must be an rf_route" {
        /// The cheapest exact one.
        Auto = 0,
        /// Cholesky factors of the blocks (soft-max: of the dense matrix).
        Block = 1,
        /// Woodbury in the space of the samples.
        Sample = 2,
        /// Matrix-free conjugate gradients.
        ConjugateGradient = 3,
        /// The Kronecker approximation.
        Kronecker = 4,
    }
}

impl Route {
    const fn forced(self) -> Option<cost::Route> {
        match self {
            Self::Auto => None,
            Self::Block => Some(cost::Route::Block),
            Self::Sample => Some(cost::Route::Sample),
            Self::ConjugateGradient => Some(cost::Route::ConjugateGradient),
            Self::Kronecker => Some(cost::Route::Kronecker),
        }
    }
}

/// The metric of a layer: borrowed inputs and what the response metric is made of.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Metric<T> {
    /// An `rf_metric_kind`.
    pub kind: u32,
    /// The augmented inputs [x, 1], n*d with contiguous rows, a sample a row.
    pub x: Matrix<T>,
    /// nu of `rf_response_nu` or the probabilities eta, n*m with contiguous rows; ignored for linear
    /// neurons.
    pub weights: Matrix<T>,
    /// The number of linear neurons; ignored for the others, whose weights say it.
    pub outputs: usize,
    /// The standard deviation of linear neurons; ignored for the others.
    pub sigma: T,
}

/// A metric of the core.
#[derive(Clone, Copy, Debug)]
pub enum AnyMetric<'a, T> {
    /// Linear neurons.
    Linear(LinearMetric<'a, T>),
    /// Independent neurons.
    Nonlinear(NonlinearMetric<'a, T>),
    /// Soft-max.
    Softmax(SoftmaxMetric<'a, T>),
}

impl<T: Real> Argument for Metric<T> {
    type Lent<'a> = AnyMetric<'a, T>;
    type Regions = [Checked; 2];

    fn regions(&self, what: &'static str) -> Self::Regions {
        let weights = match MetricKind::read(self.kind) {
            // Not looked at.
            Ok(MetricKind::Linear) => Region::new(self.weights.data, 0, false, what),
            Ok(_) => Region::new(self.weights.data, self.weights.len, false, what),
            Err(failure) => Err(failure),
        };
        [Region::new(self.x.data, self.x.len, false, what), weights]
    }

    unsafe fn lend<'a>(self, _: &'static str) -> Result<Self::Lent<'a>, Failure> {
        // SAFETY: as the caller says.
        let x: MatRef<'a, T> = unsafe { self.x.lend("x of the metric") }?;
        let kind = MetricKind::read(self.kind)?;
        if let MetricKind::Linear = kind {
            return Ok(AnyMetric::Linear(LinearMetric::new(x, self.outputs, self.sigma)?));
        }
        // SAFETY: as the caller says; the region of the weights was checked for these kinds.
        let weights: MatRef<'a, T> = unsafe { self.weights.lend("weights of the metric") }?;
        Ok(if let MetricKind::Softmax = kind {
            AnyMetric::Softmax(SoftmaxMetric::new(x, weights)?)
        } else {
            AnyMetric::Nonlinear(NonlinearMetric::new(x, weights)?)
        })
    }
}

/// Evaluates `$body` with `$metric` bound to the metric of its kind.
macro_rules! with_metric {
    ($any:expr, $metric:ident => $body:expr) => {
        match $any {
            AnyMetric::Linear($metric) => $body,
            AnyMetric::Nonlinear($metric) => $body,
            AnyMetric::Softmax($metric) => $body,
        }
    };
}

export! {
    /// `Out <- M V`, the product of the metric with parameters, in two products. Shapes: out and v m*d,
    /// out with contiguous rows. Work: `rf_metric_multiply_workspace_len(n, m)`.
    fn metric_multiply(out: MatrixMut, metric: Metric, v: Matrix, work: SliceMut) {
        Ok(with_metric!(metric, metric => metric.multiply(&Shared, out, v, work))?)
    }

    /// `out <- vec(V)^T M vec(V)`, the squared length of a step, never negative. Shape: v m*d. Work:
    /// `rf_metric_multiply_workspace_len(n, m)`.
    fn metric_quadratic_form(out: Out, metric: Metric, v: Matrix, work: SliceMut) {
        *out = with_metric!(metric, metric => metric.quadratic_form(&Shared, v, work))?;
        Ok(())
    }

    /// `Out <- ` the diagonal of the metric as an m*d matrix.
    fn metric_diagonal(out: MatrixMut, metric: Metric) {
        Ok(with_metric!(metric, metric => metric.diagonal(out))?)
    }

    /// `Out <- M`, dense, md*md, both triangles: for tests and small layers. Work:
    /// `rf_metric_dense_workspace_len(n, d)`.
    fn metric_dense(out: MatrixMut, metric: Metric, work: SliceMut) {
        Ok(with_metric!(metric, metric => metric.dense(&Shared, out, work))?)
    }

    /// All blocks of independent neurons, packed lower triangles:
    /// `out[i] <- keep out[i] + (1 - keep) M_i`. Shape: out m*d(d+1)/2 with contiguous rows, read
    /// unless `keep` is 0. Work: `rf_metric_packed_workspace_len(n, m, d)`.
    fn metric_packed(out: MatrixMut, metric: Metric, keep: Scalar, work: SliceMut) {
        match metric {
            AnyMetric::Nonlinear(metric) => Ok(metric.packed(&Shared, out, keep, work)?),
            _ => Err(Failure::choice("metric_packed needs a metric of independent neurons")),
        }
    }

    /// `Out <- (M + damping I)^-1 G`, the natural gradient, by an `rf_route` (linear neurons have one
    /// way only and ignore it). Shapes: out and g m*d with contiguous rows. Work:
    /// `rf_metric_solve_workspace_len(kind, n, m, d, route, damped)`.
    fn metric_solve(
        out: MatrixMut, metric: Metric, g: Matrix, damping: Scalar, route: Code, work: SliceMut,
    ) {
        let route = Route::read(route)?.forced();
        let options = SolveOptions { route, ..SolveOptions::default() };
        Ok(match metric {
            AnyMetric::Linear(metric) => metric.solve(&Shared, out, g, damping, work),
            AnyMetric::Nonlinear(metric) => {
                metric.solve(&Shared, out, g, damping, options, work)
            }
            AnyMetric::Softmax(metric) => {
                metric.solve(&Shared, out, g, damping, options, work)
            }
        }?)
    }

    /// `nu_si <- scale_i^2 nu_si`: the metric for weights that reach neuron i multiplied by scale_i, as
    /// behind batch normalisation. Shapes: nu n*m with contiguous rows, which is read; scale m.
    fn fold_scale(nu: MatrixMut, scale: Slice) {
        Ok(fold_scale(nu, scale)?)
    }

    /// The metric of a normalisation's (gamma, beta) of every channel:
    /// `out[c] <- keep out[c] + (1 - keep) (1/n) sum_s w_sc (x_sc^2, x_sc, 1)`. Shapes: out c*3 (read
    /// unless `keep` is 0), x and w n*c, all with contiguous rows.
    fn normalisation_blocks(out: MatrixMut, x: Matrix, w: Matrix, keep: Scalar) {
        Ok(normalisation::blocks(out, x, w, keep)?)
    }

    /// `v_c <- (block_c + damping I)^-1 v_c` for every channel. Shapes: v c*2, blocks c*3, both with
    /// contiguous rows.
    fn normalisation_solve(v: MatrixMut, blocks: Matrix, damping: Scalar) {
        Ok(normalisation::solve(v, blocks, damping)?)
    }
}

const fn multiply_workspace_len(n: usize, m: usize) -> usize {
    n.saturating_mul(m)
}

lengths! {
    /// The elements of `work` for `rf_metric_multiply` and `rf_metric_quadratic_form`: n samples, m
    /// neurons.
    fn metric_multiply_workspace_len(n, m) = multiply_workspace_len;
    /// The elements of `work` for `rf_metric_dense`: n samples of d inputs.
    fn metric_dense_workspace_len(n, d) = layer::dense_workspace_len;
    /// The elements of `work` for `rf_metric_packed`: n samples, m neurons of d inputs.
    fn metric_packed_workspace_len(n, m, d) = blas::packed_grams_workspace_len;
}

/// The elements of `work` for `rf_metric_solve` of an `rf_metric_kind` (n samples, m neurons of d inputs)
/// by an `rf_route`; `damped` is 0 for a damping of 0. `SIZE_MAX` for a kind or route without meaning.
#[unsafe(no_mangle)]
pub extern "C" fn rf_metric_solve_workspace_len(
    kind: u32,
    n: usize,
    m: usize,
    d: usize,
    route: u32,
    damped: u32,
) -> usize {
    let (Ok(kind), Ok(route)) = (MetricKind::read(kind), Route::read(route)) else {
        return usize::MAX;
    };
    let (forced, damped) = (route.forced(), damped != 0);
    match kind {
        MetricKind::Linear => LinearMetric::<f64>::solve_workspace_len(n, m, d),
        MetricKind::Nonlinear => {
            let route = NonlinearMetric::<f64>::route(n, m, d, forced, damped);
            NonlinearMetric::<f64>::solve_workspace_len(n, m, d, route)
        }
        MetricKind::Softmax => {
            let route = SoftmaxMetric::<f64>::route(n, m, d, forced, damped);
            SoftmaxMetric::<f64>::solve_workspace_len(n, m, d, route)
        }
    }
}
