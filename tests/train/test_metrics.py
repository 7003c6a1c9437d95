"""Metrics: formulas written out in NumPy, Keras' numbers, states, and that no graph stays alive."""

import gc
import math
import weakref

import numpy as np
import pytest

import headgate as hg
import headgate.tf as tf
from headgate import losses, metrics, nn

RANDOM = np.random.default_rng(3)
REAL, OTHER = RANDOM.standard_normal((2, 12, 4)).astype("f4")
SHARES, CHANCES = (np.float32(p / p.sum(-1, keepdims=True)) for p in RANDOM.random((2, 12, 4)))
CLASSES = RANDOM.integers(0, 4, 12)
ONE_HOT = np.eye(4, dtype="f4")[CLASSES]
ANSWERS = RANDOM.integers(0, 2, (12, 4)).astype("f4")
GUESSES = RANDOM.integers(0, 4, 12)
WEIGHTS = RANDOM.random(12).astype("f4")
RANKS = np.argsort(np.argsort(-CHANCES, -1), -1)
RIGHT_RANK = RANKS[np.arange(12), CLASSES]


def cosine(x, y):
    return np.sum(x * y, -1) / np.linalg.norm(x, axis=-1) / np.linalg.norm(y, axis=-1)


MEANS = [  # the metric, its options, y_true, y_pred, what it gives per sample
    ("Accuracy", {}, CLASSES, GUESSES, CLASSES == GUESSES),
    ("BinaryAccuracy", {}, ANSWERS, CHANCES, np.mean((CHANCES > 0.5) == ANSWERS, -1)),
    (
        *("BinaryAccuracy", {"threshold": 0.2}, ANSWERS, CHANCES),
        np.mean((CHANCES > 0.2) == ANSWERS, -1),
    ),
    ("CategoricalAccuracy", {}, ONE_HOT, CHANCES, RIGHT_RANK == 0),
    ("SparseCategoricalAccuracy", {}, CLASSES, CHANCES, RIGHT_RANK == 0),
    ("SparseCategoricalAccuracy", {}, CLASSES[:, None], CHANCES, RIGHT_RANK == 0),
    ("TopKCategoricalAccuracy", {"k": 2}, ONE_HOT, CHANCES, RIGHT_RANK < 2),
    ("SparseTopKCategoricalAccuracy", {"k": 3}, CLASSES, CHANCES, RIGHT_RANK < 3),
    ("MeanSquaredError", {}, REAL, OTHER, np.mean((REAL - OTHER) ** 2, -1)),
    ("MeanAbsoluteError", {}, REAL, OTHER, np.mean(np.abs(REAL - OTHER), -1)),
    (
        *("MeanAbsolutePercentageError", {}, REAL, OTHER),
        100 * np.mean(np.abs((REAL - OTHER) / REAL), -1),
    ),
    ("KLDivergence", {}, SHARES, CHANCES, np.sum(SHARES * np.log(SHARES / CHANCES), -1)),
    ("CosineSimilarity", {}, REAL, OTHER, cosine(REAL, OTHER)),
]
OTHERS = [  # the metric, its options, y_true, y_pred
    ("RootMeanSquaredError", {}, REAL, OTHER),
    ("Precision", {}, ANSWERS, CHANCES),
    ("Precision", {"thresholds": [0.1, 0.3, 0.6]}, ANSWERS, CHANCES),
    ("Precision", {"class_id": 1, "thresholds": 0.3}, ANSWERS, CHANCES),
    ("Precision", {"top_k": 2}, ANSWERS, CHANCES),
    ("Recall", {}, ANSWERS, CHANCES),
    ("Recall", {"thresholds": [0.1, 0.3]}, ANSWERS, CHANCES),
    ("Recall", {"top_k": 2, "class_id": 3}, ANSWERS, CHANCES),
    ("AUC", {}, ANSWERS, CHANCES),
    ("AUC", {"num_thresholds": 10}, ANSWERS, CHANCES),
    ("AUC", {"curve": "PR"}, ANSWERS, CHANCES),
    ("AUC", {"curve": "PR", "num_thresholds": 7}, ANSWERS, CHANCES),
    ("AUC", {"summation_method": "minoring"}, ANSWERS, CHANCES),
    ("AUC", {"summation_method": "majoring", "curve": "PR"}, ANSWERS, CHANCES),
    ("AUC", {"thresholds": [0.2, 0.3, 0.7]}, ANSWERS, CHANCES),
    ("AUC", {"from_logits": True}, ANSWERS, OTHER),
]
IOUS = [  # Keras counts in whole numbers if it may, and warns about weights
    ("MeanIoU", {"dtype": "float32", "num_classes": 4}, CLASSES, GUESSES),
    ("MeanIoU", {"dtype": "float32", "num_classes": 5, "ignore_class": 2}, CLASSES, GUESSES),
    ("MeanIoU", {"dtype": "float32", "num_classes": 4, "sparse_y_true": False}, ONE_HOT, GUESSES),
    ("MeanIoU", {"dtype": "float32", "num_classes": 4, "sparse_y_pred": False}, CLASSES, CHANCES),
]
EVERY = [case[:4] for case in MEANS] + OTHERS + IOUS


