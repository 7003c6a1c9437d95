"""Layers and models: what they hold, when they build, what they compute."""

import copy

import numpy as np
import pytest

import headgate as hg
from headgate import nn
from headgate.nn.activations import ACTIVATIONS, get_activation, logits_of, relu
from headgate.nn.initializers import INITIALIZERS, get_initializer


@pytest.fixture(autouse=True)
def fresh_names():
    nn.reset_names()
    hg.random.set_seed(0)


def names(variables):
    return [variable.name for variable in variables]


def near(actual, expected, rtol=1e-6, atol=1e-6):
    np.testing.assert_allclose(np.asarray(actual.numpy()), expected, rtol=rtol, atol=atol)


def data(*shape, dtype=np.float32):
    return np.random.default_rng(1).standard_normal(shape).astype(dtype)


# -- what a layer holds ----------------------------------------------------------------------------


def test_names_count_per_class():
    kinds = [nn.Dense(1), nn.Dense(1), nn.MaxPooling2D(), nn.ReLU(), nn.LeakyReLU(), nn.Dense(1)]
    assert [layer.name for layer in kinds] == [
        *("dense", "dense_1", "max_pooling2d", "re_lu", "leaky_re_lu", "dense_2"),
    ]
    assert nn.Conv2DTranspose(1, 1).name == "conv2d_transpose"
    assert nn.Dense(1, name="mine").name == "mine"


class Nested(nn.Model):
    def __init__(self):
        super().__init__()
        self.first = nn.Dense(2)
        self.scale = hg.Variable(2.0, name="scale")
        self.blocks = [nn.Dense(2), {"inner": (nn.Dense(2),)}]
        self.fixed = hg.Variable(1.0, trainable=False, name="fixed")
        self.again = self.first
        self.parent = self
        self.added = self.add_weight((2,), "zeros", name="added")

    def call(self, x):
        x = self.first(x) * self.scale + self.added
        return self.blocks[1]["inner"][0](self.blocks[0](x))


def test_variables_in_the_order_of_attributes_own_ones_first_each_once():
    model = Nested()
    model(data(3, 2))
    own = ["nested/added", "scale", "fixed"]
    paths = "nested/first", "nested/dense", "nested/dense_1"
    inner = [f"{path}/{what}" for path in paths for what in ("kernel", "bias")]
    assert names(model.variables) == own + inner
    assert names(model.trainable_variables) == [n for n in own + inner if n != "fixed"]
    assert names(model.non_trainable_variables) == ["fixed"]
    assert names(model.weights) == names(model.variables)
    assert model.count_params() == 4 + 3 * (4 + 2)
    assert [layer.name for layer in model.layers] == ["first", "dense", "dense_1", "nested"]


def test_freezing_takes_variables_out_of_the_trainable_ones_but_not_off_the_tape():
    model = nn.Sequential([nn.Dense(2), nn.Dense(1)])
    model.build((None, 3))
    model.layers[0].trainable = False
    last = ["sequential/dense_1/kernel", "sequential/dense_1/bias"]
    assert names(model.trainable_variables) == last
    first = ["sequential/dense/kernel", "sequential/dense/bias"]
    assert names(model.non_trainable_variables) == first
    with hg.GradientTape() as tape:
        loss = hg.sum(model(data(4, 3)))
    assert tape.gradient(loss, model.layers[0].kernel) is not None
    model.trainable = False
    assert model.trainable_variables == []
    assert not model.layers[1].trainable
    model.trainable = True
    assert len(model.trainable_variables) == 4
    assert nn.Dense(1, trainable=False).trainable_variables == []


def test_weights_go_out_and_in_as_copies():
    one, other = nn.Dense(2), nn.Dense(2)
    one.build((None, 3))
    other.build((None, 3))
    weights = one.get_weights()
    other.set_weights(weights)
    weights[0][:] = 0
    near(other.kernel, one.kernel.numpy())
    assert np.any(other.kernel.numpy())
    with pytest.raises(ValueError, match=r"dense has 2 weights and was given 1"):
        one.set_weights(weights[:1])
    with pytest.raises(ValueError, match="not built yet"):
        nn.Dense(2).set_weights(weights)
    with pytest.raises(ValueError, match=r"dense/kernel.*\(3, 2\).*\(2, 2\)"):
        one.set_weights([np.zeros((2, 2)), np.zeros(2)])


