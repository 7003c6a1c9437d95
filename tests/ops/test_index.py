"""Indexing where a table of cases cannot reach: keys as users write them, refusals, histories."""

import numpy as np
import pytest

import headgate as hg
from headgate.testing import check_gradient

X = np.arange(24.0).reshape(2, 3, 4)


def gradient(f, x):
    x = hg.asarray(x)
    with hg.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    return tape.gradient(y, x)


# -- keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "plain"),
    [
        (np.int64(1), 1),
        (np.asarray(1), 1),
        (hg.asarray(1), 1),
        ((hg.asarray(1), hg.asarray([2, 0])), (1, [2, 0])),
        ([1, 0, 1], [1, 0, 1]),
        ([], np.asarray([], int)),
        (range(2), [0, 1]),
        (hg.asarray([1, 1]), [1, 1]),
        (np.asarray([0, 1], np.uint64), [0, 1]),
        (np.asarray([0, 1], np.uint8), [0, 1]),
        ((..., [0, 0, 3]), (..., [0, 0, 3])),
        ([hg.asarray(1), 0], [1, 0]),
        (True, True),
        ([True, False], [True, False]),
        (hg.asarray(X > 5), X > 5),
        (slice(hg.asarray(1), None), slice(1, None)),
        ((slice(None), hg.Variable([2, 2])), (slice(None), [2, 2])),
    ],
)
def test_keys_mean_what_they_mean_to_numpy(key, plain):
    np.testing.assert_array_equal(hg.asarray(X)[key].value, X[plain])
    expected = np.zeros_like(X)
    np.add.at(expected, plain, 2 * X[plain])
    np.testing.assert_array_equal(gradient(lambda x: x[key] ** 2, X).value, expected)


@pytest.mark.parametrize(
    ("key", "error", "pattern"),
    [
        (1.0, TypeError, r"astype\(index, int\)"),
        (hg.asarray([0.0]), TypeError, r"float64 \(1,\).*astype\(index, int\)"),
        ((0, np.asarray([1.0])), TypeError, r"astype\(index, int\)"),
        ("a", TypeError, "'a'"),
        (2, IndexError, "index 2 is out of bounds for axis 0 with size 2"),
        ([0, -3], IndexError, "index -3 is out of bounds"),
        ((0, [3]), IndexError, "index 3 is out of bounds"),
        ((0, 0, 0, 0), IndexError, "too many indices"),
        (hg.asarray([True]), IndexError, "boolean"),
        ([[0], [1, 2]], ValueError, "same length"),
    ],
)
def test_keys_that_are_refused(key, error, pattern):
    with pytest.raises(error, match=pattern):
        hg.asarray(X)[key]


def test_indexing_error_names_the_line():
    with pytest.raises(IndexError, match=r"x: float64 \(2, 3, 4\)(.|\n)*test_index.py:\d+"):
        hg.asarray(X)[5]


def test_gradient_sums_over_repeats_and_is_zero_elsewhere():
    found = gradient(lambda x: hg.sum(x[[2, 0, 2, 2]]), np.ones(4))
    assert found.numpy().tolist() == [1.0, 0.0, 3.0, 0.0]


@pytest.mark.parametrize("count", [10, 1000])  # fewer and more than what is added directly
def test_sums_are_right_for_few_and_for_many_updates(count):
    rng = np.random.default_rng(0)
    rows, columns = rng.integers(-5, 5, count), rng.integers(0, 3, count)
    weights = rng.normal(size=count)
    expected = np.zeros((5, 3))
    np.add.at(expected, (rows, columns), weights)
    found = gradient(lambda x: hg.sum(x[rows, columns] * weights), np.ones((5, 3)))
    np.testing.assert_allclose(found.value, expected)


def test_index_of_an_argmax_brings_its_cuts():
    logits, table = hg.asarray([0.5, 2.0]), hg.asarray([[1.0, 2.0], [3.0, 4.0]])
    for pick in (lambda k: table[k], lambda k: table[k, 0], lambda k: hg.gather_nd(table, k[None])):
        with hg.GradientTape(persistent=True) as tape:
            tape.watch([logits, table])
            y = hg.sum(pick(hg.argmax(logits)))
        assert tape.gradient(y, logits) is None
        assert "argmax" in str(tape.why(y, logits))
        assert tape.gradient(y, table).numpy().sum() > 0


def test_index_arrays_keep_no_history_alive_without_need():
    x = hg.asarray(X)
    assert x[hg.asarray([0])].node is None


