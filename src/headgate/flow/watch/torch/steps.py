"""Optimizers: what they have, and what they are given at each step.

Each step tells which parameters had a gradient. While nobody looks closely that is all that is
known, and a step that has others than the one before brings a closer look.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import torch

from headgate.flow.trace import Update
from headgate.flow.watch.torch.records import CHANGES, CLOSELY, Stepper
from headgate.flow.watch.torch.shield import shielded
from headgate.flow.watch.torch.values import norm, tensors_in

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
    if not session.on:
        _note_change(session, before, missing)
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


def _note_change(session: Session, before: frozenset[int] | None, missing: frozenset[int]) -> None:
    """Look at the next pass if other gradients are missing than before, or all is new."""
    if before != missing and session.latest is not None:
        session.latest.looked = min(session.latest.looked, CLOSELY - 1)
        session.take_up(session.latest)


def _rate(group: dict[str, Any]) -> float:
    rate = group.get("lr", 1.0)
    return abs(float(rate))
