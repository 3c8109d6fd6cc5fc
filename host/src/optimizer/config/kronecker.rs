//! The settings of the Kronecker-factored optimisers.

use relfisher_core::curvature::{Labels, Propagation, Scaling, Sharing, Strategy};
use relfisher_core::kron::Damping;
use serde::{Deserialize, Serialize};

use super::check::{Check, Common, Settings, at_least_zero, common_settings, count, share};
use super::{AdaptationConfig, ScheduleConfig, StepLength};

/// Which member of the family: the choices that `kind` fixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KroneckerKind {
    /// K-FAC (Martens and Grosse 2015).
    Kfac,
    /// Kronecker-factored low rank: K-FAC with the exact root of the loss Hessian (Botev et al. 2017).
    Kflr,
    /// Kronecker-factored recursive approximation (Botev et al. 2017).
    Kfra,
    /// K-FAC with the diagonal in its eigenbasis corrected (George et al. 2018).
    Ekfac,
    /// K-FAC with a block-tridiagonal inverse (Martens and Grosse 2015, §4.3).
    Tridiagonal,
}

impl KroneckerKind {
    /// The name, as in the `kind` key.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kfac => "kfac",
            Self::Kflr => "kflr",
            Self::Kfra => "kfra",
            Self::Ekfac => "ekfac",
            Self::Tridiagonal => "kfac-tridiagonal",
        }
    }
}

/// Whose output derivatives G is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LabelsConfig {
    /// Every label weighted by its probability: the exact Fisher (= Gauss–Newton) matrix.
    Type2,
    /// Labels drawn from the model: `draws` for each sample.
    Mc,
    /// The true labels: the empirical Fisher matrix.
    Empirical,
}

/// What the positions of a convolution, or of any shared weights, count as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SharingConfig {
    /// Each position as a sample.
    #[default]
    Expand,
    /// Inputs averaged and derivatives summed over the positions first.
    Reduce,
}

/// How λ enters the inverse of G ⊗ A.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DampingKind {
    /// (G + √λ/π I) ⊗ (A + π√λ I).
    Pi,
    /// (G + λI) ⊗ (A + λI).
    Factored,
    /// G ⊗ A + λI, through the eigenbases.
    Exact,
}

/// Kronecker-factored approximate curvature: K-FAC, KFLR, KFRA, EKFAC and block-tridiagonal K-FAC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KfacConfig {
    /// The base learning rate γ.
    pub learning_rate: f64,
    /// Whose derivatives G is made of: `mc` when absent. KFLR and KFRA are `type2` and take no other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelsConfig>,
    /// Labels drawn for each sample with `labels = "mc"`, at least 1.
    pub draws: usize,
    /// What the positions of shared weights count as. KFRA knows `expand` only.
    pub sharing: SharingConfig,
    /// The damping λ ≥ 0, or the first one where it adapts.
    pub damping: f64,
    /// How λ enters: `pi` when absent. In EKFAC it is added in the eigenbasis (`exact`);
    /// block-tridiagonal K-FAC takes `pi` or `factored`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damping_kind: Option<DampingKind>,
    /// p of (G ⊗ A + λI)⁻ᵖ, in (0, 1]: below 1 the fractional natural gradient (Huh 2020), of K-FAC,
    /// KFLR and KFRA, with `exact` damping. The KL clip then bounds γ² ⟨direction, gradient⟩ still,
    /// which is the divergence for p = 1 only; its learning rates lie between those of K-FAC (p = 1)
    /// and SGD (p → 0).
    #[serde(skip_serializing_if = "is_one")]
    pub power: f64,
    /// The heavy-ball momentum of the preconditioned gradient, in [0, 1).
    pub momentum: f64,
    /// The L2 coefficient, added to the gradient before preconditioning.
    pub weight_decay: f64,
    /// Mini-batches between two refreshes of the inverse factors (or eigenbases), at least 1.
    pub refresh: u64,
    /// Mini-batches between two updates of the moving averages, at least 1.
    pub factor_every: u64,
    /// The share of the old factors kept by an update of the moving averages, in [0, 1).
    pub decay: f64,
    /// κ of the KL clip; 0 switches it off.
    pub kl_clip: f64,
    /// How far a step goes.
    #[serde(skip_serializing_if = "StepLength::is_rate")]
    pub step_length: StepLength,
    /// Whether λ adapts. A changed λ enters factors that are inverted (`pi`, `factored`) at the next
    /// refresh, and eigenbases (`exact`, EKFAC) at once.
    pub adaptation: AdaptationConfig,
    /// The learning rate over the steps.
    pub schedule: ScheduleConfig,
}

