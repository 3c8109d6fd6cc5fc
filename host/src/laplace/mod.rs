//! The Laplace approximation of the posterior of a network's parameters, N(θ*, (N·C + τI)⁻¹) with the
//! Gauss–Newton matrix C of the data in one of several structures ([`relfisher_core::laplace`] has the
//! formulas).
//!
//! | structure | C | kept |
//! | --- | --- | --- |
//! | `diag` | its diagonal | D numbers |
//! | `kron` | G ⊗ A of each layer (K-FAC, type 2), block-diagonal | m² + d̃² a layer |
//! | `ekfac` | the same eigenbasis, corrected eigenvalues | the same and D |
//! | `lowrank:K` | the K largest eigenpairs of the whole matrix | K·D |
//! | `full` | all of it | D² |
//!
//! Batch normalisations have their exact block in `kron` and `ekfac`.

mod evidence;
mod posterior;
mod predictive;

use std::fmt;
use std::str::FromStr;

pub use evidence::{EvidenceCurve, PRECISIONS, evidence};
pub use posterior::Posterior;
pub use predictive::{Prediction, Quality};

use crate::error::Error;

/// What the Gauss–Newton matrix is approximated by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Structure {
    /// Its diagonal.
    Diagonal,
    /// Kronecker factors of each layer.
    Kronecker,
    /// Their eigenbases with corrected eigenvalues.
    Ekfac,
    /// The largest eigenpairs, so many.
    LowRank(usize),
    /// The whole matrix.
    Full,
}

impl fmt::Display for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Structure::Diagonal => f.write_str("diag"),
            Structure::Kronecker => f.write_str("kron"),
            Structure::Ekfac => f.write_str("ekfac"),
            Structure::LowRank(k) => write!(f, "lowrank:{k}"),
            Structure::Full => f.write_str("full"),
        }
    }
}

impl FromStr for Structure {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.trim() {
            "diag" => Ok(Structure::Diagonal),
            "kron" => Ok(Structure::Kronecker),
            "ekfac" => Ok(Structure::Ekfac),
            "full" => Ok(Structure::Full),
            other => match other.strip_prefix("lowrank:").map(str::parse) {
                Some(Ok(k)) if k > 0 => Ok(Structure::LowRank(k)),
                _ => {
                    let remedy = "use diag, kron, ekfac, lowrank:K with K at least 1, or full";
                    Err(Error::input("--structure", other, "no such structure", remedy))
                }
            },
        }
    }
}
