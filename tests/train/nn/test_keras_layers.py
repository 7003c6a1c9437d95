"""Each layer computes what Keras' layer of its name does, with the same weights.

Results, gradients for the inputs and gradients for the weights are compared. Some of Keras' layers
compute in float32 whatever their dtype is; those are compared in float32 only, and in float64 with
formulas of our own, in the other files of this folder.
"""

import importlib

import numpy as np
import pytest

from headgate import nn
from train.nn.agreement import agree, derivatives, fill, keras_derivatives, numbers

pytestmark = [pytest.mark.tensorflow, pytest.mark.filterwarnings("ignore")]

SEQUENCE, IMAGE = (3, 7, 4), (2, 6, 5, 4)
MASK = np.array([[1, 1, 1, 0, 1, 1, 0], [0, 0, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0, 0]], bool)
NARROW = 1e-5
WIDE = 1e-9

# (name, arguments, shapes of the inputs, options of the call, tolerance in float64 if compared)
CASES = [
    ("BatchNormalization", {}, [IMAGE], {"training": True}, None),
    ("BatchNormalization", {"axis": 1, "scale": False}, [IMAGE], {"training": True}, None),
    ("BatchNormalization", {"center": False, "momentum": 0.5}, [(9, 4)], {"training": True}, None),
    ("BatchNormalization", {"epsilon": 0.1}, [IMAGE], {"training": False}, None),
    ("LayerNormalization", {}, [SEQUENCE], {}, None),
    ("LayerNormalization", {"axis": [1, 2], "epsilon": 0.1}, [IMAGE], {}, None),
    ("LayerNormalization", {"axis": 1, "center": False}, [SEQUENCE], {}, None),
    ("Conv1D", {"filters": 5, "kernel_size": 3}, [SEQUENCE], {}, WIDE),
    (
        "Conv1D",
        {"filters": 5, "kernel_size": 3, "padding": "causal", "dilation_rate": 2},
        [SEQUENCE],
        {},
        WIDE,
    ),
    (
        "Conv1D",
        {"filters": 6, "kernel_size": 2, "padding": "causal", "strides": 2, "groups": 2},
        [SEQUENCE],
        {},
        WIDE,
    ),
    (
        "Conv1DTranspose",
        {"filters": 5, "kernel_size": 3, "strides": 2, "padding": "same"},
        [SEQUENCE],
        {},
        WIDE,
    ),
    ("MaxPooling1D", {"pool_size": 3, "strides": 2, "padding": "same"}, [SEQUENCE], {}, WIDE),
    ("AveragePooling1D", {"pool_size": 3, "strides": 2, "padding": "same"}, [SEQUENCE], {}, WIDE),
    ("GlobalAveragePooling1D", {}, [SEQUENCE], {}, WIDE),
    ("GlobalAveragePooling1D", {}, [SEQUENCE], {"mask": MASK}, WIDE),
    (
        "GlobalAveragePooling1D",
        {"data_format": "channels_first", "keepdims": True},
        [(3, 4, 7)],
        {"mask": MASK},
        WIDE,
    ),
    ("GlobalMaxPooling1D", {"data_format": "channels_first"}, [SEQUENCE], {}, WIDE),
    ("GlobalAveragePooling2D", {"keepdims": True}, [IMAGE], {}, WIDE),
    ("GlobalMaxPooling2D", {"data_format": "channels_first"}, [IMAGE], {}, WIDE),
    ("ZeroPadding2D", {"padding": ((1, 2), (0, 3))}, [IMAGE], {}, WIDE),
    ("ZeroPadding2D", {"padding": (2, 1), "data_format": "channels_first"}, [IMAGE], {}, WIDE),
    ("UpSampling2D", {"size": (2, 3)}, [IMAGE], {}, WIDE),
    ("UpSampling2D", {"size": 2, "data_format": "channels_first"}, [IMAGE], {}, WIDE),
    *(
        ("LSTM", {"units": 5, **options}, [SEQUENCE], call, WIDE)
        for options, call in [
            ({}, {}),
            ({"return_sequences": True, "return_state": True}, {}),
            ({"return_sequences": True, "return_state": True}, {"mask": MASK}),
            ({"go_backwards": True, "return_sequences": True}, {"mask": MASK}),
            ({"activation": "softsign", "recurrent_activation": "hard_sigmoid"}, {}),
            ({"use_bias": False, "unit_forget_bias": False}, {}),
        ]
    ),
    *(
        ("GRU", {"units": 5, **options}, [SEQUENCE], call, WIDE)
        for options, call in [
            ({}, {}),
            ({"return_sequences": True, "return_state": True}, {"mask": MASK}),
            ({"reset_after": False, "go_backwards": True}, {}),
            ({"use_bias": False, "activation": "softsign"}, {}),
            ({"use_bias": False, "reset_after": False, "recurrent_activation": "tanh"}, {}),
        ]
    ),
    ("SimpleRNN", {"units": 5, "return_sequences": True}, [SEQUENCE], {"mask": MASK}, WIDE),
    *(
        ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, **options}, shapes, call, wide)
        for options, shapes, call, wide in [
            ({}, [(2, 5, 6), (2, 5, 6)], {}, None),
            ({}, [(2, 5, 6), (2, 5, 6)], {"use_causal_mask": True}, None),
            ({"value_dim": 4}, [(2, 5, 6), (2, 7, 3), (2, 7, 2)], {}, None),
            ({"output_shape": (2, 4)}, [(2, 5, 6), (2, 7, 3)], {}, None),
            ({"use_bias": False}, [(2, 5, 6)] * 2, {"return_attention_scores": True}, None),
        ]
    ),
]


