"""Curvature of small networks from its definitions: jax derivatives, dense matrices, enumeration.

Nothing here is fast and nothing is clever: Jacobians and Hessians are those of jax, every matrix is
formed whole, an expectation is a sum over all outcomes. Conventions: CONVENTIONS.md and README.md.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)


# The network, one sample at a time.


def windows(image, kernel, stride, padding, dilation, fill):
    """The windows of an image (c, h, w): (c, positions y, positions x, kh, kw)."""
    rows = [(0, 0)] + [(p, p) for p in padding]
    padded = jnp.pad(image, rows, constant_values=fill)
    index = []
    for axis in (0, 1):
        reach = dilation[axis] * (kernel[axis] - 1) + 1
        count = (padded.shape[axis + 1] - reach) // stride[axis] + 1
        starts = stride[axis] * np.arange(count)
        index.append(starts[:, None] + dilation[axis] * np.arange(kernel[axis])[None, :])
    y, x = index
    return padded[:, y[:, None, :, None], x[None, :, None, :]]


def weighted(layer):
    """Whether the layer has a weight matrix."""
    return layer["type"] in ("linear", "conv2d")


def affine(layer, theta, x):
    """A linear or convolution layer with W~ = theta; vectors on the last axis, or (c, h, w)."""
    biased = layer.get("bias", True)
    weight, bias = (theta[:, :-1], theta[:, -1]) if biased else (theta, 0.0 * theta[:, 0])
    if layer["type"] == "linear":
        return x @ weight.T + bias
    groups = layer.get("groups", 1)
    kernel = weight.reshape(layer["out_channels"], layer["in_channels"] // groups, *layer["kernel"])
    convolved = jax.lax.conv_general_dilated(
        x[None],
        kernel,
        layer["stride"],
        [(p, p) for p in layer["padding"]],
        rhs_dilation=layer["dilation"],
        feature_group_count=groups,
        precision="highest",
    )
    return convolved[0] + bias[:, None, None]


def normalise(layer, theta, x, stats):
    """Inference: gamma (x - mean) / sqrt(var + eps) + beta; theta rows are [gamma, beta]."""
    mean, var = stats[layer["param"]]
    shape = (-1, 1, 1) if x.ndim == 3 else (-1,)
    scaled = (x - mean.reshape(shape)) / jnp.sqrt(var.reshape(shape) + layer.get("eps", 1e-5))
    return theta[:, 0].reshape(shape) * scaled + theta[:, 1].reshape(shape)


def activate(layer, t):
    """An activation; the derivative of relu at 0 is the one of the negative side."""
    kind = layer["type"]
    if kind == "tanh":
        return jnp.tanh(t)
    if kind == "sigmoid":
        return jax.nn.sigmoid(t)
    if kind == "relu":
        return jnp.where(t > 0, t, layer.get("leak", 0.0) * t)
    if kind == "elu":
        negative = jnp.where(t > 0, 0.0, t)
        return jnp.where(t > 0, t, layer.get("alpha", 1.0) * jnp.expm1(negative))
    raise ValueError(f"unknown layer {kind}")


def pool(layer, x):
    """Maximum (padding never wins) or average (padding counts as zeros)."""
    largest = layer["type"] == "maxpool2d"
    fill = -jnp.inf if largest else 0.0
    cut = windows(x, layer["kernel"], layer["stride"], layer["padding"], (1, 1), fill)
    return cut.max(axis=(-2, -1)) if largest else cut.mean(axis=(-2, -1))


def forward(net, thetas, x, shifts=None, taps=None):
    """The output for one sample.

    shifts[param] is added to the output of that layer; taps, a dict, receives the input of every
    layer by its index.
    """
    for index, layer in enumerate(net["layers"]):
        if taps is not None:
            taps[index] = x
        kind, param = layer["type"], layer.get("param")
        if weighted(layer):
            x = affine(layer, thetas[param], x)
        elif kind == "batchnorm":
            x = normalise(layer, thetas[param], x, net["stats"])
        elif kind == "flatten":
            x = x.reshape(-1)
        elif kind in ("maxpool2d", "avgpool2d"):
            x = pool(layer, x)
        else:
            x = activate(layer, x)
        if shifts is not None and param in shifts:
            x = x + shifts[param]
    return x


def loss(net, f, y):
    """The loss of one sample."""
    kind = net["loss"]["type"]
    if kind == "softmax_cross_entropy":
        return -jax.nn.log_softmax(f)[y]
    if kind == "mse":
        return net["loss"].get("scale", 0.5) * jnp.sum((f - y) ** 2)
    if kind == "binary_cross_entropy":
        return -jnp.sum(y * jax.nn.log_sigmoid(f) + (1 - y) * jax.nn.log_sigmoid(-f))
    raise ValueError(f"unknown loss {kind}")


def augmented(layer, x):
    """The rows x~ that meet W~, one a position: (T, d~)."""
    if layer["type"] == "linear":
        rows = x.reshape(-1, x.shape[-1])
    else:
        cut = windows(x, layer["kernel"], layer["stride"], layer["padding"], layer["dilation"], 0.0)
        c, h, w, kh, kw = cut.shape
        rows = jnp.transpose(cut, (1, 2, 0, 3, 4)).reshape(h * w, c * kh * kw)
    if layer.get("bias", True):
        rows = jnp.concatenate([rows, jnp.ones_like(rows[:, :1])], axis=1)
    return rows


def by_position(layer, z, lead):
    """A layer's output, after `lead` axes, as (..., T, m)."""
    front = z.shape[:lead]
    if layer["type"] == "linear":
        return z.reshape(*front, -1, z.shape[-1])
    return np.swapaxes(z.reshape(*front, z.shape[lead], -1), -1, -2)


