"""States as a file: one JSON text and arrays, in the safetensors format.

The format holds arrays and text and nothing that could run. The arrays of all items are its
tensors; all else is one JSON text in its metadata, in which `{"$array": name}` stands where an
array was. The steps that the run went back to stand beside it as `history`, so that a folder can be
listed without reading its arrays. A SHA-256 of all that is there too, so that a bit that changed
later is found. Somebody who wants to deceive can compute one as well: it is no signature.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headgate.core.namespace import is_array

_FORMAT = 1

_PLAIN = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64"),
)
_PARTS = {"complex128": "float64"} | dict.fromkeys(
    ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"),
    "uint8",
)
"""Types that the format, or its reader for NumPy, lacks, and what their elements are stored as."""

_KNOWN = (*_PLAIN, "bfloat16", *_PARTS)


class CheckpointError(ValueError):
    """A file is no whole checkpoint, or does not fit the items that it is loaded into."""


States = dict[str, dict[str, Any]]
"""The states of all items: by the item's name, by the path of a part in it ("" if it is one)."""


def pack(items: States, history: Sequence[int] = ()) -> bytes:
    """Return the file that holds the states of all items.

    Its history are the steps that the run went back to before it was saved.

    Raises:
        TypeError: a part of a state is of a kind that cannot be saved.
        ValueError: a number or the whole text is larger than a file can hold.
    """
    import safetensors.numpy

    arrays: dict[str, np.ndarray[Any, Any]] = {}
    states: States = {}
    for name, parts in items.items():
        states[name] = {
            path: _encode(state, f"{name}/{path}" if path else name, arrays)
            for path, state in parts.items()
        }
    table = {name: [_type_name(array.dtype), array.shape] for name, array in arrays.items()}
    text = json.dumps({"format": _FORMAT, "items": states, "arrays": table}, allow_nan=False)
    tensors = {name: _stored(array) for name, array in arrays.items()}
    steps = " ".join(map(str, history))
    metadata = {"headgate": text, "sha256": digest(text + steps, tensors.values())}
    if history:
        metadata["history"] = steps
    try:
        return safetensors.numpy.save(tensors, metadata)
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"the states do not fit in a file ({error}): all that is not in arrays must fit in "
            "100 MB; put long lists of numbers into arrays"
        ) from error


def read(path: Path) -> States:
    """Return the states that a file holds, after checking all of it.

    Raises:
        CheckpointError: the file is damaged or no checkpoint.
        OSError: it cannot be read.
    """
    import safetensors

    if path.exists() and not path.is_file():  # a pipe, for one, would keep its reader waiting
        raise CheckpointError(f"{path}: is not a file")
    try:
        with path.open("rb"), safetensors.safe_open(path, "np", backend="pread") as file:
            return _unpack(file)
    except (OSError, MemoryError, ImportError):  # this says nothing against the file
        raise
    except Exception as error:  # whatever a hostile file makes go wrong
        raise CheckpointError(
            f"{path}: is not a checkpoint of Headgate, or is damaged "
            f"({type(error).__name__}: {error}). Take an older one; pickles and archives are "
            "never read"
        ) from error


def history_of(path: Path) -> tuple[int, ...] | None:
    """Return the history that a file was saved with, and None if that cannot be told."""
    import safetensors

    try:
        with path.open("rb"), safetensors.safe_open(path, "np", backend="pread") as file:
            return tuple(map(int, file.metadata().get("history", "").split()))
    except Exception:  # damaged, hostile or gone, which is said to whoever reads it
        return None


def _unpack(file: Any) -> States:
    metadata = file.metadata() or {}
    if metadata.keys() - {"history"} != {"headgate", "sha256"}:
        raise ValueError("written by another program: no text or no digest in its metadata")
    text = metadata["headgate"]
    document = json.loads(text, parse_float=_finite, parse_constant=_finite)
    if document["format"] != _FORMAT:
        raise ValueError(f"format {document['format']}, and this version reads {_FORMAT}")
    table = document["arrays"]
    if table.keys() != set(file.keys()):
        raise ValueError("the arrays in it are not those of its table")
    kinds = {name: _type_of(kind) for name, (kind, _) in table.items()}
    tensors = {name: file.get_tensor(name) for name in table}
    if digest(text + metadata.get("history", ""), tensors.values()) != metadata["sha256"]:
        raise ValueError("its content changed after it was saved: the digest differs")
    arrays = {name: _restored(tensors[name], kinds[name], table[name][1]) for name in table}
    states = {
        name: {path: _decode(state, arrays) for path, state in parts.items()}
        for name, parts in document["items"].items()
    }
    if arrays:
        raise ValueError(f"arrays that belong to no item: {some(arrays)}")
    return states


