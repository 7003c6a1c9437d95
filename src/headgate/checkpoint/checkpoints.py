"""Checkpoints: what a program needs to go on where it was, in one file that is whole or not there.

An item is a `Variable`, an object with `get_state` and `set_state` (layers, optimizers, batches,
the module `headgate.random`), or a nested dictionary, list or tuple of them. What a file looks like
is said in `headgate.checkpoint.format`, and how it gets on the disk in `headgate.checkpoint.disk`.

Loading has two phases. The first reads and checks everything and changes nothing. The second hands
the states out; if an item refuses its own, those that were set get back what they had.

Each file of a folder has the steps that its run went back to before it. The longest such list is
that of the run as it is now. A file with a shorter one, whose step is above one of the steps that
follow in the longest, is of a run that was left.
"""

from __future__ import annotations

import copy
import operator
import os
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import optree

from headgate.checkpoint.disk import remove, write
from headgate.checkpoint.format import CheckpointError, States, history_of, pack, read, some
from headgate.core.namespace import owner
from headgate.core.variable import Variable
from headgate.state import Stateful

Histories = dict[int, tuple[int, ...] | None]

_STEP = re.compile(r"step-([0-9]{8,})\.safetensors")


def save(path: str | os.PathLike[str], /, **items: Any) -> None:
    """Save items to a file, which is replaced at once or not at all.

    What is saved is read item by item, so no other thread may train meanwhile: a lock of the
    program's, held for a step and for a save, sees to that.

    Args:
        path: of the file; its folder must exist.
        items: each a `Variable`, an object with `get_state` and `set_state`, or a nested
            dictionary, list or tuple of them.

    Raises:
        TypeError: an item, or a part of a state, is of a kind that cannot be saved.
        ValueError: a number or the whole text is larger than a file can hold, or a model has no
            weights yet. Where only some layers have none, a warning names them.
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
    write(Path(path), pack(_states(items)))


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
    headgate.checkpoint.format.CheckpointError: ...: item 'v' has the shape (2,) ... (3,) ...
    """
    path = Path(path)
    _hand_out(path, read(path), items)


