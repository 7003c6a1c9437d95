"""Training in half precision: all layers, losses and metrics keep bfloat16 and float16.

What each gives is compared with what its twin of float32 gives for the same numbers, which halves
can hold, and with what it gives in a compiled function. The compiled programs are shared: one for
all layers of a dtype, one for all losses and metrics.
"""

import inspect

import numpy as np
import pytest

import headgate as hg
from headgate import losses, metrics, nn, optim

pytestmark = [pytest.mark.light, pytest.mark.filterwarnings("ignore::RuntimeWarning")]

EPSILON = {"float16": 2.0**-10, "bfloat16": 2.0**-7}
HALVES = pytest.mark.parametrize("name", EPSILON)


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1.0, 1.0, shape)


SERIES, IMAGES = (numbers(2, 6, 3),), (numbers(2, 6, 6, 2),)
FLAT, TWO = (numbers(3, 4),), (numbers(3, 4), numbers(3, 4, seed=1))

LAYERS = {
    # a maker that takes the dtype, and the inputs
    "Dense": (lambda d: nn.Dense(3, activation="gelu", dtype=d), FLAT),
    "Embedding": (lambda d: nn.Embedding(5, 3, dtype=d), (np.array([[1, 4], [0, 1]]),)),
    "Conv1D": (lambda d: nn.Conv1D(2, 3, padding="same", dtype=d), SERIES),
    "Conv2D": (lambda d: nn.Conv2D(2, 3, strides=2, activation="relu", dtype=d), IMAGES),
    "Conv1DTranspose": (lambda d: nn.Conv1DTranspose(2, 3, strides=2, dtype=d), SERIES),
    "Conv2DTranspose": (lambda d: nn.Conv2DTranspose(2, 3, strides=2, dtype=d), IMAGES),
    "ZeroPadding2D": (lambda d: nn.ZeroPadding2D(1, dtype=d), IMAGES),
    "UpSampling2D": (lambda d: nn.UpSampling2D(2, dtype=d), IMAGES),
    "MaxPooling1D": (lambda d: nn.MaxPooling1D(3, 2, "same", dtype=d), SERIES),
    "MaxPooling2D": (lambda d: nn.MaxPooling2D(2, dtype=d), IMAGES),
    "AveragePooling1D": (lambda d: nn.AveragePooling1D(3, 2, "same", dtype=d), SERIES),
    "AveragePooling2D": (lambda d: nn.AveragePooling2D(2, dtype=d), IMAGES),
    "GlobalMaxPooling1D": (lambda d: nn.GlobalMaxPooling1D(dtype=d), SERIES),
    "GlobalMaxPooling2D": (lambda d: nn.GlobalMaxPooling2D(dtype=d), IMAGES),
    "GlobalAveragePooling1D": (lambda d: nn.GlobalAveragePooling1D(dtype=d), SERIES),
    "GlobalAveragePooling2D": (lambda d: nn.GlobalAveragePooling2D(dtype=d), IMAGES),
    "BatchNormalization": (lambda d: nn.BatchNormalization(dtype=d), (numbers(8, 4),)),
    "LayerNormalization": (lambda d: nn.LayerNormalization(dtype=d), FLAT),
    "SimpleRNN": (lambda d: nn.SimpleRNN(3, dtype=d), SERIES),
    "LSTM": (lambda d: nn.LSTM(3, return_sequences=True, dtype=d), SERIES),
    "GRU": (lambda d: nn.GRU(3, dtype=d), SERIES),
    "MultiHeadAttention": (lambda d: nn.MultiHeadAttention(2, 2, dtype=d), SERIES * 2),
    "Flatten": (lambda d: nn.Flatten(dtype=d), SERIES),
    "Reshape": (lambda d: nn.Reshape((2, 9), dtype=d), SERIES),
    "Concatenate": (lambda d: nn.Concatenate(dtype=d), (list(TWO),)),
    "Add": (lambda d: nn.Add(dtype=d), (list(TWO),)),
    "Subtract": (lambda d: nn.Subtract(dtype=d), (list(TWO),)),
    "Multiply": (lambda d: nn.Multiply(dtype=d), (list(TWO),)),
    "Average": (lambda d: nn.Average(dtype=d), (list(TWO),)),
    "Lambda": (lambda d: nn.Lambda(lambda x: 2.0 * hg.tanh(x) + 1, dtype=d), FLAT),
    "Activation": (lambda d: nn.Activation("silu", dtype=d), FLAT),
    "ReLU": (lambda d: nn.ReLU(0.5, 0.1, 0.05, dtype=d), FLAT),
    "LeakyReLU": (lambda d: nn.LeakyReLU(0.3, dtype=d), FLAT),
    "Softmax": (lambda d: nn.Softmax(dtype=d), FLAT),
    "Dropout": (lambda d: nn.Dropout(0.3, dtype=d), FLAT),
    "GaussianNoise": (lambda d: nn.GaussianNoise(0.3, dtype=d), FLAT),
    "Sequential": (lambda d: nn.Sequential([nn.Dense(2, dtype=d), nn.ReLU(dtype=d)]), FLAT),
}
WITHOUT_NUMBERS = {"Layer", "Model", "InputLayer"}
RANDOM = {"Dropout", "GaussianNoise"}  # compiled code draws other numbers