# Derivatives of the whole network.


class Derivatives:
    """Jacobians, gradients and Hessians of a network over a batch, as numpy arrays."""

    def __init__(self, net, thetas, x, y, y_mc):
        self.net, self.thetas, self.n = net, thetas, len(x)
        self.params = list(thetas)
        self.layers = {l["param"]: l for l in net["layers"] if "param" in l}
        order = self.params

        def flat(vector):
            parts, start = {}, 0
            for param in order:
                size = thetas[param].size
                parts[param] = vector[start : start + size].reshape(thetas[param].shape)
                start += size
            return parts

        theta = jnp.concatenate([thetas[p].reshape(-1) for p in order])
        model = lambda v, s: forward(net, flat(v), s)
        sample = lambda v, s, t: loss(net, model(v, s), t)
        mean = lambda v: jnp.mean(jax.vmap(lambda s, t: sample(v, s, t))(x, y))
        batch = lambda f, *axes: jax.jit(jax.vmap(f, axes))
        self.output = np.array(batch(model, None, 0)(theta, x))
        self.losses = np.array(batch(sample, None, 0, 0)(theta, x, y))
        output_loss = lambda f, t: loss(net, f, t)
        self.curvature = np.array(batch(jax.hessian(output_loss), 0, 0)(self.output, y))
        self.jacobian = np.array(batch(jax.jacrev(model), None, 0)(theta, x))
        self.gradients = np.array(batch(jax.grad(sample), None, 0, 0)(theta, x, y))
        self.gradient = np.array(jax.jit(jax.grad(mean))(theta))
        self.hessian = np.array(jax.jit(jax.hessian(mean))(theta))
        j, subscripts = self.jacobian, "ncp,ncd,ndq->pq"
        self.ggn = np.einsum(subscripts, j, self.curvature, j, optimize=True) / self.n
        self.ef = self.gradients.T @ self.gradients / self.n
        self.operators = {"ggn": self.ggn, "hess": self.hessian, "ef": self.ef}
        self._pre_activations(x, y, y_mc)

    def _pre_activations(self, x, y, y_mc):
        """By layer with weights: x~ (n, T, d~), df/dz (n, C, T, m), dl/dz for y and y_mc."""
        net, thetas = self.net, self.thetas
        taps = {}
        forward(net, thetas, x[0], taps=taps)
        index = {l["param"]: i for i, l in enumerate(net["layers"]) if weighted(l)}
        zero = {}
        for param, i in index.items():
            zero[param] = jnp.zeros_like(affine(self.layers[param], thetas[param], taps[i]))

        def inputs(sample):
            taps = {}
            forward(net, thetas, sample, taps=taps)
            dense = [(p, i) for p, i in index.items() if self.dense(p)]
            return {p: augmented(self.layers[p], taps[i]) for p, i in dense}

        shifted = lambda s, sample: forward(net, thetas, sample, shifts=s)
        label = lambda s, sample, t: loss(net, shifted(s, sample), t)
        self.inputs = {p: np.array(a) for p, a in jax.jit(jax.vmap(inputs))(x).items()}
        jacobian = jax.jit(jax.vmap(jax.jacrev(shifted), (None, 0)))(zero, x)
        gradient = jax.jit(jax.vmap(jax.grad(label), (None, 0, 0)))
        emp, mc = gradient(zero, x, y), gradient(zero, x, y_mc)
        layer = self.layers
        self.jacobian_z = {p: by_position(layer[p], np.array(jacobian[p]), 2) for p in index}
        self.gradient_z = {p: by_position(layer[p], np.array(emp[p]), 1) for p in index}
        self.gradient_mc = {p: by_position(layer[p], np.array(mc[p]), 1) for p in index}

    def dense(self, param):
        """Whether all outputs of the layer see one x~: K-FAC is defined."""
        return weighted(self.layers[param]) and self.layers[param].get("groups", 1) == 1

    def slice(self, param):
        """The places of a layer's parameters in the whole vector."""
        start = sum(self.thetas[p].size for p in self.params[: self.params.index(param)])
        return slice(start, start + self.thetas[param].size)


