"""`hg.function`: variables, signatures, results, donation, errors, threads, methods, tapes."""

import copy
import functools
import gc
import importlib
import itertools
import pickle
import re
import threading
import types
import warnings
import weakref
from collections import namedtuple

import numpy as np
import pytest

import headgate as hg
from headgate import nn, optim

pytestmark = pytest.mark.peers

X = np.array([1.0, 2.0, 3.0])


def close(found, expected, rtol=1e-12):
    np.testing.assert_allclose(np.asarray(hg.asarray(found)), expected, rtol=rtol, atol=1e-13)


def is_numpys(tensor):
    return type(tensor) is hg.Tensor and isinstance(tensor.value, np.ndarray | np.generic)


def is_jaxs(tensor):
    import jax

    return type(tensor) is hg.Tensor and isinstance(tensor.value, jax.Array)


def dots(text):
    """Return how many matrix products a program has."""
    return len(re.findall(r"stablehlo\.dot_general", text))


def flat(result):
    """Return the tensors of a nested result in one row."""
    if isinstance(result, tuple | list):
        return [tensor for part in result for tensor in flat(part)]
    return [result]


# -- variables -------------------------------------------------------------------------------------


def descent(w, b):
    """Return a training step that writes `w`, reads `b`, and returns the loss."""

    def step(x):
        with hg.GradientTape() as tape:
            loss = hg.sum((w * x + b - 1.0) ** 2)
        w.assign_sub(0.1 * tape.gradient(loss, w))
        return loss

    return step


def test_variables_are_found_and_written_back():
    pairs = [(hg.Variable(np.ones(3)), hg.Variable(0.5)) for _ in range(2)]
    eager, fast = descent(*pairs[0]), hg.function(descent(*pairs[1]))
    for _ in range(4):
        close(fast(X), eager(X).numpy())
        for ours, theirs in zip(pairs[1], pairs[0]):
            close(ours, theirs.numpy())
            assert is_numpys(ours.read_value())
    assert len(fast.signatures) == 1


def test_variable_that_is_only_read_keeps_its_array():
    w, b = hg.Variable(np.ones(3)), hg.Variable(0.5)
    before = b.read_value().value
    fast = hg.function(descent(w, b))
    fast(X)
    fast(X)
    assert b.read_value().value is before
    b.assign(2.0)  # what is read is the value at the call, not at the trace
    close(fast(X), np.sum((w.numpy() * 0 + _undone(w, b)) ** 2))


def _undone(w, b):
    """Return the residual before the last step of `descent` from the values after it."""
    # w' = w - 0.2 x r with r = w x + b - 1, so r = (w' x + b - 1) / (1 - 0.2 x**2)
    return (w.numpy() * X + b.numpy() - 1.0) / (1.0 - 0.2 * X**2)


@pytest.mark.parametrize("order", list(itertools.permutations(["double", "add", "eager"])))
def test_variable_shared_by_two_functions_and_eager_code(order):
    v = hg.Variable(np.ones(3))
    steps = {
        "double": hg.function(lambda: v.assign(v * 2.0)),
        "add": hg.function(lambda x: hg.sum(v.assign_add(x))),
        "eager": lambda: v.assign(v**2 + 1.0),
    }
    expected = np.ones(3)
    formulas = {"double": lambda x: 2 * x, "add": lambda x: x + X, "eager": lambda x: x**2 + 1}
    for name in order * 3:
        steps[name](*([X] if name == "add" else []))
        expected = formulas[name](expected)
        if name != order[0]:
            close(v, expected)


def test_read_only_use_then_write_by_another_function():
    v = hg.Variable(X)
    total, grow = (
        hg.function(lambda: hg.sum(v)),
        hg.function(lambda: v.assign_add(X, read_value=False)),
    )
    for k in range(1, 5):
        close(total(), k * 6.0)
        assert grow() is None
    close(v, 5 * X)


def test_dtype_and_shape_of_variables_stay():
    w = hg.Variable(np.ones(3, np.float32))
    count = hg.Variable(0, dtype=np.int32)

    @hg.function
    def step(x):
        w.assign_sub(hg.astype(x, "float32") * 0.5)
        count.assign_add(1)
        return w * 2.0

    for k in range(1, 4):
        assert step(X).dtype == np.float32
        assert (w.dtype, w.shape, count.dtype) == (np.float32, (3,), np.int32)
        assert count.numpy() == k
    named = hg.Variable(X, name="w")
    with pytest.raises(ValueError, match=r"assign to variable 'w'.*Shape mismatch"):
        hg.function(lambda x: named.assign(x[:2]))(X)


def test_results_are_numpys_where_all_is_numpys():
    v = hg.Variable(X)
    y, (z, number) = hg.function(lambda x: (v * x, [hg.sum(x), 3 * x[0]]))(X)
    assert is_numpys(y)
    assert is_numpys(z)
    assert is_numpys(number)
    assert type(z.numpy()) is np.float64


def test_results_are_jaxs_where_an_argument_or_a_variable_is():
    import jax.numpy as jnp

    v = hg.Variable(X)
    times = hg.function(lambda x: v * x)
    assert is_jaxs(times(jnp.asarray(X)))
    assert is_jaxs(times(hg.asarray(jnp.asarray(X))))
    assert is_numpys(times(X))
    v.assign(jnp.asarray(2 * X))
    held = hg.Variable(jnp.asarray(X))
    assert is_jaxs(hg.function(lambda x: held * x)(X))
    step = hg.function(lambda x: held.assign_add(x) * 2.0)
    assert is_jaxs(step(X))
    assert is_jaxs(held.read_value())
    close(held, 2 * X)


def test_variable_written_by_a_call_with_jaxs_arrays():
    """The cell holds JAX's array then, as it would eagerly; NumPy's again when that is assigned."""
    import jax.numpy as jnp

    v = hg.Variable(np.zeros(3))
    add = hg.function(lambda x: v.assign_add(x))
    add(jnp.asarray(X))
    close(v, X)
    add(X)
    close(v, 2 * X)
    v.assign(X)
    add(X)
    close(v, 2 * X)
    assert is_numpys(v.read_value())


def test_variables_that_only_some_signatures_meet():
    a, b = hg.Variable(1.0), hg.Variable(10.0)

    @hg.function
    def pick(x, which):
        chosen = a if which == "a" else b
        chosen.assign_add(hg.sum(x))
        return chosen.read_value()

    close(pick(X, "a"), 7.0)
    close(pick(X, "b"), 16.0)
    close(pick(X, "a"), 13.0)
    assert (a.numpy(), b.numpy()) == (13.0, 16.0)


def test_variable_given_as_an_argument():
    """It is the variable that is meant, not its value: another one is another signature."""
    a, b = hg.Variable(X), hg.Variable(2 * X)
    step = hg.function(lambda v, x: v.assign_add(x))
    for v in (a, b, a):
        step(v, X)
    close(a, 3 * X)
    close(b, 3 * X)
    assert len(step.signatures) == 2


