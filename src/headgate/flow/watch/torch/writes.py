"""Writes: tensors that are changed in place, and are another value from then on.

What is written into a view is in the tensor that it shows a part of; what is written into a source
is an update, unless it only begins there; what is written into a gradient is a gradient still.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from headgate.flow.trace import Update
from headgate.flow.watch.torch.frames import is_initialising
from headgate.flow.watch.torch.log import Log
from headgate.flow.watch.torch.ops import OP, OVERWRITES, Row
from headgate.flow.watch.torch.results import check, flowing, kind_of, taken
from headgate.flow.watch.torch.values import Given, Leaf, node_of, norm


def written(log: Log, row: Row, target: Any, given: list[Given]) -> None:
    """Note that a tensor has another value from now on."""
    known = log.known(target)
    operands = [each for each in given if known is None or each.position]
    alias = known and (known.leaf or known.alias)
    if alias:
        assigned(log, alias, row, operands)
        if known is not None and known.leaf is not None:
            return
    node = next((each.node for each in given if each.position == 0 and each.node), None)
    if node is not None:
        log.writes.append((log.here(), node.name(), known.number if known else 0))
    whole = row.op in OVERWRITES
    takes = operands if whole else given
    if not takes and not target.requires_grad:
        log.forget(target)
        return
    number = log.new()
    event = len(log.trace.events)
    connected, others = log.link(node_of(target), takes, event, {target.output_nr: number})
    flows = flowing(takes, connected)
    kind = ""
    if any(each.tracked and not flow for each, flow in zip(takes, flows)):
        kind = kind_of(row, target)
    others = [each for each in dict.fromkeys(others) if all(each != g.number for g in takes)]
    inputs = [*(each.number for each in takes), *others]
    log.event(
        row.op,
        tuple(inputs),
        (number,),
        (*flows, *[True] * len(others)),
        kind,
        like=target,
        positions=(*(each.position for each in takes), *range(2, 2 + len(others))),
    )
    check(log, row, event, inputs, [number], [target])
    shown = None if known is None or known.shows is None else known.shows()
    leaf = None if known is None else log.gradients.pop(known.number, None)
    log.keep(target, number)
    if leaf is not None:  # it is the gradient of something
        log.gradients[number] = leaf
        leaf.gradient = number
        _measure(log, target, number)
    if shown is not None:
        base, value = log.known(shown), log.new()
        before = () if base is None or not base.number else (base.number,)
        into = (*before, *(each.number for each in operands))
        leaf = None if base is None else log.gradients.pop(base.number, None)
        if leaf is not None:
            log.event(row.op, into, (value,), (True,) * len(into), like=target)
            log.gradients[value] = leaf
            leaf.gradient = value
            _measure(log, shown, value)
        else:
            through = (*[True] * len(before), *[False] * len(operands))
            log.event("index_put", into, (value,), through, "stateful_write", like=target)
        if base is None:
            log.keep(shown, value)
        else:
            base.number = value
    _show_through(log, target, number)


def _measure(log: Log, tensor: Any, number: int) -> None:
    """Note the norm of a gradient, or of what was made of one."""
    log.quiet += 1
    log.trace.sizes[number] = norm(tensor)
    log.quiet -= 1


def _show_through(log: Log, view: Any, number: int) -> None:
    """Note that what was written into a view is in the tensor that it shows a part of."""
    base = view._base
    if base is None or ((known := log.known(base)) is not None and known.leaf is not None):
        return
    inputs = (number,) if known is None else (known.number, number)
    value = log.new()
    tracked = base.requires_grad
    if tracked and base.grad_fn is not None:
        log.link(base.grad_fn, [], len(log.trace.events), {base.output_nr: value})
    log.event("index_put", inputs, (value,), (tracked,) * len(inputs), like=base)
    log.keep(base, value)


def assigned(log: Log, leaf: Leaf, row: Row, operands: list[Given]) -> None:
    """Note that the program itself writes into a source."""
    how = {"add": "assign_add", "subtract": "assign_sub"}.get(row.op, "assign")
    values = [each.number for each in operands]
    if not values and how == "assign":
        leaf.loaded = leaf.loaded or (row.op in ("copy", "set") and not is_initialising())
        leaf.past.clear()
        return
    value = values[0] if len(values) == 1 else None
    if how == "assign":
        leaf.loaded = True
        leaf.past[:] = values
    leaf.turn = -1
    place = log.here()
    sizes = (log.trace.sizes.get(value or 0),)
    log.trace.updates.append(Update(place, how, (leaf.number,), (value,), sizes))


def set_data(
    log: Log, row: Row, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Note that a tensor gets other memory."""
    tensor, value = args[0], args[1] if len(args) > 1 else None
    shown = log.known(value) if isinstance(value, torch.Tensor) else None
    own = log.known(tensor)
    if shown is not None and own is not None and own.leaf in (shown.leaf, shown.alias):
        return log.call(func, args, kwargs)  # as `module.to(device)` does where it is there already
    given = taken(log, (value,), {}) if isinstance(value, torch.Tensor) else []
    result = log.call(func, args, kwargs)
    known = log.known(tensor)
    if known is not None and known.leaf is not None:
        assigned(log, known.leaf, Row(OP, "set"), given)
    elif known is not None and given:
        log.keep(tensor, given[0].number)
    return result
