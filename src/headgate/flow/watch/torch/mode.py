"""The mode: what is called on tensors, each sort of function with what is to be noted of it.

A `TorchFunctionMode`, which is public, hears of each function of PyTorch before it runs. It makes
the call itself, and notes in the log what came of it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from headgate.flow.watch.border import border
from headgate.flow.watch.torch.frames import dropped, inside_library, is_direct
from headgate.flow.watch.torch.host import returned
from headgate.flow.watch.torch.log import Log
from headgate.flow.watch.torch.ops import (
    APART,
    FLAG,
    GRAD,
    HOOK,
    HOST,
    OP,
    REWRAP,
    SET_DATA,
    SET_GRAD,
    SKIP,
    STOP,
    Row,
    row_of,
)
from headgate.flow.watch.torch.results import made, note, taken
from headgate.flow.watch.torch.values import Given, of_host, tensors_in, version_of
from headgate.flow.watch.torch.writes import set_data, written


class Mode(TorchFunctionMode):  # type: ignore[misc]
    """Hands all that is called over to a log."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self.log = log

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        return called(self.log, func, args, kwargs or {})


def called(
    log: Log, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Call a function of PyTorch, and note what it did."""
    row = row_of(func)
    if (
        row.role == SKIP
        or log.idle
        or log.quiet
        or log.full
        or (log.stepping and not torch.is_grad_enabled())
    ):
        return func(*args, **kwargs)
    handler, quiet = _HANDLERS[row.role], log.quiet
    log.did, log.raised, log.result = False, None, None
    try:
        return handler(log, row, func, args, kwargs)
    except Exception as error:
        if error is log.raised:
            raise
        log.fault(error)
        log.quiet = quiet
        return log.result if log.did else func(*args, **kwargs)
    finally:
        log.raised = log.result = None


def _op(
    log: Log, row: Row, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Note an op; one that writes in place makes another value of its first argument."""
    given = taken(log, args, kwargs)
    target = kwargs.get("out", args[0] if args else next(iter(kwargs.values()), None))
    if not isinstance(target, torch.Tensor):
        target = None
    before = version_of(target) if target is not None else 0
    log.quiet += 1
    try:
        result = log.call(func, args, kwargs)
    except RuntimeError as error:
        if "leaf Variable that requires grad" in str(error) and target is not None:
            known = log.known(target)
            if known is not None and known.leaf is not None:
                log.refused.append((known.leaf, log.here()))
        raise
    finally:
        log.quiet -= 1
    if target is not None and version_of(target) != before:
        written(log, row, target, given)
        return result
    if row.op.startswith("_foreach_") and args and type(args[0]) in (list, tuple):
        factors = [each for each in given if all(each.tensor is not t for t in args[0])]
        for each in args[0]:
            own = [Given(known.number, 0, each)] if (known := log.known(each)) else []
            if own and known is not None and known.version != version_of(each):
                written(log, row, each, [*own, *factors])
        return result
    if not given:
        return result
    if row.op in APART:
        for one, each in zip(tensors_in(args), tensors_in((result,))):
            if each is not one and (own := taken(log, (one,), {})):
                made(log, row, own, [each])
        return result
    results = [each for each in tensors_in((result,)) if each is not target]
    if results:
        made(log, row, given, results)
    return result


def _stop(
    log: Log, row: Row, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Note a detach, in place or not."""
    given = taken(log, args, kwargs)
    target = args[0]
    result = log.call(func, args, kwargs)
    if not given:
        if result is not target:  # a constant so far, and something may be written into it
            log.keep(result, 0).shows = weakref.ref(target)
        return result
    if result is target:  # detach_()
        known = log.known(target)
        note(log, row, given, [target])
        if known is not None and known.leaf is not None:
            log.keep(target, known.number, known.leaf)
    else:
        event = len(log.trace.events)
        label = inside_library() or (".data" if func is _DATA else "")
        note(log, row, given, [result], label)
        made = log.known(result)
        if made is not None and made.alias is None:
            made.shows = weakref.ref(target)
        if row.op == "detach" and dropped() and not log.full:
            log.trace.dropped.add(event)
    return result


def _rewrap(
    log: Log, row: Row, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Note what is made a tensor anew, from tensors or from what left for the host."""
    content = args[0] if args else next(iter(kwargs.values()), None)
    if func is torch.Tensor.new_tensor:
        content = args[1] if len(args) > 1 else None
    given = [
        Given(number, 0, each)
        for each in tensors_in((content,), deep=True)
        if (number := log.number(each))
    ]
    result = log.call(func, args, kwargs)
    if given and result is content:
        return result
    if not given:
        border.arrive("torch", [content], log.trace.places[log.here()])
    if not given and log.away:
        number = returned(log, content)
        given = [of_host(number, 0)] if number else []
    if given:
        tracked = result.requires_grad and result.grad_fn is None
        value = log.new()
        kind = "rewrap" if any(each.tracked for each in given) else ""
        if result.grad_fn is not None:  # asarray of a tensor keeps its history
            note(log, row, given, [result])
            return result
        inputs = tuple(dict.fromkeys(each.number for each in given))
        log.event(row.op, inputs, (value,), (False,) * len(inputs), kind, like=result)
        if tracked:
            log.leaf(result).past.append(value)
        else:
            log.keep(result, value)
    return result


def _host(
    log: Log, row: Row, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Note that a value leaves for Python or NumPy."""
    given = taken(log, args[:1], {})
    result = log.call(func, args, kwargs)
    if given and given[0].number > log.since:
        event = next(
            (each for each in reversed(log.trace.events[-4:]) if given[0].number in each.outputs),
            None,
        )
        number = given[0].number
        if event is not None and event.op == "detach" and event.place == log.here():
            event.kind = ""  # only so that it may leave
            number = event.inputs[0]
        value = log.new()
        log.event(row.op, (number,), (value,), (False,), "host_round_trip", like=args[0])
        log.away.append((value, result, log.here()))
        border.leave("torch", args[0].detach(), value, row.op, log.trace.places[log.here()])
    return result


def _flag(
    log: Log, row: Row, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Note that the program says whether a tensor requires a gradient."""
    tensor = args[0]
    result = log.call(func, args, kwargs)
    flag = bool(args[1] if len(args) > 1 else kwargs.get("requires_grad", True))
    known = log.known(tensor)
    if isinstance(tensor, torch.nn.Parameter) or (known is not None and known.leaf):
        log.leaf(tensor).flags.append((flag, log.here()))
    elif flag and tensor.is_leaf:
        log.number(tensor)
    return result


def _hook(
    log: Log, row: Row, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Note that a gradient is handed to the program on its way."""
    number = log.number(args[0])
    known = log.known(args[0])
    if known is not None and known.leaf is not None:
        known.leaf.hook = log.here()
    elif known is not None and number:
        known.number = log.hooked(number, log.here(), args[0])
    return log.call(func, args, kwargs)


def _grad(
    log: Log, row: Row, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Note that the program looks at a gradient."""
    tensor = args[0]
    result = log.call(func, args, kwargs)
    known = log.known(tensor)
    if known is None:
        return result
    if known.leaf is not None:
        known.leaf.asked = True
        known.leaf.seized = known.leaf.seized or (result is not None and is_direct())
        if result is not None and known.leaf.gradient and log.known(result) is None:
            log.keep(result, known.leaf.gradient)
    elif result is None and tensor.grad_fn is not None and not tensor.retains_grad:
        log.non_leaf(tensor, known)
    return result


def _set_grad(
    log: Log, row: Row, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Note that the program sets a gradient, or takes it away."""
    known = log.known(args[0])
    result = log.call(func, args, kwargs)
    if known is not None and known.leaf is not None:
        value = args[1] if len(args) > 1 else None
        if value is None:
            log.clears(known.leaf)
        elif isinstance(value, torch.Tensor):
            known.leaf.gradient = log.number(value)
            known.leaf.handed = True
    return result


_DATA = torch.Tensor.data.__get__

_HANDLERS: dict[str, Callable[..., Any]] = {
    OP: _op,
    STOP: _stop,
    HOST: _host,
    REWRAP: _rewrap,
    FLAG: _flag,
    GRAD: _grad,
    SET_GRAD: _set_grad,
    SET_DATA: set_data,
    HOOK: _hook,
}