def ids(cases):
    return [f"{case[0]}-{number}" for number, case in enumerate(cases)]


def made(name, options):
    return getattr(metrics, name)(**options)


# -- values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "options", "y_true", "y_pred", "each"), MEANS, ids=ids(MEANS))
def test_means(name, options, y_true, y_pred, each):
    metric = made(name, options)
    for part in (slice(0, 5), slice(5, 12)):
        metric.update_state(y_true[part], y_pred[part])
    assert metric.result().dtype == "float32"
    np.testing.assert_allclose(metric.result().numpy(), np.mean(each), rtol=1e-5)
    metric.reset_state()
    assert metric.result().numpy() == 0
    found = metric(y_true, y_pred, sample_weight=WEIGHTS)
    np.testing.assert_allclose(found.numpy(), np.average(each, weights=WEIGHTS), rtol=1e-5)


def test_root_mean_squared_error():
    metric = metrics.RootMeanSquaredError()
    for part in (slice(0, 5), slice(5, 12)):
        metric.update_state(REAL[part], OTHER[part])
    expected = np.sqrt(np.mean((REAL - OTHER) ** 2))
    np.testing.assert_allclose(metric.result().numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "weight", [None, WEIGHTS, WEIGHTS[:, None], np.float32(RANDOM.random((12, 4)))]
)
def test_precision_and_recall(weight):
    each = np.ones((12, 4)) if weight is None else np.broadcast_to(weight.reshape(12, -1), (12, 4))
    for threshold in (0.1, 0.4):
        yes = threshold < CHANCES
        hits = np.sum(each * (yes & (ANSWERS == 1)))
        precision = metrics.Precision(threshold)(ANSWERS, CHANCES, weight)
        recall = metrics.Recall(threshold)(ANSWERS, CHANCES, weight)
        np.testing.assert_allclose(precision.numpy(), hits / np.sum(each * yes), rtol=1e-5)
        np.testing.assert_allclose(recall.numpy(), hits / np.sum(each * ANSWERS), rtol=1e-5)
    assert metrics.Precision()([1, 1], [0.0, 0.0]).numpy() == 0


def test_counts_at_thresholds():
    thresholds = [0.1, float(CHANCES[0, 0]), 0.6]
    metric = metrics.AUC(thresholds=thresholds)
    metric.update_state(ANSWERS[:6], CHANCES[:6])
    metric.update_state(ANSWERS[6:], CHANCES[6:])
    for place, threshold in enumerate(np.float32(thresholds), start=1):
        yes, true = threshold < CHANCES, ANSWERS == 1
        assert metric.true_positives.numpy()[place] == np.sum(yes & true)
        assert metric.false_positives.numpy()[place] == np.sum(yes & ~true)
        assert metric.false_negatives.numpy()[place] == np.sum(~yes & true)
        assert metric.true_negatives.numpy()[place] == np.sum(~yes & ~true)