def test_copies_are_independent():
    model = nn.Sequential([nn.Input((3,)), nn.Dense(2)])
    twin = copy.deepcopy(model)
    twin.variables[0].assign(np.zeros((3, 2)))
    assert np.any(model.variables[0].numpy())
    assert twin(data(1, 3)).shape == (1, 2)


# -- building and calling --------------------------------------------------------------------------


def test_a_layer_builds_at_its_first_call():
    layer = nn.Dense(2)
    assert not layer.built
    assert layer.variables == []
    with pytest.raises(ValueError, match="dense: it is not built yet"):
        layer.count_params()
    kernel = (layer(data(4, 3)), layer.kernel)[1]
    layer(data(5, 3))
    assert layer.kernel is kernel
    assert layer.output_shape == (None, 2)
    assert repr(layer) == "<Dense name=dense, built=True>"


class Custom(nn.Layer):
    builds = 0

    def build(self, input_shape):
        self.builds += 1
        self.shape_given = input_shape
        self.weight = self.add_weight((input_shape[-1],), "ones", name="weight")

    def call(self, x):
        return x * self.weight


def test_own_layers_build_once():
    layer = Custom()
    layer.build((None, 3))
    layer(data(2, 3))
    assert layer.builds == 1
    layer = Custom()
    layer(data(2, 3))
    assert layer.builds == 1
    assert layer.shape_given == (2, 3)


class OwnBuild(nn.Model):
    builds = 0

    def build(self, input_shape):
        self.builds += 1
        if self.fails:
            raise RuntimeError("broken")
        self.dense = nn.Dense(input_shape[-1])
        super().build(input_shape)

    def call(self, x):
        return self.dense(x)


@pytest.mark.parametrize("explicitly", [True, False])
def test_a_model_may_have_a_build_of_its_own(explicitly):
    model = OwnBuild()
    model.fails = False
    if explicitly:
        model.build((None, 3))
        assert len(model.variables) == 2
    assert model(data(2, 3)).shape == (2, 3)
    assert model.builds == 1
    model = OwnBuild()
    model.fails = True
    with pytest.raises(RuntimeError, match="broken"):
        model(data(2, 3))
    assert not model.built


def test_subclassed_models_build_from_shapes():
    class Two(nn.Model):
        def __init__(self):
            super().__init__()
            self.dense = nn.Dense(2)

        def call(self, pair):
            x, y = pair
            return self.dense(x) + y

    model = Two()
    model.build([(None, 3), (None, 2)])
    assert len(model.variables) == 2
    assert model([data(4, 3), data(4, 2)]).shape == (4, 2)


def test_building_leaves_no_cut_and_is_watched_as_usual():
    model = nn.Sequential([nn.Dense(2), nn.Dense(1)])
    with hg.GradientTape() as tape:
        loss = hg.sum(model(data(4, 3)))
    gradients = tape.gradient(loss, model.trainable_variables)
    assert all(gradient is not None for gradient in gradients)
    assert all(
        verdict.connected and not verdict.cuts for verdict in tape.why(loss, model.variables)
    )
    assert names(tape.watched_variables()) == names(model.trainable_variables)


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        (data(2, 3), "float32"),
        (data(2, 3, dtype=np.float64), "float32"),
        (np.ones((2, 3), np.int64), "float32"),
        ([[1.0, 2.0, 3.0]], "float32"),
        ([[1, 2, 3]], "float32"),
        (hg.ones((2, 3)), "float32"),
        (hg.Variable(np.ones((2, 3))), "float32"),
    ],
)
def test_inputs_are_cast_to_the_dtype_of_the_layer(given, dtype):
    assert nn.Dense(2)(given).dtype == dtype
    assert nn.Dense(2, dtype="float64")(given).dtype == "float64"


def test_casting_keeps_integers_where_no_floats_are_needed_and_passes_gradient():
    assert nn.Flatten()(np.ones((2, 3, 1), np.int32)).dtype == "int32"
    x = hg.Variable(data(2, 3, dtype=np.float64))
    with hg.GradientTape() as tape:
        loss = hg.sum(nn.Dense(2, kernel_initializer="ones")(x))
    near(tape.gradient(loss, x), np.full((2, 3), 2.0))


