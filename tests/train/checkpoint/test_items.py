"""All that is saved comes back; what cannot be saved or does not fit is told, changing nothing."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy
from boxes import Box

import headgate as hg
from headgate.checkpoint import CheckpointError, load, save


def back(file, state):
    save(file, box=Box(state))
    box = Box()
    load(file, box=box)
    return box.state


# -- what comes back -------------------------------------------------------------------------------

PLAIN = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
FLOATS = ["float16", "float32", "float64", "complex64", "complex128"]
SHORT = ["bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"]


def assert_same(a, b):
    assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())


@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (0,), (3, 0), (0, 3)])
@pytest.mark.parametrize("dtype", PLAIN + FLOATS + SHORT)
def test_arrays_of_every_type_and_shape(file, dtype, shape):
    if dtype in SHORT:
        dtype = getattr(pytest.importorskip("ml_dtypes"), dtype)
    array = np.arange(math.prod(shape)).reshape(shape).astype(dtype)
    found = back(file, {"a": array})["a"]
    assert_same(found, array)
    assert found.flags.writeable


def test_short_floats_in_a_new_process(file):
    """The type is known to NumPy only after `ml_dtypes` is imported, which loading must do."""
    short = pytest.importorskip("ml_dtypes")
    save(file, v=Box(np.ones((2, 3), short.bfloat16)), w=Box(np.array(2, short.float8_e5m2)))
    code = f"""
import sys
import headgate as hg
from headgate.checkpoint import load
class Box:
    get_state = lambda self: None
    def set_state(self, state):
        print(state.dtype, state.shape, float(state.sum()))
assert "ml_dtypes" not in sys.modules
load({str(file)!r}, v=Box(), w=Box())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["bfloat16 (2, 3) 6.0", "float8_e5m2 () 2.0"], done.stderr


def test_a_missing_library_is_no_damage(file, monkeypatch):
    short = pytest.importorskip("ml_dtypes")
    save(file, v=Box(np.ones(2, short.bfloat16)))
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(ImportError, match="ml_dtypes"):
        load(file, v=Box())


def read_only(array):
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "array",
    [
        np.arange(10.0)[::-3],
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.broadcast_to(np.complex128(1 + 2j), (2, 3)),
        np.arange(4.0).astype(">f8"),
        (np.arange(4) * 1j).astype(">c16"),
        np.arange(4, dtype=">u2").reshape(2, 2).T,
        read_only(np.arange(3)),
        np.array([math.nan, -0.0, math.inf, 5e-324]),
        np.array([complex(math.nan, -math.inf), complex(-0.0, -0.0)]),
    ],
)
def test_arrays_of_every_layout(file, array):
    assert_same(back(file, {"a": array})["a"], array)


def test_numbers_and_text(file):
    state = {
        "large": 2**200,
        "small": -(2**63) - 1,
        "fraction": 0.1,
        "zero": -0.0,
        "never": [math.inf, -math.inf],
        "yes": True,
        "none": None,
        "text": 'é "\\ \x00 \ud800 \u2028',
        "nested": {"": {"a/b": [1, [2.5, "x"], {}]}, "e": []},
    }
    found = back(file, state)
    assert found == state
    assert list(found) == list(state)
    assert type(found["yes"]) is bool
    assert math.copysign(1, found["zero"]) == -1
    assert math.isnan(back(file, {"x": math.nan})["x"])


def test_keys_that_look_alike_stay_apart(file):
    state = {"a/b": np.array(1), "a": {"b": np.array(2), "b_": np.array(3)}, "l": [np.array(4)]}
    save(file, __metadata__=hg.Variable(5), box=Box(state), **{"box/a": Box({"b": np.array(6)})})
    v, box, other = hg.Variable(0), Box(), Box()
    load(file, __metadata__=v, box=box, **{"box/a": other})
    assert int(v) == 5
    assert box.state == state
    assert other.state == {"b": 6}


def test_random_state_of_numpy(file):
    for kind in (np.random.PCG64, np.random.MT19937, np.random.Philox):
        bits = kind(3)
        state = bits.state
        numbers = bits.random_raw(10)
        bits.state = back(file, state)
        np.testing.assert_array_equal(bits.random_raw(10), numbers)


def test_structures_of_variables(file):
    def build(start):
        v = [hg.Variable(np.full(2, start + i, "float32")) for i in range(4)]
        return v, {"nets": {"g": v[0], "d": [v[1], (v[2], None)]}, "step": v[3]}

    (saved, items), (loaded, targets) = build(1), build(-9)
    save(file, **items)
    load(file, **targets)
    for a, b in zip(saved, loaded, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.peers
def test_variables_keep_their_library(file):
    import jax

    v = hg.Variable(jax.numpy.arange(3.0))
    save(file, v=hg.Variable(np.arange(3.0) + 1))
    load(file, v=v)
    assert isinstance(v.value().value, jax.Array)
    assert v.numpy().tolist() == [1, 2, 3]


def test_other_programs_can_read_the_arrays(file):
    from safetensors.numpy import load_file

    save(file, model=Box({"dense/kernel": np.arange(3.0)}), v=hg.Variable(2))
    found = load_file(file)
    assert {name: array.tolist() for name, array in found.items()} == {
        "model/dense/kernel": [0, 1, 2],
        "v": 2,
    }


def test_what_is_not_asked_for_is_left_out(file):
    save(file, model=hg.Variable(1.0), optimizer=Box({"iterations": 7}))
    model = hg.Variable(0.0)
    load(file, model=model)
    assert float(model) == 1


# -- what cannot be saved --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": {"b": {1, 2}}}, r"box/a/b is a set"),
        ({"a": [0, 1j]}, r"box/a/1 is a complex"),
        ({1: 2}, r"box is a dict with the keys 1,"),
        ({"$array": "x"}, r"box is a dict with the keys '\$array'"),
        ({"a": np.array(["x"])}, r"box/a has the dtype <U1"),
        ({"a": np.array([None])}, r"box/a has the dtype object"),
        ({"a": np.zeros(2, [("x", "f4")])}, r"box/a has the dtype \[\('x'"),
        ({"a": np.zeros(2, "datetime64[s]")}, r"box/a has the dtype datetime64"),
        ({"a": b"bytes"}, r"box/a is a bytes"),
    ],
)
def test_states_that_are_none(file, state, message):
    with pytest.raises(TypeError, match=message):
        save(file, box=Box(state))
    assert os.listdir(file.parent) == []


