"""Rules of the user's own: what they get, what they may return, and what is kept meanwhile."""

import weakref

import numpy as np
import pytest

import headgate as hg
from core.support import without_collector
from headgate.testing import check_gradient

X = np.array([0.5, -1.0, 2.0])


@hg.custom_gradient
def cube(x):
    """Return x³ with a rule that is told apart from the true one by its factor 10."""
    return x * x * x, lambda g: 10.0 * g * x * x


@hg.custom_gradient
def both(x, y):
    return (x * y, x + y), lambda g, h: (g * y + h, g * x + h)


def test_first_and_second_order():
    assert hg.grad(cube)(2.0).numpy() == 40.0
    assert hg.grad(hg.grad(cube))(2.0).numpy() == 40.0  # 10 x², by its true derivative 20 x


def test_a_true_rule_checks_to_the_second_order():
    check_gradient(lambda x, y: both(hg.sin(x), y), X, X + 1.0)


def test_several_results_of_which_one_is_used():
    seen = []

    @hg.custom_gradient
    def f(x):
        def rule(g, h):
            seen.extend([g.numpy(), h.numpy()])
            return g + 2.0 * h

        return (x * 1.0, x * 2.0), rule

    assert hg.grad(lambda x: f(x)[1] * 3.0)(1.0).numpy() == 6.0
    assert seen == [0.0, 3.0]


def test_structures_of_arguments_and_results():
    @hg.custom_gradient
    def f(pair, scale=1.0):
        a, b = pair["a"], pair["b"]
        return {"sum": [a + b], "product": a * b}, lambda product, total: (
            scale * product * b + total,
            scale * product * a + total,
        )

    def loss(pair):
        found = f(pair, scale=5.0)
        return found["product"] * 2.0 + found["sum"][0]

    gradient = hg.grad(loss)({"a": 3.0, "b": 4.0})
    assert {key: g.numpy() for key, g in gradient.items()} == {"a": 41.0, "b": 31.0}


def test_the_rule_runs_once_per_walk_however_many_arguments_there_are():
    calls = []

    @hg.custom_gradient
    def f(x, y, z):
        def rule(g):
            calls.append(g)
            return g, 2.0 * g, None

        return x + y + z, rule

    x, y, z = (hg.Variable(1.0) for _ in range(3))
    with hg.GradientTape(persistent=True) as tape:
        result = f(x, y, z)
    for count in (1, 2):
        dx, dy, dz = tape.gradient(result, [x, y, z])
        assert (dx.numpy(), dy.numpy(), dz) == (1.0, 2.0, None)
        assert len(calls) == count
    tape.gradient(result, x, output_gradients=3.0)
    assert calls[-1].numpy() == 3.0


def test_a_rule_that_gives_no_gradient_explains_itself():
    @hg.custom_gradient
    def f(x):
        return x * 2.0, lambda g: None

    w = hg.Variable(1.0)
    with hg.GradientTape() as tape:
        y = f(w)
    assert tape.gradient(y, w) is None
    assert not tape.why(y, w)
    assert tape.why(y, w).kind == "custom_gradient"


def test_variables_that_are_read_inside():
    w, frozen = hg.Variable(2.0, name="w"), hg.Variable(5.0, trainable=False)

    @hg.custom_gradient
    def f(x):
        def rule(g, variables):
            assert [v.name for v in variables] == ["w"]
            return g * w, [100.0 * g]

        return x * w + frozen, rule

    x = hg.Variable(3.0)
    with hg.GradientTape() as tape:
        y = f(x)
    dx, dw, df = tape.gradient(y, [x, w, frozen])
    assert (dx.numpy(), dw.numpy(), df) == (2.0, 100.0, None)


def test_integer_and_constant_arguments_take_part():
    @hg.custom_gradient
    def power(x, n):
        return x**n, lambda g: (g * float(n) * x ** (n - 1), None)

    assert hg.grad(power)(2.0, 3).numpy() == 12.0


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_dtypes_are_kept(dtype):
    x = hg.Variable(X.astype(dtype))
    with hg.GradientTape() as tape:
        y = hg.real(hg.sum(cube(x)))
    gradient = tape.gradient(y, x)
    assert gradient.dtype == dtype
    np.testing.assert_allclose(gradient.numpy(), 10 * X**2)