def dtype_named(name):
    return np.dtype(name if name != "bfloat16" else pytest.importorskip("ml_dtypes").bfloat16)


def as_halves(x, name, dtype):
    """Return arrays of floats with the numbers that halves can hold, in a dtype."""
    if isinstance(x, list):
        return [as_halves(each, name, dtype) for each in x]
    return x.astype(dtype_named(name)).astype(dtype) if x.dtype.kind == "f" else x


def is_inexact(x):
    return np.dtype(x.dtype).kind in "fV"


def flat(x):
    return [part for each in x for part in (each if isinstance(each, list) else [each])]


def made(name, dtype):
    """Return each layer with its inputs, its weights as halves can hold them, and an optimizer."""
    found = []
    for layer_name, (make, inputs) in LAYERS.items():
        layer = make(dtype)
        given = [as_halves(x, name, dtype) for x in inputs]
        layer(*given)
        for seed, v in enumerate(layer.variables):
            if is_inexact(v):
                lowest = 0.25 if "variance" in v.name else 0.0
                v.assign(as_halves(np.maximum(numbers(*v.shape, seed=seed), lowest), name, v.dtype))
        found.append((layer_name, layer, given, optim.SGD(0.25, momentum=0.5)))
    return found


def step(layer, inputs, optimizer):
    """Return the result of a layer, its gradients, and its variables after a step."""
    tensors = [[*map(hg.asarray, x)] if isinstance(x, list) else hg.asarray(x) for x in inputs]
    with hg.GradientTape() as tape:
        tape.watch([x for x in flat(tensors) if is_inexact(x)])
        y = layer(*tensors, training=True)
        weights = np.cos(np.arange(np.prod(y.shape))).reshape(y.shape).astype(y.dtype)
        loss = hg.sum(y * weights)
    wanted = [*(x for x in flat(tensors) if is_inexact(x)), *layer.trainable_variables]
    slopes = [hg.asarray(x) for x in tape.gradient(loss, wanted)]
    if layer.trainable_variables:
        optimizer.apply(slopes[-len(layer.trainable_variables) :], layer.trainable_variables)
    return [y, *slopes, *(hg.asarray(v) for v in layer.variables)]


def near(ours, theirs, close, what):
    assert len(ours) == len(theirs)
    most = max(np.max(np.abs(x.numpy().astype(float)), initial=0) for x in theirs)
    for one, other in zip(ours, theirs, strict=True):
        error = np.abs(one.numpy().astype(float) - other.numpy().astype(float))
        scale = np.max(np.abs(other.numpy().astype(float)), initial=0)
        assert np.max(error, initial=0) <= close * max(scale, 0.1 * most), what


def test_every_layer_has_a_line():
    public = {
        name
        for name, value in vars(nn).items()
        if inspect.isclass(value) and issubclass(value, nn.Layer)
    }
    assert public == LAYERS.keys() | WITHOUT_NUMBERS


@HALVES
def test_layers_learn_in_half_precision(name):
    for (layer_name, layer, given, optimizer), (_, twin, wide, other) in zip(
        made(name, dtype_named(name)), made(name, np.dtype("float32")), strict=True
    ):
        hg.random.set_seed(3)
        ours = step(layer, given, optimizer)
        hg.random.set_seed(3)
        theirs = step(twin, wide, other)
        for one, wanted in zip(ours, theirs, strict=True):
            assert one.shape == wanted.shape
            expected = dtype_named(name) if is_inexact(wanted) else wanted.dtype
            assert one.dtype == expected, layer_name
        near(ours, theirs, 8 * EPSILON[name], layer_name)


