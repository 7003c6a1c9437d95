"""compile, fit, evaluate, predict: the loop of a model, eager and compiled."""

import warnings

import numpy as np
import pytest

import headgate as hg
import headgate.tf as tf

keras = tf.keras
layers = keras.layers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 4)).astype("float32")
Y = (X[:, 0] > 0).astype("int32") + (X[:, 1] > 0)
WEIGHTS = [0.3 * RNG.normal(size=s).astype("float32") for s in [(4, 8), (8,), (8, 3), (3,)]]

both = pytest.mark.parametrize("eagerly", [True, False], ids=["eager", "compiled"])


def classifier():
    model = keras.Sequential(
        [layers.Dense(8, activation="relu"), layers.Dense(3, activation="softmax")]
    )
    model.build((None, 4))
    model.set_weights(WEIGHTS)
    return model


def by_hand(epochs, size, rate, weight=None):
    """Return the means of the losses and accuracies of epochs, by a loop without any model."""
    w1, b1, w2, b2 = (hg.Variable(w) for w in WEIGHTS)
    variables = [w1, b1, w2, b2]
    losses, right = [], []
    for _ in range(epochs):
        total = hits = 0.0
        for start in range(0, len(X), size):
            x, y = X[start : start + size], Y[start : start + size]
            part = np.ones(len(x), "float32") if weight is None else weight[start : start + size]
            with hg.GradientTape() as tape:
                p = hg.softmax(hg.relu(x @ w1 + b1) @ w2 + b2)
                each = -hg.log(hg.take_along_axis(p, y[:, None], axis=1))[:, 0]
                loss = hg.mean(each * part)
            for variable, g in zip(variables, tape.gradient(loss, variables)):
                variable.assign(variable - rate * g)
            total += float(loss) * len(x)
            hits += float(np.sum(p.numpy().argmax(1) == y))
        losses.append(total / len(X))
        right.append(hits / len(X))
    return losses, right


@both
def test_fit_is_the_loop_that_one_would_write(eagerly):
    model = classifier()
    model.compile(
        keras.optimizers.SGD(0.1),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        run_eagerly=eagerly,
    )
    history = model.fit(X, Y, epochs=3, batch_size=16, shuffle=False, verbose=0)
    losses, right = by_hand(3, 16, 0.1)
    np.testing.assert_allclose(history.history["loss"], losses, rtol=1e-5)
    np.testing.assert_allclose(history.history["accuracy"], right, rtol=1e-6)
    assert history.epoch == [0, 1, 2]
    assert model.history is history


@both
def test_sample_weights_and_class_weights_multiply_the_losses(eagerly):
    for options, weight in [
        ({"sample_weight": np.linspace(0, 1, 50, dtype="float32")}, np.linspace(0, 1, 50)),
        ({"class_weight": {0: 1.0, 1: 2.0, 2: 0.5}}, np.array([1.0, 2.0, 0.5])[Y]),
    ]:
        model = classifier()
        model.compile(
            keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", run_eagerly=eagerly
        )
        history = model.fit(X, Y, epochs=2, batch_size=20, shuffle=False, verbose=0, **options)
        losses, _ = by_hand(2, 20, 0.1, weight.astype("float32"))
        np.testing.assert_allclose(history.history["loss"], losses, rtol=1e-5)


def test_validation_is_of_the_last_samples_and_after_the_epoch():
    model = classifier()
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
    history = model.fit(X, Y, epochs=2, validation_split=0.2, verbose=0)
    loss, accuracy = model.evaluate(X[40:], Y[40:], verbose=0)
    assert history.history["val_loss"][-1] == pytest.approx(loss)
    assert history.history["val_accuracy"][-1] == pytest.approx(accuracy)
    assert model.metrics_names == ["loss", "accuracy"]
    named = model.evaluate(X[40:], Y[40:], verbose=0, return_dict=True)
    assert named == {"loss": pytest.approx(loss), "accuracy": pytest.approx(accuracy)}


def test_what_is_measured_begins_with_the_first_batch_each_time():
    model = classifier()
    model.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy", run_eagerly=True)
    pairs = tf.data.Dataset.from_tensor_slices((X, Y)).batch(10)
    expected = model.evaluate(X[:20], Y[:20], verbose=0)
    for data, size in [((X, Y), 10), (pairs, None)]:
        history = model.fit(
            X,
            Y,
            epochs=4,
            verbose=0,
            validation_data=data,
            validation_batch_size=size,
            validation_steps=2,
        )
        np.testing.assert_allclose(history.history["val_loss"], [expected] * 4, rtol=1e-6)


