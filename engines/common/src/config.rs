//! Settings.

use relfisher_core::Real;
use relfisher_core::kron::Damping;

use crate::Error;

/// Which curvature preconditions the gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method<T> {
    /// (G ⊗ A)⁻¹ with moving averages of both factors (Martens & Grosse 2015).
    Kfac {
        /// ρ ∈ [0, 1) of the moving averages; a plain mean while they are shorter than the window.
        decay: T,
        /// How λ is divided between the factors: [`Damping::Pi`] or [`Damping::Factored`].
        split: Damping,
        /// The factors are measured at every so many mini-batches.
        factor_every: u64,
        /// They are decomposed at every so many mini-batches.
        refresh: u64,
        /// κ of the bound γ²vᵀFv ≤ κ on a step, if any (Ba, Grosse & Martens 2017).
        kl_clip: Option<T>,
    },
    /// Relative natural gradient, inverse blocks kept over `refresh` mini-batches (Sun & Nielsen
    /// 2017). Memory: m·d̃(d̃ + 1)/2 numbers a layer, (C·d̃)² for the soft-max layer. A mini-batch is a
    /// poor estimate of a metric that is kept: observe some hundred samples when
    /// [`crate::NaturalGradient::is_due`].
    RngdBlocks {
        /// T: the metric is measured and inverted at every so many mini-batches.
        refresh: u64,
    },
    /// Relative natural gradient with the exact metric of each mini-batch, by the cheapest exact
    /// route. Memory: n(d̃ + m) numbers a layer.
    RngdSamples,
}

/// The settings of [`crate::NaturalGradient`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config<T> {
    /// γ > 0.
    pub learning_rate: T,
    /// Heavy-ball momentum of the preconditioned direction, in [0, 1).
    pub momentum: T,
    /// L2 coefficient, added to the gradient before it is preconditioned.
    pub weight_decay: T,
    /// λ > 0.
    pub damping: T,
    /// The curvature.
    pub method: Method<T>,
}

impl<T: Real> Config<T> {
    /// K-FAC with the settings of the project's experiment on digits (`host/data/experiments`).
    pub fn kfac() -> Self {
        Self {
            learning_rate: T::from_f64(0.005),
            method: Method::Kfac {
                decay: T::from_f64(0.99),
                split: Damping::Pi,
                factor_every: 2,
                refresh: 20,
                kl_clip: Some(T::from_f64(0.01)),
            },
            ..Self::rngd_samples()
        }
    }

    /// Relative natural gradient by blocks, the metric kept over 100 mini-batches.
    pub fn rngd_blocks() -> Self {
        Self { method: Method::RngdBlocks { refresh: 100 }, ..Self::rngd_samples() }
    }

    /// Relative natural gradient in sample space.
    pub fn rngd_samples() -> Self {
        Self {
            learning_rate: T::from_f64(0.01),
            momentum: T::from_f64(0.9),
            weight_decay: T::from_f64(1e-4),
            damping: T::from_f64(0.1),
            method: Method::RngdSamples,
        }
    }

    /// Refuses settings outside of their domains.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let positive = |x: T| x > T::ZERO && x.is_finite();
        let share = |x: T| x >= T::ZERO && x < T::ONE;
        let refuse = |name: &str, problem: String, remedy: &str| {
            Err(Error::new(format_args!("config: {name}"), problem, remedy))
        };
        for (name, value) in [("learning_rate", self.learning_rate), ("damping", self.damping)] {
            if !positive(value) {
                return refuse(name, format!("is {value}"), "set a finite number above 0");
            }
        }
        if !(self.weight_decay >= T::ZERO && self.weight_decay.is_finite()) {
            let problem = format!("is {}", self.weight_decay);
            return refuse("weight_decay", problem, "set a finite number of at least 0");
        }
        if !share(self.momentum) {
            let problem = format!("is {}", self.momentum);
            return refuse("momentum", problem, "set a number in [0, 1)");
        }
        let every = |name: &str, count: u64| {
            if count > 0 { Ok(()) } else { refuse(name, "is 0".to_owned(), "set at least 1") }
        };
        match self.method {
            Method::Kfac { decay, split, factor_every, refresh, kl_clip } => {
                every("factor_every", factor_every)?;
                every("refresh", refresh)?;
                if !share(decay) {
                    return refuse("decay", format!("is {decay}"), "set a number in [0, 1)");
                }
                if split == Damping::Exact {
                    let problem = "exact damping needs eigenbases, which are not kept".to_owned();
                    return refuse("split", problem, "use Damping::Pi or Damping::Factored");
                }
                match kl_clip {
                    Some(bound) if !positive(bound) => {
                        refuse("kl_clip", format!("is {bound}"), "set a number above 0, or None")
                    }
                    _ => Ok(()),
                }
            }
            Method::RngdBlocks { refresh } => every("refresh", refresh),
            Method::RngdSamples => Ok(()),
        }
    }
}
