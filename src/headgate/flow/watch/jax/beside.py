"""Beside: a function that JAX traces, run once more with what the program called it with.

A gradient call under `jit` has no values while it is traced. So the whole function is traced and
compiled a second time, under a context of its own that shares nothing of what JAX has traced for
the program. There each gradient call tells what came of it, and where that is zero or not finite,
also what it was given.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from headgate.flow.watch.jax.bystanders import kept
from headgate.flow.watch.jax.events import Captured, Walk
from headgate.flow.watch.jax.forward import is_array, quiet
from headgate.flow.watch.jax.log import Ask
from headgate.flow.watch.jax.look import (
    BY_GRADIENT,
    cotangents_for,
    gradients_of,
    measured,
    names_for,
    traced,
    wrong,
)
from headgate.flow.watch.jax.names import named, paths, roots
from headgate.flow.watch.jax.optimizers import digest

if TYPE_CHECKING:
    from headgate.flow.watch.jax.calls import Call
    from headgate.flow.watch.jax.session import Session

MARK = "headgate_gradient_"


DROPPED = ("donate_argnums", "donate_argnames", "out_shardings", "compiler_options")
"""Options of `jit` that a function has no use for beside the program."""


class Outer:
    """A function of the program that JAX traces.

    Attributes:
        has_gradients: whether gradients are computed in it.
        fresh: whether the call that runs now, or was the last, had to trace a gradient.
        donates: whether a call uses its arguments up.
        passes: how often it was called.
    """

    def __init__(self) -> None:
        self.has_gradients = False
        self.fresh = False
        self.donates = False
        self.passes = 0
        self._besides: dict[Any, Beside] = {}

    def kept(self, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """Return arguments that are still there after the call."""
        return args, kwargs

    def beside(self, session: Session, turn: int, args: Any, kwargs: Any) -> Beside:
        """Return what runs beside it, for arguments like these."""
        key = _signature((args, kwargs))
        if key not in self._besides:
            self._besides[key] = self._made(session, turn, args, kwargs)
        return self._besides[key]

    def _made(self, session: Session, turn: int, args: Any, kwargs: Any) -> Beside:
        raise NotImplementedError


class Mapped(Outer):
    """A function that is mapped or looped over; what it takes besides arrays is constant."""

    def __init__(self, real: Callable[..., Any]) -> None:
        super().__init__()
        self.real = real

    def _made(self, session: Session, turn: int, args: Any, kwargs: Any) -> Beside:
        leaves, tree = jax.tree_util.tree_flatten((args, kwargs))
        dynamic = [k for k, leaf in enumerate(leaves) if is_array(leaf)]

        def run(*given: Any) -> Any:
            merged = [*leaves]
            for k, value in zip(dynamic, given, strict=True):
                merged[k] = value
            args, kwargs = jax.tree_util.tree_unflatten(tree, merged)
            self.real(*args, **kwargs)

        def prepared(args: Any, kwargs: Any) -> tuple[Any, Any]:
            now = jax.tree_util.tree_leaves((args, kwargs))
            return tuple(now[k] for k in dynamic), {}

        return Beside(session, turn, self, self.real, run, {}, prepared)


class Jitted(Outer):
    """A function under `jit`, in the place of what `jit` returns."""

    def __init__(
        self,
        session: Session,
        jit: Callable[..., Any],
        fun: Callable[..., Any],
        named: dict[str, Any],
        real: Any,
    ) -> None:
        super().__init__()
        self._session = session
        self._fun = fun
        self._named = named
        self._real = real
        self.donates = bool(named.get("donate_argnums") or named.get("donate_argnames"))
        functools.update_wrapper(self, real)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self._session.on:
            return self._real(*args, **kwargs)
        return self._session.traced(self, self._real, args, kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") and name != "__signature__":
            raise AttributeError(name)
        return getattr(self._real, name)

    def __repr__(self) -> str:
        return repr(self._real)

    def kept(self, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """Return arguments that are still there after the call, which may use them up."""
        if not self.donates:
            return args, kwargs
        leaves, tree = jax.tree_util.tree_flatten((args, kwargs))
        copied = [jnp.copy(leaf) if isinstance(leaf, jax.Array) else leaf for leaf in leaves]
        args, kwargs = jax.tree_util.tree_unflatten(tree, copied)
        return args, kwargs

    def _made(self, session: Session, turn: int, args: Any, kwargs: Any) -> Beside:
        named = {key: value for key, value in self._named.items() if key not in DROPPED}

        @functools.wraps(self._fun)
        def run(*args: Any, **kwargs: Any) -> Any:
            self._fun(*args, **kwargs)

        return Beside(session, turn, self, self._fun, run, named, lambda *given: given)


def _signature(tree: Any) -> Any:
    leaves, structure = jax.tree_util.tree_flatten(tree)
    return structure, tuple(
        (leaf.shape, str(leaf.dtype), getattr(leaf, "weak_type", False))
        if hasattr(leaf, "dtype")
        else (type(leaf), str(leaf)[:99])
        for leaf in leaves
    )


def _named(fun: Callable[..., Any], args: Any, kwargs: Any) -> list[tuple[Any, str]]:
    """Return the leaves of arguments, each with what it is called."""
    keywords = sorted(kwargs)
    trees = [*args, *(kwargs[key] for key in keywords)]
    found = []
    for name, tree in zip(roots(fun, [*range(len(args)), *keywords], trees), trees):
        found += [(leaf, name + path) for path, _, leaf in paths(tree)]
    return [(leaf, name) for (leaf, _), name in zip(found, named(found), strict=True)]


class Mark:
    """A gradient call within a function that runs beside the program."""

    def __init__(
        self,
        number: int,
        call: Call,
        found: Any,
        line: Any,
        sources: list[int],
        inputs: list[int | None],
    ) -> None:
        self.number = number
        self.call = call
        self.found = found
        self.line = line
        self.sources = sources
        self.inputs = inputs  # for each source which input of the outer function it is
        self.ask: Ask | None = None
        self.consts: list[int] = []  # which of its constants are values of the outer function
        self.norms: list[list[float]] = []
        self.bad: list[Any] | None = None  # what it took when its gradient was zero or not finite


class Beside:
    """One function of the program, and its gradient calls."""

    def __init__(
        self,
        session: Session,
        turn: int,
        outer: Outer,
        fun: Callable[..., Any],
        run: Callable[..., Any],
        named: dict[str, Any],
        prepared: Callable[[Any, Any], tuple[Any, Any]],
    ) -> None:
        self.session = session
        self.turn = turn
        self.outer = outer
        self.fun = fun
        self.marks: list[Mark] = []
        self.inputs: dict[int, int] = {}  # id of a placeholder -> which input it stands for
        self._prepared = prepared

        self.steps: list[tuple[Any, list[Any]]] = []
        self._kept: list[Any] = []  # placeholders, for their ids are keys
        self._named: list[tuple[Any, str]] = []  # the leaves of its arguments, with their names
        self._stands: dict[int, tuple[Any, str]] = {}

        @functools.wraps(run)
        def within(*args: Any, **kwargs: Any) -> None:
            self.marks, self.steps, self._written = [], [], False  # it is traced anew
            leaves = jax.tree_util.tree_leaves((args, kwargs))
            if len(leaves) == len(self._named):
                pairs = zip(leaves, self._named)
                self._stands.update({id(leaf): known for leaf, known in pairs if known[1]})
            placeholders = [each for each in leaves if isinstance(each, jax.core.Tracer)]
            self.inputs.update((id(each), k) for k, each in enumerate(placeholders))
            self._kept += placeholders
            run(*args, **kwargs)

        self._jitted = session.original["jit"](within, **named)
        self._written = False

    def run(self, args: Any, kwargs: Any) -> None:
        """Run it, and note what its gradient calls found."""
        session = self.session
        args, kwargs = self._prepared(args, kwargs)
        busy = session.busy
        session.muted += 1
        session.beside, session.busy = self, 0
        for mark in self.marks:
            mark.norms, mark.bad = [], None
        for _, came in self.steps:
            came.clear()
        try:
            with session.context(("headgate", self.turn)), quiet(), kept(self.fun):
                if not self._written:
                    self._named = _named(self.fun, args, kwargs)
                    traced = self._jitted.trace(*args, **kwargs)
                    session.beside, session.busy = None, busy
                    self._write_down(traced.jaxpr)
                    self._written = True
                session.beside, session.busy = self, 0
                self._jitted(*args, **kwargs)
                jax.effects_barrier()
        finally:
            session.beside, session.busy = None, busy
            session.muted -= 1
        now = [digest(leaf) for leaf in jax.tree_util.tree_leaves((args, kwargs)) if is_array(leaf)]
        for mark in self.marks:
            self._note(mark, now)
        for step, came in self.steps:
            for sizes in came:
                half = len(sizes) // 2
                session.optimizers.stepped(step.sources, sizes[:half], sizes[half:])

    # -- while it is traced -----------------------------------------------------------------------

    def gradient(self, call: Call, real: Callable[..., Any]) -> Any:
        """Stand for a gradient call: compute the same, and tell what came of it."""
        session, log = self.session, self.session.log
        with session.quietly():
            line = log.line(log.places.here(), call.how)
            found = traced(session, call)
            names = names_for(call)
            sources = log.sources_of(line, found, names, lambda leaf: self._stands.get(id(leaf)))
            inputs = [self.inputs.get(id(each.leaf)) for each in found.asked]
            mark = Mark(len(self.marks), call, found, line, sources, inputs)
            self.marks.append(mark)
            consts = found.closed.consts
            mark.consts = [k for k, each in enumerate(consts) if isinstance(each, jax.core.Tracer)]
            known: dict[str, Any] = {}
            n = len(found.given)

            def compute(*operands: Any) -> Any:
                merged = [*consts]
                for k, value in zip(mark.consts, operands[n:], strict=True):
                    merged[k] = value
                given = operands[:n]
                if call.how in BY_GRADIENT:
                    result = self._transformed(call, found, merged, given)
                    gradients = gradients_of(call, result)
                else:
                    result, gradients = (), self._pulled(found, merged, given)
                self._send(mark, gradients or [], operands)
                leaves, known["tree"] = jax.tree_util.tree_flatten(result)
                known["leaves"] = leaves
                return [leaf for leaf in leaves if is_array(leaf)]

            compute.__name__ = compute.__qualname__ = f"{MARK}{mark.number}"
            operands = [*found.given, *(consts[k] for k in mark.consts)]
            arrays = iter(session.original["jit"](compute)(*operands))
            if call.how not in BY_GRADIENT:
                return real(*call.args, **call.kwargs)
            leaves = [next(arrays) if is_array(leaf) else leaf for leaf in known["leaves"]]
            result = jax.tree_util.tree_unflatten(known["tree"], leaves)
            gradients = gradients_of(call, result) or []
            self._kept += gradients
            for source, leaf in zip(sources, gradients):
                session.optimizers.is_gradient(leaf, source)
            return result

    def step(self, mark: Any, gradients: Sequence[Any], updates: Sequence[Any]) -> None:
        """Stand for a step of an optimizer: tell how large it was."""
        came: list[Any] = []
        self.steps.append((mark, came))
        self._kept += [*gradients, *updates]
        sizes = _sizes([*gradients, *updates])
        tell = self.session.original["callback"]
        tell(lambda sizes: came.append([float(each) for each in np.asarray(sizes)]), sizes)

    def _transformed(self, call: Call, found: Any, consts: list[Any], given: Any) -> Any:
        original = self.session.original[call.how]
        leaves, tree = jax.tree_util.tree_flatten((call.args, call.kwargs))
        fun = found.with_consts(consts)
        merged = [*leaves]
        for k, value in zip(found.dynamic, given, strict=True):
            merged[k] = value
        args, kwargs = jax.tree_util.tree_unflatten(tree, merged)
        return original(fun, call.given, call.has_aux)(*args, **kwargs)

    def _pulled(self, found: Any, consts: list[Any], given: Any) -> list[Any]:
        def target(asked: list[Any]) -> Any:
            merged = [*given]
            for each, value in zip(found.asked, asked, strict=True):
                merged[each.position] = value
            outs = jax.core.eval_jaxpr(found.closed.jaxpr, consts, *merged)[: found.targets]
            total = jnp.zeros(())
            for out, cotangent in zip(outs, cotangents_for(found)):
                total = total + jnp.real(jnp.sum(out * cotangent)).astype(total.dtype)
            return total

        asked = [given[each.position] for each in found.asked]
        try:
            return [*self.session.original["grad"](target)(asked)]
        except ValueError as error:
            if "Reverse-mode" not in str(error):
                raise
            return []  # it goes forwards only

    def _send(self, mark: Mark, gradients: list[Any], operands: Any) -> None:
        norms = _sizes(gradients)
        plain = [
            jax.random.key_data(v) if jax.dtypes.issubdtype(v.dtype, jax.dtypes.prng_key) else v
            for v in map(jnp.asarray, operands)
        ]
        kinds = [
            jax.random.key_impl(v) if jax.dtypes.issubdtype(v.dtype, jax.dtypes.prng_key) else None
            for v in map(jnp.asarray, operands)
        ]

        def tell(norms: Any) -> None:
            mark.norms.append([float(each) for each in np.asarray(norms)])

        def tell_all(*values: Any) -> None:
            if mark.bad is None:
                mark.bad = [
                    np.array(v) if kind is None else jax.random.wrap_key_data(v, impl=kind)
                    for v, kind in zip(values, kinds)
                ]

        callback = self.session.original["callback"]
        callback(tell, norms)
        bad = jnp.any((norms == 0) | ~jnp.isfinite(norms))
        jax.lax.cond(bad, lambda: callback(tell_all, *plain), lambda: None)

    # -- afterwards -------------------------------------------------------------------------------

    def _write_down(self, outer: Any) -> None:
        """Write down what the function computes around its gradient calls, and in them."""
        log = self.session.log

        def special(equation: Any, taken: list[int | None]) -> list[int | None] | None:
            name = str(equation.params.get("name", ""))
            if equation.primitive.name not in ("jit", "pjit") or not name.startswith(MARK):
                return None
            mark = self.marks[int(name.removeprefix(MARK))]
            if mark.ask is None:
                n, closed = len(mark.found.given), mark.found.closed
                known = [*map(outside, taken)]
                outer = {id(closed.consts[k]): v for k, v in zip(mark.consts, known[n:])}
                mark.ask = log.ask(
                    mark.line, mark.found, mark.sources, lambda c: outer.get(id(c)), known[:n]
                )
            return [None] * len(equation.outvars)

        def outside(value: int | None) -> Captured | None:
            if value is None:
                return None
            if value in values:
                return Captured(value, "variable_replaced")
            return Captured(value, "outside_tape", log.maker(value))

        inputs: list[int | None] = [None] * len(outer.jaxpr.invars)
        for mark in self.marks:
            for number, k in zip(mark.sources, mark.inputs):
                if k is not None:
                    inputs[k] = log.data.sources[number].value
        values = {value for value in inputs if value is not None}
        walk = Walk(log.recorder, lambda const: None, log.places.here(), special)
        walk.through(outer, inputs)

    def _note(self, mark: Mark, now: list[int | None]) -> None:
        if mark.ask is None:
            return
        line = mark.line
        bad = [norms for norms in mark.norms if norms and wrong(norms, mark.ask)]
        seen = None
        if bad and mark.bad is not None and mark.ask.targets:
            closed = mark.found.closed
            n = len(mark.found.given)
            for k, value in zip(mark.consts, mark.bad[n:]):
                closed.consts[k] = value
            seen = measured(self.session, mark.ask, mark.bad[:n])
        values: list[int | None] = [None] * len(mark.sources)
        if len(mark.norms) == 1:
            values = [None if k is None else now[k] for k in mark.inputs]
        step = line.passes
        if len(mark.norms) == 1:
            line.outer, step = self.outer, max(step, self.outer.passes - 1)
        connected = [float(source in mark.ask.connected) for source in mark.sources]
        for came in mark.norms:
            norms = came if len(came) == len(mark.sources) else connected
            found = seen if bad and came is bad[0] else None
            self.session.log.passed(mark.ask, step, norms, found, values)
            line.looked += 1
            step += 1
        line.passes = step


def _sizes(values: Sequence[Any]) -> Any:
    """Return the norms of some arrays; 0 only for one that is all zeros."""
    if not values:
        return jnp.zeros(0)
    tops, squares = [], []
    for value in values:
        size = jnp.abs(jnp.asarray(value)).astype(jnp.float32)
        tops.append(jnp.max(size, initial=0.0))
        squares.append(jnp.sum(size * size))
    top, found = jnp.stack(tops), jnp.sqrt(jnp.stack(squares))
    return jnp.where((found == 0) | ~jnp.isfinite(found), top, found)
