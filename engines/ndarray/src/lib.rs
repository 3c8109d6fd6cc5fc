//! A multi-layer perceptron on plain `ndarray` arrays, trained by relative natural gradient with
//! `relfisher-core` alone: no engine, no differentiation but the few lines here, and no copy of an array
//! on the way to the core and back.
//!
//! It is a worked example to be read, and code that runs: [`Network::forward`] and
//! [`Network::backward`] are products of views, [`Network::precondition`] solves
//! `(Ḡ + λI) step = gradient` for every layer with the metric of the mini-batch in sample space, and
//! [`Network::descend`] is ndarray's own arithmetic.
//!
//! Inputs have the 1 of the bias as last column, x̃ = [x ; 1], so that no row needs to be extended;
//! weights are W̃ = [W | b], m × d̃, in any memory order.
//!
//! ```
//! use ndarray::array;
//! use relfisher_core::metric::neuron::Activation;
//! use relfisher_ndarray::Network;
//! let x = array![[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 1.0], [0.0, 0.0, 1.0]];
//! let hidden = array![[0.8, -0.6, 0.1], [-0.5, 0.9, 0.2], [0.7, 0.4, -0.3]];
//! let last = array![[0.3, 0.2, -0.4, 0.0], [-0.3, 0.1, 0.5, 0.0]];
//! let mut network = Network::new(vec![hidden, last], Activation::Tanh)?;
//! let mut losses: Vec<f64> = Vec::new();
//! for _ in 0..100 {
//!     network.forward(x.view())?;
//!     losses.push(network.backward(x.view(), &[1, 1, 0, 0])?);
//!     network.precondition(x.view(), 0.01)?;
//!     network.descend(0.1);
//! }
//! assert!(losses[99] < 0.1 * losses[0], "{losses:?}");
//! # Ok::<(), relfisher_ndarray::Error>(())
//! ```

use std::fmt;

use ndarray::{Array2, ArrayView2, Axis, s};
use relfisher_core::metric::layer::{NonlinearMetric, SoftmaxMetric, SolveOptions};
use relfisher_core::metric::neuron::{Activation, Response};
use relfisher_core::{Backend, Error as CoreError, MatMut, Portable, Real};
use relfisher_views::ViewError;
use relfisher_views::ndarray::{layout, view, view_mut};

/// What is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// An array cannot be viewed.
    View(ViewError),
    /// The core refused.
    Core(CoreError),
    /// Arrays do not fit together: what, and the remedy.
    Shape(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::View(error) => error.fmt(f),
            Self::Core(error) => write!(f, "{error}; check shapes and damping"),
            Self::Shape(line) => f.write_str(line),
        }
    }
}

impl std::error::Error for Error {}

impl From<ViewError> for Error {
    fn from(error: ViewError) -> Self {
        Self::View(error)
    }
}

impl From<CoreError> for Error {
    fn from(error: CoreError) -> Self {
        Self::Core(error)
    }
}

/// One layer and what it computed of the mini-batch, one sample a row.
#[derive(Clone, Debug)]
pub struct Layer<T> {
    /// W̃, m × d̃.
    pub weights: Array2<T>,
    /// t, n × m; of the last layer soft-max(t) once [`Network::forward`] is through.
    pub output: Array2<T>,
    /// [f(t) ; 1], n × (m + 1): what the next layer takes; empty for the last.
    pub next: Array2<T>,
    /// ∂L/∂t of the mean loss, n × m.
    pub delta: Array2<T>,
    /// ∂L/∂W̃, m × d̃.
    pub gradient: Array2<T>,
    /// (Ḡ + λI)⁻¹ ∂L/∂W̃, m × d̃.
    pub step: Array2<T>,
    /// ν(t), n × m.
    nu: Array2<T>,
}

/// Layers with one activation between them and the soft-max cross entropy at the end.
#[derive(Clone, Debug)]
pub struct Network<T> {
    /// The layers.
    pub layers: Vec<Layer<T>>,
    activation: Activation<T>,
    work: Vec<T>,
}

impl<T: Real> Network<T> {
    /// A network of these weights.
    ///
    /// # Errors
    /// No layers; a layer that does not take what the one before gives.
    pub fn new(weights: Vec<Array2<T>>, activation: Activation<T>) -> Result<Self, Error> {
        activation.check()?;
        if weights.is_empty() {
            return Err(Error::Shape("weights: there are none; give at least one layer".into()));
        }
        for (k, pair) in weights.windows(2).enumerate() {
            let (given, taken) = (pair[0].nrows() + 1, pair[1].ncols());
            if given != taken {
                let line = format!(
                    "layer {}: {taken} columns, but layer {k} gives {given} with the 1 of the bias; give each layer one column more than the last has rows",
                    k + 1
                );
                return Err(Error::Shape(line));
            }
        }
        let empty = || Array2::from_elem((0, 0), T::ZERO);
        let layer = |weights: Array2<T>| {
            let gradient = Array2::from_elem(weights.dim(), T::ZERO);
            let step = gradient.clone();
            let (output, next, delta, nu) = (empty(), empty(), empty(), empty());
            Layer { weights, output, next, delta, gradient, step, nu }
        };
        let layers = weights.into_iter().map(layer).collect();
        Ok(Self { layers, activation, work: Vec::new() })
    }

