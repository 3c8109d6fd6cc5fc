//! Data and initial weights of the experiments (`tests/autoencoder.rs`).

use super::Bound::*;
use super::Dtype::*;
use super::Oracle::*;
use super::{Entry, entry};

pub(super) const ENTRIES: &[Entry] = &[
    entry(
        "curve image",
        Definition,
        Both,
        Fixed(3.1e-3),
        "a chord of 1/100 leaves the curve by |B''|/8e4 <= 3.1e-3 pixels (B'' <= 249 in the square), \
         times the pen's steepest slope 0.87; and the pen stops where it is 3.4e-4",
    ),
    entry(
        "sparse weights",
        MonteCarlo,
        F64,
        Fixed(0.09),
        "5 sigma: mean 0.053 and variance 0.075 of 9,000 draws, share 0.088 of 600 choices of p = 1/4",
    ),
];
