"""Arguments of `headgate.tf`: each does what TensorFlow's does, or is refused; none is dropped."""

import ast
import functools
import inspect
import pathlib
import sys

import numpy as np
import pytest

import headgate.tf

from . import record_signatures
from .record_signatures import UNREAD

HOOKS = {"build", "call", "rule", "rate", "update_state"}
"""Methods of `nn`, `optim`, `metrics` and `losses` that classes override: a base may read less."""

WALKED = ["tf", "nn", "optim", "metrics", "losses.py"]


def walked():
    package = pathlib.Path(headgate.__file__).parent
    for name in WALKED:
        found = package / name
        yield from [found] if found.is_file() else sorted(found.rglob("*.py"))


@functools.cache
def parameters():
    """Return each function of the package, its parameters and whether its body names them."""
    return [
        (path.name, *each)
        for path in walked()
        for each in of_tree(ast.parse(path.read_text()), "tf" in path.parts[-3:-1])
    ]


def of_tree(tree, everything, of=None):
    """Yield a function's name, a parameter, and whether it is read, for what stands in a tree."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            yield from of_function(node, everything, of)
        inside = node.name if isinstance(node, ast.ClassDef) else None
        yield from of_tree(node, everything, inside)


def of_function(node, everything, of):
    label = getattr(node, "name", "lambda")
    if (label[0] == "_" and label[:2] != "__") or (label in HOOKS and not everything):
        return
    label = {"__call__": "Variable", "__init__": of}.get(label, label)
    args = node.args
    given = [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]
    body = node.body if isinstance(node.body, list) else [node.body]
    if len(body) == 1 and ast.unparse(body[0]) == "...":
        return
    read = {n.id for part in body for n in ast.walk(part) if isinstance(n, ast.Name)}
    for argument in given:
        if argument is not None and argument.arg[0] != "_":
            yield label, argument.arg, argument.arg in read


def test_every_argument_is_read():
    unread = {
        f"{file}: {function}({argument})"
        for file, function, argument, read in parameters()
        if not (
            read
            or argument in ("self", "cls")
            or argument in UNREAD
            or f"{function}.{argument}" in UNREAD
        )
    }
    assert not unread, "arguments that nothing reads"


def test_the_list_of_exceptions_is_not_longer_than_needed():
    unread = {
        name
        for _, function, argument, read in parameters()
        if not read
        for name in (argument, f"{function}.{argument}")
    }
    assert not UNREAD.keys() - unread


def test_the_walk_sees_the_functions():
    seen = {function for _, function, _, _ in parameters()}
    assert {"gather", "silu", "cumprod", "einsum", "stateless_uniform", "call", "Variable"} <= seen


def test_ours_are_those_of_tensorflow_or_listed():
    places, unexplained = [], []
    for path, kind, argument, what in record_signatures.all_deviations():
        if kind == "place":
            places.append(f"{path}: {argument} is argument {what}")
        elif record_signatures.reason(path, kind, argument) is None:
            unexplained.append(f"{path}: {argument} is {kind} {what}".rstrip())
    assert not places, "a call by place means another argument"
    assert not unexplained, "mend it, or give a reason in record_signatures.py"


def test_the_page_lists_every_difference():
    text = record_signatures.PAGE.read_text()
    assert record_signatures.page() in text, "python record_signatures.py --page writes it"
    assert f"{len(record_signatures.recorded())} signatures" in text


def test_the_comparison_sees_differences():
    theirs = [["x", "positional_or_keyword", ""], ["y", "positional_or_keyword", "1"]]
    ours = [["x", "positional_or_keyword", ""], ["z", "positional_or_keyword", "2"], theirs[1]]
    compare = record_signatures.deviations
    assert not [*compare("f", theirs, theirs)]
    assert [kind for kind, *_ in compare("f", ours, theirs)] == ["more", "place"]
    assert ("absent", "y", "") in [*compare("f", theirs[:1], theirs)]
    assert ("default", "y", "3 for 1") in [
        *compare("f", [theirs[0], ["y", "positional_or_keyword", "3"]], theirs)
    ]
    assert ("keyword", "y", "") in [*compare("f", [theirs[0], ["y", "keyword_only", "1"]], theirs)]
    assert ("named", "x", "a") in [
        *compare("f", [["a", "positional_or_keyword", ""], theirs[1]], theirs)
    ]
    assert len(record_signatures.recorded()) > 500


def test_no_function_takes_any_keyword():
    modules = [headgate.tf, *(getattr(headgate.tf, name) for name in ("math", "nn", "linalg"))]
    for module in modules:
        for name in module.__all__:
            found = getattr(module, name)
            if not inspect.isfunction(found) or not found.__module__.startswith("headgate.tf"):
                continue
            kinds = [each.kind for each in inspect.signature(found).parameters.values()]
            assert inspect.Parameter.VAR_KEYWORD not in kinds, name


M, B = np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[1.0], [2.0]])
C = np.array([[1.0, 2.0 + 1.0j], [3.0j, 5.0]])
X = np.array([2.0, 3.0, 4.0])
STACK = np.arange(12.0).reshape(2, 3, 2)


ROTATED = np.array([[0.0, 1.0], [-1.0, 0.0]])
SQUARE = np.array([[5.0, 4.0], [4.0, 5.0]])


def slope_of(tf, f, x):
    """Return the gradient of a function of matrices, whose elements have weights."""
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = f(x) * np.array([[1.0, 2.0], [3.0, 4.0]])
    return tape.gradient(y, x)


def swish(x, beta):
    return x / (1 + np.exp(-beta * x))


VALUES = {
    "atan2(y=, x=)": (lambda tf: tf.math.atan2(y=2.0, x=-1.0), np.arctan2(2.0, -1.0)),
    "atan2(y, x)": (lambda tf: tf.atan2(2.0, -1.0), np.arctan2(2.0, -1.0)),
    "silu(x, beta)": (lambda tf: tf.nn.silu(tf.constant(X), 2.0), swish(X, 2.0)),
    "silu(x)": (lambda tf: tf.nn.swish(tf.constant(X)), swish(X, 1.0)),
    "inv(m, adjoint)": (lambda tf: tf.linalg.inv(tf.constant(C), True), np.linalg.inv(C).conj().T),
    "expm(input=)": (
        lambda tf: tf.linalg.expm(input=tf.constant(ROTATED)),
        np.eye(2) * np.cos(1.0) + ROTATED * np.sin(1.0),
    ),
    "sqrtm(input=)": (
        lambda tf: tf.linalg.sqrtm(input=tf.constant(SQUARE)),
        [[2.0, 1.0], [1.0, 2.0]],
    ),
    "logm(input=)": (
        lambda tf: tf.linalg.logm(input=tf.constant(np.exp(0.5) * np.eye(2) + 0j)),
        0.5 * np.eye(2),
    ),
    "gradient of expm": (
        lambda tf: slope_of(tf, tf.linalg.expm, np.eye(2)),
        np.e * np.array([[1.0, 2.0], [3.0, 4.0]]),
    ),
    "gradient of sqrtm": (
        lambda tf: slope_of(tf, tf.linalg.sqrtm, SQUARE),
        np.array([[1.0, 7.0], [13.0, 19.0]]) / 24,
    ),
    "solve(m, b, adjoint)": (
        lambda tf: tf.linalg.solve(tf.constant(M), tf.constant(B), True),
        np.linalg.solve(M.T, B),
    ),
    "solve(matrix=, rhs=)": (
        lambda tf: tf.linalg.solve(matrix=tf.constant(M), rhs=tf.constant(B)),
        np.linalg.solve(M, B),
    ),
    "matrix_transpose": (
        lambda tf: tf.linalg.matrix_transpose(tf.constant(STACK)),
        np.swapaxes(STACK, 1, 2),
    ),
    "matrix_transpose(conjugate=)": (
        lambda tf: tf.linalg.matrix_transpose(tf.constant(C), conjugate=True),
        C.conj().T,
    ),
    "adjoint": (lambda tf: tf.linalg.adjoint(tf.constant(C)), C.conj().T),
    "cumprod": (lambda tf: tf.math.cumprod(tf.constant(X)), [2.0, 6.0, 24.0]),
    "cumprod(x, 0, exclusive)": (
        lambda tf: tf.math.cumprod(tf.constant(X), 0, True),
        [1.0, 2.0, 6.0],
    ),
    "cumprod(x, 0, True, reverse)": (
        lambda tf: tf.math.cumprod(tf.constant(X), 0, True, True),
        [12.0, 4.0, 1.0],
    ),
    "cumsum(x, -1, exclusive)": (
        lambda tf: tf.math.cumsum(tf.constant([[1.0, np.inf, 2.0]]), -1, True),
        [[0.0, 1.0, np.inf]],
    ),
    "relu(features=)": (lambda tf: tf.nn.relu(features=tf.constant(-X)), 0 * X),
    "softplus(features=)": (
        lambda tf: tf.math.softplus(features=tf.constant(X)),
        np.log1p(np.exp(X)),
    ),
    "real(input=)": (lambda tf: tf.math.real(input=tf.constant(C)), C.real),
    "det(input=)": (lambda tf: tf.linalg.det(input=tf.constant(M)), -1.0),
    "eigh(tensor=)": (lambda tf: tf.linalg.eigh(tensor=tf.eye(2))[0], [1.0, 1.0]),
    "softmax(axis=None)": (
        lambda tf: tf.nn.softmax(tf.zeros((2, 2)), axis=None),
        np.full((2, 2), 0.5),
    ),
    "embedding_lookup(max_norm=)": (
        lambda tf: tf.nn.embedding_lookup(tf.constant([[3.0, 4.0], [0.3, 0.4]]), [0, 1], 1.0),
        [[0.6, 0.8], [0.3, 0.4]],
    ),
    "einsum(optimize=)": (
        lambda tf: tf.einsum("ij->ji", tf.constant(M), optimize="optimal"),
        M.T,
    ),
}


@pytest.mark.parametrize("name", VALUES)
def test_values(tf, near, name):
    program, expected = VALUES[name]
    near(program(tf), np.asarray(expected))


def test_beta_of_silu_has_a_gradient(tf, near):
    beta = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        y = tf.nn.silu(tf.constant(1.5), beta)
    slope = (swish(1.5, 2.0 + 1e-6) - swish(1.5, 2.0 - 1e-6)) / 2e-6
    near(tape.gradient(y, beta), slope, rtol=1e-4)


def test_dtype_hint_is_a_wish(tf):
    assert tf.convert_to_tensor([1.0], dtype_hint=tf.float64).dtype == tf.float64
    assert tf.convert_to_tensor([1], dtype_hint=tf.float64).dtype == tf.float64
    assert tf.convert_to_tensor(np.float32([1.0]), dtype_hint=tf.int32).dtype == tf.float32


def test_loop_without_back_prop(tf, near):
    x = tf.Variable(2.0)
    for back_prop, expected in ((True, 12.0), (False, None)):
        with tf.GradientTape() as tape:
            _, y = tf.while_loop(
                lambda i, y: i < 2,
                lambda i, y: (i + 1, y * x),
                (tf.constant(0), x * 1.0),
                back_prop=back_prop,
            )
        found = tape.gradient(y, x)
        assert found is None if expected is None else near(found, expected) is None


REFUSED = {
    "einsum": (lambda tf: tf.einsum("i->i", tf.constant(X), order="C"), TypeError),
    "function": (lambda tf: tf.function(lambda x: x, inline=True), TypeError),
    "unstack(num=)": (lambda tf: tf.unstack(tf.constant(X), num=2), ValueError),
    "relu(x, 0.1, 0.2)": (lambda tf: tf.nn.relu(tf.constant(X), 0.1, 0.2), TypeError),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(tf, name):
    program, kind = REFUSED[name]
    with pytest.raises(kind):
        program(tf)


def test_constraints_are_refused(tf, implementation):
    if implementation == "tensorflow":
        pytest.skip("Keras' optimizers apply them")
    with pytest.raises(ValueError, match=r"constraint.*v\.assign"):
        tf.Variable(1.0, constraint=abs)
    with pytest.raises(ValueError, match="num=3 for 2 parts"):
        tf.split(tf.constant(X[:2]), [1, 1], num=3)


def test_print(tf, implementation, capsys):
    if implementation == "tensorflow":
        pytest.skip("writes to the file descriptor of stderr")
    tf.print(tf.constant([1, 2]), "a", sep=", ", end="!\n")
    assert capsys.readouterr().out == "[1 2], a!\n"
    tf.print(tf.range(9), output_stream=sys.stderr)
    assert capsys.readouterr().err == "[0 1 2 ... 6 7 8]\n"
    tf.print(tf.range(9), summarize=-1)
    assert capsys.readouterr().out == "[0 1 2 3 4 5 6 7 8]\n"