def test_nothing_of_the_body_is_kept_unless_the_rule_uses_it():
    kept = {}

    def body(x, uses):
        hidden = hg.exp(x)
        kept["hidden"] = weakref.ref(hidden.value)
        return hg.tanh(hidden), (lambda g: g * hidden) if uses else (lambda g: g)

    x = hg.Variable(X)
    with without_collector():
        for uses in (False, True):
            with hg.GradientTape():
                y = hg.custom_gradient(lambda x, uses=uses: body(x, uses))(x)
                assert (kept["hidden"]() is not None) == uses
            del y
            assert kept["hidden"]() is None


def test_in_forward_mode_the_rule_is_what_counts():
    _, tangent = hg.jvp(cube, (2.0,), (1.0,))
    assert tangent.numpy() == 40.0


# recompute_grad


def deep(x, w):
    for _ in range(5):
        x = hg.tanh(x * w) + hg.sin(x)
    return x


@pytest.mark.parametrize("order", [1, 2])
def test_recomputing_gives_the_same_gradients(order):
    w = np.array([0.3, 0.2, 0.1])

    def derivative(f):
        g = lambda x, w: hg.sum(f(x, w))
        for _ in range(order):
            h = hg.grad(g, argnums=(0, 1))
            g = lambda x, w, h=h: hg.sum(h(x, w)[0] * h(x, w)[1])
        return g(X, w).numpy()

    np.testing.assert_allclose(derivative(hg.recompute_grad(deep)), derivative(deep), rtol=1e-12)


def test_recomputing_keeps_nothing_in_between():
    arrays = []

    def f(x):
        for _ in range(5):
            x = hg.tanh(x)
            arrays.append(weakref.ref(x.value))
        return x

    v = hg.Variable(X)
    with without_collector(), hg.GradientTape() as tape:
        y = hg.recompute_grad(f)(v)
        assert [ref() is not None for ref in arrays] == [False] * 4 + [True]
        loss = hg.sum(y * y)
        gradient = tape.gradient(loss, v)
        assert not any(ref() is not None for ref in arrays[5:])
    np.testing.assert_allclose(gradient.numpy(), hg.grad(lambda x: hg.sum(f(x) ** 2))(X).numpy())


def test_recomputing_several_results_with_stops_and_whole_numbers():
    @hg.recompute_grad
    def f(x):
        return {"a": x * hg.stop_gradient(x), "index": hg.argmax(x), "b": [hg.sum(x**2)]}

    def loss(x):
        found = f(x)
        return hg.sum(found["a"]) + found["b"][0] + found["index"]

    np.testing.assert_allclose(hg.grad(loss)(X).numpy(), 3 * X)


@pytest.mark.parametrize("wrapper", [hg.recompute_grad, hg.custom_gradient, hg.grad_pass_through])
def test_names_and_docs_are_kept(wrapper):
    def f(x):
        """Return x."""
        return x

    assert (wrapper(f).__name__, wrapper(f).__doc__) == ("f", "Return x.")


@pytest.mark.peers
def test_under_jit():
    jax = pytest.importorskip("jax")

    def program(value):
        x = hg.Variable(value)
        with hg.GradientTape() as tape:
            y = hg.sum(cube(x) + hg.recompute_grad(hg.tanh)(x) + hg.grad_pass_through(hg.round)(x))
        return tape.gradient(y, x).value

    compiled = jax.jit(program)(jax.numpy.asarray(X))
    assert isinstance(compiled, jax.Array)
    np.testing.assert_allclose(compiled, program(X), rtol=1e-12)


def test_recomputing_a_function_that_uses_a_tape_and_then_a_variable():
    w = hg.Variable(3.0)

    @hg.recompute_grad
    def f(x):
        with hg.GradientTape() as inner:
            inner.watch(x)
            y = x**3
        return inner.gradient(y, x) * w  # w is read after the inner tape has ended

    x = hg.asarray(2.0)
    with hg.GradientTape() as tape:
        tape.watch(x)
        z = f(x)
    dx, dw = tape.gradient(z, [x, w])
    assert (dx.numpy(), dw.numpy()) == (36.0, 12.0)
