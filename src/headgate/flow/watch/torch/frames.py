"""Frames: what the stack says of a call of PyTorch that runs now."""

from __future__ import annotations

import sys
from collections.abc import Collection
from types import CodeType
from typing import Any

import torch

from headgate.flow.watch.steps import fate_of
from headgate.record.names import paths_to
from headgate.record.site import is_users


def name_in_frames(value: Any) -> str:
    """Return what the program calls a value, "" if nothing."""
    return names_in_frames({id(value)}).get(id(value), "")


def names_in_frames(wanted: Collection[int]) -> dict[int, str]:
    """Return what the program calls some values, by their ids, in one search."""
    if not wanted:
        return {}
    return {key: names[0] for key, names in paths_to(wanted, lambda _: 0).items()}


def dropped() -> bool:
    """Tell whether the user's own call that runs now throws its result away.

    What a library calls is not the user's: `trainer.fit()` drops its own result, not that.
    """
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_OWN):
        frame = frame.f_back
    if frame is None or not is_users(frame.f_code.co_filename):
        return False
    return fate_of(frame.f_code, frame.f_lasti) == "dropped"


def is_initialising() -> bool:
    """Tell whether it is one of the functions of `torch.nn.init` that writes now."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_OWN):
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename == torch.nn.init.__file__


_OWN = f"{__file__.rsplit('flow', 1)[0]}"
_TORCH = torch.__file__.removesuffix("__init__.py")


def innermost() -> Any:
    """Return the innermost frame that is neither Headgate's nor PyTorch's."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith((_OWN, _TORCH, "<")):
            return frame
        frame = frame.f_back
    return None


def inside_library() -> str:
    """Return "inside library/file.py:12" if a library is what calls PyTorch now, else ""."""
    frame = innermost()
    if frame is None:
        return ""
    file: str = frame.f_code.co_filename
    if is_users(file):
        return ""
    _, found, inside = file.replace("\\", "/").rpartition("-packages/")
    return f"inside {inside}:{frame.f_lineno}" if found else ""


def is_direct() -> bool:
    """Tell whether PyTorch was called from outside, not by one of its own functions."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_OWN):
        frame = frame.f_back
    return frame is not None and not frame.f_code.co_filename.startswith(_TORCH)


def is_home() -> bool:
    """Tell whether it is the user's own code that calls PyTorch now, not a library."""
    frame = innermost()
    return frame is None or is_users(frame.f_code.co_filename)


def constants() -> set[float]:
    """Return the numbers that stand in the functions that run now."""
    found: set[float] = set()
    frame: Any = sys._getframe(1)
    while frame is not None:
        code: CodeType = frame.f_code
        if is_users(code.co_filename):
            for each in code.co_consts:
                items = each if type(each) is tuple else (each,)
                found.update(item for item in items if type(item) in (int, float))
            if code.co_name == "<module>":
                break
        frame = frame.f_back
    return found
