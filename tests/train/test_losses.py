"""Losses: their formulas, written out in NumPy; reductions; what they refuse."""

import numpy as np
import pytest

import headgate as hg
from headgate import losses, nn

RANDOM = np.random.default_rng(2)
REAL, OTHER = RANDOM.standard_normal((2, 4, 3))
CHANCES = RANDOM.uniform(0.05, 0.95, (4, 3))
ANSWERS = RANDOM.integers(0, 2, (4, 3)).astype(float)
CLASSES = np.array([0, 2, 1, 2])
ONE_HOT = np.eye(3)[CLASSES]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    powers = np.exp(x)
    return powers / powers.sum(-1, keepdims=True)


def yes_no(y, p):
    p = np.clip(p, 1e-7, 1 - 1e-7)
    return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p), -1)


def of_classes(y, p):
    p = np.clip(p / p.sum(-1, keepdims=True), 1e-7, 1 - 1e-7)
    return -np.sum(y * np.log(p), -1)


def huber(y, p, delta=1.0):
    size = np.abs(y - p)
    return np.mean(np.where(size <= delta, size**2 / 2, delta * size - delta**2 / 2), -1)


def hinged(y, p):
    return np.maximum(1 - (2 * y - 1 if set(np.unique(y)) <= {0, 1} else y) * p, 0)


def focal(y, p, alpha=None, gamma=2.0):
    right = y * p + (1 - y) * (1 - p)
    each = -((1 - right) ** gamma) * (y * np.log(p) + (1 - y) * np.log(1 - p))
    return np.mean(each if alpha is None else each * np.where(y == 1, alpha, 1 - alpha), -1)


def cosine(x, y, axis=-1):
    return np.sum(x * y, axis) / np.linalg.norm(x, axis=axis) / np.linalg.norm(y, axis=axis)


SMOOTH = ANSWERS * 0.8 + 0.1
SIDES = 2 * ANSWERS - 1
SHARES = CHANCES / CHANCES.sum(-1, keepdims=True)
COUNTS = RANDOM.poisson(2.0, (4, 3)).astype(float)
OF_ONE = np.log((1 + CHANCES) / (1 + SHARES))
SMOOTH_CLASSES = ONE_HOT * 0.8 + 0.2 / 3

CASES = [  # the loss, what it is called with, what it gives per sample
    (losses.MeanSquaredError(), REAL, OTHER, np.mean((REAL - OTHER) ** 2, -1)),
    (losses.MeanAbsoluteError(), REAL, OTHER, np.mean(np.abs(REAL - OTHER), -1)),
    (losses.Huber(), REAL, OTHER, huber(REAL, OTHER)),
    (losses.Huber(0.3), REAL, OTHER, huber(REAL, OTHER, 0.3)),
    (
        losses.MeanAbsolutePercentageError(),
        *(REAL, OTHER, 100 * np.mean(np.abs((REAL - OTHER) / REAL), -1)),
    ),
    (losses.MeanSquaredLogarithmicError(), CHANCES, SHARES, np.mean(OF_ONE**2, -1)),
    (losses.LogCosh(), REAL, OTHER, np.mean(np.log(np.cosh(REAL - OTHER)), -1)),
    (losses.CosineSimilarity(), REAL, OTHER, -cosine(REAL, OTHER)),
    (losses.CosineSimilarity(axis=0), REAL, OTHER, -cosine(REAL, OTHER, 0)),
    (losses.Hinge(), SIDES, OTHER, np.mean(hinged(SIDES, OTHER), -1)),
    (losses.Hinge(), ANSWERS, OTHER, np.mean(hinged(SIDES, OTHER), -1)),
    (losses.SquaredHinge(), ANSWERS, OTHER, np.mean(hinged(SIDES, OTHER) ** 2, -1)),
    (
        losses.CategoricalHinge(),
        *(ONE_HOT, OTHER),
        np.maximum(
            np.max(OTHER * (1 - ONE_HOT), -1) - OTHER[np.arange(4), CLASSES] + 1,
            0,
        ),
    ),
    (losses.KLDivergence(), SHARES, CHANCES, np.sum(SHARES * np.log(SHARES / CHANCES), -1)),
    (losses.Poisson(), COUNTS, CHANCES, np.mean(CHANCES - COUNTS * np.log(CHANCES + 1e-7), -1)),
    (losses.BinaryFocalCrossentropy(), ANSWERS, CHANCES, focal(ANSWERS, CHANCES)),
    (
        losses.BinaryFocalCrossentropy(True, 0.3, 1.5, from_logits=True),
        *(ANSWERS, OTHER, focal(ANSWERS, sigmoid(OTHER), 0.3, 1.5)),
    ),
    (
        losses.BinaryFocalCrossentropy(gamma=0.0, label_smoothing=0.2),
        *(ANSWERS, CHANCES, yes_no(SMOOTH, CHANCES)),
    ),
    (losses.BinaryCrossentropy(), ANSWERS, CHANCES, yes_no(ANSWERS, CHANCES)),
    (losses.BinaryCrossentropy(), ANSWERS, ANSWERS, yes_no(ANSWERS, ANSWERS)),
    (losses.BinaryCrossentropy(True), ANSWERS, OTHER, yes_no(ANSWERS, sigmoid(OTHER))),
    (losses.BinaryCrossentropy(False, 0.2), ANSWERS, CHANCES, yes_no(SMOOTH, CHANCES)),
    (losses.BinaryCrossentropy(axis=0), ANSWERS, CHANCES, yes_no(ANSWERS.T, CHANCES.T)),
    (losses.CategoricalCrossentropy(), ONE_HOT, CHANCES, of_classes(ONE_HOT, CHANCES)),
    (losses.CategoricalCrossentropy(True), ONE_HOT, OTHER, of_classes(ONE_HOT, softmax(OTHER))),
    (
        losses.CategoricalCrossentropy(label_smoothing=0.2),
        *(ONE_HOT, CHANCES, of_classes(SMOOTH_CLASSES, CHANCES)),
    ),
    (losses.SparseCategoricalCrossentropy(), CLASSES, CHANCES, of_classes(ONE_HOT, CHANCES)),
    (
        losses.SparseCategoricalCrossentropy(True),
        *(CLASSES[:, None].astype(float), OTHER, of_classes(ONE_HOT, softmax(OTHER))),
    ),
    (
        losses.SparseCategoricalCrossentropy(True, ignore_class=2),
        *(CLASSES, OTHER, of_classes(ONE_HOT, softmax(OTHER)) * (CLASSES != 2)),
    ),
]


