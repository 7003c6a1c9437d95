"""Section 2.2: GradientTape.gradient: sources, targets, what connects them, and what it refuses."""

import collections
import logging
import warnings

import numpy as np
import pytest

Pair = collections.namedtuple("Pair", "first second")
USED = "non-persistent GradientTape"


def squared(tf, value=3.0, persistent=False):
    v = tf.Variable(value)
    with tf.GradientTape(persistent=persistent) as tape:
        y = v * v
    return tape, y, v


# How often, and where, gradient may be called.


@pytest.mark.parametrize("first", ["gradient", "jacobian", "batch_jacobian"])
def test_second_call(tf, first):
    """second call on non-persistent, also after jacobian / batch_jacobian: RuntimeError."""
    tape, y, v = squared(tf, [[3.0]])
    getattr(tape, first)(y, v)
    with pytest.raises(RuntimeError, match=USED):
        tape.gradient(y, v)


def test_never_entered(tf):
    """... also never-entered tape."""
    v = tf.Variable(3.0)
    with pytest.raises(RuntimeError, match=USED):
        tf.GradientTape().gradient(v, v)


def test_persistent(tf, near):
    """a persistent tape answers again."""
    tape, y, v = squared(tf, persistent=True)
    near(tape.gradient(y, v), 6.0)
    near(tape.gradient(y, v), 6.0)


def test_failed_call_does_not_consume(tf, near):
    """failed call (target None, bad unconnected) does NOT consume the tape; next call works."""
    tape, y, v = squared(tf)
    with pytest.raises(TypeError):
        tape.gradient(None, v)
    with pytest.raises(ValueError, match="nonsense"):
        tape.gradient(y, v, unconnected_gradients="nonsense")
    near(tape.gradient(y, v), 6.0)


@pytest.mark.parametrize("persistent", [True, False])
def test_custom_rule_raises(tf, near, deviation, persistent):
    """custom grad fn raised during call: exception propagates unchanged.

    TensorFlow's non-persistent tape is then broken (InternalError); Headgate's is not used up.
    """

    @tf.custom_gradient
    def broken(x):
        def grad(upstream):
            raise KeyError("mine")

        return x * 1.0, grad

    v = tf.Variable(3.0)
    with tf.GradientTape(persistent=persistent) as tape:
        y = broken(v) * 2.0
        z = v * v
    with pytest.raises(KeyError, match="mine"):
        tape.gradient(y, v)
    if not persistent and deviation(tensorflow=True, headgate=False):
        with pytest.raises(tf.errors.InternalError):
            tape.gradient(z, v)
    else:
        near(tape.gradient(z, v), 6.0)


def test_inside_own_context(tf, near):
    """called inside own context, non-persistent: recording stops for the rest of the block."""
    v, w = tf.Variable(3.0), tf.Variable(4.0)
    with tf.GradientTape() as tape:
        y = v * v
        near(tape.gradient(y, v), 6.0)
        v * w
    assert len(tape.watched_variables()) == 1
    with pytest.raises(RuntimeError, match=USED):
        tape.gradient(y, v)


def test_inside_own_context_persistent(tf, near, deviation, caplog):
    """called inside own context, persistent: gradient ops are recorded, same tape gives 2nd order.

    A warning says that it is "significantly less efficient"; TF logs it, Headgate uses `warnings`.
    """
    v = tf.Variable(3.0)
    with warnings.catch_warnings(record=True) as caught, tf.GradientTape(persistent=True) as tape:
        warnings.simplefilter("always")
        y = v * v * v
        first = tape.gradient(y, v)
    near(first, 27.0)
    near(tape.gradient(first, v), 18.0)
    logged = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    said = deviation(tensorflow=logged, headgate=[str(warning.message) for warning in caught])
    assert len([text for text in said if "less efficient" in text]) == 1


