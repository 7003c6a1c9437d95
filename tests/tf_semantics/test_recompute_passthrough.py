"""Section 2.6: recompute_grad, grad_pass_through and tf.gradients."""

import pytest


def test_recompute_runs_forward_twice(tf, near):
    """forward once unrecorded, once more in backward; gradients for args and closed-over variables.

    unconnected arg -> ZEROS (not None); `__wrapped__`.
    """
    calls = []
    x, w, unused = tf.Variable(3.0), tf.Variable(2.0), tf.Variable(1.0)

    def layer(x, unused):
        calls.append(x)
        return x * x * w

    recomputed = tf.recompute_grad(layer)
    assert recomputed.__wrapped__ is layer
    with tf.GradientTape() as tape:
        y = recomputed(x, unused)
    assert len(calls) == 1
    near(y, 18.0)
    dx, dw, dunused = tape.gradient(y, [x, w, unused])
    assert len(calls) == 2
    near(dx, 12.0)
    near(dw, 9.0)
    near(dunused, 0.0)


def test_recompute_several_outputs(tf, near):
    """multi-output ok."""
    x = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        square, cube = tf.recompute_grad(lambda x: (x * x, x * x * x))(x)
        y = square * cube
    near(tape.gradient(y, x), 405.0)


@pytest.mark.parametrize(("as_argument", "expected"), [(False, 50.0), (True, 100.0)])
def test_recompute_reads_variables_at_backward_time(tf, near, as_argument, expected):
    """w.assign(50) between: dv = 50 (not 2); Variable argument too (100)."""
    x, w = tf.Variable(3.0), tf.Variable(2.0)
    with tf.GradientTape() as tape:
        y = tf.recompute_grad((lambda x: x * x) if as_argument else (lambda x: w * x))(x)
    (x if as_argument else w).assign(50.0)
    near(tape.gradient(y, x), expected)


@pytest.mark.parametrize("mode", ["nested tapes", "forward"])
def test_recompute_second_order(tf, near, deviation, mode):
    """second order by nested tapes / forward mode: NotImplementedError.

    (TensorFlow does answer nested tapes of a watched constant.) In Headgate the second forward
    pass is recorded like any other, so both work.
    """
    cube = tf.recompute_grad(lambda x: x * x * x)
    x = tf.Variable(2.0)

    def differentiate():
        if mode == "forward":
            with tf.autodiff.ForwardAccumulator(x, tf.constant(1.0)) as accumulator:
                y = cube(x)
            return accumulator.jvp(y)
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                y = cube(x)
            first = inner.gradient(y, x)
        return outer.gradient(first, x)

    if deviation(tensorflow=True, headgate=False):
        with pytest.raises(NotImplementedError, match="recompute_grad"):
            differentiate()
    else:
        near(differentiate(), 12.0)


def test_pass_through(tf, near):
    """grad_pass_through(f): upstream returned unchanged; closed-over variables None."""
    x, w = tf.Variable(3.0), tf.Variable(2.0)
    with tf.GradientTape() as tape:
        y = tf.grad_pass_through(lambda x: x * x * w)(x) * 5.0
    near(y, 90.0)
    dx, dw = tape.gradient(y, [x, w])
    near(dx, 5.0)
    assert dw is None


def test_pass_through_counts(tf):
    """2 args with 1 output: count ValueError."""
    x, w = tf.Variable(3.0), tf.Variable(2.0)
    with tf.GradientTape() as tape:
        y = tf.grad_pass_through(lambda x, w: x * w)(x, w)
    with pytest.raises(ValueError, match="expected to return 2 gradients, but returned 1"):
        tape.gradient(y, [x, w])


def test_pass_through_shape(tf, near, deviation):
    """no shape check (reduce_sum -> scalar 1.0). Headgate checks every custom gradient."""
    x = tf.Variable([1.0, 2.0])
    with tf.GradientTape() as tape:
        y = tf.grad_pass_through(tf.reduce_sum)(x)
    if deviation(tensorflow=False, headgate=True):
        with pytest.raises(ValueError, match="shape"):
            tape.gradient(y, x)
    else:
        near(tape.gradient(y, x), 1.0)


