"""What a call of `hg.function` costs above a call of bare `jax.jit`.

Both run the same small program: every variable, of ten floats, is multiplied by one argument, and
the sum of the new values is returned. `jax.jit` is called with the arrays as a flat list of
arguments, whose memory it may use again, and hands back a flat tuple: the least that XLA can be
called with. `hg.function` finds the same variables by itself and writes them back. As the program
is so small, the difference between the two is what variables, signatures and results cost.

Results are read by NumPy in both, which waits for them. The argument is an array of JAX's, and in
other rows one of NumPy's, which each call has to hand over.

Both live in one process and take turns of some hundred calls. A round's figure is the mean over
its calls, the result the median over rounds, and the extra cost the median of the rounds'
differences, for what slows one turn down mostly slows its neighbour too.
"""

import statistics
from collections.abc import Callable, Sequence
from itertools import product
from time import perf_counter
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.compare import turns
from benchmarks.peers import limit_environment

COUNTS = (2, 12, 50)
LENGTH = 10
CALLS = 300
THREADS = 2
TARGET = 3.0  # µs that a call may cost above the bare one
FACTOR = np.float32(0.999)


def in_turns(
    functions: Sequence[Callable[[], object]], rounds: int, calls: int
) -> list[list[float]]:
    """Return for each function the seconds that one call takes, a figure per round."""
    figures: list[list[float]] = [[] for _ in functions]
    for index in turns(range(len(functions)), rounds):
        function = functions[index]
        start = perf_counter()
        for _ in range(calls):
            function()
        figures[index].append((perf_counter() - start) / calls)
    return figures


def with_headgate(count: int, place: Callable[..., Any]) -> Callable[[], np.ndarray]:
    """Return the program as a user writes it, compiled by `hg.function`."""
    import headgate as hg

    variables = [hg.Variable(place(start)) for start in starts(count)]
    factor = hg.asarray(place(FACTOR))

    @hg.function
    def step(factor: Any) -> Any:
        total = 0.0
        for variable in variables:
            variable.assign(variable * factor)
            total = total + hg.sum(variable)
        return total

    return lambda: np.asarray(step(factor).value)


def with_jax(count: int, place: Callable[..., Any]) -> Callable[[], np.ndarray]:
    """Return the program as a flat function of arrays, compiled by `jax.jit`."""
    import jax

    def program(*arguments: Any) -> Any:
        *values, factor = arguments
        values = [value * factor for value in values]
        total = 0.0
        for value in values:
            total = total + value.sum()
        return (*values, total)

    step = jax.jit(program, donate_argnums=tuple(range(count)))
    values = [jax.numpy.array(start) for start in starts(count)]
    factor = place(FACTOR)

    def call() -> np.ndarray:
        nonlocal values
        *values, total = step(*values, factor)
        return np.asarray(total)

    return call


def starts(count: int) -> list[np.ndarray]:
    """Return what the variables hold at first."""
    return list(np.ones((count, LENGTH), np.float32))


def dispatch(rounds: int, console: Console) -> None:
    """Measure, and print a table."""
    limit_environment(THREADS)
    import jax

    table = Table(title=f"µs per call; all variables, of {LENGTH} floats, are written")
    for heading in (
        "variables",
        "argument",
        "jax.jit",
        "hg.function",
        f"extra (target {TARGET:g})",
    ):
        table.add_column(heading, justify="right")
    kinds = {"JAX's": jax.numpy.array, "NumPy's": np.asarray}
    for count, (kind, place) in product(COUNTS, kinds.items()):
        functions = with_jax(count, place), with_headgate(count, place)
        np.testing.assert_allclose(functions[1](), functions[0](), rtol=1e-4)
        with console.status(f"{count} variables"):
            in_turns(functions, 3, CALLS)
            times = in_turns(functions, rounds, CALLS)
        extra = statistics.median(b - a for a, b in zip(*times, strict=True)) * 1e6
        colour = "green" if extra <= TARGET else "yellow"
        medians = (f"{statistics.median(figures) * 1e6:.1f}" for figures in times)
        table.add_row(str(count), kind, *medians, f"[{colour}]{extra:.1f}[/]")
    console.print(table)
