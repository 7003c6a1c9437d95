"""Provenance: which line of the program a number from the host was computed at, and of what.

NumPy reads the memory of an eager tensor itself, and tells nobody: `np.exp(h)` gives an array that
has no history. Where such an array comes back into TensorFlow, the program's own text tells where
it comes from: the names in the line that uses it are followed, through the assignments before, to
a call that is given a tensor which is known. The text is only read, nothing of it is run.
"""

from __future__ import annotations

import ast
import functools
import linecache
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from headgate.record.site import is_users

_DEEP = 6
_FRAMES = 4


class Origin(NamedTuple):
    """A call that took a tensor and gave something that is none: what it is called, its line, the
    tensors that it was given."""

    name: str
    file: str
    line: int
    function: str
    tensors: list[Any]


def origin_of(is_tensor: Callable[[Any], bool]) -> Origin | None:
    """Return where what enters TensorFlow now was computed from a tensor, None if nobody knows.

    Args:
        is_tensor: tells whether a value is a tensor that is known.
    """
    frame: Any = sys._getframe(1)
    seen = 0
    while frame is not None and seen < _FRAMES:
        if is_users(frame.f_code.co_filename):
            seen += 1
            found = _in_frame(frame, is_tensor)
            if found is not None:
                return found
            if frame.f_code.co_name == "<module>":
                return None
        frame = frame.f_back
    return None


def _in_frame(frame: Any, is_tensor: Callable[[Any], bool]) -> Origin | None:
    file = frame.f_code.co_filename
    body = _body_of(file, frame.f_code.co_firstlineno, frame.f_code.co_name)
    if body is None:
        return None
    names = {**frame.f_globals, **frame.f_locals}
    statement = _statement_at(body, frame.f_lineno)
    if statement is None:
        return None
    todo: list[tuple[ast.AST, int]] = [(statement, 0)]
    followed: set[str] = set()
    while todo:
        node, deep = todo.pop(0)
        for call in (each for each in ast.walk(node) if isinstance(each, ast.Call)):
            function = _value(call.func, names)
            if not _leaves(function):
                continue
            tensors = [
                value
                for argument in call.args
                for value in [_value(argument, names)]
                if is_tensor(value)
            ]
            if tensors:
                name = getattr(function, "__name__", "numpy")
                return Origin(f"numpy.{name}", file, call.lineno, frame.f_code.co_qualname, tensors)
        if deep == _DEEP:
            continue
        for name in _names_in(node):
            if name not in followed and _is_of_host(names.get(name)):
                followed.add(name)
                before = getattr(node, "lineno", frame.f_lineno)
                todo += [(each, deep + 1) for each in _assignments(body, name, before)]
    return None


def _leaves(function: Any) -> bool:
    """Tell whether a function is NumPy's (or another one's that works on its arrays)."""
    if isinstance(function, np.ufunc):
        return True
    top = str(getattr(function, "__module__", "") or "").partition(".")[0]
    return top in ("numpy", "scipy", "math", "statistics")


def _is_of_host(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.generic | float | list | tuple)


def _value(node: ast.AST, names: dict[str, Any]) -> Any:
    """Return what a name, or an attribute of one, stands for, without running anything."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = _value(node.value, names)
        if owner is None:
            return None
        try:
            return vars(owner).get(node.attr)
        except TypeError:
            return None
    return None


def _names_in(node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load):
            yield each.id


@functools.lru_cache(maxsize=64)
def _tree(file: str) -> ast.Module | None:
    try:
        return ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError):
        return None


@functools.lru_cache(maxsize=256)
def _body_of(file: str, first: int, name: str) -> ast.AST | None:
    """Return the function that a frame runs, or the whole module."""
    tree = _tree(file)
    if tree is None or name == "<module>":
        return tree
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.Lambda | ast.AsyncFunctionDef):
            decorators = getattr(node, "decorator_list", [])
            line = min([node.lineno, *(each.lineno for each in decorators)])
            if line == first or node.lineno == first:
                return node
    return None


def _statement_at(body: ast.AST, line: int) -> ast.AST | None:
    """Return the smallest statement that a line lies in."""
    found: ast.AST | None = None
    for node in ast.walk(body):
        if not isinstance(node, ast.stmt) or not node.lineno <= line <= (node.end_lineno or 0):
            continue
        if found is None or node.lineno >= found.lineno:  # type: ignore[attr-defined]
            found = node
    if isinstance(found, ast.With | ast.For | ast.While | ast.If | ast.FunctionDef):
        return None
    return found


def _assignments(body: ast.AST, name: str, before: int) -> list[ast.AST]:
    """Return the last statement before a line that binds a name, and those that change it."""
    found: list[ast.stmt] = []
    for node in ast.walk(body):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            targets = [node.target]
        if any(
            isinstance(each, ast.Name) and each.id == name
            for target in targets
            for each in ast.walk(target)
        ):
            found.append(node)  # type: ignore[arg-type]
    earlier = [node for node in found if node.lineno < before]
    return [max(earlier, key=lambda node: node.lineno)] if earlier else list(found[-1:])
