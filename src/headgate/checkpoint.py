"""Checkpoints: what a program needs to go on where it was, in one file that is whole or not there.

An item is a `Variable`, an object with `get_state` and `set_state` (layers, optimizers, batches,
the module `headgate.random`), or a nested dictionary, list or tuple of them. A file has the
safetensors format, which holds arrays and text and nothing that could run. The arrays of all items
are its tensors; all else is one JSON text in its metadata, in which `{"$array": name}` stands where
an array was. Beside it is a SHA-256 of the text and of all arrays, so that a bit that changed later
is found. Somebody who wants to deceive can compute one as well: it is no signature.

A file is written under another name in the same folder, forced to the disk, and then renamed, which
the system does at once or not at all. The writer holds a lock on the file until then. The lock ends
with the process, however it ends, so a temporary file that nobody has locked is left over, and the
next save in the folder removes it.

Loading has two phases. The first reads and checks everything and changes nothing. The second hands
the states out; if an item refuses its own, those that were set get back what they had.
"""

from __future__ import annotations

import copy
import errno
import hashlib
import json
import math
import operator
import os
import re
import secrets
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import optree
import safetensors
import safetensors.numpy

from headgate.core.namespace import is_array, owner
from headgate.core.variable import Variable
from headgate.state import Stateful

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be removed: that is the lock
    fcntl = None  # type: ignore[assignment]

_FORMAT = 1
_TEMPORARY = re.compile(r"\.headgate-[0-9a-f]{32}\.tmp")
_STEP = re.compile(r"step-([0-9]{8,})\.safetensors")

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


# -- files -----------------------------------------------------------------------------------------


def save(path: str | os.PathLike[str], /, **items: Any) -> None:
    """Save items to a file, which is replaced at once or not at all.

    Args:
        path: of the file; its folder must exist.
        items: each a `Variable`, an object with `get_state` and `set_state`, or a nested
            dictionary, list or tuple of them.

    Raises:
        TypeError: an item, or a part of a state, is of a kind that cannot be saved.
        ValueError: a number or the whole text is larger than a file can hold.
        OSError: the disk is full, or the like. What was at `path` is untouched.

    >>> import tempfile
    >>> import headgate as hg
    >>> from headgate import checkpoint
    >>> v = hg.Variable([1.0, 2.0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoint.save(f"{folder}/v.safetensors", v=v)
    ...     v = v.assign([0.0, 0.0])
    ...     checkpoint.load(f"{folder}/v.safetensors", v=v)
    >>> v.numpy()
    array([1., 2.])
    """
    _write(Path(path), _pack(items))


def load(path: str | os.PathLike[str], /, **items: Any) -> None:
    """Set items to what a file holds for them: all of them, or none if anything is wrong.

    Args:
        path: of a file that `save` or `Checkpoints` wrote.
        items: by the names they were saved under. What the file holds beside them is left out, so
            that a model can be taken from the checkpoint of a training.

    Raises:
        CheckpointError: the file is damaged or no checkpoint, or an item does not fit. The message
            names the item, what was found and what was expected.
        FileNotFoundError: there is no such file.

    >>> import tempfile
    >>> import headgate as hg
    >>> from headgate import checkpoint
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoint.save(f"{folder}/a.safetensors", v=hg.Variable([1.0, 2.0]))
    ...     checkpoint.load(f"{folder}/a.safetensors", v=hg.Variable([1.0, 2.0, 3.0]))
    Traceback (most recent call last):
    headgate.checkpoint.CheckpointError: .../a.safetensors: item 'v' has the shape (2,) ... (3,) ...
    """
    path = Path(path)
    _hand_out(path, _read(path), items)


