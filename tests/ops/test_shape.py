"""Rearranging and joining where a table of cases cannot reach."""

import numpy as np
import pytest

import headgate as hg
from headgate.testing import check_gradient

X = np.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize(
    "shape", [[3, 2], (hg.asarray(3), -1), np.asarray([3, 2]), hg.asarray([3, 2])]
)
def test_shapes_may_come_from_tensors(shape):
    assert hg.reshape(X, shape).shape == (3, 2)
    assert hg.broadcast_to(hg.asarray(1.0), hg.asarray([3, 2])).shape == (3, 2)


def test_python_numbers_among_arrays_take_their_dtype():
    x = np.ones((), np.float32)
    assert hg.stack([x, 2.0]).dtype == np.float32
    assert hg.stack([x, np.ones(())]).dtype == np.float64
    assert hg.stack([1, 2.0]).dtype == np.float64


def test_joining_arrays_of_different_dtypes_casts_their_gradients_back():
    x, y = hg.asarray(np.ones(2, np.float32)), hg.asarray(np.ones(2))
    for join in (hg.concat, hg.stack):
        with hg.GradientTape() as tape:
            tape.watch([x, y])
            z = join([x, y])
        dx, dy = tape.gradient(z, [x, y])
        assert (z.dtype, dx.dtype, dy.dtype) == (np.float64, np.float32, np.float64)


def test_one_array_twice_gets_both_gradients():
    x = hg.asarray([1.0, 2.0])
    with hg.GradientTape() as tape:
        tape.watch(x)
        y = hg.concat([x, x, 3.0 * x])
    assert tape.gradient(y, x).numpy().tolist() == [5.0, 5.0]


def test_parts_that_are_not_used_give_zeros():
    x = hg.asarray(np.arange(6.0))
    for cut in (
        lambda x: hg.split(x, 3)[1],
        lambda x: hg.split(x, (2, 2, -1))[1],
        lambda x: x[2:4],
    ):
        with hg.GradientTape() as tape:
            tape.watch(x)
            y = cut(x) ** 2
        assert tape.gradient(y, x).numpy().tolist() == [0.0, 0.0, 4.0, 6.0, 0.0, 0.0]


def test_a_tensor_can_be_unpacked_and_joined_again():
    check_gradient(lambda x: hg.stack(list(x)) ** 3, X)
    check_gradient(lambda x: hg.stack(hg.unstack(x, axis=1), axis=1) ** 3, X)
    check_gradient(lambda x: hg.concat(hg.split(x, 3, axis=1)[::-1], axis=1) ** 3, X)


def test_joining_the_rows_of_one_tensor():
    assert hg.concat(hg.asarray(X)).shape == (6,)
    assert hg.stack(hg.asarray(X), axis=1).shape == (3, 2)


def test_broadcast_arrays():
    x, y = hg.broadcast_arrays(np.ones((2, 1)), np.ones(3))
    assert x.shape == y.shape == (2, 3)
    check_gradient(lambda x, y: hg.broadcast_arrays(x, y)[0] ** 2, np.ones((2, 1)), np.ones(3))
    with pytest.raises(ValueError, match="mismatch"):
        hg.broadcast_arrays(np.ones(2), np.ones(3))


@pytest.mark.parametrize("mode", ["reflect", "symmetric", "edge", "wrap"])
def test_margins_of_many_widths_have_right_gradients(mode):
    for before in range(8):
        check_gradient(lambda x: hg.pad(x, (before, 3), mode) ** 2, np.arange(1.0, 4.0), order=1)  # noqa: B023


def test_transposes_of_the_methods():
    x = hg.asarray(np.ones((2, 3, 4)))
    assert x.T.shape == (4, 3, 2)
    assert x.mT.shape == (2, 4, 3)


def test_no_result_shares_memory_that_could_be_written_through():
    x = np.zeros(3)
    made = hg.broadcast_to(x, (2, 3)).numpy()
    made[0, 0] = 1.0
    assert x[0] == 0.0


def test_margins_are_one_number_a_pair_or_one_of_both_for_each_axis():
    x = np.zeros((1, 1, 1))
    shapes = {
        2: (5, 5, 5),
        (1, 2): (4, 4, 4),  # before and after each axis
        (1, 2, 3): (3, 5, 7),  # of each axis
        ((1, 2),): (4, 4, 4),
        ((1,), (2,), (3,)): (3, 5, 7),
        ((0, 1), (2, 0), (1, 1)): (2, 3, 3),
    }
    for widths, shape in shapes.items():
        assert hg.pad(x, widths).shape == shape, widths
        assert (
            hg.pad(hg.asarray(x), list(widths) if type(widths) is tuple else widths).shape == shape
        )
    for widths in [(1, 2, 3, 4), ((1, 2), (3, 4))]:
        with pytest.raises(ValueError, match="pad: widths must be a number, a pair"):
            hg.pad(x, widths)
