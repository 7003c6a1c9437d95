"""`headgate.tf.keras`: programs written for Keras, and the same numbers as Keras gives.

A program is a function of the module `tf`. It always runs on Headgate; where TensorFlow is
installed it runs there as well, from the same weights, and the results must agree.
"""

import importlib
import types
import warnings

import numpy as np
import pytest

import headgate.tf as htf

TABLES = [
    "activations",
    "backend",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
]


def data(*shape):
    return np.random.default_rng(3).standard_normal(shape).astype(np.float32)


def labels(count, classes):
    return np.random.default_rng(4).integers(0, classes, count)


def set_weights(model):
    """Give a model weights that are the same in both libraries."""
    random = np.random.default_rng(5)
    model.set_weights(
        [0.3 * random.standard_normal(weight.shape) for weight in model.get_weights()]
    )


def train(tf, model, optimizer, loss, x, y, steps=20):
    """Return the losses and the weights after some steps."""
    set_weights(model)
    history = []
    for _ in range(steps):
        with tf.GradientTape() as tape:
            value = loss(y, model(x, training=True))
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        history.append(value.numpy())
    return history, model.get_weights()


# -- programs --------------------------------------------------------------------------------------


def classifier(tf):
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Flatten(),
            tf.keras.layers.Dense(16, activation="relu"),
            tf.keras.layers.Dense(10),
        ]
    )
    x = data(8, 4, 3)
    model(x)
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return train(tf, model, tf.keras.optimizers.Adam(0.01), loss, x, labels(8, 10))


def image_classifier(tf):
    layers = tf.keras.layers
    model = tf.keras.models.Sequential()
    model.add(layers.InputLayer(shape=(8, 8, 1)))
    model.add(layers.Conv2D(4, (3, 3), padding="same", activation="relu"))
    model.add(layers.MaxPooling2D((2, 2)))
    model.add(layers.Conv2D(6, 3, strides=2, data_format="channels_last", use_bias=False))
    model.add(layers.LeakyReLU(negative_slope=0.1))
    model.add(layers.AveragePooling2D(1))
    model.add(layers.Flatten())
    model.add(layers.Dense(3, activation="softmax"))
    loss = tf.keras.losses.SparseCategoricalCrossentropy()
    optimizer = tf.keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True)
    return train(tf, model, optimizer, loss, data(6, 8, 8, 1), labels(6, 3))


def decoder(tf):
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            layers.Input((5,)),
            layers.Dense(2 * 2 * 3, kernel_initializer="he_normal"),
            layers.Reshape((2, 2, 3)),
            layers.Conv2DTranspose(4, 3, strides=2, padding="same", activation="tanh"),
            layers.Conv2DTranspose(2, 2, strides=2, activation="elu"),
            layers.Conv2DTranspose(1, (3, 2), strides=1, padding="valid"),
        ]
    )
    y = data(4, 10, 9, 1)
    loss = tf.keras.losses.Huber()
    return train(tf, model, tf.keras.optimizers.RMSprop(0.01), loss, data(4, 5), y)


def discriminator(tf):
    class Discriminator(tf.keras.Model):
        def __init__(self):
            super().__init__()
            self.body = [tf.keras.layers.Dense(6, tf.nn.leaky_relu), tf.keras.layers.ReLU()]
            self.head = tf.keras.layers.Dense(1, activation="sigmoid")

        def call(self, x, training=False):
            for layer in self.body:
                x = layer(x)
            return self.head(x)

    model = Discriminator()
    model(data(8, 4))
    loss = tf.keras.losses.BinaryCrossentropy(label_smoothing=0.1)
    y = labels(8, 2)[:, None]
    return train(tf, model, tf.keras.optimizers.Adam(0.05, beta_1=0.5), loss, 5 * data(8, 4), y)


def critic(tf):
    states, actions = tf.keras.Input(shape=(4,)), tf.keras.Input(shape=(2,))
    x = tf.keras.layers.Dense(8, activation="relu")(states)
    x = tf.keras.layers.Concatenate()([x, actions])
    x = tf.keras.layers.Dense(8, activation="selu")(x)
    model = tf.keras.Model([states, actions], tf.keras.layers.Dense(1)(x) * 2.0)
    optimizer = tf.keras.optimizers.RMSprop(0.003, rho=0.8, momentum=0.5)
    inputs = [data(8, 4), data(8, 2)]
    return train(tf, model, optimizer, tf.keras.losses.MeanSquaredError(), inputs, data(8, 1))


