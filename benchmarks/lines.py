"""Lines of code, of comments and docstrings, and empty ones: of every file, and of every wing.

`python -m benchmarks.lines` prints the table; pygount counts.
"""

import itertools
from pathlib import Path

from pygount import SourceAnalysis

SOURCE = Path(__file__).parents[1] / "src"
ROW = "{:<44}{:>8}{:>8}{:>8}"


def counted(path: Path) -> tuple[int, int, int]:
    """Return how many lines of a file are code, comment or docstring, and empty."""
    found = SourceAnalysis.from_file(str(path), "headgate", encoding="utf-8")
    return found.code_count + found.string_count, found.documentation_count, found.empty_count


def wing_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).parts
    return "/".join(parts[:2]) if len(parts) > 2 else parts[0] if len(parts) > 1 else "."


def table() -> str:
    """Return the table as text: under each wing its files."""
    found = {path: counted(path) for path in sorted(SOURCE.rglob("*.py"), key=_by_wing)}
    lines = [ROW.format("file", "code", "text", "empty")]
    for wing, paths in itertools.groupby(found, wing_of):
        files = list(paths)
        lines.append(ROW.format(f"{wing}/", *_sums(found[path] for path in files)))
        for path in files:
            lines.append(ROW.format(f"  {path.relative_to(SOURCE / wing)}", *found[path]))
    lines.append(ROW.format("in all", *_sums(found.values())))
    return "\n".join(lines)


def _by_wing(path: Path) -> tuple[str, Path]:
    return wing_of(path), path


def _sums(counts):
    return [sum(column) for column in zip(*counts)]


if __name__ == "__main__":
    print(table())