def test_default_dtype_can_be_set():
    nn.set_floatx("float64")
    try:
        assert nn.floatx() == "float64"
        assert nn.Dense(2)(data(2, 3)).dtype == "float64"
    finally:
        nn.set_floatx("float32")
    with pytest.raises(ValueError, match="floats"):
        nn.set_floatx("int32")


class Reports(nn.Layer):
    def call(self, x, training=None):
        self.seen = training
        return x


class Outer(nn.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.inner = Reports()

    def call(self, x):
        return self.inner(x)


class OuterWithDefault(Outer):
    def call(self, x, training=True):
        return self.inner(x)


@pytest.mark.parametrize(
    ("model", "call", "seen"),
    [
        (Outer, lambda m, x: m(x), None),
        (Outer, lambda m, x: m(x, training=True), True),
        (OuterWithDefault, lambda m, x: m(x), True),
        (OuterWithDefault, lambda m, x: m(x, False), False),
        (OuterWithDefault, lambda m, x: m(x, training=False), False),
        (lambda: nn.Sequential([Outer()]), lambda m, x: m(x, training=True), True),
    ],
)
def test_training_is_handed_down(model, call, seen):
    model = model()
    call(model, data(2, 3))
    inner = model.layers[0] if isinstance(model, Outer) else model.layers[0].inner
    assert inner.seen is seen
    inner(data(2, 3))
    assert inner.seen is None  # and forgotten afterwards


def test_training_is_forgotten_after_an_error():
    class Fails(nn.Layer):
        def call(self, x, training=False):
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        Fails()(data(1, 1), training=True)
    inner = Reports()
    inner(data(1, 1))
    assert inner.seen is None


def test_mistakes_are_explained():
    class Forgot(nn.Layer):
        def __init__(self):
            self.dense = nn.Dense(1)

        def call(self, x):
            return self.dense(x)

    class NoCall(nn.Model):
        pass

    built = nn.Dense(2)
    built(data(2, 3))
    for exception, message, action in [
        (
            RuntimeError,
            r"Forgot.__init__ must call super\(\).__init__\(\)",
            lambda: Forgot()(hg.ones(1)),
        ),
        (NotImplementedError, "NoCall must define call", lambda: NoCall()(data(1, 1))),
        (ValueError, r"'dense_\d'.*\(batch, ..., size\), got \(3,\)", lambda: nn.Dense(2)(data(3))),
        (ValueError, r"\(batch, ..., 3\), got \(2, 4\)", lambda: built(data(2, 4))),
        (ValueError, "units must be a positive integer, got 0", lambda: nn.Dense(0)),
        (ValueError, "unknown activation 'rely'; known are .*relu", lambda: nn.Dense(2, "rely")),
        (ValueError, "unknown initializer", lambda: nn.Dense(2, kernel_initializer="x")),
        (TypeError, "kernel_size", lambda: nn.Conv2D(2)),
        (ValueError, r"\(N, H, W, C\), got \(2, 4\)", lambda: nn.Conv2D(2, 3)(data(2, 4))),
        (
            ValueError,
            "groups=2 must divide the 3",
            lambda: nn.Conv2D(2, 3, groups=2)(data(1, 4, 4, 3)),
        ),
        (ValueError, "data_format must be", lambda: nn.Conv2D(2, 3, data_format="NHWC")),
        (ValueError, "from 0 to 1", lambda: nn.Dropout(1.5)),
        (ValueError, "needs the shape of one sample", lambda: nn.InputLayer()),
        (TypeError, "takes a layer, not 3", lambda: nn.Sequential([3])),
        (TypeError, "not <Symbol", lambda: nn.Sequential([nn.Flatten()(nn.Input((3,)))])),
        (ValueError, "only be the first", lambda: nn.Sequential([nn.Flatten(), nn.Input((3,))])),
    ]:
        with pytest.raises(exception, match=message):
            action()


# -- models ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [nn.Input((4,)), nn.Dense(3), nn.Dense(2)],
        lambda: [nn.InputLayer((4,)), nn.Dense(3), nn.Dense(2)],
        lambda: [nn.InputLayer(input_shape=(4,)), nn.Dense(3), nn.Dense(2)],
        lambda: [nn.Dense(3, input_shape=(4,)), nn.Dense(2)],
        lambda: [nn.Dense(3, input_dim=4), nn.Dense(2)],
        lambda: [nn.Sequential([nn.Input((4,)), nn.Dense(3)]), nn.Dense(2)],
    ],
)
def test_sequential_with_a_known_input_is_built_at_once(layers):
    model = nn.Sequential(layers())
    assert model.built
    assert [v.shape for v in model.variables] == [(4, 3), (3,), (3, 2), (2,)]
    assert model.output_shape == (None, 2)


