"""Calls: JAX's transformations, and what each takes, as one table.

A gradient transformation takes a function and returns one, or takes the arguments as well. Either
way it becomes a `Call`: which function, differentiated by which of which arguments.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from headgate.flow.watch.jax.beside import Jitted, Mapped

if TYPE_CHECKING:
    from headgate.flow.watch.jax.session import Session


@dataclass(slots=True)
class Call:
    """A gradient call.

    Attributes:
        how: name of the transformation.
        fun: the function.
        argnums: which arguments it is differentiated by.
        args: all of them.
        kwargs: those by name.
        has_aux: whether the function returns something else beside what is differentiated.
        given: the argument numbers as the program gave them.
        explicit: whether the program says by which arguments.
    """

    how: str
    fun: Callable[..., Any]
    argnums: tuple[int, ...]
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    has_aux: bool = False
    given: Any = 0
    explicit: bool = True


def _returning(
    how: str,
    session: Session,
    original: Callable[..., Any],
    fun: Any = None,
    argnums: int | Sequence[int] | None = None,
    has_aux: bool = False,
    *options: Any,
    **named: Any,
) -> Any:
    """Stand for a transformation that returns a function."""
    explicit, argnums = argnums is not None, 0 if argnums is None else argnums
    if fun is None or not session.on:
        given = () if fun is None else (fun,)
        return original(*given, argnums=argnums, has_aux=has_aux, **named)
    real = original(fun, argnums, has_aux, *options, **named)

    @functools.wraps(real)
    def called(*args: Any, **kwargs: Any) -> Any:
        if not session.hears:
            return real(*args, **kwargs)
        numbers = tuple(argnums) if isinstance(argnums, Sequence) else (argnums,)
        return session.called(
            Call(how, fun, numbers, args, kwargs, has_aux, argnums, explicit), real
        )

    return called


def _at_once(
    how: str,
    session: Session,
    original: Callable[..., Any],
    fun: Any,
    *primals: Any,
    has_aux: bool = False,
    **named: Any,
) -> Any:
    """Stand for a transformation that takes the arguments as well, one by one."""

    def real(*args: Any) -> Any:
        return original(fun, *args, has_aux=has_aux, **named)

    if not session.hears:
        return real(*primals)
    return session.called(Call(how, fun, tuple(range(len(primals))), primals, {}, has_aux), real)


def _tangents(
    how: str,
    session: Session,
    original: Callable[..., Any],
    fun: Any,
    primals: Any,
    tangents: Any,
    has_aux: bool = False,
) -> Any:
    """Stand for `jvp`."""

    def real(*args: Any) -> Any:
        return original(fun, args, tangents, has_aux=has_aux)

    if not session.hears or not isinstance(primals, tuple | list):
        return original(fun, primals, tangents, has_aux=has_aux)
    numbers = tuple(range(len(primals)))
    return session.called(Call(how, fun, numbers, tuple(primals), {}, has_aux), real)


GRADIENTS: dict[str, Callable[..., Any]] = {
    **{
        name: functools.partial(_returning, name)
        for name in ("grad", "value_and_grad", "jacfwd", "jacrev", "jacobian", "hessian")
    },
    **{name: functools.partial(_at_once, name) for name in ("vjp", "linearize")},
    "jvp": functools.partial(_tangents, "jvp"),
}
"""Name in `jax` -> what stands for it."""


def _jit(session: Session, original: Callable[..., Any], fun: Any = None, **named: Any) -> Any:
    """Stand for `jit`, also as a decorator with arguments."""
    if fun is None:
        return functools.partial(_jit, session, original, **named)
    real = original(fun, **named)
    return Jitted(session, original, fun, named, real) if session.on else real


def _mapping(session: Session, original: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """Stand for a transformation that returns a function, which it maps: `vmap`, `pmap`."""
    real = original(*given, **named)
    if not session.on or not callable(real) or not given:
        return real
    outer = Mapped(real)

    @functools.wraps(real)
    def called(*args: Any, **kwargs: Any) -> Any:
        return session.traced(outer, real, args, kwargs)

    return called


def _running(session: Session, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Stand for what calls functions at once: `scan`, `cond`."""
    if not session.hears:
        return original(*args, **kwargs)
    return session.traced(Mapped(original), original, args, kwargs)


_LAX = ("scan", "fori_loop", "while_loop", "map", "cond", "switch")
OUTER: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("jax", "jit", _jit),
    ("jax", "vmap", _mapping),
    ("jax", "pmap", _mapping),
    ("jax", "shard_map", _mapping),
    *(("jax.lax", name, _running) for name in _LAX),
)
"""Module, name in it, and what stands for it."""


def _telling(session: Session, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Stand for what only tells something to the host, which hears it once."""
    return None if session.muted else original(*args, **kwargs)


def _asking(
    session: Session,
    original: Callable[..., Any],
    callback: Any,
    results: Any,
    *args: Any,
    **named: Any,
) -> Any:
    """Stand for what has the host do something, which does it once; beside it gives zeros."""
    if not session.muted:
        return original(callback, results, *args, **named)
    return jax.tree_util.tree_map(lambda each: jnp.zeros(each.shape, each.dtype), results)


CALLBACKS: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("jax.debug", "callback", _telling),
    ("jax.debug", "print", _telling),
    ("jax.experimental", "io_callback", _asking),
)
"""The same, for what calls back into Python."""
