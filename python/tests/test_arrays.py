"""What is borrowed, what is refused, and in which words."""

import re
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import relfisher

x = np.random.default_rng(5).standard_normal((8, 6))
delta = np.random.default_rng(6).standard_normal((8, 3))


def views(a):
    """The same numbers at other places: transposed, with gaps, backwards, read-only, broadcast rows."""
    gaps = np.full((a.shape[0], a.shape[1] + 3), np.nan)
    gaps[:, : a.shape[1]] = a
    wide = np.full((a.shape[0], 2 * a.shape[1]), np.nan)
    wide[:, ::2] = a
    fixed = a.copy()
    fixed.flags.writeable = False
    backwards = a[::-1, ::-1].copy()
    yield from (np.asfortranarray(a), gaps[:, : a.shape[1]], wide[:, ::2], fixed)
    yield backwards[::-1, ::-1]


def test_any_layout_gives_the_same():
    g, a = relfisher.kfac_factors(x, delta)
    step = relfisher.precondition(g, a, delta[:3, :].T @ x[:3], 0.1)
    for vx, vd in zip(views(x), views(delta)):
        np.testing.assert_array_equal(relfisher.kfac_factors(vx, vd)[1], a)
        np.testing.assert_array_equal(relfisher.nu("tanh", vx), relfisher.nu("tanh", x))
    for vg, va in zip(views(g), views(a)):
        np.testing.assert_array_equal(
            relfisher.precondition(vg, va, delta[:3, :].T @ x[:3], 0.1), step
        )


def test_curvature_reads_inputs_of_any_layout(case):
    net = relfisher.Network(case.arch)
    names = ["loss", "grad", "ggn_diag"]
    want = relfisher.curvature(net, case.weights, case.inputs, case.targets, quantities=names)
    a = case.inputs
    wide = np.full((*a.shape[:-1], a.shape[-1] + 3), np.nan)
    wide[..., : a.shape[-1]] = a
    apart = np.full((2 * len(a), *a.shape[1:]), np.nan)
    apart[::2] = a
    for view in (np.asfortranarray(a), wide[..., : a.shape[-1]], apart[::2], a[::-1].copy()[::-1]):
        targets = np.asfortranarray(case.targets)
        got = relfisher.curvature(net, case.weights, view, targets, quantities=names)
        for name in want:
            np.testing.assert_array_equal(got[name], want[name])


def test_empty_and_single_arrays():
    assert relfisher.nu("tanh", np.zeros((0, 3))).shape == (0, 3)
    assert relfisher.nu("tanh", np.array(0.0)).shape == ()
    assert relfisher.kron_apply(np.ones((1, 1)), np.ones((1, 1)), np.ones((1, 1))) == 1
    np.testing.assert_array_equal(relfisher.nu("linear", np.broadcast_to(1.0, (4, 2))), 1)


