"""Derivatives taken inside of others, at the very value that the outer one is taken by.

Each program of the table is given a namespace of derivatives (`Ours`, `Theirs`) and has a twin in
which the inner derivative is written out by hand. Value, gradient, a directional and the second
derivative of both must agree, whatever is differentiated and however it is run.
"""

import types
import warnings

import numpy as np
import pytest

import headgate as hg

X = np.array([0.5, -1.2, 2.0])
D = np.array([0.3, 1.1, -0.7])

ours = types.SimpleNamespace(
    xp=hg,
    grad=hg.grad,
    value_and_grad=hg.value_and_grad,
    jacobian=hg.jacobian,
    hessian=hg.hessian,
    vjp=hg.vjp,
    jvp=hg.jvp,
    hvp=lambda f, x, v: hg.hvp(f, (x,), (v,))[0],
    again=hg.recompute_grad,
)


def theirs():
    jax = pytest.importorskip("jax")
    return types.SimpleNamespace(
        xp=jax.numpy,
        grad=jax.grad,
        value_and_grad=jax.value_and_grad,
        jacobian=jax.jacobian,
        hessian=jax.hessian,
        vjp=jax.vjp,
        jvp=jax.jvp,
        hvp=lambda f, x, v: jax.jvp(jax.grad(f), (x,), (v,))[1],
        again=jax.checkpoint,
    )


PROGRAMS = {}


def program(written_out):
    """Enter a program in the table, with the same written out by hand."""

    def add(nested):
        PROGRAMS[nested.__name__] = nested, written_out
        return nested

    return add


@program(lambda xp, x: xp.sum(-x * xp.sin(x)))
def grad_and_closure(d, x):
    return d.xp.sum(d.xp.sin(x) * d.grad(lambda y: d.xp.sum(y * (x - y)))(x))


@program(lambda xp, x: xp.sum(x**2) + xp.sum(-x))
def value_and_grad_and_closure(d, x):
    value, g = d.value_and_grad(lambda y: d.xp.sum(y * (2 * x - y)))(x)
    return value + d.xp.sum(g - x)


@program(lambda xp, x: xp.sum(x**2))
def first_of_two(d, x):
    return d.xp.sum(d.grad(lambda a, b: d.xp.sum(a * b * b))(x, x))


@program(lambda xp, x: xp.sum(4 * x**5))
def both_of_two(d, x):
    g, h = d.grad(lambda a, b: d.xp.sum(a * b * b), argnums=(0, 1))(x, x)
    return d.xp.sum(g * h * 2 * x)


@program(lambda xp, x: xp.sum(3 * x**5))
def the_same_twice_in_a_structure(d, x):
    g = d.grad(lambda p: d.xp.sum(p["a"] ** 2 * p["b"][0] * p["b"][1]))({"a": x, "b": [x, x]})
    return d.xp.sum((g["a"] + g["b"][1]) * x**2)


@program(lambda xp, x: xp.sum(((1 - 0.2) * x - 0.3 * xp.cos(x)) ** 2))
def a_step_with_a_proximal_term(d, x):
    loss = lambda w: d.xp.sum(w**2 + 0.3 / 0.1 * d.xp.sin(w)) + 5.0 * d.xp.sum((w - x) ** 2)
    return d.xp.sum((x - 0.1 * d.grad(loss)(x)) ** 2)


@program(
    lambda xp, x: xp.sum(
        (x - 0.1 * xp.cos(x) - 0.1 * (xp.cos(x - 0.1 * xp.cos(x)) - 0.2 * xp.cos(x))) ** 2
    )
)
def two_steps_with_a_proximal_term(d, x):
    w = x
    for _ in range(2):
        w = w - 0.1 * d.grad(lambda w: d.xp.sum(d.xp.sin(w)) + d.xp.sum((w - x) ** 2))(w)
    return d.xp.sum(w**2)


@program(lambda xp, x: xp.sum(3 * x**3))
def jvp_and_closure(d, x):
    return d.xp.sum(d.jvp(lambda y: y**3 * x, (x,), (d.xp.ones_like(x),))[1])


@program(lambda xp, x: xp.sum(x**3 * 2 + x**2))
def jvp_of_two(d, x):
    f = lambda a, b: a**2 * b
    return d.xp.sum(d.jvp(f, (x, x), (x, d.xp.ones_like(x)))[1])


@program(lambda xp, x: xp.sum(xp.cos(x) * x))
def vjp_and_closure(d, x):
    _, pull = d.vjp(lambda y: d.xp.sin(y) * x, x)
    return d.xp.sum(pull(d.xp.ones_like(x))[0])


