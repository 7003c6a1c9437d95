"""Section 2.7: tf.autodiff.ForwardAccumulator."""

import gc
import logging
import warnings
import weakref

import pytest


def test_nests(tf, near):
    """jvp(target nest) same nest; untracked None, 'zero' -> zeros; jvp(primal) = its tangent."""
    x, c = tf.constant([1.0, 2.0]), tf.constant([5.0, 5.0])
    tangent = tf.constant([1.0, 10.0])
    with tf.autodiff.ForwardAccumulator(x, tangent) as accumulator:
        y = x * x
    result = accumulator.jvp({"y": y, "rest": [c, (x,)]})
    near(result["y"], [2.0, 40.0])
    assert result["rest"][0] is None
    near(result["rest"][1][0], [1.0, 10.0])
    near(accumulator.jvp(c, unconnected_gradients="zero"), [0.0, 0.0])
    near(accumulator.jvp(c, unconnected_gradients=tf.UnconnectedGradients.ZERO), [0.0, 0.0])


def test_several_primals(tf, near):
    """nested primals and tangents."""
    x, y = tf.constant(3.0), tf.constant(4.0)
    with tf.autodiff.ForwardAccumulator(
        [x, y], [tf.constant(1.0), tf.constant(10.0)]
    ) as accumulator:
        z = x * y
    near(accumulator.jvp(z), 34.0)


def test_duplicate_primal(tf):
    """duplicate primal: ValueError "... was specified as a primal multiple times"."""
    x = tf.constant(2.0)
    with pytest.raises(ValueError, match="specified as a primal multiple times"):
        tf.autodiff.ForwardAccumulator([x, x], [x, x])


@pytest.mark.parametrize(
    "arguments",
    [lambda x, y: ([x, y], [x]), lambda x, y: (x, [1.0, 2.0])],
    ids=["count", "list_for_tensor"],
)
def test_structure_mismatch(tf, arguments):
    """structure mismatch: ValueError (python list tangent for a tensor primal also)."""
    with pytest.raises(ValueError, match="structure"):
        tf.autodiff.ForwardAccumulator(*arguments(tf.constant([1.0, 2.0]), tf.constant(1.0)))


def test_tangent_shape(tf, near, deviation):
    """tangent shape: not checked, broadcasts.

    Headgate broadcasts it to the primal's shape at once, so that jvp(primal) has that shape too.
    """
    x = tf.constant([1.0, 2.0])
    with tf.autodiff.ForwardAccumulator(x, tf.constant(3.0)) as accumulator:
        y = x * x
    near(accumulator.jvp(y), [6.0, 12.0])
    near(accumulator.jvp(x), deviation(tensorflow=3.0, headgate=[3.0, 3.0]))


def test_tangent_dtype(tf):
    """tangent dtype: ValueError naming both dtypes."""
    with pytest.raises(ValueError, match=r"float32.*float64|float64.*float32"):
        tf.autodiff.ForwardAccumulator(tf.constant(1.0), tf.constant(1.0, dtype=tf.float64))


def test_variable(tf, near):
    """Variable primal ok; assign does not carry a tangent (None)."""
    v, w, one = tf.Variable(3.0), tf.Variable(0.0), tf.constant(1.0)
    with tf.autodiff.ForwardAccumulator(v, one) as accumulator:
        y = v * v
        w.assign(y)
        z = w * 1.0
    near(accumulator.jvp(y), 6.0)
    assert accumulator.jvp(z) is None
    assert accumulator.jvp(w) is None


def test_reenter_while_active(tf):
    """re-enter while active: ValueError "... already recording"."""
    accumulator = tf.autodiff.ForwardAccumulator(tf.constant(1.0), tf.constant(1.0))
    with accumulator, pytest.raises(ValueError, match="already recording"), accumulator:
        pass


def test_reenter_later(tf, near):
    """re-enter later continues; ops outside not tracked; jvp before entering: primal only."""
    x, one = tf.constant(2.0), tf.constant(1.0)
    accumulator = tf.autodiff.ForwardAccumulator(x, one)
    before = x * x
    near(accumulator.jvp(x), 1.0)
    assert accumulator.jvp(before) is None
    with accumulator:
        y = x * x
    outside = y * y
    near(accumulator.jvp(y), 4.0)
    assert accumulator.jvp(outside) is None
    with accumulator:
        z = y * x
    near(accumulator.jvp(z), 12.0)