def frozen(tf):
    model = tf.keras.Sequential([tf.keras.layers.Dense(4, "tanh"), tf.keras.layers.Dense(2)])
    model.build((None, 3))
    model.layers[0].trainable = False
    assert len(model.trainable_variables) == 2
    assert len(model.non_trainable_weights) == 2
    loss = tf.keras.losses.MeanAbsoluteError(reduction="sum")
    return train(tf, model, tf.keras.optimizers.SGD(0.01), loss, data(5, 3), data(5, 2))


def own_layer(tf):
    class Scaled(tf.keras.layers.Layer):
        def __init__(self, units, **options):
            super().__init__(**options)
            self.units = units

        def build(self, input_shape):
            shape = (input_shape[-1], self.units)
            self.kernel = self.add_weight(shape=shape, initializer="random_normal", name="kernel")
            self.scale = self.add_weight(shape=(), initializer="ones", trainable=False, name="s")
            super().build(input_shape)

        def call(self, inputs):
            return tf.matmul(inputs, self.kernel) * self.scale

    model = tf.keras.Sequential([Scaled(3), tf.keras.layers.Activation("gelu"), Scaled(2)])
    model(data(1, 4))
    loss = tf.keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    y = np.eye(2, dtype=np.float32)[labels(6, 2)]
    return train(tf, model, tf.keras.optimizers.Adam(), loss, data(6, 4), y)


def losses(tf):
    """All losses with several options; 0 and 1 are among the probabilities."""
    module = tf.keras.losses
    y, p = labels((6, 4), 2).astype(np.float32), 1 / (1 + np.exp(-data(6, 4)))
    p[0, :2] = 0, 1
    x, classes = data(6, 4), labels(6, 4)
    one_hot = np.eye(4, dtype=np.float32)[classes]
    found = [
        module.MeanSquaredError()(y, p),
        module.MeanSquaredError("none")(y, p),
        module.MeanSquaredError(reduction="sum")(y, p, sample_weight=p[:, 0]),
        module.MeanSquaredError()(y[:, 0], p[:, :1]),
        module.MeanAbsoluteError()(y, p),
        module.Huber(0.3)(y, x),
        module.BinaryCrossentropy()(y, p),
        module.BinaryCrossentropy(True, 0.1, reduction="none")(y, 20 * x),
        module.CategoricalCrossentropy()(one_hot, p),
        module.CategoricalCrossentropy(label_smoothing=0.1, reduction="none")(one_hot, p),
        module.CategoricalCrossentropy(from_logits=True)(one_hot, x),
        module.SparseCategoricalCrossentropy()(classes, p),
        module.SparseCategoricalCrossentropy(from_logits=True)(classes[:, None], 20 * x),
        module.SparseCategoricalCrossentropy(True, ignore_class=1, reduction="sum")(classes, x),
        module.mse(y, p),
        module.mae(y, p),
        module.huber(y, x, delta=0.5),
        module.binary_crossentropy(y, p),
        module.categorical_crossentropy(one_hot, p),
        module.sparse_categorical_crossentropy(classes, x, from_logits=True),
    ]
    return [value.numpy() for value in found], []


def activations(tf):
    x = tf.constant([[-20.0, -4.0, -1.5, -0.5, 0.0, 0.5, 1.5, 4.0, 20.0]])
    names = (
        *("elu", "exponential", "gelu", "hard_sigmoid", "hard_tanh", "leaky_relu", "linear"),
        *("log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu"),
        *("softmax", "softplus", "softsign", "swish", "tanh"),
    )
    found = [getattr(tf.keras.activations, name)(x) for name in names]
    found += [tf.keras.activations.get(name)(x) for name in names]
    found += [
        tf.keras.activations.relu(x, negative_slope=0.1, max_value=3.0, threshold=1.0),
        tf.keras.layers.ReLU(3.0, 0.1, 1.0)(x),
        tf.keras.layers.ReLU(negative_slope=0.1)(x),
        tf.keras.layers.LeakyReLU()(x),
        tf.keras.layers.Softmax()(x),
        tf.keras.layers.Activation("softplus")(x),
        tf.keras.layers.Dropout(0.5)(x),
    ]
    return [value.numpy() for value in found], []


PROGRAMS = [
    *(classifier, image_classifier, decoder, discriminator, critic, frozen, own_layer),
    *(losses, activations),
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_program(program):
    history, _ = program(htf)
    assert all(np.all(np.isfinite(value)) for value in history)
    assert all(value.dtype == np.float32 for value in history)
    if program not in (losses, activations):
        assert history[-1] < history[0]


@pytest.mark.tensorflow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("program", PROGRAMS)
def test_program_agrees_with_keras(program):
    tf = importlib.import_module("tensorflow")
    tolerance = 1e-5 if program in (losses, activations) else 1e-4  # rounding adds up in training
    for ours, theirs in zip(program(htf), program(tf), strict=True):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one, np.asarray(other), rtol=tolerance, atol=1e-5)