@program(lambda xp, x: xp.sum(x**3 - 2 * x**3))
def vjp_of_two(d, x):
    _, pull = d.vjp(lambda a, b: a * b**2, x, x)
    g, h = pull(x)
    return d.xp.sum(g - h)


@program(lambda xp, x: xp.sum(2 * x**2))
def jacobian_and_closure(d, x):
    return d.xp.sum(d.jacobian(lambda y: y * y * x)(x))


@program(lambda xp, x: xp.sum(6 * x**2))
def hessian_and_closure(d, x):
    return d.xp.sum(d.hessian(lambda y: d.xp.sum(x * y**3))(x))


@program(lambda xp, x: xp.sum(6 * x**2 * x))
def hvp_and_closure(d, x):
    return d.xp.sum(d.hvp(lambda y: d.xp.sum(x * y**3), x, x))


@program(lambda xp, x: xp.sum(xp.exp(x)))
def three_deep(d, x):
    def middle(y):
        inner = d.grad(lambda z: d.xp.sum(z * x * y + z**2 * y))(y)  # x y + 2 z y, z = y
        return d.xp.sum(inner * d.xp.exp(x)) / 1.0

    g = d.grad(middle)(x)  # (x + 4 y) exp(x)
    return d.xp.sum(g / (5.0 * x))


@program(lambda xp, x: xp.sum(x * (1 - xp.tanh(x) ** 2)))
def forward_over_reverse(d, x):
    f = lambda y: d.xp.sum(d.grad(lambda z: d.xp.sum(z * y * d.xp.tanh(x)))(y))
    tangent = d.jvp(f, (x,), (x,))[1]  # sum(x tanh(x))
    return d.xp.sum(x * (1 - d.xp.tanh(x) ** 2)) + 0.0 * tangent


@program(lambda xp, x: xp.sum(4 * x**4))
def reverse_over_forward(d, x):
    f = lambda y: d.xp.sum(d.jvp(lambda z: z**2 * x, (y,), (y,))[1])  # 2 y² x
    return d.xp.sum(d.grad(f)(x) * x**2)


@program(lambda xp, x: xp.sum((xp.sum(xp.exp(x)) * x * 2) ** 2))
def a_penalty_on_a_gradient(d, x):
    # queries, keys and values that are the same
    score = lambda q, k, v: d.xp.sum(q * k * v) + d.xp.sum(d.xp.exp(k)) * d.xp.sum(q**2 - k * v)
    g = d.grad(score)(x, x, x)
    return d.xp.sum((g - x**2) ** 2)


@program(lambda xp, x: xp.sum(xp.sin(x) * x**2))
def computed_again_at_one_value(d, x):
    return d.xp.sum(d.again(lambda a, b: d.xp.sin(a) * b * x)(x, x))


@program(lambda xp, x: xp.sum(xp.cos(x) * x))
def computed_again_and_differentiated(d, x):
    h = x * 1.0
    return d.xp.sum(d.grad(d.again(lambda a: d.xp.sum(d.xp.sin(a) * h)))(x))


@program(lambda xp, x: xp.sum(xp.sin(x * x) * 3 * x**2))
def computed_again_with_a_derivative_inside(d, x):
    h = d.xp.sin(x * x)
    inner = d.again(lambda a: d.grad(lambda b: d.xp.sum(b**3 * h + a * 0.0))(a))
    return d.xp.sum(inner(x))


@program(lambda xp, x: xp.sum(xp.tanh(xp.tanh(x) * x) * x))
def computed_again_in_what_is_computed_again(d, x):
    layer = d.again(lambda a: d.xp.tanh(a * x))
    both = d.again(lambda a: layer(d.xp.tanh(a) / 1.0) * x)
    return d.xp.sum(both(x))


def close(found, expected, what=""):
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, what
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10, err_msg=what)


