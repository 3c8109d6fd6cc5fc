//! The sizes and targets of `sizes.toml`.

mod check;

use std::path::Path;

use serde::Deserialize;

use crate::machine;

/// The order of the product that shares refer to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ceiling {
    /// The order of the square matrices.
    pub order: usize,
    /// The elements of the slice that is copied.
    pub copy: usize,
}

/// Samples of the random data set that training steps draw from.
pub const SAMPLES: usize = 4000;

/// One quantity over growing widths, beside its dense matrix.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Widths {
    /// The widths.
    pub widths: Vec<usize>,
    /// n.
    pub samples: usize,
    /// Outputs, where they do not grow with the width.
    #[serde(default)]
    pub outputs: usize,
}

/// Kronecker algebra.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kron {
    /// Products G V A.
    pub products: Vec<Metric>,
    /// Steps of layers as wide as their inputs.
    pub widths: Vec<usize>,
    /// Eigendecompositions.
    pub spectra: Vec<usize>,
}

/// Kronecker solves: m, d̃ and the number of matrices V.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Solve {
    /// The share of the ceiling to reach.
    pub share: f64,
    /// Sizes.
    pub sizes: Vec<[usize; 3]>,
}

/// KFC's factor of a convolution: channels, side, kernel, padding and images.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Convolution {
    /// The share of the ceiling to reach.
    pub share: f64,
    /// Sizes.
    pub sizes: Vec<[usize; 5]>,
}

/// Update rules.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vectors {
    /// Parameters.
    pub lengths: Vec<usize>,
}

/// Calls that are nearly empty.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Launch {
    /// Orders of the products.
    pub orders: Vec<usize>,
}

/// A packed metric, m·n·d̃(d̃+1) FLOPs.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// m.
    #[serde(default)]
    pub neurons: usize,
    /// d̃.
    pub inputs: usize,
    /// n.
    #[serde(default)]
    pub samples: usize,
    /// The share of the ceiling to reach.
    #[serde(default)]
    pub share: f64,
    /// Whose kernel.
    #[serde(default)]
    pub kernel: Kernel,
}

/// Whose kernel computes a case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kernel {
    /// The executor's.
    #[default]
    Executor,
    /// The core's portable loops: what an engine without the host library gets, and what a gate must
    /// notice in the place of the executor's.
    Portable,
}

impl Metric {
    /// m·n·d̃(d̃+1).
    #[must_use]
    pub fn flops(&self) -> u64 {
        (self.neurons * self.samples * self.inputs * (self.inputs + 1)) as u64
    }

    /// The elements of the packed result: m·d̃(d̃+1)/2.
    #[must_use]
    pub fn packed_len(&self) -> usize {
        self.neurons * self.inputs * (self.inputs + 1) / 2
    }

    /// `"m80 d785 n512"`.
    #[must_use]
    pub fn label(&self) -> String {
        format!("m{} d{} n{}", self.neurons, self.inputs, self.samples)
    }
}

/// Two routes to one step.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Routes {
    /// m.
    pub neurons: usize,
    /// d̃.
    pub inputs: usize,
    /// n.
    pub samples: usize,
    /// λ.
    pub damping: f32,
    /// How much faster the sample space must be.
    pub speedup: f64,
}

/// ν over a slice.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Response {
    /// Elements.
    pub length: usize,
    /// How much faster than a loop over `libm::tanhf` it must be.
    pub speedup: f64,
}

/// Training steps of a perceptron.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Layer widths, input first.
    pub widths: Vec<usize>,
    /// Samples of a mini-batch.
    pub batch: usize,
    /// The most that an SGD step may take in units of the network's bare products.
    pub sgd_over_products: f64,
    /// The most that an SGD step may take in units of bare products by `faer`, to be called cheap.
    pub overhead: f64,
    /// The most that a step in sample space may take in units of an SGD step.
    pub sample_over_sgd: f64,
}

/// A Kronecker-factored step of a perceptron.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curvature {
    /// Layer widths, input first.
    pub widths: Vec<usize>,
    /// Samples of a batch.
    pub batch: usize,
    /// The rate in GFLOP/s of the large product that the times below belong to.
    pub rate: f64,
    /// The most milliseconds of the factors, their Cholesky factors and the step.
    pub factors: f64,
    /// The same with the forward and the backward passes.
    pub kfac: f64,
    /// With every column of the loss Hessian's root.
    pub type2: f64,
    /// With the averaged recursion.
    pub kfra: f64,
    /// EKFAC's factors and scale.
    pub ekfac: f64,
}

/// Single factorisations.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Factor {
    /// Orders.
    pub orders: Vec<usize>,
}

/// Batches of small matrices.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batched {
    /// Orders.
    pub orders: Vec<usize>,
    /// Matrices of a batch for the Cholesky factorisation.
    pub matrices: usize,
    /// Matrices of a batch for the eigendecomposition.
    pub decompositions: usize,
    /// How much faster than a loop over `faer`'s Cholesky factorisation.
    pub cholesky: f64,
    /// How much faster than a loop over `faer`'s eigendecomposition.
    pub eigen: f64,
}

/// Everything.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// The ceiling.
    pub ceiling: Ceiling,
    /// Packed metrics.
    pub metric: Vec<Metric>,
    /// The refresh of a layer: metric and inverses.
    pub refresh: Metric,
    /// Block against sample space.
    pub routes: Routes,
    /// ν.
    pub response: Response,
    /// Training steps.
    pub step: Step,
    /// Kronecker-factored steps.
    pub curvature: Curvature,
    /// Factorisations.
    pub factor: Factor,
    /// Exact steps of non-linear layers.
    pub nonlinear: Widths,
    /// Exact steps of soft-max layers.
    pub softmax: Widths,
    /// Empirical Fisher steps.
    pub empirical: Widths,
    /// Factor updates.
    pub gram: Vec<Metric>,
    /// Kronecker algebra.
    pub kron: Kron,
    /// Kronecker solves.
    pub solve: Solve,
    /// Factors of convolutions.
    pub convolution: Convolution,
    /// Update rules.
    pub vectors: Vectors,
    /// Nearly empty calls.
    pub launch: Launch,
    /// Batches of small matrices.
    pub batched: Batched,
}

/// The committed sizes.
///
/// # Panics
/// When `sizes.toml` does not parse.
#[must_use]
pub fn load() -> Sizes {
    toml::from_str(include_str!("../sizes.toml")).expect("sizes.toml")
}

/// The sizes of a file.
///
/// # Errors
/// A file that cannot be read, does not name every size, or names one that this machine cannot measure:
/// the field, the value and what to give.
pub fn read(path: &Path) -> Result<Sizes, String> {
    let problem = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let text = std::fs::read_to_string(path).map_err(|e| problem(&e))?;
    let sizes: Sizes = toml::from_str(&text).map_err(|e| {
        let remedy = "begin with a copy of bench-harness/sizes.toml and change its numbers";
        problem(&format!("{}\n{remedy}", e.to_string().trim_end()))
    })?;
    check::check(&sizes, machine::available()).map_err(|e| problem(&e))?;
    Ok(sizes)
}
