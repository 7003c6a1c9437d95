"""Derivatives of functions, against finite differences and by hand, on structures and nested."""

import math
import warnings

import numpy as np
import pytest

import headgate as hg

X = np.array([0.5, -1.0, 2.0])
W = hg.Variable(1.0)
Y = np.array([[1.0, 0.2, -0.3], [0.4, 2.0, 0.6]])


def f(x, y):
    """Take (3,) and (2, 3) to a scalar."""
    return hg.sum(hg.sin(x) * hg.exp(y * x)) + hg.sum(hg.tanh(hg.matmul(y, x)))


def g(x, y):
    """Take (3,) and (2, 3) to (2,)."""
    return hg.matmul(y, hg.sin(x)) + hg.sum(y * x, axis=1) ** 2


def difference(function, point, direction, step=1e-6):
    """Return the derivative of a function of an array along a direction."""
    ahead, behind = function(point + step * direction), function(point - step * direction)
    return (np.asarray(ahead) - np.asarray(behind)) / (2 * step)


def units(shape):
    return np.eye(int(np.prod(shape))).reshape((-1, *shape))


def numeric_jacobian(function, point):
    """Return d function / d point of shape result.shape + point.shape."""
    columns = [difference(function, point, unit) for unit in units(point.shape)]
    return np.stack(columns, axis=-1).reshape(columns[0].shape + point.shape)


def close(actual, expected):
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=1e-6, atol=1e-8)


# Against finite differences.


@pytest.mark.parametrize("argnums", [0, 1])
def test_grad_and_jacobian(argnums):
    def at(function):
        return lambda p: function(*(p if k == argnums else a for k, a in enumerate((X, Y)))).numpy()

    point = (X, Y)[argnums]
    close(hg.grad(f, argnums)(X, Y), numeric_jacobian(at(f), point))
    close(hg.jacobian(f, argnums)(X, Y), numeric_jacobian(at(f), point))
    close(hg.jacobian(g, argnums)(X, Y), numeric_jacobian(at(g), point))
    gradient = hg.grad(f, argnums)
    close(
        hg.hessian(f, argnums)(X, Y),
        numeric_jacobian(at(lambda x, y: gradient(x, y)), point),
    )


@pytest.mark.parametrize("function", [f, g])
def test_vjp_and_jvp(function):
    u, v = np.array([0.3, -0.7, 1.1]), Y[::-1] * 0.5
    along_x = difference(lambda x: function(x, Y).numpy(), X, u)
    along_y = difference(lambda y: function(X, y).numpy(), Y, v)
    value, tangent = hg.jvp(function, (X, Y), (u, v))
    close(value, function(X, Y).numpy())
    close(tangent, along_x + along_y)

    value, pull = hg.vjp(function, X, Y)
    cotangent = np.linspace(1.0, 2.0, value.size).reshape(value.shape)
    for _ in range(2):  # a pull may be used again
        of_x, of_y = pull(cotangent)
        close(np.sum(of_x.numpy() * u), np.sum(cotangent * along_x))
        close(np.sum(of_y.numpy() * v), np.sum(cotangent * along_y))


def test_hvp():
    u, v = np.array([0.3, -0.7, 1.1]), Y[::-1] * 0.5
    both = hg.grad(f, (0, 1))
    products = hg.hvp(f, (X, Y), (u, v))
    assert len(products) == 2
    for k, product in enumerate(products):
        at = lambda t, k=k: both(X + t * u, Y + t * v)[k].numpy()
        close(product, difference(at, 0.0, 1.0))


@pytest.mark.parametrize("make", [hg.asarray, hg.Variable])
@pytest.mark.parametrize("function", [f, g])
def test_forward_accumulator(make, function):
    x, y = make(X), make(Y)
    u, v = np.array([0.3, -0.7, 1.1]), Y[::-1] * 0.5
    with hg.ForwardAccumulator([x, y], [hg.asarray(u), hg.asarray(v)]) as accumulator:
        result = function(x, y)
        inside = accumulator.jvp(result)
    expected = difference(lambda t: function(X + t * u, Y + t * v).numpy(), 0.0, 1.0)
    close(inside, expected)
    close(accumulator.jvp(result), expected)
    close(accumulator.jvp(x), u)
    assert accumulator.jvp(hg.ones(3)) is None
    close(accumulator.jvp(hg.ones(3), "zero"), np.zeros(3))