def averaged(loss, expected):
    """Return the mean over the samples that count."""
    ignored = getattr(loss, "ignore_class", None)
    return expected.mean() if ignored is None else expected[np.not_equal(CLASSES, ignored)].mean()


IDS = [f"{case[0].name}-{number}" for number, case in enumerate(CASES)]


@pytest.mark.parametrize(("loss", "y_true", "y_pred", "expected"), CASES, ids=IDS)
def test_value(loss, y_true, y_pred, expected):
    np.testing.assert_allclose(loss.call(y_true, y_pred).numpy(), expected, rtol=1e-9)
    value = loss(y_true, y_pred)
    assert value.shape == ()
    np.testing.assert_allclose(value.numpy(), averaged(loss, expected), rtol=1e-9)
    in_float32 = loss(y_true.astype("f4"), y_pred.astype("f4"))
    assert in_float32.dtype == "float32"
    # 1 - 1e-7 is not exact in float32
    np.testing.assert_allclose(in_float32.numpy(), averaged(loss, expected), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("loss", "y_true", "y_pred"),
    [case[:3] for case in CASES if case[2] is not ANSWERS],  # clipped: one-sided there
)
def test_gradient(loss, y_true, y_pred):
    direction = np.random.default_rng(0).standard_normal(y_pred.shape)
    x = hg.Variable(y_pred)
    with hg.GradientTape() as tape:
        value = loss(y_true, x)
    found = np.sum(tape.gradient(value, x).numpy() * direction)
    step = 1e-6
    more, less = (loss(y_true, y_pred + s * direction).numpy() for s in (step, -step))
    np.testing.assert_allclose(found, (more - less) / (2 * step), rtol=1e-5)


def test_reductions_and_weights():
    each = np.mean((REAL - OTHER) ** 2, -1)
    weight = np.array([0.0, 1.0, 2.0, 3.0])

    def value(reduction, *given):
        return losses.MeanSquaredError(reduction)(REAL, OTHER, *given).numpy()

    for reduction, reduced in [
        ("sum_over_batch_size", np.mean),
        ("mean", np.mean),
        ("sum", np.sum),
        ("none", np.asarray),
        (None, np.asarray),
        ("mean_with_sample_weight", np.mean),
    ]:
        if reduction == "mean_with_sample_weight":
            np.testing.assert_allclose(value(reduction), np.mean(each))
            np.testing.assert_allclose(value(reduction, weight), np.sum(each * weight) / 6)
            np.testing.assert_allclose(value(reduction, 2.0), np.mean(each))
            assert value(reduction, np.zeros(4)) == 0
            continue
        np.testing.assert_allclose(value(reduction), reduced(each))
        np.testing.assert_allclose(value(reduction, weight), reduced(each * weight))
        column = value(reduction, weight[:, None])
        np.testing.assert_allclose(column.reshape(-1), reduced(each * weight).reshape(-1))
    with pytest.raises(ValueError, match="reduction must be one of"):
        losses.MeanSquaredError("average")
    assert losses.MeanSquaredError()(np.ones((0, 3)), np.ones((0, 3))).numpy() == 0