def test_pass_through_assign(tf, near):
    """`grad_pass_through(x.assign)(z**2)` -> 6.0."""
    x, z = tf.Variable(1.0), tf.Variable(3.0)
    with tf.GradientTape() as tape:
        y = tf.grad_pass_through(x.assign)(z**2)
    near(y, 9.0)
    near(tape.gradient(y, z), 6.0)


def test_pass_through_forward_mode(tf, near):
    """works in forward mode."""
    z = tf.constant(3.0)
    with tf.autodiff.ForwardAccumulator(z, tf.constant(1.0)) as accumulator:
        y = tf.grad_pass_through(tf.round)(z**2)
    near(accumulator.jvp(y), 6.0)


def test_gradients_eager(tf, deviation):
    """tf.gradients eager: RuntimeError. Headgate has no graph mode and no such name."""
    with pytest.raises(deviation(tensorflow=RuntimeError, headgate=AttributeError)):
        tf.gradients(tf.constant(1.0), [tf.constant(1.0)])


def test_gradients_in_a_function(tf, near, deviation):
    """tf.gradients in tf.function: list result, sums ys; stop_gradients=[a,b] partials ([1,1] vs
    total [3,1]), stop_gradients=[c] cuts at c, stopping xs that are inputs changes nothing;
    grad_ys, unconnected as tape.

    Headgate has no graph mode and no tf.gradients: the next two tests do the same with a tape.
    """
    if deviation(tensorflow=False, headgate=True):
        assert not hasattr(tf, "gradients")
        return

    @tf.function
    def cases():
        a = tf.constant(2.0)
        b = 2.0 * a
        c = a * a
        y = a * b + c * b
        unused, zero = tf.constant(1.0), "zero"
        return {
            "sum of ys": (tf.gradients([b, c], [a]), [6.0]),
            "total": (tf.gradients(a + b, [a, b]), [3.0, 1.0]),
            "partial": (tf.gradients(a + b, [a, b], stop_gradients=[a, b]), [1.0, 1.0]),
            "through c": (tf.gradients(y, [a, b], stop_gradients=[b]), [20.0, 6.0]),
            "stopped at c": (tf.gradients(y, [a, b], stop_gradients=[b, c]), [4.0, 6.0]),
            "inputs": (tf.gradients(c, [a], stop_gradients=[a]), [4.0]),
            "grad_ys": (tf.gradients(c, [a], grad_ys=[tf.constant(10.0)]), [40.0]),
            "zero": (tf.gradients(c, [unused], unconnected_gradients=zero), [0.0]),
            "none": ([tf.constant(tf.gradients(c, [unused])[0] is None)], [True]),
        }

    for gradients, expected in cases().values():
        assert [gradient.numpy() for gradient in gradients] == expected


@pytest.mark.parametrize(("partial", "expected"), [(True, [1.0, 1.0]), (False, [3.0, 1.0])])
def test_partial_derivatives_by_tape(tf, near, partial, expected):
    """tf.gradients(a + b, [a, b], stop_gradients=[a, b]) as a tape program."""
    a = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        b = 2.0 * a
        if partial:
            b = tf.stop_gradient(b)
            tape.watch(b)
        y = a + b
    for gradient, value in zip(tape.gradient(y, [a, b]), expected, strict=True):
        near(gradient, value)


@pytest.mark.parametrize(("stop", "expected"), [(True, 4.0), (False, 20.0)])
def test_cut_at_an_intermediate_by_tape(tf, near, stop, expected):
    """tf.gradients(y, a, stop_gradients=[b, c]) as a tape program."""
    a = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        b = tf.stop_gradient(2.0 * a)
        c = a * a
        y = a * b + (tf.stop_gradient(c) if stop else c) * b
    near(tape.gradient(y, a), expected)


def test_op_without_gradient(tf, deviation):
    """op without gradient in graph: random.shuffle gives None in eager AND in tf.function.

    PreventGradient raises LookupError in TF; Headgate has no such op (use assert_no_flow).
    """
    v = tf.Variable([1.0, 2.0, 3.0])
    for program in (tf.random.shuffle, tf.function(tf.random.shuffle)):
        with tf.GradientTape() as tape:
            y = program(v * 1.0)
        assert tape.gradient(y, v) is None
    if deviation(tensorflow=True, headgate=False):
        with tf.GradientTape() as tape:
            y = tf.raw_ops.PreventGradient(input=v * 1.0, message="because")
        with pytest.raises(LookupError, match="because"):
            tape.gradient(y, v)
