"""The host: what leaves TensorFlow for Python and NumPy, and what comes back from there.

A number or an array that comes in has no history. If it is the very number that left, or its
multiple by one that stands in the program, or an array of the same content, that is certain; else
it is a guess, which is blamed last.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from headgate.flow.trace import GUESSED
from headgate.flow.watch.tensorflow import entrance
from headgate.flow.watch.tensorflow.frames import constants
from headgate.flow.watch.tensorflow.values import Known, carries

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
        except Exception as error:
            log.fault(error)
        finally:
            log.quiet -= 1

    def returned(self, tensor: Any) -> Known | None:
        """Return what is known of a tensor made of numbers from the host, if they may have left
        from here."""
        number = entrance.number_of(tensor)
        away = [(value, left) for value, left, when in self.away if number > when]
        if not away or not entrance.is_eager(tensor):
            return None
        numbers = np.asarray(entrance.content(tensor))
        certain = [value for value, left in away if _is_same(numbers, left)]
        if not certain:
            if numbers.size == 1:
                number_ = float(numbers.reshape(-1)[0].real)
                certain = [value for value, left in away if _is_multiple(number_, left)]
                if not certain and self._is_written_there(number_):
                    return None
            elif not numbers.any() or (numbers == 1).all():
                return None
        log = self.log
        inputs = tuple(certain) or tuple(value for value, _ in away)
        made = log.new()
        label = "" if certain else GUESSED
        log.event(
            "asarray",
            inputs,
            (made,),
            (False,) * len(inputs),
            "host_round_trip",
            label,
            tuple(tensor.shape),
            tensor.dtype.name,
        )
        log.masks.append((0,) * len(inputs))
        return log.keep(tensor, made)

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
