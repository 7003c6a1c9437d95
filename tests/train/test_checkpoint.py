"""Checkpoints: all that is saved comes back, whole or not at all, whatever happens in between."""

import errno
import io
import json
import math
import os
import pickle
import re
import stat
import struct
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.numpy import save as safetensors_bytes

import headgate as hg
from headgate import checkpoint
from headgate.checkpoint import CheckpointError, Checkpoints, load, save

TEMPORARY = ".headgate-*.tmp"


class Box:
    """An item that keeps any state; a state with the key "refused" is refused."""

    def __init__(self, state=None):
        self.state = state

    def get_state(self):
        return self.state

    def set_state(self, state):
        if isinstance(state, dict) and "refused" in state:
            raise state_error(state["refused"])
        self.state = state


def state_error(name):
    return {"ValueError": ValueError("not mine"), "KeyError": KeyError("weight")}[name]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "file.safetensors"


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
        raise SafetensorError("header too large")

    monkeypatch.setattr(checkpoint.safetensors.numpy, "save", refuse_header)
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


# -- files that are damaged or hostile -------------------------------------------------------------

DATA = np.arange(6.0)


def refuse(file, content, message=""):
    """Check that a file with some content is refused and changes nothing."""
    file.write_bytes(content)
    v, box = hg.Variable(DATA * 0), Box("old")
    with pytest.raises(CheckpointError, match=re.escape(str(file))) as caught:
        load(file, v=v, box=box)
    assert re.search(message, str(caught.value)), caught.value
    assert (v.numpy() == 0).all()
    assert box.state == "old"


@pytest.fixture
def good(file):
    save(file, v=hg.Variable(DATA), box=Box({"n": 1}))
    return file.read_bytes()


def forged(document, tensors=None, **metadata):
    """Return a file with the right digest, as someone who wants to deceive would make it."""
    tensors = {"v": DATA} if tensors is None else tensors
    text = document if isinstance(document, str) else json.dumps(document)
    digest = checkpoint._digest(text, tensors.values())
    return safetensors_bytes(tensors, {"headgate": text, "sha256": digest} | metadata)


DOCUMENT = {
    "format": 1,
    "items": {"v": {"": {"$array": "v"}}, "box": {"": {"n": 1}}},
    "arrays": {"v": ["float64", [6]]},
}


def test_the_forger_can_forge(file):
    file.write_bytes(forged(DOCUMENT))
    v, box = hg.Variable(DATA * 0), Box()
    load(file, v=v, box=box)
    assert (v.numpy() == DATA).all()
    assert box.state == {"n": 1}


def archive():
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as made:
        made.writestr("../../evil", "x")
    return content.getvalue()


def npz():
    content = io.BytesIO()
    np.savez(content, v=DATA)
    return content.getvalue()


class Bomb:
    def __reduce__(self):
        return os.abort, ()


@pytest.mark.parametrize(
    "content",
    [b"", b"\0", b"\0" * 8, b"\0" * 1000, b"hello\n" * 50, archive(), npz(), pickle.dumps(Bomb())],
    ids=["empty", "byte", "header", "zeros", "text", "zip", "npz", "pickle"],
)
def test_other_files_are_refused(file, content):
    refuse(file, content, "not a checkpoint of Headgate, or is damaged.*pickles and archives")


def test_every_truncation_is_refused(file, good):
    for length in {*range(0, len(good), 7), len(good) - 1}:
        refuse(file, good[:length])
    refuse(file, good + b"\0")


def test_flipped_bits_are_found(file, good):
    """A flip may be without meaning (in padding, for one), but never gives another content."""
    refused = 0
    for position in range(len(good)):
        flipped = bytearray(good)
        flipped[position] ^= 1 << position % 8
        file.write_bytes(flipped)
        v, box = hg.Variable(DATA * 0), Box("old")
        try:
            load(file, v=v, box=box)
        except CheckpointError:
            refused += 1
            assert (v.numpy() == 0).all()
            assert box.state == "old"
        else:
            assert (v.numpy() == DATA).all()
            assert box.state == {"n": 1}
    assert refused > 0.95 * len(good)
    changed = bytearray(good)
    changed[-3] ^= 1
    refuse(file, changed, "content changed after it was saved")


