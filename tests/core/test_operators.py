"""Operators and conversions of tensors where Python means something else than NumPy."""

import operator

import numpy as np
import pytest

import headgate as hg


@pytest.mark.parametrize("divide", [operator.floordiv, operator.mod])
def test_operators_do_not_divide_whole_numbers_by_zero(divide):
    x = hg.asarray([5, 2])
    for pair in ((x, hg.asarray([1, 0])), (x, 0), (5, hg.Variable([1, 0]))):
        with pytest.raises(ZeroDivisionError, match=r"headgate\.where"):
            divide(*pair)
    assert divide(x, [2, 2]).tolist() == divide(np.array([5, 2]), [2, 2]).tolist()
    assert divide(hg.asarray([True]), 1).tolist() == [int(divide(True, 1))]
    assert divide(hg.Variable(7), 4).numpy() == divide(7, 4)
    assert divide(7.5, hg.Variable(2.0)).numpy() == divide(7.5, 2.0)
    with np.errstate(all="ignore"):
        assert np.isnan(divide(hg.asarray([0.0]), 0).numpy()).all()


def test_tensors_that_cannot_be_broadcast_are_not_equal():
    x = hg.asarray([1, 2])
    for other in (hg.asarray([1, 2, 3]), [1, 2, 3], hg.Variable([[1], [2], [3]])[:, 0], None):
        assert (x == other) is False
        assert (x != other) is True
    assert (hg.Variable([1, 2]) == [1, 2, 3]) is False
    assert (x == [[1], [2]]).shape == (2, 2)


def test_a_complex_tensor_without_an_imaginary_part_is_a_number():
    assert (int(hg.asarray(3 + 0j)), float(hg.asarray(2.5 + 0j))) == (3, 2.5)
    for convert in (int, float):
        with pytest.raises(TypeError):
            convert(hg.asarray(3 + 1j))
