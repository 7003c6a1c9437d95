"""The watcher of TensorFlow programs: what it puts in the way, what it sees, and that it disturbs
nothing.

The corpus (`test_tensorflow_corpus.py`) holds what is found in whole programs; here is each part
by itself: the entrances into TensorFlow, which a new version may have closed, compiled functions,
`fit`, and what is asked from Python.
"""

import contextlib

import numpy as np
import pytest

import headgate
from headgate.flow.watch.tensorflow.watch import Watch

pytestmark = pytest.mark.tensorflow
tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(0)


def found(watch):
    return {(finding.parameter, finding.kind) for finding in watch.findings()}


def variables():
    w = tf.Variable(tf.random.normal((3, 4)), name="w")
    d = tf.Variable(tf.random.normal((4, 1)), name="d")
    return w, d, tf.random.normal((8, 3))


def numbers(*shape):
    return np.random.default_rng(0).random(shape).astype("f4")


# -- the entrances ---------------------------------------------------------------------------------


def test_an_operation_is_told_with_what_went_in_and_came_out():
    from headgate.flow.watch.tensorflow import entrance

    told = []

    def listener(op, inputs, attributes, outputs, *more, **named):
        told.append((op, len(inputs), len(outputs)))

    entrance.listen(listener)
    try:
        tf.tanh(tf.constant([1.0]))
    finally:
        entrance.leave(listener)
    tf.tanh(tf.constant([1.0]))
    assert told == [("Tanh", 1, 1)]


def test_tensors_have_numbers_that_grow():
    from headgate.flow.watch.tensorflow import entrance

    first, second = tf.constant(1.0), tf.constant(1.0)
    assert entrance.number_of(first) < entrance.number_of(second)
    assert entrance.is_eager(second)
    assert entrance.content(second) == 1.0


def test_tapes_can_be_seen_to_pause_and_rules_to_be_there():
    from headgate.flow.watch.tensorflow import entrance

    assert not entrance.is_stopped()
    assert entrance.has_rule("Tanh")
    assert not entrance.has_rule("StopGradient")
    assert not entrance.has_rule("no such operation")
    with tf.GradientTape() as tape:
        v = tf.Variable(1.0)
        assert entrance.is_recorded(v * 2.0)
    assert tape.watched_variables() == (v,)


def test_the_rules_that_a_tape_asks_go_through_a_function_of_ours():
    from headgate.flow.watch.tensorflow import entrance

    asked, original = [], entrance.rule()

    def rule(op, *more):
        asked.append(op)
        return original(op, *more)

    entrance.set_rule(rule)
    try:
        v = tf.Variable(1.0)
        with tf.GradientTape() as tape:
            loss = tf.tanh(v * 2.0)
        tape.gradient(loss, v)
    finally:
        entrance.set_rule(original)
    assert asked[:2] == ["Tanh", "Mul"]


def test_the_graph_of_an_inner_function_and_its_lines_are_found():
    from headgate.flow.watch.tensorflow import entrance

    inner = tf.function(lambda x: tf.tanh(x))
    outer = tf.function(lambda x: inner(x) + 1.0).get_concrete_function(tf.constant(1.0))
    calls = [op for op in outer.graph.get_operations() if op.type.endswith("PartitionedCall")]
    graph = entrance.graph_of(outer.graph, calls[0].get_attr("f").name)
    (tanh,) = [op for op in graph.get_operations() if op.type == "Tanh"]
    assert any(frame.filename == __file__ for frame in tanh.traceback)
    assert any(frame.filename == __file__ for frame in entrance.stack())


# -- what is put back, and what is left alone ------------------------------------------------------