class Checkpoints:
    """The last few checkpoints of a training, each a file in one folder.

    Args:
        folder: made by the first save.
        keep: so many of the newest stay; a save removes older ones.
        items: what is saved and restored, as for `save`.

    The newest is the one of the highest step.

    >>> import tempfile
    >>> import headgate as hg
    >>> from headgate.checkpoint import Checkpoints
    >>> v = hg.Variable(0.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoints = Checkpoints(folder, keep=2, v=v, random=hg.random)
    ...     for step in range(5):
    ...         _ = v.assign(step)
    ...         checkpoints.save(step)
    ...     _ = v.assign(-1)
    ...     checkpoints.steps(), checkpoints.restore(), float(v)
    ([3, 4], 4, 4.0)
    """

    def __init__(self, folder: str | os.PathLike[str], /, keep: int = 5, **items: Any) -> None:
        self.folder = Path(folder)
        self.keep = operator.index(keep)
        self.items = items
        if self.keep < 1:
            raise ValueError(f"keep is how many checkpoints stay, at least 1; got {keep}")

    def save(self, step: int) -> None:
        """Save all items as the checkpoint of a step, and remove old ones.

        Args:
            step: at least 0. A checkpoint of the same step is replaced.

        Raises:
            TypeError: the step is no whole number, or an item cannot be saved (see `save`).
            ValueError: the step is negative, or an item is larger than a file can hold.
            OSError: the disk is full, or the like. The checkpoints that exist are untouched.
        """
        path = self._path(step)
        data = _pack(self.items)
        self.folder.mkdir(parents=True, exist_ok=True)
        _write(path, data)
        for old in self.steps()[: -self.keep]:
            if old != step:
                _remove(self._path(old))

    def restore(self, step: int | None = None) -> int | None:
        """Set all items to a checkpoint; return its step, or None if there is no checkpoint.

        Args:
            step: the newest whole one if left out. One that is damaged is then passed over, with
                a warning.

        Raises:
            CheckpointError: the checkpoint of the step that was asked for is damaged, or all are,
                or one does not fit the items. The items are as they were.
            FileNotFoundError: there is no checkpoint of that step.
        """
        steps = self.steps()
        if step is not None and step not in steps:
            raise FileNotFoundError(
                f"there is no checkpoint of step {step} in {self.folder}; there are {steps}"
            )
        for candidate in reversed(steps) if step is None else [operator.index(step)]:
            path = self._path(candidate)
            try:
                found = _read(path)
            except FileNotFoundError:  # another process made newer ones, and removed this one
                return self.restore(step)
            except CheckpointError as error:
                if step is not None:
                    raise
                warnings.warn(f"passed over a damaged checkpoint: {error}", stacklevel=2)
            else:
                _hand_out(path, found, self.items)
                return candidate
        if steps:
            raise CheckpointError(
                f"all checkpoints in {self.folder} are damaged (steps {steps}); take another "
                "folder, or remove them, to start anew"
            )
        return None

    def steps(self) -> list[int]:
        """Return the steps of which there are checkpoints, the newest last."""
        try:
            with os.scandir(self.folder) as entries:
                names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        except FileNotFoundError:
            return []
        found = [(int(match[1]), match[0]) for match in map(_STEP.fullmatch, names) if match]
        return sorted(step for step, name in found if name == self._path(step).name)

    def _path(self, step: int) -> Path:
        step = operator.index(step)
        if step < 0:
            raise ValueError(f"a step is at least 0, got {step}")
        return self.folder / f"step-{step:08}.safetensors"

    def __repr__(self) -> str:
        return f"<Checkpoints {str(self.folder)!r}, keep={self.keep}, of {', '.join(self.items)}>"


# -- from items to one file, and back --------------------------------------------------------------

States = dict[str, dict[str, Any]]
"""The states of all items: by the item's name, by the path of a part in it ("" if it is one)."""


