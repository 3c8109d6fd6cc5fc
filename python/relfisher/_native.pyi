from os import PathLike
from typing import Any, Literal, TypeVar, final

import numpy as np
import numpy.typing as npt

_T = TypeVar("_T", np.float32, np.float64)
_Route = Literal["auto", "block", "sample", "cg", "kronecker"]

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
__version__: str

class DivergenceError(ArithmeticError): ...

@final
class Network:
    def __new__(cls, source: str | PathLike[str] | dict[str, Any]) -> Network: ...
    @property
    def layers(self) -> list[str]: ...
    @property
    def shapes(self) -> list[tuple[int, int]]: ...
    @property
    def input_shape(self) -> list[int]: ...
    @property
    def outputs(self) -> int: ...
    @property
    def parameter_count(self) -> int: ...

def quantities() -> list[str]: ...
def curvature(
    net: Network, data: dict[str, Any], options: dict[str, Any]
) -> dict[str, npt.NDArray[Any]]: ...
def kfac_factors(
    x: npt.NDArray[_T], delta: npt.NDArray[_T], positions: int = 1
) -> tuple[npt.NDArray[_T], npt.NDArray[_T]]: ...
def precondition(
    g: npt.NDArray[_T],
    a: npt.NDArray[_T],
    grad: npt.NDArray[_T],
    damping: float,
    split: Literal["pi", "factored", "exact"] = "pi",
) -> npt.NDArray[_T]: ...
def kron_apply(
    g: npt.NDArray[_T], a: npt.NDArray[_T], v: npt.NDArray[_T]
) -> npt.NDArray[_T]: ...
def nu(
    response: Literal["tanh", "sigmoid", "relu", "elu", "linear"],
    t: npt.NDArray[_T],
    *,
    leak: float = 0.0,
    smoothing: float = 0.0,
    alpha: float = 1.0,
    sigma: float = 1.0,
) -> npt.NDArray[_T]: ...
def layer_metric(x: npt.NDArray[_T], nu: npt.NDArray[_T]) -> npt.NDArray[_T]: ...
def layer_step(
    x: npt.NDArray[_T],
    nu: npt.NDArray[_T],
    grad: npt.NDArray[_T],
    damping: float,
    route: _Route = "auto",
) -> npt.NDArray[_T]: ...
def softmax_step(
    x: npt.NDArray[_T],
    eta: npt.NDArray[_T],
    grad: npt.NDArray[_T],
    damping: float,
    route: _Route = "auto",
) -> npt.NDArray[_T]: ...
def unpack(packed: npt.NDArray[_T]) -> npt.NDArray[_T]: ...
