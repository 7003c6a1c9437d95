"""Section 2.5: custom_gradient: what the function sees, what its rule receives and may return."""

import pytest


def differentiate(tf, function, *values):
    """Return the gradients of `function` at variables of these values; of one value, the one."""
    variables = [tf.Variable(value) for value in values]
    with tf.GradientTape() as tape:
        y = function(*variables)
    gradients = tape.gradient(y, variables)
    return gradients[0] if len(values) == 1 else gradients


def test_both_spellings(tf, near):
    """`@tf.custom_gradient`, `@tf.custom_gradient()` both."""

    def tenfold(x):
        return x * 1.0, lambda upstream: upstream * 10.0

    near(differentiate(tf, tf.custom_gradient(tenfold), 3.0), 10.0)
    near(differentiate(tf, tf.custom_gradient()(tenfold), 3.0), 10.0)


def test_method(tf, near):
    """methods (self not counted)."""

    class Scale:
        factor = 7.0

        @tf.custom_gradient
        def apply(self, x):
            return x * 1.0, lambda upstream: upstream * self.factor

    near(differentiate(tf, Scale().apply, 3.0), 7.0)


def test_names_are_kept(tf):
    """__name__, __doc__, __wrapped__ kept."""

    def plain(x):
        """Say something."""
        return x, lambda upstream: upstream

    wrapped = tf.custom_gradient(plain)
    assert (wrapped.__name__, wrapped.__doc__) == ("plain", "Say something.")
    assert callable(wrapped.__wrapped__)


def test_arguments_are_not_converted(tf):
    """args are NOT converted: f sees float, Variable as given."""
    seen = []

    @tf.custom_gradient
    def look(x, y):
        seen.extend((x, y))
        return x * y, lambda upstream: (upstream, upstream)

    v = tf.Variable(3.0)
    look(2.0, v)
    assert type(seen[0]) is float
    assert seen[1] is v


def test_output_is_new(tf):
    """output goes through identity (result is a new tensor, even for `return x`)."""
    x = tf.constant(3.0)
    y = tf.custom_gradient(lambda x: (x, lambda upstream: upstream))(x)
    assert y is not x
    assert y.numpy() == 3.0


def test_upstream(tf):
    """upstream: one positional arg per output (dict by sorted key); unused: zeros."""
    received = []

    @tf.custom_gradient
    def several(x):
        def grad(*upstream):
            received.extend(upstream)
            return upstream[0] + upstream[1]

        return {"b": x * 2.0, "a": x * 3.0, "i": tf.constant(1)}, grad

    assert differentiate(tf, lambda v: several(v)["b"] * 10.0, 3.0).numpy() == 10.0
    assert [float(upstream) for upstream in received] == [0.0, 10.0, 0.0]


def test_int_output_gets_int_zeros(tf):
    """unused float output gets zeros; int output gets int zeros."""
    received = []

    @tf.custom_gradient
    def both(x):
        def grad(*upstream):
            received.extend(upstream)
            return upstream[0]

        return (x * 2.0, tf.constant([1, 2])), grad

    differentiate(tf, lambda v: both(v)[0], 3.0)
    assert received[1].numpy().tolist() == [0, 0]
    assert received[1].dtype == tf.int32


def test_second_order(tf, near):
    """grad fn ops are differentiable (2nd order)."""

    @tf.custom_gradient
    def odd(x):
        return x * 1.0, lambda upstream: upstream * x * x * x

    x = tf.Variable(2.0)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            y = odd(x)
        first = inner.gradient(y, x)
    near(first, 8.0)
    near(outer.gradient(first, x), 12.0)


def test_not_called_for_unwatched_input(tf):
    """grad fn not called for unwatched input."""
    calls = []

    @tf.custom_gradient
    def counted(x):
        def grad(upstream):
            calls.append(upstream)
            return upstream

        return x * 1.0, grad

    v = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        y = v * counted(tf.constant(2.0))
    assert tape.gradient(y, v).numpy() == 2.0
    assert calls == []


