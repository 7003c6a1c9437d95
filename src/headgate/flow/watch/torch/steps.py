"""Optimizers: what they have, and what they are given at each step.

Each step tells which parameters had a gradient. While nobody looks closely that is all that is
known, and a step that has others than the one before brings a closer look.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

from headgate.flow.course import looks_at
from headgate.flow.trace import Course, Update
from headgate.flow.watch.torch.records import CHANGES, CLOSELY, Stepper
from headgate.flow.watch.torch.shield import shielded
from headgate.flow.watch.torch.values import norm, tensors_in
from headgate.flow.watch.torch.wiped import stepped

if TYPE_CHECKING:
    from headgate.flow.watch.torch.session import Session


def add_param_group(session: Session, original: Any, optimizer: Any, group: Any) -> None:
    """Note what an optimizer is given, where, and what of it is no leaf."""
    listed = group.get("params") if isinstance(group, dict) else None
    if isinstance(listed, torch.Tensor):
        listed = [listed]
    elif listed is not None and not isinstance(listed, list | tuple | set):
        listed = list(listed)
        group = {**group, "params": listed}
    _note_given(session, optimizer, listed or ())
    original(optimizer, group)
    _note_taken(session, optimizer)


@shielded
def _note_given(session: Session, optimizer: Any, listed: Any) -> None:
    if id(optimizer) not in session.steppers:
        session.steppers[id(optimizer)] = Stepper(optimizer, session.log.here())
    for each in tensors_in((list(listed),), deep=True):
        if each.requires_grad and not each.is_leaf:
            found = session.log.known(each)
            if found is not None:
                session.log.non_leaf(each, found)


@shielded
def _note_taken(session: Session, optimizer: Any) -> None:
    known = session.steppers[id(optimizer)]
    for each in optimizer.param_groups[-1]["params"]:
        known.parameters.append(each)
        session.log.leaf(each)


def _adopt(session: Session, optimizer: Any) -> Stepper:
    """Return what is known of an optimizer that was made before anybody looked on."""
    known = session.steppers[id(optimizer)] = Stepper(optimizer, session.log.here())
    for group in optimizer.param_groups:
        known.parameters += group["params"]
        for each in group["params"]:
            session.log.leaf(each)
    return known


@shielded
def before_step(session: Session, optimizer: Any, args: Any, kwargs: Any) -> None:
    """Note what an optimizer is about to be given."""
    if threading.get_ident() != session.thread:
        return
    session.log.stepping = 1
    known = session.steppers.get(id(optimizer)) or _adopt(session, optimizer)
    known.steps += 1
    stepped(session, known)
    known.rate = max(known.rate, *(_rate(group) for group in optimizer.param_groups))
    if not args[1:] and not kwargs.get("closure"):
        _note_step(session, known)


@shielded
def after_step(session: Session, optimizer: Any, args: Any, kwargs: Any) -> None:
    """Note that a step is done, and what it moved that is frozen."""
    if threading.get_ident() != session.thread:
        return
    session.log.stepping = 0
    session.settle()
    known = session.steppers.get(id(optimizer))
    if known is None:
        return
    if args[1:] or kwargs.get("closure"):
        _note_step(session, known)
    for parameter, before in session.held_still:
        if not torch.equal(parameter, before):
            session.moved.setdefault(session.log.leaf(parameter).number, session.log.here())
    session.held_still.clear()
    session.log.turn += 1


@shielded
def _note_step(session: Session, known: Stepper) -> None:
    session.held_still = [
        (p, p.detach().clone())
        for p in known.parameters
        if not p.requires_grad and p.grad is not None and len(session.moved) < CHANGES
    ]
    missing = frozenset(id(p) for p in known.parameters if p.grad is None)
    before, known.missing = known.missing, missing
    known.fed = known.fed or len(missing) < len(known.parameters)
    new, zero = before != missing, known.zero
    if looks_at(known.steps):
        session.log.quiet += 1
        new = _measured(known) or new
        session.log.quiet -= 1
    if new or zero != known.zero:
        _note_course(session, known)
    if not session.on:
        if new and session.latest is not None:  # other gradients than before, or all is new
            session.latest.looked = min(session.latest.looked, CLOSELY - 1)
            session.take_up(session.latest)
        return
    log = session.log
    place = known.last = log.here()
    sources, values, sizes = [], [], []
    log.quiet += 1
    try:
        for parameter in known.parameters:
            leaf = log.leaf(parameter)
            if parameter.grad is None:
                if leaf.cleared >= 0:
                    leaf.wiped = leaf.cleared
                continue
            size = norm(parameter.grad)
            if size == 0 and not leaf.gradient and leaf.cleared >= 0:
                leaf.wiped = leaf.cleared
            else:
                leaf.given += 1
            log.trace.sources[leaf.number].updated = True
            sources.append(leaf.number)
            values.append(leaf.gradient or None)
            sizes.append(size)
    finally:
        log.quiet -= 1
    number = list(session.steppers).index(id(known.optimizer))
    log.trace.updates.append(
        Update(place, "step", tuple(sources), tuple(values), tuple(sizes), number, known.steps)
    )


def _measured(known: Stepper) -> bool:
    """Look at what the gradients are; tell whether some are zero or not finite anew.

    It is done at ever fewer steps.
    """
    sizes = [(id(p), norm(p.grad)) for p in known.parameters if p.grad is not None]
    known.zero = frozenset(number for number, size in sizes if size == 0)
    was_finite, known.finite = known.finite, all(math.isfinite(size) for _, size in sizes)
    new = not known.zero <= known.was_zero
    known.was_zero |= known.zero
    return new or (was_finite and not known.finite)


def _note_course(session: Session, known: Stepper) -> None:
    """Note for each parameter what it has from this pass of the line on that was called last."""
    line = session.latest
    if line is None:
        return
    runs = known.runs.setdefault(line.place, {})
    for position, parameter in enumerate(known.parameters):
        number = id(parameter)
        state = "none" if number in (known.missing or ()) else "some"
        state = "zero" if number in known.zero and state == "some" else state
        mine = runs.setdefault(position, [])
        if not mine or mine[-1][1] != state:
            mine.append((line.passes - 1 if mine else 0, state))


def courses(session: Session) -> Iterator[Course]:
    """Yield how the gradients of all parameters of optimizers went."""
    passes: dict[int, tuple[int, int]] = {}
    for line in session.lines.values():
        before = passes.get(line.place, (0, 0))
        passes[line.place] = before[0] + line.passes, before[1] + line.looked
    for known in session.steppers.values():
        for place, runs in known.runs.items():
            for position, mine in runs.items():
                number = session.log.leaf(known.parameters[position]).number
                yield Course(number, place, tuple(mine), *passes[place])


def _rate(group: dict[str, Any]) -> float:
    rate = group.get("lr", 1.0)
    return abs(float(rate))
