//! The rows of the ladder, computed by an executor.

use relfisher_accuracy::ladder::{
    ACTIVATIONS, Answering, Function, INPUTS, NEURONS, OUTPUTS, SAMPLES,
};
use relfisher_accuracy::tensors::Tensors;
use relfisher_core::metric::neuron::{Activation, Response};
use relfisher_core::{MatMut, MatRef, Real};

use crate::executor::Executor;
use crate::format::TensorFile;
use crate::{Error, Scalar};

/// The rows that `wanted` names, from the ladder's inputs.
///
/// # Errors
/// Inputs that are missing or of another shape, and what the executor refuses.
pub fn ladder_answer<T: Scalar>(
    executor: &dyn Executor<T>,
    inputs: &Tensors,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Tensors, Error> {
    let mut climb = Climb { executor, inputs, wanted, out: TensorFile::new() };
    climb.neurons()?;
    climb.metrics()?;
    climb.curvature()?;
    climb.kronecker_products()?;
    climb.factorisations()?;
    climb.sparse_gradients()?;
    climb.statistics()?;
    climb.posteriors()?;
    climb.steps()?;
    climb.training()?;
    climb.pruning()?;
    Ok(tensors(&climb.out))
}

/// n, m, d̃ of the ladder.
pub(super) const SHAPE: (usize, usize, usize) = (SAMPLES, OUTPUTS, INPUTS);

/// What the routines of a run share.
pub(super) struct Climb<'a, T: Scalar> {
    pub(super) executor: &'a dyn Executor<T>,
    inputs: &'a Tensors,
    wanted: &'a dyn Fn(&str) -> bool,
    out: TensorFile<T>,
}

impl<T: Scalar> Climb<'_, T> {
    /// Whether a row is asked for.
    pub(super) fn wants(&self, row: &str) -> bool {
        (self.wanted)(row)
    }

    /// The elements of an input.
    pub(super) fn input(&self, name: &str) -> Result<Vec<T>, Error> {
        let missing = || Error::input("", name, "is no input of the ladder", "use another name");
        Ok(elements(&self.inputs.get(name).ok_or_else(missing)?.data))
    }

    /// vec(δx̃ᵀ) of each sample (n × m·d̃), `delta` being an input.
    pub(super) fn gradients(&self, delta: &str) -> Result<Vec<T>, Error> {
        let (_, m, d) = SHAPE;
        let (delta, x) = (self.input(delta)?, self.input("in.x")?);
        let rows = delta.chunks_exact(m).zip(x.chunks_exact(d));
        let outer = |(delta, x): (&[T], &[T])| -> Vec<T> {
            delta.iter().flat_map(|d| x.iter().map(|x| *d * *x)).collect()
        };
        Ok(rows.flat_map(outer).collect())
    }

    /// Sets a row of one number.
    pub(super) fn put_number(&mut self, row: &str, value: T) {
        if self.wants(row) {
            self.put(row, &[1], vec![value]);
        }
    }

    /// Whether one of these rows is asked for.
    pub(super) fn wants_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.wants(name))
    }

    /// Sets a row.
    pub(super) fn put(&mut self, row: impl Into<String>, shape: &[usize], data: Vec<T>) {
        self.out.insert(row, shape, data);
    }

    /// X̃W̃ᵀ (n × m): the pre-activations of a layer.
    pub(super) fn pre_activations(
        &self,
        x: &[T],
        w: &[T],
        (n, m, d): (usize, usize, usize),
    ) -> Result<Vec<T>, Error> {
        let mut t = vec![T::NAN; n * m];
        let (x, w) = (MatRef::new(x, n, d)?, MatRef::new(w, m, d)?);
        self.executor.gemm(MatMut::new(&mut t, n, m)?, T::ZERO, T::ONE, x, w.t())?;
        Ok(t)
    }

    /// ν of every pre-activation (rows × columns).
    pub(super) fn nu(
        &self,
        t: &[T],
        (rows, columns): (usize, usize),
        answering: Answering,
    ) -> Result<Vec<T>, Error> {
        let mut nu = vec![T::NAN; t.len()];
        let (out, t) = (MatMut::new(&mut nu, rows, columns)?, MatRef::new(t, rows, columns)?);
        self.executor.response_nu(out, t, response(answering))?;
        Ok(nu)
    }

    /// f(t) and f′(t) of every pre-activation, of any shape.
    pub(super) fn activation(&self, t: &[T], f: Activation<T>) -> Result<[Vec<T>; 2], Error> {
        let (mut value, mut slope) = (vec![T::NAN; t.len()], vec![<T as Real>::ONE; t.len()]);
        let row = MatRef::new(t, 1, t.len())?;
        self.executor.activate(MatMut::new(&mut value, 1, t.len())?, row, f)?;
        self.executor.activation_backward(MatMut::new(&mut slope, 1, t.len())?, row, f)?;
        Ok([value, slope])
    }

    /// `nu.…`, `activation.…`, `slope.…`.
    fn neurons(&mut self) -> Result<(), Error> {
        let t = self.input("in.t")?;
        for neuron in NEURONS {
            let row = format!("nu.{}", neuron.name);
            if self.wants(&row) {
                let nu = self.nu(&t, (1, t.len()), neuron.answering)?;
                self.put(row, &[t.len()], nu);
            }
        }
        for f in ACTIVATIONS {
            let rows = ["activation", "slope"].map(|kind| format!("{kind}.{}", f.name));
            if rows.iter().any(|row| self.wants(row)) {
                let values = self.activation(&t, activation(f.function))?;
                rows.into_iter().zip(values).for_each(|(row, x)| self.put(row, &[t.len()], x));
            }
        }
        Ok(())
    }
}

/// The core's name of a response.
fn response<T: Scalar>(answering: Answering) -> Response<T> {
    let c = T::from_f64;
    match answering {
        Answering::Sign => Response::Tanh,
        Answering::Bernoulli => Response::Sigm,
        Answering::Gaussian { function, sigma } => {
            let sigma = c(sigma);
            match function {
                Function::Relu { leak } => {
                    Response::Relu { leak: c(leak), smoothing: T::ZERO, sigma }
                }
                Function::SmoothRelu { leak, smoothing } => {
                    Response::Relu { leak: c(leak), smoothing: c(smoothing), sigma }
                }
                Function::Elu { alpha } => Response::Elu { alpha: c(alpha), sigma },
                Function::Linear => Response::Linear { sigma },
                Function::Tanh | Function::Sigm => {
                    Response::Gaussian { activation: activation(function), sigma }
                }
            }
        }
    }
}

/// The core's name of a function; a smooth relu is one as a response only.
fn activation<T: Scalar>(function: Function) -> Activation<T> {
    match function {
        Function::Linear => Activation::Linear,
        Function::Tanh => Activation::Tanh,
        Function::Sigm => Activation::Sigm,
        Function::Relu { leak } | Function::SmoothRelu { leak, .. } => {
            Activation::Relu { leak: T::from_f64(leak) }
        }
        Function::Elu { alpha } => Activation::Elu { alpha: T::from_f64(alpha) },
    }
}

/// Numbers as `T`.
pub(super) fn elements<T: Scalar>(data: &[f64]) -> Vec<T> {
    data.iter().map(|&x| T::from_f64(x)).collect()
}

/// Tensors in f64.
pub(super) fn tensors<T: Scalar>(file: &TensorFile<T>) -> Tensors {
    let mut out = Tensors::default();
    for (name, tensor) in &file.tensors {
        let data = tensor.data.iter().map(|x| x.to_f64()).collect();
        out.insert(name.clone(), &tensor.shape, data);
    }
    out
}