def test_auc_is_how_often_the_true_one_is_ahead():
    truth = RANDOM.integers(0, 2, 500)
    scores = np.clip(truth * 0.3 + RANDOM.random(500) * 0.7, 0, 1)
    ahead = scores[truth == 1][:, None] - scores[truth == 0]
    expected = np.mean(ahead > 0) + np.mean(ahead == 0) / 2
    found = metrics.AUC(num_thresholds=20_000)(truth, scores)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-3)
    coarse = {
        method: metrics.AUC(num_thresholds=20, summation_method=method)(truth, scores).numpy()
        for method in ("minoring", "interpolation", "majoring")
    }
    assert coarse["minoring"] < coarse["interpolation"] < coarse["majoring"]
    logits = np.log(scores + 1e-9) - np.log(1 - scores + 1e-9)
    same = metrics.AUC(from_logits=True)(truth, logits), metrics.AUC()(truth, scores)
    np.testing.assert_allclose(*(value.numpy() for value in same), atol=1e-6)


def test_mean_iou():
    shares = [
        np.sum((c == CLASSES) & (c == GUESSES)) / np.sum((c == CLASSES) | (c == GUESSES))
        for c in range(4)
    ]
    metric = metrics.MeanIoU(5)  # the fifth class does not occur
    metric.update_state(CLASSES.reshape(3, 4), GUESSES.reshape(3, 4))
    np.testing.assert_allclose(metric.result().numpy(), np.mean(shares), rtol=1e-6)
    np.testing.assert_allclose(metric.total_cm.numpy().sum(), 12)


def test_mean_and_sum_of_many_axes():
    mean, total = metrics.Mean(), metrics.Sum()
    for values in (REAL, OTHER[:3]):
        mean.update_state(values)
        total.update_state(values, 2.0)
    both = np.concatenate([REAL, OTHER[:3]])
    np.testing.assert_allclose(mean.result().numpy(), both.mean(), rtol=1e-5)
    np.testing.assert_allclose(total.result().numpy(), 2 * both.sum(), rtol=1e-5)
    found = metrics.Mean()(REAL, sample_weight=ANSWERS)
    np.testing.assert_allclose(found.numpy(), REAL[ANSWERS == 1].mean(), rtol=1e-5)
    assert metrics.Mean()(3.0).numpy() == 3


def test_counts_do_not_saturate():
    """A float32 count would stay at 2**24."""
    metric = metrics.Mean(dtype="float64")
    metric.update_state(np.zeros(1), 2.0**24)
    for _ in range(3):
        metric.update_state(np.ones(1, "f4"))
    assert metric.count.numpy() == 2**24 + 3
    assert metric.result().numpy() == 3 / (2**24 + 3)


def test_ties_and_classes_out_of_range():
    found = metrics.sparse_top_k_categorical_accuracy([0, 1, 2], [[0.4, 0.4, 0.2]] * 3, k=1)
    assert found.tolist() == [1, 1, 0]
    assert metrics.sparse_top_k_categorical_accuracy([7], [[0.4, 0.6]], k=5).tolist() == [0]
    assert metrics.Precision(top_k=1)([[1, 0]], [[0.5, 0.5]]).numpy() == 1


# -- Keras -----------------------------------------------------------------------------------------