def both_of(name):
    nested, written_out = PROGRAMS[name]
    return lambda x: nested(ours, x), lambda x: written_out(hg, x)


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("make", [np.array, hg.asarray, hg.Variable])
def test_a_nested_derivative_is_the_one_written_out(name, make):
    nested, plain = both_of(name)
    close(nested(make(X)), plain(X), "value")
    close(hg.grad(nested)(make(X)), hg.grad(plain)(X), "gradient")
    value, tangent = hg.jvp(nested, (make(X),), (D,))
    close(value, plain(X), "value in forward mode")
    close(tangent, hg.jvp(plain, (X,), (D,))[1], "forward mode")
    close(hg.hvp(nested, (make(X),), (D,))[0], hg.hvp(plain, (X,), (D,))[0], "second derivative")


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("make", [hg.asarray, hg.Variable])
def test_inside_of_tapes(name, make):
    nested, plain = both_of(name)
    x = make(X)
    with hg.GradientTape() as outer:
        outer.watch(x)
        with hg.GradientTape() as inner:
            inner.watch(x)
            y = nested(x)
        first = inner.gradient(y, x)
        again = hg.sum(first * D)
    close(first, hg.grad(plain)(X))
    close(outer.gradient(again, x), hg.hvp(plain, (X,), (D,))[0])


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.peers
@pytest.mark.light
def test_as_in_jax(name):
    jax = pytest.importorskip("jax")
    nested, d = PROGRAMS[name][0], theirs()
    their = lambda x: nested(d, x)
    our = lambda x: nested(ours, x)
    x = hg.Variable(X)
    close(our(x), jax.jit(their)(X), "value")
    close(hg.grad(our)(x), jax.jit(jax.grad(their))(X), "gradient")
    direction = jax.jit(lambda x: jax.jvp(jax.grad(their), (x,), (D,))[1])
    close(hg.hvp(our, (x,), (D,))[0], direction(X), "second derivative")


def in_a_branch(f):
    return lambda x: hg.cond(hg.sum(x) > -100.0, lambda: f(x), lambda: hg.sum(x))


def in_a_while_loop(f):
    def run(x):
        step = lambda carry: (carry[0] + 1, carry[1] + f(x))
        return hg.while_loop(lambda carry: carry[0] < 2, step, (0, hg.sum(x) * 0.0))[1]

    return run


def in_a_scan(f):
    return lambda x: hg.scan(lambda total, k: (total + k * f(x), None), hg.sum(x) * 0.0, D[:2])[0]


AROUND = [
    "first_of_two",
    "value_and_grad_and_closure",
    "a_step_with_a_proximal_term",
    "jvp_and_closure",
    "hvp_and_closure",
    "three_deep",
    "computed_again_at_one_value",
    "computed_again_and_differentiated",
]
"""Programs that run in branches and loops as well."""


@pytest.mark.parametrize(
    ("around", "name"),
    [
        *((lambda f: f, name) for name in PROGRAMS),
        *((around, k) for around in (in_a_branch, in_a_while_loop, in_a_scan) for k in AROUND),
    ],
)
@pytest.mark.peers
@pytest.mark.light
def test_compiled(around, name):
    pytest.importorskip("jax")
    nested, plain = (around(f) for f in both_of(name))
    close(hg.function(nested)(hg.Variable(X)), plain(X), "value")
    gradient = hg.grad(plain)(X)
    close(hg.function(hg.grad(nested))(hg.Variable(X)), gradient, "gradient, inside")
    close(hg.grad(hg.function(nested))(hg.Variable(X)), gradient, "gradient, outside")


@pytest.mark.parametrize("name", ["both_of_two", "hvp_and_closure", "computed_again_at_one_value"])
@pytest.mark.peers
def test_second_derivatives_of_compiled_programs(name):
    pytest.importorskip("jax")
    nested, plain = both_of(name)
    expected = hg.hvp(plain, (X,), (D,))[0]
    close(hg.function(lambda x: hg.hvp(nested, (x,), (D,))[0])(hg.Variable(X)), expected)
    close(hg.hvp(hg.function(nested), (hg.Variable(X),), (D,))[0], expected)


@pytest.mark.peers
def test_a_compiled_function_of_one_value_twice():
    pytest.importorskip("jax")
    f = hg.function(lambda a, b: a * b * b)
    v = hg.Variable(3.0)
    close([g.numpy() for g in hg.grad(f, (0, 1))(v, v)], [9.0, 18.0])
    close(hg.grad(lambda a: f(a, v))(v), 9.0)
    close(hg.grad(hg.grad(lambda x: f(x, x)))(v), 18.0)
    close(hg.grad(hg.grad(hg.grad(lambda x: f(x, x))))(v), 6.0)


# One value given twice.


