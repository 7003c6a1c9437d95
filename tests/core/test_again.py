"""What is run again for its gradient sees what it saw the first time."""

import numpy as np
import pytest

import headgate as hg


def chosen(x):
    y = x * 2.0
    y = hg.cond(hg.sum(x) > 0.0, lambda: y * y, lambda: hg.sin(y))
    y = y + 1.0
    y = hg.cond(hg.sum(x) < 0.0, lambda: y, lambda: hg.cond(x > 1.0, lambda: y, lambda: y * x))
    return y * x


def scanned(x):
    y = x * 2.0
    y, ys = hg.scan(lambda c, row: (c * y * row, c + y), y, hg.asarray([0.5, 1.5]))
    return y * hg.sum(ys)


def repeated(x):
    y, last = x * 2.0, 2

    def body(at):
        return at[0] * y, at[1] + 1

    y, last = hg.while_loop(lambda at: at[1] < last, body, (y, 0))
    return y * x


def recomputed(x):
    y = x
    for k in range(3):
        factor = x + k
        y = hg.recompute_grad(lambda y: hg.sin(y) * factor)(y)  # noqa: B023
    return y


def through_helpers(x):
    scale = x * 3.0

    def helper(y):
        return y * scale

    y = hg.cond(x > 0.0, lambda: helper(x), lambda: x)
    scale = y * 5.0
    return y + scale


@pytest.mark.peers
@pytest.mark.parametrize("f", [chosen, scanned, repeated, recomputed, through_helpers])
def test_variables_around_a_function_may_be_given_other_values(f):
    pytest.importorskip("jax")
    x = hg.asarray(0.7)

    def run(x):
        return [f(x), hg.grad(f)(x), hg.grad(hg.grad(f))(x)]

    np.testing.assert_allclose(hg.function(run)(x), run(x), rtol=1e-10)


def test_recomputed_in_a_loop_is_what_it_was():
    def plain(x):
        y = x
        for k in range(3):
            y = hg.sin(y) * (x + k)
        return y

    x = hg.asarray(0.7)
    np.testing.assert_allclose(hg.grad(recomputed)(x), hg.grad(plain)(x), rtol=1e-12)


def test_a_function_may_write_to_what_is_around_it():
    """The first run does, as it would anywhere; runs for the gradient do not."""
    count = 0

    def f(x):
        def body(y):
            nonlocal count
            count += 1
            return hg.sin(y)

        return hg.recompute_grad(body)(x)

    hg.grad(hg.grad(f))(0.5)
    assert count == 1
