"""NumPy's arrays that are not plain: subclasses with a mind of their own, foreign byte orders."""

import importlib.util

import numpy as np
import pytest

import headgate as hg

A = np.array([[1.0, 2.0], [3.0, 4.0]])
MATRIX = np.asarray(A).view(np.matrix)
MASKED = np.ma.array([1.0, 2.0, 3.0], mask=[True, False, False])
COMPILED = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is missing")


def plainly(function):
    return function


RUNS = [plainly, pytest.param(hg.function, marks=COMPILED, id="compiled")]

PROGRAMS = {
    "x * x": lambda x: hg.asarray(x) * x,
    "constant * x": lambda x: x * hg.asarray(A),
    "sum": lambda x: hg.sum(x, axis=0),
    "column": lambda x: hg.asarray(x)[:, 1],
    "roll": lambda x: hg.roll(x, 1),
    "unstack": lambda x: hg.unstack(x, axis=-1)[1],
    "gradient of prod": lambda x: hg.grad(lambda x: hg.sum(hg.prod(x, axis=1)))(hg.asarray(x)),
    "gradient of var": lambda x: hg.grad(hg.var)(hg.asarray(x)),
    "gradient at an array": lambda x: hg.grad(lambda x: hg.sum(x * x))(x),
    "list": lambda x: hg.stack([x, x]),
}


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_matrix_is_an_array_with_elementwise_products(name, run):
    program = run(PROGRAMS[name])
    found = program(MATRIX).numpy()
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, program(A).numpy())


def test_gradient_of_parts_of_a_matrix():
    x = hg.asarray(MATRIX)
    with hg.GradientTape() as tape:
        tape.watch(x)
        parts = hg.unstack(x, axis=-1)
    np.testing.assert_array_equal(tape.gradient(list(parts), x).numpy(), np.ones((2, 2)))


def test_a_variable_of_a_matrix():
    variable = hg.Variable(MATRIX)
    np.testing.assert_array_equal((variable * variable).numpy(), A * A)
    variable.assign(2 * MATRIX)
    np.testing.assert_array_equal((variable * variable).numpy(), 4 * A * A)


def test_a_memory_map_that_is_only_read_is_not_copied(tmp_path):
    np.memmap(tmp_path / "x", dtype=np.float64, mode="w+", shape=(3,)).flush()
    mapped = np.memmap(tmp_path / "x", dtype=np.float64, mode="r", shape=(3,))
    value = hg.asarray(mapped).value
    assert type(value) is np.ndarray
    assert np.may_share_memory(value, mapped)


MASKED_CALLS = {
    "asarray": hg.asarray,
    "asarray with a dtype": lambda x: hg.asarray(x, dtype="float32"),
    "list": lambda x: hg.asarray([np.ones(3), x]),
    "stack": lambda x: hg.stack([x, x]),
    "op": hg.sum,
    "operator": lambda x: hg.asarray([1.0, 2.0, 3.0]) * x,
    "variable": hg.Variable,
    "assign": lambda x: hg.Variable(np.zeros(3)).assign(x),
    "grad": hg.grad(hg.sum),
    "index": lambda x: hg.asarray([1.0, 2.0])[np.ma.array([0, 1], mask=[True, False])],
}


@pytest.mark.parametrize("name", MASKED_CALLS)
def test_a_masked_array_is_refused_with_the_cure(name):
    with pytest.raises(TypeError, match=r"masked array.*x\.filled\(value\)(.|\n)*test_arrays.py"):
        MASKED_CALLS[name](MASKED)


@COMPILED
def test_a_masked_array_is_refused_by_a_compiled_function():
    with pytest.raises(TypeError, match=r"masked array.*x\.filled\(value\)"):
        hg.function(hg.sum)(MASKED)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("dtype", [">f8", ">f4", ">i4", ">i8", ">c16"])
def test_a_foreign_byte_order_ends_where_an_array_comes_in(dtype, run):
    foreign = A.astype(dtype)
    program = run(lambda x: x * hg.asarray(A.astype(dtype)))
    for x in (foreign, hg.asarray(foreign), foreign):
        found = program(x)
        assert found.dtype.isnative
        assert found.dtype == np.dtype(dtype).newbyteorder("=")
        np.testing.assert_array_equal(found.numpy(), A * A)
    assert foreign.dtype == dtype


def test_a_foreign_byte_order_of_variables_and_gradients():
    variable = hg.Variable(A.astype(">f8"))
    assert variable.dtype == np.float64
    assert variable.dtype.isnative
    variable.assign((2 * A).astype(">f8"))
    np.testing.assert_array_equal(variable.numpy(), 2 * A)
    assert hg.Variable(A, dtype=">f4").dtype.isnative
    found = hg.grad(lambda x: hg.sum(x * x))(A.astype(">f4"))
    assert found.dtype.isnative
    np.testing.assert_array_equal(found.numpy(), 2 * A)