@both
def test_several_outputs_have_losses_weights_and_metrics_by_place_or_name(eagerly):
    kept = {}
    for losses, weights, metrics in [
        (["sparse_categorical_crossentropy", "mse"], [1.0, 0.5], [["accuracy"], ["mae"]]),
        (
            {"kind": "sparse_categorical_crossentropy", "size": "mse"},
            {"size": 0.5},
            {"kind": ["accuracy"], "size": "mae"},
        ),
    ]:
        x = keras.Input((4,))
        h = layers.Dense(8, activation="tanh")(x)
        outputs = [
            layers.Dense(3, activation="softmax", name="kind")(h),
            layers.Dense(1, name="size")(h),
        ]
        model = keras.Model(x, outputs)
        model.set_weights([*WEIGHTS, np.full((8, 1), 0.1, "float32"), np.zeros(1, "float32")])
        model.compile("sgd", losses, weights, metrics, run_eagerly=eagerly)
        history = model.fit(X, [Y, X[:, :1]], epochs=2, shuffle=False, verbose=0).history
        names = ["kind_accuracy", "kind_loss", "loss", "size_loss", "size_mae"]
        assert sorted(history) == names
        total = np.asarray(history["kind_loss"]) + 0.5 * np.asarray(history["size_loss"])
        kept.setdefault("all", history)
        np.testing.assert_allclose(history["loss"], total, rtol=1e-6)
        assert history == kept["all"]


class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden = layers.Dense(8, activation="relu")
        self.head = layers.Dense(3)
        self.tracker = keras.metrics.Mean(name="mine")

    def call(self, x, training=False):
        return self.head(self.hidden(x))

    @property
    def metrics(self):
        return [self.tracker]

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(self(x, training=True) - tf.one_hot(y, 3)))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        self.tracker.update_state(loss)
        return {m.name: m.result() for m in self.metrics}


@both
def test_a_step_of_ones_own_is_what_runs(eagerly):
    model = Net()
    model.compile(keras.optimizers.Adam(0.05), run_eagerly=eagerly)
    history = model.fit(X, Y, epochs=15, verbose=0)
    assert list(history.history) == ["mine"]
    assert history.history["mine"][-1] < 0.7 * history.history["mine"][0]
    with pytest.raises(ValueError, match="no loss: give one to `compile"):
        model.evaluate(X, Y, verbose=0)


@both
def test_a_gan_with_two_optimizers_trains_both(eagerly):
    class Gan(keras.Model):
        def __init__(self):
            super().__init__()
            self.generator = keras.Sequential([layers.Dense(8, activation="relu"), layers.Dense(2)])
            self.critic = keras.Sequential([layers.Dense(8, activation="relu"), layers.Dense(1)])

        def compile(self, g_optimizer, d_optimizer, loss_fn, **options):
            super().compile(**options)
            self.g_optimizer, self.d_optimizer = g_optimizer, d_optimizer
            self.loss_fn = loss_fn

        def train_step(self, real):
            noise = tf.random.normal((tf.shape(real)[0], 3))
            with tf.GradientTape(persistent=True) as tape:
                fake = self.critic(self.generator(noise))
                true = self.critic(real)
                d_loss = self.loss_fn(tf.ones_like(true), true)
                d_loss += self.loss_fn(tf.zeros_like(fake), fake)
                g_loss = self.loss_fn(tf.ones_like(fake), fake)
            for part, loss, optimizer in [
                (self.critic, d_loss, self.d_optimizer),
                (self.generator, g_loss, self.g_optimizer),
            ]:
                variables = part.trainable_variables
                optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
            return {"d_loss": d_loss, "g_loss": g_loss}

    tf.random.set_seed(3)
    gan = Gan()
    gan.generator(np.zeros((1, 3), "float32"))
    gan.critic(np.zeros((1, 2), "float32"))
    gan.compile(
        keras.optimizers.Adam(0.01),
        keras.optimizers.Adam(0.01),
        keras.losses.BinaryCrossentropy(from_logits=True),
        run_eagerly=eagerly,
    )
    before = gan.get_weights()
    history = gan.fit(X[:, :2], epochs=2, batch_size=25, verbose=0)
    assert sorted(history.history) == ["d_loss", "g_loss"]
    changed = [np.any(a != b) for a, b in zip(before, gan.get_weights())]
    assert all(changed)


def test_predict_joins_batches_and_keeps_structure():
    model = classifier()
    got = model.predict(X, batch_size=7, verbose=0)
    np.testing.assert_allclose(got, model(X).numpy(), rtol=1e-5, atol=1e-6)
    assert type(got) is np.ndarray
    np.testing.assert_allclose(model.predict_on_batch(X[:3]), got[:3], rtol=1e-5, atol=1e-6)


def test_batches_of_any_sort_are_data():
    class Sequence:
        def __len__(self):
            return 2

        def __getitem__(self, number):
            return X[number * 25 : number * 25 + 25], Y[number * 25 : number * 25 + 25]

    def endless():
        while True:
            yield X[:25], Y[:25]
            yield X[25:], Y[25:]

    pairs = [(X[:25], Y[:25]), (X[25:], Y[25:])]
    losses = []
    for data, steps in [
        (Sequence(), None),
        (pairs, None),
        (endless(), 2),
        (hg.data.Batches(X, Y, batch_size=25, shuffle=False), None),
    ]:
        model = classifier()
        model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
        history = model.fit(data, steps_per_epoch=steps, epochs=3, verbose=0)
        losses.append(history.history["loss"])
    model = classifier()
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    losses.append(
        model.fit(X, Y, batch_size=25, epochs=3, shuffle=False, verbose=0).history["loss"]
    )
    assert all(each == losses[0] for each in losses)


