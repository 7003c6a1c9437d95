"""What the parameters of a JAX program are called: by their path in the user's own variable.

JAX's functions take trees of arrays, and a gradient is asked of each leaf: `params['enc']['w']`,
`model.encoder.weight`, `state.params['Dense_0']['kernel']`. The tree is an object that the program
has a name for in the moment of the call; if it has none, the function's own parameter names it.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from headgate.record.names import paths_to


def names_of(values: Sequence[Any]) -> list[str]:
    """Return what the program calls some values where it is now, "" for what has no name."""
    found = paths_to({id(value) for value in values}, lambda _: 0)
    return [next(iter(found.get(id(value), [])), "") for value in values]


def roots(
    fun: Callable[..., Any], positions: Sequence[int | str], values: Sequence[Any]
) -> list[str]:
    """Return what arguments of a function are called: as the program does, else as the function.

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
        found.append(name or str(position))
    return found


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