@pytest.mark.peers
@HALVES
def test_compiled_layers_learn_the_same(name):
    eager, compiled = made(name, dtype_named(name)), made(name, dtype_named(name))

    @hg.function
    def program(given):
        return [
            step(layer, inputs, optimizer)
            for (_, layer, _, optimizer), inputs in zip(compiled, given, strict=True)
        ]

    hg.random.set_seed(3)
    found = program([given for _, _, given, _ in compiled])
    hg.random.set_seed(3)
    for ours, (layer_name, layer, given, optimizer) in zip(found, eager, strict=True):
        theirs = step(layer, given, optimizer)
        assert [x.dtype for x in ours] == [x.dtype for x in theirs], layer_name
        if layer_name not in RANDOM:
            near(ours, theirs, 8 * EPSILON[name], layer_name)


# -- losses and metrics ----------------------------------------------------------------------------

CHANCES = np.array([[0.25, 0.5, 0.25], [0.125, 0.125, 0.75], [0.5, 0.375, 0.125]])
CLASSES = np.array([1, 2, 2])
TRUE = np.eye(3)[CLASSES]
HELPERS = {"Loss", "Metric", "pair"}
OPTIONS = {
    "MeanIoU": {"num_classes": 3},
    "MeanMetricWrapper": {"fn": losses.mean_squared_error},
    "TopKCategoricalAccuracy": {"k": 2},
    "SparseTopKCategoricalAccuracy": {"k": 2},
}


def public(module):
    """Yield the functions of what is true and predicted, and the classes, by name."""
    for name, value in vars(module).items():
        ours = getattr(value, "__module__", "").startswith(module.__name__)
        if not ours or name[0] == "_" or name in HELPERS:
            continue
        if inspect.isclass(value):
            yield name, value(**OPTIONS.get(name, {}))
        elif inspect.isfunction(value) and "y_true" in inspect.signature(value).parameters:
            yield name, value


def truth(name):
    """Return what is true, for a loss or a metric of this name."""
    if "percentage" in name.lower():
        return TRUE + 1.0  # a percentage of nothing is beyond float16
    return CLASSES if name.lower().startswith("sparse") else TRUE


def lost(chances):
    """Return each loss by name: its value and its gradient for what was predicted."""
    found = {}
    for name, loss in public(losses):
        x = hg.asarray(chances)
        with hg.GradientTape() as tape:
            tape.watch(x)
            y = loss(truth(name), x)
        found[name] = [y, hg.asarray(tape.gradient(y, x))]
    return found


def measured(chances, of=None):
    """Return what each metric says after two batches, and each of their functions."""
    found = {}
    for name, metric in of or public(metrics):
        given = [truth(name), hg.asarray(chances)]
        if name == "MeanIoU":
            given = [CLASSES, hg.round(4.0 * given[1][:, 0])]
        if name in ("Mean", "Sum"):
            given = given[1:]
        if isinstance(metric, metrics.Metric):
            metric(*given)
        found[name] = [hg.asarray(metric(*given))]
    return found


@HALVES
def test_losses_of_halves_are_halves(name):
    given = as_halves(CHANCES, name, dtype_named(name))
    expected = lost(given.astype("float32"))
    assert len(expected) > 25
    for loss, ours in lost(given).items():
        assert [x.dtype for x in ours] == [dtype_named(name)] * 2, loss
        near(ours, expected[loss], 6 * EPSILON[name], loss)


@HALVES
def test_metrics_of_halves_count_in_float32(name):
    given = as_halves(CHANCES, name, dtype_named(name))
    expected = measured(given.astype("float32"))
    assert len(expected) > 20
    for metric, ours in measured(given).items():
        assert ours[0].dtype == "float32"
        near(ours, expected[metric], 1e-3, metric)
    many = np.ones(70_000, dtype_named(name))
    assert metrics.Sum()(many).numpy() == 70_000
    assert metrics.Mean()(many).numpy() == 1
    assert metrics.MeanSquaredError()(0 * many[:9, None], 300 * many[:9, None]).numpy() == 90_000
    answers, chances = np.arange(5_000) % 2, np.arange(5_000) / 5_000
    wanted = metrics.AUC()(answers, chances).numpy()
    half = as_halves(chances, name, dtype_named(name))
    np.testing.assert_allclose(metrics.AUC()(answers * many[:5_000], half), wanted, rtol=1e-3)


@pytest.mark.peers
@HALVES
def test_compiled_losses_and_metrics_are_the_same(name):
    given = as_halves(CHANCES, name, dtype_named(name))
    of = [*public(metrics)]
    found = hg.function(lambda chances: [lost(chances), measured(chances, of)])(given)
    for ours, theirs in zip(found, (lost(given), measured(given)), strict=True):
        for key in theirs:
            assert [x.dtype for x in ours[key]] == [x.dtype for x in theirs[key]], key
            near(ours[key], theirs[key], 6 * EPSILON[name], key)