def test_value_read_before_a_write_stays_what_it_was():
    v = hg.Variable(X)

    @hg.function
    def step():
        before = v.read_value()
        v.assign(v * 2.0)
        middle = v * 1.0
        v.assign_add(X)
        return before, middle, v.read_value()

    for _ in range(2):
        v.assign(X)
        for found, factor in zip(step(), (1, 2, 3)):
            close(found, factor * X)


def test_returned_variable_is_its_value():
    v = hg.Variable(X)
    returned = hg.function(lambda: {"v": v.assign_add(X)})()["v"]
    assert is_numpys(returned)
    close(returned, 2 * X)
    v.assign(X)
    close(returned, 2 * X)


# -- arguments and results -------------------------------------------------------------------------

Pair = namedtuple("Pair", ["left", "right"])


def test_structures_go_in_and_come_out():
    @hg.function
    def swap(tree, pair, *rest, **options):
        return {
            "none": None,
            "text": "label",
            "pair": Pair(pair.right * 2.0, pair.left),
            "list": [tree["b"], (tree["a"][0] + 1.0, ())],
            "rest": rest,
            "options": options,
            "flag": True,
        }

    tree = {"a": [X, None], "b": hg.asarray(2 * X)}
    for _ in range(2):
        found = swap(tree, Pair(X, 2.0), X, 5, scale=3 * X, name="n")
        assert list(found) == ["none", "text", "pair", "list", "rest", "options", "flag"]
        assert (found["none"], found["text"], found["flag"]) == (None, "label", True)
        assert type(found["pair"]) is Pair
        close(found["pair"].left, 4.0)
        close(found["pair"].right, X)
        close(found["list"][0], 2 * X)
        assert type(found["list"][1]) is tuple
        close(found["list"][1][0], X + 1)
        assert found["list"][1][1] == ()
        close(found["rest"][0], X)
        close(found["rest"][1], 5)
        close(found["options"]["scale"], 3 * X)
        assert found["options"]["name"] == "n"
    assert len(swap.signatures) == 1


def test_result_that_is_known_when_traced():
    known = np.arange(3)
    ready = hg.asarray(X)
    found = hg.function(lambda x: (known, ready, 4, None))(X)
    assert found[0] is known
    assert found[2:] == (4, None)
    close(found[1], X)


def test_numbers_are_arguments_and_stay_weakly_typed():
    narrow = X.astype(np.float32)
    scale = hg.function(lambda x, k: x * k)
    for k in (2.0, 3.0, 4.5):
        found = scale(narrow, k)
        assert found.dtype == (hg.asarray(narrow) * k).dtype == np.float32
        close(found, narrow * np.float32(k))
    assert len(scale.signatures) == 1
    close(scale(narrow, 2), narrow * 2)  # a whole number is another type
    assert scale(np.arange(3), 2).dtype == np.int64
    assert scale(np.arange(3), 2.5).dtype == np.float64
    assert len(scale.signatures) == 4


@pytest.mark.parametrize("number", [0.5, 2, np.float64(0.25)])
def test_numbers_stay_numbers_under_a_tape(number):
    w = hg.Variable(np.ones(3, np.float32))
    f = hg.function(lambda x, rate: hg.sum(w**3 * x) * rate)
    with hg.GradientTape() as outer:
        with hg.GradientTape() as tape:
            y = f(np.ones(3, np.float32), number)
        first = tape.gradient(y, w)
        z = hg.sum(first * first)
    assert y.dtype == first.dtype == np.float32
    close(first, 3 * float(number) * np.ones(3))
    close(outer.gradient(z, w), 36 * float(number) ** 2 * np.ones(3))


def test_a_traced_value_that_leaves_is_an_error_with_a_cure():
    f = hg.function(lambda n: np.arange(n.value))
    with pytest.raises(hg.TracingError, match="static_argnames"):
        f(hg.asarray(3))


def test_booleans_and_texts_are_static():
    @hg.function
    def choose(x, flag, how="plus"):
        assert type(flag) is bool
        return (x if flag else -x) + (1.0 if how == "plus" else 0.0)

    close(choose(X, True), X + 1)
    close(choose(X, False), 1 - X)
    close(choose(X, False, "none"), -X)
    close(choose(X, True, how="none"), X)
    assert len(choose.signatures) == 4
    assert choose.signatures[0]["flag"] == "True (static)"


def test_objects_are_static_by_equality_or_identity():
    class Holder:
        def __init__(self, factor):
            self.factor = factor

    class Unhashable(Holder):
        __hash__ = None

    times = hg.function(lambda x, holder: x * holder.factor)
    for kind in (Holder, Unhashable):
        one, other = kind(2.0), kind(3.0)
        close(times(X, one), 2 * X)
        close(times(X, other), 3 * X)
        close(times(X, one), 2 * X)
    assert len(times.signatures) == 4


@pytest.mark.parametrize("names", ["steps", ("steps",), ["steps"]])
def test_static_argnames_by_position_and_by_name(names):
    @hg.function(static_argnames=names)
    def repeat(x, steps, offset=0.0):
        for _ in range(steps):
            x = x * 2.0
        return x + offset

    close(repeat(X, 3), 8 * X)
    close(repeat(X, steps=2), 4 * X)
    close(repeat(X, 3, 1.0), 8 * X + 1)
    close(repeat(x=X, offset=1.0, steps=1), 2 * X + 1)
    close(repeat(X, 2, offset=1.0), 4 * X + 1)
    assert repeat.signatures[0]["steps"] == "3 (static)"


def test_static_argument_that_is_an_array_or_none():
    @hg.function(static_argnames="axes")
    def total(x, axes=None):
        return hg.sum(x, axis=axes)

    matrix = np.ones((2, 3))
    close(total(matrix, None), 6.0)
    close(total(matrix, axes=(0,)), [2, 2, 2])
    close(total(matrix, 1), [3, 3])
    close(total(matrix), 6.0)


def test_static_argnames_of_nobody():
    with pytest.raises(ValueError, match=r"static_argnames: f has no parameter 'z'; it has x, y"):

        @hg.function(static_argnames=("z",))
        def f(x, y):
            return x

    with pytest.raises(ValueError, match=r"donate: .* has no parameter 'w'; it has x"):
        hg.function(lambda x: x, donate=["w"])


def test_order_of_keywords_does_not_matter():
    f = hg.function(lambda x, **others: x + others["a"] - others["b"])
    close(f(X, a=2.0, b=X), [2.0, 2.0, 2.0])
    close(f(X, b=X, a=2.0), [2.0, 2.0, 2.0])
    assert len(f.signatures) == 1


def test_defaults_are_used():
    f = hg.function(lambda x, k=3.0: x * k)
    close(f(X), 3 * X)
    close(f(X, 2.0), 2 * X)
    close(f(x=X), 3 * X)