    /// Arrays for n samples.
    fn fit(&mut self, n: usize) {
        let last = self.layers.len() - 1;
        for (k, layer) in self.layers.iter_mut().enumerate() {
            let m = layer.weights.nrows();
            if layer.output.nrows() != n {
                layer.output = Array2::from_elem((n, m), T::ZERO);
                layer.delta = layer.output.clone();
                layer.nu = layer.output.clone();
                let width = if k < last { m + 1 } else { 0 };
                layer.next = Array2::from_elem((n, width), T::ONE);
            }
        }
    }

    /// `t = x̃W̃ᵀ`, then f or the soft-max. Shape: x n × d̃ with contiguous rows.
    ///
    /// # Errors
    /// An x of another width, without samples, or that cannot be viewed.
    pub fn forward(&mut self, x: ArrayView2<'_, T>) -> Result<(), Error> {
        let (n, wanted) = (x.nrows(), self.layers[0].weights.ncols());
        if n == 0 || x.ncols() != wanted {
            let (rows, cols) = x.dim();
            let line = format!(
                "x: {rows} x {cols}; give at least one row, of {wanted} columns, the last of them 1"
            );
            return Err(Error::Shape(line));
        }
        self.fit(n);
        let last = self.layers.len() - 1;
        for k in 0..=last {
            let (before, rest) = self.layers.split_at_mut(k);
            let Some((layer, _)) = rest.split_first_mut() else { continue };
            let input = before.last().map_or(x, |below| below.next.view());
            let (a, w) = (view(&input)?, view(&layer.weights)?);
            Portable.gemm(view_mut(&mut layer.output)?, T::ZERO, T::ONE, a, w.t())?;
            if k == last {
                softmax(&mut view_mut(&mut layer.output)?);
                continue;
            }
            // All columns but the 1 of the bias: a part with a gap in every row.
            let m = layer.output.ncols();
            let place = layout(&layer.next.slice(s![.., ..m]));
            let whole = layer.next.as_slice_mut().ok_or(ViewError::Gaps)?;
            let (mut values, t) = (place.within_mut(whole)?, view(&layer.output)?);
            for s in 0..n {
                self.activation.value_slice(values.row_mut(s), t.row(s))?;
            }
        }
        Ok(())
    }

    /// The mean loss of the mini-batch that [`Network::forward`] ran on, and its gradients.
    ///
    /// # Errors
    /// Another number of classes than samples, a class that does not exist.
    pub fn backward(&mut self, x: ArrayView2<'_, T>, classes: &[usize]) -> Result<T, Error> {
        let last = self.layers.len() - 1;
        let (n, outputs) = self.layers[last].output.dim();
        if (classes.len(), x.nrows()) != (n, n) || classes.iter().any(|c| *c >= outputs) {
            let line = format!(
                "classes: {} for {n} samples of {} rows; give each sample one below {outputs}, after forward",
                classes.len(),
                x.nrows()
            );
            return Err(Error::Shape(line));
        }
        let mean = T::ONE / T::from_usize(n);
        let top = &mut self.layers[last];
        top.delta.assign(&top.output);
        let mut loss = T::ZERO;
        for (mut row, class) in top.delta.axis_iter_mut(Axis(0)).zip(classes) {
            loss += -row[*class].ln();
            row[*class] -= T::ONE;
        }
        top.delta.mapv_inplace(|d| d * mean);
        for k in (0..=last).rev() {
            let (before, rest) = self.layers.split_at_mut(k);
            let Some((layer, _)) = rest.split_first_mut() else { continue };
            let delta = view(&layer.delta)?;
            let below = before.last_mut();
            let input = below.as_ref().map_or(x, |below| below.next.view());
            Portable.gemm(
                view_mut(&mut layer.gradient)?,
                T::ZERO,
                T::ONE,
                delta.t(),
                view(&input)?,
            )?;
            if let Some(below) = below {
                // W is W̃ without its last column.
                let weights = view(&layer.weights)?;
                let weights = weights.sub(0, 0, weights.rows(), weights.cols() - 1)?;
                Portable.gemm(view_mut(&mut below.delta)?, T::ZERO, T::ONE, delta, weights)?;
                let t = below.output.as_slice().ok_or(ViewError::Gaps)?;
                let slopes = below.delta.as_slice_mut().ok_or(ViewError::Gaps)?;
                self.activation.backward_slice(slopes, t)?;
            }
        }
        Ok(loss * mean)
    }