# Kronecker factors.


def factors(d, param, form):
    """A and {type2, emp, mc: G} of a layer; form is expand or reduce."""
    a, s = d.inputs[param], d.jacobian_z[param]
    labelled = {"emp": d.gradient_z[param], "mc": d.gradient_mc[param]}
    if form == "expand":
        a = a.reshape(-1, a.shape[-1])
        curvature = np.einsum("nctm,ncd,ndtk->mk", s, d.curvature, s, optimize=True) / d.n
        g = {kind: np.einsum("ntm,ntk->mk", v, v) / d.n for kind, v in labelled.items()}
    else:
        a, s = a.mean(axis=1), s.sum(axis=2)
        curvature = np.einsum("ncm,ncd,ndk->mk", s, d.curvature, s, optimize=True) / d.n
        g = {kind: v.sum(axis=1).T @ v.sum(axis=1) / d.n for kind, v in labelled.items()}
    return a.T @ a / len(a), {"type2": curvature, **g}


def damped_kronecker(a, g, gradient, lam):
    """The gradient behind the three damped inverses of G (x) A."""
    out = {"eig": solve(np.kron(g, a), gradient.reshape(-1), lam).reshape(gradient.shape)}
    pairs = {"factor": (lam, lam)}
    trace_a, trace_g = np.trace(a) / len(a), np.trace(g) / len(g)
    if trace_g == 0 or trace_a == 0:
        pairs["pi"] = (lam, lam)
    else:
        pi = np.sqrt(trace_a / trace_g)
        pairs["pi"] = (pi * np.sqrt(lam), np.sqrt(lam) / pi)
    for name, (add_a, add_g) in pairs.items():
        half = np.linalg.solve(g + add_g * np.eye(len(g), dtype=g.dtype), gradient)
        out[name] = np.linalg.solve(a + add_a * np.eye(len(a), dtype=a.dtype), half.T).T
    return out


def solve(matrix, vector, lam):
    """(B + lam I)^-1 v."""
    return np.linalg.solve(matrix + lam * np.eye(len(matrix), dtype=matrix.dtype), vector)


def eigenform(a, g, block):
    """Q_A, Q_G, and lambda: the diagonal of the exact block in the basis Q_G (x) Q_A."""
    q_a, q_g = np.linalg.eigh(a)[1], np.linalg.eigh(g)[1]
    q = np.kron(q_g, q_a)
    moments = np.einsum("pk,pk->k", q, block @ q)
    return q_a, q_g, moments.reshape(len(g), len(a))


def kfra(d):
    """The recursion from the last layer down, as far as it is linear layers and one activation
    between two of them."""
    layers = d.net["layers"]
    if layers[-1]["type"] != "linear" or d.jacobian_z[layers[-1]["param"]].shape[2] != 1:
        return {}
    g = {layers[-1]["param"]: d.curvature.mean(axis=0)}
    above = layers[-1]
    for i in range(len(layers) - 2, -1, -1):
        layer = layers[i]
        slope = None
        if layer["type"] in ("tanh", "sigmoid", "relu", "elu"):
            if i == 0 or layers[i + 1] is not above:
                break
            slope, layer = layer, layers[i - 1]
        elif layer["type"] != "linear" or layers[i + 1] is not above:
            continue
        if layer["type"] != "linear" or d.jacobian_z[layer["param"]].shape[2] != 1:
            break
        param = layer["param"]
        t = d.inputs[param][:, 0] @ np.asarray(d.thetas[param]).T
        derivative = np.ones_like(t)
        if slope is not None:
            one = jax.grad(lambda u: activate(slope, u))
            derivative = np.array(jax.vmap(one)(t.reshape(-1))).reshape(t.shape)
        w = np.asarray(d.thetas[above["param"]])[:, : above["in"]]
        g[param] = (w.T @ g[above["param"]] @ w) * (derivative.T @ derivative / d.n)
        above = layer
    return g


# Relative Fisher information.