def test_wrong_arguments_are_refused_as_by_the_function():
    f = hg.function(lambda x, y: x + y)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'y'"):
        f(X)
    with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
        f(X, X, z=1.0)
    close(f(X, X), 2 * X)


def test_function_of_nothing_callable_is_refused():
    with pytest.raises(TypeError, match="function compiles a function, not list"):
        hg.function([1])


# -- signatures ------------------------------------------------------------------------------------


def test_compiled_once_for_each_shape_and_dtype():
    traced = []

    @hg.function
    def f(x):
        traced.append((x.shape, str(x.dtype)))
        return x * 2

    for _ in range(2):
        f(X)
        f(np.ones((2, 3)))
        f(X.astype(np.float32))
        f(np.arange(3))
        f(hg.asarray(X))
        f(np.float32(2.0))
    assert traced == [
        ((3,), "float64"),
        ((2, 3), "float64"),
        ((3,), "float32"),
        ((3,), "int64"),
        ((), "float32"),
    ]
    assert [s["x"] for s in f.signatures][:2] == ["float64 (3,)", "float64 (2, 3)"]
    assert repr(f) == "<headgate.function f, 5 signatures>"


def test_warning_from_the_seventh_signature_on():
    f = hg.function(lambda x, y, k: hg.sum(x) + y * k)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for size in range(1, 7):
            f(np.ones(size), X, 2.0)
            f(np.ones(size), X, 3.0)
    with pytest.warns(hg.RecompileWarning) as caught:
        f(np.ones(7), X, 2.0)
    (one,) = caught
    text = str(one.message)
    assert one.filename == __file__
    assert "x: float64 (6,), now float64 (7,)" in text
    assert "y:" not in text
    assert "k:" not in text
    assert "Pad arrays" in text
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f(np.ones(7), X, 5.0)  # known by now


def test_warning_names_a_static_number():
    f = hg.function(lambda x, n: x * n, static_argnames="n")
    for n in range(6):
        f(X, n)
    with pytest.warns(hg.RecompileWarning, match=r"n: 5 \(static\), now 6 \(static\)"):
        f(X, n=6)


# -- the program as text ---------------------------------------------------------------------------


def two_heads(stop):
    """Return a step whose second head reads the trunk behind a stop, if there is one."""
    trunk, first, second = (hg.Variable(np.eye(4) + k) for k in range(3))
    pause = hg.stop_gradient if stop else (lambda x: x)

    def step(x):
        with hg.GradientTape() as tape:
            h = x @ trunk
            loss = hg.sum(hg.tanh(h) @ first) + hg.sum(hg.tanh(pause(h)) @ second)
        weights = [trunk, first, second]
        for v, g in zip(weights, tape.gradient(loss, weights)):
            v.assign_sub(0.1 * g)
        return loss

    return step


def test_text_shows_the_program():
    v = hg.Variable(X, name="v")
    f = hg.function(lambda x: v.assign_add(hg.sin(x)), donate=True)
    text = f.lower_text(X)
    assert "stablehlo.sine" in text
    assert "jax.buffer_donor" in text or "tf.aliasing_output" in text
    close(v, X)  # nothing was run
    f(X)
    close(v, X + np.sin(X))
    assert len(f.signatures) == 1


@pytest.mark.cpu
def test_variables_are_written_over_where_nothing_can_fail():
    v = hg.Variable(X)
    table = hg.Variable(np.zeros((2**21, 64), np.float32))  # more than is sure

    def rows():
        table.assign(hg.scatter_update(table, np.ones(64, np.float32), key=0))

    def much(x):
        v.assign_add(hg.sum(hg.broadcast_to(x[0], (2**14, 2**14)) + 1.0) + x)

    def host(x):
        v.assign_add(hg.from_jax(_asking_the_host)(x))

    def donated(f, *given, **options):
        return "tf.aliasing_output" in hg.function(f, **options).lower_text(*given)

    assert donated(v.assign_add, X)
    assert donated(rows)
    assert not donated(much, X)
    assert not donated(host, X)
    assert not donated(v.assign_add, X, donate=False)
    assert donated(much, X, donate=True)
    assert not donated(host, X, donate=True)


def _asking_the_host(x):
    import jax

    return jax.pure_callback(lambda y: y, jax.ShapeDtypeStruct(x.shape, x.dtype), x)


def test_stopped_branch_adds_nothing_to_the_backward():
    """Three products forward; each is differentiated by its weights and by what came in."""
    x = np.ones((2, 4))
    assert dots(hg.function(two_heads(stop=False)).lower_text(x)) == 3 + 3 + 2
    assert dots(hg.function(two_heads(stop=True)).lower_text(x)) == 3 + 3 + 1


def test_gradient_that_nobody_asks_for_is_not_computed():
    a, b = hg.Variable(np.eye(4)), hg.Variable(np.eye(4))

    def step(x):
        with hg.GradientTape() as tape:
            loss = hg.sum(hg.tanh(x @ a) @ b)
        return loss, tape.gradient(loss, b)

    assert dots(hg.function(step).lower_text(np.ones((2, 4)))) == 2 + 1


def test_every_update_is_in_the_program():
    variables = [hg.Variable(X * k) for k in range(5)]

    @hg.function
    def step(x):
        for v in variables:
            v.assign_sub(0.5 * x)

    head = next(
        line for line in step.lower_text(X).splitlines() if "func.func public @main" in line
    )
    given, returned = head.split("->")
    assert given.count("tensor<3xf64>") == 6
    assert returned.count("tensor<3xf64>") == 5


# -- donation --------------------------------------------------------------------------------------


@pytest.mark.parametrize("donate", [None, True, False])
@pytest.mark.parametrize("library", ["numpy", "jax.numpy"])
def test_old_values_that_somebody_holds_stay(donate, library):
    v = hg.Variable(importlib.import_module(library).asarray(X))
    double = hg.function(lambda: v.assign(v * 2.0, read_value=False), donate=donate)
    kept = []
    for k in range(5):
        kept += [(k, v.read_value()), (k, v.numpy()), (k, np.asarray(v)), (k, v * 1.0)]
        if k % 2:
            kept.append((k, v.value().value))
        double()
    for k, held in kept:
        close(held, X * 2.0**k)


