"""Bad input: messages name shape, dtype, variable and the user's line; the tape stays usable."""

import numpy as np
import pytest

import headgate as hg
from core.support import line_of

IMAGES = np.ones((1, 8, 8, 3))
KERNEL = np.ones((3, 3, 3, 4))


@hg.custom_gradient
def two_for_one(x):
    return x * 2.0, lambda g: [g, g]


@hg.custom_gradient
def wrong_shape(x):
    return x * 2.0, lambda g: hg.ones(2)


@hg.custom_gradient
def wrong_dtype(x):
    return x * 2.0, lambda g: hg.astype(g, "float32")


@hg.custom_gradient
def wrong_kind(x):
    return x * 2.0, lambda g: "text"


@hg.custom_gradient
def no_rule(x):
    return x * 2.0


# What is done with the variable w of shape (3,) and the tape; the error; what its text must name.
def returns_nothing(x):
    x * 2.0


@hg.custom_gradient
def narrow(x):
    return (x * 1.0, x * 2.0), lambda g: g


BAD = {
    "text": (lambda w, tape: hg.sin("abc"), ValueError, ["'str'", "<U3"]),
    "text for an operator": (lambda w, tape: w * "abc", ValueError, ["'str'", "<U3"]),
    "text as a tensor": (lambda w, tape: hg.asarray(["a"]), ValueError, ["'list'", "<U1"]),
    "text as a variable": (lambda w, tape: hg.Variable("abc"), ValueError, ["'str'", "<U3"]),
    "None": (lambda w, tape: hg.sin(None), TypeError, ["None"]),
    "None in a list": (lambda w, tape: hg.asarray([1.0, None]), ValueError, ["object"]),
    "an object": (lambda w, tape: w + object(), ValueError, ["'object'"]),
    "ragged list": (lambda w, tape: hg.sum([[1, 2], [3]]), ValueError, ["same length"]),
    "ragged variable": (lambda w, tape: hg.Variable([[1], []]), ValueError, ["same length"]),
    "ragged tensors": (lambda w, tape: hg.sum([w, hg.ones(2)]), ValueError, ["(3,)", "(2,)"]),
    "add": (lambda w, tape: w + np.ones(4), ValueError, ["add", "float64 (3,)", "float64 (4,)"]),
    "matmul": (lambda w, tape: hg.ones((2, 4)) @ w, ValueError, ["matmul", "(2, 4)", "(3,)"]),
    "concat": (lambda w, tape: hg.concat([w, hg.ones((1, 2))]), ValueError, ["(3,)", "(1, 2)"]),
    "reshape": (lambda w, tape: hg.reshape(w, (2, 2)), ValueError, ["(3,)", "(2, 2)"]),
    "where": (lambda w, tape: hg.where(w > 0, w, np.ones(2)), ValueError, ["where", "(2,)"]),
    "einsum": (lambda w, tape: hg.einsum("ij,j->i", w, w), ValueError, ["einsum", "(3,)"]),
    "axis": (
        lambda w, tape: hg.sum(w, axis=1),
        (IndexError, ValueError),
        ["sum", "(3,)", "axis=1"],
    ),
    "axis of softmax": (lambda w, tape: hg.softmax(w, axis=-2), IndexError, ["(3,)", "axis=-2"]),
    "axis of concat": (lambda w, tape: hg.concat([w, w], axis=4), IndexError, ["(3,)", "axis=4"]),
    "index": (lambda w, tape: w[7], IndexError, ["(3,)", "7"]),
    "too many indices": (lambda w, tape: w[0, 0], IndexError, ["(3,)", "(0, 0)"]),
    "take": (lambda w, tape: hg.take(w, [9], axis=0), IndexError, ["take", "(3,)"]),
    "item assignment": (
        lambda w, tape: w.__setitem__(0, 1.0),
        TypeError,
        ["'w'", "scatter_update"],
    ),
    "truth of an array": (lambda w, tape: bool(w > 0), ValueError, ["(3,)", "headgate.any"]),
    "assign dtype": (
        lambda w, tape: w.assign(hg.ones(3, dtype="float32")),
        ValueError,
        ["'w'", "float64", "float32"],
    ),
    "assign shape": (lambda w, tape: w.assign([1.0, 2.0]), ValueError, ["'w'", "(3,)", "(2,)"]),
    "assign text": (lambda w, tape: w.assign("abc"), ValueError, ["'w'", "'str'"]),
    "assign None": (lambda w, tape: w.assign(None), TypeError, ["'w'", "None"]),
    "assign ragged": (lambda w, tape: w.assign([[1], []]), ValueError, ["'w'", "same length"]),
    "assign complex": (lambda w, tape: w.assign(1j * np.ones(3)), ValueError, ["'w'", "float64"]),
    "assign_add": (lambda w, tape: w.assign_add(1.0), ValueError, ["'w'", "(3,)", "()"]),
    "augmented": (lambda w, tape: w.__iadd__(1.0), RuntimeError, ["'w'", "assign_add"]),
    "gradient of a number": (lambda w, tape: tape.gradient(3.0, w), TypeError, ["float 3.0"]),
    "gradient of None": (lambda w, tape: tape.gradient(None, w), TypeError, ["None"]),
    "gradient of an array": (
        lambda w, tape: tape.gradient(np.ones(2), w),
        TypeError,
        ["float64 (2,)"],
    ),
    "gradient by an array": (lambda w, tape: tape.gradient(w, np.ones(2)), TypeError, ["sources"]),
    "gradient by None": (
        lambda w, tape: tape.gradient(w, [w, None]),
        TypeError,
        ["sources", "None"],
    ),
    "cotangent shape": (
        lambda w, tape: tape.gradient(w * 1.0, w, np.ones(2)),
        ValueError,
        ["(2,)", "(3,)"],
    ),
    "cotangent dtype": (
        lambda w, tape: tape.gradient(w * 1.0, w, hg.ones(3, dtype="float32")),
        ValueError,
        ["float32", "float64"],
    ),
    "cotangent count": (
        lambda w, tape: tape.gradient([w * 1.0, w], w, [np.ones(3)]),
        ValueError,
        ["1 entries for 2"],
    ),
    "watch of a float": (lambda w, tape: tape.watch(3.0), ValueError, ["3.0", "'float'"]),
    "watch of an array": (lambda w, tape: tape.watch(np.ones(2)), ValueError, ["'ndarray'"]),
    "re-entry": (lambda w, tape: tape.__enter__(), ValueError, ["already-active"]),
    "rule count": (
        lambda w, tape: tape.gradient(two_for_one(w), w),
        ValueError,
        ["two_for_one", "1 gradients", "2"],
    ),
    "rule shape": (
        lambda w, tape: tape.gradient(wrong_shape(w), w),
        ValueError,
        ["wrong_shape", "float64 (2,)", "float64 (3,)"],
    ),
    "rule dtype": (
        lambda w, tape: tape.gradient(wrong_dtype(w), w),
        ValueError,
        ["wrong_dtype", "float32 (3,)", "float64 (3,)"],
    ),
    "rule kind": (
        lambda w, tape: tape.gradient(wrong_kind(w), w),
        ValueError,
        ["wrong_kind", "'str'"],
    ),
    "no rule": (lambda w, tape: no_rule(w), TypeError, ["no_rule", "(result, grad_fn)"]),
    "negative stride": (
        lambda w, tape: hg.conv(IMAGES, KERNEL, stride=-1),
        ValueError,
        ["conv", "stride=-1"],
    ),
    "negative padding": (
        lambda w, tape: hg.conv(IMAGES, KERNEL, padding=[(-1, 0), (0, 0)]),
        ValueError,
        ["conv", "padding=[(-1, 0), (0, 0)]"],
    ),
    "dilation of zero": (
        lambda w, tape: hg.conv(IMAGES, KERNEL, dilation=0),
        ValueError,
        ["dilation=0"],
    ),
    "large window": (
        lambda w, tape: hg.conv(IMAGES, np.ones((9, 9, 3, 1))),
        ValueError,
        ["9", "(1, 8, 8, 3)"],
    ),
    "channels": (
        lambda w, tape: hg.conv(IMAGES, np.ones((3, 3, 5, 4))),
        ValueError,
        ["(3, 3, 5, 4)", "(1, 8, 8, 3)"],
    ),
    "negative window": (
        lambda w, tape: hg.max_pool(IMAGES, -2),
        ValueError,
        ["max_pool", "size=-2"],
    ),
    "np.sum": (lambda w, tape: np.sum(w * 1.0), TypeError, ["numpy.sum", "headgate.sum"]),
    "np.stack": (lambda w, tape: np.stack([w * 1.0]), TypeError, ["headgate.stack"]),
    "np.concatenate": (lambda w, tape: np.concatenate([w, w]), TypeError, ["headgate.concat"]),
    "np.add.reduce": (lambda w, tape: np.add.reduce(w), TypeError, ["headgate.sum"]),
    "np.linalg.norm": (lambda w, tape: np.linalg.norm(w), TypeError, ["headgate.norm"]),
    "np.frexp": (lambda w, tape: np.frexp(w), TypeError, ["numpy.frexp", "x.numpy()"]),
    "in an array": (lambda w, tape: np.ones(3).__iadd__(w), TypeError, ["headgate.add"]),
    "stop of text": (lambda w, tape: hg.stop_gradient("abc"), ValueError, ["'str'"]),
    "stop of None": (lambda w, tape: hg.stop_gradient(None), TypeError, ["stop_gradient", "None"]),
    "scale of text": (
        lambda w, tape: hg.scale_gradient(w, "half"),
        TypeError,
        ["scale_gradient", "str 'half'"],
    ),
    "scale of None": (
        lambda w, tape: hg.reverse_gradient(w, None),
        TypeError,
        ["reverse_gradient", "None"],
    ),
    "scale of a shape": (
        lambda w, tape: hg.scale_gradient(w, np.ones(2)),
        ValueError,
        ["scale_gradient", "(2,)", "float64 (3,)"],
    ),
    "clip by text": (
        lambda w, tape: hg.clip_gradient(w, norm="1"),
        TypeError,
        ["clip_gradient", "norm", "str '1'"],
    ),
    "clip by arrays": (
        lambda w, tape: hg.clip_gradient(w, np.zeros(3), 1.0),
        ValueError,
        ["clip_gradient", "minimum", "float64 (3,)"],
    ),
    "custom gradient of a value": (
        lambda w, tape: hg.custom_gradient(3.0),
        TypeError,
        ["custom_gradient", "float 3.0"],
    ),
    "recompute of a value": (
        lambda w, tape: hg.recompute_grad(w),
        TypeError,
        ["recompute_grad", "float64 (3,)"],
    ),
    "pass through a value": (
        lambda w, tape: hg.grad_pass_through(None),
        TypeError,
        ["grad_pass_through", "None"],
    ),
    "recompute of nothing": (
        lambda w, tape: hg.recompute_grad(returns_nothing)(w),
        TypeError,
        ["recompute_grad", "returns_nothing", "None"],
    ),
    "a narrow rule": (
        lambda w, tape: narrow(w),
        TypeError,
        ["narrow", "has 2", "grad_fn(g)"],
    ),
    "batch of a list": (
        lambda w, tape: tape.batch_jacobian(hg.reshape(w, (3, 1)), [w]),
        TypeError,
        ["batch_jacobian", "source", "list [float64 (3,)]", "its only entry"],
    ),
    "batch of vectors": (
        lambda w, tape: tape.batch_jacobian(w * w, w),
        ValueError,
        ["batch_jacobian", "(3,)", "rank at least 2", "jacobian"],
    ),
    "jacobian of a list": (
        lambda w, tape: tape.jacobian([w, w], w),
        TypeError,
        ["jacobian", "target", "list", "once for each"],
    ),
    "clip both ways": (lambda w, tape: hg.clip_gradient(w), ValueError, ["clip_gradient"]),
}


