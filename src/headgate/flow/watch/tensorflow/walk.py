"""Gradients as they come: what one backward walk of a tape brings to each line.

A tape asks one function for the gradient of each operation. While a walk is looked at, what went
into that function and what came out is measured: the norm of each cotangent, at the value that it
belongs to; an operation that is given something and gives exactly zeros is where a gradient died;
one that is given numbers and gives none is where a NaN was born; and a rule that gives nothing is
known from then on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from headgate.flow.kinds import FACTOR
from headgate.flow.trace import Death
from headgate.flow.watch.tensorflow.log import Log
from headgate.flow.watch.tensorflow.ops import FLAT, PRODUCTS, SELECTIONS
from headgate.flow.watch.tensorflow.values import array_of, norm

CUSTOM = "custom_gradient"
"""Label of events that have a rule of the program's own."""


OVER_AN_AXIS = {"softmax", "log_softmax"}


class Walk:
    """One backward walk.

    Attributes:
        cotangents: value -> norm of its cotangent.
        deaths: (event, input) -> how a gradient became zero there.
        births: events at which a gradient became NaN or infinite, the last operation first.
        flat: events whose result is always the same, up to the last digit.
    """

    def __init__(self, log: Log) -> None:
        self.log = log
        self.cotangents: dict[int, float] = {}
        self.deaths: dict[tuple[int, int], Death] = {}
        self.births: list[int] = []
        self.flat: set[int] = set()

    def passed(
        self,
        number: int,
        inputs: Sequence[Any],
        came: Sequence[Any],
        gave: Sequence[Any],
        skipped: Sequence[int] = (),
    ) -> None:
        """Note what an operation was given and what it gave."""
        event = self.log.trace.events[number]
        sizes = [None if g is None else norm(g) for g in came]
        for value, size in zip(event.outputs, sizes):
            if size is not None:
                self.cotangents[value] = size
        lively = [size for size in sizes if size is not None]
        finite = all(map(math.isfinite, lively))
        if event.op in OVER_AN_AXIS and event.shape and event.shape[-1] == 1 and any(lively):
            self.flat.add(number)
            self.deaths[number, 0] = Death(0, int(np.prod(event.shape)))
        for k in range(len(event.inputs)):
            at = event.position(k)
            g = gave[at] if at < len(gave) else None
            if g is None:
                if event.flows[k] and at not in skipped:
                    self._gives_nothing(number, k)
                continue
            size = norm(g)
            if finite and not math.isfinite(size):
                self.births.append(number)
            if size == 0 and any(lively) and event.flows[k]:
                self._died(number, k, inputs, g)

    def _gives_nothing(self, number: int, k: int) -> None:
        """Note that the rule of an operation gives no gradient for one of its inputs."""
        event = self.log.trace.events[number]
        flows = list(event.flows)
        flows[k] = False
        event.flows = tuple(flows)
        masks = list(self.log.masks[number])
        masks[k] = 0
        self.log.masks[number] = tuple(masks)
        if not event.kind:
            event.kind = "custom_gradient" if event.label == CUSTOM else "nondiff_op"

    def _died(self, number: int, k: int, inputs: Sequence[Any], g: Any) -> None:
        number, k, empty = self._where_empty(number, k, g)
        if (number, k) in self.deaths:
            return
        event = self.log.trace.events[number]
        numbers = array_of(g)
        size = 1 if numbers is None else int(np.size(numbers))
        if event.label == CUSTOM:
            death = Death(0, size, "custom_gradient")
        elif event.op in FLAT:
            death = Death(0, size, "nondiff_op")
        elif event.op in SELECTIONS or empty:
            death = Death(0, size, "mask")
        elif event.op in PRODUCTS:
            death = self._factor(number, k, inputs, size)
        else:
            death = Death(0, size)
        self.deaths[number, k] = death

    def _where_empty(self, number: int, k: int, g: Any) -> tuple[int, int, bool]:
        """Return the operation that let nothing through, if there is nothing a gradient is of."""
        numbers = array_of(g)
        if numbers is None or np.size(numbers):
            return number, k, False
        events = self.log.trace.events
        while True:
            maker = self.log.makers.get(events[number].inputs[k], -1)
            if maker < 0 or 0 not in events[maker].shape:
                return number, k, True
            number = maker
            k = next((n for n, flows in enumerate(events[maker].flows) if flows), -1)
            if k < 0:
                return number, 0, True

    def _factor(self, number: int, k: int, inputs: Sequence[Any], size: int) -> Death:
        """Tell what it means that a product made zeros: one of its factors is all zeros."""
        event = self.log.trace.events[number]
        at = event.position(k)
        others = [
            (place, array_of(each))
            for place, each in enumerate(inputs or ())
            if place != at and each is not None
        ]
        zeros = [place for place, numbers in others if numbers is not None and not np.any(numbers)]
        if not zeros:
            return Death(0, size)
        for n, value in enumerate(event.inputs):
            if n != k and event.position(n) == zeros[0]:
                return Death(0, size, factor=value)
        if np.size(array_of(inputs[zeros[0]])) == 1:
            return Death(0, size, label=FACTOR)
        return Death(0, size, "mask" if event.op == "multiply" else "zero_derivative")