# -- functions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("axis", "batch_dims", "indices", "expected"),
    [
        (None, 0, [1, 0], lambda x, k: x[[1, 0]]),
        (2, 0, [[1], [0]], lambda x, k: x[:, :, [[1], [0]]]),
        (None, 1, [[2, 2], [0, 1]], lambda x, k: np.stack([x[0, k[0]], x[1, k[1]]])),
        (2, 1, [[3, 2], [0, 1]], lambda x, k: np.stack([x[0][:, k[0]], x[1][:, k[1]]])),
        (
            -1,
            2,
            [[3, 2, 0], [0, 1, 1]],
            lambda x, k: np.take_along_axis(x, k[..., None], 2)[..., 0],
        ),
    ],
)
def test_gather(axis, batch_dims, indices, expected):
    indices = np.asarray(indices)
    found = hg.gather(X, indices, axis=axis, batch_dims=batch_dims)
    np.testing.assert_array_equal(found.value, expected(X, indices))
    check_gradient(lambda x: hg.gather(x, indices, axis=axis, batch_dims=batch_dims) ** 2, X)


def test_gather_nd_and_scatter_nd_are_transposes():
    rng = np.random.default_rng(0)
    indices = rng.integers(0, 2, (5, 2))
    np.testing.assert_array_equal(hg.gather_nd(X, indices).value, X[indices[:, 0], indices[:, 1]])
    assert hg.gather_nd(X, np.zeros((2, 5, 1), int), batch_dims=1).shape == (2, 5, 4)
    y = rng.normal(size=(5, 4))
    there = np.sum(hg.gather_nd(X, indices).value * y)
    back = np.sum(X * hg.scatter_nd(indices, y, X.shape).value)
    np.testing.assert_allclose(there, back)
    check_gradient(lambda x: hg.gather_nd(x, indices) ** 2, X)
    check_gradient(lambda y: hg.scatter_nd(indices, y, X.shape) ** 2, y)


def test_scatter_add_and_update():
    assert hg.scatter_add([1.0, 1.0], [1.0, 2.0, 4.0], [0, 1, 0]).numpy().tolist() == [6.0, 3.0]
    assert hg.scatter_update([1.0, 1.0], 5.0, hg.asarray([1])).numpy().tolist() == [1.0, 5.0]
    assert hg.scatter_add(np.ones(2, np.float32), 1.0, 0).dtype == np.float32
    check_gradient(lambda x, y: hg.scatter_add(x, y, [0, 1, 0]) ** 2, np.ones(2), np.ones(3))
    check_gradient(lambda x, y: hg.scatter_update(x, y, [1, 0]) ** 2, np.ones(3), np.ones(2))


@pytest.mark.parametrize("key", [[0, 1, 0], ([0, 1, 0], slice(None)), ([2, 2, 2], 1)])
@pytest.mark.parametrize("compiled", [False, True])
def test_of_updates_for_one_place_the_one_that_stays_gets_the_gradient(key, compiled):
    x, rng = np.ones((3, 2)), np.random.default_rng(0)
    y = rng.normal(size=x[key].shape)
    weights = rng.normal(size=x.shape)

    def f(x, y):
        return hg.sum(weights * hg.scatter_update(x, y, key) ** 2)

    derivative = hg.grad(f, argnums=(0, 1))
    if compiled:
        pytest.importorskip("jax")
        derivative = hg.function(derivative)
    for argument, found in enumerate(derivative(hg.asarray(x), hg.asarray(y))):
        given = [x, y]
        expected = np.zeros_like(given[argument])
        for place in np.ndindex(expected.shape):
            step = np.zeros_like(expected)
            step[place] = 1e-6
            up, down = list(given), list(given)
            up[argument], down[argument] = given[argument] + step, given[argument] - step
            expected[place] = (f(*up).numpy() - f(*down).numpy()) / 2e-6
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6, atol=1e-6)
    check_gradient(lambda x, y: hg.scatter_update(x, y, key) ** 2, x, y)


def test_a_traced_key_that_names_a_place_twice():
    pytest.importorskip("jax")

    def f(y, key):
        return hg.sum(hg.scatter_update(hg.asarray([1.0, 1.0]), y, key) ** 2)

    derivative = hg.function(hg.grad(f))
    y, key = hg.asarray([3.0, 4.0, 5.0]), hg.asarray([0, 1, 0])
    assert derivative(y, key).numpy().tolist() == [0.0, 8.0, 10.0]
    assert hg.grad(f)(y, key).numpy().tolist() == [0.0, 8.0, 10.0]