@pytest.mark.parametrize("count", range(1, 5))
def test_nested_grad(count):
    derivative = hg.sin
    for _ in range(count):
        derivative = hg.grad(derivative)
    close(derivative(0.7), np.sin(0.7 + count * np.pi / 2))


DERIVATIVES = {
    "grad": hg.grad,
    "jvp": lambda f: lambda x: hg.jvp(f, (x,), (1.0,))[1],
    "vjp": lambda f: lambda x: hg.vjp(f, x)[1](1.0)[0],
    "jacobian": hg.jacobian,
    "value_and_grad": lambda f: lambda x: hg.value_and_grad(f)(x)[1],
}


@pytest.mark.parametrize("outer", DERIVATIVES)
@pytest.mark.parametrize("inner", DERIVATIVES)
def test_each_derivative_of_each(outer, inner):
    close(DERIVATIVES[outer](DERIVATIVES[inner](lambda x: x**3))(2.0), 12.0)
    # Two levels must not be confused: d/dx (x · d/dy (x + y)) = 1.
    nested = lambda x: x * DERIVATIVES[inner](lambda y: x + y)(1.0)
    close(DERIVATIVES[outer](nested)(1.0), 1.0)


def test_inside_of_a_tape():
    v = hg.Variable(2.0)
    with hg.GradientTape() as tape:
        y = hg.grad(lambda x: x**3)(v) * v  # 3 v² v
    close(tape.gradient(y, v), 36.0)


def test_stops_hold_in_every_mode():
    h = lambda x: hg.sum(x * hg.stop_gradient(x))
    close(hg.grad(h)(X), X)
    close(hg.jvp(h, (X,), (np.ones(3),))[1], X.sum())
    # The stopped factor is a constant of the first derivative, and is cut off from the second.
    close(hg.hessian(h)(X), np.zeros((3, 3)))


# Structures, argnums, has_aux.


def tree_loss(params, scale):
    return scale * hg.sum(params["w"][0] ** 2) + hg.sum(params["w"][1] * params["b"])


PARAMS = {"w": (X, X + 1.0), "b": 2.0}


def test_structures():
    gradient = hg.grad(tree_loss)(PARAMS, 3.0)
    assert gradient.keys() == PARAMS.keys()
    assert type(gradient["w"]) is tuple
    close(gradient["w"][0], 6 * X)
    close(gradient["w"][1], np.full(3, 2.0))
    close(gradient["b"], (X + 1).sum())
    _, pull = hg.vjp(tree_loss, PARAMS, 3.0)
    close(pull(1.0)[0]["w"][0], 6 * X)
    close(pull(1.0)[1], (X**2).sum())
    _, tangent = hg.jvp(tree_loss, (PARAMS, 3.0), (PARAMS, 0.0))
    close(tangent, 6 * (X**2).sum() + 2 * ((X + 1) * 2.0).sum())
    jacobian = hg.jacobian(lambda p: p["w"][0] * p["b"])(PARAMS)
    close(jacobian["w"][0], 2 * np.eye(3))
    close(jacobian["b"], X)


def test_results_with_structure():
    def h(x):
        return {"double": x * 2.0, "rest": [x**2, hg.ones(2)]}

    _, tangent = hg.jvp(h, (X,), (X,))
    close(tangent["double"], 2 * X)
    close(tangent["rest"][0], 2 * X * X)
    close(tangent["rest"][1], np.zeros(2))
    result, pull = hg.vjp(h, X)
    assert result.keys() == {"double", "rest"}
    close(pull({"double": X, "rest": [X, np.ones(2)]})[0], 2 * X + 2 * X * X)
    jacobian = hg.jacobian(h)(X)
    close(jacobian["double"], 2 * np.eye(3))
    close(jacobian["rest"][1], np.zeros((2, 3)))


