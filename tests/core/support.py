"""What the tests of the core share: the line a mark is on, and what the collector would find."""

import gc
import inspect
from contextlib import contextmanager


def line_of(mark):
    """Return the number of the one line of the calling function that ends with `# <mark>`."""
    frame = inspect.currentframe().f_back
    lines, first = inspect.getsourcelines(frame.f_code)
    (found,) = [k for k, text in enumerate(lines) if text.rstrip().endswith(f"# {mark}")]
    return first + found


@contextmanager
def without_collector():
    """Run a block in which only reference counts free anything."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def kinds_and_lines(verdict):
    return [(place.kind, place.line) for place in verdict.cuts]
