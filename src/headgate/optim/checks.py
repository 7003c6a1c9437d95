"""Refusals of numbers that cannot be meant: each check names whose they are and what would do."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any


def _check(words: str, fits: Callable[[Any], bool]) -> Callable[..., None]:
    def check(whose: str, **values: Any) -> None:
        for name, value in values.items():
            if isinstance(value, bool) or not isinstance(value, Real) or not fits(value):
                raise ValueError(f"{whose}: {name} must be {words}, got {value!r}")

    return check


from_0_to_1 = _check("from 0 to 1", lambda value: 0 <= value <= 1)
below_1 = _check("at least 0 and below 1", lambda value: 0 <= value < 1)
positive = _check("a positive number", lambda value: 0 < value < math.inf)
not_negative = _check("0 or a positive number", lambda value: 0 <= value < math.inf)