def test_a_hessian_of_structures_has_a_block_for_each_pair():
    blocks = hg.hessian(lambda p: hg.sum(p["a"] ** 2 * p["b"]))({"a": X, "b": 3.0})
    close(blocks["a"]["a"], 6 * np.eye(3))
    close(blocks["a"]["b"], 2 * X)
    close(blocks["b"]["a"], 2 * X)
    close(blocks["b"]["b"], 0.0)


@pytest.mark.parametrize(
    ("argnums", "expected"), [(0, 8.0), (1, 6.0), (-1, 6.0), ((1, 0), (6.0, 8.0)), ([0], (8.0,))]
)
def test_argnums(argnums, expected):
    found = hg.grad(lambda x, y: 2 * x * y, argnums)(3.0, 4.0)
    if isinstance(expected, tuple):
        assert isinstance(found, tuple)
        close([g.numpy() for g in found], expected)
    else:
        close(found, expected)


def test_has_aux_and_keywords():
    def h(x, *, k):
        return k * x**2, {"note": "kept", "x": x}

    gradient, aux = hg.grad(h, has_aux=True)(3.0, k=2.0)
    close(gradient, 12.0)
    assert aux["note"] == "kept"
    (value, aux), gradient = hg.value_and_grad(h, has_aux=True)(3.0, k=2.0)
    close([value.numpy(), gradient.numpy(), aux["x"].numpy()], [18.0, 12.0, 3.0])


def test_by_variables_and_dtypes():
    v = hg.Variable(X.astype("float32"))
    value, gradient = hg.value_and_grad(lambda v: hg.sum(v**2))(v)
    assert (value.dtype, gradient.dtype) == (np.float32, np.float32)
    close(gradient, 2 * X)
    assert hg.grad(hg.square)(3.0).dtype == np.float64


def test_the_given_arrays_stay_as_they_are():
    x = hg.asarray(X)
    hg.grad(lambda x: hg.sum(x**2))(x)
    assert x.node is None
    with hg.GradientTape() as tape:
        y = hg.sum(x * 2.0)
    assert tape.gradient(y, x) is None


@pytest.mark.parametrize("derivative", [hg.grad, hg.value_and_grad, hg.jacobian])
def test_names_and_docs_are_kept(derivative):
    assert derivative(f).__name__ == "f"
    assert derivative(f).__doc__ == f.__doc__


# What is not connected.


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: hg.sum(hg.stop_gradient(x)), "stop_gradient at .*test_transforms.py"),
        (lambda x: hg.sum(hg.round(x)), "nondiff_op .round. at .*test_transforms.py"),
        (lambda x: hg.asarray(1.0), "unused"),
        (lambda x: hg.asarray(float(hg.sum(x))), "host_round_trip .float.*test_transforms.py"),
    ],
)
@pytest.mark.parametrize("derivative", [hg.grad, hg.value_and_grad])
def test_a_zero_gradient_is_explained(function, reason, derivative):
    with pytest.warns(
        UserWarning, match=f"the gradient of <lambda> is zero.*\n?.*{reason}"
    ) as caught:
        found = derivative(function)(X)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    gradient = found if derivative is hg.grad else found[1]
    close(gradient, np.zeros(3))


def test_what_is_connected_gives_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hg.grad(lambda x: hg.sum(x * hg.stop_gradient(x)))(X)
        hg.jacobian(lambda x: {"a": x * 2.0, "b": hg.ones(2)})(X)  # one of the results is enough
        hg.hessian(lambda x: hg.sum(x * 2.0))(X)  # zero, rightly
        hg.hvp(lambda x: hg.sum(x * 2.0), (X,), (X,))
        hg.jvp(lambda x, y: x * 2.0, (X, Y), (X, np.zeros_like(Y)))  # y does not move
        hg.vjp(lambda x, labels: x * 2.0, X, np.arange(3))[1](X)
        hg.jvp(lambda x: hg.sum(x), (X,), (X,))