def _pack(items: dict[str, Any]) -> bytes:
    """Return the file that holds the states of all items."""
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    states: States = {}
    for name, item in items.items():
        states[name] = {
            path: _encode(_state_of(part), f"{name}/{path}" if path else name, arrays)
            for path, part in _parts(name, item).items()
        }
    table = {name: [_type_name(array.dtype), array.shape] for name, array in arrays.items()}
    text = json.dumps({"format": _FORMAT, "items": states, "arrays": table}, allow_nan=False)
    tensors = {name: _stored(array) for name, array in arrays.items()}
    metadata = {"headgate": text, "sha256": _digest(text, tensors.values())}
    try:
        return safetensors.numpy.save(tensors, metadata)
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"the states do not fit in a file ({error}): all that is not in arrays must fit in "
            "100 MB; put long lists of numbers into arrays"
        ) from error


def _read(path: Path) -> States:
    """Return the states that a file holds, after checking all of it."""
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


def _unpack(file: Any) -> States:
    metadata = file.metadata() or {}
    if metadata.keys() != {"headgate", "sha256"}:
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
    if _digest(text, tensors.values()) != metadata["sha256"]:
        raise ValueError("its content changed after it was saved: the digest differs")
    arrays = {name: _restored(tensors[name], kinds[name], table[name][1]) for name in table}
    states = {
        name: {path: _decode(state, arrays) for path, state in parts.items()}
        for name, parts in document["items"].items()
    }
    if arrays:
        raise ValueError(f"arrays that belong to no item: {_some(arrays)}")
    return states


def _hand_out(path: Path, states: States, items: dict[str, Any]) -> None:
    """Set items to states: all of them, or none if one does not fit."""
    _compare(path, "items", states, items, only_missing=True)
    plan: list[tuple[str, Any, Any]] = []
    for name, item in items.items():
        parts = _parts(name, item)
        _compare(path, f"item {name!r}: parts", states[name], parts)
        for part, target in parts.items():
            where = f"item {name!r}" + (f", part {part!r}" if part else "")
            state = states[name][part]
            if isinstance(target, Variable):
                _check_value(f"{path}: {where}", state, target)
            plan.append((where, target, state))
    before = [_snapshot(target) for _, target, _ in plan]
    for count, (where, target, state) in enumerate(plan, 1):
        try:
            _set_state(target, state)
        except BaseException as error:
            lost = _put_back(plan[:count], before)
            if not isinstance(error, Exception):
                raise
            raise CheckpointError(
                f"{path}: {where} refused its state ({type(error).__name__}: {error}). "
                + (f"Could not be put back: {_some(lost)}" if lost else "All items are as before")
                + "; make the program the one that saved the file, or leave the item out"
            ) from error


def _snapshot(part: Any) -> Any:
    """Return a state that stays what it is while the part goes on."""
    return _state_of(part) if isinstance(part, Variable) else copy.deepcopy(_state_of(part))


def _put_back(plan: list[tuple[str, Any, Any]], before: list[Any]) -> list[str]:
    """Set parts to what they were, the last one first; return where that was refused."""
    lost = []
    for (where, target, _), state in reversed(list(zip(plan, before, strict=False))):
        try:
            _set_state(target, state)
        except Exception:  # the others must get theirs all the same
            lost.append(where)
    return lost


def _check_value(where: str, state: Any, variable: Variable) -> None:
    """Refuse a state that is no value of a variable."""
    if not isinstance(state, np.ndarray):
        raise CheckpointError(f"{where} is a variable, and the file has a {type(state).__name__}")
    if state.shape != variable.shape or state.dtype != variable.dtype:
        raise CheckpointError(
            f"{where} has the shape {state.shape} and the dtype {state.dtype} in the file, and "
            f"variable {variable.name!r} has {variable.shape} and {variable.dtype}; make the "
            "program the one that saved the file"
        )


def _compare(path: Path, what: str, found: Any, expected: Any, only_missing: bool = False) -> None:
    """Refuse a file whose keys are not those that are expected."""
    missing = [key for key in expected if key not in found]
    unexpected = [] if only_missing else [key for key in found if key not in expected]
    if missing or unexpected:
        raise CheckpointError(
            f"{path}: {what} differ. Missing in the file: {_some(missing)}; unexpected: "
            f"{_some(unexpected)}; it has {_some(found)}. Load by the names and the structure "
            "that were saved"
        )


