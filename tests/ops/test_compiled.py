"""Every op, compiled: each case of the tables gives under `hg.function` what it gives eagerly.

A case is one compiled function with all that is to be compared as its results: the value in each
dtype, and in double precision the gradient and the gradient of that. The same Python is run eagerly
on NumPy, and is what the compiled results must equal. All arrays are arguments, so they are traced,
those of integers too; keys and masks in static arguments are a part of the program.

XLA compiles these programs with the effort that users get, but for the largest.
"""

import os
import subprocess
import sys

import numpy as np
import pytest

import headgate as hg
from ops.test_table import (
    CASES,
    CLOSE,
    CLOSE_GRADIENT,
    VALUE_SHAPED,
    flat,
    floating,
    function,
    is_floating,
    label,
    parts,
    rows,
    weighting,
)

pytestmark = pytest.mark.peers


def gradient(f, sources):
    """Return the gradient of a fixed weighting of a function's floating results."""
    with hg.GradientTape() as tape:
        tape.watch(sources)
        results = [part for part in f() if is_floating(part)]
    return tape.gradient(
        results, sources, output_gradients=[weighting(result) for result in results]
    )


def derivatives(case, arguments, values):
    """Return a case's results, their gradient, and the gradient of that, as far as it has them."""
    call = function(case, arguments)
    wrt = floating(case, arguments)
    tensors = [hg.asarray(x) if k in wrt else x for k, x in enumerate(values)]
    sources = [tensors[k] for k in wrt]

    def slopes():
        found = gradient(lambda: parts(call(*tensors)), sources)
        return [slope for slope in found if slope is not None]

    return (
        parts(call(*tensors)),
        slopes() if case.order and wrt else [],
        gradient(slopes, sources) if case.order > 1 and wrt else [],
    )


def program(case):
    """Return a function of a case's arrays that computes all there is, and these arrays."""
    made = {letter: case.make(letter) for letter in case.dtypes}
    rows = {letter: flat(arguments) for letter, arguments in made.items()}

    def compute(given):
        found = {}
        for letter, arguments in made.items():
            values = [given[letter].get(k, x) for k, x in enumerate(rows[letter])]
            if letter == "F":
                found[letter] = parts(function(case, arguments)(*values))
            else:
                found[letter] = derivatives(case, arguments, values)
        return found

    return compute, {
        letter: {k: x for k, x in enumerate(row) if isinstance(x, np.ndarray)}
        for letter, row in rows.items()
    }


def agree(ours, theirs, **close):
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine is None) == (other is None)
        if other is not None:
            assert isinstance(mine.value, np.ndarray | np.generic)
            assert mine.shape == other.shape
            assert mine.dtype == other.dtype
            np.testing.assert_allclose(mine.value, other.value, **close)


LARGE = {"expm", "logm", "sqrtm"}
"""Programs of many steps, which XLA takes a minute to make fast; `test_table.py` runs them so."""


def compiled_cases():
    for case in CASES:
        if case.op not in VALUE_SHAPED:
            marks = [pytest.mark.light] if case.op in LARGE else []
            yield pytest.param(case, id=label(case), marks=marks)


@pytest.mark.parametrize("case", [*compiled_cases()])
def test_compiled_is_eager(case):
    compute, given = program(case)
    expected = compute(given)
    found = hg.function(compute)(given)
    for letter in case.dtypes:
        if letter == "F":
            agree(found[letter], expected[letter], **CLOSE["F"])
            continue
        (ours, *slopes), (theirs, *right) = found[letter], expected[letter]
        agree(ours, theirs, **CLOSE[letter])
        for mine, other in zip(slopes, right):
            agree(mine, other, rtol=0, atol=CLOSE_GRADIENT[letter] * scale(other))


def scale(tensors):
    """Return 1 and more: the largest number in some tensors, beside which errors count."""
    return 1 + max(
        (np.max(np.abs(x.value), initial=0) for x in tensors if x is not None), default=0
    )


@pytest.mark.parametrize("case", rows(case for case in CASES if case.op in VALUE_SHAPED))
def test_shape_that_depends_on_values_is_refused(case):
    compute, given = program(case)
    with pytest.raises(hg.TracingError, match=f"{case.op} needs the values") as raised:
        hg.function(compute)(given)
    assert "compute this outside of the function and pass the result in" in str(raised.value)
    assert "test_table.py" in str(raised.value)


def test_traced_mask_as_an_index_is_refused():
    mask = hg.function(lambda x: x[x > 2.0])
    with pytest.raises(hg.TracingError, match=r"index needs the values.*\n.*\n.*headgate.where"):
        mask(hg.asarray([1.0, 3.0]))


NARROW = """
import numpy as np
import jax
import headgate as hg

assert not jax.config.jax_enable_x64
x = np.random.default_rng(0).standard_normal((4, 4))
a, b, v = hg.asarray(x @ x.T + np.eye(4)), np.arange(3), hg.Variable(x)

FORMULAS = [
    lambda a, b: hg.sum(hg.exp(hg.sin(a)) / (2.0 + v**2)),
    lambda a, b: hg.sum(hg.linalg.solve(a, v)),
    lambda a, b: hg.sum(hg.linalg.cholesky(a) * v),
    lambda a, b: hg.logsumexp(hg.cumulative_sum(a @ v, axis=1)),
    lambda a, b: hg.sum(hg.softmax(a) * hg.take(v, b, axis=0)[:1]),
    lambda a, b: hg.real(hg.sum(hg.exp(1j * a) * v) * (2 + 1j)),
]


def step(a, b, k):
    results = [hg.argmax(b), hg.astype(b, "float64") / 7, k / 3]
    for formula in FORMULAS:
        with hg.GradientTape(persistent=True) as tape:
            tape.watch(a)
            y = formula(a, b)
        v.assign_sub(1e-3 * k * tape.gradient(y, v))
        results += [y, tape.gradient(y, a)]
    return results


expected, right = step(a, b, 0.1), v.numpy()
fast = hg.function(step)
for attempt in range(2):
    v.assign(x)
    for ours, theirs in zip(fast(a, b, 0.1), expected, strict=True):
        ours, theirs = (np.asarray(hg.asarray(part)) for part in (ours, theirs))
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(v.numpy(), right, rtol=1e-13)
    assert v.numpy().dtype == np.float64
assert not jax.config.jax_enable_x64
assert jax.numpy.asarray(1.5).dtype == "float32"  # the user's own JAX is as it was
"""


def test_double_precision_where_jax_is_set_to_single():
    environment = os.environ | {"JAX_ENABLE_X64": "0"}
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", NARROW],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
