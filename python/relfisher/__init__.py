"""Curvature of neural networks on numpy arrays.

``curvature`` measures a network that is given as a network file and a dictionary of weights; the other
functions are single formulas. Conventions: a batch is row-major, one sample a row; the bias input comes
last, x̃ = [x ; 1]; the parameters of a layer are [W | b], shape (m, d̃), vec is row-major, a Kronecker
block is G ⊗ A, and every curvature is the mean over the samples.
"""

from ._curvature import curvature
from ._native import (
    DivergenceError,
    Network,
    __version__,
    kfac_factors,
    kron_apply,
    layer_metric,
    layer_step,
    nu,
    precondition,
    quantities,
    softmax_step,
    unpack,
)

__all__ = [
    "DivergenceError",
    "Network",
    "__version__",
    "curvature",
    "kfac_factors",
    "kron_apply",
    "layer_metric",
    "layer_step",
    "nu",
    "precondition",
    "quantities",
    "softmax_step",
    "unpack",
]
