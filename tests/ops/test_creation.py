"""Making arrays: values, dtypes, what is refused, and where gradient flows."""

import numpy as np
import pytest

import headgate as hg
from headgate.testing import check_gradient


def same(tensor, array):
    assert isinstance(tensor, hg.Tensor)
    assert tensor.dtype == array.dtype
    np.testing.assert_array_equal(tensor.value, array)


@pytest.mark.parametrize(
    ("obj", "dtype"),
    [
        (1, int),
        (2.0, float),
        (True, bool),
        (1j, complex),
        ([1, 2.5], float),
        ([], float),
        ([[1], [2]], int),
    ],
)
def test_dtypes_are_numpys(obj, dtype):
    assert hg.asarray(obj).dtype == np.dtype(dtype)
    assert hg.asarray(obj, np.complex64).dtype == np.complex64


def test_asarray_leaves_alone_what_is_right():
    x = hg.asarray([1.0, 2.0])
    assert hg.asarray(x) is x
    assert hg.asarray(x, np.float64) is x
    array = np.ones(2)
    assert not np.shares_memory(hg.asarray(array).value, array)  # it may be written to
    array.flags.writeable = False
    assert hg.asarray(array).value is array
    assert not np.shares_memory(hg.asarray(array, copy=True).value, array)
    assert hg.asarray(array, copy=False).value is array
    for obj, dtype in (([1.0], None), (array, np.float32)):
        with pytest.raises(ValueError, match="copy=False"):
            hg.asarray(obj, dtype, copy=False)


@pytest.mark.parametrize(
    "obj", ["a", ["a"], object(), {"a": 1}, [1.0, None], [[1.0], [1.0, 2.0]], None]
)
def test_what_is_not_numeric_or_not_rectangular_is_refused(obj):
    with pytest.raises((ValueError, TypeError), match="tensor"):
        hg.asarray(obj)


def test_gradient_flows_to_tensors_in_lists():
    check_gradient(lambda x, y: hg.asarray([[x, 2.0], [y, x * y]]) ** 2, 3.0, 4.0)
    check_gradient(lambda x: hg.asarray([x, [1.0, 2.0]]) ** 2, np.ones(2))
    x = hg.Variable(np.ones(2, np.float32))
    with hg.GradientTape() as tape:
        y = hg.asarray([x, 2.0 * x], dtype=np.float64)
    assert y.dtype == np.float64
    assert tape.gradient(y, x).dtype == np.float32
    with pytest.raises(ValueError, match="same shape"):
        hg.asarray([hg.asarray(1.0), [1.0, 2.0]])


def test_a_cast_and_a_copy_keep_the_history():
    x = hg.asarray([1.0])
    with hg.GradientTape() as tape:
        tape.watch(x)
        y = hg.asarray(x, np.float32, copy=True)
        z = hg.asarray(x * 2.0, copy=True)
    assert tape.gradient([y, z], x).numpy().tolist() == [3.0]


@pytest.mark.parametrize("dtype", [None, np.float32, int])
def test_filled_and_patterned(dtype):
    for name, *args in (
        ("zeros", (2, 3)),
        ("zeros", 2),
        ("ones", [2, 0]),
        ("eye", 2, 3, 1),
        ("arange", 5),
        ("arange", 1, 7, 2),
        ("linspace", 0.0, 4.0, 5),
    ):
        if dtype is None and name == "arange":
            expected = np.arange(*args)
        else:
            expected = getattr(np, name)(*args, dtype=dtype or float)
        same(getattr(hg, name)(*args, dtype=dtype), expected)
    assert hg.empty((2, 3), dtype).shape == (2, 3)
    same(hg.full((2,), 7, dtype), np.full(2, 7, dtype))
    same(hg.linspace(0.0, 1.0, 4, endpoint=False), np.arange(4) / 4)
    same(hg.arange(hg.asarray(2), hg.asarray(4)), np.arange(2, 4))


def test_like_others_are_constants():
    x = hg.asarray(np.ones((2, 3), np.float32))
    with hg.GradientTape() as tape:
        tape.watch(x)
        made = [hg.zeros_like(x), hg.ones_like(x), hg.full_like(x, 2.0), hg.empty_like(x)]
        y = hg.sum(hg.ones_like(x) * x)
    assert all(tensor.node is None and tensor.shape == (2, 3) for tensor in made)
    assert all(tensor.dtype == np.float32 for tensor in made)
    assert hg.zeros_like(x, dtype=int).dtype == np.dtype(int)
    assert tape.gradient(y, x).numpy().sum() == 6.0


def test_gradient_flows_where_tensors_are_given():
    check_gradient(lambda x: hg.full((2, 3), x) ** 2, 3.0)
    check_gradient(lambda x, y: hg.linspace(x, y, 5) ** 2, 1.0, 3.0)
    check_gradient(lambda x, y: hg.meshgrid(x, y)[0] * hg.meshgrid(x, y)[1], [1.0, 2.0], [3.0, 4.0])


@pytest.mark.parametrize("indexing", ["xy", "ij"])
@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_meshgrid_is_numpys(indexing, count):
    coordinates = [np.arange(1.0, 3.0 + k) for k in range(count)]
    found = hg.meshgrid(*coordinates, indexing=indexing)
    expected = np.meshgrid(*coordinates, indexing=indexing)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        same(ours, theirs)


def test_refusals():
    with pytest.raises(ValueError, match="indexing must be 'xy' or 'ij'"):
        hg.meshgrid([1.0], indexing="yx")
    with pytest.raises(ValueError, match="must be 1-d"):
        hg.meshgrid([[1.0]])
    with pytest.raises(TypeError, match="float"):
        hg.zeros(2.5)
    with pytest.raises(ValueError, match="negative"):
        hg.zeros((-1,))


@pytest.mark.peers
def test_values_of_jax_stay_in_jax():
    import jax
    import jax.numpy as jnp

    x = jnp.ones((2, 3))
    for tensor in (
        hg.asarray(x),
        hg.zeros_like(x),
        hg.full_like(x, 2.0),
        hg.one_hot(x.astype(int), 3),
    ):
        assert isinstance(tensor.value, jax.Array)


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 10), (np.float32(0), np.float32(1)), (np.zeros(2, "f"), np.ones(2, "f")), (0, 1j)],
)
def test_linspace_is_numpys(low, high):
    expected = np.linspace(low, high, 4)
    same(hg.linspace(low, high, 4), expected)
    same(hg.linspace(hg.asarray(low), hg.asarray(high), 4), expected)
    if expected.dtype.kind == "f" and not isinstance(low, int):
        with hg.GradientTape() as tape:
            x = hg.Variable(low)
            found = hg.linspace(x, high, 4)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)
        np.testing.assert_allclose(tape.gradient(found, x).numpy(), np.full(np.shape(low), 2.0))