@pytest.mark.parametrize("make", [float, np.float64, hg.asarray, hg.Variable])
def test_one_value_at_two_positions(make):
    x = make(3.0)
    f = lambda a, b: a * b * b
    close(hg.grad(f)(x, x), 9.0)
    close(hg.grad(f, 1)(x, x), 18.0)
    close([g.numpy() for g in hg.grad(f, (0, 1))(x, x)], [9.0, 18.0])
    value, gradients = hg.value_and_grad(f, (1, 0))(x, x)
    close([value.numpy(), *(g.numpy() for g in gradients)], [27.0, 18.0, 9.0])
    close([g.numpy() for g in hg.vjp(f, x, x)[1](1.0)], [9.0, 18.0])
    close(hg.jvp(f, (x, x), (1.0, 0.0))[1], 9.0)
    close(hg.jvp(f, (x, x), (0.0, 1.0))[1], 18.0)
    close([j.numpy() for j in hg.jacobian(f, (0, 1))(x, x)], [9.0, 18.0])
    close(hg.hessian(f, 1)(x, x), 6.0)
    close([p.numpy() for p in hg.hvp(f, (x, x), (hg.asarray(1.0), hg.asarray(0.0)))], [0.0, 6.0])


def test_eight_orders_at_a_variable():
    f = lambda x: x**9
    for _ in range(8):
        f = hg.grad(f)
    close(f(hg.Variable(1.5)), 362880 * 1.5)


def test_tapes_go_on_knowing_a_tensor_as_the_same():
    """Unlike arguments of a function, a tensor that two tapes watch is one source, as in
    TensorFlow."""
    x = hg.asarray(3.0)
    with hg.GradientTape() as outer:
        outer.watch(x)
        with hg.GradientTape() as inner:
            inner.watch(x)
            y = x * x * x
        first = inner.gradient(y, x)
    close([first.numpy(), outer.gradient(first, x).numpy()], [27.0, 18.0])
    u, v = hg.Variable(3.0), hg.asarray(1.0)
    with hg.ForwardAccumulator(u, v) as outer, hg.ForwardAccumulator(u, v) as inner:
        tangent = inner.jvp(u * u * u)
        second = outer.jvp(tangent)
    close([tangent.numpy(), second.numpy()], [27.0, 18.0])


# What a function is called with, and what is said of it.


def test_an_argument_stands_for_a_variable_and_is_not_the_variable():
    w = hg.Variable(2.0, name="w")
    seen = []
    hg.grad(lambda a: seen.append(type(a)) or a * w)(w)
    assert seen == [hg.Tensor]
    with pytest.warns(UserWarning, match=r"(?s)w: cut.*the function reads the variable 'w' itself"):
        close(hg.grad(lambda a: w * w)(w), 0.0)
    with pytest.warns(UserWarning, match="w: unused") as caught:
        close(hg.grad(lambda a: hg.asarray(1.0))(w), 0.0)
    assert "itself" not in str(caught[0].message)


@pytest.mark.parametrize(("f", "kind"), [(lambda a, b: b, "unused"), (lambda a, b: a, None)])
def test_arguments_of_one_value_are_told_apart(f, kind):
    w = hg.Variable(2.0, name="w")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        hg.grad(lambda p: f(*p) * 3.0)((w, w))
    assert [("w: unused" in str(each.message)) for each in caught] == [True]
    with hg.GradientTape() as tape:
        g = hg.grad(lambda a, b: f(a, b) * f(a, b), argnums=(0, 1))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            y = g(w, w)[0 if kind is None else 1]
    assert tape.why(y, w).connected
    assert str(tape.why(y, w)) == "w: connected"
    close(tape.gradient(y, w), 2.0)


def test_an_outer_tape_names_its_variable():
    w = hg.Variable(2.0, name="w")
    with hg.GradientTape(persistent=True) as tape:
        y = hg.grad(lambda a: a**3)(w)
        z = hg.stop_gradient(y)
    assert str(tape.why(y, w)) == "w: connected"
    assert [v.name for v in tape.watched_variables()] == ["w"]
    verdict = tape.why(z, w)
    assert (verdict.source, verdict.kind) == ("w", "stop_gradient")
    assert [cut.kind for cut in verdict.cuts] == ["stop_gradient"]


def test_magnitudes_go_through_an_argument():
    w = hg.Variable([3.0, 4.0], name="w")
    with hg.GradientTape() as tape:
        y = hg.sum(hg.grad(lambda a: hg.sum(a**2))(w))
    verdict = tape.why(y, w, magnitudes=True)
    close(verdict.norm, 2 * np.sqrt(2))


def test_an_observer_sees_variables():
    w, u = hg.Variable([1.0, 2.0], name="w"), hg.Variable([1.0, 2.0], name="u")
    with hg.trace() as flow, pytest.warns(UserWarning, match="u: cut"):
        hg.grad(lambda p: hg.sum(p[0] * hg.stop_gradient(p[1])))([w, u])
    assert [(finding.parameter, finding.kind) for finding in flow.findings()] == [
        ("u", "stop_gradient")
    ]
    assert [source.name for source in flow.trace.sources] == ["w", "u"]


