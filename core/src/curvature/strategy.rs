//! The choices behind the names of the Kronecker-factored methods.

/// Whose columns are sent back from the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    /// Every label weighted by its probability: the exact square root of the loss Hessian, m columns
    /// (type-2 Fisher; KFLR).
    Type2,
    /// Gradients for labels drawn from the model, their mean over the draws.
    MonteCarlo {
        /// How many labels are drawn for each sample, at least 1.
        draws: usize,
    },
    /// The gradient for the true label (empirical Fisher).
    Empirical,
}

impl Labels {
    /// How many columns a sample of `outputs` outputs sends back.
    ///
    /// ```
    /// use relfisher_core::curvature::Labels;
    /// assert_eq!(Labels::Type2.columns(10), 10);
    /// assert_eq!(Labels::MonteCarlo { draws: 3 }.columns(10), 3);
    /// assert_eq!(Labels::Empirical.columns(10), 1);
    /// ```
    #[inline]
    pub const fn columns(self, outputs: usize) -> usize {
        match self {
            Labels::Type2 => outputs,
            Labels::MonteCarlo { draws } => draws,
            Labels::Empirical => 1,
        }
    }
}

/// How the output factor of a layer comes from the one above.
/// ```
/// use relfisher_core::curvature::{Propagation, Strategy};
/// assert_eq!(Strategy::KFRA.propagation, Propagation::Averaged);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// Columns of every sample go back, their outer products are averaged in each layer (K-FAC, KFLR).
    PerSample,
    /// The averaged factor itself goes back, `(WᵀGW) ∘ E[bbᵀ]` (KFRA): one m × m matrix a layer.
    Averaged,
}

/// What the positions of a convolution (or any shared weight) count as.
/// ```
/// use relfisher_core::curvature::{Sharing, Strategy};
/// assert_eq!(Strategy::KFC_REDUCE.sharing, Sharing::Reduce);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Each position as a sample: A averages over samples and positions, G sums over positions (KFC).
    Expand,
    /// Inputs averaged and gradients summed over positions before the outer products.
    Reduce,
}

/// What stands on the diagonal in the Kronecker eigenbasis.
/// ```
/// use relfisher_core::curvature::{Scaling, Strategy};
/// assert_eq!(Strategy::EKFAC, Strategy { scaling: Scaling::Eigenvalues, ..Strategy::KFAC_TYPE2 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scaling {
    /// The products of the factors' eigenvalues: G ⊗ A itself (K-FAC).
    Factors,
    /// The second moments of the gradient along each basis vector (EKFAC).
    Eigenvalues,
}

/// A Kronecker-factored approximation of a layer's block, as four choices.
///
/// ```
/// use relfisher_core::curvature::{Labels, Strategy};
/// let sampled = Strategy { labels: Labels::MonteCarlo { draws: 4 }, ..Strategy::EKFAC };
/// assert_ne!(sampled, Strategy::EKFAC);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strategy {
    /// Whose columns are sent back.
    pub labels: Labels,
    /// How factors go from layer to layer.
    pub propagation: Propagation,
    /// What positions of shared weights count as.
    pub sharing: Sharing,
    /// What stands on the diagonal.
    pub scaling: Scaling,
}

impl Strategy {
    /// K-FAC with one label drawn from the model for each sample (Martens and Grosse 2015).
    pub const KFAC_MC: Self = Self {
        labels: Labels::MonteCarlo { draws: 1 },
        propagation: Propagation::PerSample,
        sharing: Sharing::Expand,
        scaling: Scaling::Factors,
    };
    /// K-FAC with the expectation over labels taken exactly.
    pub const KFAC_TYPE2: Self = Self { labels: Labels::Type2, ..Self::KFAC_MC };
    /// K-FAC of the empirical Fisher matrix.
    pub const KFAC_EMPIRICAL: Self = Self { labels: Labels::Empirical, ..Self::KFAC_MC };
    /// Kronecker-factored low rank (Botev et al. 2017): the exact root of the loss Hessian sent back.
    /// The same numbers as [`Strategy::KFAC_TYPE2`] for the losses of [`OutputLoss`](super::OutputLoss).
    pub const KFLR: Self = Self::KFAC_TYPE2;
    /// Kronecker-factored recursive approximation (Botev et al. 2017).
    pub const KFRA: Self = Self { propagation: Propagation::Averaged, ..Self::KFAC_TYPE2 };
    /// K-FAC with the diagonal in its eigenbasis corrected (George et al. 2018).
    pub const EKFAC: Self = Self { scaling: Scaling::Eigenvalues, ..Self::KFAC_TYPE2 };
    /// Convolutions with every position a sample (Grosse and Martens 2016).
    pub const KFC_EXPAND: Self = Self::KFAC_TYPE2;
    /// Convolutions with positions reduced first (Eschenhagen et al. 2023).
    pub const KFC_REDUCE: Self = Self { sharing: Sharing::Reduce, ..Self::KFAC_TYPE2 };
}
