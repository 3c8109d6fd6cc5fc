"""The networks of the cases x*_: every layer type, loss and option of the network file.

A case has the fields of arch.json and: `n_samples`, `seed`; `rfim` when the metrics of its layers
are defined; `omit`, prefixes of quantities that are not; `zero_rows`, neurons whose t is 0 exactly.
"""


def linear(d, m, param, bias=True):
    return {"type": "linear", "in": d, "out": m, "bias": bias, "param": param}


def conv(c, m, kernel, param, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1, bias=True):
    return {
        "type": "conv2d",
        "in_channels": c,
        "out_channels": m,
        "kernel": list(kernel),
        "stride": list(stride),
        "padding": list(padding),
        "dilation": list(dilation),
        "groups": groups,
        "bias": bias,
        "param": param,
    }


def pool(kind, kernel, stride, padding=(0, 0)):
    pairs = {"kernel": list(kernel), "stride": list(stride), "padding": list(padding)}
    return {"type": kind, **pairs}


def batchnorm(c, param, eps=1e-5):
    return {"type": "batchnorm", "features": c, "eps": eps, "momentum": 0.1, "param": param}


TANH, SIGMOID, RELU = {"type": "tanh"}, {"type": "sigmoid"}, {"type": "relu"}
LEAKY, ELU = {"type": "relu", "leak": 0.1}, {"type": "elu", "alpha": 0.7}
FLATTEN = {"type": "flatten"}
CROSS_ENTROPY = {"type": "softmax_cross_entropy"}
BINARY = {"type": "binary_cross_entropy"}
# A recursion or a factor that is defined for a chain of linear layers and activations only.
NO_CHAIN = ("kflr", "kfra")

