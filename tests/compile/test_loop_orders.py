"""Higher derivatives of loops: as eager code's, with one loop forward and one back per order."""

import numpy as np
import pytest

import headgate as hg

pytestmark = [pytest.mark.peers, pytest.mark.light]

A = np.array([[0.5, 0.2], [0.1, 0.3]])
ROWS = np.random.default_rng(0).uniform(0.5, 1.5, (3, 2))


def repeat(body, first, steps=3, **options):
    start = hg.asarray(0), first
    return hg.while_loop(
        lambda at: at[0] < steps, lambda at: (at[0] + 1, body(at[1])), start, **options
    )[1]


def power(x):
    return repeat(lambda y: y * x, hg.ones_like(x), 4)


def products(x):
    return hg.sum(repeat(lambda y: hg.tanh(y @ (A * x)), hg.asarray(A)))


def itself(x):
    """What the loop begins with and what its body takes from outside are one tensor."""
    return repeat(lambda y: y * x * hg.sin(x), x)


def with_maximum(x):
    return repeat(lambda y: hg.sin(y) * x, x, 9, maximum_iterations=3)


def long(x):
    return repeat(lambda y: hg.sin(y) + y * x * 0.01, x, 150)


def not_run(x):
    return repeat(lambda y: y * x, x, 0) * x**2


def scanned(x):
    last, ys = hg.scan(
        lambda c, row: (hg.sin(c * row) * x, hg.sum(c) * x), x * hg.ones(2), hg.asarray(ROWS) * x
    )
    return hg.sum(last**2) + hg.sum(ys**3)


def backwards(x):
    """A scan whose rows come from what is differentiated by, and whose carry does not."""
    last, ys = hg.scan(
        lambda c, row: (c * 0.5 + row**3, c[0] * row), hg.ones(2), x * ROWS, reverse=True
    )
    return hg.sum(last * last) + hg.sum(ys)


def nested(x):
    """A loop in a branch in a scan."""

    def step(c, row):
        def deep():
            return repeat(lambda y: hg.sin(y) * row[0] * x, c, 2)

        return hg.cond(row[0] > 1.0, deep, lambda: c * c * row[1]), None

    return hg.scan(step, x, hg.asarray(ROWS))[0]


def crosswise(x):
    def step(carry, row):
        a, b, n = carry
        return (b * x, a * a + row, n + 1), None

    (a, b, _), _ = hg.scan(step, (x, x * 0.5, 0), hg.asarray(ROWS[:, 0]))
    return a * b


ORDERS = {
    f.__name__: f
    for f in (power, products, itself, with_maximum, not_run, scanned, backwards, crosswise)
}


def orders(f, count=3):
    """Return a function that computes f and its derivatives up to an order."""
    found = [f]
    for _ in range(count):
        found.append(hg.grad(found[-1]))
    return lambda x: [g(x) for g in found]


def test_third_order_compiled_is_eager():
    def run(x):
        return {name: orders(f)(x) for name, f in ORDERS.items()}

    ours, theirs = hg.function(run)(hg.asarray(0.9)), run(hg.asarray(0.9))
    for name in ORDERS:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-10, err_msg=name)


@pytest.mark.parametrize("f", [long, nested])
def test_second_order_compiled_is_eager(f):
    x = hg.asarray(0.3)
    np.testing.assert_allclose(hg.function(orders(f, 2))(x), orders(f, 2)(x), rtol=1e-8)


def test_gradients_of_loops_of_any_length():
    """Fewer steps than are kept, as many, more, and multiples of them: one program for all."""

    def last(x, steps, most=None):
        # Each step has a slope of its own, so that one that is missing or runs twice is seen.
        return repeat(lambda y: hg.sin(y) * (0.9 + x * 0.1) + x, x, steps, maximum_iterations=most)

    def gradient(x, steps):
        bounded = hg.grad(lambda x: last(x, steps, most=1500))(x)
        return hg.grad(lambda x: last(x, steps))(x), bounded

    compiled = hg.function(gradient)
    for steps in (0, 1, 127, 128, 129, 255, 256, 257, 1023, 1024, 1025, 1400):
        expected = gradient(hg.asarray(0.3), steps)
        np.testing.assert_allclose(
            compiled(hg.asarray(0.3), hg.asarray(steps)), expected, rtol=1e-9, err_msg=str(steps)
        )
    assert len(compiled.signatures) == 1


@pytest.mark.parametrize("f", [power, scanned])
def test_each_order_has_one_loop_forward_and_one_back(f):
    def loops(count):
        derivative = f
        for _ in range(count):
            derivative = hg.grad(derivative)
        text = hg.function(derivative).lower_text(hg.asarray(0.9))
        return text.count("stablehlo.while")

    once, twice, thrice = loops(1), loops(2), loops(3)
    assert twice <= 2 * once + 1
    assert thrice <= 3 * once + 2


@hg.custom_gradient
def signed(x):
    return x * 1.0, lambda g: hg.sign(g) * x


