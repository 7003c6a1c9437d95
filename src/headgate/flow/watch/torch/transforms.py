"""Transforms: `torch.func.grad` and its kin, which differentiate a function by its arguments.

They hand the function stand-ins for its arguments and ask for the gradients by those. So the
function is wrapped: its stand-ins are named as the program calls what they stand for, by the keys
of the dictionary that was passed or by the name of the argument. Where the result has no gradient
at all, PyTorch makes zeros without asking anybody; that is noted here.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch

from headgate.flow.watch.torch.asking import begin_asking, line_here
from headgate.flow.watch.torch.graph import Walk
from headgate.flow.watch.torch.shield import shielded
from headgate.flow.watch.torch.values import tensors_in

if TYPE_CHECKING:
    from headgate.flow.watch.torch.session import Session


def grad(session: Session, original: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
    """Make the function that `torch.func.grad` or `grad_and_value` makes of another one."""
    argnums = args[0] if args else kwargs.get("argnums", 0)
    chosen = (argnums,) if isinstance(argnums, int) else argnums
    return original(_watched(session, func, chosen), *args, **kwargs)


def vjp(session: Session, original: Any, func: Any, *primals: Any, **kwargs: Any) -> Any:
    """Call `torch.func.vjp`."""
    return original(_watched(session, func, range(len(primals))), *primals, **kwargs)


def _watched(session: Session, func: Any, chosen: Any) -> Callable[..., Any]:
    @functools.wraps(func)
    def instead(*args: Any, **kwargs: Any) -> Any:
        hears = session.hears
        sources = _named(session, func, args, chosen) if hears else None
        result = func(*args, **kwargs)
        if sources:
            _note_constant(session, result, sources)
        return result

    return instead


@shielded
def _named(session: Session, func: Any, args: tuple[Any, ...], chosen: Any) -> list[int]:
    """Give the arguments that a function is differentiated by their names; return the sources."""
    sources = []
    for name, each in _leaves_of(_names_of_arguments(func, len(args)), args, list(chosen)):
        if each.requires_grad and each.is_leaf:
            leaf = session.log.leaf(each)
            session.log.names.setdefault(leaf.number, name)
            sources.append(leaf.number)
    return sources


def _names_of_arguments(func: Any, count: int) -> list[str]:
    try:
        names = list(inspect.signature(func).parameters)
    except (TypeError, ValueError):
        names = []
    return [names[k] if k < len(names) else f"argument {k}" for k in range(count)]


def _leaves_of(
    names: list[str], args: tuple[Any, ...], chosen: list[int]
) -> Iterator[tuple[str, Any]]:
    """Yield the tensors in some arguments, each with a name; keys alone if they are one mapping."""
    for number in chosen:
        alone = len(chosen) == 1 and isinstance(args[number], Mapping)
        yield from _in_tree("" if alone else names[number], args[number])


def _in_tree(name: str, tree: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, torch.Tensor):
        yield name, tree
    elif isinstance(tree, Mapping):
        for key, each in tree.items():
            yield from _in_tree(f"{name}.{key}".removeprefix("."), each)
    elif isinstance(tree, list | tuple):
        for number, each in enumerate(tree):
            yield from _in_tree(f"{name}[{number}]", each)


@shielded
def _note_constant(session: Session, result: Any, sources: list[int]) -> None:
    """Note a call of which nothing comes, since the result has no gradient."""
    targets = list(tensors_in((result,)))[:1]
    if not targets or targets[0].requires_grad:
        return
    line = line_here(session)
    if not session.hears:
        return
    line.looked += 1
    ask = begin_asking(session, line.place, line.passes - 1, targets, False)
    ask.explicit = sources
    ask.norms = [None] * len(sources)
    ask.outputs = [None] * len(sources)
    ask.walk = Walk(session.log, ())
    session.log.passed(ask.targets)
