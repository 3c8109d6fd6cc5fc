//! The quantities that can be asked for by name.

use std::fmt;
use std::str::FromStr;

use relfisher_core::curvature::Sharing;
use relfisher_core::kron::Damping;

use super::exact::Matrix;
use crate::error::Error;

/// Whose output derivatives make G.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Every label weighted by its probability.
    Type2,
    /// The true labels.
    Empirical,
    /// Labels drawn from the model.
    MonteCarlo,
}

impl Source {
    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Source::Type2 => "type2",
            Source::Empirical => "emp",
            Source::MonteCarlo => "mc",
        }
    }
}

/// A family of Kronecker factors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// K-FAC.
    Kfac(Source, Sharing),
    /// KFLR: K-FAC's exact factors, A without the bias.
    Kflr,
    /// KFRA: the averaged recursion, A without the bias.
    Kfra,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Family::Kfac(source, Sharing::Expand) => write!(f, "kfac_{}", source.name()),
            Family::Kfac(source, Sharing::Reduce) => write!(f, "kfac_reduce_{}", source.name()),
            Family::Kflr => f.write_str("kflr"),
            Family::Kfra => f.write_str("kfra"),
        }
    }
}

/// Something that is computed for every layer (or the whole network) and written to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// The mean loss.
    Loss,
    /// The outputs.
    Output,
    /// The loss of each sample.
    PerSampleLoss,
    /// The gradient of the mean loss.
    Gradient,
    /// The gradient of each sample's loss.
    PerSampleGradient,
    /// Its squared length for each layer.
    PerSampleGradientSquareNorm,
    /// Exact blocks.
    Block(Matrix),
    /// [trace, Frobenius norm] of exact blocks.
    BlockTraceFrobenius(Matrix),
    /// Exact blocks times `probe.<layer>` of the vectors.
    BlockProbe(Matrix),
    /// Diagonals.
    Diagonal(Matrix),
    /// Kronecker factors.
    Factors(Family),
    /// Damped steps with them.
    FactorStep(Family, Damping),
    /// EKFAC's bases and scale.
    Ekfac(Source),
    /// Damped steps with it.
    EkfacStep(Source),
    /// EKFAC times `probe.<layer>` of the vectors.
    EkfacProbe(Source),
    /// Exact damped steps for each layer.
    NaturalGradient(Matrix),
    /// Whole-network products with the vectors.
    Products,
    /// The largest eigenvalues of a whole-network matrix, descending.
    Top(Matrix, usize),
    /// Its smallest eigenvalues, ascending.
    Bottom(Matrix, usize),
    /// The traces of the three whole-network matrices.
    Traces,
    /// Mean relative Fisher metrics.
    Rfim,
}

const MATRICES: [Matrix; 3] = [Matrix::Ggn, Matrix::Hessian, Matrix::EmpiricalFisher];
const SOURCES: [Source; 3] = [Source::Type2, Source::Empirical, Source::MonteCarlo];
const DAMPINGS: [(Damping, &str); 3] =
    [(Damping::Exact, "eig"), (Damping::Pi, "pi"), (Damping::Factored, "factor")];

fn families() -> Vec<Family> {
    let kfac = |sharing| SOURCES.map(|source| Family::Kfac(source, sharing));
    let mut all = vec![Family::Kflr, Family::Kfra];
    all.extend(kfac(Sharing::Expand));
    all.extend(kfac(Sharing::Reduce));
    all
}

impl Quantity {
    /// Every quantity with a name of its own; the eigenvalues ten and five at a time.
    pub fn all() -> Vec<Self> {
        let mut all = vec![
            Quantity::Loss,
            Quantity::Output,
            Quantity::PerSampleLoss,
            Quantity::Gradient,
            Quantity::PerSampleGradient,
            Quantity::PerSampleGradientSquareNorm,
        ];
        for matrix in MATRICES {
            all.extend([
                Quantity::Block(matrix),
                Quantity::BlockTraceFrobenius(matrix),
                Quantity::BlockProbe(matrix),
                Quantity::Diagonal(matrix),
                Quantity::Top(matrix, 10),
                Quantity::Bottom(matrix, 5),
            ]);
        }
        for family in families() {
            all.push(Quantity::Factors(family));
            all.extend(DAMPINGS.map(|(damping, _)| Quantity::FactorStep(family, damping)));
        }
        for source in SOURCES {
            let each = [Quantity::Ekfac, Quantity::EkfacStep, Quantity::EkfacProbe];
            all.extend(each.map(|quantity| quantity(source)));
        }
        all.extend([Matrix::Ggn, Matrix::EmpiricalFisher].map(Quantity::NaturalGradient));
        all.extend([Quantity::Products, Quantity::Traces, Quantity::Rfim]);
        all
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Quantity::Loss => f.write_str("loss"),
            Quantity::Output => f.write_str("output"),
            Quantity::PerSampleLoss => f.write_str("per_sample_loss"),
            Quantity::Gradient => f.write_str("grad"),
            Quantity::PerSampleGradient => f.write_str("per_sample_grad"),
            Quantity::PerSampleGradientSquareNorm => f.write_str("per_sample_grad_sqnorm"),
            Quantity::Block(m) => write!(f, "{}_block", m.name()),
            Quantity::BlockTraceFrobenius(m) => write!(f, "{}_block_trace_fro", m.name()),
            Quantity::BlockProbe(m) => write!(f, "{}_block_probe", m.name()),
            Quantity::Diagonal(m) => write!(f, "{}_diag", m.name()),
            Quantity::Factors(family) => write!(f, "{family}"),
            Quantity::FactorStep(family, damping) => {
                let name = DAMPINGS.iter().find(|(d, _)| *d == damping).map_or("", |(_, n)| n);
                write!(f, "{family}_precond_{name}")
            }
            Quantity::Ekfac(source) => write!(f, "ekfac_{}", source.name()),
            Quantity::EkfacStep(source) => write!(f, "ekfac_{}_precond", source.name()),
            Quantity::EkfacProbe(source) => write!(f, "ekfac_{}_probe", source.name()),
            Quantity::NaturalGradient(m) => write!(f, "natgrad_{}", m.name()),
            Quantity::Products => f.write_str("matvec"),
            Quantity::Top(m, k) => write!(f, "{}_top{k}", m.name()),
            Quantity::Bottom(m, k) => write!(f, "{}_bottom{k}", m.name()),
            Quantity::Traces => f.write_str("trace"),
            Quantity::Rfim => f.write_str("rfim"),
        }
    }
}

impl FromStr for Quantity {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let all = Self::all();
        if let Some(quantity) = all.iter().find(|q| q.to_string() == name) {
            return Ok(*quantity);
        }
        for matrix in MATRICES {
            let rest = name.strip_prefix(matrix.name()).unwrap_or("");
            let count = |k: &str| k.parse::<usize>().ok().filter(|&k| k > 0);
            if let Some(k) = rest.strip_prefix("_top").and_then(count) {
                return Ok(Quantity::Top(matrix, k));
            }
            if let Some(k) = rest.strip_prefix("_bottom").and_then(count) {
                return Ok(Quantity::Bottom(matrix, k));
            }
        }
        let names: Vec<String> = all.iter().map(ToString::to_string).collect();
        Err(Error::input(
            "--quantity",
            name,
            "no such quantity",
            format_args!("use one of {}", names.join(", ")),
        ))
    }
}