def raw(header, data=b"\0" * 48, length=None):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def entry(start=0, end=48, shape=(6,), dtype="F64"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    "content",
    [
        raw({"v": entry()}, length=10**6),
        raw({"v": entry()}, length=2**63),
        raw({"v": entry()}, length=2**64 - 1),
        raw({"v": entry()}, length=5),
        raw({"v": entry(0, 4800, (600,))}),
        raw({"v": entry(0, 2**62, (2**59,))}),
        raw({"v": entry(0, 8, (2**61 + 1,))}),
        raw({"v": entry(0, 48, (2**32, 2**32, 6))}),
        raw({"v": entry(0, 48, (-6,))}),
        raw({"v": entry(48, 0)}),
        raw({"v": entry(8, 48, (5,))}),
        raw({"v": entry(), "w": entry()}),
        raw({"v": entry(0, 32, (4,)), "w": entry(16, 48, (4,))}),
        raw({"v": entry(dtype="object")}),
        raw(b'{"v\xff": 1}'),
        raw(b'{"__metadata__": {"headgate": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}"),
        raw(b'{"v": {"dtype": "F64", "shape": [NaN], "data_offsets": [0, 48]}}'),
        raw(b'{"v": {"dtype": "F64", "shape": [' + b"9" * 10_000 + b'], "data_offsets": [0, 48]}}'),
        raw({"v": entry()}),
        raw({"__metadata__": {"format": "pt"}, "v": entry()}),
        raw([]),
    ],
)
def test_false_headers_are_refused(file, content):
    refuse(file, content)


def with_(**changes):
    return DOCUMENT | changes


def box_of(text):
    return json.dumps(DOCUMENT).replace('{"n": 1}', text)


@pytest.mark.parametrize(
    "document",
    [
        "",
        "null",
        "[1]",
        '"text"',
        "{}",
        with_(format=2),
        with_(items=None),
        with_(items=[]),
        with_(items={"v": 1}),
        with_(arrays={}),
        with_(arrays={"v": 1}),
        with_(arrays={"v": ["float64", [6], 1]}),
        with_(arrays={"v": ["float64", [2, 3]]}),
        with_(arrays={"v": ["int64", [6]]}),
        with_(arrays={"v": ["complex128", [3]], "w": ["float64", [1]]}),
        with_(arrays={"v": ["complex128", [6]]}),
        with_(arrays={"v": ["object", [6]]}),
        with_(arrays={"v": ["O", [6]]}),
        with_(arrays={"v": ["f8,f8", [3]]}),
        with_(arrays={"v": [["float64"], [6]]}),
        with_(items={"v": {"": {"$array": "w"}}}),
        with_(items={"v": {"": {"$array": "v"}}, "box": {"": {"$array": "v"}}}),
        with_(items={"v": {"": {"n": 1}}, "box": {"": {"$float": "nan"}}}),
        box_of('{"$array": ["v"]}'),
        box_of('{"$float": "1"}'),
        box_of("NaN"),
        box_of("-Infinity"),
        box_of("1e999"),
        box_of("9" * 10_000),
        box_of("[" * 100_000 + "]" * 100_000),
        box_of('{"a":' * 100_000 + "1" + "}" * 100_000),
        box_of("[" * 900 + "]" * 900),
    ],
)
def test_false_documents_are_refused(file, document):
    refuse(file, forged(document))


def test_arrays_of_no_item_are_refused(file):
    arrays = {"v": ["float64", [6]], "w": ["float64", [6]]}
    refuse(file, forged(with_(arrays=arrays), {"v": DATA, "w": DATA}), "belong to no item: 'w'")


def test_false_metadata_is_refused(file):
    refuse(file, forged(DOCUMENT, more="x"), "another program")
    refuse(file, forged(DOCUMENT, sha256=""), "digest differs")


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="is not a file"):
        load(tmp_path)
    with pytest.raises(FileNotFoundError, match="nothing-here"):
        load(tmp_path / "nothing-here")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(CheckpointError, match="is not a file"):
            load(tmp_path / "pipe")


def test_names_of_items_are_no_paths(file):
    names = ["../../evil", "/tmp/evil", "..", "a\0b", "C:\\evil", ""]
    save(file, **{name: Box({name: np.array(1)}) for name in names})
    boxes = {name: Box() for name in names}
    load(file, **boxes)
    assert all(boxes[name].state == {name: 1} for name in names)
    assert os.listdir(file.parent) == [file.name]


# -- writing ---------------------------------------------------------------------------------------