def test_data_that_end_too_early_are_told():
    model = classifier()
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    with pytest.warns(UserWarning, match="ended after 2 of 3 steps"):
        model.fit(iter([(X, Y), (X, Y)]), steps_per_epoch=3, verbose=0)
    gone = iter([(X, Y)])
    with pytest.raises(ValueError, match="gave no batch; an iterator can be gone through once"):
        model.fit(gone, epochs=2, verbose=0)


def test_training_and_evaluating_one_batch():
    model = classifier()
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
    measured = model.test_on_batch(X[:8], Y[:8])
    trained = model.train_on_batch(X[:8], Y[:8])
    assert measured == pytest.approx(trained)
    assert model.test_on_batch(X[:8], Y[:8])[0] < measured[0]
    assert sorted(model.train_on_batch(X[:8], Y[:8], return_dict=True)) == ["accuracy", "loss"]


def test_what_is_set_between_epochs_has_effect_in_compiled_steps():
    model = classifier()
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    model.fit(X, Y, verbose=0)
    before = model.get_weights()
    model.layers[0].trainable = False
    model.optimizer.learning_rate = 0.01
    model.fit(X, Y, verbose=0)
    after = model.get_weights()
    assert np.array_equal(before[0], after[0])
    assert 0 < np.abs(before[2] - after[2]).max() < 0.05


def test_weights_come_back_from_a_file(tmp_path):
    model, other = classifier(), classifier()
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    model.fit(X, Y, verbose=0)
    model.save_weights(tmp_path / "weights")
    other.load_weights(tmp_path / "weights")
    for a, b in zip(model.get_weights(), other.get_weights()):
        assert np.array_equal(a, b)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        model.save_weights(tmp_path / "weights", overwrite=False)
    with pytest.raises(ValueError, match=r"not in Keras' format; name the file m\.safetensors"):
        model.save_weights(tmp_path / "m.weights.h5")


REFUSED = {
    "no compile": (RuntimeError, r"fit: call sequential\w*\.compile", lambda m: m.fit(X, Y)),
    "unknown loss": (ValueError, "unknown loss 'mze'", lambda m: m.compile("sgd", "mze")),
    "unknown optimizer": (ValueError, "unknown optimizer 'sdg'", lambda m: m.compile("sdg", "mse")),
    "no optimizer": (TypeError, "an optimizer is one of", lambda m: m.compile(0.1, "mse")),
    "lengths": (
        ValueError,
        r"same number of rows.*\(50, 4\).*\(49,\)",
        lambda m: (m.compile("sgd", "mse"), m.fit(X, Y[:49])),
    ),
    "y beside batches": (
        ValueError,
        "y is given beside list",
        lambda m: (m.compile("sgd", "mse"), m.fit([(X, Y)] * 2, Y)),
    ),
    "verbose": (
        ValueError,
        "verbose is 0, 1, 2",
        lambda m: (m.compile("sgd", "mse"), m.fit(X, Y, verbose=7)),
    ),
    "several outputs": (
        ValueError,
        "loss has 2 entries for 1 outputs: output",
        lambda m: (m.compile("sgd", ["mse", "mse"], run_eagerly=True), m.fit(X, Y, verbose=0)),
    ),
    "no labels": (
        ValueError,
        "no y to compute it from",
        lambda m: (m.compile("sgd", "mse", run_eagerly=True), m.fit(X, verbose=0)),
    ),
    "split": (
        ValueError,
        "validation_split is between 0 and 1",
        lambda m: (m.compile("sgd", "mse"), m.fit(X, Y, validation_split=1.5)),
    ),
    "execution": (
        ValueError,
        "steps_per_execution=4",
        lambda m: m.compile("sgd", "mse", steps_per_execution=4),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_refused_by_name(case):
    error, text, call = REFUSED[case]
    with pytest.raises(error, match=text):
        call(classifier())


def test_a_step_must_return_numbers_by_name():
    class Bad(Net):
        def train_step(self, data):
            return 1.0

    model = Bad()
    model.compile("sgd", run_eagerly=True)
    with pytest.raises(TypeError, match="train_step must return a dictionary"):
        model.fit(X, Y, verbose=0)


def test_the_line_that_fit_writes(capsys):
    model = classifier()
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
    model.fit(X, Y, epochs=2, validation_data=(X, Y), verbose=2)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("Epoch 1/2 - 2/2 - ")
    assert "/step - accuracy: 0." in first
    assert " - val_loss: " in second
    model.evaluate(X, Y)
    assert capsys.readouterr().out.startswith("2/2 - ")


def test_warnings_of_missing_gradients_have_the_line_of_fit():
    class Cut(Net):
        metrics = keras.Model.metrics
        train_step = keras.Model.train_step

        def call(self, x, training=False):
            return self.head(tf.stop_gradient(self.hidden(x)))

    model = Cut()
    model.compile("sgd", "mse", run_eagerly=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, np.eye(3, dtype="float32")[Y], verbose=0)
    assert caught
    assert {warning.filename for warning in caught} == {__file__}
