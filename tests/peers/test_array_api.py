"""Code that others wrote for the Array API standard computes with tensors, and is recorded."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import headgate as hg

FILE = Path(__file__).with_name("array_api_calls.py")

pytest.importorskip("scipy", "1.15")


NAMES = [
    first or second
    for first, second in re.findall(
        r'^    "([^"]+)": |CALLS\["([^"]+)"\] =', FILE.read_text(encoding="utf-8"), re.MULTILINE
    )
]


@pytest.fixture(scope="module")
def found():
    environment = os.environ | {"SCIPY_ARRAY_API": "1", "PYTHONWARNINGS": "ignore"}
    ran = subprocess.run(
        [sys.executable, str(FILE)], env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    rows = map(json.loads, ran.stdout.splitlines())
    return {name: figures for name, *figures in rows}


@pytest.mark.parametrize("name", NAMES)
def test_value_and_gradient(found, name):
    if name not in found:
        pytest.skip("its library is not installed")
    assert [type(figure) for figure in found[name]] == [float, float], found[name]
    value, gradient = found[name]
    assert value < 1e-9
    assert gradient < 1e-5


def test_the_namespace_of_a_tensor_is_headgate():
    import array_api_compat

    x = hg.Variable([1.0, 2.0])
    assert array_api_compat.array_namespace(x, hg.ones(2)) is hg
    assert array_api_compat.device(hg.ones(2)) == "cpu"
    assert hg.ones(2).__array_namespace__(api_version="2023.12") is hg
    with pytest.raises(ValueError, match=r"2099\.12"):
        hg.ones(2).__array_namespace__(api_version="2099.12")


def test_arrays_are_exchanged_by_dlpack():
    x = hg.asarray([1.0, 2.0])
    taken = np.from_dlpack(x)
    np.testing.assert_array_equal(taken, [1.0, 2.0])
    assert not taken.flags.writeable
    assert x.__dlpack_device__() == (1, 0)
    given = np.asarray([3.0, 4.0])
    back = hg.from_dlpack(given)
    given[0] = 9.0
    assert back.tolist() == [3.0, 4.0]
    assert hg.from_dlpack(x, copy=True).tolist() == [1.0, 2.0]
    assert hg.sum(x).__dlpack_device__() == (1, 0)
    assert np.from_dlpack(hg.sum(x)).shape == ()


def test_a_value_that_is_handed_over_is_a_cut():
    x = hg.asarray([1.0, 2.0])
    with hg.GradientTape() as tape:
        tape.watch(x)
        y = hg.sum(hg.from_dlpack(np.from_dlpack(x * 2.0)))
    assert tape.gradient(y, x) is None
    assert "__dlpack__()" in str(tape.why(y, x))


def test_devices():
    x = hg.ones(2)
    assert x.to_device("cpu") is x
    for made in (
        hg.zeros(2, device="cpu"),
        hg.asarray(x, device=x.device),
        hg.astype(x, hg.float32, copy=False, device="cpu"),
        hg.linspace(0.0, 1.0, 2, device="cpu"),
    ):
        assert made.shape == (2,)
    for wrong in (
        lambda: hg.zeros(2, device="gpu"),
        lambda: x.to_device("gpu"),
        lambda: hg.asarray(x, device="cuda:0"),
        lambda: hg.from_dlpack(x, device="gpu"),
        lambda: hg.fft.fftfreq(3, device="gpu"),
    ):
        with pytest.raises(ValueError, match=r"device must be 'cpu'.*got"):
            wrong()


def test_dtypes_and_constants():
    x = hg.ones(2, hg.float32)
    assert x.dtype == hg.float32
    assert hg.result_type(x, hg.float64) == hg.float64
    assert hg.result_type(x, 1.0, hg.Variable(x)) == hg.float32
    assert hg.can_cast(x, hg.float64)
    assert hg.isdtype(x.dtype, ("complex floating", "real floating"))
    assert hg.finfo(x).bits == 32
    assert hg.finfo(hg.complex128).dtype == hg.float64
    assert type(hg.finfo(x).tiny) is float
    assert hg.iinfo(hg.uint8).max == 255
    assert x[hg.newaxis].shape == (1, 2)
    assert (hg.pi, hg.e, hg.inf) == (np.pi, np.e, np.inf)
    assert hg.nan != hg.nan
    assert hg.__array_namespace_info__().default_device() == "cpu"


def test_reshape_and_trace_take_the_standards_options():
    x = hg.asarray(np.ones((2, 3)))
    assert hg.reshape(x, (3, 2), copy=False).shape == (3, 2)
    with pytest.raises(ValueError, match="reshape"):
        hg.reshape(x.T, (6,), copy=False)
    assert hg.linalg.trace(hg.ones((2, 2), hg.float32), dtype=hg.float64).dtype == hg.float64
