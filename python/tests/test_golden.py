"""`curvature` against the golden cases, in both precisions."""

import numpy as np
import pytest

import relfisher

# As in the Rust tests: 1e-9, behind a damped solve 1e-8.
DOUBLE, SOLVE = 1e-9, 1e-8
# Multiples of ε = 2⁻²³ by class, those of accuracy/src/golden/tolerance.rs; there damped solves are
# bounded by their condition, which is not repeated here: they are compared in f64.
SINGLE = {"loss": 16, "output": 16, "per_sample_loss": 16, "grad": 32, "per_sample_grad": 32}
SINGLE |= {"per_sample_grad_sqnorm": 32}
SINGLE |= dict.fromkeys(["ggn_block_trace_fro", "ef_block_trace_fro", "hess_block_trace_fro"], 512)
SINGLE |= dict.fromkeys(["kfac", "kfac_type2", "kfac_emp", "kfac_mc", "kflr", "kfra", "rfim"], 64)
SINGLE |= {f"kfac_reduce{s}": 64 for s in ("", "_type2", "_emp", "_mc")}
SINGLE |= dict.fromkeys(["ekfac_type2", "ekfac_emp", "ekfac_type2_probe", "ekfac_emp_probe"], 256)
OTHER = 128

# A alone is written with any of its family.
WITH = {"kfac": "kfac_type2", "kfac_reduce": "kfac_reduce_type2"}


def head(name):
    return name.split(".")[0].split("_damp")[0]


def is_solve(name):
    return "precond" in name or name.startswith("natgrad")


def wanted(case):
    names = {}
    for name in case.expected:
        if not name.startswith(("matvec.v.", "probe.", "backpack_")):
            names[name] = WITH.get(head(name), head(name))
    return names


# An eigenvalue moves with the norm of the matrix: the other end of the spectrum counts too.
ENDS = {"hess_top10": "hess_bottom5", "hess_bottom5": "hess_top10"}


def relative(got, want, other=0.0):
    scale = max(np.abs(want).max(), np.abs(other).max())
    return np.abs(np.asarray(got, dtype=np.float64) - want).max() / (scale if scale > 0 else 1.0)


def operator(tensors, quantity, layer):
    """An EKFAC block applied to fixed vectors: the bases are unique only up to sign and rotation."""
    qa, qg, scale = (
        np.asarray(tensors[f"{quantity}.{part}.{layer}"], dtype=np.float64)
        for part in ("QA", "QG", "lambda")
    )
    v = np.random.default_rng(7).standard_normal(scale.shape)
    return qg @ (scale * (qg.T @ v @ qa)) @ qa.T


def measure(case, dtype, names):
    return relfisher.curvature(
        relfisher.Network(case.arch),
        case.weights,
        case.inputs,
        case.targets,
        case.labels,
        quantities=sorted(set(names.values())),
        damping=[1e-3, 1e-1],
        vectors=case.vectors(),
        dtype=dtype,
    )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_tensor_of_a_case(case, dtype):
    names = wanted(case)
    if dtype == "float32":
        names = {name: q for name, q in names.items() if not is_solve(name)}
    got = measure(case, dtype, names)
    compared = 0
    for name, quantity in names.items():
        assert got[name].dtype == dtype and np.isfinite(got[name]).all(), name
        assert got[name].shape == case.expected[name].shape, name
        bound = SINGLE.get(head(name), OTHER) * 2.0**-23
        if dtype == "float64":
            bound = SOLVE if is_solve(name) else DOUBLE
        if quantity in ("ekfac_type2", "ekfac_emp"):
            layer = name.split(".", 2)[2]
            error = relative(*(operator(t, quantity, layer) for t in (got, case.expected)))
        else:
            other = case.expected.get(ENDS.get(name), np.zeros(1))
            error = relative(got[name], case.expected[name], other)
        assert error <= bound, f"{name}: {error:.2e} above {bound:.2e}"
        compared += 1
    assert compared > 3