def test_dtypes():
    loss = losses.MeanSquaredError
    assert loss()([[1, 2]], [[3, 4]]).dtype == "float32"
    assert loss()([[1, 2]], np.ones((1, 2))).dtype == "float64"
    assert loss()(np.ones((1, 2)), np.ones((1, 2), "f4")).dtype == "float32"
    assert loss(dtype="float32")(np.ones((1, 2)), np.ones((1, 2))).dtype == "float32"
    assert losses.mean_squared_error([[1, 2]], hg.Variable([[3.0, 4.0]])).dtype == "float64"


@pytest.mark.parametrize("shapes", [((4,), (4, 1)), ((4, 1), (4,)), ((4, 2), (4, 2, 1))])
def test_a_last_axis_of_one_may_be_missing(shapes):
    y_true, y_pred = (np.random.default_rng(0).standard_normal(shape) for shape in shapes)
    expected = np.mean((y_true.reshape(-1) - y_pred.reshape(-1)) ** 2)
    value = losses.MeanSquaredError()(y_true, y_pred)
    np.testing.assert_allclose(value.numpy(), expected)


def test_mistakes_are_explained():
    binary, categorical = losses.BinaryCrossentropy(), losses.CategoricalCrossentropy()
    sparse = losses.SparseCategoricalCrossentropy(from_logits=True)
    for exception, message, action in [
        (ValueError, r"same shape, got \(4, 3\) and \(4, 2\)", lambda: binary(REAL, REAL[:, :2])),
        (
            ValueError,
            r"same shape, got \(4, 3\) and \(2,\)",
            lambda: categorical(REAL, REAL[0, :2]),
        ),
        (ValueError, "must have the shape of the logits", lambda: sparse(CLASSES[:2], OTHER)),
        (ValueError, "from 0 to 2", lambda: sparse(CLASSES + 1, OTHER)),
        (NotImplementedError, "Loss must define call", lambda: losses.Loss()(REAL, OTHER)),
    ]:
        with pytest.raises(exception, match=message):
            action()
    with pytest.raises(ValueError, match="on the last axis, not on axis 0"):
        losses.SparseCategoricalCrossentropy(axis=0)(CLASSES, OTHER)


def test_names_and_repr():
    nn.reset_names()
    assert losses.Huber().name == "huber_loss"
    assert losses.Loss().name == "loss"
    assert repr(losses.Huber(reduction="sum")) == "<Huber reduction=sum>"


@pytest.mark.parametrize(
    ("loss", "activation", "y_true"),
    [
        (losses.BinaryCrossentropy, "sigmoid", ONE_HOT),
        (losses.BinaryFocalCrossentropy, "sigmoid", ONE_HOT),
        (losses.CategoricalCrossentropy, "softmax", ONE_HOT),
        (losses.SparseCategoricalCrossentropy, "softmax", CLASSES),
    ],
)
def test_saturated_probabilities_of_a_layer_keep_their_gradient(loss, activation, y_true):
    logits = hg.Variable(np.float32([[200, -200, 0], [200, 0, -200], [-200, 0, 200], [0, 0, 0]]))
    with hg.GradientTape(persistent=True) as tape:
        probabilities = nn.Activation(activation)(logits)
        from_layer = loss()(y_true, probabilities)
        same = loss(from_logits=True)(y_true, logits)
        from_elsewhere = loss()(y_true, hg.identity(probabilities))
    assert from_layer.numpy() == same.numpy()
    found = tape.gradient(from_layer, logits).numpy()
    np.testing.assert_array_equal(found, tape.gradient(same, logits).numpy())
    assert found[1, 0] > 0.08
    assert tape.gradient(from_elsewhere, logits).numpy()[1, 0] < 1e-6
    with pytest.warns(UserWarning, match="from_logits=True on the result of a sigmoid or softmax"):
        loss(from_logits=True)(y_true, nn.Activation(activation)(logits))


