//! Pruning of a trained network by magnitude and by curvature ([`relfisher_core::prune`] has the
//! formulas): optimal brain damage on the diagonal of the Gauss–Newton matrix, optimal brain surgeon on
//! K-FAC's factors, WoodFisher on blocks of the inverse empirical Fisher matrix.
//!
//! Weights of linear layers and convolutions can be removed, biases and normalisations cannot; with
//! optimal brain surgeon and WoodFisher all that stay make up for those that go. Curvature is that of
//! the current weights: a schedule of rising sparsities measures it again at each.

mod mask;
mod methods;
mod woodfisher;

use std::fmt;
use std::str::FromStr;

pub use mask::{Mask, Scope};
pub use methods::{Pruned, prune};

use crate::curvature::Memory;
use crate::error::Error;

/// Which weights go, and what the others do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The smallest |w|; the others stay: the baseline.
    Magnitude,
    /// The smallest ½ H_qq w² with the diagonal of the Gauss–Newton matrix; the others stay.
    Obd,
    /// The smallest ½ w²/[H⁻¹]_qq with K-FAC's damped factors; the others of the layer move.
    ObsKfac,
    /// The same with the inverse empirical Fisher matrix, block by block.
    WoodFisher,
}

impl Method {
    /// All of them.
    pub const ALL: [Method; 4] =
        [Method::Magnitude, Method::Obd, Method::ObsKfac, Method::WoodFisher];

    /// The name on the command line and in files.
    pub const fn name(self) -> &'static str {
        match self {
            Method::Magnitude => "magnitude",
            Method::Obd => "obd",
            Method::ObsKfac => "obs-kfac",
            Method::WoodFisher => "woodfisher",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Method {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = Method::ALL.into_iter().find(|method| method.name() == text.trim());
        found.ok_or_else(|| {
            let remedy = "use magnitude, obd, obs-kfac or woodfisher";
            Error::input("--method", text, "no such method", remedy)
        })
    }
}

/// How weights are removed.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Which weights go.
    pub method: Method,
    /// Among which the smallest costs are looked for.
    pub scope: Scope,
    /// λ > 0 of the inverses: split between K-FAC's factors by π, or the start λI of WoodFisher.
    pub damping: f64,
    /// The parameters of a block of WoodFisher.
    pub block: usize,
    /// The samples whose gradients make up WoodFisher's matrix, from the first on.
    pub gradients: usize,
    /// The bound on everything.
    pub memory: Memory,
}