ZEROS = {
    "grad": (lambda f: hg.grad(lambda x: hg.sum(f(x)))(X), "gradient", (3,)),
    "jacobian": (lambda f: hg.jacobian(f)(X), "Jacobian", (2, 3)),
    "vjp": (lambda f: hg.vjp(f, X)[1](np.ones(2))[0], "gradient", (3,)),
    "jvp": (lambda f: hg.jvp(f, (X,), (X,))[1], "tangent", (2,)),
    "hessian": (lambda f: hg.hessian(lambda x: hg.sum(f(x)))(X), "Hessian", (3, 3)),
    "hvp": (lambda f: hg.hvp(lambda x: hg.sum(f(x)), X, X), "Hessian", (3,)),
}
MISSING = {
    "unused": lambda x: hg.ones(2),
    "stop_gradient at .*test_transforms.py": lambda x: hg.stop_gradient(x)[:2] * 2.0,
    "nondiff_op .round. at .*test_transforms.py": lambda x: hg.round(x)[:2],
    r"host_round_trip .numpy\(\). at .*test_transforms.py": lambda x: np.sin(x.numpy()[:2]),
}


@pytest.mark.parametrize("transform", ZEROS)
@pytest.mark.parametrize("reason", MISSING)
def test_zeros_are_explained_by_every_derivative(transform, reason):
    derivative, what, shape = ZEROS[transform]
    with pytest.warns(hg.MissingGradientWarning, match=f"(?s)the {what} .*{reason}") as caught:
        found = derivative(MISSING[reason])
    assert [warning.filename for warning in caught] == [__file__]
    close(found, np.zeros(shape))


def test_what_tapes_and_accumulators_leave_out_is_explained():
    x = hg.asarray(Y)
    with hg.GradientTape(persistent=True) as tape, hg.ForwardAccumulator(x, x) as accumulator:
        tape.watch(x)
        y = hg.stop_gradient(x) * 2.0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", hg.MissingGradientWarning)
        assert tape.jacobian(y, x) is None
        close(tape.batch_jacobian(y, x), np.zeros((2, 3, 3)))
        assert accumulator.jvp(y) is None
        assert accumulator.jvp([y, y * 2.0]) == [None, None]
    texts = [str(warning.message) for warning in caught]
    for text, what in zip(texts, ["Jacobian", "batch Jacobian", "tangent", "tangent"]):
        assert f"the {what} is None for 1 of 1 source(s):\nx: cut\n  stop_gradient at " in text
    assert [warning.filename for warning in caught] == [__file__] * 4  # once for each line


@pytest.mark.filterwarnings("error::headgate.MissingGradientWarning")
def test_zeros_that_were_asked_for_need_no_explanation():
    x = hg.asarray(Y)
    with hg.GradientTape(persistent=True) as tape, hg.ForwardAccumulator(x, x) as accumulator:
        tape.watch(x)
        y = hg.stop_gradient(x) * 2.0
    tape.jacobian(y, x, unconnected_gradients="zero")
    tape.batch_jacobian(y, x, unconnected_gradients="zero")
    accumulator.jvp(y, unconnected_gradients="zero")


LEAVING = {
    "float()": [lambda x: math.sin(x), lambda x: float(x) ** 2, lambda x: 3.0 * float(x)],
    "item()": [lambda x: x.item() * 3],
    "numpy()": [lambda x: np.sin(x.numpy())],
    "numpy.asarray()": [lambda x: np.asarray(x) ** 2, lambda x: np.array(x)],
    "tolist()": [lambda x: x.tolist()],
    "complex()": [lambda x: abs(complex(x))],
}