def response(net, index):
    """The subsystem that starts with layer `index`: how many normalisations follow, the activation
    after them or None, and whether it is the output."""
    after = index + 1
    while after < len(net["layers"]) and net["layers"][after]["type"] == "batchnorm":
        after += 1
    if after == len(net["layers"]):
        return after, None, True
    following = net["layers"][after]
    known = following["type"] in ("tanh", "sigmoid", "relu", "elu")
    return after, following if known else None, False


def log_density(net, activation, output, y, t):
    """ln p(y | t) of one neuron, up to a constant."""
    kind = activation["type"] if activation else net["loss"]["type"] if output else "linear"
    if kind == "tanh":
        return jnp.log((1 + y * jnp.tanh(t)) / 2)
    if kind in ("sigmoid", "binary_cross_entropy"):
        return jnp.where(y == 1, jax.nn.log_sigmoid(t), jax.nn.log_sigmoid(-t))
    variance, mean = 1.0, t
    if kind == "relu":
        mean = jnp.where(t >= 0, t, activation.get("leak", 0.0) * t)
    elif kind == "elu":
        mean = activate(activation, t)
    elif kind == "mse":
        variance = 1 / (2 * net["loss"].get("scale", 0.5))
    return -((y - mean) ** 2) / (2 * variance)


def outcomes(net, activation, output, t):
    """Two outcomes and their probabilities: all there are, or the Gauss-Hermite rule of two nodes,
    which is exact for polynomials of degree 3; a squared Gaussian score has degree 2."""
    kind = activation["type"] if activation else net["loss"]["type"] if output else "linear"
    if kind == "tanh":
        return np.array([-1.0, 1.0]), [(1 - np.tanh(t)) / 2, (1 + np.tanh(t)) / 2]
    if kind in ("sigmoid", "binary_cross_entropy"):
        return np.array([0.0, 1.0]), [1 / (1 + np.exp(t)), 1 / (1 + np.exp(-t))]
    mean, sigma = (activate(activation, t) if activation else t), 1.0
    if kind == "mse":
        sigma = np.sqrt(1 / (2 * net["loss"].get("scale", 0.5)))
    return np.array([mean - sigma, mean + sigma]), [0.5, 0.5]


MOST_POSITIONS = 6


def rfim(net, thetas, x):
    """Mean RFIM of every layer: (m, d~, d~), or (m d~, m d~) for a soft-max layer.

    None for a layer with more than MOST_POSITIONS positions: outcomes are enumerated jointly.
    """
    found = {}
    for index, layer in enumerate(net["layers"]):
        if "param" in layer:
            metric = layer_rfim(net, thetas, x, index)
            if metric is not None:
                found[layer["param"]] = metric
    return found


def layer_rfim(net, thetas, x, index):
    """E[score score^T], meaned over the samples; the scores by automatic differentiation."""
    param = net["layers"][index]["param"]
    after, activation, output = response(net, index)
    part = {**net, "layers": net["layers"][index:after]}

    def at(theta, tapped):
        t = forward(part, {**thetas, param: theta}, tapped)
        return t.reshape(t.shape[0], -1).T if t.ndim == 3 else t.reshape(-1, t.shape[-1])

    def joint(theta, tapped, unit, y):
        t = at(theta, tapped)[:, unit]
        return sum(log_density(net, activation, output, y[k], t[k]) for k in range(len(t)))

    neuron_scores = jax.jit(jax.vmap(jax.grad(joint), (None, None, None, 0)))
    class_scores = jax.jit(jax.jacrev(lambda v, tapped: jax.nn.log_softmax(at(v, tapped)[0])))
    theta, metrics = thetas[param], []
    softmax = output and net["loss"]["type"] == "softmax_cross_entropy"
    for sample in x:
        taps = {}
        forward(net, thetas, sample, taps=taps)
        t = np.array(at(theta, taps[index]))
        if len(t) > MOST_POSITIONS:
            return None
        if softmax:
            scores = np.array(class_scores(theta, taps[index])).reshape(t.shape[1], -1)
            metrics.append(np.einsum("c,ci,cj->ij", jax.nn.softmax(t[0]), scores, scores))
            continue
        blocks = []
        for unit in range(t.shape[1]):
            nodes = [outcomes(net, activation, output, u) for u in t[:, unit]]
            choices = list(itertools.product((0, 1), repeat=len(nodes)))
            ys = np.array([[nodes[k][0][c] for k, c in enumerate(ch)] for ch in choices])
            ps = np.array([np.prod([nodes[k][1][c] for k, c in enumerate(ch)]) for ch in choices])
            scores = np.array(neuron_scores(theta, taps[index], unit, ys))[:, unit]
            blocks.append(np.einsum("c,ci,cj->ij", ps, scores, scores))
        metrics.append(np.array(blocks))
    return np.mean(metrics, axis=0)