def test_sequential_grows_and_shrinks():
    model = nn.Sequential()
    model.add(nn.Input((4,)))
    model.add(nn.Dense(3))
    model.add(nn.Dense(2))
    assert model.pop().units == 2
    model.add(nn.Dense(5))
    assert model(data(2, 4)).shape == (2, 5)
    assert len(model.layers) == 2
    assert nn.Sequential()(data(2, 4)).shape == (2, 4)
    unknown = nn.Sequential([nn.Input((None, 4)), nn.Dense(3)])
    assert unknown.variables == []
    assert unknown(data(2, 7, 4)).shape == (2, 7, 3)


def test_summary_is_a_table(capsys):
    model = nn.Sequential([nn.Dense(3), nn.Dropout(0.5), nn.Dense(1)])
    model.summary()
    assert "not built" in capsys.readouterr().out
    model.build((None, 2))
    model.layers[0].trainable = False
    model.summary()
    out = capsys.readouterr().out
    rows = [line.replace("│", " ").split() for line in out.splitlines()]
    assert out.startswith("Model sequential")
    assert ["dense", "Dense", "(None,", "3)", "9", "0"] in rows
    assert ["all", "13", "4"] in rows


def test_a_model_of_symbols_with_two_inputs_two_outputs_and_a_shared_layer():
    a, b = nn.Input((3,), name="a"), nn.Input((3,))
    shared = nn.Dense(4, activation="tanh")
    joined = nn.Concatenate()([shared(a), shared(b)])
    head = nn.Dense(2)(joined)
    model = nn.Model([a, b], {"sum": head[:, 0] + head[:, 1], "scaled": -(2.0 * head) / 4.0})
    x, y = data(5, 3), data(5, 3) + 1
    with hg.GradientTape() as tape:
        result = model([x, y])
        loss = hg.sum(result["sum"])
    assert [v.shape for v in model.variables] == [(3, 4), (4,), (8, 2), (2,)]
    assert all(g is not None for g in tape.gradient(loss, model.trainable_variables))
    both = nn.Dense.call(model.layers[-1], hg.concat([shared(x), shared(y)], axis=1))
    near(result["sum"], both.numpy().sum(1), 1e-5)
    near(result["scaled"], both.numpy() / -2, 1e-5)
    assert [layer.name for layer in model.layers] == [
        *("a", "input_layer", "dense", "concatenate", "dense_1"),
    ]
    assert joined.shape == (None, 8)
    assert joined.ndim == 2
    assert joined.dtype == "float32"


def test_models_of_symbols_nest_and_cut_out_parts():
    x = nn.Input((4, 4, 1))
    features = nn.Flatten()(nn.Conv2D(2, 3, activation="relu")(x))
    encoder = nn.Model(x, features)
    whole = nn.Model(x, nn.Dense(1)(nn.Dropout(0.5)(encoder(x))))
    part = nn.Model(features, nn.Dense(1)(features))
    assert encoder(data(2, 4, 4, 1)).shape == (2, 8)
    assert whole(data(2, 4, 4, 1), training=True).shape == (2, 1)
    assert part(data(2, 8)).shape == (2, 1)
    assert whole.output_shape == (None, 1)


def test_symbols_refuse_what_would_need_a_value():
    x, y = nn.Input((3,)), nn.Input((3,))
    with pytest.raises(TypeError, match=r"symbol of shape \(None, 3\).*Lambda"):
        hg.sin(x)
    with pytest.raises(TypeError, match="Lambda"):
        np.asarray(x)
    with pytest.raises(ValueError, match="not among the inputs"):
        nn.Model(x, nn.Dense(1)(x + y))
    with pytest.raises(ValueError, match="takes symbols"):
        nn.Model(hg.ones(3), hg.ones(3))
    model = nn.Model([x, y], x + y)
    with pytest.raises(ValueError, match="2 inputs and was given 1"):
        model(data(1, 3))
    assert repr(np.float32(2) * x) == "<Symbol shape=(None, 3), dtype=float32>"


