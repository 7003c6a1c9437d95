"""The memory that a program needs, read from Linux; elsewhere there is no figure.

The figure is the sum of two:

* what preparing the program and its first steps left behind: weights, batch, and what the compiler
  keeps. Only memory that the process asked for counts, so pages of a library's file, which come
  in when its code first runs, do not;
* how far the process rises above that while it steps, at its highest: activations, gradients and
  whatever else the library holds for the length of a step.

Freed memory goes back to the system before each reading, as far as the C library gives it, for
else a program would take its room from what the one before had freed. Memory that only the first
step needed, above all the compiler's, is not in the figure, nor is a process that a compiler
starts. Threads give memory back late and the kernel counts in batches of pages, so a figure below
`RESOLUTION` means nothing; it may even be negative.
"""

import ctypes
import gc
from pathlib import Path

STATUS = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # of all that can be written there, the value that means the peak

KILOBYTE = 1024
RESOLUTION = 2_000_000  # bytes


class Peak:
    """A reading in three parts: made before a program, `begin` after its first steps, `read`."""

    __slots__ = ("_before", "_kept", "_level")

    def __init__(self) -> None:
        self._before = asked_for()
        self._kept = self._level = 0

    def begin(self) -> None:
        """Note what is kept, and count the peak from here on."""
        self._kept = asked_for() - self._before
        if RESET.exists():
            RESET.write_text(RESET_PEAK)
            self._level = status("VmRSS")

    def read(self) -> int | None:
        """Return the bytes that the program needs, or None where the system does not tell."""
        return self._kept + status("VmHWM") - self._level if RESET.exists() else None


def asked_for() -> int:
    """Return the resident bytes that hold no file's pages, once freed ones are given back."""
    if not RESET.exists():
        return 0
    gc.collect()
    trim = getattr(
        ctypes.CDLL(None), "malloc_trim", None
    )  # of glibc; others give back by themselves
    if trim is not None:
        trim(0)
    return status("RssAnon")


def status(name: str) -> int:
    """Return one of the kernel's counts of this process, in bytes."""
    for line in STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * KILOBYTE
    raise KeyError(f"{name} is not in {STATUS}")