def label(case):
    name, arguments, _, options, _ = case
    return "-".join([name, *(f"{k}={v}" for k, v in (arguments | options).items() if k != "mask")])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES, ids=label)
def test_layer_agrees_with_keras(case, dtype):
    keras = importlib.import_module("tensorflow").keras
    name, arguments, shapes, options, wide = case
    if dtype == "float64" and wide is None:
        pytest.skip("Keras computes it in float32")
    inputs = [numbers(*shape, seed=k, dtype=dtype) for k, shape in enumerate(shapes)]
    ours = getattr(nn, name)(**arguments, dtype=dtype)
    theirs = getattr(keras.layers, name)(**arguments, dtype=dtype)
    ours(*inputs)
    theirs(*inputs)
    fill(ours)
    assert [v.shape for v in ours.variables] == [tuple(v.shape) for v in theirs.weights]
    ends = [[v.name.split("/")[-1] for v in layer.weights] for layer in (ours, theirs)]
    assert ends[0] == ends[1]
    theirs.set_weights(ours.get_weights())
    tolerance = NARROW if dtype == "float32" else wide
    agree(
        derivatives(ours, inputs, **options),
        keras_derivatives(theirs, inputs, **options),
        tolerance,
    )
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_initial_state_agrees_with_keras(kind):
    keras = importlib.import_module("tensorflow").keras
    x = numbers(*SEQUENCE)
    state = [numbers(3, 5, seed=k) for k in range(2 if kind == "LSTM" else 1)]
    found = []
    for module in (nn, keras.layers):
        layer = getattr(module, kind)(5, dtype="float64", return_sequences=True, return_state=True)
        layer.build(x.shape)
        random = np.random.default_rng(7)
        layer.set_weights([random.uniform(-0.1, 0.7, w.shape) for w in layer.get_weights()])
        found.append([np.asarray(y) for y in layer(x, initial_state=state, mask=MASK)])
    agree([found[0]], [found[1]], 1e-6)


def test_embedding_agrees_with_keras():
    keras = importlib.import_module("tensorflow").keras
    ids = np.array([[1, 2, 2], [0, 4, 2]])
    found = []
    for module in (nn, keras.layers):
        layer = module.Embedding(5, 3)
        layer.build(ids.shape)
        layer.set_weights([numbers(5, 3)])
        found.append(np.asarray(layer(ids)))
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("name", ["Orthogonal", "Identity"])
@pytest.mark.parametrize("shape", [(3, 5), (5, 3)])
def test_initializers_agree_with_keras(name, shape):
    """As far as random numbers allow: the products of the columns or rows are the same."""
    keras = importlib.import_module("tensorflow").keras
    q, p = (
        np.asarray(getattr(module, name)(gain=2.0)(shape)) for module in (nn, keras.initializers)
    )
    products = [m @ m.T if shape[0] < shape[1] else m.T @ m for m in (q, p)]
    np.testing.assert_allclose(*products, atol=1e-5)