# -- what layers compute ---------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5, 3), (2, 5, 3), (2, 1, 5, 3), (0, 3)])
def test_dense(shape):
    layer = nn.Dense(4, "tanh", bias_initializer="ones")
    x = data(*shape)
    with hg.GradientTape() as tape:
        y = layer(x)
        loss = hg.sum(y * y)
    kernel, bias = layer.get_weights()
    expected = np.tanh(x @ kernel + bias)
    near(y, expected, 1e-5)
    g = (2 * expected * (1 - expected**2)).reshape(-1, 4)
    by_kernel, by_bias = tape.gradient(loss, [layer.kernel, layer.bias])
    near(by_kernel, x.reshape(-1, 3).T @ g, 1e-4, 1e-5)
    near(by_bias, g.sum(0), 1e-4, 1e-5)


def test_dense_without_bias():
    layer = nn.Dense(2, use_bias=False)
    layer(data(2, 3))
    assert names(layer.variables) == ["dense/kernel"]


def naive_conv(x, kernel, stride, dilation):
    height, width = ((k - 1) * dilation + 1 for k in kernel.shape[:2])
    rows = range(0, x.shape[1] - height + 1, stride)
    columns = range(0, x.shape[2] - width + 1, stride)
    out = np.zeros((len(x), len(rows), len(columns), kernel.shape[-1]), x.dtype)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            window = x[:, row : row + height : dilation, column : column + width : dilation]
            out[:, i, j] = np.tensordot(window, kernel, 3)
    return out


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_conv2d(stride, dilation, data_format):
    layer = nn.Conv2D(
        *(4, (3, 2), stride, "valid", data_format, dilation),
        activation="relu",
        bias_initializer="ones",
    )
    x = data(2, 7, 6, 3)
    first = data_format == "channels_first"
    y = layer(np.moveaxis(x, -1, 1) if first else x)
    y = np.moveaxis(y.numpy(), 1, -1) if first else y.numpy()
    kernel, bias = layer.get_weights()
    expected = np.maximum(naive_conv(x, kernel, stride, dilation) + bias, 0)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_conv2d_options():
    assert nn.Conv2D(4, 3, padding="same", strides=2)(data(1, 7, 7, 2)).shape == (1, 4, 4, 4)
    grouped = nn.Conv2D(4, 3, groups=2)
    grouped(data(1, 7, 7, 6))
    assert grouped.kernel.shape == (3, 3, 3, 4)
    assert nn.Conv2D(2, 3)(np.ones((1, 5, 5, 1), np.uint8)).dtype == "float32"


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_conv2d_transpose_is_the_transpose_of_conv2d(padding):
    forth = nn.Conv2D(3, 3, 2, padding, use_bias=False)
    back = nn.Conv2DTranspose(2, 3, 2, padding, use_bias=False)
    x = data(1, 6, 6, 2)
    y = forth(x)
    back.build(y.shape)
    assert back.kernel.shape == (3, 3, 2, 3)
    back.set_weights(forth.get_weights())
    u = data(*y.shape)
    z = back(u).numpy()
    padded = np.zeros(z.shape, np.float32)
    padded[:, :6, :6][:, : z.shape[1], : z.shape[2]] = x[:, : z.shape[1], : z.shape[2]]
    cut = x.copy()
    cut[:, z.shape[1] :] = cut[:, :, z.shape[2] :] = 0
    left, right = np.sum(z * padded), np.sum(u * forth(cut).numpy())
    np.testing.assert_allclose(left, right, rtol=1e-4)


