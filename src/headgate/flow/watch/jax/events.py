"""Events of a jaxpr: each equation becomes one, at its line of the program.

What only calls other equations (`jit`, `remat`) is opened, and so are loops and branches, so that
an argmax in the body of a scan is an event like any other. The body of a loop is written down
twice: what the first time round puts into the state, the second takes out of it. Functions with a
rule of their own (`custom_vjp`, `custom_jvp`) are one event, for their rule decides.

The walk has an order that does not depend on anything but the equations, so whoever walks the same
way (`headgate.flow.watch.jax.measure`) finds the events of an equation by its number on the walk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Literal

from headgate.flow.trace import Event, Trace
from headgate.flow.watch.jax.ops import COMPOSITE, DRAWS, FLAT, INLINE, STOPS, name_of
from headgate.flow.watch.jax.places import Places, Where, function_of, home_of, is_jax
from headgate.record.site import is_users

CUSTOM = ("custom_vjp_call", "custom_jvp_call", "custom_vjp_call_jaxpr")

ROUNDS = 2
"""So often the body of a loop is written down."""

MOST = 200_000
"""So many events are kept."""


@dataclass(slots=True)
class Captured:
    """A value of the program that a differentiated function got other than by its arguments.

    Attributes:
        value: number of what it comes from.
        kind: of the cut at its first use.
        place: where that is, None for the equation that uses it first.
    """

    value: int
    kind: str
    place: Where | None = None
    label: str = ""


@dataclass(slots=True)
class Note:
    """An equation as it was written down, once.

    Attributes:
        event: number of its event, -1 if it has none.
        inputs: for each of its operands the position among the event's inputs, None if it is not
            one of them.
        outputs: for each of its results the value, None if nobody follows it.
        taken: value of each of its operands, None if nobody follows it.
    """

    event: int
    inputs: tuple[int | None, ...]
    outputs: tuple[int | None, ...]
    taken: tuple[int | None, ...]


@dataclass(slots=True)
class Visit:
    """A place on the walk: an equation, and what was written down of it each time."""

    notes: list[Note] = field(default_factory=list)
    end: int = 0  # the number after the last equation within it
    equation: Any = None
    dropped: bool = False  # whether nobody takes its results
    returned: bool = False  # whether they are results of the jaxpr that it lies in
    where: Where | None = None
    draw: str = ""  # what the function of JAX's library is called that it lies in


class Recorder:
    """Writes the equations of jaxprs down in a trace."""

    def __init__(self, trace: Trace, places: Places) -> None:
        self.trace = trace
        self.places = places
        self.count = 0
        self.rules: dict[str, Where] = {}  # function with a rule of its own -> the rule's line

    def new(self) -> int:
        """Return a number for a value."""
        self.count += 1
        return self.count

    def note(
        self,
        op: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        flows: Sequence[bool],
        where: Where,
        kind: str = "",
        label: str = "",
        shape: tuple[int, ...] = (),
        dtype: str = "",
        positions: tuple[int, ...] = (),
        scope: int = 0,
    ) -> int:
        """Write an event down and return its number."""
        number = len(self.trace.events)
        if number < MOST:
            event = Event(
                op,
                tuple(inputs),
                tuple(outputs),
                tuple(flows),
                where.place,
                scope,
                kind,
                label,
                shape,
                dtype,
                positions,
                where.callers,
            )
            self.trace.events.append(event)
        return number


class Walk:
    """One walk through a closed jaxpr.

    Attributes:
        visits: what was met, in order.
        outputs: values of the results, None for those that depend on nothing followed.
    """

    def __init__(
        self,
        recorder: Recorder,
        captured: Callable[[Any], Captured | int | None],
        where: Where,
        special: Callable[[Any, list[int | None]], list[int | None] | None] | None = None,
    ) -> None:
        self.recorder = recorder
        self.captured = captured
        self.visits: list[Visit] = []
        self.special = special
        self.outputs: list[int | None] = []
        self._at = 0
        self._where = where
        self._draw = ""
        self._home: Where | None = None  # the line of what is opened, if that is not the program's

    def through(self, closed: Any, inputs: Sequence[int | None]) -> Walk:
        """Walk through a closed jaxpr, given the value of each of its inputs."""
        made = self._open(closed.jaxpr, [*map(self.captured, closed.consts), *inputs])
        results = zip(made, closed.jaxpr.outvars, strict=True)
        self.outputs = [self._read(value, atom, self._where) for value, atom in results]
        return self

    # -- the walk ---------------------------------------------------------------------------------

    def _open(self, jaxpr: Any, given: Sequence[Any]) -> list[int | None]:
        """Walk through a jaxpr, given a value for each of its inputs."""
        env: dict[Any, Any] = dict(zip([*jaxpr.constvars, *jaxpr.invars], given, strict=True))
        used = {id(atom) for equation in jaxpr.eqns for atom in equation.invars}
        results = set(map(id, jaxpr.outvars))
        used |= results
        for equation in jaxpr.eqns:
            number, self._at = self._at, self._at + 1
            if number == len(self.visits):
                self.visits.append(Visit())
            visit = self.visits[number]
            where = self._home or self.recorder.places.of(equation) or self._where
            visit.equation, visit.draw = equation, self._draw or where.function
            visit.where = where
            taken = [self._known(atom, env) for atom in equation.invars]
            visit.returned = not results.isdisjoint(map(id, equation.outvars))
            visit.dropped = used.isdisjoint(map(id, equation.outvars))
            made = self._equation(equation, taken, where, visit)
            visit.end = self._at
            env.update(zip(equation.outvars, made, strict=True))
        return [self._known(atom, env) for atom in jaxpr.outvars]

    def _known(self, atom: Any, env: dict[Any, Any]) -> Any:
        return None if isinstance(atom, Literal) else env.get(atom)

    def _read(self, value: Any, atom: Any, where: Where) -> int | None:
        """Return a value at its use, where it is a captured one by an event of its own."""
        if not isinstance(value, Captured):
            return value  # type: ignore[no-any-return]
        made = self.recorder.new()
        at = value.place or where
        self.recorder.note(
            "read", [value.value], [made], [False], at, value.kind, value.label, shape_of(atom)
        )
        return made

    def _equation(
        self, equation: Any, taken: list[int | None], where: Where, visit: Visit
    ) -> list[int | None]:
        name = equation.primitive.name
        if name == "scan":
            return self._scan(equation, taken, where)
        if name == "while":
            return self._while(equation, taken, where)
        if name == "cond":
            return self._cond(equation, taken, where, visit)
        found = None if self.special is None else self.special(equation, taken)
        if found is not None:
            return found
        inner = opened(equation)
        if inner is not None:
            jaxpr, consts = inner
            return self._inline(jaxpr, [*map(self.captured, consts), *taken], where)
        return self._op(equation, taken, where, visit)

    def _inline(self, inner: Any, taken: Sequence[Any], where: Where) -> list[int | None]:
        home, draw = self._home, self._draw
        foreign = not is_users(home_of(inner))
        if foreign:
            self._home = home or where
            self._draw = draw or DRAWS.get(function_of(inner), "")
        try:
            return self._open(inner, taken)
        finally:
            self._home, self._draw = home, draw

    # -- loops and branches -----------------------------------------------------------------------

    def _scan(self, equation: Any, taken: list[int | None], where: Where) -> list[int | None]:
        params = equation.params
        body = params["jaxpr"]
        n_consts, n_carry = params["num_consts"], params["num_carry"]
        consts, carry = taken[:n_consts], taken[n_consts : n_consts + n_carry]
        given = [*consts, *carry, *taken[n_consts + n_carry :]]
        return self._rounds(body, given, n_consts, n_carry, params["length"], where)

    def _rounds(
        self,
        body: Any,
        given: list[int | None],
        fixed: int,
        state: int,
        length: int,
        where: Where,
    ) -> list[int | None]:
        jaxpr, start = body.jaxpr, self._at
        carry, stacked = given[fixed : fixed + state], []
        consts = [*map(self.captured, body.consts)]
        for _ in range(min(length, ROUNDS) or 1):
            self._at = start
            inputs = [*given[:fixed], *carry, *given[fixed + state :]]
            made = self._inline(jaxpr, [*consts, *inputs], where)
            carry = made[:state]
            stacked.append(made[state:])
        results: list[int | None] = [*carry]
        for rounds, atom in zip(zip(*stacked), jaxpr.outvars[state:]):
            results.append(self._joined("stack", rounds, where, atom))
        return results

    def _joined(self, op: str, given: Sequence[Any], where: Where, atom: Any) -> int | None:
        read = [self._read(value, atom, where) for value in given]
        values = [value for value in read if value is not None]
        if len(values) < 2:
            return values[0] if values else None
        made = self.recorder.new()
        self.recorder.note(
            op,
            values,
            [made],
            [True] * len(values),
            where,
            shape=shape_of(atom),
            dtype=str(getattr(atom.aval, "dtype", "")),
        )
        return made

    def _while(self, equation: Any, taken: list[int | None], where: Where) -> list[int | None]:
        params = equation.params
        n_cond, n_body = params["cond_nconsts"], params["body_nconsts"]
        body, given = params["body_jaxpr"], taken[n_cond:]
        return self._rounds(body, given, n_body, len(given) - n_body, ROUNDS, where)

    def _cond(
        self, equation: Any, taken: list[int | None], where: Where, visit: Visit
    ) -> list[int | None]:
        made = []
        for branch in equation.params["branches"]:
            given = [*map(self.captured, branch.consts), *taken[1:]]
            made.append(self._inline(branch.jaxpr, given, where))
        results: list[int | None] = []
        for values, atom in zip(zip(*made), equation.outvars):
            results.append(self._joined("cond", values, where, atom))
        return results

    # -- one equation -----------------------------------------------------------------------------

    def _op(
        self, equation: Any, taken: list[int | None], where: Where, visit: Visit
    ) -> list[int | None]:
        taken = [self._read(v, atom, where) for v, atom in zip(taken, equation.invars)]
        known = [(k, value) for k, value in enumerate(taken) if value is not None]
        outs = equation.outvars
        if not known:
            visit.notes.append(Note(-1, (None,) * len(taken), (None,) * len(outs), tuple(taken)))
            return [None] * len(outs)
        name = name_of(equation.primitive.name)
        if equation.primitive.name in CUSTOM:
            name = function_of(_call_of(equation)) or name
        name = composite(equation) or name
        inputs = [value for _, value in known]
        positions = tuple(k for k, _ in known)
        floats = [is_float(equation.invars[k]) for k in positions]
        soft = [k for k, out in enumerate(outs) if is_float(out)]
        hard = [k for k in range(len(outs)) if k not in soft]
        made: list[int | None] = [self.recorder.new() for _ in outs]
        number = -1
        for part in filter(None, (soft, hard)):
            kind = ""
            flows = [part is soft and each for each in floats]
            if name in STOPS or name in FLAT:
                flows = [False] * len(flows)
            if any(floats) and not any(flows):
                kind = _kind(name)
            label = where.inside
            if kind in ("nondiff_op", "integer_cast"):
                label = label or visit.draw
            event = self.recorder.note(
                name,
                inputs,
                [made[k] or 0 for k in part],
                flows,
                where,
                kind,
                label,
                shape_of(outs[part[0]]),
                str(getattr(outs[part[0]].aval, "dtype", "")),
                positions if len(positions) < len(taken) else (),
            )
            number = event if number < 0 else number
            own = self._home is None and not where.inside
            if name in STOPS and own and visit.dropped and not where.function:
                self.recorder.trace.dropped.add(event)
        at = {k: place for place, k in enumerate(positions)}
        inputs_at = tuple(at.get(k) for k in range(len(taken)))
        visit.notes.append(Note(number, inputs_at, tuple(made), tuple(taken)))
        return made


def _kind(name: str) -> str:
    if name in STOPS:
        return "stop_gradient"
    return "integer_cast" if name == "astype" else "nondiff_op"


def opened(equation: Any) -> tuple[Any, Sequence[Any]] | None:
    """Return the jaxpr that an equation only calls and its constants, None if it does more."""
    if equation.primitive.name not in INLINE or composite(equation):
        return None
    for name in ("jaxpr", "call_jaxpr"):
        inner = equation.params.get(name)
        if inner is not None:
            return (inner.jaxpr, inner.consts) if isinstance(inner, ClosedJaxpr) else (inner, ())
    return None


def composite(equation: Any) -> str:
    """Return which function of JAX's an equation calls that is one op, "" if none."""
    inner = equation.params.get("jaxpr")
    jaxpr = getattr(inner, "jaxpr", inner)
    name = COMPOSITE.get(function_of(jaxpr), "")
    return name if name and is_jax(home_of(jaxpr)) else ""


def _call_of(equation: Any) -> Any:
    inner = equation.params.get("call_jaxpr") or equation.params.get("fun_jaxpr")
    return getattr(inner, "jaxpr", inner)


def is_float(atom: Any) -> bool:
    """Tell whether a value of a jaxpr can have a gradient."""
    dtype = getattr(getattr(atom, "aval", None), "dtype", None)
    return dtype is not None and jax.dtypes.issubdtype(dtype, jnp.inexact)


def shape_of(atom: Any) -> tuple[int, ...]:
    """Return the shape of a value of a jaxpr."""
    return tuple(k for k in getattr(atom.aval, "shape", ()) if isinstance(k, int))
