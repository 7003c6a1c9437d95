"""Pooling, margins, larger images, convolutions of sequences, merges, embedding, noise."""

import copy

import numpy as np
import pytest

import headgate as hg
from headgate import nn
from headgate.nn.initializers import get_initializer
from headgate.testing import check_gradient
from train.nn.agreement import fill, numbers

SEQUENCE, IMAGE = numbers(2, 6, 3), numbers(2, 4, 6, 3)


def value(layer, x, **options):
    return layer(x, **options).numpy()


# -- pooling ---------------------------------------------------------------------------------------


def test_pooling_of_sequences():
    parts = SEQUENCE.reshape(2, 3, 2, 3)
    options = {"dtype": "float64"}
    np.testing.assert_array_equal(value(nn.MaxPooling1D(**options), SEQUENCE), parts.max(2))
    np.testing.assert_allclose(value(nn.AveragePooling1D(**options), SEQUENCE), parts.mean(2))
    first = np.moveaxis(SEQUENCE, 2, 1)
    layer = nn.MaxPooling1D(2, data_format="channels_first", **options)
    np.testing.assert_array_equal(value(layer, first), np.moveaxis(parts.max(2), 2, 1))
    assert nn.AveragePooling1D(3, 2, "same")(SEQUENCE).shape == (2, 3, 3)


@pytest.mark.parametrize(("name", "reduce"), [("Average", np.mean), ("Max", np.max)])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("x", [SEQUENCE, IMAGE], ids=["1D", "2D"])
def test_global_pooling(name, reduce, keepdims, x):
    kind = getattr(nn, f"Global{name}Pooling{x.ndim - 2}D")
    space = tuple(range(1, x.ndim - 1))
    layer = kind(keepdims=keepdims, dtype="float64")
    np.testing.assert_allclose(value(layer, x), reduce(x, axis=space, keepdims=keepdims))
    check_gradient(layer, x)
    layer = kind("channels_first", keepdims, dtype="float64")
    space = tuple(range(2, x.ndim))
    np.testing.assert_allclose(value(layer, x), reduce(x, axis=space, keepdims=keepdims))


def test_global_average_of_what_a_mask_leaves():
    mask = np.array([[1, 1, 0, 0, 0, 0], [0, 1, 0, 1, 1, 0]], bool)
    expected = [SEQUENCE[k][mask[k]].mean(0) for k in range(2)]
    layer = nn.GlobalAveragePooling1D(dtype="float64")
    np.testing.assert_allclose(value(layer, SEQUENCE, mask=mask), expected)
    np.testing.assert_allclose(value(layer, SEQUENCE, mask=mask.astype(int).tolist()), expected)
    first = nn.GlobalAveragePooling1D("channels_first", True, dtype="float64")
    found = value(first, np.moveaxis(SEQUENCE, 2, 1), mask=mask)
    np.testing.assert_allclose(found[..., 0], expected)
    check_gradient(lambda x: layer(x, mask=mask), SEQUENCE)


# -- convolutions, margins, larger images ----------------------------------------------------------


def test_convolution_of_sequences_is_one_of_images_of_one_row():
    for kind, other in [(nn.Conv1D, nn.Conv2D), (nn.Conv1DTranspose, nn.Conv2DTranspose)]:
        layer, flat = kind(4, 3, 2, dtype="float64"), other(4, (1, 3), (1, 2), dtype="float64")
        layer.build(SEQUENCE.shape)
        fill(layer)
        flat.build((2, 1, 6, 3))
        flat.set_weights([w[None] if w.ndim == 3 else w for w in layer.get_weights()])
        np.testing.assert_allclose(
            value(layer, SEQUENCE), value(flat, SEQUENCE[:, None])[:, 0], rtol=1e-12
        )
        check_gradient(layer, SEQUENCE)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_causal_convolution_looks_back_only(data_format):
    layer = nn.Conv1D(2, 3, padding="causal", dilation_rate=2, data_format=data_format)
    time = 1 if data_format == "channels_last" else 2
    x = hg.Variable(np.ones((1, 7, 3) if time == 1 else (1, 3, 7), np.float32))
    with hg.GradientTape() as tape:
        y = layer(x)
        at_4 = y[:, 4] if time == 1 else y[:, :, 4]
    assert y.shape[time] == 7
    reached = np.any(tape.gradient(at_4, x).numpy() != 0, axis=(0, 3 - time))
    assert np.flatnonzero(reached).tolist() == [0, 2, 4]