def test_inputs_are_not_copied(first_case):
    """numpy counts its buffers with tracemalloc; the compiled part would copy outside of it, so the size
    of the process is looked at as well."""
    big = np.zeros((400_000, 100))

    def resident():
        pages = Path("/proc/self/statm").read_text().split()[1]
        return int(pages) * 4096

    big += 1.0  # touched: its pages are there
    before, peak = resident(), 0
    stop = threading.Event()

    def watch():
        nonlocal peak
        while not stop.wait(0.001):
            peak = max(peak, resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    tracemalloc.start()
    relfisher.kfac_factors(big, np.ones((400_000, 1)))
    _, numpy_peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    stop.set()
    watcher.join()
    assert numpy_peak < 10e6
    assert peak - before < big.nbytes / 2


def test_the_lock_is_free_while_work_goes_on():
    g = np.eye(1200) + 0.1
    counted, done = 0, threading.Event()

    def work():
        relfisher.precondition(g, g, g, 0.1, "exact")
        done.set()

    worker = threading.Thread(target=work)
    worker.start()
    while not done.wait(0.001):
        counted += 1
    worker.join()
    assert counted > 10, "no other thread ran meanwhile"


def refused(kind, pattern, function, *args, **kwargs):
    with pytest.raises(kind) as caught:
        function(*args, **kwargs)
    assert re.search(pattern, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value) and "--" not in str(caught.value)


def test_wrong_arrays_are_refused_by_name_with_a_remedy():
    refused(ValueError, r"^x: dtype int64.*use x\.astype", relfisher.kfac_factors, x.astype(int), delta)
    refused(ValueError, r"^x: dtype >f8.*use x\.astype", relfisher.kfac_factors, x.astype(">f8"), delta)
    single = delta.astype(np.float32)
    refused(ValueError, r"^delta: dtype float32.*float64 is needed.*astype", relfisher.kfac_factors, x, single)
    refused(TypeError, r"^t: .*list.*use numpy\.asarray\(t\)", relfisher.nu, "tanh", [1.0])
    refused(ValueError, r"^x: shape \[6\].*two dimensions", relfisher.kfac_factors, x[0], delta)
    refused(ValueError, r"^delta: 5 rows for 8", relfisher.kfac_factors, x, delta[:5])
    refused(ValueError, r"^positions: .*3 positions", relfisher.kfac_factors, x, delta, 3)
    refused(ValueError, r'^response: "softplus".*use "tanh"', relfisher.nu, "softplus", x)
    refused(ValueError, r"sigma", relfisher.nu, "linear", x, sigma=0.0)
    refused(ValueError, r"^g: shape \(2, 2\)", relfisher.precondition, np.eye(2), np.eye(6), delta.T @ x, 1.0)
    refused(ValueError, r"damping", relfisher.precondition, np.eye(3), np.eye(6), delta.T @ x, -1.0)
    refused(ValueError, r"not positive definite.*larger damping", relfisher.precondition,
            np.zeros((3, 3)), np.eye(6), delta.T @ x, 0.0)
    refused(ValueError, r"^split: ", relfisher.precondition, np.eye(3), np.eye(6), delta.T @ x, 1.0, "no")
    refused(ValueError, r"^packed: 4 columns", relfisher.unpack, np.ones((1, 4)))
    refused(ValueError, r"^nu: 3 rows", relfisher.layer_metric, x, np.ones((3, 1)))
    nan = np.full((3, 6), np.nan)
    refused(ArithmeticError, r"finite|NaN", relfisher.precondition, np.eye(3), np.eye(6), nan, 1.0)
    misplaced = np.frombuffer(bytes(8 * 4 + 1), dtype=np.uint8)[1:].view(np.float64)
    refused(ValueError, r"^t: .*aligned.*t\.copy\(\)", relfisher.nu, "tanh", misplaced)


def test_wrong_calls_of_curvature_are_refused(first_case):
    net = relfisher.Network(first_case.arch)
    weights, inputs, targets = first_case.weights, first_case.inputs, first_case.targets

    def call(weights=weights, inputs=inputs, targets=targets, quantities="grad", **options):
        return relfisher.curvature(net, weights, inputs, targets, quantities=quantities, **options)

    layer = net.layers[0]
    less = {k: v for k, v in weights.items() if k != f"{layer}.bias"}
    refused(ValueError, rf'^weights: .*{layer}\.bias.*is missing', call, less)
    refused(ValueError, r"^weights: .*extra.*no layer", call, {**weights, "extra": np.ones(1)})
    single = {k: v.astype(np.float32) for k, v in weights.items()}
    refused(ValueError, r'^weights\["layers.*dtype float32, but float64.*astype', call, single)
    refused(ValueError, r"^inputs: shape .*network takes", call, inputs=inputs[:, :3])
    refused(ValueError, r"^inputs: no samples", call, inputs=inputs[:0])
    broken = inputs.copy()
    broken[1, 2] = np.inf
    refused(ValueError, r"^inputs: number 2 of sample 1 is inf", call, inputs=broken)
    refused(ValueError, r"^targets: .*integers.*astype", call, targets=targets.astype(float))
    refused(ValueError, r"^targets: .*classes for", call, targets=targets[:3])
    refused(ValueError, r"^targets: class 99", call, targets=np.full_like(targets, 99))
    refused(ValueError, r"^targets: class -1 of sample 0", call, targets=np.full_like(targets, -1))
    refused(ValueError, r"targets of the samples; give targets$", call, targets=None)
    refused(ValueError, r"^quantities: nothing: no such quantity; use one of loss,", call, quantities="nothing")
    refused(ValueError, r"labels", call, quantities="kfac_mc")
    refused(ValueError, r"^vectors: .*is missing; add it to vectors", call, quantities="matvec")
    refused(ValueError, r"^damping: ", call, damping=-1.0)
    refused(ValueError, r"^memory: ", call, memory=0.0)
    refused(ValueError, r"needs \d+ bytes", call, quantities="ggn_block", memory=1e-9)
    refused(ValueError, r"^batch: ", call, batch=0)
    refused(ValueError, r"threads", call, threads=0)
    refused(ValueError, r"^dtype: int32; use", call, dtype="int32")
    huge = {k: v * 1e10 for k, v in weights.items()}
    refused(relfisher.DivergenceError, r"not finite; check the weights", call, huge, inputs * 1e300)


def test_wrong_networks_are_refused():
    refused(ValueError, r"nowhere\.json: cannot read", relfisher.Network, "nowhere.json")
    refused(TypeError, r"^source: ", relfisher.Network, 3)
    arch = {"input_shape": [2], "loss": {"type": "mse"}}
    layers = [{"type": "linear", "in": 3, "out": 1, "param": "a"}]
    refused(ValueError, r"^source: layers\[0\]", relfisher.Network, {**arch, "layers": layers})


def test_a_network_describes_itself():
    layers = [{"type": "linear", "in": 2, "out": 3, "param": "a"}, {"type": "tanh"}]
    net = relfisher.Network({"input_shape": [2], "loss": {"type": "mse"}, "layers": layers})
    assert (net.layers, net.shapes, net.input_shape) == (["a"], [(3, 3)], [2])
    assert (net.outputs, net.parameter_count) == (3, 9)
    assert "a linear 3×3" in repr(net)
    assert "kfac_type2" in relfisher.quantities()


def test_threads_and_batches_change_nothing_beyond_rounding(first_case):
    net = relfisher.Network(first_case.arch)
    arrays = (first_case.weights, first_case.inputs, first_case.targets)
    names = ["grad", "kfac_emp", "ggn_diag"]
    one, two = (relfisher.curvature(net, *arrays, quantities=names, threads=t) for t in (1, 2))
    small = relfisher.curvature(net, *arrays, quantities=names, batch=3)
    for name, want in one.items():
        np.testing.assert_array_equal(two[name], want)
        np.testing.assert_allclose(small[name], want, rtol=1e-11, atol=1e-14)


def test_a_forked_process_computes_too():
    import multiprocessing

    relfisher.kfac_factors(x, delta)  # the threads of this process are there
    with multiprocessing.get_context("fork").Pool(1) as pool:
        got = pool.apply_async(relfisher.kfac_factors, (x, delta)).get(timeout=60)
    np.testing.assert_array_equal(got[1], relfisher.kfac_factors(x, delta)[1])
