"""What is around a compiled function when it is traced: as eagerly, or refused in that line."""

import numpy as np
import pytest

import headgate as hg
import headgate.tf as tf

pytest.importorskip("jax")

X = np.array([1.0, 2.0], "f")


def use(how, tape, x, y):
    if how == "gradient":
        return tape.gradient(y, x)
    if how == "jacobian":
        return tape.jacobian(y, x)
    if how == "watch":
        return tape.watch(x)
    if how == "reset":
        return tape.reset()
    with tape.stop_recording():
        return None


@pytest.mark.parametrize("how", ["gradient", "jacobian", "watch", "reset", "stop"])
def test_a_tape_from_outside_is_refused(how):
    v = hg.Variable(X)
    with hg.GradientTape(persistent=True) as tape:
        z = v * v

        @hg.function
        def inside(x):
            use(how, tape, v, v * x)
            return v * x

        with pytest.raises(hg.TracingError, match="began outside of the compiled function"):
            inside(X)
    np.testing.assert_allclose(tape.gradient(z, v).numpy(), 2 * X)


def test_a_tape_that_is_entered_inside():
    v, tape = hg.Variable(2.0), hg.GradientTape()

    @hg.function
    def inside():
        with tape:
            y = v * v
        return tape.gradient(y, v)

    assert [float(inside()) for _ in range(3)] == [4.0, 4.0, 4.0]


def test_recording_that_is_switched_off():
    v = hg.Variable(2.0)
    square = hg.function(lambda: v * v)
    for _ in range(2):
        with hg.GradientTape() as tape:
            with tape.stop_recording():
                factor = square()
            y = factor * v
        assert float(tape.gradient(y, v)) == 4.0


NUMBERS = [2.0, 3, True, np.float64(2.0), np.float32(2.0)]


@pytest.mark.parametrize("function", [hg.function, tf.function])
@pytest.mark.parametrize("number", NUMBERS, ids=repr)
def test_numbers_are_weakly_typed(function, number):
    """Without a tape, under one, under two: float32 stays float32, as it does eagerly."""
    w = hg.Variable(X)

    def body(x, s):
        return hg.sum(w * x * s)

    f = function(body)
    eager, compiled = body(X, number), f(X, number)
    assert compiled.dtype == eager.dtype == np.float32
    assert float(compiled) == float(eager)
    with hg.GradientTape() as outer:
        with hg.GradientTape() as tape:
            y = f(hg.asarray(X) * w, number)
        gradient = tape.gradient(y, w)
        z = hg.sum(gradient**2)
    assert y.dtype == gradient.dtype == np.float32
    second = outer.gradient(z, w)
    assert second.dtype == np.float32
    np.testing.assert_allclose(gradient.numpy(), 2 * X * X * float(number))
    np.testing.assert_allclose(second.numpy(), 8 * X**3 * float(number) ** 2)
