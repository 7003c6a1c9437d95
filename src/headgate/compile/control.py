"""Control flow: `cond`, `while_loop` and `scan`, eager and compiled.

Where values are known, these are Python's own `if`, `while` and `for`, and the tape records what
runs as it always does. While a function is traced (`headgate.function`, or JAX's own
transformations), each becomes one construct of the executor's program
(`headgate.compile.construct`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import optree

from headgate.compile.branch import traced_cond
from headgate.compile.construct import held, predicate
from headgate.compile.executor import at_work
from headgate.compile.repeat import traced_scan, traced_while
from headgate.core.checks import flag, optional, whole
from headgate.core.lift import as_tensor
from headgate.core.namespace import TENSORS
from headgate.core.scope import Scope
from headgate.core.tensor import Tensor, constant
from headgate.core.variable import Variable
from headgate.record.errors import describe, refusal
from headgate.record.graph import unrecorded

# -- cond ------------------------------------------------------------------------------------------


def cond(
    pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], *operands: Any
) -> Any:
    """Call one of two functions.

    In a compiled function both are traced and one runs; so does its gradient, for which it runs
    once more. What only the other one uses gets a gradient of zeros. Tensors and variables from
    outside may be used as well as operands, and variables may be written.

    Args:
        pred: one boolean: a tensor or array of one element, or Python's own.
        true_fn: called with the operands if it is true; returns any structure of tensors.
        false_fn: called if it is not; in a compiled function it returns the same structure, shapes
            and dtypes (a Python number adapts to the other's dtype).
        *operands: what the function is given.

    Returns:
        What the function returned; in a compiled function, tensors in that structure.

    Raises:
        ValueError: more than one predicate; results that do not fit together.
        TypeError: what should be a function is none.

    >>> import headgate as hg
    >>> x = hg.Variable(3.0)
    >>> with hg.GradientTape() as tape:
    ...     y = hg.cond(x > 0.0, lambda: x * x, lambda: -x)
    >>> tape.gradient(y, x).numpy()
    np.float64(6.0)
    """
    for function in (true_fn, false_fn):
        if not callable(function):
            raise refusal(
                TypeError, f"cond takes two functions, and was given {describe(function)}"
            )
    choice = predicate(pred, "cond")
    if type(choice) is bool:
        return (true_fn if choice else false_fn)(*operands)
    executor = at_work(choice)
    assert executor is not None
    return traced_cond(executor, choice, lambda: true_fn(*operands), lambda: false_fn(*operands))


# -- scan ------------------------------------------------------------------------------------------


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Go along the first axis of arrays with a function that carries something on.

    In a compiled function this is one loop, whose body is traced once; its gradient is a loop back,
    for which the loop forward saves what it needs of each step.

    Args:
        f: takes `(carry, x)` and returns `(carry, y)`. In a compiled function, the carry keeps its
            structure, shapes and dtypes.
        init: the first carry; any structure of tensors and numbers.
        xs: arrays of the same length, in any structure; f gets one entry of each. `None` if there
            are none.
        length: number of steps; needed if there are no arrays.
        reverse: go from the last entry to the first; the y of an entry stays at its place.

    Returns:
        `(carry, ys)`: the last carry, and all y stacked along a new first axis.

    Raises:
        ValueError: no length, or several; a carry that changes.
        TypeError: f returns no pair.

    >>> import headgate as hg
    >>> total, sums = hg.scan(lambda c, x: (c + x, c + x), 0.0, hg.asarray([1.0, 2.0, 3.0]))
    >>> total.numpy(), sums.numpy()
    (np.float64(6.0), array([1., 3., 6.]))
    """
    leaves, structure = optree.tree_flatten(xs)
    leaves = [as_tensor(leaf) for leaf in leaves]
    reverse = flag("scan", "reverse", reverse)
    steps = _length(leaves, length)
    executor = at_work((init, leaves))
    if executor is not None:
        return traced_scan(
            executor, f, init, optree.tree_unflatten(structure, leaves), steps, reverse
        )

    columns = [TENSORS.unstack(leaf) for leaf in leaves]
    carry, rows = init, []
    for k in reversed(range(steps)) if reverse else range(steps):
        x = optree.tree_unflatten(structure, [column[k] for column in columns])
        carry, y = _pair(f(carry, x))
        carry = _steady(carry)
        rows.append(optree.tree_map(as_tensor, y))
    if not rows:
        return _tensors(init), _no_rows(f, init, leaves, structure)
    rows = rows[::-1] if reverse else rows
    return _tensors(carry), optree.tree_map(lambda *parts: TENSORS.stack(parts), *rows)


def _length(leaves: list[Tensor], length: int | None) -> int:
    """Return the number of steps of a scan."""
    lengths = {"length": whole("scan", "length", length, 0)} if length is not None else {}
    for number, leaf in enumerate(leaves):
        if not leaf.shape:
            raise refusal(ValueError, f"scan: array {number} of xs has no axis to go along")
        lengths[f"array {number} of xs"] = leaf.shape[0]
    if len(set(lengths.values())) != 1:
        given = ", ".join(f"{name}: {steps}" for name, steps in lengths.items())
        raise refusal(
            ValueError,
            f"scan: the number of steps differs: {given}"
            if lengths
            else "scan: without arrays to go along, say the number of steps: length=...",
        )
    (steps,) = set(lengths.values())
    return steps


def _pair(returned: Any) -> Any:
    if not (isinstance(returned, tuple | list) and len(returned) == 2):
        raise refusal(
            TypeError, f"scan: the body returns the pair (carry, y), got {describe(returned)}"
        )
    return returned


def _steady(tree: Any) -> Any:
    """Return a structure with variables read: they may hold something else later."""
    return optree.tree_map(lambda leaf: leaf.read_value() if type(leaf) is Variable else leaf, tree)


def _tensors(tree: Any) -> Any:
    return optree.tree_map(as_tensor, tree)


def _no_rows(f: Callable[..., Any], init: Any, leaves: list[Tensor], structure: Any) -> Any:
    """Return what a scan stacks that has no steps: its body runs once, to see the shapes."""
    zeros = [constant(np.zeros(leaf.shape[1:], leaf.dtype)) for leaf in leaves]
    with Scope(held).entered(), unrecorded(), np.errstate(all="ignore"):
        _, y = _pair(f(init, optree.tree_unflatten(structure, zeros)))
        rows = [as_tensor(leaf) for leaf in optree.tree_leaves(y)]
    empty = [constant(np.zeros((0, *row.shape), row.dtype)) for row in rows]
    return optree.tree_unflatten(optree.tree_structure(y), empty)


# -- while_loop ------------------------------------------------------------------------------------


def while_loop(
    cond_fn: Callable[[Any], Any],
    body_fn: Callable[[Any], Any],
    init: Any,
    maximum_iterations: int | None = None,
) -> Any:
    """Repeat a function while a condition holds.

    In a compiled function this is one loop, whose body is traced once. Its gradient is a loop back,
    and has to compute again what went into each of the n steps, since it is not known beforehand
    how many there will be. The loop runs once more and keeps what is carried at 128 places (at
    each step, up to 1024, if there is a maximum); from there, the body runs once for each step of a
    place (n / 128 at most, half of it on the average) before its gradient is computed. If the
    number of steps is known, `headgate.scan` is faster.

    Args:
        cond_fn: takes what is carried and returns one boolean.
        body_fn: takes what is carried and returns what is carried next. In a compiled function that
            keeps its structure, shapes and dtypes.
        init: what is carried first; any structure of tensors and numbers.
        maximum_iterations: stop after so many in any case.

    Returns:
        What is carried last.

    Raises:
        ValueError: a condition that is not one boolean; a carry that changes.
        TracingError: the condition writes a variable.

    >>> import headgate as hg
    >>> x = hg.Variable(2.0)
    >>> with hg.GradientTape() as tape:
    ...     y = hg.while_loop(lambda y: y < 10.0, lambda y: y * x, x)
    >>> y.numpy(), tape.gradient(y, x).numpy()
    (np.float64(16.0), np.float64(32.0))
    """
    most = optional(whole, "while_loop", "maximum_iterations", maximum_iterations, 0)
    executor = at_work(init)
    if executor is not None:
        return traced_while(executor, cond_fn, body_fn, init, most)
    carry, done = _steady(init), 0
    while most is None or done < most:
        holds = predicate(cond_fn(carry), "while_loop")
        if type(holds) is not bool:
            executor = at_work(holds)
            assert executor is not None
            rest = None if most is None else most - done
            return traced_while(executor, cond_fn, body_fn, carry, rest)
        if not holds:
            break
        carry = _steady(body_fn(carry))
        done += 1
    return _tensors(carry)
