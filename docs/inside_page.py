"""Write inside.md: the cells of inside.py, each with what it prints. Needs jupytext."""

import contextlib
import io
from pathlib import Path

import jupytext

PROGRAM = Path(__file__).with_name("inside.py")
NOTE = "<!-- Made from inside.py by `python docs/inside_page.py`; edit that file, not this one. -->"


def render() -> str:
    """Run the program cell by cell; return the page."""
    text = PROGRAM.read_text(encoding="utf-8")
    scope = {"__name__": "inside", "__file__": str(PROGRAM)}
    parts = [NOTE]
    for cell in jupytext.reads(text, fmt="py:percent").cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        above = text[: text.index(cell.source)].count("\n")  # lines keep their numbers in the file
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("\n" * above + cell.source, str(PROGRAM), "exec"), scope)
        parts.append(f"```python\n{cell.source}\n```")
        if printed.getvalue():
            parts.append(f"```text\n{printed.getvalue().rstrip()}\n```")
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PROGRAM.with_suffix(".md").write_text(render(), encoding="utf-8")