def test_inside_own_context_with_recording_stopped(tf, near):
    """same, inside stop_recording: gradient is a constant (z=g*v: 27)."""
    v = tf.Variable(3.0)
    with tf.GradientTape(persistent=True) as tape:
        y = v * v * v
        with tape.stop_recording():
            first = tape.gradient(y, v)
        z = first * v
    near(tape.gradient(z, v), 27.0)


@pytest.mark.parametrize(
    ("outer_watches", "inside", "expected"),
    [(True, True, 18.0), (True, False, None), (False, True, None)],
)
def test_higher_order(tf, near, outer_watches, inside, expected):
    """higher order: inner gradient() inside the outer context AND outer watches x; else None."""
    x = tf.constant(3.0)
    with tf.GradientTape() as outer:
        if outer_watches:
            outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = x * x * x
        if inside:
            first = inner.gradient(y, x)
    if not inside:
        first = inner.gradient(y, x)
    near(first, 27.0)
    second = outer.gradient(first, x)
    assert second is None if expected is None else second.numpy() == expected


# Targets and sources.


def test_target_none(tf):
    """target None: TypeError "... `target` should be a list or nested structure of Tensors ..."."""
    tape, _, v = squared(tf)
    with pytest.raises(TypeError, match="target"):
        tape.gradient(None, v)


@pytest.mark.parametrize(
    "arguments",
    [lambda y, v: ([y, None], v), lambda y, v: (y, None), lambda y, v: (y, [v, None])],
    ids=["target_list", "source", "source_list"],
)
def test_none_inside(tf, arguments):
    """None inside target list / None as source / in source list: TypeError."""
    tape, y, v = squared(tf)
    with pytest.raises(TypeError, match="None"):
        tape.gradient(*arguments(y, v))


@pytest.mark.parametrize("thing", [3.0, np.float32(3.0)], ids=["float", "numpy"])
@pytest.mark.parametrize("role", ["target", "source"])
def test_not_a_tensor(tf, error, thing, role):
    """target float / numpy; source float / numpy: TF's AttributeError is Headgate's TypeError."""
    tape, y, v = squared(tf)
    with pytest.raises(error("not differentiable object")):
        tape.gradient(thing, v) if role == "target" else tape.gradient(y, thing)


@pytest.mark.parametrize(
    "make",
    [
        lambda tf: tf.constant(2.0),
        lambda tf: tf.constant(2),
        lambda tf: tf.Variable(2.0, trainable=False),
        lambda tf: tf.Variable(2.0),
    ],
    ids=["constant", "int", "not_trainable", "variable"],
)
def test_target_is_source(tf, near, make):
    """target == source (never watched, const, int, non-trainable, Variable): ones_like."""
    thing = make(tf)
    with tf.GradientTape() as tape:
        pass
    gradient = tape.gradient(thing, thing)
    near(gradient, 1.0)
    assert gradient.dtype == thing.dtype


@pytest.mark.parametrize("nest", [lambda *t: list(t), lambda a, b: {"p": a, "q": [b]}])
def test_nested_targets_are_summed(tf, near, nest):
    """target list/dict: gradients are SUMMED over targets and elements."""
    v = tf.Variable([1.0, 2.0])
    with tf.GradientTape() as tape:
        targets = nest(v * v, 3.0 * v)
    near(tape.gradient(targets, v), [5.0, 7.0])


def test_a_target_may_be_a_source(tf, near):
    """a target may itself be a source ([y,v]->v 4.0)."""
    v = tf.Variable(1.0)
    with tf.GradientTape() as tape:
        y = 3.0 * v
    near(tape.gradient([y, v], v), 4.0)