@pytest.mark.parametrize(
    "second", [lambda tf: tf.Variable(3.0), lambda tf: 3.0], ids=["tensor", "float"]
)
def test_wrong_count(tf, second):
    """wrong count: ValueError "expected to return 2 gradients, ..." (non-tensor args count too)."""

    @tf.custom_gradient
    def product(x, y):
        return x * y, lambda upstream: upstream

    v = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        y = product(v, second(tf))
    with pytest.raises(ValueError, match="expected to return 2 gradients, but returned 1"):
        tape.gradient(y, v)


def test_none_gradient(tf, near):
    """None gradient: means no gradient for that arg."""

    @tf.custom_gradient
    def product(x, y):
        return x * y, lambda upstream: (upstream * 5.0, None)

    dx, dy = differentiate(tf, product, 2.0, 3.0)
    near(dx, 5.0)
    assert dy is None


@pytest.mark.parametrize(
    "wrong",
    [
        lambda tf, upstream: tf.constant([1.0, 2.0, 3.0]),
        lambda tf, upstream: tf.cast(upstream, tf.float64),
    ],
    ids=["shape", "dtype"],
)
def test_shape_and_dtype(tf, deviation, wrong):
    """shapes, dtypes: NOT checked by TF, returned as is. Headgate raises ValueError.

    A gradient of another shape than its argument is a bug that TensorFlow lets go on to the
    optimizer.
    """
    rule = tf.custom_gradient(lambda x: (x * 1.0, lambda upstream: wrong(tf, upstream)))
    if deviation(tensorflow=False, headgate=True):
        with pytest.raises(ValueError, match="gradient"):
            differentiate(tf, rule, 3.0)
    else:
        gradient = differentiate(tf, rule, 3.0)
        assert (gradient.shape == (3,)) or (gradient.dtype == tf.float64)


def test_python_number(tf):
    """python numbers: returned as is by TF; a tensor of the argument's dtype in Headgate."""
    gradient = differentiate(tf, tf.custom_gradient(lambda x: (x * 1.0, lambda upstream: 5.0)), 3.0)
    assert float(gradient) == 5.0


# Variables that the function reads besides its arguments.


@pytest.mark.parametrize(
    "read", [lambda tf, w: w, lambda tf, w: tf.stop_gradient(w)], ids=["read", "stopped"]
)
def test_closure_over_a_variable(tf, near, deviation, read):
    """closure over trainable Variable without `variables` kw: TypeError at FORWARD.

    TensorFlow raises even if it is read only under stop_gradient. Headgate does not: such a
    variable has no gradient to hand back.
    """
    w = tf.Variable(2.0)

    @tf.custom_gradient
    def scaled(x):
        return x * read(tf, w), lambda upstream: upstream

    if read(tf, w) is w or deviation(tensorflow=True, headgate=False):
        with pytest.raises(TypeError, match="variables"):
            scaled(tf.constant(3.0))
    else:
        near(scaled(tf.constant(3.0)), 6.0)


@pytest.mark.parametrize("trainable", [True, False])
def test_variables_that_are_allowed(tf, near, trainable):
    """Non-trainable closure ok; Variable passed as argument ok."""
    w = tf.Variable(2.0, trainable=trainable)

    @tf.custom_gradient
    def closed_over(x):
        return x * w, lambda upstream: upstream * 10.0

    @tf.custom_gradient
    def passed(x, w):
        return x * w, lambda upstream: (upstream * 10.0, upstream * 20.0)

    if trainable:
        near(differentiate(tf, lambda v: passed(v, w), 3.0), 10.0)
    else:
        near(differentiate(tf, closed_over, 3.0), 10.0)


@pytest.mark.parametrize("keywords", ["variables", "**"])
def test_variables_result(tf, near, keywords):
    """variables result: `(grad_xs, grad_vars)`; `**kw` ok."""
    w, received = tf.Variable(2.0), []

    def rule(x, upstream, variables):
        received.extend(variables)
        return upstream * 10.0, [upstream * 20.0]

    @tf.custom_gradient
    def scaled(x):
        if keywords == "**":
            return x * w, lambda upstream, **kw: rule(x, upstream, kw["variables"])
        return x * w, lambda upstream, variables=None: rule(x, upstream, variables)

    v = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        y = scaled(v)
    dv, dw = tape.gradient(y, [v, w])
    near(dv, 10.0)
    near(dw, 20.0)
    (seen,) = received
    assert seen is w