def _encode(state: Any, path: str, arrays: dict[str, np.ndarray[Any, Any]]) -> Any:
    """Return a state as JSON; put its arrays into `arrays`, by path."""
    if is_array(state):
        array = np.asarray(state)
        if array.dtype.newbyteorder("=").name not in _KNOWN:
            raise TypeError(f"{path} has the dtype {array.dtype}, which cannot be saved")
        while path in arrays or path == "__metadata__":
            path += "_"
        arrays[path] = array
        return {"$array": path}
    if isinstance(state, float) and not math.isfinite(state):
        return {"$float": repr(float(state))}
    if state is None or isinstance(state, bool | int | float | str):
        return state
    if isinstance(state, list | tuple):
        return [_encode(value, f"{path}/{i}", arrays) for i, value in enumerate(state)]
    if isinstance(state, dict) and all(
        isinstance(key, str) and not key.startswith("$") for key in state
    ):
        return {key: _encode(value, f"{path}/{key}", arrays) for key, value in state.items()}
    keys = f" with the keys {some(state)}" if isinstance(state, dict) else ""
    raise TypeError(
        f"{path} is a {type(state).__name__}{keys}, which cannot be saved; a state holds arrays, "
        "numbers, text, True, False, None, lists, and dictionaries with text keys that do not "
        "begin with $"
    )


def _decode(state: Any, arrays: dict[str, np.ndarray[Any, Any]]) -> Any:
    """Return the state that was made JSON, with its arrays, which are taken out of `arrays`."""
    if isinstance(state, list):
        return [_decode(value, arrays) for value in state]
    if not isinstance(state, dict):
        return state
    if "$array" in state:
        return arrays.pop(state["$array"])
    if "$float" in state:
        return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[state["$float"]]
    return {key: _decode(value, arrays) for key, value in state.items()}


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is no number of JSON")
    return value


def _type_name(dtype: np.dtype[Any]) -> str:
    return f"{'>' if dtype.str[0] == '>' else ''}{dtype.newbyteorder('=').name}"


def _type_of(name: str) -> np.dtype[Any]:
    """Return the dtype of a name; no name but those that are known reaches NumPy."""
    plain = name.removeprefix(">")
    if plain not in _KNOWN:
        raise ValueError(f"unknown dtype {name[:30]!r}")
    if plain == "bfloat16" or plain.startswith("float8"):
        import ml_dtypes

        plain = getattr(ml_dtypes, plain)
    return np.dtype(plain).newbyteorder(">" if name.startswith(">") else "=")


def _stored(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return an array as one of a type that the format has, in rows and the native byte order."""
    array = np.asarray(array, array.dtype.newbyteorder("="), order="C")
    parts = _PARTS.get(array.dtype.name)
    return array if parts is None else array[..., None].view(parts)


def _restored(stored: np.ndarray[Any, Any], dtype: np.dtype[Any], shape: list[int]) -> Any:
    """Return the array of a type and shape from what was stored of it."""
    native = dtype.newbyteorder("=")
    array = stored.view(native).reshape(shape) if native.name in _PARTS else stored
    if array.dtype != native or array.shape != tuple(shape):
        raise ValueError(f"an array of {array.dtype}{array.shape} stands for {dtype}{shape}")
    return array.astype(dtype, copy=False)


def digest(text: str, tensors: Iterable[np.ndarray[Any, Any]]) -> str:
    found = hashlib.sha256(text.encode())
    for tensor in tensors:
        found.update(tensor.reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def some(keys: Iterable[Any]) -> str:
    """Name the first few of some keys."""
    keys = list(keys)
    more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
    return ", ".join(map(repr, keys[:5])) + more if keys else "none"