@pytest.mark.parametrize(
    "nest",
    [
        lambda v, w: {"v": v, "w": w},
        lambda v, w: (v, [w]),
        lambda v, w: Pair(v, w),
        lambda v, w: collections.OrderedDict(z=v, a=w),
        lambda v, w: [v, w, v, {"again": w}],
    ],
    ids=["dict", "tuple", "namedtuple", "OrderedDict", "repeated"],
)
def test_structure_of_sources(tf, nest):
    """sources structure: same nest; repeated source gives the full gradient each time."""
    v, w = tf.Variable(3.0), tf.Variable(4.0)
    with tf.GradientTape() as tape:
        y = v * v * w
    gradients = tape.gradient(y, nest(v, w))

    def numbers(tree):
        if isinstance(tree, dict):
            return {key: numbers(value) for key, value in tree.items()}
        return (
            [numbers(value) for value in tree] if isinstance(tree, list | tuple) else tree.numpy()
        )

    assert type(gradients) is type(nest(v, w))
    expected = nest(tf.constant(24.0), tf.constant(9.0))
    assert numbers(gradients) == numbers(expected)


def test_empty_nests(tf):
    """sources `[]` -> `[]`; target `[]` -> None."""
    tape, y, v = squared(tf, persistent=True)
    assert tape.gradient(y, []) == []
    assert tape.gradient([], v) is None


# What comes back where nothing is connected.


@pytest.mark.parametrize("spelling", ["none", "NONE", "default"])
def test_unconnected_none(tf, spelling):
    """unconnected: default None; NONE='none'."""
    tape, y, _ = squared(tf)
    kind = tf.UnconnectedGradients.NONE if spelling == "NONE" else "none"
    options = {} if spelling == "default" else {"unconnected_gradients": kind}
    assert tape.gradient(y, tf.Variable([1.0, 2.0]), **options) is None


