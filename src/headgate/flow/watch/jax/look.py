"""A look at one gradient call: written down as equations, and measured if something is wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from headgate.flow.watch.border import border
from headgate.flow.watch.jax.forward import Forward, forward, is_array, is_soft
from headgate.flow.watch.jax.log import Ask, Line
from headgate.flow.watch.jax.measure import Measured, Unmeasured, measure, norm
from headgate.flow.watch.jax.names import named, paths, roots
from headgate.flow.watch.jax.optimizers import digest

if TYPE_CHECKING:
    from headgate.flow.watch.jax.calls import Call
    from headgate.flow.watch.jax.session import Session

UNTRACED = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)
"""What is raised where a function wants to know a value as it is read."""

BY_GRADIENT = ("grad", "value_and_grad")
FORWARDS = ("jvp", "linearize")


def look_at(session: Session, call: Call, result: Any) -> None:
    """Look at a gradient call that has been made."""
    log = session.log
    line = log.line(log.places.here(), call.how)
    step, looks = line.passes, session.looks(line)
    line.passes += 1
    if not looks:
        return
    border.arrive(
        "jax",
        jax.tree_util.tree_leaves((call.args, call.kwargs)),
        log.data.places[log.places.here().place],
    )
    line.looked += 1
    gradients = gradients_of(call, result)
    norms = None if gradients is None else [norm(each) for each in gradients]
    ask = line.ask
    if ask is None or norms is None or states(norms) != line.came or _has_changed(ask, call):
        try:
            ask = write_down(session, call, line)
        except UNTRACED as error:
            session.untraced(call, line, error, norms)
            return
    if norms is None or len(norms) != len(ask.sources):
        seen = measured(session, ask, ask.forward.given)
        connected = [float(source in ask.connected) for source in ask.sources]
        norms = connected if seen is None else seen.norms
    else:
        seen = measured(session, ask, ask.forward.given) if wrong(norms, ask) else None
    now = leaves_of(call)
    log.passed(ask, step, norms, seen, [digest(leaf) for leaf in now])
    for source, leaf in zip(ask.sources, now):
        log.know(leaf, source)
    for source, leaf in zip(ask.sources, gradients or ()):
        session.optimizers.is_gradient(leaf, source)
    line.came = states(norms)


def write_down(session: Session, call: Call, line: Line) -> Ask:
    """Write a gradient call down."""
    found = traced(session, call)
    names = names_for(call)
    sources = session.log.sources_of(line, found, names)
    ask = session.log.ask(line, found, sources)
    session.given_beside += [(line, k) for k in _beside(session, call, ask, names)]
    return ask


def _beside(session: Session, call: Call, ask: Ask, names: Sequence[str]) -> list[int]:
    """Note what the function is given and not differentiated by; return what lies in one tree with
    something that it is differentiated by, where the program does not say by which arguments."""
    log, where = session.log, ask.line.where
    others = [k for k, name in enumerate(names) if not name]
    roots_of = roots(call.fun, others, [call.args[k] for k in others])
    trees = {_tree_of(name) for name in names if name}
    scope = log.data.places[where.place].function
    used = {id(atom) for each in ask.forward.closed.jaxpr.eqns for atom in each.invars}
    taken = {
        id(leaf)
        for leaf, atom in zip(ask.forward.given, ask.forward.closed.jaxpr.invars)
        if id(atom) in used
    }
    found = []
    asked = [_signature(call.args[k])[1] for k, name in enumerate(names) if name]
    for number, root in zip(others, roots_of):
        copied = _signature(call.args[number])[1] in asked  # as the target of a network is
        leaves = [] if root.startswith(" ") else paths(call.args[number])
        for path, short, leaf in leaves if len(leaves) <= MOST_BESIDE else ():
            if not is_array(leaf) or not is_soft(leaf) or log.known(leaf) is not None:
                continue
            source = log.source(leaf, root + path, short, scope, where)
            beside = _tree_of(root) in trees - {""} and not copied
            if not call.explicit and beside and id(leaf) in taken:
                found.append(source)
    return found


MOST_BESIDE = 64
"""Of an argument with more leaves than this that is not differentiated by, none is noted."""


def _tree_of(name: str) -> str:
    """Return the tree that something lies in by its name, "" if in none."""
    return name.strip().rpartition("[")[0] if name.endswith("]") else ""


def leaves_of(call: Call) -> list[Any]:
    """Return the leaves that a call differentiates by, in the order of their gradients."""
    trees = [call.args[number] for number in call.argnums]
    return [leaf for leaf in jax.tree_util.tree_leaves(trees) if is_soft(leaf)]


def leaves_with_names(call: Call) -> list[tuple[str, Any]]:
    """Return the same leaves, each with what it is called."""
    names = names_for(call)
    found: list[tuple[Any, str]] = []
    for number in call.argnums:
        for path, _, leaf in paths(call.args[number]):
            if is_soft(leaf):
                found.append((leaf, names[number] + path))
    return [(name, leaf) for (leaf, _), name in zip(found, named(found), strict=True)]


def names_for(call: Call) -> list[str]:
    """Return what each argument of a call is called that it differentiates by, "" for others."""
    count = max(len(call.args), 1)
    numbers = [number % count for number in call.argnums]
    names = dict(zip(numbers, roots(call.fun, numbers, [call.args[k] for k in numbers])))
    return [names.get(k, "") for k in range(count)]


def traced(session: Session, call: Call) -> Forward:
    """Return what the function of a call computes."""
    make_jaxpr = session.original["make_jaxpr"]
    session.muted += 1
    try:
        return forward(make_jaxpr, call.fun, call.argnums, call.args, call.kwargs, call.has_aux)
    finally:
        session.muted -= 1


def _has_changed(ask: Ask, call: Call) -> bool:
    """Tell whether a call is of another function or other shapes than the one before."""
    return bool(_signature(ask.forward.args) != _signature(call.args))


def _signature(args: Any) -> Any:
    leaves, tree = jax.tree_util.tree_flatten(args)
    return tree, [
        (getattr(leaf, "shape", None), str(getattr(leaf, "dtype", ""))) for leaf in leaves
    ]


def gradients_of(call: Call, result: Any) -> list[Any] | None:
    """Return the gradient by each leaf that has one; None if that is not what was returned."""
    if call.how not in BY_GRADIENT:
        return None
    if call.how == "value_and_grad":
        tree = result[1]
    else:
        tree = result[0] if call.has_aux else result
    leaves = jax.tree_util.tree_leaves(tree)
    return [leaf for leaf in leaves if leaf.dtype != jax.dtypes.float0]


def states(norms: Sequence[float]) -> tuple[str, ...]:
    """Return in a word each what gradients are like."""
    return tuple(
        "zero" if size == 0 else "some" if math.isfinite(size) else "nan" for size in norms
    )


def wrong(norms: Sequence[float], ask: Ask) -> bool:
    """Tell whether gradients are zero, or not finite, that gradient could reach."""
    return any(
        not math.isfinite(size) or (size == 0 and source in ask.connected)
        for size, source in zip(norms, ask.sources)
    )


def measured(session: Session, ask: Ask, given: Sequence[Any]) -> Measured | None:
    """Measure a gradient call with some values for what its function takes."""
    found = ask.forward
    wanted = [each.position for each in found.asked]
    cotangents = cotangents_for(found)
    own = session.original["value_and_grad"], session.original["jit"]
    try:
        return measure(found.closed, given, wanted, ask.walk.visits, cotangents, *own)
    except Unmeasured as error:
        session.log.fault(error)
        return None
    except ValueError as error:
        if "Reverse-mode" not in str(error):
            raise
        return None


def cotangents_for(found: Forward) -> list[Any]:
    """Return cotangents for what is differentiated: 1 for a loss, else any that are not alike."""
    outs = found.closed.out_avals[: found.targets]
    if len(outs) == 1 and outs[0].shape == ():
        return [np.ones((), outs[0].dtype)]
    rng = np.random.default_rng(0)
    return [
        np.asarray(rng.uniform(0.5, 1.5, aval.shape), aval.dtype)
        if jax.dtypes.issubdtype(aval.dtype, jnp.inexact)
        else np.zeros(aval.shape, np.float32)
        for aval in outs
    ]
