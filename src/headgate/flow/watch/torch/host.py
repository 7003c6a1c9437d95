"""The host: values that leave for Python or NumPy, and what comes back from there.

A number is only a number there. What is the same one or the same memory as something that left a
moment ago surely came of it, and so did one times, or plus, what stands in the program as it is,
and what the function that hands it over computes from it (`headgate.flow.watch.arithmetic`);
anything else is a guess (`headgate.flow.trace.GUESSED`).
"""

from __future__ import annotations

from typing import Any

from headgate.flow.trace import GUESSED
from headgate.flow.watch.arithmetic import computed_from
from headgate.flow.watch.border import border
from headgate.flow.watch.torch.frames import constants, innermost
from headgate.flow.watch.torch.log import Log
from headgate.flow.watch.torch.values import is_same
from headgate.record.site import is_users


def put_into(log: Log, data: Any, made: Any) -> None:
    """Note that a parameter is made out of a tensor."""
    if log.quiet or log.full:
        return
    number = log.number(data)
    if number and made is not data:
        known = log.known(data)
        value = log.new()
        kind = "rewrap" if data.requires_grad and known and known.leaf is None else ""
        log.event("Parameter", (number,), (value,), (False,), kind, like=data)
        leaf = log.leaf(made)
        leaf.past.append(value)
        leaf.loaded = True


def from_host(log: Log, array: Any, result: Any) -> None:
    """Note that a tensor is made of an array."""
    if log.quiet or log.full:
        return
    border.arrive("torch", [array], log.trace.places[log.here()])
    number = returned(log, array) if log.away else 0
    if number:
        log.keep(result, number)


def returned(log: Log, content: Any) -> int:
    """Return a value for what comes from the host, if it may have left from here.

    What is the same number or the same memory surely did; anything else is a guess, and what
    stands in the program as it is did not.
    """
    certain = [
        value
        for value, left, _ in log.away
        if is_same(content, left) or _is_multiple(content, left)
    ]
    if not certain:
        certain = _computed(log)
    if not certain and type(content) is float and _is_written_there(log, content):
        return 0
    kin = [
        value
        for value, left, _ in log.away
        if type(content) is not float or isinstance(left, float) or hasattr(left, "shape")
    ]
    inputs = tuple(certain) or tuple(kin)
    if not inputs:
        return 0
    value = log.new()
    label = "" if certain else GUESSED
    log.event("asarray", inputs, (value,), (False,) * len(inputs), "host_round_trip", label)
    return value


def _computed(log: Log) -> list[int]:
    """Return the values from which the program's own function computes what it hands over now."""
    frame = innermost()
    if frame is None or not is_users(frame.f_code.co_filename):
        return []
    file, places = frame.f_code.co_filename, log.trace.places
    away = [each for each in log.away if places[each[2]].file == file]
    found = computed_from(frame, [(left, places[at].line) for _, left, at in away])
    return [away[position][0] for position in sorted(found)]


def _is_multiple(content: Any, left: Any) -> bool:
    """Tell whether a number is another one times, or plus, what stands in the program."""
    if type(content) is not float or type(left) is not float or not content or not left:
        return False
    return bool(
        constants().intersection((content / left, left / content, content - left)) - {0.0, 1.0}
    )


def _is_written_there(log: Log, number: float) -> bool:
    """Tell whether a number stands in the program, or has come by this line before."""
    if not constants().isdisjoint((number, -number)):
        return True
    seen = log.seen_lines.setdefault(log.here(), set())
    known = number in seen
    seen.add(number)
    return known