CASES = {
    "xa_leaky_bce": {
        "input_shape": [5],
        "layers": [
            linear(5, 6, "layers.0"), LEAKY,
            linear(6, 4, "layers.1"), LEAKY,
            linear(4, 3, "layers.2"),
        ],
        "loss": BINARY, "n_samples": 9, "seed": 1, "rfim": True,
    },
    "xb_linear_mse_half": {
        "input_shape": [4],
        "layers": [
            linear(4, 5, "layers.0"), linear(5, 3, "layers.1"), linear(3, 4, "layers.2"),
        ],
        "loss": {"type": "mse", "scale": 0.5}, "n_samples": 8, "seed": 2, "rfim": True,
    },
    "xc_tanh_mse_default": {
        "input_shape": [3],
        "layers": [linear(3, 6, "layers.0"), TANH, linear(6, 2, "layers.1")],
        "loss": {"type": "mse"}, "n_samples": 7, "seed": 3, "rfim": True,
    },
    "xd_cnn_pools_ce": {
        "input_shape": [2, 9, 8],
        "layers": [
            conv(2, 3, (3, 3), "layers.0", stride=(2, 1), padding=(1, 0)), RELU,
            pool("maxpool2d", (2, 3), (1, 2), (1, 1)),
            conv(3, 2, (2, 2), "layers.1", padding=(0, 1), dilation=(2, 1)), TANH,
            pool("avgpool2d", (3, 2), (2, 2), (1, 0)),
            FLATTEN, linear(8, 3, "layers.2"),
        ],
        "loss": CROSS_ENTROPY, "n_samples": 6, "seed": 4, "omit": NO_CHAIN,
    },
    "xe_grouped_ce": {
        "input_shape": [4, 4, 5],
        "layers": [
            conv(4, 6, (2, 3), "layers.0", stride=(1, 2), padding=(1, 1), groups=2), TANH,
            pool("avgpool2d", (3, 3), (2, 1)),
            FLATTEN, linear(12, 3, "layers.1"),
        ],
        "loss": CROSS_ENTROPY, "n_samples": 5, "seed": 5,
        "omit": ("kfac", "ekfac", *NO_CHAIN),
    },
    "xf_no_bias_ce": {
        "input_shape": [5],
        "layers": [
            linear(5, 6, "layers.0", bias=False), SIGMOID,
            linear(6, 5, "layers.1"), ELU,
            linear(5, 4, "layers.2", bias=False),
        ],
        "loss": CROSS_ENTROPY, "n_samples": 8, "seed": 6, "rfim": True,
    },
    "xg_batchnorm_linear_ce": {
        "input_shape": [5],
        "layers": [
            linear(5, 6, "layers.0"), batchnorm(6, "layers.1"), TANH,
            linear(6, 4, "layers.2", bias=False), batchnorm(4, "layers.3", eps=0.01), LEAKY,
            linear(4, 3, "layers.4"),
        ],
        "loss": CROSS_ENTROPY, "n_samples": 8, "seed": 7, "rfim": True, "omit": NO_CHAIN,
    },
    "xh_batchnorm_conv_ce": {
        "input_shape": [2, 5, 4],
        "layers": [
            conv(2, 4, (3, 2), "layers.0", bias=False), batchnorm(4, "layers.1"), RELU,
            conv(4, 2, (2, 2), "layers.2"), SIGMOID,
            FLATTEN, linear(8, 3, "layers.3"),
        ],
        "loss": CROSS_ENTROPY, "n_samples": 6, "seed": 8, "omit": NO_CHAIN,
    },
    "xi_shared_linear_ce": {
        "input_shape": [3, 4],
        "layers": [
            linear(4, 5, "encoder.first"), TANH,
            linear(5, 3, "encoder.second"), SIGMOID,
            FLATTEN, linear(9, 4, "head"),
        ],
        "loss": CROSS_ENTROPY, "n_samples": 7, "seed": 9, "omit": NO_CHAIN,
    },
    "xj_activations_mse": {
        "input_shape": [1, 4, 6],
        "layers": [
            conv(1, 3, (2, 2), "layers.0", stride=(1, 2), padding=(1, 0)),
            pool("avgpool2d", (2, 2), (1, 1)), TANH,
            FLATTEN, ELU,
            linear(24, 4, "layers.1"), SIGMOID, TANH,
            linear(4, 3, "layers.2"),
        ],
        "loss": {"type": "mse", "scale": 2.0}, "n_samples": 6, "seed": 10, "omit": NO_CHAIN,
    },
    "xk_neurons_ce": {
        "input_shape": [4],
        "layers": [
            linear(4, 5, "layers.0"), SIGMOID,
            linear(5, 4, "layers.1"), RELU,
            linear(4, 5, "layers.2"), ELU,
            linear(5, 4, "layers.3"),
            linear(4, 5, "layers.4"), TANH,
            linear(5, 4, "layers.5"),
        ],
        "loss": CROSS_ENTROPY, "n_samples": 8, "seed": 11, "rfim": True,
    },
    "xl_kinks_mse": {
        "input_shape": [3],
        "layers": [
            linear(3, 6, "layers.0"), RELU,
            linear(6, 4, "layers.1"), RELU,
            linear(4, 2, "layers.2"),
        ],
        "loss": {"type": "mse", "scale": 0.5}, "n_samples": 7, "seed": 12, "rfim": True,
        "zero_rows": {"layers.0": [1, 4], "layers.1": [2]},
    },
    "xm_positions_bce": {
        "input_shape": [2, 3, 4],
        "layers": [
            conv(2, 3, (2, 3), "layers.0"), batchnorm(3, "layers.1"), TANH,
            conv(3, 2, (1, 1), "layers.2"), LEAKY,
            FLATTEN, linear(8, 2, "layers.3"),
        ],
        "loss": BINARY, "n_samples": 5, "seed": 13, "rfim": True, "omit": NO_CHAIN,
    },
    "xn_shared_neurons_ce": {
        "input_shape": [3, 2],
        "layers": [linear(2, 4, "layers.0"), LEAKY, FLATTEN, linear(12, 3, "layers.1")],
        "loss": CROSS_ENTROPY, "n_samples": 5, "seed": 14, "rfim": True, "omit": NO_CHAIN,
    },
}