def test_edges_have_finite_values_and_gradients():
    zeros = np.zeros((2, 3))
    for loss, y_true in [
        (losses.CosineSimilarity(), zeros),
        (losses.CosineSimilarity(), zeros + 1),
        (losses.KLDivergence(), np.eye(2, 3)),
        (losses.Poisson(), zeros + 1),
        (losses.MeanAbsolutePercentageError(), zeros),
        (losses.MeanSquaredLogarithmicError(), zeros),
        (losses.LogCosh(), zeros + 1e4),
        (losses.BinaryFocalCrossentropy(), zeros + 1),
    ]:
        x = hg.Variable(zeros)
        with hg.GradientTape() as tape:
            value = loss(y_true, x)
        assert np.isfinite(value.numpy()), loss
        assert np.all(np.isfinite(tape.gradient(value, x).numpy())), loss


def test_smoothing_spreads_over_the_classes_of_the_axis():
    found = losses.CategoricalCrossentropy(label_smoothing=0.2, axis=0)(ONE_HOT.T, CHANCES.T)
    np.testing.assert_allclose(found.numpy(), of_classes(SMOOTH_CLASSES, CHANCES).mean())


@pytest.mark.tensorflow
@pytest.mark.parametrize(("loss", "y_true", "y_pred", "expected"), CASES, ids=IDS)
def test_keras_agrees(loss, y_true, y_pred, expected):
    tf = pytest.importorskip("tensorflow")
    options = {name: value for name, value in vars(loss).items() if name not in ("name", "dtype")}
    theirs = getattr(tf.keras.losses, type(loss).__name__)(**options)
    y_true, y_pred = y_true.astype("f4"), y_pred.astype("f4")
    weight = np.float32([0.5, 1.0, 2.0, 3.0])[: len(np.atleast_1d(expected))]
    for given in ((), (weight,)):
        x, variable = hg.Variable(y_pred), tf.Variable(y_pred)
        with hg.GradientTape() as tape, tf.GradientTape() as their_tape:
            value, their_value = loss(y_true, x, *given), theirs(y_true, variable, *given)
        np.testing.assert_allclose(value.numpy(), their_value.numpy(), rtol=1e-5, atol=1e-6)
        found = tape.gradient(value, x).numpy()
        expected_gradient = their_tape.gradient(their_value, variable).numpy()
        if y_pred is not ANSWERS:
            np.testing.assert_allclose(found, expected_gradient, rtol=1e-4, atol=1e-6)


def test_ignored_samples_do_not_count():
    each = of_classes(ONE_HOT, CHANCES)
    counted = CLASSES != 2
    weight = np.array([1.0, 2.0, 3.0, 4.0])
    for reduction, plain, weighted in [
        ("none", each * counted, each * counted * weight),
        ("sum", each[counted].sum(), (each * weight)[counted].sum()),
        ("mean", each[counted].mean(), (each * weight)[counted].mean()),
        (
            "mean_with_sample_weight",
            *(each[counted].mean(), (each * weight)[counted].sum() / weight[counted].sum()),
        ),
    ]:
        loss = losses.SparseCategoricalCrossentropy(ignore_class=2, reduction=reduction)
        np.testing.assert_allclose(loss(CLASSES, CHANCES).numpy(), plain)
        np.testing.assert_allclose(loss(CLASSES[:, None], CHANCES, weight).numpy(), weighted)
    assert loss([2, 2, 2, 2], CHANCES).numpy() == 0


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_certain_probabilities_in_half_precision(dtype):
    """1 less the margin of float32 is 1 in float16, and the logarithm of what is left infinite."""
    y_true, y_pred = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [1.0, 0.0]], dtype)
    for function in (
        losses.binary_crossentropy,
        losses.binary_focal_crossentropy,
        losses.categorical_crossentropy,
        losses.kl_divergence,
    ):
        right, wrong = function(y_true, y_pred).numpy()
        assert abs(right) < 1e-3, function
        assert 5.0 < wrong < 20.0, function
    certain = losses.sparse_categorical_crossentropy([0, 1], y_pred).numpy()
    assert abs(certain[0]) < 1e-3
    assert np.isfinite(certain[1])
    zeros = np.zeros((1, 3), dtype)
    assert losses.cosine_similarity(zeros + 1, zeros).numpy() == 0.0
    assert losses.cosine_similarity(zeros + 0.5, zeros + 0.25).numpy().round(2) == -1.0