def test_margins_of_zeros():
    x = IMAGE
    for padding, widths in [
        (1, ((1, 1), (1, 1))),
        ((2, 0), ((2, 2), (0, 0))),
        (((0, 1), (2, 3)),) * 2,
    ]:
        expected = np.pad(x, ((0, 0), *widths, (0, 0)))
        np.testing.assert_array_equal(
            value(nn.ZeroPadding2D(padding, dtype="float64"), x), expected
        )
    first = nn.ZeroPadding2D(((0, 1), (2, 3)), "channels_first")
    assert first(x).shape == (2, 4, 7, 8)
    check_gradient(nn.ZeroPadding2D(dtype="float64"), x)


def test_larger_images():
    found = value(nn.UpSampling2D((2, 3), dtype="float64"), IMAGE)
    np.testing.assert_array_equal(found, IMAGE.repeat(2, axis=1).repeat(3, axis=2))
    assert nn.UpSampling2D(2, "channels_first")(IMAGE).shape == (2, 4, 12, 6)
    check_gradient(nn.UpSampling2D(dtype="float64"), IMAGE)


# -- merges, embedding, noise ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (nn.Add, lambda x, y, z: x + y + z),
        (nn.Multiply, lambda x, y, z: x * y * z),
        (nn.Average, lambda x, y, z: (x + y + z) / 3),
    ],
)
def test_merges(kind, expected):
    inputs = [numbers(4, 3, seed=1), numbers(4, 1, seed=2), numbers(4, 3, seed=3)]
    np.testing.assert_allclose(value(kind(dtype="float64"), inputs), expected(*inputs))
    np.testing.assert_array_equal(value(kind(dtype="float64"), inputs[:1]), inputs[0])
    a, b = nn.Input((3,)), nn.Input((3,))
    assert nn.Model([a, b], kind()([a, b]))([inputs[0], inputs[2]]).shape == (4, 3)


def test_subtraction():
    x, y = numbers(4, 3), numbers(4, 3, seed=1)
    np.testing.assert_array_equal(value(nn.Subtract(dtype="float64"), [x, y]), x - y)


@pytest.mark.parametrize(
    "ids", [np.array([[1, 0], [3, 3]], np.uint8), [[1, 0], [3, 3]], [1.0, 3.0]]
)
def test_embedding(ids):
    layer = nn.Embedding(4, 2)
    with hg.GradientTape() as tape:
        y = layer(ids)
        total = hg.sum(y)
    table = layer.embeddings.numpy()
    whole = np.asarray(ids).astype(int)
    np.testing.assert_array_equal(y.numpy(), table[whole])
    counts = np.bincount(whole.ravel(), minlength=4)
    np.testing.assert_array_equal(tape.gradient(total, layer.embeddings).numpy()[:, 0], counts)
    assert np.abs(table).max() <= 0.05


def test_embedding_first_in_a_model():
    model = nn.Sequential([nn.Input((5,)), nn.Embedding(10, 4), nn.LSTM(3)])
    assert model(np.ones((2, 5), int)).shape == (2, 3)
    assert model(np.ones((0, 5), int)).shape == (0, 3)


def test_noise():
    x = np.zeros((100, 100), np.float32)
    layer = nn.GaussianNoise(0.5)
    np.testing.assert_array_equal(value(layer, x), x)
    noise = value(layer, x, training=True)
    assert noise.dtype == np.float32
    assert abs(noise.std() - 0.5) < 0.02
    assert abs(noise.mean()) < 0.02
    assert np.any(value(layer, x, training=True) != noise)
    one, other = (value(nn.GaussianNoise(1.0, seed=3), x, training=True) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(value(nn.GaussianNoise(0.0), x, training=True), x)


@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool"])
def test_noise_on_whole_numbers(dtype):
    """They become floats: noise that is cast to them would be zeros."""
    x = np.arange(1000).reshape(10, 100) % 2
    layer = nn.GaussianNoise(0.25, seed=0)
    noisy = value(layer, x.astype(dtype), training=True)
    assert noisy.dtype == np.float32
    assert abs((noisy - x).std() - 0.25) < 0.02
    np.testing.assert_array_equal(value(layer, x.astype(dtype)), x.astype(dtype))


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Dropout(0.5, seed=1),
        lambda: nn.GaussianNoise(1.0, seed=1),
        lambda: nn.GRU(2, dropout=0.5, seed=1),
    ],
)
def test_what_a_layer_with_a_seed_draws_can_be_repeated(make):
    layer, x = make(), np.ones((20, 5, 3), np.float32)
    layer.build(x.shape)
    weights = layer.get_state()
    assert weights.keys() >= {"seed_state"}
    first, second = value(layer, x, training=True), value(layer, x, training=True)
    assert np.any(first != second)
    twin = copy.deepcopy(layer)
    np.testing.assert_array_equal(value(twin, x, training=True), value(layer, x, training=True))
    layer.set_state(weights)
    np.testing.assert_array_equal(value(layer, x, training=True), first)
    np.testing.assert_array_equal(value(layer, x, training=True), second)