fn is_one(x: &f64) -> bool {
    *x == 1.0
}

impl Default for KfacConfig {
    fn default() -> Self {
        Self {
            learning_rate: 0.01,
            labels: None,
            draws: 1,
            sharing: SharingConfig::Expand,
            damping: 0.1,
            damping_kind: None,
            power: 1.0,
            momentum: 0.9,
            weight_decay: 1e-4,
            refresh: 20,
            factor_every: 2,
            decay: 0.99,
            kl_clip: 1e-2,
            step_length: StepLength::Rate,
            adaptation: AdaptationConfig::Fixed,
            schedule: ScheduleConfig::Constant,
        }
    }
}

impl KfacConfig {
    /// The choices of core behind a member of the family with these settings.
    pub fn strategy(&self, kind: KroneckerKind) -> Strategy {
        let labels = match (kind, self.labels) {
            (KroneckerKind::Kflr | KroneckerKind::Kfra, _) | (_, Some(LabelsConfig::Type2)) => {
                Labels::Type2
            }
            (_, Some(LabelsConfig::Empirical)) => Labels::Empirical,
            _ => Labels::MonteCarlo { draws: self.draws },
        };
        Strategy {
            labels,
            propagation: match kind {
                KroneckerKind::Kfra => Propagation::Averaged,
                _ => Propagation::PerSample,
            },
            sharing: match self.sharing {
                SharingConfig::Expand => Sharing::Expand,
                SharingConfig::Reduce => Sharing::Reduce,
            },
            scaling: match kind {
                KroneckerKind::Ekfac => Scaling::Eigenvalues,
                _ => Scaling::Factors,
            },
        }
    }

    /// How λ enters.
    pub fn damping_rule(&self, kind: KroneckerKind) -> Damping {
        match (kind, self.damping_kind) {
            (KroneckerKind::Ekfac, _) | (_, Some(DampingKind::Exact)) => Damping::Exact,
            (_, Some(DampingKind::Factored)) => Damping::Factored,
            (_, None) if self.power != 1.0 => Damping::Exact,
            _ => Damping::Pi,
        }
    }

    /// The settings that `kind` leaves no choice in.
    pub(super) fn contradiction(
        &self,
        kind: KroneckerKind,
    ) -> Option<(&'static str, &'static str)> {
        use KroneckerKind::{Ekfac, Kflr, Kfra, Tridiagonal};
        let labels = self.labels.is_some_and(|labels| labels != LabelsConfig::Type2);
        let damping = self.damping_kind.is_some_and(|damping| damping != DampingKind::Exact);
        let fractional = self.power != 1.0;
        match kind {
            Ekfac | Tridiagonal if fractional => {
                Some(("power", "it takes the inverse only; leave it out, or use kfac"))
            }
            _ if fractional && damping => {
                Some(("damping_kind", "a power is taken of G ⊗ A + λI; leave it out, or use exact"))
            }
            Kflr | Kfra if labels => Some(("labels", "it is type2 by definition; leave it out")),
            Kfra if self.sharing != SharingConfig::Expand => {
                Some(("sharing", "its recursion knows expand only; leave it out"))
            }
            Ekfac if damping => {
                Some(("damping_kind", "λ is added in the eigenbasis; leave it out, or use exact"))
            }
            Tridiagonal if self.damping_kind == Some(DampingKind::Exact) => Some((
                "damping_kind",
                "λ is added to the factors; leave it out, or use pi or factored",
            )),
            _ if self.draws > 1
                && matches!(self.strategy(kind).labels, Labels::MonteCarlo { .. }) =>
            {
                None
            }
            _ if self.draws > 1 => Some(("draws", "no labels are drawn; use labels = \"mc\"")),
            _ => None,
        }
    }
}

impl Settings for KfacConfig {
    common_settings!();

    fn checks(&self) -> Vec<Check> {
        let mut checks = vec![
            count("draws", self.draws as u64),
            at_least_zero("damping", self.damping),
            ("power", self.power, self.power > 0.0 && self.power <= 1.0, "above 0 and at most 1"),
            share("momentum", self.momentum),
            count("refresh", self.refresh),
            count("factor_every", self.factor_every),
            share("decay", self.decay),
            at_least_zero("kl_clip", self.kl_clip),
        ];
        checks.extend(self.adaptation.checks());
        checks
    }
}