@pytest.mark.tensorflow
@pytest.mark.parametrize(("name", "options", "y_true", "y_pred"), EVERY, ids=ids(EVERY))
def test_keras_agrees(name, options, y_true, y_pred):
    theirs = getattr(pytest.importorskip("tensorflow").keras.metrics, name)(**options)
    ours = made(name, options)
    for part, weight in ((slice(0, 5), None), (slice(5, 12), WEIGHTS[5:])):
        if weight is not None and y_pred.ndim == 2 and name in ("Precision", "Recall", "AUC"):
            weight = np.repeat(weight[:, None], 4, axis=1)  # Keras takes no other here
            weight = weight[:, 0] if "class_id" in options else weight
        for metric in (ours, theirs):
            metric.update_state(y_true[part], y_pred[part], weight)
        expected = np.asarray(theirs.result())
        np.testing.assert_allclose(ours.result().numpy(), expected, rtol=2e-5, atol=1e-6)


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", ["Mean", "Sum"])
@pytest.mark.parametrize("weight", [None, 2.0, WEIGHTS, WEIGHTS[:, None], ANSWERS])
def test_keras_weighs_the_same(name, weight):
    theirs = getattr(pytest.importorskip("tensorflow").keras.metrics, name)()
    ours = getattr(metrics, name)()
    for metric in (ours, theirs):
        metric.update_state(OTHER[:2])
        metric.update_state(REAL, weight)
    np.testing.assert_allclose(ours.result().numpy(), np.asarray(theirs.result()), rtol=1e-5)


# -- state -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "options", "y_true", "y_pred"), EVERY, ids=ids(EVERY))
def test_a_state_resumes(name, options, y_true, y_pred):
    metric, other = made(name, options), made(name, options)
    metric.update_state(y_true[:5], y_pred[:5])
    assert all(not variable.trainable for variable in metric.variables)
    other.set_state(metric.get_state())
    for one in (metric, other):
        one.update_state(y_true[5:], y_pred[5:])
    np.testing.assert_array_equal(metric.result().numpy(), other.result().numpy())
    at_first = made(name, options).get_state()
    metric.reset_state()
    np.testing.assert_equal(metric.get_state(), at_first)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (None, "metric 'm': a state is a dictionary .* not NoneType"),
        ({"total": np.float64(1)}, r"metric 'm': .* missing: \['count'\], unknown: \[\]"),
        ({"total": np.float64(1), "sum": 1.0}, r"missing: \['count'\], unknown: \['sum'\]"),
        (
            {"total": np.zeros(2), "count": np.float64(1)},
            r"metric 'm': 'total' of the state has the shape \(2,\) .*; expected \(\) and float64",
        ),
        (
            {"total": np.float64(1), "count": np.int64(1)},
            r"'count' of the state .* dtype int64; expected \(\) and float64",
        ),
    ],
)
def test_a_state_that_does_not_fit_is_refused(state, message):
    metric = metrics.Mean(name="m")
    metric.update_state([1.0, 3.0])
    with pytest.raises(ValueError, match=message):
        metric.set_state(state)
    assert metric.result().numpy() == 2


def test_names():
    nn.reset_names()
    assert [metrics.Mean().name, metrics.AUC().name, metrics.AUC().name] == ["mean", "auc", "auc_1"]
    precision = metrics.Precision(name="exact")
    assert precision.variables[0].name == "exact/true_positives"
    assert repr(precision) == "<Precision name=exact>"


def test_a_metric_of_ones_own():
    class Largest(tf.keras.metrics.Metric):
        def __init__(self, name="largest"):
            super().__init__(name=name)
            self.seen = self.add_weight(name="seen", initializer="ones", shape=(2,))

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.seen.assign(tf.maximum(self.seen, y_pred))

        def result(self):
            return self.seen

    metric = Largest()
    assert metric([0], tf.constant([0.5, 3.0])).numpy().tolist() == [1, 3]
    assert [variable.name for variable in metric.variables] == ["largest/seen"]
    metric.reset_state()
    assert metric.result().numpy().tolist() == [1, 1]
    with pytest.raises(ValueError, match="has a variable 'seen' already"):
        metric.add_weight(name="seen")
    for call in (metrics.Metric().update_state, metrics.Metric().result):
        with pytest.raises(NotImplementedError, match="Metric must define"):
            call()