def _some(keys: Iterable[Any]) -> str:
    """Name the first few of some keys."""
    keys = list(keys)
    more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
    return ", ".join(map(repr, keys[:5])) + more if keys else "none"


# -- items -----------------------------------------------------------------------------------------


def _is_part(value: Any) -> bool:
    return isinstance(value, Variable | Stateful)


def _parts(name: str, item: Any) -> dict[str, Any]:
    """Return what an item consists of, by its path in the item."""
    paths, leaves, _ = optree.tree_flatten_with_path(item, is_leaf=_is_part)
    parts: dict[str, Any] = {}
    for keys, leaf in zip(paths, leaves, strict=True):
        path = "/".join(map(str, keys))
        if not _is_part(leaf):
            raise TypeError(
                f"item {name!r}{f', part {path!r}' if path else ''} is a {type(leaf).__name__}, "
                "which has no get_state and set_state; give variables, objects that have both, "
                "or dictionaries, lists and tuples of them"
            )
        if path in parts:
            raise ValueError(f"item {name!r} has two parts of the path {path!r}; rename one")
        parts[path] = leaf
    return parts


def _state_of(part: Any) -> Any:
    return np.asarray(part._value) if isinstance(part, Variable) else part.get_state()


def _set_state(part: Any, state: Any) -> None:
    if isinstance(part, Variable):
        part.assign(owner[type(part._value)].asarray(state))
    else:
        part.set_state(state)


# -- states as JSON and arrays ---------------------------------------------------------------------


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
    keys = f" with the keys {_some(state)}" if isinstance(state, dict) else ""
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


def _digest(text: str, tensors: Iterable[np.ndarray[Any, Any]]) -> str:
    digest = hashlib.sha256(text.encode())
    for tensor in tensors:
        digest.update(tensor.reshape(-1).view(np.uint8))
    return digest.hexdigest()


# -- the disk --------------------------------------------------------------------------------------


def _write(path: Path, data: bytes) -> None:
    """Write a file so that there is the whole of it, after any failure or crash, or none of it."""
    try:
        _remove_leftovers(path.parent)
        descriptor, temporary = _create(path.parent)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
                if fcntl is not None:
                    temporary.replace(path)  # while it is locked, so that nobody removes it
            if fcntl is None:
                temporary.replace(path)  # Windows does not rename what is open
        except BaseException:
            _remove(temporary)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise OSError(
            error.errno,
            f"{error.strerror}; the checkpoint is not saved, and those before it are untouched",
            str(path),
        ) from error


def _create(folder: Path) -> tuple[int, Path]:
    """Make a temporary file and lock it."""
    while True:
        path = folder / f".headgate-{secrets.token_hex(16)}.tmp"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        descriptor = os.open(path, flags, 0o666)
        if fcntl is not None:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            except OSError:  # a file system without locks, where nobody removes leftovers
                pass
        if os.fstat(descriptor).st_nlink:
            return descriptor, path
        os.close(descriptor)  # another save took it for a leftover before it was locked


def _remove_leftovers(folder: Path) -> None:
    """Remove temporary files whose writers are gone: those that nobody has locked."""
    if fcntl is None:
        return
    with os.scandir(folder) as entries:
        found = [e.path for e in entries if _TEMPORARY.fullmatch(e.name)]
    for path in found:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:  # gone by now, or not one of ours
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)
        except OSError:  # its writer is alive, or it is not one of ours
            pass
        finally:
            os.close(descriptor)


def _remove(path: Path) -> None:
    """Remove a file if that is possible now; a later save tries again."""
    try:
        path.unlink()
    except OSError:
        pass


def _sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk, where the system can open folders."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # cannot be done on this system
                raise
        finally:
            os.close(descriptor)