@pytest.mark.parametrize("member", [True, False], ids=["member", "string"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_unconnected_zero(tf, near, member, dtype):
    """ZERO or 'zero': zeros of source shape AND dtype (int source: int zeros)."""
    tape, y, _ = squared(tf)
    source = tf.constant(np.ones((2, 3), dtype))
    zero = tf.UnconnectedGradients.ZERO if member else "zero"
    gradient = tape.gradient(y, source, unconnected_gradients=zero)
    near(gradient, np.zeros((2, 3)))
    assert gradient.dtype == source.dtype


def test_strings(tf, deviation):
    """(string source: empty strings): Headgate has no string tensors and refuses to make one."""
    if deviation(tensorflow=False, headgate=True):
        with pytest.raises((TypeError, ValueError)):
            tf.constant("a")
    else:
        tape, y, _ = squared(tf)
        assert tape.gradient(y, tf.constant("a"), unconnected_gradients="zero").numpy() == b""


@pytest.mark.parametrize("value", ["nonsense", None])
def test_unconnected_unknown(tf, value):
    """bad unconnected value: ValueError "Unknown value for unconnected_gradients: 'nonsense'"."""
    tape, y, v = squared(tf)
    with pytest.raises(ValueError, match=f"unconnected_gradients.*{value}"):
        tape.gradient(y, v, unconnected_gradients=value)


# output_gradients.


@pytest.mark.parametrize(
    ("nest", "output_gradients"),
    [
        (lambda y, z: y, lambda tf: 2.0),
        (lambda y, z: y, lambda tf: [2.0]),
        (lambda y, z: y, lambda tf: tf.constant(2.0)),
        (lambda y, z: y, lambda tf: tf.Variable(2.0)),
        (lambda y, z: [y], lambda tf: [tf.constant(2.0)]),
        (lambda y, z: [y, z], lambda tf: [tf.constant(2.0), 0.0]),
        (lambda y, z: [[z], y], lambda tf: [0.0, 2.0]),
        (lambda y, z: {"b": y, "a": z}, lambda tf: {"a": 0.0, "b": 2.0}),
        (lambda y, z: {"b": y, "a": z}, lambda tf: [0.0, 2.0]),
    ],
)
def test_output_gradients(tf, near, nest, output_gradients):
    """output_gradients: flattened as the targets are; bare or list; numbers, Variable, dict."""
    v = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        targets = nest(v * v, 5.0 * v)
    near(tape.gradient(targets, v, output_gradients=output_gradients(tf)), 12.0)


def test_output_gradients_of_a_vector(tf, near):
    """output_gradients of the target's shape weigh its elements."""
    tape, y, v = squared(tf, [1.0, 2.0])
    near(tape.gradient(y, v, output_gradients=tf.constant([10.0, 100.0])), [20.0, 400.0])


def test_output_gradients_scalar_for_a_vector(tf, near):
    """(scalars broadcast silently)."""
    tape, y, v = squared(tf, [1.0, 2.0])
    near(tape.gradient(y, v, output_gradients=10.0), [20.0, 40.0])


def test_output_gradients_numbers_for_one_vector(tf, near, deviation):
    """=[10.,100.] for ONE vector target: only first item used, broadcast: [20,40] (trap).

    Headgate takes a list of numbers, for one target, as that target's cotangent.
    """
    tape, y, v = squared(tf, [1.0, 2.0])
    near(
        tape.gradient(y, v, output_gradients=[10.0, 100.0]),
        deviation(tensorflow=[20.0, 40.0], headgate=[20.0, 400.0]),
    )


@pytest.mark.parametrize(("count", "theirs"), [(0, 14.0), (1, 68.0), (3, 608.0)])
def test_output_gradients_count(tf, near, deviation, count, theirs):
    """too short / []: missing ones default to ones; too long: extras ignored.

    Each is a mistake that TensorFlow answers with a number; Headgate raises ValueError.
    """
    v = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        targets = [v * v, v * 10.0]
    output_gradients = [tf.constant(value) for value in (14.5, 55.0, 1.0)[:count]]
    if deviation(tensorflow=False, headgate=True):
        with pytest.raises(ValueError, match="output_gradients"):
            tape.gradient(targets, v, output_gradients=output_gradients)
    else:
        near(tape.gradient(targets, v, output_gradients=output_gradients), theirs)


def test_output_gradients_none_inside(tf):
    """output_gradients contains None: ValueError."""
    v = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        y, z = v * v, v * 2.0
    with pytest.raises(ValueError, match="None"):
        tape.gradient([y, z], v, output_gradients=[1.0, None])


def test_output_gradients_shape(tf, error):
    """output_gradients wrong shape: TF fails in the first backward op, Headgate up front."""
    tape, y, v = squared(tf, [1.0, 2.0])
    with pytest.raises(error("incompatible shapes")):
        tape.gradient(y, v, output_gradients=tf.constant([1.0, 1.0, 1.0]))


def test_output_gradients_dtype(tf, error):
    """output_gradients wrong dtype: TF fails in the first backward op, Headgate up front."""
    tape, y, v = squared(tf, [1.0, 2.0])
    with pytest.raises(error("incompatible dtypes")):
        tape.gradient(y, v, output_gradients=tf.constant(np.ones(2)))


# What gradient passes through.


@pytest.mark.parametrize(
    "path",
    [
        lambda tf, v: tf.cast(v, tf.int32),
        lambda tf, v: v > 1.0,
        lambda tf, v: tf.cast(tf.cast(v, tf.int32), tf.float32),
        lambda tf, v: tf.cast(tf.argmax(v), tf.float32),
        lambda tf, v: tf.round(v),
        lambda tf, v: tf.floor(v),
        lambda tf, v: tf.cast(tf.equal(v, 1.0), tf.float32),
        lambda tf, v: tf.one_hot(tf.cast(v, tf.int32), 3),
        lambda tf, v: tf.zeros_like(v),
        lambda tf, v: tf.cast(tf.shape(v), tf.float32),
        lambda tf, v: tf.cast(tf.random.categorical(tf.reshape(v, (1, 2)), 3), tf.float32),
    ],
    ids=[
        "int",
        "bool",
        "cast",
        "argmax",
        "round",
        "floor",
        "equal",
        "one_hot",
        "zeros_like",
        "shape",
        "random",
    ],
)
def test_no_gradient_through(tf, path):
    """int / bool target or path through cast-to-int, argmax, round, ..., shape, random: None."""
    v = tf.Variable([1.0, 2.0])
    with tf.GradientTape() as tape:
        y = path(tf, v)
    assert tape.gradient(y, v) is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (lambda tf, v: tf.sign(v), 0.0),
        (lambda tf, v: tf.math.floormod(v, 2.0), 1.0),
    ],
    ids=["sign", "floormod"],
)
def test_gradient_of_steps(tf, near, path, expected):
    """(sign -> 0.0, floormod -> 1.0)."""
    v = tf.Variable(5.0)
    with tf.GradientTape() as tape:
        y = path(tf, v)
    near(tape.gradient(y, v), expected)