class Checkpoints:
    """The last few checkpoints of a training, each a file in one folder.

    Args:
        folder: made by the first save.
        keep: so many of the newest stay; a save removes older ones.
        items: what is saved and restored, as for `save`.

    The newest is the one of the highest step. Who goes back to an earlier one, by `restore(step)`,
    and on from there in the same folder, has left those of higher steps that were saved before:
    they are the first to be removed, `restore()` passes over them, and the next save says so.

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
        self._back: tuple[int, ...] | None = None  # steps gone back to; None: as the folder has it
        self._left: list[int] = []  # what was left by going back, until that is said
        if self.keep < 1:
            raise ValueError(f"keep is how many checkpoints stay, at least 1; got {keep}")

    def save(self, step: int) -> None:
        """Save all items as the checkpoint of a step, and remove old ones.

        Args:
            step: at least 0. A checkpoint of the same step is replaced.

        Raises:
            TypeError: the step is no whole number, or an item cannot be saved (see `save`).
            ValueError: the step is negative, an item is larger than a file can hold, or a model
                has no weights yet.
            OSError: the disk is full, or the like. The checkpoints that exist are untouched.
        """
        path = self._path(step)
        states = _states(self.items)
        self.folder.mkdir(parents=True, exist_ok=True)
        back = self._longest(self._histories()) if self._back is None else self._back
        write(path, pack(states, back))
        left, self._left = [number for number in self._left if number != step], []
        if left:
            warnings.warn(
                f"step {step} in {self.folder} goes on from step {back[-1]}: the checkpoints of "
                f"steps {some(left)}, saved before that, are left. They are removed first, and "
                f"restore() passes over them; restore({left[-1]}) goes back to them",
                stacklevel=2,
            )
        for old in self.steps()[: -self.keep]:
            if old != step:
                remove(self._path(old))

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
        histories = self._histories()
        steps = self._in_order(histories)
        if step is not None and step not in steps:
            raise FileNotFoundError(
                f"there is no checkpoint of step {step} in {self.folder}; there are {steps}"
            )
        for candidate in reversed(steps) if step is None else [operator.index(step)]:
            path = self._path(candidate)
            try:
                found = read(path)
            except FileNotFoundError:  # another process made newer ones, and removed this one
                return self.restore(step)
            except CheckpointError as error:
                if step is not None:
                    raise
                warnings.warn(f"passed over a damaged checkpoint: {error}", stacklevel=2)
            else:
                _hand_out(path, found, self.items)
                self._go_on_from(candidate, steps, histories)
                return candidate
        if steps:
            raise CheckpointError(
                f"all checkpoints in {self.folder} are damaged (steps {steps}); take another "
                "folder, or remove them, to start anew"
            )
        return None

    def steps(self) -> list[int]:
        """Return the steps of which there are checkpoints, the newest last and those left first."""
        return self._in_order(self._histories())

    def _in_order(self, histories: Histories) -> list[int]:
        longest = self._longest(histories)
        return sorted(
            histories, key=lambda step: (not _is_left(step, histories[step], longest), step)
        )

    def _go_on_from(self, step: int, steps: list[int], histories: Histories) -> None:
        """Note that the run is at a step now, and what it has left if newer ones are there."""
        back = self._longest(histories)
        left = [other for other in steps if other > step]
        if step != steps[-1] and left:
            back, self._left = (*back, step), left
        else:
            self._left = []
        self._back = back

    @staticmethod
    def _longest(histories: Histories) -> tuple[int, ...]:
        return max((found for found in histories.values() if found), key=len, default=())

    def _histories(self) -> Histories:
        """Return, for each step that there is, the steps that were gone back to before it.

        None for a file of which that is not known.
        """
        try:
            with os.scandir(self.folder) as entries:
                names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        except FileNotFoundError:
            return {}
        found = [(int(match[1]), match[0]) for match in map(_STEP.fullmatch, names) if match]
        steps = sorted(step for step, name in found if name == self._path(step).name)
        return {step: history_of(self._path(step)) for step in steps}

    def _path(self, step: int) -> Path:
        step = operator.index(step)
        if step < 0:
            raise ValueError(f"a step is at least 0, got {step}")
        return self.folder / f"step-{step:08}.safetensors"

    def __repr__(self) -> str:
        return f"<Checkpoints {str(self.folder)!r}, keep={self.keep}, of {', '.join(self.items)}>"


def _is_left(step: int, history: tuple[int, ...] | None, longest: tuple[int, ...]) -> bool:
    """Tell whether the run went back to before a step after that was saved."""
    return history is not None and any(step > back for back in longest[len(history) :])


# -- from items to states, and back ----------------------------------------------------------------


def _states(items: dict[str, Any]) -> States:
    """Return the states of all items."""
    states: States = {}
    for name, item in items.items():
        parts = _parts(name, item)
        states[name] = {path: _state_of(part) for path, part in parts.items()}
        for path, part in parts.items():
            _tell_what_lacks(f"item {name!r}" + (f", part {path!r}" if path else ""), part)
    return states


def _tell_what_lacks(where: str, part: Any) -> None:
    """Refuse a model that would be saved empty, and warn of one that has gaps."""
    unbuilt = part.unbuilt() if hasattr(part, "unbuilt") else []
    if not unbuilt:
        return
    cure = "call the model, or build(input_shape), before it is saved"
    if not part.variables:
        raise ValueError(f"{where} has no weights yet, so nothing of it would be saved; {cure}")
    warnings.warn(
        f"{where}: nothing is saved of the layers {some(unbuilt)}, which have no weights yet; "
        f"{cure}",
        stacklevel=4,
    )


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
    done = 0
    try:  # around all of it: an interrupt may come between two items as well
        for _, target, state in plan:
            done += 1
            _set_state(target, state)
    except BaseException as error:
        lost = _put_back(plan[:done], before)
        if not isinstance(error, Exception):
            raise
        raise CheckpointError(
            f"{path}: {plan[done - 1][0]} refused its state ({type(error).__name__}: {error}). "
            + (f"Could not be put back: {some(lost)}" if lost else "All items are as before")
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
            f"{path}: {what} differ. Missing in the file: {some(missing)}; unexpected: "
            f"{some(unexpected)}; it has {some(found)}. Load by the names and the structure "
            "that were saved"
        )


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