def test_int_primal(tf, deviation, caplog):
    """int primal: warning, None (TF logs it, Headgate uses `warnings`)."""
    x, tangent = tf.constant(2), tf.constant(1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with tf.autodiff.ForwardAccumulator(x, tangent) as accumulator:
            y = x * x
    logged = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    said = deviation(tensorflow=logged, headgate=[str(warning.message) for warning in caught])
    assert len([text for text in said if "must be floating" in text]) == 1
    assert accumulator.jvp(y) is None


def test_forward_over_reverse(tf, near):
    """fwd-over-rev (HVP [6,0])."""
    x = tf.constant([1.0, 2.0])
    with tf.autodiff.ForwardAccumulator(x, tf.constant([1.0, 0.0])) as accumulator:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(x * x * x)
        gradient = tape.gradient(y, x)
    near(gradient, [3.0, 12.0])
    near(accumulator.jvp(gradient), [6.0, 0.0])


def test_reverse_over_forward(tf, near):
    """rev-over-fwd."""
    x = tf.constant([1.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        with tf.autodiff.ForwardAccumulator(x, tf.constant([1.0, 0.0])) as accumulator:
            y = tf.reduce_sum(x * x * x)
        tangent = accumulator.jvp(y)
    near(tangent, 3.0)
    near(tape.gradient(tangent, x), [6.0, 0.0])


def test_forward_over_forward(tf, near):
    """fwd-over-fwd (32,48)."""
    x, one = tf.constant(2.0), tf.constant(1.0)
    with tf.autodiff.ForwardAccumulator(x, one) as outer:
        with tf.autodiff.ForwardAccumulator(x, one) as inner:
            y = x * x * x * x
        first = inner.jvp(y)
    near(first, 32.0)
    near(outer.jvp(first), 48.0)


class Case:
    """Accumulators by x and what is computed in them: y = x ** 4 at 2."""

    def __init__(self, tf):
        self.tf = tf
        self.x = tf.constant(2.0)

    def accumulator(self):
        return self.tf.autodiff.ForwardAccumulator(self.x, self.tf.constant(1.0))

    def y(self):
        return self.x * self.x * self.x * self.x


@pytest.mark.parametrize("asked", ["inside", "between", "after"])
def test_a_tangent_counts_as_computed_where_its_value_was(tf, near, asked):
    """fwd-over-fwd, asked at any time: the outer one sees the inner one's tangent, not vice versa.

    This is what TensorFlow, which pushes tangents forward op by op, gives.
    """
    case, found = Case(tf), {}

    def ask(now):
        if asked == now:
            found["inner"], found["outer"] = inner.jvp(y), outer.jvp(y)
            found["of inner"] = outer.jvp(found["inner"])
            found["of outer"] = inner.jvp(found["outer"])

    with case.accumulator() as outer:
        with case.accumulator() as inner:
            y = case.y()
            ask("inside")
        ask("between")
    ask("after")
    near(found["inner"], 32.0)
    near(found["outer"], 32.0)
    near(found["of inner"], 48.0)
    assert found["of outer"] is None


def test_three_accumulators_asked_afterwards(tf, near):
    case = Case(tf)
    with case.accumulator() as a, case.accumulator() as b, case.accumulator() as c:
        y = case.y()
    near(a.jvp(b.jvp(c.jvp(y))), 48.0)


@pytest.mark.parametrize("after", [False, True])
def test_a_tape_around_an_accumulator_sees_its_tangents(tf, near, after):
    case = Case(tf)
    with tf.GradientTape() as tape:
        tape.watch(case.x)
        with case.accumulator() as accumulator:
            y = case.y()
        if not after:
            tangent = accumulator.jvp(y)
    if after:
        tangent = accumulator.jvp(y)
    near(tape.gradient(tangent, case.x), 48.0)


@pytest.mark.filterwarnings("ignore:the gradient is None", "ignore:the tangent is None")
@pytest.mark.parametrize("where", ["in the tape", "in the accumulator", "after"])
def test_a_tape_inside_an_accumulator_does_not_see_its_tangents(tf, near, where):
    case = Case(tf)
    with case.accumulator() as accumulator:
        with tf.GradientTape() as tape:
            tape.watch(case.x)
            y = case.y()
            if where == "in the tape":
                tangent = accumulator.jvp(y)
        if where == "in the accumulator":
            tangent = accumulator.jvp(y)
    if where == "after":
        tangent = accumulator.jvp(y)
    near(tangent, 32.0)
    assert tape.gradient(tangent, case.x) is None


def test_what_is_made_of_a_tangent_afterwards_is_constant(tf, near):
    case = Case(tf)
    with case.accumulator() as outer:
        with case.accumulator() as inner:
            y = case.y()
        inside = inner.jvp(y) * case.x
    outside = inner.jvp(y) * case.x
    near(outer.jvp(inside), 128.0)
    assert outer.jvp(outside) is None


def test_a_primal_that_another_tape_watches_later_keeps_its_tangent(tf, near):
    case = Case(tf)
    with case.accumulator() as accumulator:
        y = case.y()
    with tf.GradientTape() as tape:
        tape.watch(case.x)
        z = case.y()
    near(accumulator.jvp(y), 32.0)
    near(tape.gradient(z, case.x), 32.0)


def test_primals_and_results_are_not_kept_alive(tf):
    x, results = tf.ones([3]), []
    primal = weakref.ref(x)
    with tf.autodiff.ForwardAccumulator(x, tf.ones([3])) as accumulator:
        for _ in range(3):
            y = tf.constant(2.0) * x
            accumulator.jvp(y)
            results.append(weakref.ref(y))
            del y
        del x
        gc.collect()
        assert primal() is None
        assert all(each() is None for each in results)