def test_a_save_replaces_the_file_and_leaves_nothing_else(file):
    for value in (1.0, 2.0):
        save(file, v=hg.Variable(value))
    v = hg.Variable(0.0)
    load(file, v=v)
    assert float(v) == 2
    assert os.listdir(file.parent) == [file.name]


@pytest.mark.parametrize("broken", ["fsync", "replace", "open"])
def test_a_failed_save_leaves_what_was_there(tmp_path, monkeypatch, broken):
    def fail(*args, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    v = hg.Variable(1.0)
    checkpoints = Checkpoints(tmp_path, keep=1, v=v)
    checkpoints.save(1)
    v.assign(2.0)
    with monkeypatch.context() as patch:
        patch.setattr(Path if broken == "replace" else os, broken, fail)
        with pytest.raises(
            OSError, match=r"No space left.* is not saved, and those before"
        ) as info:
            checkpoints.save(2)
    assert info.value.errno == errno.ENOSPC
    assert "step-00000002" in info.value.filename
    assert len(os.listdir(tmp_path)) == 1
    assert (checkpoints.restore(), float(v)) == (1, 1.0)


def test_a_disk_that_is_full_halfway(tmp_path):
    resource = pytest.importorskip("resource")
    v = hg.Variable(np.ones(100_000))
    checkpoints = Checkpoints(tmp_path, v=v)
    checkpoints.save(1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    try:
        with pytest.raises(OSError, match="is not saved"):
            checkpoints.save(2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert checkpoints.steps() == [1]
    assert len(os.listdir(tmp_path)) == 1
    checkpoints.save(2)
    assert checkpoints.restore() == 2


def test_the_disk_has_the_content_before_the_name(file, monkeypatch):
    events = []

    def noting(name, function):
        def noted(target, *rest):
            synced = stat.S_ISDIR(os.fstat(target).st_mode) if name == "fsync" else None
            events.append({None: "rename", True: "fsync folder", False: "fsync file"}[synced])
            return function(target, *rest)

        return noted

    monkeypatch.setattr(os, "fsync", noting("fsync", os.fsync))
    monkeypatch.setattr(Path, "replace", noting("replace", Path.replace))
    save(file, v=hg.Variable(1.0))
    folder = ["fsync folder"] if hasattr(os, "O_DIRECTORY") else []
    assert events == ["fsync file", "rename", *folder]


def test_a_folder_that_is_none(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileNotFoundError, match="is not saved"):
        save(tmp_path / "no" / "where", v=hg.Variable(1.0))
    with pytest.raises(FileExistsError):
        Checkpoints(tmp_path / "file", v=hg.Variable(1.0)).save(0)


@pytest.mark.skipif(sys.platform == "win32", reason="needs file locks")
def test_leftovers_are_removed_but_not_those_in_use(tmp_path):
    descriptor, used = checkpoint._create(tmp_path)
    left = tmp_path / f".headgate-{'0' * 32}.tmp"
    left.write_bytes(b"half")
    folder = tmp_path / f".headgate-{'1' * 32}.tmp"
    folder.mkdir()
    mine = tmp_path / ".headgate-notes.tmp"
    mine.write_text("keep")
    link = tmp_path / f".headgate-{'2' * 32}.tmp"
    link.symlink_to(mine)
    save(tmp_path / "file", v=hg.Variable(1.0))
    assert not left.exists()
    assert {used, folder, mine, link} < set(tmp_path.iterdir())
    os.close(descriptor)
    save(tmp_path / "file", v=hg.Variable(1.0))
    assert not used.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs file locks")
def test_a_file_that_was_removed_before_it_was_locked_is_made_again(tmp_path, monkeypatch):
    lock = checkpoint.fcntl.flock
    removed = []

    def lock_late(descriptor, how):
        if not removed:
            removed.extend(tmp_path.glob(TEMPORARY))
            removed[0].unlink()
        lock(descriptor, how)

    monkeypatch.setattr(checkpoint.fcntl, "flock", lock_late)
    save(tmp_path / "file", v=hg.Variable(1.0))
    assert len(removed) == 1
    assert os.listdir(tmp_path) == ["file"]


# -- a folder of checkpoints -----------------------------------------------------------------------


def test_the_last_few_stay(tmp_path):
    v = hg.Variable(0)
    checkpoints = Checkpoints(tmp_path / "new" / "folder", keep=3, v=v)
    assert checkpoints.steps() == []
    assert checkpoints.restore() is None
    for step in [0, 5, 7, 100_000_000, 10, 123_456_789]:
        v.assign(step)
        checkpoints.save(step)
    assert checkpoints.steps() == [10, 100_000_000, 123_456_789]
    assert (checkpoints.restore(), int(v)) == (123_456_789, 123_456_789)
    assert (checkpoints.restore(10), int(v)) == (10, 10)
    with pytest.raises(FileNotFoundError, match=r"no checkpoint of step 7 .*there are \[10, 1000"):
        checkpoints.restore(7)


def test_an_older_step_is_not_removed_by_its_own_save(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=1, v=hg.Variable(0))
    checkpoints.save(9)
    checkpoints.save(3)
    assert checkpoints.steps() == [3, 9]


@pytest.mark.parametrize(
    ("step", "error"), [(-1, ValueError), (1.0, TypeError), ("../x", TypeError), (None, TypeError)]
)
def test_steps_that_are_none(tmp_path, step, error):
    with pytest.raises(error):
        Checkpoints(tmp_path, v=hg.Variable(0)).save(step)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("keep", "error"), [(0, ValueError), (-1, ValueError), (2.5, TypeError)])
def test_keep(tmp_path, keep, error):
    with pytest.raises(error):
        Checkpoints(tmp_path, keep, v=hg.Variable(0))


def test_a_damaged_newest_one_is_passed_over(tmp_path):
    v = hg.Variable(0)
    checkpoints = Checkpoints(tmp_path, v=v)
    for step in (1, 2, 3):
        v.assign(step)
        checkpoints.save(step)
    (tmp_path / "step-00000003.safetensors").write_bytes(b"")
    with pytest.warns(UserWarning, match="passed over a damaged.*step-00000003") as caught:
        assert checkpoints.restore() == 2
    assert caught[0].filename == __file__
    assert int(v) == 2
    with pytest.raises(CheckpointError, match="step-00000003"):
        checkpoints.restore(3)
    for step in (1, 2):
        (tmp_path / f"step-0000000{step}.safetensors").write_bytes(b"x")
    with (
        pytest.warns(UserWarning, match="passed over"),
        pytest.raises(CheckpointError, match="all checkpoints in"),
    ):
        checkpoints.restore()
    assert int(v) == 2


def test_a_checkpoint_of_another_program_is_not_passed_over(tmp_path):
    Checkpoints(tmp_path, v=hg.Variable(1)).save(1)
    Checkpoints(tmp_path, v=hg.Variable([1])).save(2)
    with pytest.raises(CheckpointError, match=r"has the shape \(1,\)"):
        Checkpoints(tmp_path, v=hg.Variable(0)).restore()


def test_what_is_no_checkpoint_in_the_folder_is_left_alone(tmp_path):
    v = hg.Variable(1)
    elsewhere = tmp_path / "elsewhere"
    save(elsewhere, v=v)
    folder = tmp_path / "folder"
    checkpoints = Checkpoints(folder, keep=1, v=v)
    checkpoints.save(1)
    (folder / "step-00000007.safetensors").mkdir()
    (folder / "step-00000008.safetensors").symlink_to(elsewhere)
    for stem in ("step-2", "step-000000002", "xstep-00000009", "step-٠٠٠٠٠٠٠٩", "step-00000009.x"):
        name = f"{stem}.safetensors"
        (folder / name).write_bytes(elsewhere.read_bytes())
    before = set(os.listdir(folder))
    assert checkpoints.steps() == [1]
    checkpoints.save(2)
    assert checkpoints.steps() == [2]
    assert set(os.listdir(folder)) == before - {"step-00000001.safetensors"} | {
        "step-00000002.safetensors"
    }
    with pytest.raises(FileNotFoundError, match="step 8"):
        checkpoints.restore(8)
    with pytest.raises(OSError, match="is not saved"):
        checkpoints.save(7)
    checkpoints.save(8)
    assert checkpoints.restore(8) == 8
    assert elsewhere.exists()


@pytest.mark.parametrize("name", ["with space", "ünï çødé 数据", "a'b\"c", "%s{0}"])
def test_names_of_folders(tmp_path, name):
    v = hg.Variable(3)
    for folder in (tmp_path / name, str(tmp_path / name)):
        Checkpoints(folder, v=v).save(1)
        assert Checkpoints(folder, v=v).restore() == 1


def test_saves_in_threads_share_a_folder(tmp_path):
    failures = []

    def work(first):
        v = hg.Variable(np.zeros(1000))
        checkpoints = Checkpoints(tmp_path, keep=2, v=v)
        try:
            for step in range(first, 40, 2):
                v.assign(np.full(1000, step))
                checkpoints.save(step)
                checkpoints.save(1000)  # both write this one
                found = checkpoints.restore()
                assert found == 1000
                assert np.ptp(v.numpy()) == 0
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert list(tmp_path.glob(TEMPORARY)) == []
    assert 1000 in Checkpoints(tmp_path).steps()


# -- processes that end ----------------------------------------------------------------------------

KILLING = """
import os, random, signal, sys, time, warnings
from pathlib import Path
import numpy as np
import headgate as hg
from headgate.checkpoint import Checkpoints

warnings.simplefilter("error")
folder = Path(sys.argv[1])
delays = random.Random(0)

def content(step):
    return {str(i): np.full(size, step * 3 + i) for i, size in enumerate((1, 1000, 100_000))}

class Item:
    state = None
    def get_state(self):
        return self.state
    def set_state(self, state):
        self.state = state

item = Item()
checkpoints = Checkpoints(folder, keep=3, item=item)

def save_in_a_loop(report):
    step = checkpoints.restore() or 0
    while True:
        step += 1
        item.state = content(step)
        checkpoints.save(step)
        os.write(report, b"%d\\n" % step)

reported, cut = 0, 0
for moment in range(50):
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(reading)
            save_in_a_loop(writing)
        finally:
            os._exit(1)
    os.close(writing)
    first = os.read(reading, 1000)  # the first save of this process is done
    time.sleep(delays.uniform(0, 0.05))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the saving process failed"
    with open(reading, "rb") as report:
        reported = max([reported, *map(int, (first + report.read()).split())])
    cut += len(list(folder.glob(".headgate-*.tmp")))
    step = checkpoints.restore()
    assert step >= reported > moment, (step, reported, moment)
    expected = content(step)
    assert item.state.keys() == expected.keys()
    assert all(np.array_equal(item.state[key], expected[key]) for key in expected)
item.state = content(0)
checkpoints.save(step + 1)
assert not list(folder.glob(".headgate-*.tmp"))
assert len(checkpoints.steps()) == 3
print(cut)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_killed_at_fifty_moments(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", KILLING, str(tmp_path / "run")],
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0, "the kills must meet saves that are under way"


TRAINING = """
import os, sys
import numpy as np
import headgate as hg
from headgate import data, nn, optim
from headgate.checkpoint import Checkpoints

folder, seed, end = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
hg.random.set_seed(seed)
x = np.random.default_rng(0).standard_normal((20, 3)).astype("float32")
y = (x[:, :1] > 0).astype("float32")
model = nn.Sequential(
    [nn.Dense(8, "relu"), nn.BatchNormalization(), nn.Dropout(0.5), nn.Dense(1)]
)
model.build((None, 3))
optimizer = optim.Adam(0.01)
batches = data.Batches(x, y, batch_size=4, seed=seed)
items = {"model": model, "optimizer": optimizer, "batches": batches, "random": hg.random}
checkpoints = Checkpoints(folder, keep=2, **items)
step = checkpoints.restore() or 0
print("from", step, "in epoch", batches.epoch, "at", batches.position)
while step < 12:
    if step == end:
        os._exit(1)
    inputs, targets = next(batches)
    with hg.GradientTape() as tape:
        noisy = inputs + hg.random.normal(inputs.shape, 0.0, 0.1, inputs.dtype)
        loss = hg.mean((model(noisy, training=True) - targets) ** 2)
    variables = model.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
    step += 1
    print("loss", step, loss.numpy().tobytes().hex())
    if step % 3 == 0 and step < 12:
        checkpoints.save(step)
for name, item in items.items():
    for key, value in item.get_state().items():
        print(name, key, value.tobytes().hex() if isinstance(value, np.ndarray) else value)
"""


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path):
    def train(folder, *arguments, status=0):
        done = subprocess.run(
            [sys.executable, "-c", TRAINING, str(tmp_path / folder), *map(str, arguments)],
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == status, done.stderr
        return done.stdout.splitlines()

    whole = train("a", 1, 99)
    train("b", 1, 8, status=1)  # ends two steps after its last checkpoint
    resumed = train("b", 2, 99)  # another seed: all that matters comes from the checkpoint
    assert resumed[0] == "from 6 in epoch 1 at 1"
    assert resumed[1:] == whole[7:]
    assert sum(line.startswith("optimizer") for line in resumed) == 13
