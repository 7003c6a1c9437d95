"""Definitions: where the program computed a value that a differentiated function captures.

A function of JAX that is differentiated by `params`, and uses features that were computed from
`params` before, gets no gradient through them. The value itself does not know what it was computed
from; the program does. So its text is read: from the name of the captured value, over assignments
and functions, back to the name of the parameters. It is read only for parameters that the function
does not use at all, to say why.
"""

from __future__ import annotations

import ast
import functools
import linecache
import re
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

from headgate.flow.trace import Place
from headgate.record.site import users_frames

LEAVING = (".item(", ".tolist(", "float(", "int(", "bool(", "np.", "numpy.")
"""What a line has in it at which a value leaves for Python."""

_FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
_MOST = 500


def computed_at(names: Sequence[str], root: str) -> Place | None:
    """Return the line at which one of some values was computed from another, by what they are
    called where the program is now; None if none was.

    Args:
        names: of the values, as `feats` or `cache['h']`.
        root: of what it may have been computed from.
    """
    wanted = _root(root)
    for frame in users_frames():
        for name in names:
            first = _root(name)
            if first != wanted and (first in frame.f_locals or first in frame.f_globals):
                found = _found(frame, first, wanted)
                if found is not None:
                    return found
    return None


def made_at(name: str) -> Place | None:
    """Return the line at which the program gives a leaf its key or its attribute, None if there is
    no such line.

    Args:
        name: of the leaf: `params['gate']`, `model.gate`.
    """
    key = _LAST.search(name)
    if key is None:
        return None
    word, attribute = key[1], key[2]
    for frame in users_frames():
        module = _parsed(frame.f_code.co_filename)
        for node in () if module is None else ast.walk(module):
            line = 0
            if word and isinstance(node, ast.Dict):
                lines = [
                    each.lineno
                    for each in node.keys
                    if isinstance(each, ast.Constant) and each.value == word
                ]
                line = next(iter(lines), 0)
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    if attribute and isinstance(target, ast.Attribute):
                        line = node.lineno if target.attr == attribute else 0
                    elif word and isinstance(target, ast.Subscript):
                        at = target.slice
                        line = node.lineno if getattr(at, "value", None) == word else 0
            if line:
                return Place(frame.f_code.co_filename, line)
    return None


_LAST = re.compile(r"(?:\['([^']+)'\]|\.(\w+))(?:\[\d+\]|\.value)*$")
"""The last key or attribute of a path."""


def _root(name: str) -> str:
    return name.partition("[")[0].partition(".")[0]


def _found(frame: FrameType, name: str, wanted: str) -> Place | None:
    file = frame.f_code.co_filename
    module = _parsed(file)
    if module is None:
        return None
    scope = _scope(module, frame)
    todo, seen = [name], set[str]()
    while todo and len(seen) < _MOST:
        current = todo.pop(0)
        if current in seen:
            continue
        seen.add(current)
        for line, used in _uses(scope, module, current):
            if wanted in used:
                return Place(file, line, frame.f_code.co_qualname)
            todo += used
    return None


@functools.lru_cache(maxsize=64)
def _parsed(file: str) -> ast.Module | None:
    try:
        return ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError):
        return None


def _scope(module: ast.Module, frame: FrameType) -> ast.AST:
    """Return the function that a frame runs."""
    code = frame.f_code
    for node in ast.walk(module):
        if isinstance(node, _FUNCTIONS) and node.name == code.co_name:
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            if first == code.co_firstlineno:
                return node
    return module


def _uses(scope: ast.AST, module: ast.Module, name: str) -> list[tuple[int, list[str]]]:
    """Return the lines at which a name gets a value, each with the names that it comes from."""
    found = list(_assignments(scope, name))
    if not found and scope is not module:
        found = list(_assignments(module, name))
    return found


def _assignments(scope: ast.AST, name: str) -> Iterator[tuple[int, list[str]]]:
    for node in _own(scope):
        targets: list[ast.expr] = []
        value: ast.AST | None = None
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr):
            targets, value = [node.target], node.value
        elif isinstance(node, ast.For):
            targets, value = [node.target], node.iter
        elif isinstance(node, _FUNCTIONS) and node.name == name and node is not scope:
            own = {each.arg for each in ast.walk(node.args) if isinstance(each, ast.arg)}
            yield node.lineno, [each for each in _loads(node) if each not in own]
            continue
        if value is not None and any(name in _stores(target) for target in targets):
            yield node.lineno, _loads(value)


def _own(scope: ast.AST) -> Iterator[Any]:
    """Yield what lies in a scope, without what lies in functions within it."""
    todo = list(ast.iter_child_nodes(scope))
    while todo:
        node = todo.pop(0)
        yield node
        if not isinstance(node, _FUNCTIONS | ast.Lambda | ast.ClassDef):
            todo += ast.iter_child_nodes(node)


def _stores(target: ast.AST) -> set[str]:
    if isinstance(target, ast.Subscript | ast.Attribute):
        return _stores(target.value) | ({target.id} if isinstance(target, ast.Name) else set())
    return {each.id for each in ast.walk(target) if isinstance(each, ast.Name)}


def _loads(value: ast.AST) -> list[str]:
    names = [each.id for each in ast.walk(value) if isinstance(each, ast.Name)]
    return list(dict.fromkeys(names))
