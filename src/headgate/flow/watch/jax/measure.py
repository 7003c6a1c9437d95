"""Measure: what the cotangent of each value is, found by differentiating a jaxpr once more.

Each result of an equation, and each operand, gets a **probe** added to it, which is zero. The
gradient by a probe is the cotangent that comes by there. This holds whatever an equation is: in the
body of a scan one probe stands for all iterations, under `cond` for the branch that was taken, and
functions with a rule of their own are asked through it. Where a cotangent that is not zero goes in,
and one that is exactly zero comes out, a gradient has died; where it stops being finite, a NaN was
born. It is done only where a gradient is zero or not finite, beside the program and with its
values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal

from headgate.flow.kinds import FACTOR
from headgate.flow.trace import Death
from headgate.flow.watch.jax.events import Visit, is_float, opened
from headgate.flow.watch.jax.ops import COMPOSITE, EVEN, FLAT, PRODUCTS, SELECTIONS, name_of

MOST = 20_000
"""Of so many equations at most a gradient is measured."""

_OPAQUE = {"shard_map", "xla_pmap"}
_SILENT = {"debug_callback", "debug_print"}

TINY = 1e-30
"""What becomes zero from less than this was lost to the range of its dtype, not to an op."""

CLOSED = {"clip", "maximum", "minimum", "relu"}

SMALL = 1_000
"""So many are compiled together, which is faster than one by one if they are few."""

Probe = tuple[int, bool, int]
"""Number on the walk, whether of a result (or of an operand), and which."""


class Unmeasured(Exception):
    """What cannot be computed once more."""


@dataclass(slots=True)
class Measured:
    """What was measured.

    Attributes:
        single: operands that alone take the result of an equation: its probe.
        still: values of the inputs that were asked for whose gradient is zero.
        norms: of the gradient by each input that was asked for.
        probes: of the cotangent at each probe.
        flags: number on the walk -> whether it ran, its results are finite, its operands are, and
            each of its operands is all zeros.
    """

    norms: list[float]
    probes: dict[Probe, float]
    flags: dict[int, Any]
    still: frozenset[int] = frozenset()
    single: dict[tuple[int, int], Probe] = field(default_factory=dict)

    def size(self, number: int, k: int, note: Any = None) -> float | None:
        """Return the norm of what an operand gets, None if it was not measured."""
        probe = self.single.get((number, k), (number, False, k))
        return self.probes.get(probe)


def measure(
    closed: Any,
    inputs: Sequence[Any],
    wanted: Sequence[int],
    visits: Sequence[Visit],
    cotangents: Sequence[Any],
    value_and_grad: Callable[..., Any],
    jit: Callable[..., Any],
) -> Measured:
    """Differentiate a closed jaxpr, and say what came by everywhere.

    Args:
        closed: the jaxpr, with its constants.
        inputs: its arguments.
        wanted: positions of those to differentiate by.
        visits: the walk through it.
        cotangents: one for each of the first results; those are the target.
        value_and_grad: JAX's own.
        jit: JAX's own.
    """
    if len(visits) > MOST:
        raise Unmeasured(f"more than {MOST} equations")
    single = _single(visits)
    probes = {
        probe: np.zeros(aval.shape, aval.dtype)
        for probe, aval in _probes(visits).items()
        if probe[1] or (probe[0], probe[2]) not in single
    }

    def target(asked: Sequence[Any], probes: dict[Probe, Any]) -> tuple[Any, Any]:
        given = [*inputs]
        for position, value in zip(wanted, asked, strict=True):
            given[position] = value
        run = _Run(visits, probes)
        results = run.open(closed.jaxpr, [*closed.consts, *given])
        total = jnp.zeros((), jnp.result_type(float))
        for result, cotangent in zip(results, cotangents):
            total = total + jnp.real(jnp.sum(result * cotangent)).astype(total.dtype)
        return total, run.flags

    asked = [jnp.asarray(inputs[position]) for position in wanted]
    compute = value_and_grad(target, argnums=(0, 1), has_aux=True)
    if len(visits) <= SMALL:
        compute = jit(compute)
    (_, flags), (came, seen) = compute(asked, probes)
    return Measured(
        [norm(each) for each in came],
        {probe: norm(each) for probe, each in seen.items()},
        {number: np.asarray(each) for number, each in flags.items()},
        single=single,
    )


def norm(value: Any) -> float:
    """Return the Euclidean norm of an array, 0 only if all of it is exactly zero."""
    array = np.asarray(value)
    if array.dtype == jax.dtypes.float0 or not array.size:
        return 0.0
    array = array.astype(np.complex128 if np.iscomplexobj(array) else np.float64).ravel()
    with np.errstate(all="ignore"):
        found = float(np.linalg.norm(array))
        if found == 0 and array.any():
            found = float(np.abs(array).max())
    return found


def _single(visits: Sequence[Visit]) -> dict[tuple[int, int], Probe]:
    """Return the operands that alone take the result of an equation, outside of all loops."""
    makers: dict[int, Probe] = {}
    takers: dict[int, list[tuple[int, int]]] = {}
    for number, visit in enumerate(visits):
        for note in visit.notes:
            for k, value in enumerate(note.taken):
                if value is not None:
                    takers.setdefault(value, []).append((number, k))
            if len(visit.notes) == 1 and note.event >= 0:
                for k, value in enumerate(note.outputs):
                    if value is not None and is_float(visit.equation.outvars[k]):
                        makers[value] = number, True, k
    return {
        taken[0]: makers[value]
        for value, taken in takers.items()
        if len(taken) == 1 and value in makers and not visits[makers[value][0]].returned
    }


def _probes(visits: Sequence[Visit]) -> dict[Probe, Any]:
    found: dict[Probe, Any] = {}
    for number, visit in enumerate(visits):
        for note in visit.notes:
            if note.event >= 0:
                for k, out in enumerate(visit.equation.outvars):
                    if is_float(out):
                        found[number, True, k] = out.aval
                for k, atom in enumerate(visit.equation.invars):
                    if note.inputs[k] is not None and is_float(atom):
                        found[number, False, k] = atom.aval
    return found


class _Run:
    """Computes what a walk went through, with probes added."""

    def __init__(self, visits: Sequence[Visit], probes: dict[Probe, Any]) -> None:
        self.visits = visits
        self.probes = probes
        self.flags: dict[int, Any] = {}
        self._at = 0

    def open(self, jaxpr: Any, given: Sequence[Any]) -> Any:
        env: dict[Any, Any] = dict(zip([*jaxpr.constvars, *jaxpr.invars], given, strict=True))

        def read(atom: Any) -> Any:
            return atom.val if isinstance(atom, Literal) else env[atom]

        for equation in jaxpr.eqns:
            number, self._at = self._at, self._at + 1
            results = self._equation(number, equation, [read(atom) for atom in equation.invars])
            env.update(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _equation(self, number: int, equation: Any, values: list[Any]) -> Any:
        name = equation.primitive.name
        if name == "scan":
            return self._scan(number, equation, values)
        if name == "cond":
            return self._cond(number, equation, values)
        if name in _SILENT:
            return []
        if name == "io_callback":
            raise Unmeasured("it calls back into Python")
        if name == "while" or name in _OPAQUE:
            self._at = self.visits[number].end
            return list(bound(equation, values))
        inner = opened(equation)
        if inner is not None:
            return self.open(inner[0], [*inner[1], *values])
        return self._op(number, equation, values)

    def _op(self, number: int, equation: Any, values: list[Any]) -> Any:
        values = [
            value + self.probes[number, False, k] if (number, False, k) in self.probes else value
            for k, value in enumerate(values)
        ]
        results = bound(equation, values)
        if any(note.event >= 0 for note in self.visits[number].notes):
            self.flags[number] = _flags(equation, values, results)
        return [
            value + self.probes[number, True, k] if (number, True, k) in self.probes else value
            for k, value in enumerate(results)
        ]

    def _scan(self, number: int, equation: Any, values: list[Any]) -> Any:
        params = equation.params
        fixed, state = params["num_consts"], params["num_carry"]
        body, start = params["jaxpr"], self._at

        def step(carry: Any, each: Any) -> Any:
            self._at = start
            run = _Run(self.visits, self.probes)
            run._at = start
            given = [*body.consts, *values[:fixed], *carry, *each]
            results = run.open(body.jaxpr, given)
            carry = [_like(r, c) for r, c in zip(results[:state], carry)]
            return carry, (results[state:], run.flags)

        carry = [jnp.asarray(v) for v in values[fixed : fixed + state]]
        each = values[fixed + state :]
        length, reverse = params["length"], params["reverse"]
        carry, (stacked, flags) = jax.lax.scan(step, carry, each, length, reverse)
        self.flags.update({k: _folded(v) for k, v in flags.items()})
        self._at = self.visits[number].end
        return [*carry, *stacked]

    def _cond(self, number: int, equation: Any, values: list[Any]) -> Any:
        index, *rest = values
        branches, starts, at = equation.params["branches"], [], self._at
        for branch in branches:  # where each begins on the walk
            starts.append(at)
            at = self._past(branch.jaxpr, at)
        self._at = at
        if not isinstance(index, jax.core.Tracer):
            chosen = min(max(int(index), 0), len(branches) - 1)
            run = _Run(self.visits, self.probes)
            run._at = starts[chosen]
            branch = branches[chosen]
            results = run.open(branch.jaxpr, [*branch.consts, *rest])
            self.flags.update(run.flags)
            return results

        def of(branch: Any, start: int) -> Callable[..., Any]:
            def taken(*rest: Any) -> Any:
                run = _Run(self.visits, self.probes)
                run._at = start
                results = run.open(branch.jaxpr, [*branch.consts, *rest])
                known = {k: _absent(self.visits[k].equation) for k in range(starts[0], at)}
                return results, known | run.flags

            return taken

        made = [of(*each) for each in zip(branches, starts)]
        taken, flags = jax.lax.switch(index, made, *rest)
        self.flags.update(flags)
        return list(taken)

    def _past(self, jaxpr: Any, at: int) -> int:
        """Return the number after the last equation of a jaxpr that begins at a number."""
        for _ in jaxpr.eqns:
            at = self.visits[at].end
        return at


def bound(equation: Any, values: Sequence[Any]) -> Any:
    """Return the results of an equation for some values."""
    params = equation.primitive.get_bind_params(equation.params)
    results: Any
    with equation.ctx.manager:
        results = equation.primitive.bind(*values, **params)
    return results if equation.primitive.multiple_results else [results]


def _like(value: Any, model: Any) -> Any:
    return value if value.dtype == model.dtype else value.astype(model.dtype)


def _flags(equation: Any, values: Sequence[Any], results: Sequence[Any]) -> Any:
    """Return whether an equation ran, its results and its operands are finite, and for each of
    those whether it is all zeros."""
    product = name_of(equation.primitive.name) in PRODUCTS | EVEN
    zeros = [_is_zero(value) if product else False for value in values]
    flags = (True, _finite(results), _finite(values), *zeros)
    return jnp.stack([jnp.asarray(each) for each in flags])


def _absent(equation: Any) -> Any:
    return jnp.asarray([False, True, True, *[False] * len(equation.invars)])


def _folded(flags: Any) -> Any:
    """Return the flags of all iterations in one."""
    return flags.all(axis=0).at[0].set(flags[:, 0].any())


def _finite(values: Sequence[Any]) -> Any:
    found = True
    for value in values:
        if jnp.issubdtype(jnp.result_type(value), jnp.inexact):
            found = jnp.logical_and(found, jnp.all(jnp.isfinite(jax.lax.stop_gradient(value))))
    return found


def _is_zero(value: Any) -> Any:
    kind = jnp.result_type(value)
    if not jnp.issubdtype(kind, jnp.number) and kind != np.bool_:
        return False
    return jnp.logical_not(jnp.any(jax.lax.stop_gradient(value) != 0))


# -- what it means ---------------------------------------------------------------------------------


def deaths(
    trace: Any, visits: Sequence[Visit], seen: Measured, custom: Callable[[Any], str]
) -> tuple[dict[int, float], dict[tuple[int, int], Death]]:
    """Return the cotangents of values, and where gradient becomes exactly zero and how.

    Args:
        trace: with the events of the walk.
        visits: the walk.
        seen: what was measured.
        custom: tells of an equation with a rule whose rule it is, "" if a library's.
    """
    cotangents: dict[int, float] = {}
    found: dict[tuple[int, int], Death] = {}
    made = {
        value: trace.events[note.event].op
        for visit in visits
        for note in visit.notes
        for value in note.outputs
        if note.event >= 0 and value is not None
    }
    for number, visit in enumerate(visits):
        came = [seen.probes.get((number, True, k), 0.0) for k in range(len(visit.equation.outvars))]
        for note in visit.notes:
            if note.event < 0:
                continue
            for value, size in zip(note.outputs, came):
                if value is not None and size:
                    cotangents[value] = max(size, cotangents.get(value, 0.0))
            if max(came, default=0.0) < TINY:
                continue
            for k, position in enumerate(note.inputs):
                if position is None or seen.size(number, k, note) != 0:
                    continue
                event = trace.events[note.event]
                flags = seen.flags.get(number)
                if event.flows[position] and not _is_minimum(visit, note, k, event.op, flags, made):
                    found[note.event, position] = _autopsy(visit, note, k, event.op, flags, custom)
    _within(visits, seen, cotangents, found)
    return cotangents, found


def _within(
    visits: Sequence[Visit],
    seen: Measured,
    cotangents: dict[int, float],
    found: dict[tuple[int, int], Death],
) -> None:
    """Note as dead what cancels within one function of JAX's library: that is its slope."""
    makers = {v for visit in visits for note in visit.notes for v in note.outputs}
    for number, visit in enumerate(visits):
        function = visit.where.function if visit.where is not None else ""
        if function not in COMPOSITE.values():
            continue
        for note in visit.notes:
            for k, value in enumerate(note.taken):
                size = seen.size(number, k)
                position = note.inputs[k]
                if not size or position is None or value is None or cotangents.get(value):
                    continue
                if value in makers or value in seen.still:
                    found[note.event, position] = Death(0, 1, label=function)


