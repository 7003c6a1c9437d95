"""The host: what leaves TensorFlow for Python and NumPy, and what comes back from there.

A number or an array that comes in has no history. If it is the very number that left, or its
multiple by one that stands in the program, or an array of the same content, that is certain; else
it is a guess, which is blamed last.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from headgate.flow.trace import GUESSED, Place
from headgate.flow.watch.border import border
from headgate.flow.watch.tensorflow import entrance
from headgate.flow.watch.tensorflow.frames import constants, given_by_caller
from headgate.flow.watch.tensorflow.provenance import origin_of
from headgate.flow.watch.tensorflow.values import Known, carries, has_numbers, tensors_in

if TYPE_CHECKING:
    from headgate.flow.watch.tensorflow.log import Log

WAYS = {
    "numpy": "numpy()",
    "__array__": "numpy()",
    "__float__": "float()",
    "__int__": "int()",
    "__complex__": "complex()",
}
"""Ways to the host. Whatever a branch is decided by (`__bool__`) does not come back."""

_THROUGH_NUMPY = {
    *("mean", "sum", "max", "min", "prod", "std", "var", "clip", "cumsum", "cumprod", "round"),
    *("dot", "transpose", "reshape", "ravel", "squeeze", "argmax", "argmin", "argsort", "sort"),
    *("take", "repeat", "ptp", "trace", "diagonal", "astype", "tolist", "any", "all", "nonzero"),
}
"""Methods that NumPy's functions look for on what they are given, before they make an array."""