@pytest.mark.parametrize(("how", "f"), [(how, f) for how, fs in LEAVING.items() for f in fs])
@pytest.mark.parametrize("form", [lambda y: y, hg.asarray], ids=["number", "tensor"])
def test_a_function_that_leaves_the_tape_is_told_where(how, f, form):
    with pytest.warns(hg.MissingGradientWarning) as caught:
        gradient = hg.grad(lambda x: form(f(x)))(0.5)
    close(gradient, 0.0)
    (warning,) = caught
    assert warning.filename == __file__
    file, line = __file__.rsplit("/", 1)[-1], f.__code__.co_firstlineno
    text = str(warning.message)
    assert f"host_round_trip [{how}] at " in text
    assert f"{file}:{line}: " in text
    assert "unused" not in text


def test_a_constant_that_is_returned_did_not_leave():
    with pytest.warns(hg.MissingGradientWarning, match="unused"):
        hg.grad(lambda x: 3.0)(0.5)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 3), (2, 3)])
@pytest.mark.parametrize("make", [np.ones, hg.ones])
def test_the_only_argument_may_stand_for_itself(shape, make):
    x, v = make(shape), 2.0 * make(shape)
    f = lambda x: hg.sum(x**3)
    close(hg.hvp(f, x, v), np.full(shape, 12.0))
    close(hg.hvp(f, (x,), (v,))[0], np.full(shape, 12.0))
    close(hg.jvp(lambda x: x**3, x, v)[1], np.full(shape, 6.0))
    close(hg.jvp(lambda x: x**3, [x], [v])[1], np.full(shape, 6.0))
    close(hg.vjp(lambda x: x**3, x)[1](v)[0], np.full(shape, 6.0))


def test_a_dictionary_is_one_argument():
    at = {"a": X, "b": 3.0}
    f = lambda p: hg.sum(p["a"] ** 2 * p["b"])
    product = hg.hvp(f, at, {"a": X, "b": 0.0})
    close(product["a"], 6 * X)
    close(product["b"], 2 * np.sum(X * X))
    close(hg.jvp(f, at, {"a": X, "b": 0.0})[1], 6 * np.sum(X * X))


