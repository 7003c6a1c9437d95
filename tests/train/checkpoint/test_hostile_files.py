"""Files that are damaged, or made to deceive, are refused and change nothing."""

import io
import json
import os
import pickle
import re
import struct
import zipfile

import numpy as np
import pytest
from boxes import Box
from safetensors.numpy import save as safetensors_bytes

import headgate as hg
from headgate.checkpoint import CheckpointError, load, save
from headgate.checkpoint.format import digest

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
    found = digest(text, tensors.values())
    return safetensors_bytes(tensors, {"headgate": text, "sha256": found} | metadata)


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
