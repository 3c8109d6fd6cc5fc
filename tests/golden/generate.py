#!/usr/bin/env python3
"""Writes the cases x*_ of this folder, from the definitions in definitions.py.

    generate.py                  writes every case beside this file
    generate.py curvature ARGS   answers the command line of `relfisher curvature`, so that the
                                 definitions can be checked on the cases of other packages:
                                 cargo ci golden --program tests/golden/generate.py

Ran with the versions that README.md names.
"""

import argparse
import json
import pathlib
import platform
import sys

import jax
import numpy as np
from safetensors.numpy import load_file, save_file

import definitions as define
from cases import CASES

HERE = pathlib.Path(__file__).resolve().parent
DAMPINGS = ("1e-3", "1e-1")


def quantities(d, vectors, dampings):
    """Every tensor of expected.safetensors by name, inputs of the program left out."""
    thetas = d.thetas
    out = {
        "loss": d.losses.mean().reshape(1),
        "output": d.output,
        "per_sample_loss": d.losses,
        "trace.ggn_hess_ef": np.array([np.trace(d.operators[k]) for k in ("ggn", "hess", "ef")]),
    }
    spectra = {kind: np.linalg.eigvalsh(d.operators[kind]) for kind in ("ggn", "hess")}
    out["ggn_top10"] = spectra["ggn"][::-1][:10].copy()
    out["hess_top10"] = spectra["hess"][::-1][:10].copy()
    out["hess_bottom5"] = spectra["hess"][:5].copy()
    whole = np.concatenate([vectors[f"matvec.v.{p}"].reshape(thetas[p].size, -1) for p in d.params])
    kfra = define.kfra(d)
    for param in d.params:
        shape, where = thetas[param].shape, d.slice(param)
        grad = d.gradient[where].reshape(shape)
        out[f"grad.{param}"] = grad
        out[f"per_sample_grad.{param}"] = d.gradients[:, where].reshape(-1, *shape)
        out[f"per_sample_grad_sqnorm.{param}"] = (d.gradients[:, where] ** 2).sum(axis=1)
        for kind, operator in d.operators.items():
            block = operator[where, where]
            out[f"{kind}_block.{param}"] = block
            out[f"{kind}_block_probe.{param}"] = block @ vectors[f"probe.{param}"]
            norms = [np.trace(block), np.linalg.norm(block)]
            out[f"{kind}_block_trace_fro.{param}"] = np.array(norms)
            out[f"{kind}_diag.{param}"] = np.diagonal(block).reshape(shape)
            out[f"matvec.{kind}.{param}"] = (operator @ whole)[where].reshape(*shape, -1)
            for lam in dampings if kind != "hess" else ():
                step = define.solve(block, grad.reshape(-1), float(lam))
                out[f"natgrad_{kind}_damp{lam}.{param}"] = step.reshape(shape)
        if d.dense(param):
            kronecker(out, d, param, grad, vectors, dampings)
        if param in kfra:
            nobias = d.inputs[param][:, 0, : d.layers[param]["in"]]
            for name, g in (("kflr", out[f"kfac_type2.G.{param}"]), ("kfra", kfra[param])):
                out[f"{name}.A_nobias.{param}"] = nobias.T @ nobias / d.n
                out[f"{name}.G.{param}"] = g
    return out


def kronecker(out, d, param, grad, vectors, dampings):
    """The factors of a layer and what follows from them."""
    where = d.slice(param)
    for form, prefix in (("expand", "kfac"), ("reduce", "kfac_reduce")):
        a, gs = define.factors(d, param, form)
        out[f"{prefix}.A.{param}"] = a
        for kind, g in gs.items():
            out[f"{prefix}_{kind}.G.{param}"] = g
        for lam in dampings:
            steps = define.damped_kronecker(a, gs["type2"], grad, float(lam))
            for name, step in steps.items():
                out[f"{prefix}_type2_precond_{name}_damp{lam}.{param}"] = step
    a, gs = define.factors(d, param, "expand")
    for kind, block in (("type2", d.ggn[where, where]), ("emp", d.ef[where, where])):
        q_a, q_g, moments = define.eigenform(a, gs[kind], block)
        q = np.kron(q_g, q_a)
        out[f"ekfac_{kind}.QA.{param}"] = q_a
        out[f"ekfac_{kind}.QG.{param}"] = q_g
        out[f"ekfac_{kind}.lambda.{param}"] = moments
        probe = q.T @ vectors[f"probe.{param}"]
        out[f"ekfac_{kind}_probe.{param}"] = q @ (moments.reshape(-1, 1) * probe)
        for lam in dampings:
            inner = (q.T @ grad.reshape(-1)) / (moments.reshape(-1) + float(lam))
            step = (q @ inner).reshape(grad.shape)
            out[f"ekfac_{kind}_precond_damp{lam}.{param}"] = step


