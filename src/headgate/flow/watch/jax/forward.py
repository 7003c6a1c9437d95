"""Forward: what a differentiated function computes, as a jaxpr of its arrays.

The function is called once more, with placeholders for its arguments, while nobody hears what it
prints and random generators are put back afterwards. What is no array stays what it is.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.tree_util import tree_flatten, tree_unflatten

from headgate.flow.watch.jax.bystanders import kept
from headgate.flow.watch.jax.names import paths


@dataclass(slots=True)
class Asked:
    """A leaf that is differentiated by: where it is among what the jaxpr takes, and in whose tree.

    Attributes:
        position: among what the jaxpr takes.
        argument: number of the argument of the function.
        path: in that argument, as Python writes it.
        short: the same in short.
        leaf: itself.
    """

    position: int
    argument: int
    path: str
    short: str
    leaf: Any


@dataclass(slots=True)
class Forward:
    """A differentiated function, and what it was called with.

    Attributes:
        fun: the function.
        args: what it was called with.
        closed: its jaxpr.
        given: what the jaxpr takes: arrays, or placeholders of an outer function.
        asked: the leaves that are differentiated by, in the order of their gradients.
        targets: how many of the first results are what is differentiated.
        dynamic: which leaves of its arguments the jaxpr takes.
        with_consts: makes the function of its jaxpr, with other constants.
    """

    fun: Callable[..., Any]
    args: tuple[Any, ...]
    closed: Any
    given: list[Any]
    asked: list[Asked]
    targets: int
    dynamic: list[int]
    with_consts: Callable[[list[Any]], Callable[..., Any]]


def is_array(leaf: Any) -> bool:
    """Tell whether a leaf is an array of JAX, or stands for one."""
    return isinstance(leaf, jax.Array | jax.core.Tracer)


def is_soft(leaf: Any) -> bool:
    """Tell whether a leaf is of a dtype that has gradients."""
    dtype = getattr(leaf, "dtype", None)
    if dtype is None:
        return isinstance(leaf, float | complex)
    return bool(jax.dtypes.issubdtype(dtype, np.inexact))


def forward(
    make_jaxpr: Callable[..., Any],
    fun: Callable[..., Any],
    argnums: Sequence[int],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    has_aux: bool,
) -> Forward:
    """Return what a function computes.

    Args:
        make_jaxpr: JAX's own.
        fun: the function.
        argnums: which arguments it is differentiated by.
        args: what it is called with.
        kwargs: further arguments by name.
        has_aux: whether it returns something else beside what is differentiated.
    """
    leaves, tree = tree_flatten((args, kwargs))
    wanted = [number % max(len(args), 1) for number in argnums]
    of: dict[int, list[Asked]] = {number: [] for number in wanted}
    at = 0
    dynamic: list[int] = []
    for number, argument in enumerate(args):
        for path, short, leaf in paths(argument):
            if is_array(leaf) or number in of:
                if number in of and is_soft(leaf):
                    of[number].append(Asked(len(dynamic), number, path, short, leaf))
                dynamic.append(at)
            at += 1
    dynamic += [k for k in range(at, len(leaves)) if is_array(leaves[k])]
    known: dict[str, Any] = {}

    def flat(*given: Any) -> list[Any]:
        merged = [*leaves]
        for k, value in zip(dynamic, given, strict=True):
            merged[k] = value
        args, kwargs = tree_unflatten(tree, merged)
        out = fun(*args, **kwargs)
        target, aux = out if has_aux else (out, None)
        targets, target_tree = tree_flatten(target)
        others, aux_tree = tree_flatten(aux)
        known.update(trees=(target_tree, aux_tree), others=others, targets=len(targets))
        return [*targets, *(each for each in others if is_array(each))]

    given = [leaves[k] for k in dynamic]
    with quiet(), kept(fun):
        closed = make_jaxpr(flat)(*given)

    def with_consts(consts: list[Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            now = tree_flatten((args, kwargs))[0]
            results = jax.core.eval_jaxpr(closed.jaxpr, consts, *[now[k] for k in dynamic])
            rest = iter(results[known["targets"] :])
            target = tree_unflatten(known["trees"][0], results[: known["targets"]])
            aux = [next(rest) if is_array(each) else each for each in known["others"]]
            return (target, tree_unflatten(known["trees"][1], aux)) if has_aux else target

        return call

    asked = [each for number in wanted for each in of[number]]
    return Forward(fun, args, closed, given, asked, known["targets"], dynamic, with_consts)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep to itself what is printed meanwhile."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
