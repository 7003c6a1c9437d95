"""Section 2.4: stop_gradient(input, name=None)."""

import numpy as np
import pytest


@pytest.mark.parametrize(
    "value",
    [
        np.array([1.5, -2.0]),
        np.array([1.5], np.float32),
        np.array([1, 2]),
        np.array([True, False]),
        np.array([1 + 2j], np.complex64),
        np.zeros((0, 3)),
        np.array(3.0),
    ],
    ids=["float64", "float32", "int", "bool", "complex", "empty", "scalar"],
)
def test_value(tf, value):
    """value, shape, dtype: unchanged, all dtypes incl. int, bool, complex, empty."""
    stopped = tf.stop_gradient(tf.constant(value))
    assert tuple(stopped.shape) == value.shape
    assert stopped.dtype == value.dtype
    assert np.array_equal(stopped.numpy(), value)


def test_string(tf, deviation):
    """... string: Headgate has no string tensors and refuses."""
    if deviation(tensorflow=False, headgate=True):
        with pytest.raises((TypeError, ValueError)):
            tf.stop_gradient("a")
    else:
        assert tf.stop_gradient("a").numpy() == b"a"


def test_result_is_new(tf, near):
    """result object: always a NEW tensor; Variable -> Tensor snapshot (later assign not seen)."""
    c, v = tf.constant([3.0]), tf.Variable([3.0])
    assert tf.stop_gradient(c) is not c
    stopped = tf.stop_gradient(v)
    v.assign([4.0])
    near(stopped, [3.0])
    assert isinstance(stopped, tf.Tensor)
    assert not isinstance(stopped, tf.Variable)


@pytest.mark.parametrize(
    ("thing", "dtype"),
    [
        (2, "int32"),
        (3.0, "float32"),
        ([1.0, 2.0], "float32"),
        ((1, 2), "int32"),
        (np.array([1.0, 2.0]), "float64"),
    ],
    ids=["int", "float", "list", "tuple", "ndarray"],
)
def test_conversion(tf, near, thing, dtype):
    """python scalar / list / tuple / ndarray: converted like convert_to_tensor."""
    stopped = tf.stop_gradient(thing)
    near(stopped, thing)
    assert stopped.dtype == getattr(tf, dtype)


def test_list_of_tensors(tf, near):
    """a list of tensors is STACKED, not mapped (headgate.stop_gradient maps; the tf name not)."""
    v = tf.Variable([1.0, 2.0])
    with tf.GradientTape() as tape:
        stopped = tf.stop_gradient([v * 2.0, v * 3.0])
    near(stopped, [[2.0, 4.0], [3.0, 6.0]])
    assert tape.gradient(stopped, v) is None


def test_ragged_list(tf, error):
    """ragged list: TF's InvalidArgumentError is Headgate's ValueError."""
    with pytest.raises(error("ragged list")):
        tf.stop_gradient([tf.constant([1.0]), tf.constant([1.0, 2.0])])


@pytest.mark.parametrize("thing", [{"a": 1.0}, None], ids=["dict", "None"])
def test_unsupported(tf, thing):
    """dict / None: ValueError naming the type."""
    with pytest.raises(ValueError, match=type(thing).__name__):
        tf.stop_gradient(thing)


def test_ragged_sparse_and_indexed_slices(tf, deviation):
    """Ragged / Sparse / IndexedSlices: mapped over components. Headgate has the last of them."""
    names = ["ragged", "sparse", "RaggedTensor", "SparseTensor"]
    assert [hasattr(tf, name) for name in names] == [deviation(tensorflow=True, headgate=False)] * 4
    slices = tf.IndexedSlices(tf.constant([1.0]), tf.constant([0]), tf.constant([3]))
    assert isinstance(tf.stop_gradient(slices), tf.IndexedSlices)
    if deviation(tensorflow=True, headgate=False):
        ragged = tf.stop_gradient(tf.ragged.constant([[1.0], [2.0, 3.0]]))
        assert isinstance(ragged, tf.RaggedTensor)
        assert isinstance(tf.stop_gradient(tf.sparse.from_dense([[1.0]])), tf.SparseTensor)


def test_keywords(tf, near):
    """keyword: first arg is `input` (not x); `name` accepted."""
    near(tf.stop_gradient(input=tf.constant(3.0), name="here"), 3.0)
    with pytest.raises(TypeError):
        tf.stop_gradient(x=tf.constant(3.0))


def test_variable_inside_is_not_watched(tf):
    """variable inside: not watched."""
    v = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        tf.stop_gradient(v)
    assert tape.watched_variables() == ()


@pytest.mark.parametrize("watch", [False, True])
def test_gradient_with_respect_to_the_stopped_tensor(tf, near, watch):
    """gradient wrt the stopped tensor: None, unless watched afterwards (2.0); of itself: 1."""
    x = tf.Variable(3.0)
    with tf.GradientTape(persistent=True) as tape:
        s = tf.stop_gradient(x)
        if watch:
            tape.watch(s)
        y = 2.0 * s
    assert (tape.gradient(y, s).numpy() == 2.0) if watch else (tape.gradient(y, s) is None)
    assert tape.gradient(y, x) is None
    near(tape.gradient(s, s), 1.0)


def test_nested_tapes(tf, near):
    """nested tapes: stops at every order: x*sg(x²): g=4, outer d g = None."""
    x = tf.Variable(2.0)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            y = x * tf.stop_gradient(x * x)
        g = inner.gradient(y, x)
    near(g, 4.0)
    assert outer.gradient(g, x) is None


