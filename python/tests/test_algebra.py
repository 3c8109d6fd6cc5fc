"""The single formulas against numpy: dense matrices, sums over samples, no formula twice."""

import numpy as np
import pytest

import relfisher

rng = np.random.default_rng(3)


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)


def close(got, want, dtype, factor=64):
    assert got.dtype == dtype
    assert got.shape == want.shape
    bound = factor * np.finfo(dtype).eps * max(1.0, np.abs(want).max())
    assert np.abs(got - want).max() <= bound, np.abs(got - want).max() / bound


def draw(*shape, dtype):
    """Numbers of the dtype, and the same numbers in double precision for the oracle."""
    x = rng.standard_normal(shape).astype(dtype)
    return x, x.astype(np.float64)


def positive(n, dtype):
    root = rng.standard_normal((n, n))
    a = (root @ root.T / n + np.eye(n)).astype(dtype)
    return a, a.astype(np.float64)


def test_kfac_factors_are_means_of_outer_products(dtype):
    x, x64 = draw(12, 5, dtype=dtype)
    delta, delta64 = draw(24, 3, dtype=dtype)
    g, a = relfisher.kfac_factors(x, delta, positions=4)
    close(a, sum(np.outer(row, row) for row in x64) / 12, dtype)
    close(g, sum(np.outer(row, row) for row in delta64) / 3, dtype)


@pytest.mark.parametrize("damping", [1e-2, 3.0])
def test_precondition_solves_the_dense_system(dtype, damping):
    (g, g64), (a, a64) = positive(4, dtype), positive(6, dtype)
    v, v64 = draw(4, 6, dtype=dtype)
    pi = np.sqrt((np.trace(a64) / 6) / (np.trace(g64) / 4))
    root = np.sqrt(damping)
    eye_g, eye_a = np.eye(4), np.eye(6)
    systems = {
        "exact": np.kron(g64, a64) + damping * np.eye(24),
        "factored": np.kron(g64 + damping * eye_g, a64 + damping * eye_a),
        "pi": np.kron(g64 + root / pi * eye_g, a64 + pi * root * eye_a),
    }
    for split, system in systems.items():
        want = np.linalg.solve(system, v64.ravel()).reshape(4, 6)
        close(relfisher.precondition(g, a, v, damping, split), want, dtype, 256)
    want = np.linalg.solve(systems["pi"], v64.ravel()).reshape(4, 6)
    close(relfisher.precondition(g, a, v, damping), want, dtype, 256)


def test_kron_apply_is_the_dense_product(dtype):
    (g, g64), (a, a64), (v, v64) = (draw(*s, dtype=dtype) for s in ((2, 4), (3, 5), (4, 5)))
    want = (np.kron(g64, a64) @ v64.ravel()).reshape(2, 3)
    close(relfisher.kron_apply(g, a, v), want, dtype)


def fisher(outcomes, log_p, t):
    """E[(∂ ln p/∂t)²] by central differences over all outcomes of a binary response."""
    h = 1e-5
    score = lambda y: (log_p(y, t + h) - log_p(y, t - h)) / (2 * h)
    return sum(np.exp(log_p(y, t)) * score(y) ** 2 for y in outcomes)


def test_nu_is_the_fisher_information_of_the_response(dtype):
    t, t64 = draw(3, 7, dtype=dtype)
    tolerance = 1e-8 if dtype == np.float64 else 1e-6
    tanh = fisher([-1, 1], lambda y, t: -np.log1p(np.exp(-2 * y * t)), t64)
    sigmoid = fisher([-1, 1], lambda y, t: -np.log1p(np.exp(-y * t)), t64)
    for name, want in [("tanh", tanh), ("sigmoid", sigmoid)]:
        got = relfisher.nu(name, t)
        assert got.dtype == dtype
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)
    # Gaussian around f(t): (f′/σ)², f′ by central differences.
    smooth = lambda t: 0.5 * np.logaddexp(0.1 * t / 0.5, t / 0.5)
    elu = lambda t: np.where(t >= 0, t, 0.7 * np.expm1(t))
    for name, f, with_ in [
        ("relu", smooth, dict(leak=0.1, smoothing=0.5, sigma=2.0)),
        ("elu", elu, dict(alpha=0.7, sigma=2.0)),
        ("linear", lambda t: t, dict(sigma=2.0)),
    ]:
        slope = (f(t64 + 1e-6) - f(t64 - 1e-6)) / 2e-6
        got = relfisher.nu(name, t, **with_)
        np.testing.assert_allclose(got, (slope / 2) ** 2, rtol=1e-6, atol=1e-7)
    assert relfisher.nu("relu", np.zeros(1, dtype))[0] == 1


def layer(dtype, n=9, m=3, d=4):
    x, x64 = draw(n, d, dtype=dtype)
    nu = rng.uniform(0.1, 1, (n, m)).astype(dtype)
    nu64 = nu.astype(np.float64)
    blocks = np.einsum("si,sa,sb->iab", nu64, x64, x64) / n
    return x, nu, blocks


def test_layer_metric_is_the_mean_of_weighted_outer_products(dtype):
    x, nu, blocks = layer(dtype)
    packed = relfisher.layer_metric(x, nu)
    rows, cols = np.tril_indices(4)
    close(packed, blocks[:, rows, cols], dtype)
    close(relfisher.unpack(packed), blocks, dtype)


@pytest.mark.parametrize("route", ["auto", "block", "sample", "cg"])
def test_layer_step_solves_the_dense_blocks(dtype, route):
    x, nu, blocks = layer(dtype)
    grad, grad64 = draw(3, 4, dtype=dtype)
    want = np.stack([np.linalg.solve(b + 0.1 * np.eye(4), g) for b, g in zip(blocks, grad64)])
    # The stopping rule of conjugate gradients bounds the residual, not the error.
    factor = 256 if route != "cg" else 2048
    close(relfisher.layer_step(x, nu, grad, 0.1, route), want, dtype, factor)


@pytest.mark.parametrize("route", ["auto", "block", "sample"])
def test_softmax_step_solves_the_dense_block(dtype, route):
    x, x64 = draw(9, 4, dtype=dtype)
    logits = rng.standard_normal((9, 3))
    eta = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(dtype)
    eta64 = eta.astype(np.float64)
    outer = [np.diag(p) - np.outer(p, p) for p in eta64]
    block = sum(np.kron(r, np.outer(row, row)) for r, row in zip(outer, x64)) / 9
    grad, grad64 = draw(3, 4, dtype=dtype)
    want = np.linalg.solve(block + 0.1 * np.eye(12), grad64.ravel()).reshape(3, 4)
    close(relfisher.softmax_step(x, eta, grad, 0.1, route), want, dtype, 256)
