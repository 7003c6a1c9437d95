"""The script that mutates: what it draws, what it leaves alone, and how blocks are counted."""

import ast
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import mutation

SOURCE = '''
"""What it does."""
from __future__ import annotations

LIMIT: int = 3


def f(x: int, most: int = 2) -> int:
    """Return a number."""
    if x < most:
        raise ValueError(f"{x} is less than {most + 1}")
    for k in range(x):
        g = lambda y: y * 2
    return g(x) + k


class A:
    __slots__ = ("a",)

    def __init__(self):
        self.a = 1
        f(3)
'''


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "m.py").write_text(SOURCE)
    monkeypatch.setattr(mutation, "SOURCE", tmp_path)
    return "m.py"


def test_what_is_changed_and_what_is_left_alone(module):
    found = {(mutant.was, mutant.now) for mutant in mutation.mutants_of(module)}
    assert found >= {
        ("LIMIT: int = 3", "LIMIT: int = 4"),
        ("if x < most:", "if x <= most:"),
        ("if x < most:", "if not x < most:"),
        ("raise ValueError(f'{x} is less than {most + 1}')", "pass"),
        ("g = lambda y: y * 2", "g = lambda y: y / 2"),
        ("return g(x) + k", "return None"),
        ("self.a = 1", "pass"),
        ("f(3)", "pass"),
    }
    changed = " ".join(now for _, now in found)
    assert "a_" not in changed  # names of slots
    assert "most - 1" not in changed  # what messages say
    assert "what it does" not in changed.lower()


def test_a_mutant_is_applied_where_it_was_found(module):
    for mutant in mutation.mutants_of(module):
        tree = mutation.applied(ast.parse(SOURCE), mutant)
        compile(tree, "m.py", "exec")
        text = ast.unparse(tree)
        assert text != ast.unparse(ast.parse(SOURCE))
        if "\n" not in mutant.now and "def " not in mutant.now:
            assert mutant.now in text


def test_blocks_are_counted_where_they_run(module):
    numbers = {
        ast.unparse(node): number
        for node, number in mutation.blocks(ast.parse(SOURCE)).items()
        if isinstance(node, ast.stmt | ast.BinOp) and node._fields
    }
    assert numbers["LIMIT: int = 3"] == 0
    inner = [numbers[text] for text in ("return g(x) + k", "g = lambda y: y * 2", "y * 2")]
    assert len({0, *inner, numbers["self.a = 1"]}) == 5

    hits = bytearray(max(numbers.values()) + 1)
    tree = mutation.instrumented(ast.parse(SOURCE), "m.py")
    setattr(mutation.builtins, mutation._HITS, {"m.py": hits})
    try:
        space = {}
        exec(compile(tree, "m.py", "exec"), space)
    finally:
        delattr(mutation.builtins, mutation._HITS)
    assert not any(hits)
    assert space["f"](3) == 8
    assert space["f"].__doc__ == "Return a number."
    assert [bool(hits[number]) for number in inner] == [True, True, True]
    assert not hits[numbers["self.a = 1"]]
    assert not hits[numbers["raise ValueError(f'{x} is less than {most + 1}')"]]


def test_all_that_is_drawn_from_can_be_applied():
    """Of Headgate itself, a few."""
    mutants = mutation.all_mutants("record/cuts")
    assert len(mutants) > 20
    tree = (mutation.SOURCE / "record/cuts.py").read_text()
    for mutant in mutants[::5]:
        compile(mutation.applied(ast.parse(tree), mutant), "cuts.py", "exec")
    assert all(known[0].endswith(".py") for known in mutation.equivalents())