def test_everything_is_put_back():
    from headgate.flow.watch.tensorflow import entrance

    places = [
        (entrance.TAPE, "gradient"),
        (entrance.TAPE, "_push_tape"),
        (entrance.TENSOR, "numpy"),
        (entrance.FUNCTION, "_call_flat"),
        (entrance.RECORD, "record_operation"),
        (entrance.VARIABLE, "__init__"),
        (tf, "gradients"),
    ]
    before = [vars(owner)[name] for owner, name in places]
    with Watch():
        assert [vars(owner)[name] for owner, name in places] != before
    assert [vars(owner)[name] for owner, name in places] == before


def train(steps, look):
    """Return what a model weighs after some steps of `fit` with dropout."""
    keras.utils.set_random_seed(1)
    x, y = numbers(64, 5), numbers(64, 1)
    with Watch() if look else contextlib.nullcontext() as watch:
        layers = [keras.layers.Dense(8, activation="relu"), keras.layers.Dropout(0.3)]
        model = keras.Sequential([keras.Input((5,)), *layers, keras.layers.Dense(1)])
        model.compile("adam", "mse", metrics=["mae"])
        model.fit(x, y, batch_size=8, epochs=steps, verbose=0)
    return [np.array(weight) for weight in model.get_weights()], watch


def test_fit_gives_the_same_to_the_last_bit():
    alone, _ = train(2, False)
    watched, watch = train(2, True)
    assert all((one == other).all() for one, other in zip(alone, watched))
    assert [*watch.remarks(), *watch.findings()] == []
    assert watch.coverage() == (3, 16)


def test_a_function_is_not_traced_again():
    traced = []
    w, d, x = variables()

    @tf.function
    def loss():
        traced.append(1)
        return tf.reduce_mean((x @ w @ d) ** 2)

    with Watch():
        for _ in range(5):
            with tf.GradientTape() as tape:
                value = loss()
            tape.gradient(value, [w, d])
    assert len(traced) == 1


def test_an_error_of_the_watchers_own_ends_its_looking(monkeypatch):
    w, d, x = variables()
    with Watch() as watch:
        monkeypatch.setattr(watch.session.log, "_note", lambda *given: 1 / 0)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((x @ w @ d) ** 2)
        gradients = tape.gradient(loss, [w, d])
    assert all(gradient is not None for gradient in gradients)
    assert watch.remarks()[0].startswith("The watcher itself failed, and saw no more: ZeroDivision")


def test_looking_ends_after_three_passes():
    w, d, x = variables()
    with Watch() as watch:
        for _ in range(6):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((x @ w @ d) ** 2)
            tape.gradient(loss, [w, d])
    assert watch.coverage() == (3, 6)


# -- what is seen ----------------------------------------------------------------------------------


def test_each_tape_is_judged_by_itself():
    """What one tape recorded, another one that was entered later did not."""
    w, d, x = variables()
    with Watch() as watch, tf.GradientTape() as outer:
        hidden = tf.tanh(x @ w)
        with tf.GradientTape() as inner:
            loss = tf.reduce_mean((hidden @ d) ** 2)
        assert inner.gradient(loss, [w, d])[0] is None
    del outer
    assert found(watch) == {("w", "outside_tape")}


@pytest.mark.parametrize("compiled", [False, True])
def test_a_dead_relu_is_found_at_once_and_in_a_compiled_function(compiled):
    w, d, x = variables()

    def net():
        return tf.nn.relu(x @ w - 100.0) @ d

    net = tf.function(net) if compiled else net
    with Watch() as watch:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((net() - 1.0) ** 2)
        assert not tape.gradient(loss, w).numpy().any()
    (finding,) = watch.findings()
    assert (finding.parameter, finding.kind, finding.label) == ("w", "zero_derivative", "relu")
    assert finding.text == "return tf.nn.relu(x @ w - 100.0) @ d"


def test_what_numpy_computed_without_being_asked_for_is_found_in_the_text():
    w, d, x = variables()
    with Watch() as watch:
        with tf.GradientTape() as tape:
            hidden = x @ w
            activated = np.tanh(hidden)
            loss = tf.reduce_mean((activated @ d) ** 2)
        assert tape.gradient(loss, [w, d])[0] is None
    (finding,) = watch.findings()
    assert (finding.parameter, finding.kind) == ("w", "host_round_trip")
    assert finding.text == "activated = np.tanh(hidden)"