class Host:
    """What left for the host since the gradient call before the last one."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.away: list[tuple[int, Any, int]] = []  # value, what left, the number of that time
        self.seen: dict[int, set[float]] = {}

    def begin(self, replace: Callable[..., None]) -> None:
        """Look at all ways to the host."""
        for name in WAYS:
            replace(entrance.TENSOR, name, self._leaves)
        replace(entrance.SCRIPTS, "py_func_common", self.called)
        replace(entrance.SCRIPTS.EagerFunc, "__call__", self.runs)
        for owner in entrance.TENSOR.__mro__:
            if "__getattr__" in vars(owner):
                replace(owner, "__getattr__", self._attribute)
                break

    def _leaves(self, original: Any, tensor: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(tensor, *args, **kwargs)
        if self.away_from(tensor):
            self.left(tensor, result, WAYS[original.__name__])
        return result

    def _attribute(self, original: Any, tensor: Any, name: str) -> Any:
        if name in _THROUGH_NUMPY and entrance.is_eager(tensor) and self.away_from(tensor):
            self.left(tensor, None, "numpy()")
        return original(tensor, name)

    def called(self, original: Any, *args: Any, **kwargs: Any) -> Any:
        """Note a function that is given arrays and gives arrays back."""
        log = self.log
        result = original(*args, **kwargs)
        if not (log.quiet or log.idle or log.full or not log.listens):
            log.quiet += 1
            try:
                self._note_call(args[1] if len(args) > 1 else kwargs.get("inp"), result)
            except Exception as error:
                log.fault(error)
            finally:
                log.quiet -= 1
        return result

    def _note_call(self, given: Any, result: Any) -> None:
        log = self.log
        taken = [known for each in tensors_in(given) if (known := log.of(each)) is not None]
        made = list(tensors_in(result))
        if not taken or not all(map(entrance.is_eager, made)):
            return
        numbers = tuple(log.new() for _ in made)
        inputs = tuple(known.number for known in taken)
        kind = "host_round_trip" if any(known.tapes for known in taken) else ""
        log.event("numpy_function", inputs, numbers, (False,) * len(inputs), kind)
        log.masks.append((0,) * len(inputs))
        for number, each in zip(numbers, made):
            log.keep(each, number)

    def runs(self, original: Any, function: Any, device: Any, token: Any, args: Any) -> Any:
        """Note what a function of `tf.py_function` computes: it is given copies of tensors."""
        log = self.log
        if log.quiet or log.idle or not log.listens:
            return original(function, device, token, args)
        given = [
            each
            for value in given_by_caller(12)
            if type(value) in (list, tuple)
            for each in value
            if entrance.is_eager(each) and log.of(each) is not None
        ]
        copies = [each for each in tensors_in(args) if entrance.is_eager(each)]
        for each, copy in zip(given, copies):
            known = log.of(each)
            if known is not None and each.shape == copy.shape:
                log.keep(copy, known.number, known.tapes)
        result = original(function, device, token, args)
        log.inner = [*tensors_in(result)]
        return result

    def away_from(self, tensor: Any) -> bool:
        """Tell whether a tensor that leaves now is to be noted."""
        log = self.log
        if log.quiet or log.idle or log.full or not log.listens:
            return False
        known = log.known.get(entrance.number_of(tensor))
        return known is not None and known.number > log.since and carries(tensor.dtype)

    def left(self, tensor: Any, result: Any, way: str) -> None:
        """Note that a value leaves."""
        log = self.log
        log.quiet += 1
        try:
            known = log.known[entrance.number_of(tensor)]
            value = log.new()
            kind = "host_round_trip" if known.tapes else ""
            log.event(
                way,
                (known.number,),
                (value,),
                (False,),
                kind,
                shape=tuple(tensor.shape),
                dtype=tensor.dtype.name,
            )
            log.masks.append((0,))
            if result is None:
                result = entrance.content(tensor)
            self.away.append((value, result, log.latest))
            if known.tapes:
                border.leave("tensorflow", result, value, way, log.trace.places[log.here()])
        except Exception as error:
            log.fault(error)
        finally:
            log.quiet -= 1

    def returned(self, tensor: Any) -> Known | None:
        """Return what is known of a tensor made of numbers from the host, if they may have left
        from here."""
        log = self.log
        number = entrance.number_of(tensor)
        if not has_numbers(tensor) or log.makes_constants():
            return None
        numbers = np.asarray(entrance.content(tensor))
        if not numbers.size:
            return None
        border.arrive("tensorflow", [numbers], log.trace.places[log.here()])
        away = [(value, left) for value, left, when in self.away if number > when]
        certain = [value for value, left in away if _is_same(numbers, left)]
        if not certain and numbers.ndim:
            with np.errstate(all="ignore"):
                value = log.sums.get((numbers.shape, float(numbers.sum().real)))
            certain = [] if value is None or not numbers.any() else [value]
        place = -1
        if not certain:
            if numbers.size == 1:
                found = float(numbers.reshape(-1)[0].real)
                certain = [value for value, left in away if _is_multiple(found, left)]
                if not certain and self._is_written_there(found):
                    return None
            elif not numbers.any() or (numbers == numbers.reshape(-1)[0]).all():
                return None
        if not certain and number > self.log.first:
            origin = origin_of(self._follows)
            if origin is not None:
                certain = [log.known[entrance.number_of(each)].number for each in origin.tensors]
                place = log.lines.at(Place(origin.file, origin.line, origin.function))
        inputs = tuple(dict.fromkeys(certain)) or tuple(value for value, _ in away)
        if not inputs:
            return None
        made = log.new()
        log.event(
            "asarray",
            inputs,
            (made,),
            (False,) * len(inputs),
            "host_round_trip",
            "" if certain else GUESSED,
            tuple(tensor.shape),
            tensor.dtype.name,
            place=place,
        )
        log.masks.append((0,) * len(inputs))
        return log.keep(tensor, made)

    def _follows(self, value: Any) -> bool:
        """Tell whether a value is a tensor that some tape follows, computed since the last call."""
        if not entrance.is_eager(value):
            return False
        known = self.log.known.get(entrance.number_of(value))
        return known is not None and bool(known.tapes) and known.number > self.log.since

    def _is_written_there(self, number: float) -> bool:
        """Tell whether a number stands in the program, or has come by this line before."""
        if not constants().isdisjoint((number, -number)):
            return True
        if number in (0.0, 1.0, -1.0, 2.0, 0.5):
            return True
        seen = self.seen.setdefault(self.log.here(), set())
        known = number in seen
        seen.add(number)
        return known

    def forget(self, since: int) -> None:
        """Forget what left long before a gradient call that is over: it comes back no more."""
        self.away = [each for each in self.away if each[0] > since]


def _is_same(numbers: Any, left: Any) -> bool:
    """Tell whether what comes from the host is what left for it."""
    left = np.asarray(left)
    if left.size != numbers.size or left.dtype.kind not in "fc":
        return False
    if left.size == 1:
        one, other = numbers.reshape(-1)[0], left.reshape(-1)[0]
        return bool(np.isclose(one, other, rtol=1e-7, atol=0)) and one not in (0.0, 1.0, -1.0)
    return bool((numbers.reshape(-1) == left.reshape(-1)).all()) and bool(numbers.any())


def _is_multiple(number: float, left: Any) -> bool:
    """Tell whether a number is another one times, or plus, what stands in the program."""
    left = np.asarray(left)
    if left.size != 1 or left.dtype.kind != "f" or not number:
        return False
    other = float(left.reshape(-1)[0])
    if not other:
        return False
    found = (number / other, other / number, number - other)
    return any(
        abs(each - known) <= 1e-6 * abs(known)
        for known in constants() - {0.0, 1.0}
        for each in found
    )
