"""The call that needs many arguments: their defaults, and the one conversion that a caller can ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _native

_DTYPES = {"f32": "float32", "f64": "float64"}


def curvature(
    net: _native.Network,
    weights: Mapping[str, npt.NDArray[Any]],
    inputs: npt.NDArray[Any],
    targets: npt.NDArray[Any] | None = None,
    labels: npt.NDArray[Any] | None = None,
    *,
    quantities: str | Sequence[str],
    damping: float | Sequence[float] = 1e-3,
    vectors: Mapping[str, npt.NDArray[Any]] | None = None,
    dtype: npt.DTypeLike | None = None,
    batch: int = 512,
    threads: int | None = None,
    memory: float | None = None,
) -> dict[str, npt.NDArray[Any]]:
    """Curvature of a network on data: exact blocks, K-FAC, KFLR, KFRA, EKFAC, damped steps, products.

    Parameters
    ----------
    net
        The network.
    weights
        ``<layer>.weight`` (m, d) or (m, c/groups, kh, kw) and ``<layer>.bias`` (m); of a batch
        normalisation also ``.running_mean`` and ``.running_var``. They are copied.
    inputs
        (samples, *net.input_shape) of float32 or float64; borrowed when every sample lies in one piece.
    targets
        Classes (integers, samples) for soft-max cross-entropy, else (samples, outputs) of the dtype of
        the inputs.
    labels
        Labels drawn from the model, for the ``mc`` quantities; like the targets.
    quantities
        A name or several, of :func:`relfisher.quantities`.
    damping
        λ of the damped steps, or several.
    vectors
        ``matvec.v.<layer>`` (m, d̃, k) for ``matvec``, ``probe.<layer>`` (m·d̃, k) for ``…_probe``.
    dtype
        ``"float32"`` or ``"float64"``: the floating-point arrays are converted to it. By default all of
        them must have the dtype of the inputs, which is that of the results.
    batch
        The samples that are held at once: bounds the memory, changes results by rounding only.
    threads
        All processors by default; the results do not depend on it.
    memory
        The most GiB that one quantity may need; nine tenths of what is free by default.

    Returns
    -------
    dict
        ``<quantity>.<layer>`` or, for the whole network, ``<quantity>``. A damping λ is in the name as
        ``damp1e-3``.

    Raises
    ------
    ValueError
        An array or a name that cannot be used, a singular matrix without damping, too little memory: the
        argument and the remedy.
    DivergenceError
        The computation left the finite numbers.
    """
    arrays = {
        "weights": dict(weights),
        "inputs": inputs,
        "targets": targets,
        "labels": labels,
        "vectors": None if vectors is None else dict(vectors),
    }
    if dtype is not None:
        arrays = _converted(arrays, dtype)
    options = {
        "quantities": [quantities] if isinstance(quantities, str) else list(quantities),
        "damping": [float(x) for x in np.atleast_1d(np.asarray(damping, dtype=float))],
        "batch": batch,
        "threads": threads,
        "memory": memory,
    }
    return _native.curvature(net, arrays, options)


def _converted(arrays: dict[str, Any], dtype: npt.DTypeLike) -> dict[str, Any]:
    wanted = np.dtype(_DTYPES.get(dtype, dtype) if isinstance(dtype, str) else dtype)
    if wanted not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ValueError(f"dtype: {wanted}; use float32 or float64")

    def convert(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: convert(array) for name, array in value.items()}
        floating = isinstance(value, np.ndarray) and value.dtype in (np.float32, np.float64)
        return value.astype(wanted, copy=False) if floating else value

    return {name: convert(value) for name, value in arrays.items()}