@pytest.mark.parametrize(("first_order", "expected"), [(True, 1.6), (False, -0.32)])
def test_maml(tf, near, first_order, expected):
    """sg(inner grad) = first-order MAML (1.6 vs -0.32 second order)."""
    w = tf.Variable(1.0)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            inner_loss = w * w * w * w
        g = inner.gradient(inner_loss, w)
        fast = w - 0.1 * (tf.stop_gradient(g) if first_order else g)
        loss = fast * fast + 0.4 * fast
    near(fast, 0.6)
    near(outer.gradient(loss, w), expected)


def test_zero(tf, near):
    """ZERO: zeros."""
    v = tf.Variable([1.0, 2.0])
    with tf.GradientTape() as tape:
        y = tf.stop_gradient(v * v)
    near(tape.gradient(y, v, unconnected_gradients=tf.UnconnectedGradients.ZERO), [0.0, 0.0])


def test_straight_through(tf, near):
    """straight-through x+sg(f(x)-x): value f(x), gradient 1; x-sg(x): value 0, gradient 1."""
    x = tf.Variable(2.7)
    with tf.GradientTape(persistent=True) as tape:
        rounded = x + tf.stop_gradient(tf.round(x) - x)
        nothing = x - tf.stop_gradient(x)
    near(rounded, 3.0)
    near(nothing, 0.0)
    near(tape.gradient(rounded, x), 1.0)
    near(tape.gradient(nothing, x), 1.0)


@pytest.mark.filterwarnings("ignore:divide by zero")
def test_nan_does_not_leak(tf, near):
    """NaN/inf safety: x + sg(log x) at 0: gradient 1.0."""
    x = tf.Variable(0.0)
    with tf.GradientTape() as tape:
        y = x + tf.stop_gradient(tf.math.log(x))
    near(y, -np.inf)
    near(tape.gradient(y, x), 1.0)


@pytest.mark.parametrize("tape_inside", [False, True])
def test_function(tf, near, tape_inside):
    """tf.function (tape outside / inside): same results (3.0; 6, 4)."""
    x = tf.Variable(3.0)

    def with_tape(function):
        with tf.GradientTape() as tape:
            y = function()
        return tape.gradient(y, x)

    def program():
        return x * tf.stop_gradient(x)

    near(
        tf.function(lambda: with_tape(program))()
        if tape_inside
        else with_tape(tf.function(program)),
        3.0,
    )


def test_while_loop(tf, near):
    """while loop: same results (27.0): each turn multiplies by a stopped x."""
    x = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        _, y = tf.while_loop(
            lambda turn, y: turn < 3,
            lambda turn, y: (turn + 1, y * tf.stop_gradient(x)),
            (tf.constant(0), x * 1.0),
        )
    near(y, 81.0)
    near(tape.gradient(y, x), 27.0)


def test_forward_mode(tf, near):
    """forward mode: tangent of sg(x) is None ('zero' -> 0); x*sg(x) -> x*dx."""
    x = tf.constant(3.0)
    with tf.autodiff.ForwardAccumulator(x, tf.constant(2.0)) as accumulator:
        stopped = tf.stop_gradient(x)
        y = x * stopped
    assert accumulator.jvp(stopped) is None
    near(accumulator.jvp(stopped, unconnected_gradients="zero"), 0.0)
    near(accumulator.jvp(y), 6.0)


def test_jacobian(tf, near):
    """jacobian: v*sg(v) -> diag(v)."""
    v = tf.Variable([2.0, 3.0])
    with tf.GradientTape() as tape:
        y = v * tf.stop_gradient(v)
    near(tape.jacobian(y, v), [[2.0, 0.0], [0.0, 3.0]])


@pytest.mark.parametrize("spelling", ["stop_gradient", "keras.ops", "raw_ops"])
def test_other_spellings(tf, near, deviation, spelling):
    """Keras ops.stop_gradient, raw_ops.StopGradient: same. Headgate has one name for it."""
    if deviation(tensorflow=False, headgate=spelling != "stop_gradient"):
        assert not hasattr(tf, "raw_ops")
        assert not hasattr(tf.keras, "ops")
        return
    stop = {
        "stop_gradient": lambda x: tf.stop_gradient(x),
        "keras.ops": lambda x: tf.keras.ops.stop_gradient(x),
        "raw_ops": lambda x: tf.raw_ops.StopGradient(input=x),
    }[spelling]
    x = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        y = x * stop(x * 1.0)
    near(tape.gradient(y, x), 3.0)


def test_keras_variable(tf, near):
    """keras.Variable input: same."""
    layer = tf.keras.layers.Dense(1, use_bias=False)
    layer(tf.zeros((1, 1)))
    (kernel,) = layer.trainable_variables
    kernel.assign([[3.0]])
    with tf.GradientTape() as tape:
        y = kernel * tf.stop_gradient(kernel)
    near(tape.gradient(y, layer.trainable_variables)[0], [[3.0]])


def test_downstream_ops_are_not_recorded(tf):
    """downstream ops of a stopped tensor are not recorded: their custom grad fns never run."""
    calls = []

    @tf.custom_gradient
    def identity(x):
        def grad(upstream):
            calls.append(upstream)
            return upstream

        return tf.identity(x), grad

    x = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        y = identity(tf.stop_gradient(identity(x)) * 2.0) + x
    assert tape.gradient(y, x).numpy() == 1.0
    assert calls == []