# -- tapes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "options", "y_true", "y_pred"), EVERY, ids=ids(EVERY))
def test_an_update_keeps_no_graph_alive(name, options, y_true, y_pred):
    metric = made(name, options)
    v = hg.Variable(np.ones_like(y_pred))
    gc.collect()
    gc.disable()
    try:
        with hg.GradientTape() as tape:
            factor = y_pred.copy()  # the product's node needs it
            prediction, is_alive = v * factor, weakref.ref(factor)
            metric.update_state(y_true, prediction)
            metric.update_state(y_true, prediction, WEIGHTS[0])
            del prediction, factor
            assert is_alive() is None
    finally:
        gc.enable()
    assert [watched is v for watched in tape.watched_variables()] == [True]


def test_a_result_without_gradient_says_why():
    metric = metrics.MeanSquaredError(name="error")
    v = hg.Variable([[1.0, 2.0]], name="v")
    with hg.GradientTape() as tape:
        metric.update_state([[0.0, 0.0]], v * 2.0)
        value = metric.result()
    assert tape.gradient(value, v) is None
    verdict = str(tape.why(value, v))
    assert "update_state(error)" in verdict
    assert "test_metrics.py" in verdict


def test_a_metric_beside_a_loss_changes_nothing():
    metric = metrics.Mean()
    v = hg.Variable([1.0, 2.0])
    with hg.GradientTape() as tape:
        loss = hg.sum(v * v)
        metric.update_state(loss)
    assert metric.result().numpy() == 5
    assert "cut" not in str(tape.why(loss, v))
    np.testing.assert_array_equal(tape.gradient(loss, v).numpy(), [2.0, 4.0])


def test_variables_are_taken_as_they_are():
    assert metrics.MeanAbsoluteError()([[1.0]], hg.Variable([[3.0]])).numpy() == 2


# -- mistakes --------------------------------------------------------------------------------------


def test_mistakes_are_explained():
    for message, action in [
        ("thresholds must increase", lambda: metrics.Precision([0.5, 0.1])),
        ("AUC: curve must be 'ROC' or 'PR', got 'roc'", lambda: metrics.AUC(curve="roc")),
        ("got 'middle'", lambda: metrics.AUC(summation_method="middle")),
        (
            "num_thresholds must be an integer from 2 to 16777216, got 1",
            lambda: metrics.AUC(num_thresholds=1),
        ),
        (
            r"same shape, got \(12,\) and \(12, 4\)",
            lambda: metrics.Recall()(CLASSES, CHANCES),
        ),
        (
            r"y_true has \(5,\), y_pred \(12, 4\)",
            lambda: metrics.SparseCategoricalAccuracy()(CLASSES[:5], CHANCES),
        ),
        (
            "from 0 to 2, and y_true has some from 0 to 3",
            lambda: metrics.MeanIoU(3)(np.arange(4), np.zeros(4)),
        ),
        ("y_pred has some from -1 to 0", lambda: metrics.MeanIoU(3)(np.zeros(2), [-1, 0])),
    ]:
        with pytest.raises(ValueError, match=message):
            action()


@pytest.mark.peers
def test_compiled_code_does_not_count_classes_that_there_are_not():
    metric = metrics.MeanIoU(3)
    hg.function(metric.update_state)(np.array([0, 1, 2, 3, -1, 1]), np.array([0, 1, 1, 0, 2, 7]))
    np.testing.assert_array_equal(metric.total_cm.numpy(), [[1, 0, 0], [0, 1, 0], [0, 1, 0]])


def test_a_wrapped_function_has_its_name_and_options():
    metric = metrics.MeanMetricWrapper(losses.huber, delta=0.5)
    assert metric.name == "huber"
    found = metric([[0.0]], [[2.0]])
    assert math.isclose(found.numpy(), 0.5 * (2.0 - 0.25))


def test_tf_names():
    from headgate.tf.keras import metrics as names

    assert names.SparseCategoricalAccuracy is metrics.SparseCategoricalAccuracy
    assert {name for name in dir(metrics) if name[0].isupper()} - set(dir(names)) <= {
        *("Any", "Callable", "Sequence", "Tensor", "Variable"),
    }
