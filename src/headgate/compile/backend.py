"""Arrays from one library or device to another: `to_backend`.

An executor moves arrays to where it can compute with them, and says whether it is asked for a place
of its own; all variables of a structure are moved in place, here, for any of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import optree

from headgate.compile.executor import EXECUTORS, executor_of, load
from headgate.core.bundle import in_transit
from headgate.core.namespace import NUMPY, Array, is_array, owner
from headgate.core.scope import stage
from headgate.core.tensor import Tensor, tensor_of
from headgate.core.variable import Variable
from headgate.record.errors import TracingError, describe, refusal


def to_backend(x: Any, backend: Any) -> Any:
    """Move variables to another array library or device, in place; return other arrays moved.

    Programs compute where their arrays are, so a model moved with its optimizer trains there.

    Args:
        x: a variable, layer, model, optimizer, metric, tensor or array, or a structure of them. All
            variables of an object are moved.
        backend: "numpy", "jax" (JAX's default device), or a `jax.Device`.

    Returns:
        `x` with tensors and arrays replaced by copies that are there; everything else is the same
        object. Gradient flows through the copy of a tensor.

    Raises:
        ValueError: another backend.
        TracingError: called while a function is traced.

    Warns:
        UserWarning: float64 variables go to JAX, whose 64-bit types are switched off. They keep
            their dtype and compiled functions compute with it, but JAX's own ops make float32 of
            them. Integers of 64 bits, such as an optimizer's number of steps, stay NumPy's then.

    >>> import headgate as hg
    >>> w = hg.Variable([1.0, 2.0])
    >>> batch = hg.to_backend({"w": w, "x": hg.asarray([3.0, 4.0])}, "jax")
    >>> type((batch["x"] * w).value).__name__, batch["w"] is w
    ('ArrayImpl', True)
    >>> _ = hg.to_backend(w, "numpy")
    """
    if stage.scope is not None:
        raise refusal(TracingError, "to_backend moves variables: call it before the function runs")
    move = _mover(backend)
    narrowed: list[str] = []

    def moved(leaf: Any) -> Any:
        if type(leaf) is Variable or _has_variables(leaf):
            for cell in cells_of(leaf):
                _move(cell, move, narrowed)
        elif type(leaf) is Tensor:
            return tensor_of(move(leaf.value), leaf.node)
        elif is_array(leaf):
            return move(leaf)
        return leaf

    result = optree.tree_map(moved, x)
    if narrowed:
        warnings.warn(
            f"float64 variables go to JAX, whose 64-bit types are switched off: {narrowed}. JAX's "
            "own ops make float32 of them: call jax.config.update('jax_enable_x64', True) first, "
            "or make them float32",
            stacklevel=2,
        )
    return result


def _mover(backend: Any) -> Callable[[Array], Array]:
    """Return what moves an array."""
    if isinstance(backend, str) and backend == "numpy":
        return lambda array: array if owner[type(array)] is NUMPY else np.array(array)
    for name in EXECUTORS:
        move = load(name).mover(backend)
        if move is not None:
            return move
    raise ValueError(
        f"there is no backend {backend!r}; give 'numpy', 'jax', or a device of JAX such as "
        "jax.devices()[0]"
    )


def _move(cell: Variable, move: Callable[[Array], Array], narrowed: list[str]) -> None:
    with in_transit:
        new = move(cell._form)
        executor = executor_of(type(new))
        if executor is not None and not executor.keeps(new):
            if new.dtype.kind != "f":
                return
            narrowed.append(cell.name)
        cell._leave(new)


def cells_of(variables: Any) -> list[Variable]:
    """Return the variables of a structure of variables, layers, optimizers and metrics."""
    found: list[Variable] = []
    for leaf in optree.tree_leaves(variables):
        if type(leaf) is Variable:
            found.append(leaf)
        elif _has_variables(leaf):
            found += leaf.variables
        else:
            raise TypeError(
                "variables are a variable, layer, model, optimizer or metric, or a structure of "
                f"them; {describe(leaf)} is none"
            )
    return found


def _has_variables(leaf: Any) -> bool:
    return isinstance(getattr(leaf, "variables", None), list)