def test_an_argument_is_freed_with_its_function():
    import weakref

    w, kept = hg.Variable(X), []
    with hg.GradientTape():
        hg.grad(lambda a: kept.append(weakref.ref(a)) or hg.sum(a * a))(w)
        assert kept[0]() is None


# What `recompute_grad` takes from outside.


def test_what_is_taken_from_outside_gets_its_gradient():
    w, x = hg.Variable(2.0, name="w"), hg.Variable(3.0, name="x")
    frozen = hg.Variable(5.0, trainable=False, name="frozen")
    with hg.GradientTape(persistent=True) as tape:
        h = w * w
        y = hg.recompute_grad(lambda a, *, k: a * h * k * frozen + hg.stop_gradient(w))(
            x, k=w * 1.0
        )
    gradients = tape.gradient(y, [x, h, w])
    close([g.numpy() for g in gradients], [40.0, 30.0, 180.0])
    assert str(tape.why(y, x)) == "x: connected"
    assert tape.why(y, h).connected
    verdict = tape.why(y, w)
    assert verdict.connected
    assert [cut.kind for cut in verdict.cuts] == ["stop_gradient"]


def test_a_stop_inside_of_what_is_computed_again_is_explained():
    w, x = hg.Variable(2.0, name="w"), hg.Variable(3.0, name="x")
    with hg.GradientTape(persistent=True) as tape:
        h = w * w
        y = hg.recompute_grad(lambda a: a * hg.stop_gradient(h))(x)
    assert tape.gradient(y, x).numpy() == 4.0
    with pytest.warns(hg.MissingGradientWarning, match="stop_gradient at .*test_nesting"):
        assert tape.gradient(y, w) is None


def test_results_get_only_the_gradients_of_what_they_use():
    w, u = hg.Variable(2.0, name="w"), hg.Variable(3.0, name="u")
    with hg.GradientTape(persistent=True) as tape:
        h, k = w * 1.0, u * 1.0
        one, other, index = hg.recompute_grad(lambda x: (x * h, x * k * k, hg.argmax(h)))(1.0)
    close(tape.gradient(one, w), 1.0)
    close(tape.gradient(other, u), 6.0)
    assert (tape.why(one, u).verdict, tape.why(other, w).verdict) == ("unused", "unused")
    close([g.numpy() for g in tape.gradient([one, other], [w, u])], [1.0, 6.0])
    assert index.dtype.kind == "i"


def test_one_source_is_given_and_taken_from_outside():
    x = hg.Variable(3.0)
    with hg.GradientTape() as outer:
        with hg.GradientTape() as inner:
            y = hg.recompute_grad(lambda a, b: a * b * b * x)(x, x)  # x⁴
        first = inner.gradient(y, x)
    close([first.numpy(), outer.gradient(first, x).numpy()], [108.0, 108.0])


@pytest.mark.parametrize("make", [hg.asarray, hg.Variable])
def test_one_source_given_twice_to_two_tapes(make):
    x = make(3.0)
    with hg.GradientTape() as outer:
        outer.watch(x)
        with hg.GradientTape() as inner:
            inner.watch(x)
            y = hg.recompute_grad(lambda a, b: a * b * b)(x, x)
        first = inner.gradient(y, x)
    close([first.numpy(), outer.gradient(first, x).numpy()], [27.0, 18.0])


@pytest.mark.parametrize("order", [1, 2, 3])
def test_orders_through_what_is_taken_from_outside(order):
    def f(x):
        h = hg.sin(x)
        return hg.recompute_grad(lambda a: hg.exp(a) * h * x)(x)

    g, plain = f, lambda x: hg.exp(x) * hg.sin(x) * x
    for _ in range(order):
        g, plain = hg.grad(g), hg.grad(plain)
    close(g(hg.Variable(0.7)), plain(0.7).numpy())


def test_a_tape_inside_and_a_variable_from_outside():
    w, x = hg.Variable(3.0), hg.Variable(2.0)

    def f(a):
        with hg.GradientTape() as inner:
            y = a**3 * w
        return inner.gradient(y, w) * w + hg.grad(lambda b: b**2 * w)(a)  # a³ w + 2 a w

    with hg.GradientTape() as tape:
        z = hg.recompute_grad(f)(x)
    dx, dw = tape.gradient(z, [x, w])
    close([dx.numpy(), dw.numpy()], [(3 * 4 + 2) * 3.0, 8.0 + 4.0])