OPTIMIZERS = [
    ("SGD", {}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
    ("RMSprop", {}),
    ("RMSprop", {"learning_rate": 0.01, "momentum": 0.9, "epsilon": 1e-3}),
    ("RMSprop", {"learning_rate": 0.01, "rho": 0.5, "centered": True}),
    ("Adam", {}),
    ("Adam", {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-2}),
]


@pytest.mark.tensorflow
@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_optimizer_agrees_with_keras(name, options):
    """Fifty steps with given gradients, some of them zero, the first ones tiny."""
    tf = importlib.import_module("tensorflow")
    gradients = data(50, 7, 3)
    gradients[:5] *= 1e-6
    gradients[:, 0] = 0
    results = []
    for module in (htf, tf):
        v = module.Variable(data(7, 3))
        optimizer = getattr(module.keras.optimizers, name)(**options)
        for g in gradients:
            optimizer.apply_gradients([(module.constant(g), v)])
        results.append(v.numpy())
        assert int(optimizer.iterations.numpy()) == 50
    np.testing.assert_allclose(*results, rtol=1e-5, atol=1e-5)


@pytest.mark.tensorflow
@pytest.mark.filterwarnings("ignore")
def test_layer_names_and_shapes_agree_with_keras():
    tf = importlib.import_module("tensorflow")
    found = []
    for module in (htf, tf):
        module.keras.backend.clear_session()
        layers = module.keras.layers
        model = module.keras.Sequential(
            [
                layers.Input((8, 8, 2)),
                layers.Conv2D(4, 3, dilation_rate=2, groups=2),
                layers.ReLU(),
                layers.MaxPooling2D(),
                layers.Conv2DTranspose(3, 4, 3),
                layers.LeakyReLU(),
                layers.Flatten(),
                layers.Dense(2),
                layers.Dense(2),
            ]
        )
        shapes = [(layer.name, tuple(layer.output.shape)) for layer in model.layers] if (
            module is tf
        ) else [(layer.name, layer.output_shape) for layer in model.layers]  # fmt: skip
        weights = [tuple(v.shape) for v in model.trainable_variables]
        found.append((model.name, shapes, weights, model.count_params()))
    assert found[0] == found[1]


def test_missing_gradients_warn_with_the_words_of_keras():
    v, w = htf.Variable(1.0), htf.Variable(1.0, name="w")
    with pytest.warns(UserWarning, match=r"Gradients do not exist for variables \['w'\]"):
        htf.keras.optimizers.SGD().apply_gradients([(htf.constant(1.0), v), (None, w)])


# -- the tables ------------------------------------------------------------------------------------


def test_tables_hold_names_and_nothing_else():
    import ast
    import inspect

    for name in TABLES:
        tree = ast.parse(inspect.getsource(getattr(htf.keras, name)))
        for statement in tree.body:
            match statement:
                case ast.Expr(value=ast.Constant(value=str())):
                    continue
                case ast.Import() | ast.ImportFrom() | ast.Assign(value=ast.Attribute()):
                    continue
            pytest.fail(f"{name}, line {statement.lineno}: {ast.unparse(statement)}")


KERAS_2 = {"mean_squared_error", "mean_absolute_error"}  # now mse and mae; programs use both


@pytest.mark.tensorflow
@pytest.mark.filterwarnings("ignore")
def test_every_name_is_one_of_keras():
    tf = importlib.import_module("tensorflow")
    for table in TABLES:
        ours = vars(getattr(htf.keras, table))
        names = {name for name in ours if not name.startswith("_")} - KERAS_2
        assert names
        assert [n for n in names if not hasattr(getattr(tf.keras, table), n)] == []
    names = [
        n for n in htf.keras.__all__ if not isinstance(getattr(htf.keras, n), types.ModuleType)
    ]
    assert all(hasattr(tf.keras, name) for name in names)


def test_default_dtype():
    htf.keras.backend.set_floatx("float64")
    try:
        assert htf.keras.backend.floatx() == "float64"
        model = htf.keras.Sequential([htf.keras.layers.Dense(2)])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            y = model(np.ones((1, 2)))
        assert y.dtype == "float64"
        assert htf.keras.losses.MeanSquaredError()([[1, 2]], y).dtype == "float64"
    finally:
        htf.keras.backend.set_floatx("float32")