def gradient_is_right(tape, w):
    y = hg.sum(w * w * 3.0)
    np.testing.assert_array_equal(tape.gradient(y, w).numpy(), 6.0 * w.numpy())
    assert tape.why(y, w).connected


@pytest.mark.parametrize("name", BAD)
@pytest.mark.filterwarnings("ignore:Calling GradientTape.gradient on a persistent tape")
def test_bad_input(name):
    bad, error, named = BAD[name]
    w = hg.Variable([1.0, 2.0, 3.0], name="w")
    with hg.GradientTape(persistent=True) as tape:
        with pytest.raises(error) as caught:
            bad(w, tape)
        y = hg.sum(w * w)
    text = str(caught.value)
    assert [part for part in named if part not in text] == []
    assert f"test_errors.py:{caught.traceback[1].lineno + 1}" in text
    np.testing.assert_array_equal(w.numpy(), [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(tape.gradient(y, w).numpy(), [2.0, 4.0, 6.0])


@pytest.mark.parametrize(
    "name", [n for n in BAD if not n.startswith(("rule", "gradient", "cotan"))]
)
def test_bad_input_leaves_a_tape_for_one_gradient_usable(name):
    bad, error, _ = BAD[name]
    w = hg.Variable([1.0, 2.0, 3.0], name="w")
    with hg.GradientTape() as tape:
        with pytest.raises(error):
            bad(w, tape)
        gradient_is_right(tape, w)


@pytest.mark.parametrize("name", [n for n in BAD if n.startswith(("gradient", "cotan"))])
def test_a_refused_gradient_does_not_use_the_tape_up(name):
    bad, error, _ = BAD[name]
    w = hg.Variable([1.0, 2.0, 3.0], name="w")
    with hg.GradientTape() as tape:
        y = hg.sum(w * w * 3.0)
    with pytest.raises(error):
        bad(w, tape)
    np.testing.assert_array_equal(tape.gradient(y, w).numpy(), 6.0 * w.numpy())


@pytest.mark.parametrize("use", [lambda w: w + np.ones(4), lambda w: hg.reshape(w, (7,))])
def test_an_op_on_a_variable_names_it(use):
    with pytest.raises(ValueError, match=r"float64.*'weights'"):
        use(hg.Variable([1.0, 2.0, 3.0], name="weights"))


def test_a_used_tape():
    w = hg.Variable([1.0])
    with hg.GradientTape() as tape:
        y = w * w
    tape.gradient(y, w)
    with pytest.raises(RuntimeError, match=r"persistent=True(?s:.*)test_errors\.py:") as caught:
        tape.gradient(y, w)  # again
    assert f"test_errors.py:{line_of('again')}" in str(caught.value)
    with tape:
        gradient_is_right(tape, w)


def test_a_failed_rule_does_not_use_the_tape_up():
    w = hg.Variable([1.0, 2.0, 3.0])
    with hg.GradientTape() as tape:
        bad = two_for_one(w)
        y = hg.sum(w * w)
    with pytest.raises(ValueError, match="two_for_one"):
        tape.gradient(bad, w)
    np.testing.assert_array_equal(tape.gradient(y, w).numpy(), [2.0, 4.0, 6.0])


def test_the_line_is_the_users_also_inside_of_transformations():
    def f(x):
        return hg.sum(x + np.ones(4))

    line = f.__code__.co_firstlineno + 1
    for call in (hg.grad(f), hg.jacobian(f), lambda x: hg.jvp(f, (x,), (x,))):
        with pytest.raises(ValueError, match=r"\(3,\).*\(4,\)") as caught:
            call(np.ones(3))
        assert f"test_errors.py:{line}" in str(caught.value)


# Under jax.jit.


@pytest.mark.peers
@pytest.mark.parametrize(
    "branch",
    [
        lambda t: 1.0 if hg.sum(t) > 0 else 2.0,
        lambda t: hg.sum(t) > 0 and t,
        lambda t: not t[0],
        lambda t: [0 for _ in iter(lambda: bool(t[0] > 0), False)],
    ],
    ids=["if", "and", "not", "while"],
)
def test_python_branching_on_a_traced_value(branch):
    jax = pytest.importorskip("jax")

    def program(x):
        w = hg.Variable(x, name="w")
        with hg.GradientTape() as tape:
            with pytest.raises(TypeError) as caught:
                branch(w * 1.0)
            y = hg.sum(w * w)
        seen.append(str(caught.value))
        return tape.gradient(y, w).value

    seen = []
    np.testing.assert_array_equal(jax.jit(program)(np.array([1.0, 2.0])), [2.0, 4.0])
    (text,) = seen
    assert "traced tensor of shape ()" in text
    assert "headgate.where" in text
    assert f"test_errors.py:{branch.__code__.co_firstlineno}" in text


@pytest.mark.peers
def test_shapes_of_traced_values():
    jax = pytest.importorskip("jax")

    def program(x):
        with pytest.raises((TypeError, ValueError)) as caught:
            hg.asarray(x) + np.ones(4)
        seen.append(str(caught.value))
        return x

    seen = []
    jax.jit(program)(np.ones(3))
    assert "float64 (3,)" in seen[0]
    assert "float64 (4,)" in seen[0]
    assert f"test_errors.py:{program.__code__.co_firstlineno + 2}" in seen[0]
