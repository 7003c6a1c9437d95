"""Gradient calls: `backward` and `grad` as the program makes them, and what came of each."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from headgate.flow.trace import Cut, Source
from headgate.flow.watch.torch.again import recognised, remember
from headgate.flow.watch.torch.frames import inside_library, name_in_frames
from headgate.flow.watch.torch.graph import Walk
from headgate.flow.watch.torch.names import find_names
from headgate.flow.watch.torch.records import Ask, Line
from headgate.flow.watch.torch.results import differentiated
from headgate.flow.watch.torch.shield import shielded
from headgate.flow.watch.torch.values import Leaf, leaf_of, norm, tensors_in
from headgate.flow.watch.torch.wiped import after_call, before_call

if TYPE_CHECKING:
    from headgate.flow.watch.torch.session import Session


def backward(session: Session, original: Any, *args: Any, **kwargs: Any) -> Any:
    """Make a call of `torch.autograd.backward`, as `loss.backward()` does."""
    tensors = args[0] if args else kwargs.get("tensors")
    given = args[5] if len(args) > 5 else kwargs.get("inputs")
    targets = list(tensors_in((tensors,)))
    if given is not None and not isinstance(given, torch.Tensor | list | tuple):
        given = tuple(given)
        if len(args) > 5:
            args = (*args[:5], given, *args[6:])
        else:
            kwargs["inputs"] = given

    def call() -> Any:
        return original(*args, **kwargs)

    if given is not None:
        given = [given] if isinstance(given, torch.Tensor) else list(given)
    return _look(session, call, targets, None, given, False)


def gradient(session: Session, original: Any, *args: Any, **kwargs: Any) -> Any:
    """Make a call of `torch.autograd.grad`."""
    names = (
        *("outputs", "inputs", "grad_outputs", "retain_graph", "create_graph", "only_inputs"),
        *("allow_unused", "is_grads_batched", "materialize_grads"),
    )
    said = {**dict(zip(names, args)), **kwargs}
    for name in ("outputs", "inputs"):  # they may be given only once
        given = said.get(name)
        if given is not None and not isinstance(given, torch.Tensor | list | tuple):
            given = said[name] = tuple(given)
    targets = list(tensors_in((said.get("outputs"),)))
    inputs = list(tensors_in((said.get("inputs"),)))

    def call() -> Any:
        return original(**said)

    return _look(session, call, targets, inputs, None, bool(said.get("create_graph")))


def _look(
    session: Session,
    call: Callable[[], Any],
    targets: list[Any],
    inputs: list[Any] | None,
    only: list[Any] | None,
    inner: bool,
) -> Any:
    """Make a gradient call, and count it."""
    if session.walking is not None:
        return _within(session, session.walking, call, targets)
    if threading.get_ident() != session.thread:
        session.elsewhere += 1
        return call()
    if session.log.quiet or not targets:
        return call()
    line = line_here(session)
    if line is None:
        return call()
    before_call(session, line)
    result = _look_at(session, line, call, targets, inputs, only, inner)
    after_call(session, line)
    return result


def _look_at(
    session: Session,
    line: Line,
    call: Callable[[], Any],
    targets: list[Any],
    inputs: list[Any] | None,
    only: list[Any] | None,
    inner: bool,
) -> Any:
    """Make a gradient call, and note what comes of it if this pass of its line is looked at."""
    if not session.hears:
        begun = recognised(session, line, targets) if inputs is None else None
        if begun is None:
            result = call()
            _taken_up(session, line)
            return result
    else:
        begun = _begun(session, line, targets, inputs, inner)
    if begun is None:
        return call()
    ask, walk = begun
    session.walking = walk
    session.log.quiet += 1
    try:
        result = call()
    except Exception as error:
        ask.failed = str(error)
        _note_failure(session, ask, walk, inputs)
        raise
    finally:
        session.walking = None
        session.log.quiet -= 1
        _over(session, ask, walk)
    _note_result(session, ask, walk, result, inputs, only)
    if not session.on:
        _taken_up(session, line)
    return result


def _within(session: Session, outer: Walk, call: Callable[[], Any], targets: list[Any]) -> Any:
    """Make a call within another one, as checkpoints do; what it brings, that one does."""
    nested = session.safely(Walk, session.log, targets)
    if nested is None:
        return call()
    session.safely(nested.__enter__)
    try:
        result = call()
    finally:
        session.safely(nested.__exit__)
    outer.arrived.update(nested.arrived)
    outer.leaves += nested.leaves
    return result


@shielded
def line_here(session: Session) -> Line:
    """Count a pass of the line that asks now."""
    place = session.log.here()
    line = session.lines.setdefault((place, inside_library()), Line(place))
    line.passes += 1
    session.leave_off(line)
    return line


@shielded
def _taken_up(session: Session, line: Line) -> None:
    session.take_up(line)


@shielded
def _begun(
    session: Session, line: Line, targets: list[Any], inputs: list[Any] | None, inner: bool
) -> tuple[Ask, Walk]:
    """Note what is asked, and begin to look on at the walk."""
    line.looked += 1
    ask = begin_asking(session, session.log.here(), line.passes - 1, targets, inner)
    if inputs is not None:
        ask.explicit = [source_of(session, each)[0] for each in inputs]
    find_names(session)
    walk = ask.walk = Walk(session.log, targets)
    try:
        walk.__enter__()
        remember(session, line, ask, walk)
        return ask, walk
    except Exception:
        walk.__exit__()
        session.asks.remove(ask)
        raise


@shielded
def _over(session: Session, ask: Ask, walk: Walk) -> None:
    walk.__exit__()
    session.log.passed(ask.targets)


def begin_asking(session: Session, place: int, step: int, targets: list[Any], inner: bool) -> Ask:
    """Note that the gradient of some targets is asked for."""
    numbers, names = [], []
    began = session.log.since
    for target in targets:
        session.log.quiet += 1
        name = name_in_frames(target) or "loss"
        session.log.quiet -= 1
        number = session.log.number(target)
        if number:
            numbers.append(number)
            names.append(name)
    ask = Ask(place, step, tuple(numbers), tuple(names), began, inner)
    ask.first, session.events = session.events, len(session.log.trace.events)
    ask.updates = len(session.log.trace.updates)
    session.asks.append(ask)
    return ask


def source_of(session: Session, tensor: Any) -> tuple[int, Leaf | None]:
    """Return the source that the program differentiates by, made for this call if need be."""
    log = session.log
    number = log.number(tensor)
    known = log.known(tensor)
    if known is not None and known.leaf is not None:
        known.leaf.asked = True
        return known.leaf.number, known.leaf
    log.quiet += 1
    name = name_in_frames(tensor)
    log.quiet -= 1
    shape = tuple(tensor.shape)
    name = name or f"tensor of shape {shape}"
    place = -1
    for event in reversed(log.trace.events):
        if number in event.outputs:
            place = event.place
            break
    source = Source(name, number or log.new(), shape=shape, lasting=False, place=place)
    log.trace.sources.append(source)
    leaf = leaf_of(len(log.trace.sources) - 1, tensor, True)
    log.leaves.append(leaf)
    log.names[leaf.number] = name
    return leaf.number, None


@shielded
def _note_result(
    session: Session,
    ask: Ask,
    walk: Walk,
    result: Any,
    inputs: list[Any] | None,
    only: list[Any] | None,
) -> None:
    log = session.log
    if inputs is not None:
        for each in result:
            if each is None:
                ask.norms.append(None)
                ask.outputs.append(None)
                continue
            log.quiet += 1
            came = norm(each)
            ask.norms.append(came)
            log.quiet -= 1
            if each.requires_grad:
                ask.outputs.append(log.number(each))
            else:
                number = differentiated(log, each, ask.targets)
                log.trace.sizes[number] = came
                ask.outputs.append(number)
        return
    wanted = None if only is None else {id(each) for each in only}
    for tensor in walk.leaves:
        if wanted is not None and id(tensor) not in wanted:
            continue
        size = walk.arrived.get(id(tensor))
        if size is None:
            continue
        leaf = log.leaf(tensor)
        ask.arrived[leaf] = size
        leaf.gradient = ask.gradients[leaf.number] = log.new()
        log.gradients[leaf.gradient] = leaf
        log.trace.sizes[leaf.gradient] = size
        leaf.cleared = -1
        gradient = tensor.grad
        if gradient is not None:
            log.keep(gradient, leaf.gradient)


@shielded
def _note_failure(session: Session, ask: Ask, walk: Walk, inputs: list[Any] | None) -> None:
    ask.missing = tuple(session.log.leaf(each) for each in walk.leaves)
    if inputs is not None:
        nodes = {id(leaf) for leaf in walk.leaves} | {id(node) for node in walk.nodes}
        ask.norms = [
            1.0 if id(each) in nodes or id(each.grad_fn) in nodes else None for each in inputs
        ]
        ask.outputs = [None] * len(inputs)
        for position, (each, number) in enumerate(zip(inputs, ask.explicit or ())):
            if not each.requires_grad:
                made = session.log.trace.sources[number].place
                place = session.log.trace.places[made if made >= 0 else ask.place]
                ask.unasked[position] = Cut("not_watched", place)