def test_results_that_are_values_of_variables_stay():
    v = hg.Variable(X)
    step = hg.function(lambda: v.assign_add(X))
    same = hg.function(lambda: (v.read_value(), v.read_value()))
    found = []
    for _ in range(4):
        found.append(step())
        found += same()
    for k, result in enumerate(found):
        close(result, X * (2 + k // 3))


def test_results_that_are_values_of_jaxs_variables_stay():
    import jax.numpy as jnp

    v = hg.Variable(jnp.asarray(X))
    step = hg.function(lambda: v.assign_add(X))
    found = [step() for _ in range(4)]
    for k, result in enumerate(found):
        close(result, X * (2 + k))


def test_two_variables_with_one_array():
    a, b = hg.Variable(X), hg.Variable(X)
    tie = hg.function(lambda: b.assign(a))
    step = hg.function(lambda: (a.assign_add(X), b.assign_sub(X)))
    tie()
    for _ in range(3):
        step()
    close(a, 4 * X)
    close(b, -2 * X)
    b.assign(a)
    step()
    step()
    close(a, 6 * X)
    close(b, 2 * X)


def test_argument_given_away():
    import jax.numpy as jnp

    step = hg.function(lambda state, x: {"h": state["h"] + x}, donate=("state",))
    state = {"h": jnp.zeros(3)}
    given = state["h"]
    state = step(state, X)
    assert given.is_deleted()
    for _ in range(3):
        state = step(state, X)
    close(state["h"], 4 * X)
    text = step.lower_text({"h": X}, X)
    assert text.count("tf.aliasing_output") + text.count("jax.buffer_donor") == 1


def test_numpys_argument_given_away_stays():
    step = hg.function(lambda state, x: state + x, donate=["state"])
    state = np.zeros(3)
    close(step(state, X), X)
    close(state, np.zeros(3))


# -- exceptions ------------------------------------------------------------------------------------


class Broken(Exception):
    pass


def test_exception_at_the_first_trace_leaves_all_as_it_was():
    v = hg.Variable(X)
    fail = [True]

    @hg.function
    def step(x):
        v.assign_add(x)
        with hg.GradientTape() as tape:
            y = hg.sum(v * x)
            if fail:
                raise Broken
        return tape.gradient(y, v)

    for _ in range(2):
        with pytest.raises(Broken):
            step(X)
        close(v, X)
    assert step.signatures == []
    with hg.GradientTape() as tape:
        y = hg.sum(v * v)
    close(tape.gradient(y, v), 2 * X)
    fail.clear()
    close(step(X), X)
    close(v, 2 * X)


def test_exception_at_a_later_signature_leaves_all_as_it_was():
    v = hg.Variable(1.0)

    @hg.function
    def step(x, flag):
        v.assign_add(hg.sum(x))
        if flag:
            raise Broken
        return v * 1.0

    close(step(X, False), 7.0)
    for _ in range(2):
        with pytest.raises(Broken):
            step(X, True)
    assert v.numpy() == 7.0
    close(step(X, False), 13.0)
    assert len(step.signatures) == 1


def test_exception_in_a_trace_under_a_tape():
    v = hg.Variable(X)

    @hg.function
    def f(x, flag):
        if flag:
            raise Broken
        return hg.sum(v * x)

    with hg.GradientTape() as tape:
        with pytest.raises(Broken):
            f(X, True)
        y = f(X, False) + hg.sum(v)
    close(tape.gradient(y, v), X + 1)


# -- variables made inside -------------------------------------------------------------------------


def test_layers_and_optimizers_make_their_variables_once():
    hg.random.set_seed(0)
    layers = [nn.Sequential([nn.Dense(4, activation="tanh"), nn.Dense(1)]) for _ in range(2)]
    optimizers = [optim.Adam(0.1) for _ in range(2)]

    def training(model, optimizer):
        def step(x):
            with hg.GradientTape() as tape:
                loss = hg.mean(model(x) ** 2)
            weights = model.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
            return loss

        return step

    x = np.random.default_rng(0).standard_normal((5, 3))
    eager, fast = (training(*pair) for pair in zip(layers, optimizers))
    fast = hg.function(fast)
    fast.lower_text(x)  # builds, and runs nothing
    weights = layers[1].trainable_variables
    assert len(weights) == 4
    layers[0](x)
    for ours, theirs in zip(layers[0].trainable_variables, weights):
        ours.assign(theirs)
    for k in range(1, 5):
        close(fast(x), eager(x).numpy(), rtol=1e-5)
        assert optimizers[1].iterations.numpy() == k
    for ours, theirs in zip(optimizers[0].variables, optimizers[1].variables, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-6)
    assert all(a is b for a, b in zip(weights, layers[1].trainable_variables))


def test_variable_made_the_first_time_only():
    made = []

    @hg.function
    def count(x):
        if not made:
            made.append(hg.Variable(lambda: np.zeros(3), name="total"))
        return made[0].assign_add(x)

    close(count(X), X)
    close(count(X), 2 * X)
    close(made[0], 2 * X)
    close(count(X.astype(np.float32).astype(float)), 3 * X)


def test_variables_made_at_each_trace_are_refused():
    @hg.function
    def f(x):
        v = hg.Variable(np.zeros(3), name="fresh")
        return v.assign_add(x)

    with pytest.raises(
        hg.TracingError, match=r"f meets other variables .*'fresh' \(made at"
    ) as raised:
        f(X)
    text = str(raised.value)
    line = f.__wrapped__.__code__.co_firstlineno + 2
    assert f"test_function.py:{line}" in text
    assert "Make variables once" in text


def test_variable_from_a_traced_value_is_refused():
    with pytest.raises(hg.TracingError, match="cannot start from a traced value") as raised:
        hg.function(lambda x: hg.Variable(x * 2.0))(X)
    assert "lambda x: hg.Variable(x * 2.0)" in str(raised.value)


# -- threads ---------------------------------------------------------------------------------------


def run(*targets):
    """Run functions in threads; raise what one of them raised."""
    errors = []
    barrier = threading.Barrier(len(targets))

    def guarded(target):
        try:
            barrier.wait()
            target()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_threads_calling_the_same_function():
    count = hg.Variable(0)
    v = hg.Variable(np.zeros(3))
    traces = []

    @hg.function
    def step(x):
        traces.append(threading.get_ident())
        v.assign_add(x)
        return count.assign_add(1)

    seen = [[], []]

    def work(mine):
        return lambda: mine.extend(int(step(X)) for _ in range(300))

    run(*map(work, seen))
    assert count.numpy() == 600
    close(v, 600 * X)
    assert sorted(seen[0] + seen[1]) == list(range(1, 601))
    assert len(step.signatures) == 1
    assert len(set(traces)) == 1


def test_thread_computing_eagerly_meanwhile():
    v, w = hg.Variable(X), hg.Variable(np.zeros(3))
    slopes, sums = [], []

    @hg.function
    def step(x):
        w.assign_add(v * x)
        return hg.sum(w)

    def compiled():  # traces for three signatures, and then calls
        for x in [1.0, X * 0 + 1, X[:1]] * 50:
            step(x)

    def eager():
        for _ in range(150):
            with hg.GradientTape() as tape:
                y = hg.sum(v**2 + hg.stop_gradient(w))
            slopes.append(tape.gradient(y, v))
            sums.append(w.numpy())

    run(compiled, eager)
    for slope in slopes:
        close(slope, 2 * X)
    for total in sums:  # never half of a step
        close(total, total[0] * X)
    assert [total[0] for total in sums] == sorted(total[0] for total in sums)
    close(w, 150 * X)


def test_thread_that_traces_does_not_show_its_stand_ins():
    v = hg.Variable(X)
    inside, looked = threading.Event(), threading.Event()

    @hg.function
    def slow(x):
        v.assign(x * 5.0)
        inside.set()
        assert looked.wait(30)
        return v * 1.0

    def look():
        assert inside.wait(30)
        try:
            close(v, X)
            v.assign(2 * X)
            close(v, 2 * X)
        finally:
            looked.set()

    run(lambda: close(slow(X), 5 * X), look)
    close(v, 5 * X)


# -- methods and other callables -------------------------------------------------------------------


class Counter:
    def __init__(self, start):
        self.total = hg.Variable(start)

    @hg.function
    def add(self, x, times=1.0):
        """Add."""
        return self.total.assign_add(hg.sum(x) * times)

    @hg.function(static_argnames="steps")
    def grow(self, steps):
        for _ in range(steps):
            self.total.assign_add(1.0)


def test_methods_are_compiled_for_each_instance():
    one, other = Counter(0.0), Counter(100.0)
    for k in range(1, 3):
        close(one.add(X), 6.0 * k)
        close(other.add(X, times=2.0), 100 + 12.0 * k)
    assert one.add is one.add
    assert one.add is not other.add
    assert len(one.add.signatures) == 1
    assert Counter.add.signatures == []
    assert (one.add.__name__, one.add.__doc__) == ("add", "Add.")
    one.grow(3)
    assert one.total.numpy() == 15.0


def test_compiled_method_is_gone_with_its_instance():
    one = Counter(0.0)
    one.add(X)
    with hg.GradientTape() as tape:
        y = one.add(X)
    close(tape.gradient(y, one.total), 1.0)  # what is returned is the variable
    gone = [weakref.ref(one), weakref.ref(one.total), weakref.ref(one.add)]
    del one, y, tape
    gc.collect()
    assert [ref() for ref in gone] == [None, None, None]


class Doubling(Counter):
    tenth = hg.function(lambda self, x: x / 10.0)
    fifth = hg.function(lambda self, x: x / 5.0)

    @hg.function
    def add(self, x):
        return super().add(x) * 2.0


class Tripling(Counter):
    def add(self, x):
        return super().add(x) * 3.0


def test_compiled_method_that_calls_the_one_it_overrides():
    one = Doubling(0.0)
    for k in range(1, 4):
        close(one.add(X), 12.0 * k)
    assert len(one.add.signatures) == 1
    other = Tripling(0.0)
    for k in range(1, 4):
        close(other.add(X), 18.0 * k)


def test_methods_that_are_lambdas_do_not_take_each_others_place():
    one = Doubling(0.0)
    close(one.tenth(X), X / 10)
    close(one.fifth(X), X / 5)
    assert one.tenth is one.tenth
    assert one.tenth.signatures == [{"x": "float64 (3,)"}]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copy_of_an_instance_compiles_anew(copied):
    one = Counter(0.0)
    one.add(X)
    other = copied(one)
    assert other.add.signatures == []
    close(other.add(X), 12.0)
    close(other.add(X), 18.0)
    assert one.total.numpy() == 6.0
    assert copied(Counter.add) is Counter.add


def test_method_of_a_slotted_class():
    class Slotted:
        __slots__ = ("factor",)

        @hg.function
        def times(self, x):
            return x * self.factor

    one = Slotted()
    one.factor = 3.0
    close(one.times(X), 3 * X)


def test_function_of_a_layer_and_of_a_model():
    hg.random.set_seed(0)
    x = np.random.default_rng(0).standard_normal((5, 3))
    layer = nn.Dense(2)
    close(hg.function(layer)(x), layer(x).numpy(), rtol=1e-5)
    model = nn.Sequential([nn.Dense(4, activation="relu"), nn.Dense(2)])
    fast = hg.function(model)
    close(fast(x), model(x).numpy(), rtol=1e-5)
    weights = model.trainable_variables[0]
    weights.assign(weights * 2.0)
    close(fast(x), model(x).numpy(), rtol=1e-5)


def test_function_of_a_partial_a_lambda_and_a_builtin():
    def power(x, k, shift):
        return x**k + shift

    fast = hg.function(functools.partial(power, k=2, shift=X))
    close(fast(X), X**2 + X)
    close(fast(X, shift=1.0), X**2 + 1)
    assert fast.__name__ == "partial"
    close(hg.function(lambda x: -x)(X), -X)
    close(hg.function(hg.sin)(X), np.sin(X))
    bound = types.MethodType(power, hg.asarray(X))
    close(hg.function(bound)(2.0, 1.0), X**2 + 1)


def test_jit_off_runs_python_each_time():
    ran = []

    @hg.function(jit=False)
    def f(x):
        ran.append(float(hg.sum(x)))
        return x * 2.0 if x[0] > 0 else x

    close(f(X), 2 * X)
    close(f(-X), -X)
    assert ran == [6.0, -6.0]
    assert f.signatures == []


def test_compiled_function_in_a_compiled_function():
    v = hg.Variable(X)
    inner = hg.function(lambda x: v.assign_add(x) * 2.0)

    @hg.function
    def outer(x):
        with hg.GradientTape() as tape:
            tape.watch(x)
            y = hg.sum(inner(x) * x) + hg.sum(inner(x))
        return tape.gradient(y, x)

    # An assignment lets no gradient through, so only the factor x counts.
    close(outer(X), 2 * (X + X))
    close(v, 3 * X)
    assert len(inner.signatures) == 0
    close(inner(X), 8 * X)
    close(outer(X), 2 * 5 * X)


def test_compiled_function_in_jaxs():
    import jax

    scale = hg.Variable(2.0)
    f = hg.function(lambda x: hg.sum(hg.sin(x) * scale))
    found = jax.jit(lambda x: f(hg.asarray(x)).value)(X)
    close(found, np.sum(np.sin(X) * 2))
    assert f.signatures == []
    close(f(X), found)


# -- under a tape ----------------------------------------------------------------------------------


def compare(compute):
    """Check that a function of a decorator gives with `hg.function` what it gives without."""
    expected = compute(lambda f=None, **options: f)
    for found, right in zip(flat(compute(hg.function)), flat(expected), strict=True):
        if right is None:
            assert found is None
        else:
            assert found.dtype == right.dtype
            close(found, right.numpy())


def test_gradient_by_arguments_and_variables():
    def compute(decorate):
        v, w, b = hg.Variable(X), hg.Variable(2 * X), hg.Variable(1.0)

        @decorate
        def f(x, k):
            return {"y": hg.sum(hg.sin(v * x) * w) * k, "z": [hg.sum(x**3), v * x + b]}

        x, k = hg.asarray(X / 2), hg.asarray(3.0)
        with hg.GradientTape(persistent=True) as tape:
            tape.watch([x, k])
            found = f(x * 1.0, k)
            loss = found["y"] ** 2 + hg.sum(found["z"][1]) + hg.exp(found["z"][0] / 10)
        sources = [x, k, v, w, b]
        return [
            *tape.gradient(loss, sources),
            *tape.gradient(found["y"], sources),
            *tape.gradient(found["z"][0], sources),
            *tape.gradient(found["z"], sources),
            loss,
        ]

    compare(compute)


def test_gradient_of_what_is_written_inside():
    def compute(decorate):
        v, w = hg.Variable(X), hg.Variable(X)

        @decorate
        def f(x):
            y = hg.sum(v * v * x)
            v.assign(w * x)
            w.assign_add(x)
            return y + hg.sum(v * v * x) + hg.sum(w)

        x = hg.asarray(2 * X)
        found = []
        for _ in range(3):
            with hg.GradientTape() as tape:
                tape.watch(x)
                y = f(x) + hg.sum(w**2) + hg.sum(v)
            found += [y, *tape.gradient(y, [x, v, w]), v.read_value(), w.read_value()]
        return found

    compare(compute)


def test_second_order_and_higher():
    def compute(decorate):
        v = hg.Variable(X)
        f = decorate(lambda x: hg.sum(hg.exp(v * x) / (1 + x**2)))
        x = hg.asarray(X / 3)
        found = []
        with hg.GradientTape() as third:
            third.watch(x)
            with hg.GradientTape(persistent=True) as second:
                second.watch(x)
                with hg.GradientTape() as first:
                    first.watch(x)
                    y = f(x)
                slopes = first.gradient(y, [x, v])
            found += [*slopes, *second.gradient(slopes[0], [x, v]), second.gradient(slopes[1], v)]
            curve = hg.sum(second.gradient(slopes[0], x))
        del second
        return [*found, *third.gradient(curve, [x, v])]

    compare(compute)


def test_gradient_penalty_over_a_compiled_critic():
    def compute(decorate):
        w, u = hg.Variable(np.eye(3) + 0.1), hg.Variable(X)
        critic = decorate(lambda x: hg.tanh(x @ w) @ u)
        x = hg.asarray(np.random.default_rng(0).standard_normal((4, 3)))
        with hg.GradientTape() as outer:
            with hg.GradientTape() as inner:
                inner.watch(x)
                y = critic(x)
            norm = hg.sqrt(hg.sum(inner.gradient(y, x) ** 2, axis=1))
            loss = hg.mean((norm - 1.0) ** 2)
        return [loss, *outer.gradient(loss, [w, u])]

    compare(compute)


def test_transforms_of_a_compiled_function():
    def compute(decorate):
        f = decorate(lambda x, k: hg.sum(hg.sin(x) ** 2 * k))
        x, k, direction = hg.asarray(X), 2.0, hg.asarray(X[::-1].copy())
        value, gradient = hg.value_and_grad(f)(x, k)
        return [
            value,
            gradient,
            hg.grad(f, argnums=1)(x, k),
            *hg.jvp(lambda x: f(x, k), (x,), (direction,)),
            hg.hvp(lambda x: f(x, k), (x,), (direction,)),
            hg.hessian(lambda x: f(x, k))(x),
            hg.jacobian(decorate(lambda x: x**2 * hg.sum(x)))(x),
        ]

    compare(compute)


def test_transforms_in_a_compiled_function():
    def compute(decorate):
        def f(x):
            return hg.sum(hg.sin(x) ** 2)

        @decorate
        def everything(x, direction):
            return [
                hg.grad(f)(x),
                *hg.jvp(f, (x,), (direction,)),
                hg.hvp(f, (x,), (direction,)),
                hg.jacobian(lambda x: x**2 * hg.sum(x))(x),
            ]

        return everything(hg.asarray(X), hg.asarray(X[::-1].copy()))

    compare(compute)


def test_custom_gradient_around_and_inside():
    def compute(decorate):
        v = hg.Variable(X)
        body = decorate(lambda x: hg.round(x * v))

        @hg.custom_gradient
        def straight(x):
            def rule(g, variables):
                return g * 3.0, [g * 2.0 for _ in variables]

            return body(x), rule

        @hg.custom_gradient
        def reverse(x):
            return x * 1.0, lambda g: -g

        inside = decorate(lambda x: hg.sum(reverse(x) * x))
        x = hg.asarray(X / 2)
        with hg.GradientTape(persistent=True) as tape:
            tape.watch(x)
            y, z = straight(x), inside(x)
        return [y, z, *tape.gradient(y, [x, v]), tape.gradient(z, x)]

    compare(compute)


def test_no_gradient_is_none_and_why_names_the_line():
    v, w = hg.Variable(X, name="v"), hg.Variable(X, name="w")

    @hg.function
    def f(x):
        held = hg.stop_gradient(v * x)
        return hg.sum(held * w)

    x = hg.asarray(X)
    with hg.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = f(x)
    for _ in range(2):
        assert tape.gradient(y, [v, x]) == [None, None]
        close(tape.gradient(y, w), X * X)
        said = str(tape.why(y, v))
        assert "stop_gradient" in said
        line = f.__wrapped__.__code__.co_firstlineno + 2
        assert f"test_function.py:{line}" in said


def test_frozen_variable_and_integer_arguments():
    frozen, v = hg.Variable(X, trainable=False), hg.Variable(X)

    @hg.function
    def f(x, places, count):
        return hg.sum(hg.take(x * frozen * v, places)), places * count

    x, places, count = hg.asarray(X), hg.asarray(np.array([0, 2, 2])), 3
    with hg.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y, whole = f(x, places, count)
    assert whole.dtype == np.int64
    assert tape.gradient(y, frozen) is None
    close(tape.gradient(y, x), [1.0, 0.0, 18.0])
    close(tape.gradient(y, v), [1.0, 0.0, 18.0])
    assert tape.gradient(y, places) is None
    with hg.GradientTape() as tape:
        tape.watch(frozen)
        y, _ = f(x, places, count)
    close(tape.gradient(y, frozen), [1.0, 0.0, 18.0])


def test_paused_tape_and_tape_that_watches_nothing():
    v = hg.Variable(X)
    f = hg.function(lambda x: hg.sum(v * x))
    with hg.GradientTape(persistent=True) as tape:
        with tape.stop_recording():
            y = f(X)
        z = f(X)
    assert tape.gradient(y, v) is None
    close(tape.gradient(z, v), X)
    with hg.GradientTape(watch_accessed_variables=False) as tape:
        y = f(X)
    assert tape.gradient(y, v) is None


def test_gradient_with_jaxs_arrays():
    import jax.numpy as jnp

    v = hg.Variable(jnp.asarray(X))
    f = hg.function(lambda x: hg.sum(hg.sin(v * x)))
    x = hg.asarray(jnp.asarray(X))
    with hg.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    slopes = tape.gradient(y, [x, v])
    assert all(map(is_jaxs, slopes))
    close(slopes[0], np.cos(X * X) * X)


def test_gradient_through_a_function_called_many_times():
    def compute(decorate):
        w = hg.Variable(np.eye(3) * 0.5)
        cell = decorate(lambda h, x: hg.tanh(h @ w + x))
        h = hg.zeros((3,))
        with hg.GradientTape() as tape:
            for k in range(6):
                h = cell(h, X * k)
            loss = hg.sum(h)
        return [loss, tape.gradient(loss, w)]

    compare(compute)


def test_watch_inside_sees_arguments_only_inside():
    v = hg.Variable(X)

    @hg.function
    def f(x):
        with hg.GradientTape() as tape:
            tape.watch(x)
            y = hg.sum(x**2 * v)
        return tape.gradient(y, [x, v])

    by_x, by_v = f(X)
    close(by_x, 2 * X * X)
    close(by_v, X * X)


# -- what cannot be traced: the user's line, and the cure ------------------------------------------


def branching(x):
    return x if hg.sum(x) > 0 else -x


def looping(x):
    while hg.sum(x) < 100.0:
        x = x * 2.0
    return x


def to_float(x):
    return float(hg.sum(x)) * x


def to_numpy(x):
    return np.sin(x.numpy())


def to_array(x):
    return np.asarray(x) * 2


def ranging(x, n=3):
    return [x * k for k in range(n)]


def shaping(x, n=3):
    return hg.zeros((n, 2)) + hg.sum(x)


def counting(x, n=3):
    return x + hg.arange(n)


def formatting(x):
    return f"{hg.sum(x):.3f}"


def listing(x):
    return [2.0 * number for number in x.tolist()]


def indexing(x, n=1):
    return [x, 2 * x][n]


def axis_given(x, n=0):
    return hg.sum(x, axis=n)


CHOOSE = r"headgate\.where\(condition, a, b\) or headgate\.cond"
OUTSIDE = "return the tensor from the function and convert it outside"
STATIC = r"name the argument that they come from in headgate.function\(..., static_argnames="


@pytest.mark.parametrize(
    ("f", "args", "what", "cure"),
    [
        (branching, (), "Python branching", CHOOSE),
        (looping, (), "Python branching", "repeat with headgate.while_loop or headgate.scan"),
        (to_float, (), r"float\(\)", OUTSIDE),
        (to_numpy, (), r"numpy\(\)", OUTSIDE),
        (to_array, (), "conversion to a NumPy array", OUTSIDE),
        (formatting, (), r"format\(\)", OUTSIDE),
        (listing, (), r"tolist\(\)", OUTSIDE),
        (ranging, (2,), "use as a whole number", STATIC),
        (shaping, (2,), "use as a whole number", STATIC),
        (indexing, (1,), "use as a whole number", STATIC),
        (counting, (3,), r"item\(\)", STATIC),
        (axis_given, (0,), "sum needs the values", STATIC),
    ],
)
def test_what_needs_values_is_refused(f, args, what, cure):
    with pytest.raises(hg.TracingError, match=what) as raised:
        hg.function(f)(X, *args)
    text = str(raised.value)
    assert re.search(cure, text)
    body = f.__code__.co_firstlineno + 1
    assert f"test_function.py:{body}:" in text
    if args:
        found = hg.function(f, static_argnames="n")(X, *args)
        assert repr(found) == repr(f(hg.asarray(X), *args))


def test_list_that_is_appended_to_is_cleaned_and_named():
    seen, table = [], {}

    @hg.function
    def append(x):
        seen.append(hg.sum(x))
        return x

    @hg.function
    def store(x):
        table["last"] = x * 2.0
        return x

    with pytest.raises(hg.TracingError, match=r"puts a traced tensor into 'seen'") as raised:
        append(X)
    assert "seen.append(hg.sum(x))" in str(raised.value)
    assert "return the tensor, and append it outside" in str(raised.value)
    with pytest.raises(hg.TracingError, match=r"into 'table'.*table\[\"last\"\] = x"):
        store(X)
    assert seen == []
    assert table == {}


def test_leaked_attribute_is_named_when_used():
    class Holder:
        pass

    holder = Holder()

    @hg.function
    def f(x):
        holder.hidden = x * 2.0
        return x

    f(X)
    with pytest.raises(hg.TracingError, match="traced tensor that leaked out") as raised:
        holder.hidden + 1.0
    assert "holder.hidden + 1.0" in str(raised.value)
    assert "return it from the function" in str(raised.value)
    with pytest.raises(hg.TracingError, match=r"it has leaked.*return it from there"):
        float(holder.hidden)


def test_python_runs_once():
    said = []

    @hg.function
    def f(x):
        said.append("traced")
        return x

    f(X)
    f(X)
    assert said == ["traced"]


# -- state of optimizers, metrics and layers -------------------------------------------------------


def twice(make, rtol=1e-10):
    """Run `make()`'s step eagerly and compiled; compare results and all variables."""
    (step, variables), (compiled, others) = make(), make()
    fast = hg.function(compiled)
    rng = np.random.default_rng(3)
    for _ in range(6):
        x = rng.standard_normal((4, 3))
        expected, found = step(x), fast(x)
        for ours, theirs in zip(flat(found), flat(expected), strict=True):
            close(ours, np.asarray(theirs), rtol=rtol)
        for ours, theirs in zip(others(), variables(), strict=True):
            assert ours.dtype == theirs.dtype
            close(ours, theirs.numpy(), rtol=rtol)
    assert len(fast.signatures) == 1


def fitted(optimizer, after=lambda w: None):
    w, b = hg.Variable(np.linspace(-1, 1, 6).reshape(3, 2)), hg.Variable(np.zeros(2))
    optimizer.build([w, b])

    def step(x):
        with hg.GradientTape() as tape:
            loss = hg.mean((hg.tanh(x @ w + b) - 0.5) ** 2)
        optimizer.apply_gradients(zip(tape.gradient(loss, [w, b]), [w, b]))
        after(w)
        return loss

    return step, lambda: [w, b, *optimizer.variables]


OPTIMIZERS = {
    "sgd": lambda: optim.SGD(0.1),
    "nesterov": lambda: optim.SGD(0.1, momentum=0.9, nesterov=True),
    "rmsprop": lambda: optim.RMSprop(0.1, momentum=0.5, centered=True),
    "adagrad": lambda: optim.Adagrad(0.1),
    "adam": lambda: optim.Adam(0.1, amsgrad=True),
    "schedule": lambda: optim.Adam(optim.schedules.ExponentialDecay(0.1, 2, 0.5)),
    "staircase": lambda: optim.SGD(optim.schedules.PiecewiseConstantDecay([1, 3], [0.1, 0.2, 0.3])),
    "cosine": lambda: optim.SGD(optim.schedules.CosineDecay(0.1, 4)),
    "clipnorm": lambda: optim.Adam(0.1, clipnorm=0.01),
    "clipvalue": lambda: optim.SGD(0.1, clipvalue=0.01),
    "global_clipnorm": lambda: optim.SGD(0.1, global_clipnorm=0.01),
    "decay": lambda: optim.AdamW(0.1, weight_decay=0.1),
    "lion": lambda: optim.Lion(0.01),
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_optimizer_in_a_compiled_step(kind):
    twice(lambda: fitted(OPTIMIZERS[kind]()))


def test_learning_rate_that_is_a_variable_or_an_argument():
    def make():
        rate = hg.Variable(0.1, trainable=False)
        step, variables = fitted(optim.SGD(rate))

        def decaying(x):
            rate.assign(rate * 0.5)
            return step(x)

        return decaying, lambda: [rate, *variables()]

    twice(make)


def test_schedule_that_is_a_function():
    twice(lambda: fitted(optim.SGD(lambda step: 0.1 * hg.maximum(0.2, 1.0 - step / 4))))
    step, _ = fitted(optim.SGD(lambda step: 0.1 * max(0.2, 1.0 - step / 4)))
    with pytest.raises(hg.TracingError, match=r"Python branching(.|\n)*max\(0.2, 1.0 - step / 4\)"):
        hg.function(step)(np.ones((4, 3)))


@pytest.mark.parametrize("follow", [optim.hard_update, lambda a, b: optim.soft_update(a, b, 0.1)])
def test_target_that_follows(follow):
    def make():
        target = hg.Variable(np.zeros((3, 2)))
        step, variables = fitted(optim.SGD(0.1), lambda w: follow([target], [w]))
        return step, lambda: [target, *variables()]

    twice(make)


def test_moving_average_of_weights():
    def make():
        step, variables = fitted(optim.Adam(0.1))
        average = optim.ExponentialMovingAverage(variables()[:2], decay=0.9)

        def followed(x):
            loss = step(x)
            average.update()
            return loss

        return followed, lambda: [*average.averages, *variables()]

    twice(make)


METRICS = {
    "mean": (hg.metrics.Mean, lambda metric, x: metric.update_state(x)),
    "weighted": (hg.metrics.Mean, lambda metric, x: metric.update_state(x, sample_weight=x**2)),
    "sum": (hg.metrics.Sum, lambda metric, x: metric.update_state(x)),
    "accuracy": (
        hg.metrics.SparseCategoricalAccuracy,
        lambda metric, x: metric.update_state(hg.argmax(x[::-1], axis=-1), x),
    ),
    "binary": (
        hg.metrics.BinaryAccuracy,
        lambda metric, x: metric.update_state(hg.astype(x > 0.5, x.dtype), hg.sigmoid(x)),
    ),
    "error": (
        hg.metrics.MeanSquaredError,
        lambda metric, x: metric.update_state(x, x**2),
    ),
}


@pytest.mark.parametrize("kind", METRICS)
@pytest.mark.parametrize("reset", [False, True])
def test_metric_in_a_compiled_step(kind, reset):
    make_metric, update = METRICS[kind]

    def make():
        metric = make_metric()

        def step(x):
            x = hg.asarray(x)
            if reset:
                metric.reset_state()
            update(metric, x)
            return metric.result()

        return step, lambda: metric.variables

    twice(make, rtol=1e-6)  # some count in single precision


def test_moving_statistics_of_batch_normalization():
    def make():
        layer = nn.BatchNormalization(momentum=0.8, dtype="float64")
        w = hg.Variable(np.linspace(-1, 1, 9).reshape(3, 3))

        def step(x):
            with hg.GradientTape() as tape:
                y = layer(x @ w, training=True)
                loss = hg.mean(hg.tanh(y) ** 3)
            w.assign_sub(tape.gradient(loss, w))
            return loss, layer(x @ w, training=False)

        return step, lambda: [w, *layer.variables]

    twice(make)


def test_dropout_draws_anew_at_each_call():
    def draws():
        layer = nn.Dropout(0.5, seed=1)
        fast = hg.function(lambda x: layer(x, training=True))
        return [fast(np.ones((8, 8))).numpy() for _ in range(4)]

    drawn = draws()
    for mask, again in zip(drawn, draws()):
        assert set(np.unique(mask)) == {0.0, 2.0}
        np.testing.assert_array_equal(mask, again)
    assert len({mask.tobytes() for mask in drawn}) == 4


@pytest.mark.parametrize("decorate", [lambda f: f, hg.function], ids=["eager", "compiled"])
def test_cuts_before_and_in_a_function(decorate):
    v, frozen, u = hg.Variable(X), hg.Variable(X, trainable=False), hg.Variable(X)

    @decorate
    def f(x, y, k):
        return hg.sum(x * frozen) + hg.sum(y * u), hg.take(y, k), hg.round(u) + x

    with hg.GradientTape(persistent=True) as tape:
        y, picked, rounded = f(hg.stop_gradient(v), u * 2.0, hg.argmax(v))
    kinds = [
        [tape.why(target, source).kind for source in (v, frozen, u)] for target in (y, rounded)
    ]
    assert kinds == [
        ["stop_gradient", "frozen", None],
        ["stop_gradient", "frozen", "nondiff_op"],
    ]
    assert tape.why(picked, frozen).kind == "frozen"
    assert tape.why(picked, u).kind is None
    close(tape.gradient(picked, u), [0, 0, 2])


@pytest.mark.parametrize("decorate", [lambda f: f, hg.function], ids=["eager", "compiled"])
def test_cuts_where_nothing_is_live(decorate):
    v, frozen = hg.Variable(X), hg.Variable(X, trainable=False)
    f = decorate(lambda x: hg.sum(x * frozen))
    with hg.GradientTape(persistent=True) as tape:
        y = f(hg.stop_gradient(v))
    assert [tape.why(y, source).kind for source in (v, frozen)] == ["stop_gradient", "frozen"]


# -- what no tape saw ------------------------------------------------------------------------------


@pytest.mark.parametrize("calls", [1, 3])
def test_what_was_computed_before_the_tape_is_said_to_be_outside(calls):
    w = hg.Variable(np.ones(3), name="w")
    encode = hg.function(lambda x: w * x)
    for _ in range(calls):
        code = encode(X)
    with hg.GradientTape() as tape:
        loss = hg.sum(code * 2.0)
    verdict = tape.why(loss, w)
    assert verdict.kind == "outside_tape"
    assert "encode(X)" in verdict.cuts[0].text


@pytest.mark.parametrize(
    "form",
    [
        lambda x: x,
        lambda x: (x,),
        lambda x: ([x],),
        lambda x: ((x,), x),
        lambda x: (x, None),
        lambda x: (x, 1.5),
        lambda x: [x, x],
        lambda x: (),
        lambda x: {"a": (x,)},
    ],
)
def test_results_come_back_in_their_form(form):
    import optree

    fast = hg.function(lambda x: form(x * 2.0))
    for _ in range(2):
        found = fast(X)
        assert optree.tree_structure(found) == optree.tree_structure(form(hg.asarray(X)))
        for leaf in optree.tree_leaves(found):
            close(leaf, 1.5 if isinstance(leaf, float) else X * 2.0)