# -- initializers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3), (3, 3, 2, 4)])
def test_orthogonal(shape):
    q = nn.Orthogonal(gain=2.0)(shape, "float64").numpy().reshape(-1, shape[-1])
    product = q.T @ q if len(q) >= shape[-1] else q @ q.T
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-12)
    one, other, third = (nn.Orthogonal(seed=seed)(shape).numpy() for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, other)
    assert np.any(one != third)


def test_orthogonal_matrices_are_drawn_evenly():
    """So the first element is as often positive as negative; as LAPACK has it, it never is."""
    first = [nn.Orthogonal(seed=seed)((2, 2)).numpy()[0, 0] for seed in range(200)]
    assert 60 < np.sum(np.array(first) > 0) < 140


def test_identity():
    np.testing.assert_array_equal(nn.Identity(3.0)((2, 3)).numpy(), [[3, 0, 0], [0, 3, 0]])
    assert get_initializer("identity")((2, 2)).dtype == "float32"
    for name in ("orthogonal", "uniform", "normal"):
        assert get_initializer(name)((2, 2), "float64").dtype == "float64"


# -- mistakes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "action"),
    [
        (r"MaxPooling1D: data_format must be .*'NWC'", lambda: nn.MaxPooling1D(data_format="NWC")),
        (r"padding must be 'valid' or 'same', got 'x'", lambda: nn.AveragePooling2D(padding="x")),
        (r"Conv2D: padding must be .*got 'causal'", lambda: nn.Conv2D(2, 3, padding="causal")),
        (r"\(N, W, C\), got \(2, 4, 6, 3\)", lambda: nn.GlobalMaxPooling1D()(IMAGE)),
        (r"\(N, W, C\), got \(2, 4, 6, 3\)", lambda: nn.Conv1D(2, 3)(IMAGE)),
        (r"\(N, C, H, W\).*expand_dims", lambda: nn.UpSampling2D(2, "channels_first")(SEQUENCE)),
        (r"number of channels", lambda: nn.Conv1D(2, 3).build((None, 5, None))),
        (
            r"mask of shape \(2, 6\) with an input of shape \(2, 6, 3\), got \(2, 3\)",
            lambda: nn.GlobalAveragePooling1D()(SEQUENCE, mask=np.ones((2, 3))),
        ),
        (r"padding must be a width.*got -1", lambda: nn.ZeroPadding2D(-1)),
        (r"padding must be a width.*got \(1, 2, 3\)", lambda: nn.ZeroPadding2D((1, 2, 3))),
        (r"size must be a positive integer, got 0", lambda: nn.UpSampling2D((2, 0))),
        (r"interpolation must be 'nearest'", lambda: nn.UpSampling2D(interpolation="bilinear")),
        (r"same number of axes.*\[\(2,\), \(2, 2\)\]", lambda: nn.Add()([hg.ones(2), hg.eye(2)])),
        (r"takes a list of tensors", lambda: nn.Multiply()(SEQUENCE)),
        (r"list of two tensors", lambda: nn.Subtract()([SEQUENCE])),
        (r"stddev must be 0 or a positive number, got -0.1", lambda: nn.GaussianNoise(-0.1)),
        (r"from 0 to 3.*int64 of shape \(2,\) from 1 to 4", lambda: nn.Embedding(4, 2)([1, 4])),
        (r"from 0 to 3.*from -1 to 0", lambda: nn.Embedding(4, 2)([-1, 0])),
        (r"whole numbers.*float32", lambda: nn.Embedding(4, 2)([0.5, 1.0])),
        (r"Reshape: target_shape\[1\] must be an integer", lambda: nn.Reshape((2, -2))),
        (r"Embedding: input_dim must be a positive", lambda: nn.Embedding(0, 2)),
        (r"Orthogonal needs .* got \(3,\)", lambda: nn.Orthogonal()((3,))),
        (r"Identity needs .* got \(3, 3, 1\)", lambda: nn.Identity()((3, 3, 1))),
    ],
)
def test_mistakes_are_explained(message, action):
    with pytest.raises(ValueError, match=message):
        action()