def test_a_loop_and_a_branch_of_a_graph_are_replayed():
    w, d, x = variables()
    c = tf.Variable(tf.random.normal((4, 4)), name="c")

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            hidden = tf.tanh(x @ w)
            for _ in tf.range(3):
                hidden = tf.tanh(hidden @ c)
            if tf.reduce_sum(x) < 1e6:
                hidden = tf.stop_gradient(hidden)
            loss = tf.reduce_mean((hidden @ d) ** 2)
        return tape.gradient(loss, [d])

    with Watch() as watch:
        for _ in range(3):
            step()
    assert watch.findings() == []  # nobody asks for w and c

    sources = [w, c, d]

    @tf.function
    def other():
        with tf.GradientTape() as tape:
            hidden = tf.tanh(x @ w)
            for _ in tf.range(3):
                hidden = tf.tanh(hidden @ c)
            loss = tf.reduce_mean((tf.stop_gradient(hidden) @ d) ** 2)
        return [g for g in tape.gradient(loss, sources) if g is not None]

    with Watch() as watch:
        other()
    assert found(watch) == {("w", "stop_gradient"), ("c", "stop_gradient")}


def test_a_fit_that_ends_with_an_error_is_explained():
    x, y = numbers(8, 3), numbers(8, 1)

    def error_rate(truth, predicted):
        return tf.reduce_mean(tf.cast(tf.round(predicted) != truth, tf.float32))

    with Watch() as watch:
        model = keras.Sequential([keras.layers.Dense(1, name="out")])
        model.compile("adam", error_rate)
        with pytest.raises(ValueError, match="No gradients provided"):
            model.fit(x, y, verbose=0)
    assert {kind for _, kind in found(watch)} == {"nondiff_op"}
    assert all("tf.round(predicted) != truth" in each.text for each in watch.findings())


# -- from Python -----------------------------------------------------------------------------------


def test_a_question_about_a_tape_leaves_it_to_the_program():
    w, d, x = variables()
    with headgate.why.watching("tensorflow"):
        for persistent in (False, True):
            with tf.GradientTape(persistent=persistent) as tape:
                loss = tf.reduce_mean((tf.stop_gradient(x @ w) @ d) ** 2)
            answer = headgate.why.tensorflow(tape, loss, [w, d])
            verdicts = {each.name: (each.verdict, each.kind) for each in answer.outcomes}
            assert verdicts == {"w": ("cut", "stop_gradient"), "d": ("connected", "")}
            assert bool(answer.remarks()) != persistent
            assert tape.gradient(loss, [w, d])[1] is not None


def test_a_question_refuses_what_it_cannot_answer():
    w, d, x = variables()
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((x @ w @ d) ** 2)
    with pytest.raises(ValueError, match="nobody looked on"):
        headgate.why.tensorflow(tape, loss, [w])
    with pytest.raises(TypeError, match=r"no tf\.GradientTape"):
        headgate.why.tensorflow(loss, tape, [w])
    with pytest.raises(TypeError, match="no eager tensor"):
        headgate.why.tensorflow(tape, float(loss), [w])


def test_assertions_speak_of_targets_that_a_function_computes():
    from headgate.testing import assert_flow, assert_no_flow, flow_matrix
    from headgate.testing.flow import FlowError

    w, d, x = variables()

    def loss():
        return tf.reduce_mean((tf.stop_gradient(x @ w) @ d) ** 2)

    assert_flow(loss, [d])
    assert_no_flow(loss, [w])
    with pytest.raises(FlowError, match="stop_gradient"):
        assert_flow(loss, [w, d])
    with pytest.raises(FlowError):
        assert_no_flow(loss, [d])
    assert "stop_gradient" in str(flow_matrix({"loss": loss}, {"w": [w], "d": [d]}))