def test_variables_result_of_wrong_count(tf):
    """variables result: ValueError "Must return gradient for each variable ..."."""
    w = tf.Variable(2.0)

    @tf.custom_gradient
    def scaled(x):
        return x * w, lambda upstream, variables=None: (upstream, [])

    with pytest.raises(ValueError, match="gradient for each variable"):
        differentiate(tf, scaled, 3.0)


# Calls that are unusual, or wrong.


def scaled_by_keyword(tf):
    @tf.custom_gradient
    def scaled(x, *, factor):
        return x * factor, lambda upstream: upstream * 7.0

    return scaled


def test_keyword_arguments(tf, near):
    """kwargs: eager: allowed, get no gradients."""
    v, factor = tf.Variable(3.0), tf.constant(2.0)
    with tf.GradientTape() as tape:
        tape.watch(factor)
        y = scaled_by_keyword(tf)(v, factor=factor)
    near(y, 6.0)
    dv, dfactor = tape.gradient(y, [v, factor])
    near(dv, 7.0)
    assert dfactor is None


def test_keyword_arguments_inside_a_function(tf, near, deviation):
    """kwargs in tf.function: ValueError "... only when eager execution is enabled".

    Headgate's tf.function is a plain call, so keywords go on working.
    """
    program = tf.function(lambda x: scaled_by_keyword(tf)(x, factor=2.0))
    if deviation(tensorflow=True, headgate=False):
        with pytest.raises(ValueError, match="eager execution"):
            program(tf.constant(3.0))
    else:
        near(program(tf.constant(3.0)), 6.0)


def test_none_argument(tf):
    """None positional arg: ValueError."""
    product = tf.custom_gradient(lambda x, y: (x * 1.0, lambda upstream: (upstream, None)))
    with pytest.raises(ValueError, match="None"):
        product(tf.constant(3.0), None)


def test_string_argument(tf, near):
    """string arg ok."""
    named = tf.custom_gradient(lambda x, how: (x * 1.0, lambda upstream: (upstream * 7.0, None)))
    near(differentiate(tf, lambda v: named(v, "how"), 3.0), 7.0)


def test_no_tuple(tf):
    """f returns no tuple: TypeError."""
    with pytest.raises(TypeError):
        tf.custom_gradient(lambda x: x * 1.0)(tf.constant(3.0))


def test_grad_fn_raises(tf):
    """grad fn exception: propagates unchanged (KeyError)."""

    @tf.custom_gradient
    def broken(x):
        def grad(upstream):
            raise KeyError("mine")

        return x * 1.0, grad

    with pytest.raises(KeyError, match="mine"):
        differentiate(tf, broken, 3.0)


def test_nested(tf, near):
    """nested custom gradient: inner receives (u, x), its second gradient feeds d/dx."""

    @tf.custom_gradient
    def outer(x):
        @tf.custom_gradient
        def first_order(upstream, x):
            return upstream * 3.0, lambda second: (second * 1.0, second * 100.0)

        return x * 1.0, lambda upstream: first_order(upstream, x)

    x = tf.Variable(2.0)
    with tf.GradientTape() as second:
        with tf.GradientTape() as first:
            y = outer(x)
        dx = first.gradient(y, x)
    near(dx, 3.0)
    near(second.gradient(dx, x), 100.0)


@pytest.mark.parametrize("body", ["stop_gradient", "numpy", "ops"])
def test_forward_accumulator(tf, near, deviation, body):
    """ForwardAccumulator transposes the custom VJP (10.0).

    If the body's ops carry tangents TF returns the TRUE derivative (12.0), ignoring the custom
    rule; Headgate's forward mode honours the rule always.
    """
    forward = {
        "stop_gradient": lambda x: tf.stop_gradient(x * x * x),
        "numpy": lambda x: tf.constant(x.numpy() ** 3),
        "ops": lambda x: x * x * x,
    }[body]
    cubed = tf.custom_gradient(lambda x: (forward(x), lambda upstream: upstream * 10.0))
    x = tf.constant(2.0)
    with tf.autodiff.ForwardAccumulator(x, tf.constant(1.0)) as accumulator:
        y = cubed(x)
    near(y, 8.0)
    near(accumulator.jvp(y), deviation(tensorflow=12.0 if body == "ops" else 10.0, headgate=10.0))
