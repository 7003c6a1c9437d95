"""One way to check arguments: what passes, in which form, and what is said of the rest."""

import math

import numpy as np
import pytest

import headgate as hg
from headgate.core import checks
from headgate.core.checks import WrongType


def test_numbers_come_back_as_they_are_computed_with():
    for given in (0.5, np.float32(0.5), np.float64(0.5), np.array(0.5)):
        found = checks.number("f", "rate", given, "[0, 1]")
        assert found == 0.5
        assert type(found) is float
    assert type(checks.number("f", "rate", np.int8(1), "[0, 1]")) is int
    tensor, variable = hg.asarray(0.5), hg.Variable(0.5)
    assert checks.amount("f", "rate", tensor, "[0, 1]") is tensor
    assert checks.amount("f", "rate", variable, "[0, 1]") is variable
    assert type(checks.amount("f", "rate", np.float64(0.5), "[0, 1]")) is float
    assert checks.number("f", "rate", tensor, "[0, 1]") == 0.5
    with pytest.raises(WrongType, match=r"rate must be from 0 to 1, known now, got 0.5 .*float64"):
        checks.number("f", "rate", variable, "[0, 1]")


@pytest.mark.parametrize(
    ("interval", "inside", "outside", "words"),
    [
        ("[0, 1]", [0, 1, 0.5], [-0.1, 1.1, math.nan], "from 0 to 1"),
        ("[0, 1)", [0, 0.9], [1, -1, math.nan], "at least 0 and below 1"),
        ("(0, 1]", [1, 0.1], [0, 2], "above 0 and at most 1"),
        ("(0, inf)", [1e-9, 7], [0, -1, math.inf, math.nan], "a positive number"),
        ("[0, inf)", [0, 7], [-1, math.inf], "0 or a positive number"),
        ("[1, inf)", [1], [0.5], "at least 1"),
        ("(-inf, inf)", [-5.0], [math.inf, math.nan], "a number"),
    ],
)
def test_intervals(interval, inside, outside, words):
    for value in inside:
        assert checks.number("f", "x", value, interval) == value
    for value in [*outside, *map(np.float64, outside), *map(hg.asarray, outside)]:
        for check in (checks.number, checks.amount):
            with pytest.raises(ValueError, match=f"f: x must be {words}, got .*\n  at .*test_chec"):
                check("f", "x", value, interval)
    for value in (None, "1", True, 1j, [0.5], np.ones(1), np.array("a"), hg.ones((2,))):
        for error in (TypeError, ValueError):
            with pytest.raises(error, match=f"f: x must be {words}, got "):
                checks.number("f", "x", value, interval)
            with pytest.raises(error, match=f"f: x must be {words}, got "):
                checks.amount("f", "x", value, interval)


def test_whole_numbers():
    for given in (3, np.int32(3), np.array(3), hg.asarray(3), hg.Variable(3)):
        found = checks.whole("f", "count", given, 1)
        assert found == 3
        assert type(found) is int
    for value, words in ((0, "a positive integer, got 0"), (-2, "a positive integer, got -2")):
        with pytest.raises(ValueError, match=words):
            checks.whole("f", "count", value, 1)
    with pytest.raises(ValueError, match="f: k must be an integer from 2 to 4, got 5"):
        checks.whole("f", "k", 5, 2, 4)
    for value in (1.0, np.float64(2), "1", None, True, [1], hg.asarray(1.5)):
        with pytest.raises(WrongType, match="f: count must be a non-negative integer, got "):
            checks.whole("f", "count", value, 0)


def test_arrays_are_told_by_dtype_and_shape():
    with pytest.raises(WrongType, match=r"got Tensor of float32 \(2, 3\)"):
        checks.whole("f", "k", hg.zeros((2, 3), "float32"))
    with pytest.raises(WrongType, match=r"got 1.5 \(float32 \(\)\)"):
        checks.whole("f", "k", hg.asarray(1.5, "float32"))


def test_names_shapes_and_lists():
    assert checks.choice("f", "mode", "b", ("a", "b", None)) == "b"
    with pytest.raises(ValueError, match="f: mode must be 'a' or 'b', got 'c'"):
        checks.choice("f", "mode", "c", ("a", "b"))
    with pytest.raises(ValueError, match=r"f: mode must be one of 'a', .*'d', got 'a' .<U1"):
        checks.choice("f", "mode", np.array(["a"]), tuple("abcd"))
    assert checks.extents("f", "shape", np.array([2, 3])) == (2, 3)
    assert checks.extents("f", "shape", 4) == (4,)
    assert checks.extents("f", "shape", (0, 1 << 60)) == (0, 1 << 60)
    with pytest.raises(ValueError, match=r"f: shape\[1\] must be a non-negative integer, got -1"):
        checks.extents("f", "shape", (2, -1))
    with pytest.raises(
        MemoryError, match=r"f: shape asks for .*\(1048576, 1099511627776\), 1,152,.* than"
    ):
        checks.extents("f", "shape", (1 << 20, 1 << 40))
    assert checks.per_axis("f", "size", 2, 3) == (2, 2, 2)
    assert checks.per_axis("f", "size", [1, 2], 2) == (1, 2)
    with pytest.raises(ValueError, match=r"f: size must be one number, or 3 numbers, got \(1, 2\)"):
        checks.per_axis("f", "size", (1, 2), 3)
    assert checks.numbers("f", "ends", (1, np.float32(0.5))) == (1, 0.5)
    with pytest.raises(WrongType, match=r"f: ends\[1\] must be a number, got 'x'"):
        checks.numbers("f", "ends", [1, "x"])
    assert checks.optional(checks.whole, "f", "k", None, 1) is None


def test_traced_values_are_not_asked_for():
    pytest.importorskip("jax")

    @hg.function
    def scaled(x, rate):
        return x * checks.amount("f", "rate", rate, "[0, 1]")

    assert float(scaled(np.float32(2.0), np.float32(3.0))) == 6.0

    @hg.function
    def counted(x, count):
        return x * checks.whole("f", "count", count, 1)

    with pytest.raises(hg.TracingError, match="static_argnames"):
        counted(np.float32(2.0), np.int32(3))
    with pytest.raises(WrongType, match=r"rate must be from 0 to 1, got Tensor of float32 \(2,\)"):
        scaled(np.float32(2.0), np.ones(2, "f"))


@pytest.mark.parametrize("zero", [False, 0, np.int8(0), np.array(False), np.asarray(0)])
@pytest.mark.parametrize("one", [True, 1, np.int8(1), np.array(True), np.asarray(1)])
def test_flags_are_also_numbers(zero, one):
    assert checks.flag("f", "x", zero) is False
    assert checks.flag("f", "x", one) is True


@pytest.mark.parametrize("wrong", [2, -1, 0.0, "", "True", None, [], [True], np.ones(1, bool)])
def test_what_is_no_flag(wrong):
    with pytest.raises(TypeError, match="f: x must be True or False, got"):
        checks.flag("f", "x", wrong)
