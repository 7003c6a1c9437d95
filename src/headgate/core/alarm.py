"""The alarm: whether something invalid, zero times infinity, has been computed in a walk.

The processor notes invalid operations by itself, and NumPy looks at that note after each of its
loops, whatever it is told to do about it. A walk has itself called, so that a rule learns at no
cost that the result in its hands may hold a NaN that must not be there (`headgate.ops.rules`).
"""

from __future__ import annotations

import threading


class Alarm(threading.local):
    """`rung`: whether anything invalid was computed in this thread since that was set to False."""

    rung = False

    def ring(self, error: str, flag: int) -> None:
        """Note what NumPy reports."""
        self.rung = True


alarm = Alarm()