def test_embedding_sums_the_rows_of_an_id():
    ids = np.asarray([[0, 1], [1, 1]])
    found = gradient(lambda table: hg.sum(hg.embedding(table, ids)), np.ones((3, 2)))
    assert found.numpy().tolist() == [[1.0, 1.0], [3.0, 3.0], [0.0, 0.0]]


def test_boolean_mask():
    mask = np.asarray([True, False, True])
    np.testing.assert_array_equal(hg.boolean_mask(X, mask, axis=1).value, X[:, mask])
    np.testing.assert_array_equal(hg.boolean_mask(X, X > 3).value, X[X > 3])
    check_gradient(lambda x: hg.boolean_mask(x, mask, axis=-2) ** 2, X)
    with pytest.raises(TypeError, match="mask != 0"):
        hg.boolean_mask(X, [1, 0, 1])
    with pytest.raises(IndexError, match="did not match"):
        hg.boolean_mask(X, mask)


@pytest.mark.parametrize(
    ("call", "error", "pattern"),
    [
        (lambda: hg.gather(X, [0], axis=3), ValueError, "axis 3 is out of bounds"),
        (lambda: hg.gather(X, [[0]], axis=0, batch_dims=1), ValueError, "matched"),
        (lambda: hg.gather(X, [[0]], batch_dims=1), ValueError, "must be the same"),
        (lambda: hg.gather_nd(X, 0), ValueError, "0-d"),
        (lambda: hg.gather_nd(X, [[9]]), IndexError, "out of bounds"),
        (lambda: hg.gather_nd(X, [[0.0]]), TypeError, r"astype\(index, int\)"),
        (lambda: hg.scatter_nd([[9]], [1.0], (3,)), IndexError, "out of bounds"),
        (lambda: hg.scatter_nd([[0]], [1.0, 2.0], (3,)), ValueError, "broadcast"),
        (lambda: hg.scatter_update(X, 1.0, 1.5), TypeError, r"astype\(index, int\)"),
    ],
)
def test_refusals(call, error, pattern):
    with pytest.raises(error, match=pattern):
        call()


def test_no_op_writes_into_its_arguments():
    x, y = np.zeros(3), np.ones(2)
    hg.scatter_add(x, y, slice(2))
    hg.scatter_update(x, y, [0, 1])
    assert x.tolist() == [0.0, 0.0, 0.0]


# -- JAX ------------------------------------------------------------------------------------------


@pytest.mark.peers
def test_traced_indices_pick_from_a_constant_and_agree_with_jax():
    import jax
    import jax.numpy as jnp

    def program(module, x, rows, k):
        return module.sum(x[rows, :, k] ** 2) + module.sum(x[k] * x[rows])

    def ours(x, rows, k):
        x = hg.asarray(x)
        with hg.GradientTape() as tape:
            tape.watch(x)
            y = program(hg, x, hg.asarray(rows), hg.asarray(k))
        return y.value, tape.gradient(y, x).value

    x, rows, k = jnp.asarray(X), jnp.asarray([1, 0, 1]), jnp.asarray(1)
    expected = jax.value_and_grad(lambda x: program(jnp, x, rows, k))(x)
    for way in (ours, jax.jit(ours)):
        for found, wanted in zip(way(x, rows, k), expected, strict=True):
            np.testing.assert_allclose(found, wanted)
    np.testing.assert_array_equal(jax.jit(lambda k: hg.asarray(X)[k, 1].value)(k), X[1, 1])
    np.testing.assert_array_equal(
        jax.jit(lambda k: hg.take(X, k, axis=2).value)(rows), X[:, :, [1, 0, 1]]
    )


@pytest.mark.peers
def test_jax_refuses_an_index_out_of_range_where_it_is_known():
    import jax.numpy as jnp

    with pytest.raises(IndexError, match="out of bounds"):
        hg.asarray(jnp.asarray(X))[0, 3]


def test_rows_of_no_indices_name_the_whole_array():
    x = hg.Variable(np.arange(6.0).reshape(2, 3))
    with hg.GradientTape() as tape:
        y = hg.gather_nd(x, np.zeros((4, 0), int))
    np.testing.assert_array_equal(y.numpy(), np.broadcast_to(x.numpy(), (4, 2, 3)))
    np.testing.assert_array_equal(tape.gradient(y, x).numpy(), np.full((2, 3), 4.0))
    matched = hg.gather_nd(x, np.zeros((2, 5, 0), int), batch_dims=1)
    np.testing.assert_array_equal(matched.numpy(), np.repeat(x.numpy()[:, None], 5, 1))
