"""Frames: what the stack says of an operation of TensorFlow that runs now."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from types import CodeType
from typing import Any

import tensorflow as tf

from headgate.flow.trace import Place
from headgate.flow.watch.steps import fate_of
from headgate.flow.watch.tensorflow import entrance
from headgate.record.names import paths_to
from headgate.record.site import HOPS, is_users

OWN = f"{__file__.rsplit('flow', 1)[0]}"
_FOLDER = os.path.dirname(os.path.dirname(tf.__file__)) + os.sep
_FRAMEWORK = tuple(_FOLDER + name + os.sep for name in ("tensorflow", "keras", "tf_keras"))


def as_written() -> list[Place]:
    """Return the user's line that runs now, and those that led there, as the program is written:
    TensorFlow runs functions in a form of its own while it makes graphs of them."""
    found: list[Place] = []
    for frame in reversed(list(entrance.stack())):
        if is_users(frame.filename) and not frame.filename.startswith(OWN):
            found.append(Place(frame.filename, frame.lineno, frame.name))
            if len(found) > HOPS or frame.name == "<module>":
                break
    return found


def is_rewritten(code: CodeType) -> bool:
    """Tell whether a function is in the form that TensorFlow made of it."""
    return "__autograph_generated_file" in code.co_filename


def _innermost() -> Any:
    """Return the innermost frame that is neither Headgate's nor TensorFlow's nor Keras's."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        if not frame.f_code.co_filename.startswith((OWN, *_FRAMEWORK, "<")):
            return frame
        frame = frame.f_back
    return None


def inside_library() -> str:
    """Return "inside library/file.py:12" if a library is what calls TensorFlow now, else ""."""
    frame = _innermost()
    if frame is None:
        return ""
    file: str = frame.f_code.co_filename
    if is_users(file):
        return ""
    _, found, inside = file.replace("\\", "/").rpartition("-packages/")
    return f"inside {inside}:{frame.f_lineno}" if found else ""


def name_in_frames(value: Any) -> str:
    """Return what the program calls a value, "" if nothing."""
    return next(iter(paths_to({id(value)}, lambda _: 0).get(id(value), [])), "")


def dropped() -> bool:
    """Tell whether the user's own call that runs now throws its result away."""
    frame = _innermost()
    if frame is None or not is_users(frame.f_code.co_filename):
        return False
    return fate_of(frame.f_code, frame.f_lasti) == "dropped"


def given_by_caller(levels: int = 3) -> Iterator[Any]:
    """Yield what the functions of TensorFlow that run now were given, the innermost's first."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(OWN):
        frame = frame.f_back
    for _ in range(levels):
        if frame is None or not frame.f_code.co_filename.startswith(_FRAMEWORK):
            return
        yield from list(frame.f_locals.values())
        frame = frame.f_back


def within_py_function() -> bool:
    """Tell whether it is the machinery of `tf.py_function` that calls now."""
    frame: Any = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(OWN):
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.endswith("script_ops.py")


def is_its_own() -> bool:
    """Tell whether it is TensorFlow itself that uses a tape now: to transpose a rule, say."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(OWN) and not file.endswith(_AROUND):
            return file.startswith(_FRAMEWORK[0]) and "autograph" not in file
        frame = frame.f_back
    return False


_AROUND = ("backprop.py", "contextlib.py", "tf_decorator.py", "dispatch.py", "traceback_utils.py")


def arguments_of_operation() -> list[Any]:
    """Return what the function of an operation was given, in order, without its lists."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(OWN):
        frame = frame.f_back
    while frame is not None and frame.f_code.co_name in ("execute_with_callbacks", "quick_execute"):
        frame = frame.f_back
    if frame is None or not frame.f_code.co_filename.startswith(_FRAMEWORK):
        return []
    code, names = frame.f_code, frame.f_locals
    found: list[Any] = []
    for name in code.co_varnames[: code.co_argcount]:
        value = names.get(name)
        found.extend(value) if type(value) in (list, tuple) else found.append(value)
    return found


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
