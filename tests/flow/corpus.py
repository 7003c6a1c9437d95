"""The corpus of broken programs: what their headers say, and what they print.

A program is known by its path below `tests/why_cases`. It runs in this process, once, as a script
would; what it prints is read as pairs of a name and a word or a size, the form of `expect`.
"""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import re
import runpy
import shlex
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

CASES = Path(__file__).parents[1] / "why_cases"
FIELDS = {"cause", "line", "affected", "symptom", "expect", "also"}
OPTIONAL = {"args", "stops", "since"}


def named(pattern: str) -> list[str]:
    """Return the programs whose paths match a pattern."""
    return sorted(path.relative_to(CASES).as_posix() for path in CASES.glob(pattern))


def header(name: str) -> dict[str, str]:
    """Return the fields at the head of a program."""
    lines = (CASES / name).read_text().splitlines()
    found = {}
    for line in lines:
        match = re.fullmatch(r"# (\w+): (.+)", line)
        if match is None:
            break
        found[match[1]] = match[2]
    return found


def causes(name: str) -> list[str]:
    """Return the kinds that are right, the best one first."""
    return header(name)["cause"].split()


def lines_named(fields: dict[str, str]) -> list[int]:
    """Return the line of the cut and all other right answers, or the legitimate stops."""
    texts = [fields["line"], fields["also"], fields.get("stops", "-")]
    return [int(word) for text in texts for word in text.split() if word not in ("0", "-")]


def run(name: str) -> None:
    """Run a program as a script. Its error, if it has one, is not caught."""
    keras = sys.modules.get("keras")
    if keras is not None:  # it counts the names that it gives
        keras.utils.clear_session()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a broken program may well be warned of its mistake
            runpy.run_path(str(CASES / name), run_name="__main__")
    finally:
        torch = sys.modules.get("torch")
        if torch is not None:  # that a program leaves the gradient off may be its very defect
            torch.set_grad_enabled(True)
            torch.set_default_dtype(torch.float32)


@functools.cache
def printed(name: str) -> str:
    """Run a program and return what it prints, in the form of `expect`, with how it fails."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            run(name)
        except Exception as error:
            print(f"error: {type(error).__name__}")
    return in_short(out.getvalue())


def in_short(out: str) -> str:
    """Return what a program prints in the form of `expect`."""
    text = " ".join(line.replace(": ", "=") for line in out.splitlines())
    # The headers do not name the models around a layer.
    return re.sub(r"\S*/(?=[^/\s]+/[^/\s]+=)", "", text)


def values_of(text: str) -> dict[str, str | float]:
    """Return what a program prints of each parameter: a word, or a size."""
    pairs = [word.split("=") for word in text.split()]
    return {name: float(said) if "." in said else said for name, said in pairs}


def statuses(name: str) -> dict[str, str | float]:
    return values_of(printed(name))


def expected(name: str) -> dict[str, Any]:
    """Return what a program must print, as its header says: sizes are compared with a tolerance."""
    return {
        parameter: pytest.approx(said, abs=0.002) if isinstance(said, float) else said
        for parameter, said in values_of(header(name)["expect"]).items()
    }


def options(name: str, wanted: str) -> list[str]:
    """Return the values of an option of `headgate why` in the header of a program."""
    words = shlex.split(header(name).get("args", ""))
    return [value for option, value in itertools.pairwise(words) if option == wanted]


def imported(name: str) -> set[str]:
    """Return the libraries that a program imports."""
    lines = (CASES / name).read_text().splitlines()
    found = (re.match(r"\s*(?:import|from) ([\w.]+)", line) for line in lines)
    return {match[1].split(".")[0] for match in found if match}