@hg.custom_gradient
def held(x):
    return x * x, lambda g: hg.stop_gradient(g) * x * 2.0


BENT = {
    "clipped": lambda y, x: hg.clip_gradient(hg.sin(y * x), -0.5, 0.5),
    "clipped by norm": lambda y, x: hg.sin(hg.clip_gradient(y, norm=0.5)) * x,
    "signed": lambda y, x: signed(hg.sin(y) * x),
    "held": lambda y, x: held(hg.sin(y) * x),
    "recomputed": lambda y, x: hg.recompute_grad(lambda z: hg.sin(z) * x)(y),
}
"""Steps whose gradient is not linear in the cotangent, or is not known to be."""


def test_gradients_that_are_not_linear():
    """Those are differentiated by their loops back, as there is no tangent that tells all."""

    def run(x):
        found = {}
        for name, body in BENT.items():
            found[name] = orders(lambda x, body=body: repeat(lambda y: body(y, x), x, 2), 2)(x)
            found[name] += orders(
                lambda x, body=body: hg.scan(lambda y, _: (body(y, x), None), x, length=2)[0], 2
            )(x)
        return found

    ours, theirs = hg.function(run)(hg.asarray(0.9)), run(hg.asarray(0.9))
    for name in BENT:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-10, err_msg=name)


def test_by_the_cotangent_as_well():
    """A tape that begins after the loop sees what the gradient does to its cotangent."""
    w = hg.Variable(0.7)

    def run(x, u):
        with hg.GradientTape(persistent=True) as outer:
            outer.watch(x)
            with hg.GradientTape() as inner:
                inner.watch(x)
                y = repeat(lambda y: hg.sin(y * w), x)
            first = inner.gradient(y, x, output_gradients=u * u)
        with hg.GradientTape(persistent=True) as later:
            later.watch(u)
            second = outer.gradient(first, [x, w], output_gradients=[u])
        return second, [later.gradient(g, u) for g in second], outer.gradient(first, [x, w, u])

    given = hg.asarray([0.4, 0.9]), hg.asarray([1.5, 2.0])
    (ours, third, last), (theirs, other, past) = hg.function(run)(*given), run(*given)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-10)
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-10)
    np.testing.assert_allclose(third[0], other[0], rtol=1e-10)
    np.testing.assert_allclose(third[1], other[1], rtol=1e-10)
    assert last[2] is None
    assert past[2] is None


def test_forward_through_loops_of_loops():
    def f(x):
        return repeat(lambda y: hg.sin(y) * x, x) + scanned(x[0])

    def run(x):
        return hg.jvp(f, (x,), (x * 2.0,))[1], hg.hvp(lambda x: hg.sum(f(x)), x, x), hg.jacfwd(f)(x)

    x = hg.asarray([0.4, 0.9])
    for one, other in zip(hg.function(run)(x), run(x), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10)


def test_what_is_not_reached_by_the_second_derivative():
    """A gradient that is linear in what the loop was given does not depend on it any more."""
    w, v = hg.Variable(2.0), hg.Variable(3.0)

    def run(x):
        with hg.GradientTape(persistent=True) as outer:
            outer.watch(x)
            with hg.GradientTape() as inner:
                inner.watch(x)
                y, _ = repeat(lambda at: (at[0] * w, at[1] + at[0] * v), (x, x * 0.0))
            first = inner.gradient(y, [x, w])
        return outer.gradient(first[0], [x, w]), outer.gradient(first[1], [x, w])

    ours, theirs = hg.function(run)(hg.asarray(0.5)), run(hg.asarray(0.5))
    for row, other in zip(ours, theirs, strict=True):
        assert [g is None for g in row] == [g is None for g in other]
        np.testing.assert_allclose(
            [g for g in row if g is not None], [g for g in other if g is not None]
        )


def test_complex_numbers():
    def run(z):
        with hg.GradientTape() as outer:
            outer.watch(z)
            with hg.GradientTape() as inner:
                inner.watch(z)
                y = repeat(lambda y: y * hg.conj(z) + hg.exp(y * 0.3), z)
                loss = hg.sum(hg.abs(y) ** 2)
            first = inner.gradient(loss, z)
            total = hg.sum(hg.real(first) * hg.imag(first) + hg.real(first))
        return first, outer.gradient(total, z)

    z = hg.asarray([0.4 + 0.3j, 0.2 - 0.5j])
    for one, other in zip(hg.function(run)(z), run(z), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10)


def test_dtypes_and_variables_that_are_written():
    count = hg.Variable(0.0, trainable=False)

    def differentiated(x):
        def f(x):
            count.assign(0.0)

            def step(y):
                count.assign_add(1.0)
                return y * hg.astype(x, "float32") * hg.astype(count, "float32")

            return hg.astype(repeat(step, hg.asarray(np.float32(1.0))), x.dtype) * x

        return orders(f)(x)

    x = hg.asarray(1.5)
    np.testing.assert_allclose(hg.function(differentiated)(x), differentiated(x), rtol=1e-5)
    assert count.numpy() == 3.0
