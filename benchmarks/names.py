"""How many of the names that users reach for are there: `python -m benchmarks.names`.

The list is `missing_names.txt`, counted once in public programs, in the suites of other libraries
and among newcomers. A name counts as there if it can be looked up, an argument if the function's
signature has it.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("missing_names.txt")
ROOTS = {"tf": "headgate.tf", "hg": "headgate"}


def names() -> dict[str, list[tuple[int, str, bool]]]:
    """Return the groups of the list: how often, the name, and whether it is left out on purpose."""
    groups: dict[str, list[tuple[int, str, bool]]] = {}
    rows: list[tuple[int, str, bool]] = []
    for line in FILE.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            rows = groups[line.strip("[]")] = []
        elif line and not line.startswith("#"):
            count, *out, name = line.split()
            rows.append((int(count), name, bool(out)))
    return groups


def found(name: str) -> bool:
    """Tell whether a name is there, and its argument if one is named."""
    path, _, argument = name.removesuffix("=)").partition("(")
    root, *parts = path.split(".")
    value: Any = importlib.import_module(ROOTS[root])
    for part in parts:
        value = getattr(value, part, None)
        if value is None:
            return False
    return not argument or takes(value, argument)


def takes(function: Any, argument: str) -> bool:
    """Tell whether a function, or the constructor of a class and of its bases, has an argument."""
    for each in [function, *getattr(function, "__mro__", ())[1:-1]]:
        try:
            parameters = inspect.signature(each).parameters
        except ValueError:  # an exception's, say
            continue
        if argument in parameters:
            return True
    return False


def table() -> str:
    """Return a line for each group: how many of its names are there, and of their counts."""
    lines = []
    for group, rows in names().items():
        wanted = [(count, name) for count, name, out in rows if not out]
        there = [(count, name) for count, name in wanted if found(name)]
        share = sum(count for count, _ in there), sum(count for count, _ in wanted)
        lines.append(
            f"{group}: {len(there)} of {len(wanted)} names, {share[0]} of {share[1]} by count"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--missing", action="store_true", help="list the names that are not there")
    if parser.parse_args().missing:
        for group, rows in names().items():
            missing = [f"{name} {n}" for n, name, out in rows if not out and not found(name)]
            print(f"{group}: {', '.join(missing) or 'all there'}")
        return
    print(table())


if __name__ == "__main__":
    main()