# Bad input.


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: hg.grad(lambda x: x * x)(X), ValueError, r"scalar.*<lambda>.*\(3,\)"),
        (lambda: hg.grad(hg.square, 2)(1.0), ValueError, "argument 2.*got 1"),
        (lambda: hg.grad(hg.square, has_aux=True)(1.0), (TypeError, ValueError), "has_aux"),
        (lambda: hg.grad(lambda x: None)(1.0), TypeError, "None"),
        (lambda: hg.grad(hg.square)("text"), ValueError, "'str'"),
        (lambda: hg.grad(hg.square)(3), TypeError, "int64"),
        (lambda: hg.jacobian(hg.square)(np.arange(3)), TypeError, "int64"),
        (lambda: hg.jvp(hg.sin, 0.0, (1.0,)), ValueError, "jvp.*float 0.0.*a tuple of 1"),
        (lambda: hg.hvp(hg.sum, [X], X), ValueError, r"hvp.*a list of 1.*float64 \(3,\)"),
        (lambda: hg.hvp(lambda x: x, [1.0, 2.0], [1.0, 0.0]), TypeError, "list of 2.*an array"),
        (lambda: hg.jvp(hg.sin, (0.0,), (1.0, 2.0)), ValueError, "same nested structure"),
        (lambda: hg.jvp(hg.sin, (3,), (1,)), TypeError, "jvp: sin.*int64"),
        (lambda: hg.vjp(hg.sin, 3), TypeError, "vjp: sin.*int64"),
        (lambda: hg.hvp(hg.square, 3, 1), TypeError, "square.*int64"),
        (lambda: hg.hessian(hg.square)(3), TypeError, "square.*int64"),
        (lambda: hg.hessian(lambda x: x)(X), ValueError, r"Hessian.*scalar.*<lambda>.*\(3,\)"),
        (lambda: hg.grad(X), TypeError, r"grad takes a function, got float64 \(3,\)"),
        (lambda: hg.value_and_grad(3.0), TypeError, "value_and_grad takes a function"),
        (lambda: hg.jacobian(3.0), TypeError, "jacobian takes a function"),
        (lambda: hg.hessian(None), TypeError, "hessian takes a function"),
        (lambda: hg.vjp(X, hg.sin), TypeError, "vjp takes a function first"),
        (lambda: hg.jvp(X, hg.sin, X), TypeError, "jvp takes a function first"),
        (lambda: hg.hvp(X, hg.sin, X), TypeError, "hvp takes a function first"),
        (lambda: hg.grad(hg.square, "x"), TypeError, "argnums.*str 'x'"),
        (lambda: hg.grad(hg.square, True), TypeError, "argnums.*has_aux by its name"),
        (lambda: hg.grad(hg.square, (0, 0)), ValueError, "one argument twice"),
        (lambda: hg.grad(hg.square)(x=1.0), ValueError, "square got 0.*x by name.*by position"),
        (lambda: hg.jacobian(hg.square, 2)(1.0), ValueError, "argument 2.*square got 1"),
        (lambda: hg.grad(lambda p: hg.sum(p["x"]))({"x": X, "n": "a"}), ValueError, "argument 0"),
        (lambda: hg.grad(lambda x: "text")(1.0), TypeError, "<lambda> returned str 'text'"),
        (lambda: hg.jacobian(lambda x: {"a": "b"})(1.0), TypeError, "<lambda> returned str 'b'"),
        (lambda: hg.jacobian(lambda x: None)(1.0), TypeError, "returned None.*return missing"),
        (lambda: hg.vjp(lambda x: None, 1.0), TypeError, "returned None.*return missing"),
        (lambda: hg.jvp(lambda x: None, 1.0, 1.0), TypeError, "returned None.*return missing"),
        (lambda: hg.grad(lambda x: (None, x), has_aux=True)(1.0), TypeError, "returned None"),
        (lambda: hg.ForwardAccumulator(W, W).jvp(3.0), TypeError, "jvp.*float 3.0"),
        (lambda: hg.ForwardAccumulator(W, W).jvp(W, "x"), ValueError, "unconnected_gradients"),
        (lambda: hg.grad(lambda x: (x, x))(1.0), ValueError, "tuple of 2.*has_aux"),
        (lambda: hg.grad(hg.square, has_aux=True)(X), TypeError, r"returned float64 \(3,\)"),
        (lambda: hg.jvp(hg.sin, (X,), (np.ones(2),)), ValueError, r"tangent.*\(2,\).*\(3,\)"),
        (lambda: hg.jvp(hg.sin, (X,), (X.astype("f4"),)), ValueError, "float64.*float32"),
        (lambda: hg.hvp(lambda x: hg.sum(x), (X,), (Y,)), ValueError, r"tangent.*\(2, 3\).*\(3,\)"),
        (lambda: hg.hvp(hg.sin, (X,), (X,)), ValueError, "scalar"),
        (lambda: hg.vjp(hg.sin, X)[1](np.ones(2)), ValueError, r"\(2,\).*\(3,\)"),
        (lambda: hg.vjp(hg.sin, X)[1]([1.0, 2.0, 3.0, 4.0]), ValueError, r"4"),
        (lambda: hg.ForwardAccumulator([hg.asarray(1.0)], [1.0, 2.0]), ValueError, "structure"),
        (lambda: hg.ForwardAccumulator(3.0, 1.0), TypeError, "Tensor or Variable"),
    ],
)
def test_bad_input(call, error, match):
    with pytest.raises(error, match=f"(?s){match}"):
        call()
    close(hg.grad(hg.sin)(0.0), 1.0)


def test_a_pull_speaks_of_its_cotangents():
    _, pull = hg.vjp(lambda x: (2.0 * x, x), np.ones(3))
    for given, words in (
        ((np.ones(3), None), r"^vjp: cotangents\[1\] is None"),
        (np.ones(3), r"^vjp: cotangents has 1 entries for 2 result"),
        ((np.ones(4), np.ones(3)), r"vjp: cotangents\[0\] has the shape \(4,\) and its result"),
        ((np.ones(3), hg.ones((3,), "float32")), r"^vjp: cotangents\[1\] has the dtype float32"),
    ):
        with pytest.raises(ValueError, match=words):
            pull(given)