    /// `step ← (Ḡ + λI)⁻¹ gradient` for every layer, Ḡ the relative Fisher metric of the mini-batch, by
    /// the cheapest exact route.
    ///
    /// # Errors
    /// λ that is not above 0; numbers that are not finite.
    pub fn precondition(&mut self, x: ArrayView2<'_, T>, damping: T) -> Result<(), Error> {
        let last = self.layers.len() - 1;
        let response = Response::of_activation(self.activation, T::ONE, T::ONE);
        for k in 0..=last {
            let (before, rest) = self.layers.split_at_mut(k);
            let Some((layer, _)) = rest.split_first_mut() else { continue };
            let input = before.last().map_or(x, |below| below.next.view());
            let ((n, d), m) = (input.dim(), layer.output.ncols());
            let (x, gradient) = (view(&input)?, view(&layer.gradient)?);
            let step = view_mut(&mut layer.step)?;
            if k == last {
                let route = SoftmaxMetric::<T>::route(n, m, d, None, true);
                let len = SoftmaxMetric::<T>::solve_workspace_len(n, m, d, route);
                let options = SolveOptions { route: Some(route), ..SolveOptions::default() };
                let work = grown(&mut self.work, len);
                let metric = SoftmaxMetric::new(x, view(&layer.output)?)?;
                metric.solve(&Portable, step, gradient, damping, options, work)?;
                continue;
            }
            let nu = layer.nu.as_slice_mut().ok_or(ViewError::Gaps)?;
            response.nu_slice(nu, layer.output.as_slice().ok_or(ViewError::Gaps)?)?;
            let route = NonlinearMetric::<T>::route(n, m, d, None, true);
            let len = NonlinearMetric::<T>::solve_workspace_len(n, m, d, route);
            let options = SolveOptions { route: Some(route), ..SolveOptions::default() };
            let work = grown(&mut self.work, len);
            let metric = NonlinearMetric::new(x, view(&layer.nu)?)?;
            metric.solve(&Portable, step, gradient, damping, options, work)?;
        }
        Ok(())
    }

    /// `W̃ ← W̃ − rate · step`.
    pub fn descend(&mut self, rate: T) {
        for layer in &mut self.layers {
            layer.weights.zip_mut_with(&layer.step, |w, s| *w -= rate * *s);
        }
    }

    /// K-FAC's factors of a layer for the true labels: A = E[x̃x̃ᵀ] and G = E[δδᵀ].
    ///
    /// # Errors
    /// No such layer, or no mini-batch before.
    pub fn kfac_factors(
        &self,
        x: ArrayView2<'_, T>,
        layer: usize,
    ) -> Result<(Array2<T>, Array2<T>), Error> {
        let Some(this) = self.layers.get(layer) else {
            let line = format!("layer {layer}: there are {}; count from 0", self.layers.len());
            return Err(Error::Shape(line));
        };
        let below = layer.checked_sub(1).and_then(|k| self.layers.get(k));
        let input = below.map_or(x, |below| below.next.view());
        let count = T::from_usize(input.nrows());
        let square = |n: usize| Array2::from_elem((n, n), T::ZERO);
        let (mut a, mut g) = (square(input.ncols()), square(this.delta.ncols()));
        let mean = T::ONE / count;
        Portable.gram(view_mut(&mut a)?, T::ZERO, mean, view(&input)?, None, &mut [])?;
        // δ is that of a mean: n times too small, and G quadratic in it.
        Portable.gram(view_mut(&mut g)?, T::ZERO, count, view(&this.delta)?, None, &mut [])?;
        Ok((a, g))
    }
}

/// Every row's soft-max, in place.
fn softmax<T: Real>(t: &mut MatMut<'_, T>) {
    for s in 0..t.rows() {
        let row = t.row_mut(s);
        let top = row.iter().fold(-T::INFINITY, |m, x| m.max(*x));
        let mut sum = T::ZERO;
        for x in row.iter_mut() {
            *x = (*x - top).exp();
            sum += *x;
        }
        row.iter_mut().for_each(|x| *x /= sum);
    }
}

/// The first `len` elements of a buffer that grows.
fn grown<T: Real>(buffer: &mut Vec<T>, len: usize) -> &mut [T] {
    if buffer.len() < len {
        buffer.resize(len, T::ZERO);
    }
    &mut buffer[..len]
}
