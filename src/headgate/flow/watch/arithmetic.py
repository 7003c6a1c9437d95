"""Arithmetic on the host: whether what comes back was computed, in one function, from what left.

A number that left for Python or NumPy and one that comes back are not the same object once anything
was computed with them. But if the program does so in the function that handed them over, its text
says it: the argument of the call that runs now is an expression, its names were assigned
expressions, and so on, down to a name that holds what left. Only arithmetic is followed: operators,
functions of NumPy, methods of what was followed, a few built-ins. A call of anything else may do
anything, a comparison has no slope, and what they give is not told of.
"""

from __future__ import annotations

import ast
import functools
import itertools
import linecache
from collections.abc import Iterator, Sequence
from types import CodeType, FrameType, ModuleType
from typing import Any

_BUILTINS = {"float", "sum", "max", "min", "abs", "list", "tuple", "round", "pow"}
_OUT = {"numpy", "item", "tolist", "__float__", "__array__"}
_DEEPEST = 40


def computed_from(frame: FrameType, left: Sequence[tuple[Any, int]]) -> set[int]:
    """Return from which of some values an argument of the call that a frame makes was computed.

    Args:
        frame: the function that calls now.
        left: what left for the host, and the line on which it did.

    Returns:
        Their positions.
    """
    call = _running(frame)
    if call is None:
        return set()
    given = [call.left, call.right] if isinstance(call, ast.BinOp) else _arguments(call)
    search = _Search(frame, left)
    found: set[int] = set()
    for each in given:
        found |= search.of(each, 0)
    return found


def _arguments(call: ast.AST) -> list[ast.expr]:
    if isinstance(call, ast.Call):
        return [*call.args, *(each.value for each in call.keywords)]
    return []


class _Search:
    """What the expressions of a running function are computed from."""

    def __init__(self, frame: FrameType, left: Sequence[tuple[Any, int]]) -> None:
        self.names = frame.f_locals
        self.globals = frame.f_globals
        self.left = left
        self.assigned = _assignments(frame.f_code)
        self.seen: set[str] = set()

    def of(self, node: ast.AST | None, depth: int) -> set[int]:
        if node is None or depth > _DEEPEST:
            return set()
        match node:
            case ast.Name(id=name):
                return self._of_name(name, depth)
            case ast.BinOp(left=one, right=other):
                parts: list[Any] = [one, other]
            case ast.UnaryOp(operand=one) | ast.Starred(value=one) | ast.NamedExpr(value=one):
                parts = [one]
            case ast.Subscript(value=one) | ast.Attribute(value=one):
                parts = [one]
            case ast.IfExp(body=one, orelse=other):
                parts = [one, other]
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                pass
            case (
                ast.ListComp(elt=one, generators=loops)
                | ast.GeneratorExp(elt=one, generators=loops)
            ):
                parts = [one, *(loop.iter for loop in loops)]
            case ast.Call():
                return self._of_call(node, depth)
            case _:
                return set()
        return set().union(*(self.of(part, depth + 1) for part in parts))

    def _of_name(self, name: str, depth: int) -> set[int]:
        if name in self.seen:
            return set()
        self.seen.add(name)
        value = self.names.get(name, self.globals.get(name))
        found = {k for k, (known, _) in enumerate(self.left) if known is value is not None}
        if not found:
            for expression in self.assigned.get(name, ()):
                found |= self.of(expression, depth + 1)
        self.seen.discard(name)
        return found

    def _of_call(self, call: ast.Call, depth: int) -> set[int]:
        function = call.func
        if isinstance(function, ast.Attribute):
            if function.attr in _OUT and not call.args:
                lines = range(call.lineno, (call.end_lineno or call.lineno) + 1)
                return {k for k, (_, line) in enumerate(self.left) if line in lines}
            if not self._is_numpy(function) and not self.of(function.value, depth + 1):
                return set()
            inside: list[Any] = [function.value]
        elif isinstance(function, ast.Name) and function.id in _BUILTINS:
            inside = []
        else:
            return set()
        parts = [*inside, *_arguments(call)]
        return set().union(*(self.of(part, depth + 1) for part in parts))

    def _is_numpy(self, node: ast.expr) -> bool:
        """Tell whether something is an attribute of NumPy."""
        while isinstance(node, ast.Attribute):
            node = node.value
        if not isinstance(node, ast.Name):
            return False
        value = self.names.get(node.id, self.globals.get(node.id))
        return isinstance(value, ModuleType) and value.__name__.partition(".")[0] == "numpy"


def _running(frame: FrameType) -> ast.AST | None:
    """Return the expression that a frame evaluates now."""
    positions = itertools.islice(
        frame.f_code.co_positions(), frame.f_lasti // 2, frame.f_lasti // 2 + 1
    )
    return _expressions(frame.f_code.co_filename).get(next(positions, (None,) * 4))


Position = tuple[int | None, int | None, int | None, int | None]


@functools.lru_cache(maxsize=64)
def _tree(file: str) -> ast.Module | None:
    try:
        return ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError):
        return None


@functools.lru_cache(maxsize=64)
def _expressions(file: str) -> dict[Position, ast.AST]:
    """Return all calls and operators of a file by where they stand."""
    tree = _tree(file)
    return {
        (node.lineno, node.end_lineno, node.col_offset, node.end_col_offset): node
        for node in (ast.walk(tree) if tree is not None else ())
        if isinstance(node, ast.Call | ast.BinOp)
    }


@functools.lru_cache(maxsize=256)
def _assignments(code: CodeType) -> dict[str, list[ast.expr]]:
    """Return the expressions that a function assigns to each of its names."""
    tree: Any = _tree(code.co_filename)
    found: dict[str, list[ast.expr]] = {}
    if tree is None:
        return found
    if code.co_name != "<module>":
        tree = next((each for each in ast.walk(tree) if _is_of(each, code)), None)
    for node in _within(tree):
        if isinstance(node, ast.Assign):
            pairs = [pair for target in node.targets for pair in _pairs(target, node.value)]
        elif isinstance(node, ast.AugAssign | ast.AnnAssign | ast.NamedExpr) and node.value:
            pairs = [*_pairs(node.target, node.value)]
        elif isinstance(node, ast.For):
            pairs = [*_pairs(node.target, node.iter)]
        else:
            continue
        for name, expression in pairs:
            found.setdefault(name, []).append(expression)
    return found


def _is_of(node: ast.AST, code: CodeType) -> bool:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name != code.co_name:
        return False
    first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
    return first == code.co_firstlineno


def _within(tree: ast.AST | None) -> Iterator[ast.AST]:
    """Yield what lies in a function, but not in those that it defines."""
    todo = list(ast.iter_child_nodes(tree)) if tree is not None else []
    while todo:
        node = todo.pop()
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            yield node
            todo += ast.iter_child_nodes(node)


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """Yield the names of a target, each with what it is assigned."""
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple | ast.List):
        same = isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts)
        values = value.elts if same and isinstance(value, ast.Tuple | ast.List) else None
        for number, each in enumerate(target.elts):
            yield from _pairs(each, values[number] if values else value)