def test_items_that_are_none(file):
    v = hg.Variable(1.0)
    with pytest.raises(TypeError, match=r"item 'v', part 'a/1' is a float.*get_state"):
        save(file, v={"a": [v, 1.5]})
    with pytest.raises(ValueError, match=r"item 'v' has two parts of the path 'a/b'"):
        save(file, v={"a/b": v, "a": {"b": v}})
    with pytest.raises(ValueError, match="digits"):
        save(file, box=Box({"n": 10**5000}))
    assert os.listdir(file.parent) == []


def test_a_text_that_is_too_large(file, monkeypatch):
    def refuse_header(*args):  # what the library does beyond 100 MB
        raise safetensors.SafetensorError("header too large")

    monkeypatch.setattr(safetensors.numpy, "save", refuse_header)
    with pytest.raises(ValueError, match=r"header too large.*100 MB"):
        save(file, box=Box({"n": 1}))
    assert os.listdir(file.parent) == []


# -- what does not fit -----------------------------------------------------------------------------


def test_wrong_shapes_and_types_change_nothing(file):
    save(file, a=hg.Variable([1.0]), b={"x": hg.Variable([1.0, 2.0])}, c=Box({"n": 1}))
    a, c = hg.Variable([0.0]), Box("old")
    for b, message in [
        ({"x": hg.Variable([0.0], name="w")}, r"item 'b', part 'x' has the shape \(2,\) and the "
         r"dtype float64 in the file, and variable 'w' has \(1,\) and float64"),
        ({"x": hg.Variable([0.0, 0.0], dtype="float32")}, r"float64 in the file.* float32"),
        ({"y": hg.Variable(0.0)}, r"item 'b': parts differ. Missing in the file: 'y'; unexpected: "
         r"'x'"),
        ({str(i): hg.Variable(0.0) for i in range(8)}, r"'0', '1', '2', '3', '4' and 3 more"),
        (hg.Variable(0.0), r"Missing in the file: ''"),
    ]:  # fmt: skip
        with pytest.raises(CheckpointError, match=message):
            load(file, a=a, b=b, c=c)
    with pytest.raises(CheckpointError, match="'c' is a variable, and the file has a dict"):
        load(file, a=a, c=hg.Variable(0.0))
    with pytest.raises(CheckpointError, match=r"Missing in the file: 'd'.*it has 'a', 'b', 'c'"):
        load(file, a=a, c=c, d=Box())
    assert (a.numpy().tolist(), c.state) == ([0.0], "old")


@pytest.mark.parametrize("error", ["ValueError", "KeyError"])
def test_items_get_back_what_they_had_when_one_refuses(file, error):
    save(file, v=hg.Variable([1.0]), a=Box({"x": np.ones(2)}), b=Box({"refused": error}))
    v, a, b = hg.Variable([5.0]), Box({"x": np.zeros(2)}), Box({"old": 1})
    with pytest.raises(CheckpointError, match=rf"item 'b' refused its state \({error}.*as before"):
        load(file, v=v, a=a, b=b)
    assert v.numpy().tolist() == [5.0]
    assert a.state["x"].tolist() == [0, 0]
    assert b.state == {"old": 1}


class Stubborn(Box):
    """Changes its state in place, fails halfway, and refuses to go back."""

    def set_state(self, state):
        raise MemoryError


def test_what_could_not_be_put_back_is_named(file):
    class InPlace(Box):
        def set_state(self, state):
            self.state["x"][...] = state["x"]

    save(file, a=Box({"x": np.ones(2)}), b=Box({}))
    a = InPlace({"x": np.zeros(2)})
    with pytest.raises(CheckpointError, match="Could not be put back: \"item 'b'\""):
        load(file, a=a, b=Stubborn({}))
    assert a.state["x"].tolist() == [0, 0]


def test_an_interrupt_leaves_all_as_it_was(file):
    class Interrupted(Box):
        def set_state(self, state):
            super().set_state(state)
            if state == {"new": 1}:
                raise KeyboardInterrupt

    v, box = hg.Variable(1.0), Interrupted({"new": 1})
    save(file, v=v, box=box)
    v.assign(2.0)
    box.set_state({"old": 1})
    with pytest.raises(KeyboardInterrupt):
        load(file, v=v, box=box)
    assert (float(v), box.state) == (2, {"old": 1})
