"""Results: what an op takes, what it makes, and which of its inputs gradient comes back to.

All of it is noted as one event. An op that makes something without a gradient of something with one
is a cut, of a kind that its row and the mode that PyTorch is in tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from headgate.flow.watch.torch.host import returned
from headgate.flow.watch.torch.log import Log
from headgate.flow.watch.torch.ops import INFINITE, REWRAP, STOP, Row
from headgate.flow.watch.torch.values import Given, Leaf, of_host, spoilt, tensors_in


def taken(log: Log, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Given]:
    """Return the inputs that have a number."""
    found = []
    position = 0
    for value in (*args, *kwargs.values()) if kwargs else args:
        if isinstance(value, torch.Tensor):
            number = log.number(value)
            if number:
                found.append(Given(number, position, value))
        elif type(value) in (list, tuple):
            before = position
            for item in tensors_in(value):
                number = log.number(item)
                if number:
                    found.append(Given(number, position, item))
                position += 1
            position = max(position, before + 1)
            continue
        elif type(value) is float and log.away:
            number = returned(log, value)
            if number:
                found.append(of_host(number, position))
        position += 1
    return found


def made(log: Log, row: Row, given: list[Given], results: list[Any], label: str = "") -> None:
    """Note the results of an op: those that have a gradient and those that do not, apart."""
    soft = [each for each in results if each.requires_grad]
    for part in (soft, [each for each in results if not each.requires_grad]):
        if part:
            note(log, row, given, part, label)


def differentiated(log: Log, gradient: Any, targets: tuple[int, ...]) -> int:
    """Note a gradient that has no history: what is computed from it is cut here."""
    number = log.new()
    log.event("grad", targets, (number,), (False,) * len(targets), "outside_tape")
    log.keep(gradient, number)
    return number


def joined(log: Log, op: str, tensor: Any, number: int) -> None:
    """Note that a tensor has another gradient from now on than what it was computed with."""
    value = log.new()
    event = len(log.trace.events)
    _, others = log.link(tensor.grad_fn, [], event, {tensor.output_nr: value})
    inputs = (number, *dict.fromkeys(each for each in others if each != number))
    log.event(op, inputs, (value,), (True,) * len(inputs), like=tensor)
    log.keep(tensor, value)


def note(log: Log, row: Row, given: list[Given], results: list[Any], label: str = "") -> None:
    numbers = [log.new() for _ in results]
    event = len(log.trace.events)
    connected: set[int] = set()
    others: list[int] = []
    for number, each in zip(numbers, results):
        if each.requires_grad:
            met, more = log.link(each.grad_fn, given, event, {each.output_nr: number})
            connected |= met
            others += more
    flows = flowing(given, connected)
    kind = ""
    if any(each.tracked and not flow for each, flow in zip(given, flows)):
        kind = kind_of(row, results[0])
    others = [each for each in dict.fromkeys(others) if all(each != g.number for g in given)]
    positions = [each.position for each in given]
    if row.reverse:
        positions = [1 - position for position in positions]
    inputs = [each.number for each in given]
    log.event(
        row.op,
        (*inputs, *others),
        tuple(numbers),
        (*flows, *[True] * len(others)),
        kind,
        label,
        like=results[0],
        positions=(*positions, *range(2, 2 + len(others))) if positions != [0] else (),
    )
    check(log, row, event, [*inputs, *others], numbers, results)
    for number, each in zip(numbers, results):
        known = log.keep(each, number)
        if kind in ("stop_gradient", "no_grad_block"):
            source = next((_alias_of(log, g) for g in given if _alias_of(log, g)), None)
            if row.op in ("detach", "getitem", "reshape") and source is not None:
                known.alias = source


def _alias_of(log: Log, given: Given) -> Leaf | None:
    if given.leaf is not None:
        known = log.known(given.leaf)
        return None if known is None else known.leaf
    return None


def kind_of(row: Row, result: Any) -> str:
    """Return which cut an op is to an input that gradient does not come back to."""
    if row.role == STOP:
        return "stop_gradient"
    if row.role == REWRAP:
        return "rewrap"
    soft = result.dtype.is_floating_point or result.dtype.is_complex
    if not soft:
        return "integer_cast" if row.op == "astype" else "nondiff_op"
    if not torch.is_grad_enabled() or torch.is_inference_mode_enabled():
        return "no_grad_block"
    return "nondiff_op"


def check(
    log: Log, row: Row, event: int, inputs: list[int], numbers: list[int], results: list[Any]
) -> None:
    """Note where something that is not finite was born."""
    log.quiet += 1
    for number, each in zip(numbers, results):
        if each.dtype.is_floating_point and spoilt(each, row.op not in INFINITE):
            if log.spoilt.isdisjoint(inputs):
                log.infinite.setdefault(event, "nonfinite_value")
            log.spoilt.add(number)
    log.quiet -= 1


def flowing(given: Sequence[Given], connected: Iterable[int]) -> list[bool]:
    """Return for each input whether gradient comes back; one that is there twice counts twice."""
    numbers = {given[position].number for position in connected}
    return [each.number in numbers for each in given]