def join(weight, bias):
    """W~ (m, d~) of a layer's tensors."""
    rows = weight.reshape(len(weight), -1)
    return rows if bias is None else np.concatenate([rows, bias[:, None]], axis=1)


def load(arch, tensors, dtype):
    """The network with its running statistics, and theta by layer."""
    net, thetas = {**arch, "stats": {}}, {}
    tensors = {name: tensor.astype(dtype) for name, tensor in tensors.items()}
    for layer in arch["layers"]:
        param = layer.get("param")
        if param is None:
            continue
        thetas[param] = join(tensors[f"{param}.weight"], tensors.get(f"{param}.bias"))
        if layer["type"] == "batchnorm":
            net["stats"][param] = (
                tensors[f"{param}.running_mean"],
                tensors[f"{param}.running_var"],
            )
    return net, thetas


def peer(arguments):
    """Answers like the program; writes all that is defined, whatever --quantity says."""
    parser = argparse.ArgumentParser()
    for name in ("net", "weights", "inputs", "targets", "labels", "quantity", "vectors", "out"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--damping", default=",".join(DAMPINGS))
    parser.add_argument("--dtype", default="f64")
    a = parser.parse_args(arguments)
    dtype = {"f64": np.float64, "f32": np.float32}[a.dtype]
    arch = json.loads(pathlib.Path(a.net).read_text())
    net, thetas = load(arch, load_file(a.weights), dtype)
    cast = lambda v: v if v.dtype.kind == "i" else v.astype(dtype)
    x, y, y_mc = (cast(np.load(file)) for file in (a.inputs, a.targets, a.labels or a.targets))
    vectors = {name: cast(v) for name, v in load_file(a.vectors).items()}
    out = quantities(define.Derivatives(net, thetas, x, y, y_mc), vectors, a.damping.split(","))
    if "rfim" in a.quantity.split(","):
        out |= {f"rfim.{p}": m for p, m in define.rfim(net, thetas, x).items()}
    save_file({name: np.ascontiguousarray(v, dtype) for name, v in out.items()}, a.out)


# Writing cases.


def draw_model(case, rng):
    """Tensors of the model: weights of variance 1/d, biases of variance 1/4, statistics."""
    tensors = {}
    for layer in case["layers"]:
        param = layer.get("param")
        if define.weighted(layer):
            if layer["type"] == "linear":
                shape = (layer["out"], layer["in"])
            else:
                inputs = layer["in_channels"] // layer["groups"]
                shape = (layer["out_channels"], inputs, *layer["kernel"])
            tensors[f"{param}.weight"] = rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
            if layer.get("bias", True):
                tensors[f"{param}.bias"] = 0.5 * rng.normal(size=shape[0])
        elif layer["type"] == "batchnorm":
            c = layer["features"]
            tensors[f"{param}.weight"] = 1 + 0.3 * rng.normal(size=c)
            tensors[f"{param}.bias"] = 0.5 * rng.normal(size=c)
            tensors[f"{param}.running_mean"] = 0.3 * rng.normal(size=c)
            tensors[f"{param}.running_var"] = rng.uniform(0.4, 1.6, size=c)
    for name, rows in case.get("zero_rows", {}).items():
        tensors[f"{name}.weight"][rows] = 0
        tensors[f"{name}.bias"][rows] = 0
    return tensors


def draw_labels(arch, f, rng):
    """Labels from the model's own predictive distribution."""
    kind = arch["loss"]["type"]
    if kind == "softmax_cross_entropy":
        p = np.exp(f - f.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        return (p.cumsum(axis=1) < rng.uniform(size=(len(f), 1))).sum(axis=1).astype(np.int64)
    if kind == "mse":
        sigma = np.sqrt(1 / (2 * arch["loss"].get("scale", 0.5)))
        return f + sigma * rng.normal(size=f.shape)
    return (rng.uniform(size=f.shape) < 1 / (1 + np.exp(-f))).astype(np.float64)


def kink_distance(net, thetas, x, allow_zero):
    """The least distance of a pre-activation from a kink, and of two candidates of a maximum."""
    least = np.inf
    for sample in x:
        taps = {}
        define.forward(net, thetas, sample, taps=taps)
        for index, layer in enumerate(net["layers"]):
            t = np.array(taps[index])
            if layer["type"] in ("relu", "elu"):
                t = np.abs(t[t != 0] if allow_zero else t)
                least = min(least, t.min(initial=np.inf))
            elif layer["type"] == "maxpool2d":
                pads = layer["kernel"], layer["stride"], layer["padding"], (1, 1), -np.inf
                cut = np.sort(np.array(define.windows(t, *pads)).reshape(-1, np.prod(pads[0])))
                # A tie of zeros behind a relu has no derivative to share out.
                cut = cut[cut[:, -1] > 0]
                least = min(least, (cut[:, -1] - cut[:, -2]).min(initial=np.inf))
    return float(least)


def turn(d, expected, vectors):
    """How far the EKFAC operators move when the factors move by 1e-13 of their size: a large number
    tells eigenvalues too near to one another for the operator to be unique."""
    rng, worst = np.random.default_rng(7), 0.0
    for param in filter(d.dense, d.params):
        where = d.slice(param)
        for kind, operator in (("type2", d.ggn), ("emp", d.ef)):
            pair = []
            for name in (f"kfac.A.{param}", f"kfac_{kind}.G.{param}"):
                noise = rng.normal(size=expected[name].shape)
                size = 1e-13 * np.abs(expected[name]).max()
                pair.append(expected[name] + size * (noise + noise.T))
            q_a, q_g, moments = define.eigenform(*pair, operator[where, where])
            q = np.kron(q_g, q_a)
            got = q @ (moments.reshape(-1, 1) * (q.T @ vectors[f"probe.{param}"]))
            want = expected[f"ekfac_{kind}_probe.{param}"]
            worst = max(worst, np.abs(got - want).max() / np.abs(want).max())
    return float(worst)


def write(name, case):
    """One case."""
    arch = {"name": name, **{k: case[k] for k in ("input_shape", "layers", "loss", "seed")}}
    arch |= {"n_samples": case["n_samples"], "dtype": "float64"}
    n, attempt = case["n_samples"], 0
    while True:
        rng = np.random.default_rng([case["seed"], attempt])
        tensors = draw_model(case, rng)
        net, thetas = load(arch, tensors, np.float64)
        x = rng.normal(size=(n, *case["input_shape"]))
        distance = kink_distance(net, thetas, x, "zero_rows" in case)
        if distance > 1e-3:
            break
        attempt += 1
    f = np.array(jax.vmap(lambda s: define.forward(net, thetas, s))(x))
    y, y_mc = (draw_labels(arch, 0.5 * f, rng), draw_labels(arch, f, rng))
    vectors = {}
    for param, theta in thetas.items():
        vectors[f"matvec.v.{param}"] = rng.normal(size=(*theta.shape, 3))
        vectors[f"probe.{param}"] = rng.normal(size=(theta.size, 6))
    d = define.Derivatives(net, thetas, x, y, y_mc)
    expected = quantities(d, vectors, DAMPINGS)
    checks = checked(d, expected)
    checks["kink_distance"] = distance if np.isfinite(distance) else None
    checks["ekfac_turn"] = turn(d, expected, vectors)
    if case.get("rfim"):
        expected |= {f"rfim.{p}": m for p, m in define.rfim(net, thetas, x).items()}
    shared = any(s.shape[2] > 1 for s in d.jacobian_z.values())
    dropped = case.get("omit", ()) + (() if shared else ("kfac_reduce",))
    expected = {k: v for k, v in expected.items() if not k.startswith(dropped)}
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    (folder / "arch.json").write_text(json.dumps(arch, indent=1) + "\n")
    assert all(np.isfinite(v).all() for v in expected.values()), name
    for file, content in (("model", tensors), ("expected", expected | vectors)):
        content = {k: np.ascontiguousarray(v) for k, v in content.items()}
        save_file(content, folder / f"{file}.safetensors")
    for file, array in (("x", x), ("y", y), ("y_mc", y_mc)):
        np.save(folder / f"{file}.npy", array)
    provenance = {
        "versions": {
            "python": platform.python_version(),
            "jax": jax.__version__,
            "numpy": np.__version__,
        },
        "attempt": attempt,
        "checks": checks,
    }
    (folder / "provenance.json").write_text(json.dumps(provenance, indent=1) + "\n")
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{name:28} {sum(t.size for t in thetas.values()):4} parameters, {size // 1024:4} KiB,"
          f" attempt {attempt}, checks {json.dumps(checks)}")


def checked(d, expected):
    """Identities between quantities that were computed apart."""
    relative = lambda got, want: float(np.abs(got - want).max() / max(np.abs(want).max(), 1e-300))
    worst = {"mean_gradient": relative(d.gradients.mean(axis=0), d.gradient)}
    worst["hessian_symmetry"] = relative(d.hessian, d.hessian.T)
    for param in d.params:
        if not d.dense(param):
            continue
        # The gradient of W~ is the sum over positions of (gradient of z) x~.
        outer = np.einsum("ntm,ntd->nmd", d.gradient_z[param], d.inputs[param])
        error = relative(outer, expected[f"per_sample_grad.{param}"])
        worst["patches"] = max(worst.get("patches", 0.0), error)
    assert all(error < 1e-12 for error in worst.values()), worst
    return worst


def main():
    if sys.argv[1:2] == ["curvature"]:
        return peer(sys.argv[2:])
    for name, case in CASES.items():
        write(name, case)


if __name__ == "__main__":
    main()
