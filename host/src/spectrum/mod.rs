//! Spectra of symmetric matrices that are only known by their products, as the curvature of a
//! network is: [`extremal`] eigenpairs by thick-restart Lanczos, and the [`density`] of all
//! eigenvalues by stochastic Lanczos quadrature. The recurrences are those of
//! [`relfisher_core::stats`]. [`analyse`] computes both, [`SpectrumRecord`] writes and draws them.
//!
//! ```
//! use relfisher::executor::Cpu;
//! use relfisher::spectrum::{self, ExtremalOptions, LinearOperator, Which};
//! /// diag(0, 1, 2, …, 999), the largest three times.
//! struct Ramp;
//! impl LinearOperator<f64> for Ramp {
//!     fn len(&self) -> usize {
//!         1002
//!     }
//!     fn apply(&mut self, out: &mut [f64], v: &[f64]) -> Result<(), relfisher::Error> {
//!         for (i, (o, v)) in out.iter_mut().zip(v).enumerate() {
//!             *o = i.min(999) as f64 * v;
//!         }
//!         Ok(())
//!     }
//! }
//! let (cpu, options) = (Cpu::new(Some(1))?, ExtremalOptions::default());
//! let top = spectrum::extremal(&mut Ramp, &cpu, Which::Largest(4), &options, &mut |_| {})?;
//! let want = [999.0, 999.0, 999.0, 998.0];
//! assert!(top.values.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-7));
//! # Ok::<(), relfisher::Error>(())
//! ```

mod analysis;
mod density;
mod extremal;
mod operator;
mod record;
mod search;

pub use analysis::{Analysis, OnStage, Spectrum, Stage, Timed, analyse};
pub use density::{Density, DensityOptions, Quadrature, density};
pub use extremal::{Eigenpairs, ExtremalOptions, Outcome, Which, extremal, extremal_len};
pub use operator::LinearOperator;
pub use record::{DensityRecord, EndRecord, Estimate, SpectrumRecord, Subject};

use crate::Scalar;
use crate::error::{Error, Report};

/// How far a computation has come; reported after every product with the operator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Products so far.
    pub products: usize,
    /// Eigenpairs that have converged so far, or probes that are done.
    pub done: usize,
    /// Eigenpairs or probes that are wanted.
    pub wanted: usize,
}

/// Told after every product; draw a bar, or do nothing.
pub type OnProgress<'a> = dyn FnMut(&Progress) + 'a;

/// An operator with its sign, and the count of its products.
pub(crate) struct Counted<'a, T> {
    pub(crate) operator: &'a mut dyn LinearOperator<T>,
    /// 1, or −1 for the smallest eigenvalues.
    pub(crate) sign: T,
    pub(crate) products: usize,
}

impl<T: Scalar> Counted<'_, T> {
    /// `out ← sign·A v`; every element is finite.
    pub(crate) fn apply(&mut self, out: &mut [T], v: &[T]) -> Result<(), Error> {
        self.operator.apply(out, v)?;
        self.products += 1;
        if let Some(index) = out.iter().position(|x| !x.is_finite()) {
            return Err(Error::Divergence(Report {
                file: String::new(),
                place: format!("spectrum: product {}", self.products),
                problem: format!("element {index} of {} is not finite", out.len()),
                remedy: "check the weights and the inputs, or compute in f64".to_owned(),
            }));
        }
        if self.sign < T::ZERO {
            for x in out {
                *x = -*x;
            }
        }
        Ok(())
    }
}