def _is_minimum(visit: Visit, note: Any, k: int, op: str, flags: Any, made: dict[int, str]) -> bool:
    """Tell whether an op is flat only because what it takes is exactly zero, as a square is.

    Not so where that is zero because something else lets nothing through.
    """
    if op not in EVEN or flags is None or not flags[3 + k]:
        return False
    if op == "multiply" and not flags[3:].all():
        return False
    return made.get(note.taken[k] or 0, "") not in SELECTIONS | CLOSED


def _autopsy(
    visit: Visit, note: Any, k: int, op: str, flags: Any, custom: Callable[[Any], str]
) -> Death:
    atom = visit.equation.invars[k]
    size = math.prod(atom.aval.shape)
    whose = custom(visit.equation)
    if whose:
        return Death(0, size, "custom_gradient")
    if op in FLAT:
        return Death(0, size, "nondiff_op", label=visit.draw)
    if op in PRODUCTS and flags is not None:
        zeros = [j for j in range(len(note.taken)) if j != k and flags[3 + j]]
        if zeros:
            factor = note.taken[zeros[0]]
            if factor is not None:
                return Death(0, size, factor=factor, label=visit.draw)
            other = visit.equation.invars[zeros[0]]
            if op == "multiply" and math.prod(other.aval.shape) > 1:
                return Death(0, size, "mask", label=visit.draw)
            return Death(0, size, label=FACTOR)
    if op == "where" and note.taken[0] is not None:
        return Death(0, size, label=visit.draw)
    if op in SELECTIONS:
        return Death(0, size, "mask", label=visit.draw)
    return Death(0, size, label=visit.draw)


def birth(visits: Sequence[Visit], seen: Measured) -> tuple[int, str] | None:
    """Return where what is not finite was born: a number on the walk, and its kind."""
    for number in range(len(visits)):
        flags = seen.flags.get(number)
        if flags is not None and not flags[1] and flags[2]:
            return number, "nonfinite_value"
    for number in reversed(range(len(visits))):
        visit = visits[number]
        came = [seen.probes.get((number, True, k), 0.0) for k in range(len(visit.equation.outvars))]
        gave = [seen.size(number, k) or 0.0 for k in range(len(visit.equation.invars))]
        if any(came) and all(map(math.isfinite, came)) and not all(map(math.isfinite, gave)):
            return number, "nonfinite_slope"
    return None
