"""What the parameters of a JAX program are called: by their path in the user's own variable.

JAX's functions take trees of arrays, and a gradient is asked of each leaf: `params['enc']['w']`,
`model.encoder.weight`, `state.params['Dense_0']['kernel']`. The tree is an object that the program
has a name for in the moment of the call; if it has none, the function's own parameter names it.
"""

from __future__ import annotations

import contextlib
import inspect
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from types import FunctionType, ModuleType
from typing import Any

import jax
import numpy as np

from headgate.record.names import paths_to
from headgate.record.site import users_frames


def names_of(values: Sequence[Any]) -> list[str]:
    """Return what the program calls some values where it is now, "" for what has no name."""
    found = paths_to({id(value) for value in values}, lambda _: 0)
    return [next(iter(found.get(id(value), [])), "") for value in values]


def roots(
    fun: Callable[..., Any], positions: Sequence[int | str], values: Sequence[Any]
) -> list[str]:
    """Return what arguments of a function are called, "" for those that have no name.

    What the function itself calls them begins with a blank: that is a makeshift.

    Args:
        fun: the function.
        positions: for each argument where it stands, or its keyword.
        values: the arguments.
    """
    names = names_of(values)
    own = _parameters(fun)
    found = []
    for position, name in zip(positions, names, strict=True):
        if not name and isinstance(position, int):
            name = own[position] if position < len(own) else f"argument {position}"
            found.append(" " + name)
        else:
            found.append(name or f" {position}")
    return found


def named(leaves: Sequence[tuple[Any, str]]) -> list[str]:
    """Return names of leaves, given a name for each that may be a makeshift.

    Such ones are looked for in all trees, and modules of flax, that the program's frames hold.
    """
    if not any(name.startswith(" ") for _, name in leaves):
        return [name for _, name in leaves]
    known = _in_frames({id(leaf) for leaf, name in leaves if name.startswith(" ")})
    return [
        known.get(id(leaf), name.strip()) if name.startswith(" ") else name for leaf, name in leaves
    ]


def _in_frames(wanted: set[int]) -> dict[int, str]:
    """Return by what path the program's variables reach some arrays."""
    found: dict[int, str] = {}
    seen: set[int] = set()
    for frame in itertools.islice(users_frames(), 8):
        for space in (frame.f_locals, frame.f_globals):
            for name, value in list(space.items()):
                if name.startswith("__") or id(value) in seen:
                    continue
                seen.add(id(value))
                for path, leaf in itertools.islice(_leaves(value), _MOST):
                    if id(leaf) in wanted and path:
                        text = name + path
                        if len(text) < len(found.get(id(leaf), "x" * 999)):
                            found[id(leaf)] = text
    return found


_MOST = 20_000
"""So many leaves of one value are looked at."""


def _leaves(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, type | ModuleType | FunctionType | str | int | float):
        return
    nnx = sys.modules.get("flax.nnx")
    if nnx is not None and isinstance(value, nnx.Module):
        for path, node in nnx.iter_graph(value):
            if isinstance(node, nnx.Variable):
                parts = [f"[{each}]" if isinstance(each, int) else f".{each}" for each in path]
                yield "".join(parts), node.get_value()
        return
    for path, leaf in jax.tree_util.tree_leaves_with_path(value):
        yield jax.tree_util.keystr(path), leaf


def _parameters(fun: Callable[..., Any]) -> list[str]:
    try:
        parameters = inspect.signature(fun).parameters.values()
    except (TypeError, ValueError):
        return []
    kinds = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    return [each.name for each in parameters if each.kind in kinds]


def paths(tree: Any) -> list[tuple[str, str, Any]]:
    """Return for each leaf of a tree its path as Python writes it, the same in short, and itself.

    >>> from headgate.flow.watch.jax.names import paths
    >>> paths({"enc": {"w": 1.0}})
    [("['enc']['w']", 'enc/w', 1.0)]
    """
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [
        (jax.tree_util.keystr(path), jax.tree_util.keystr(path, simple=True, separator="/"), leaf)
        for path, leaf in leaves
    ]


def numbers_of(fun: Callable[..., Any]) -> list[str]:
    """Return the names of numbers of Python's own that a function closes over or finds globally."""
    code = getattr(fun, "__code__", None)
    if code is None:
        return []
    space = dict(getattr(fun, "__globals__", {}))
    for name, cell in zip(code.co_freevars, getattr(fun, "__closure__", None) or ()):
        with contextlib.suppress(ValueError):
            space[name] = cell.cell_contents
    names = (*code.co_names, *code.co_freevars)
    kinds = (float, np.floating, np.ndarray)
    return [name for name in names if isinstance(space.get(name), kinds)]