def test_pooling_and_shapes():
    x = np.arange(16.0, dtype=np.float32).reshape(1, 4, 4, 1)
    near(nn.MaxPooling2D()(x), np.array([5, 7, 13, 15.0]).reshape(1, 2, 2, 1))
    near(nn.AveragePooling2D(2, 2)(x), np.array([2.5, 4.5, 10.5, 12.5]).reshape(1, 2, 2, 1))
    assert nn.MaxPooling2D(3, 1, "same")(x).shape == (1, 4, 4, 1)
    assert nn.MaxPooling2D(data_format="channels_first")(np.ones((1, 3, 4, 4))).shape == (
        1,
        3,
        2,
        2,
    )
    assert nn.Flatten()(x).shape == (1, 16)
    assert nn.Flatten()(np.ones(5)).shape == (5, 1)
    assert nn.Flatten()(np.ones((0, 3, 2))).shape == (0, 6)
    assert nn.Reshape((2, -1))(x).shape == (1, 2, 8)


ERF_1 = 0.8427007929497149
AT_MINUS_1_AND_1 = {
    "linear": (-1, 1),
    "relu": (0, 1),
    "relu6": (0, 1),
    "leaky_relu": (-0.2, 1),
    "elu": (np.expm1(-1), 1),
    "selu": (1.0507009873554805 * 1.6732632423543772 * np.expm1(-1), 1.0507009873554805),
    "gelu": (-0.15865525393145707, 0.8413447460685429),
    "silu": (-1 / (1 + np.e), 1 / (1 + 1 / np.e)),
    "swish": (-1 / (1 + np.e), 1 / (1 + 1 / np.e)),
    "mish": (-np.tanh(np.log1p(np.exp(-1))), np.tanh(np.log1p(np.e))),
    "sigmoid": (1 / (1 + np.e), 1 / (1 + 1 / np.e)),
    "hard_sigmoid": (1 / 3, 2 / 3),
    "log_sigmoid": (-np.log1p(np.e), -np.log1p(1 / np.e)),
    "tanh": (np.tanh(-1), np.tanh(1)),
    "hard_tanh": (-1, 1),
    "softmax": (1 / (1 + np.e**2), 1 / (1 + np.e**-2)),
    "log_softmax": (-np.log1p(np.e**2), -np.log1p(np.e**-2)),
    "softplus": (np.log1p(np.exp(-1)), np.log1p(np.e)),
    "softsign": (-0.5, 0.5),
    "exponential": (np.exp(-1), np.e),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_by_name(name):
    near(nn.Activation(name, dtype="float64")([[-1.0, 1.0]]), [AT_MINUS_1_AND_1[name]])


def test_activations_otherwise():
    near(nn.Activation(hg.sin)([1.0]), [np.sin(1)])
    assert get_activation(None)(3) == 3
    near(nn.ReLU(6.0, 0.5)([-2.0, 3.0, 9.0]), [-1, 3, 6])
    near(relu([-1.0, 1.0, 3.0], 0.1, threshold=2.0), [-0.3, -0.1, 3.0])
    near(nn.LeakyReLU()([-1.0, 1.0]), [-0.3, 1])
    near(nn.LeakyReLU(alpha=0.1)([-1.0, 1.0]), [-0.1, 1])
    near(nn.Softmax(axis=0)([[0.0], [0.0]]), [[0.5], [0.5]])
    with pytest.raises(ValueError, match="a name such as 'relu'"):
        get_activation(3)
    x = hg.Variable([-1.0, 1.0, 3.0])
    with hg.GradientTape() as tape:
        y = hg.sum(relu(x, 0.1, 2.5, threshold=2.0))
    near(tape.gradient(y, x), [0.1, 0.1, 0.0])


def test_dropout():
    x = np.ones((1000, 50), np.float32)
    layer = nn.Dropout(0.25)
    assert np.all(layer(x).numpy() == 1)
    y = layer(x, training=True).numpy()
    assert y.dtype == np.float32
    np.testing.assert_allclose(np.unique(y), [0, 4 / 3], rtol=1e-6)
    assert abs(y.mean() - 1) < 0.02
    assert np.any(layer(x, training=True).numpy() != y)
    assert np.all(nn.Dropout(1.0)(x, training=True).numpy() == 0)
    assert np.all(nn.Dropout(0.0)(x, training=True).numpy() == 1)
    columns = nn.Dropout(0.5, noise_shape=(None, 1))(x, training=True).numpy()
    assert np.all(columns == columns[:, :1])
    one, other = (nn.Dropout(0.5, seed=3)(x, training=True).numpy() for _ in range(2))
    assert np.all(one == other)
    v = hg.Variable(x)
    with hg.GradientTape() as tape:
        y = layer(v, training=True)
    near(tape.gradient(y, v), y.numpy())


# -- initializers ----------------------------------------------------------------------------------

SHAPE = (3, 3, 20, 30)  # 180 inputs, 270 outputs
VARIANCE = {
    "glorot_uniform": 2 / 450,
    "glorot_normal": 2 / 450,
    "he_uniform": 2 / 180,
    "he_normal": 2 / 180,
    "lecun_uniform": 1 / 180,
    "lecun_normal": 1 / 180,
    "variance_scaling": 1 / 180,
    "random_normal": 0.05**2,
    "random_uniform": 0.1**2 / 12,
    "truncated_normal": (0.05 * 0.87962566) ** 2,
    "zeros": 0,
    "ones": 0,
    "constant": 0,
}
VARIANCE |= {"normal": VARIANCE["random_normal"], "uniform": VARIANCE["random_uniform"]}
MATRICES = {"orthogonal", "identity"}  # tested in tests/train/nn


@pytest.mark.parametrize("name", sorted(INITIALIZERS.keys() - MATRICES))
def test_initializers_by_name(name):
    drawn = get_initializer(name)(SHAPE).numpy()
    assert drawn.dtype == np.float32
    assert drawn.shape == SHAPE
    assert abs(drawn.mean() - (name == "ones")) < 0.003
    np.testing.assert_allclose(drawn.var(), VARIANCE[name], rtol=0.05)
    assert get_initializer(name)((2,), "float64").dtype == "float64"
    if "uniform" in name:
        assert np.abs(drawn).max() <= np.sqrt(3 * VARIANCE[name])


def test_initializers_otherwise():
    near(nn.Constant([1.0, 2.0])((2, 2)), [[1, 2], [1, 2]])
    for kind in (
        nn.GlorotUniform,
        nn.HeNormal,
        nn.RandomNormal,
        nn.TruncatedNormal,
        nn.RandomUniform,
    ):
        seeded = kind(seed=3)
        near(seeded((4,)), seeded((4,)).numpy())
        assert np.any(kind()((4,)).numpy() != kind()((4,)).numpy())
    assert nn.VarianceScaling(mode="fan_out", distribution="untruncated_normal")((3,)).shape == (3,)
    layer = nn.Dense(
        2, kernel_initializer=nn.HeNormal, bias_initializer=lambda shape, dtype: np.ones(shape)
    )
    layer(data(1, 3))
    near(layer.bias, [1, 1])
    assert layer.bias.dtype == "float32"
    hg.random.set_seed(5)
    one = nn.GlorotNormal()((4,)).numpy()
    hg.random.set_seed(5)
    near(nn.GlorotNormal()((4,)), one)
    with pytest.raises(ValueError, match="fan_in"):
        nn.VarianceScaling(mode="fan")
    with pytest.raises(ValueError, match="function of shape and dtype"):
        get_initializer(3)


# -- logits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sigmoid", "softmax"])
def test_logits_are_known_as_long_as_the_probabilities_live(name):
    from headgate.nn import activations

    layer = nn.Dense(3, name)
    probabilities = layer(data(2, 3))
    logits = logits_of(probabilities)
    near(logits, data(2, 3) @ layer.kernel.numpy(), 1e-5)
    assert logits_of(hg.ones(3)) is None
    before = len(activations._logits)
    del probabilities
    assert len(activations._logits) == before - 1


@pytest.mark.peers
def test_a_training_step_traces_under_jax():
    import jax

    model = nn.Sequential(
        [
            nn.Input((6, 6, 1)),
            nn.Conv2D(4, 3, activation="relu"),
            nn.MaxPooling2D(),
            nn.Conv2DTranspose(2, 3, 2),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Dense(3, activation="softmax"),
        ]
    )

    def gradients(x):
        with hg.GradientTape() as tape:
            loss = hg.losses.SparseCategoricalCrossentropy()([0, 1, 2], model(x))
        return [g.value for g in tape.gradient(loss, model.trainable_variables)]

    x = data(3, 6, 6, 1)
    for one, other in zip(gradients(x), jax.jit(gradients)(x), strict=True):
        np.testing.assert_allclose(one, np.asarray(other), rtol=1e-4, atol=1e-5)
