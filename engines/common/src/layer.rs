//! What an engine says about a layer, and what it hands over of a mini-batch.

use relfisher_core::metric::neuron::{Activation, Response};
use relfisher_core::{MatMut, MatRef, Real};

use crate::Error;
use crate::error::At;

/// What follows the layer's outputs t, which fixes its relative Fisher metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Site<T> {
    /// Independent neurons with this response model (K-FAC does not look at it).
    Neurons(Response<T>),
    /// The soft-max of a cross entropy.
    Softmax,
}

impl Site<f64> {
    /// The same with constants of another type.
    pub fn cast<T: Real>(self) -> Site<T> {
        let c = T::from_f64;
        Site::Neurons(match self {
            Site::Softmax => return Site::Softmax,
            Site::Neurons(response) => match response {
                Response::Tanh => Response::Tanh,
                Response::Sigm => Response::Sigm,
                Response::Relu { leak, smoothing, sigma } => {
                    Response::Relu { leak: c(leak), smoothing: c(smoothing), sigma: c(sigma) }
                }
                Response::Elu { alpha, sigma } => {
                    Response::Elu { alpha: c(alpha), sigma: c(sigma) }
                }
                Response::Linear { sigma } => Response::Linear { sigma: c(sigma) },
                Response::Gaussian { activation, sigma } => Response::Gaussian {
                    activation: match activation {
                        Activation::Linear => Activation::Linear,
                        Activation::Tanh => Activation::Tanh,
                        Activation::Sigm => Activation::Sigm,
                        Activation::Relu { leak } => Activation::Relu { leak: c(leak) },
                        Activation::Elu { alpha } => Activation::Elu { alpha: c(alpha) },
                    },
                    sigma: c(sigma),
                },
            },
        })
    }
}

/// A fully connected layer t = Wx + b.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerSpec<T> {
    /// Named in errors.
    pub name: String,
    /// d.
    pub inputs: usize,
    /// m.
    pub outputs: usize,
    /// Whether there is a b.
    pub bias: bool,
    /// What follows.
    pub site: Site<T>,
}

impl<T: Real> LayerSpec<T> {
    /// d̃: d, and one for the bias.
    pub fn augmented(&self) -> usize {
        self.inputs + usize::from(self.bias)
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.inputs == 0 || self.outputs == 0 {
            let problem = format_args!("{} inputs and {} outputs", self.inputs, self.outputs);
            return Err(Error::new(&self.name, problem, "give a layer at least one of each"));
        }
        match self.site {
            Site::Neurons(response) => response.check().at(&self.name),
            Site::Softmax => Ok(()),
        }
    }

    /// Refuses a matrix of another shape, by name.
    pub(crate) fn check_shape(
        &self,
        what: &str,
        found: MatRef<'_, T>,
        rows: usize,
        cols: usize,
    ) -> Result<(), Error> {
        if (found.rows(), found.cols()) == (rows, cols) {
            return Ok(());
        }
        Err(Error::new(
            &self.name,
            format_args!(
                "the {what} is {} x {}, but {rows} x {cols} is needed",
                found.rows(),
                found.cols()
            ),
            "hand over one row a sample, in the order of the layers",
        ))
    }

    /// Refuses a bias where there is none, and the other way round.
    pub(crate) fn check_affine(&self, what: &str, found: &Affine<'_, T>) -> Result<(), Error> {
        self.check_shape(what, found.weight, self.outputs, self.inputs)?;
        match (self.bias, found.bias) {
            (true, Some(bias)) => {
                self.check_shape(&format!("{what} of the bias"), bias, self.outputs, 1)
            }
            (false, None) => Ok(()),
            (expected, _) => {
                let has = if expected { "a bias" } else { "no bias" };
                let problem = format_args!("the layer has {has}, the {what} is otherwise");
                Err(Error::new(&self.name, problem, "hand over a bias where the layer has one"))
            }
        }
    }

    /// [X | 1] of shape n × d̃, or X.
    pub(crate) fn augment(&self, out: &mut [T], x: MatRef<'_, T>) {
        for (s, row) in out.chunks_exact_mut(self.augmented()).enumerate() {
            row.fill(T::ONE);
            copy_row(&mut row[..self.inputs], x, s);
        }
    }
}

/// What a layer saw in a mini-batch of n samples: views of any strides, one sample a row.
#[derive(Clone, Copy, Debug)]
pub struct Capture<'a, T> {
    /// x, n × d.
    pub input: MatRef<'a, T>,
    /// t, n × m: for relative natural gradient.
    pub output: Option<MatRef<'a, T>>,
    /// ∂L/∂t of the **mean** loss L, n × m: for K-FAC.
    pub output_gradient: Option<MatRef<'a, T>>,
}

impl<'a, T: Real> Capture<'a, T> {
    /// The outputs, checked.
    pub(crate) fn outputs(&self, spec: &LayerSpec<T>) -> Result<MatRef<'a, T>, Error> {
        checked(self.output, spec, ("output", self.input.rows()), "hand over the layer's outputs")
    }

    /// The output gradients, checked.
    pub(crate) fn gradients(&self, spec: &LayerSpec<T>) -> Result<MatRef<'a, T>, Error> {
        let remedy = "differentiate the loss of this batch through the layer first";
        checked(self.output_gradient, spec, ("output gradient", self.input.rows()), remedy)
    }
}

fn checked<'a, T: Real>(
    found: Option<MatRef<'a, T>>,
    spec: &LayerSpec<T>,
    (what, rows): (&str, usize),
    remedy: &str,
) -> Result<MatRef<'a, T>, Error> {
    let Some(matrix) = found else {
        return Err(Error::new(&spec.name, format_args!("the {what} is missing"), remedy));
    };
    spec.check_shape(what, matrix, rows, spec.outputs)?;
    matrix.check_finite("output").at(&spec.name)?;
    Ok(matrix)
}

/// A layer's W and b, or their gradients, or what is to be added to them: views of any strides.
#[derive(Clone, Copy, Debug)]
pub struct Affine<'a, T> {
    /// m × d.
    pub weight: MatRef<'a, T>,
    /// m × 1.
    pub bias: Option<MatRef<'a, T>>,
}

impl<'a, T: Real> Affine<'a, T> {
    /// `out ← [W | b]`, m × d̃.
    pub(crate) fn gather(&self, mut out: MatMut<'_, T>) {
        for i in 0..out.rows() {
            let row = out.row_mut(i);
            let (weights, bias) = row.split_at_mut(self.weight.cols());
            copy_row(weights, self.weight, i);
            if let (Some(o), Some(b)) = (bias.first_mut(), self.bias) {
                *o = b.at(i, 0);
            }
        }
    }

    /// The parts of [W | b].
    pub(crate) fn split(spec: &LayerSpec<T>, matrix: MatRef<'a, T>) -> Result<Self, Error> {
        let m = spec.outputs;
        let weight = matrix.sub(0, 0, m, spec.inputs).at(&spec.name)?;
        let bias = match spec.bias {
            true => Some(matrix.sub(0, spec.inputs, m, 1).at(&spec.name)?),
            false => None,
        };
        Ok(Self { weight, bias })
    }
}

/// `out ← ` row i of a.
pub(crate) fn copy_row<T: Real>(out: &mut [T], a: MatRef<'_, T>, i: usize) {
    let row = a.row(i);
    if row.len() == out.len() {
        out.copy_from_slice(row);
    } else {
        for (j, o) in out.iter_mut().enumerate() {
            *o = a.at(i, j);
        }
    }
}
