"""NumPy's functions called on tensors: ufuncs reach the op that they mean, all others name it."""

import operator

import numpy as np
import pytest

import headgate as hg
from headgate.ops import operators

PAIRS = [(np.array([0.3, 0.75]), np.array([0.5, 0.25])), (np.array([3, 5]), np.array([1, 2]))]


def ufuncs():
    return [
        pytest.param(found, id=name)
        for name, found in sorted(vars(np).items())
        if isinstance(found, np.ufunc) and found.signature is None and found is not np.isnat
    ]


@pytest.mark.parametrize("ufunc", ufuncs())
def test_a_ufunc_gives_what_numpy_gives_or_is_refused(ufunc):
    compared = 0
    for pair in PAIRS:
        arrays = pair[: ufunc.nin]
        if ufunc is np.arccosh:
            arrays = (arrays[0] + 1.0,)
        try:
            with np.errstate(all="ignore"):
                right = ufunc(*arrays)
        except TypeError:  # bits of floats
            continue
        tensors = [hg.asarray(array) for array in arrays]
        if ufunc not in operators._UFUNCS:
            with pytest.raises(TypeError, match=rf"numpy\.{ufunc.__name__} does not work"):
                ufunc(*tensors)
            continue
        with np.errstate(all="ignore"):
            got = ufunc(*tensors)
        assert isinstance(got, hg.Tensor)
        np.testing.assert_allclose(got.numpy(), right)
        compared += 1
    assert compared or ufunc not in operators._UFUNCS


@pytest.mark.parametrize("ufunc", [np.arcsin, np.arctan, np.exp, np.tanh])
def test_a_ufunc_is_recorded(ufunc):
    x = hg.asarray(0.3)
    got = hg.grad(lambda x: ufunc(x))(x).numpy()
    assert got == pytest.approx((ufunc(0.3 + 1e-6) - ufunc(0.3 - 1e-6)) / 2e-6)


def test_arctan2_keeps_the_order_of_its_arguments():
    assert np.arctan2(hg.asarray(1.0), -1.0).numpy() == np.arctan2(1.0, -1.0)
    assert np.arctan2(1.0, hg.asarray(-1.0)).numpy() == np.arctan2(1.0, -1.0)


def test_what_is_named_in_place_of_a_function_is_there():
    names = {*operators._INSTEAD.values(), *operators._UFUNC_NAMES.values()}
    for name in names:
        assert callable(operator.attrgetter(name)(hg)), name


def test_each_name_of_numpy_is_one():
    lost = {"matvec", "vecmat", "cumulative_prod", "cumulative_sum", "unstack", "vecdot"}
    for name in {*operators._UFUNC_NAMES, *operators._FUNCTION_NAMES} - lost:
        assert operator.attrgetter(name)(np) is not None


REFUSED = {
    "numpy.trace": (np.trace, "headgate.linalg.trace"),
    "numpy.linalg.trace": (np.linalg.trace, "headgate.linalg.trace"),
    "numpy.linalg.inv": (np.linalg.inv, "headgate.linalg.inv"),
    "numpy.linalg.norm": (np.linalg.norm, "headgate.linalg.norm"),
    "numpy.concatenate": (lambda x: np.concatenate([x, x]), "headgate.concat"),
    "numpy.add.reduce": (np.add.reduce, "headgate.sum"),
    "numpy.multiply.accumulate": (np.multiply.accumulate, "headgate.cumulative_prod"),
    "numpy.sin(out=)": (lambda x: np.sin(x, out=np.zeros((2, 2))), "headgate.sin"),
    "numpy.linalg.cond": (np.linalg.cond, "no op for it"),  # headgate.cond is a branch
    "numpy.gradient": (np.gradient, "no op for it"),
    "numpy.cbrt": (np.cbrt, "no op for it"),
}


@pytest.mark.parametrize("call", REFUSED)
def test_a_refusal_names_the_right_function(call):
    function, cure = REFUSED[call]
    with pytest.raises(TypeError) as caught:
        function(hg.asarray(np.eye(2)))
    assert str(caught.value).startswith(f"{call} does not work on tensors")
    assert cure in str(caught.value)


def test_a_foreign_ufunc_is_not_taken_for_an_op_of_its_name():
    special = pytest.importorskip("scipy.special")
    x = hg.asarray([1.5, 2.5])
    with pytest.raises(TypeError, match=r"scipy\.special\.j0 does not work.*no op for it"):
        special.j0(x)
    same = np.frompyfunc(abs, 1, 1)
    with pytest.raises(TypeError, match=r"the ufunc abs.* does not work"):
        same(x)


@pytest.mark.parametrize("name", operators._SPECIAL_NAMES)
def test_a_ufunc_of_scipy_reaches_the_op_of_the_same_meaning(name):
    ufunc = getattr(pytest.importorskip("scipy.special"), name)
    x = np.array([0.5, 0.25, 0.9])
    given = [x + k / 20 for k in range(ufunc.nin)]
    found = ufunc(*map(hg.asarray, given)).numpy()
    np.testing.assert_allclose(found, ufunc(*given), rtol=1e-6, atol=1e-15)