def test_cast(tf, near):
    """cast f32->f64: gradient in source dtype."""
    v = tf.Variable([1.0, 2.0])
    with tf.GradientTape() as tape:
        y = tf.cast(v, tf.float64) * 3.0
    assert y.dtype == tf.float64
    gradient = tape.gradient(y, v)
    near(gradient, [3.0, 3.0])
    assert gradient.dtype == tf.float32


@pytest.mark.parametrize("dtype", ["float16", "float64", "bfloat16"])
def test_dtype(tf, near, deviation, dtype):
    """f16/bf16/f64 keep dtype. NumPy has no bfloat16, so Headgate's eager tensors have none."""
    if dtype == "bfloat16" and deviation(tensorflow=False, headgate=True):
        assert not hasattr(tf, dtype)
        return
    v = tf.Variable([1.0, 2.0], dtype=getattr(tf, dtype))
    with tf.GradientTape() as tape:
        y = v * v
    gradient = tape.gradient(y, v)
    assert gradient.dtype == v.dtype == getattr(tf, dtype)
    near(gradient, np.array([2.0, 4.0], np.asarray(gradient.numpy()).dtype))


def test_complex(tf, near):
    """complex: conjugate convention: d(v²)/dv at 2+1j = 4-2j; d abs(z)/dz at 3+4j = .6+.8j."""
    v, z = tf.Variable(np.complex64(2 + 1j)), tf.Variable(np.complex64(3 + 4j))
    with tf.GradientTape(persistent=True) as tape:
        squares, modulus = v * v, tf.abs(z)
    near(tape.gradient(squares, v), 4 - 2j)
    near(tape.gradient(modulus, z), 0.6 + 0.8j)
    assert modulus.dtype == tf.float32


@pytest.mark.parametrize(
    "escape",
    [lambda tf, v: v.numpy(), lambda tf, v: float(v)],
    ids=["numpy", "float"],
)
def test_round_trip_through_the_host(tf, near, escape):
    """.numpy() / float(v) in the path: constant; no error."""
    v = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        y = v * escape(tf, v)
    near(tape.gradient(y, v), 3.0)


def test_scatter_update_of_one_place_twice(tf, near, deviation):
    """TF: gradient to all updates for a place. Headgate: to the one that stays, a deviation."""
    updates = tf.Variable([3.0, 4.0, 5.0])
    with tf.GradientTape() as tape:
        y = tf.tensor_scatter_nd_update(tf.constant([1.0, 1.0]), [[0], [1], [0]], updates)
    near(y, [5.0, 4.0])
    expected = deviation(tensorflow=[1.0, 1.0, 1.0], headgate=[0.0, 1.0, 1.0])
    near(tape.gradient(y, updates), expected)


def test_numpy_ufunc(tf, near, deviation):
    """numpy ufunc in the path: a constant in TF. Headgate passes it on to its own op: recorded."""
    v = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        y = v * np.exp(v)
    near(tape.gradient(y, v), deviation(tensorflow=np.exp(3.0), headgate=4 * np.exp(3.0)))
