"""`docs/inside.py`, the mechanism in miniature, says what the real library says.

Random programs are written as text, and the same text runs on both. Values, gradients, second
derivatives and the verdict on each source are compared, the verdicts down to the lines of the cuts.
"""

import importlib.util
import re
import runpy
import subprocess
import sys
import types
import weakref
from pathlib import Path

import numpy as np
import pytest

import headgate as hg

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "inside.py").read_text(encoding="utf-8")
PROGRAMS = 300


def miniature(text=TEXT):
    """Run the page without its examples; return its names as a program finds them."""
    cells = re.split(r"(?=^# %%)", text, flags=re.MULTILINE)
    text = "".join(cell for cell in cells if not re.search(r"^( {4})?print\(", cell, re.MULTILINE))
    page = types.ModuleType("inside")
    page.__file__ = str(DOCS / "inside.py")
    exec(compile(text, page.__file__, "exec"), vars(page))
    names = {name: getattr(page, name) for name in ("GradientTape", "Variable", "stop_gradient")}
    return types.SimpleNamespace(asarray=page.Tensor, **vars(page.TENSORS), **names)


# -- programs --------------------------------------------------------------------------------------

SHAPES = [(), (3,), (2, 3), (3, 2), (2, 1), (1, 3), (3, 3)]
UNARY = [
    "hg.negative({x})",
    "hg.sin({x})",
    "hg.cos({x})",
    "hg.tanh({x})",
    "hg.exp(hg.tanh({x}))",
    "hg.log(hg.add(hg.multiply({x}, {x}), 1.0))",
    "hg.multiply(2.5, {x})",
    "hg.broadcast_to({x}, shape={broad})",
    "hg.reshape({x}, shape={flat})",
    "hg.expand_dims({x}, axis=0)",
]
BINARY = [
    "hg.add({x}, {y})",
    "hg.subtract({x}, {y})",
    "hg.multiply({x}, {y})",
    "hg.maximum({x}, {y})",
    "hg.divide({x}, hg.add(hg.sin({y}), 2.0))",
    "hg.multiply(hg.greater({x}, {y}), {x})",
    "hg.multiply(hg.less({x}, {y}), {y})",
    "hg.add({x}, hg.stop_gradient({y}))",
]
CUTS = ["hg.stop_gradient({x})", "hg.round(hg.multiply(3.0, {x}))"]
LOOP = "for _ in range(3): {new} = hg.add(hg.tanh({new}), hg.multiply({y}, {cut}))"


class Program:
    """A random program as text, with the names and shapes of what it computes."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.lines = []
        self.shapes = {}
        self.sources = []
        for k in range(self.rng.integers(1, 5)):
            self.source(f"v{k}")
        constant = self.rng.random() < 0.3
        if constant:
            self.new("c", SHAPES[self.rng.integers(len(SHAPES))], "hg.asarray({values})")
            self.sources.append("c")
        names = list(self.shapes)
        if self.rng.random() < 0.15:
            self.statement()  # outside of the tape
        self.start = len(self.lines) + 1
        self.lines.append("with hg.GradientTape(persistent=persistent) as outer:")
        self.lines.append("  with hg.GradientTape(persistent=persistent) as tape:")
        self.indent = "    "
        if constant and self.rng.random() < 0.7:
            self.lines.append("    tape.watch(c)")
            self.lines.append("    outer.watch(c)")
        for name in names:
            if self.rng.random() < 0.05 and name != "c":
                self.lines.append(f"    tape.watch({name})")
        for _ in range(self.rng.integers(3, 13)):
            self.statement()
        computed = [name for name in self.shapes if name.startswith("t")]
        target = computed[-1 if self.rng.random() < 0.8 else self.rng.integers(len(computed))]
        if self.rng.random() < 0.7:
            self.lines.append(f"    target = hg.sum({target})")
        else:
            self.lines.append(f"    target = hg.sin({target})")
        self.lines += [
            f"  sources = [{', '.join(self.sources)}]",
            "  early = [tape.why(target, source) for source in sources]",
            "  gradients = tape.gradient(target, sources)",
            "  verdicts = [tape.why(target, source) for source in sources]",
            "  second = hg.asarray(np.array(0.0))",
            "  for k, g in enumerate(gradients):",
            "    if g is not None:",
            "      second = hg.add(second, hg.sum(hg.multiply(hg.sin(g), k + 1.5)))",
            "seconds = outer.gradient(second, sources)",
        ]
        self.text = "\n".join(self.lines) + "\n"

    indent = ""

    def pick(self, among):
        return among[self.rng.integers(len(among))]

    def new(self, name, shape, pattern):
        values = self.rng.normal(size=shape).round(3).tolist()
        self.lines.append(f"{name} = " + pattern.format(values=f"np.array({values})"))
        self.shapes[name] = shape

    def source(self, name):
        frozen = ", trainable=False" if self.rng.random() < 0.12 else ""
        shape = self.pick(SHAPES)
        self.new(name, shape, f"hg.Variable({{values}}{frozen}, name='{name}')")
        self.sources.append(name)

    def statement(self):
        """Add one line; values that were used before may be used again, the newest most often."""
        names = list(self.shapes)
        x = names[-1] if self.rng.random() < 0.4 else self.pick(names)
        shape = self.shapes[x]
        y = self.pick([x, *(other for other in names if _fits(shape, self.shapes[other]))])
        both = np.broadcast_shapes(shape, self.shapes[y])
        name = f"t{len(names)}"
        kind = self.rng.choice(
            ["unary", "binary", "matmul", "reduce", "argmax", "cut", "transpose", "loop"],
            p=[0.22, 0.3, 0.12, 0.1, 0.05, 0.13, 0.04, 0.04],
        )
        if kind == "matmul":
            pairs = [
                (a, b)
                for a in names
                for b in names
                if len(self.shapes[a]) == len(self.shapes[b]) == 2
                and self.shapes[a][1] == self.shapes[b][0]
            ]
            kind = "matmul" if pairs else "binary"
        if (kind == "transpose" and len(shape) != 2) or (kind == "argmax" and not shape):
            kind = "unary"
        if kind == "loop" and both != shape:
            kind = "binary"
        lines = []
        if kind == "binary":
            text, shape = self.pick(BINARY).format(x=x, y=y), both
        elif kind == "matmul":
            a, b = self.pick(pairs)
            text, shape = f"hg.matmul({a}, {b})", (self.shapes[a][0], self.shapes[b][1])
        elif kind == "reduce":
            axis = self.pick([None, *range(-len(shape), len(shape))])
            if len(shape) == 2 and self.rng.random() < 0.2:
                axis = (0, 1)
            keep = bool(self.rng.random() < 0.4)
            text = f"hg.sum({x}, axis={axis}, keepdims={keep})"
            shape = np.zeros(shape).sum(axis=axis, keepdims=keep).shape
        elif kind == "argmax":
            text, shape = f"hg.multiply(hg.argmax({x}, axis=-1), 0.5)", shape[:-1]
        elif kind == "cut":
            text = self.pick(CUTS).format(x=x)
        elif kind == "transpose":
            text, shape = f"hg.matrix_transpose({x})", shape[::-1]
        elif kind == "loop":
            cut = self.pick(["hg.stop_gradient({new})", "hg.round({y})", "hg.stop_gradient({y})"])
            text = f"hg.sin({x})"
            lines.append(LOOP.format(new=name, y=y, cut=cut.format(new=name, y=y)))
        else:
            pattern = self.pick(UNARY)
            broad, flat = (2, *shape), tuple(reversed(shape))
            if len(shape) > 2:
                pattern = UNARY[1]
            text = pattern.format(x=x, broad=broad, flat=flat)
            if "broadcast_to" in pattern:
                shape = broad
            elif "reshape" in pattern:
                shape = flat
            elif "expand_dims" in pattern:
                shape = (1, *shape)
        self.lines += [self.indent + line for line in (f"{name} = {text}", *lines)]
        self.shapes[name] = shape


def _fits(first, second):
    try:
        return len(np.broadcast_shapes(first, second)) < 3
    except ValueError:
        return False


# -- what both say ---------------------------------------------------------------------------------


def _cuts(verdict):
    """Return kind, line and label of the places of a verdict, each once, in order."""
    return list(dict.fromkeys((cut.kind, cut.line, cut.label) for cut in verdict.cuts))


def _plain(verdict, start):
    """Return what is compared of a verdict.

    The real library learns of a cut from before the tape (above line `start`) when its value is
    first used under the tape, the miniature when it is made. So with such a cut and others, neither
    order nor blame is compared.
    """
    cuts, kind = _cuts(verdict), verdict.kind
    if len(cuts) > 1 and any(line < start for _, line, _ in cuts):
        cuts, kind = sorted(cuts), kind in (None, *(cut[0] for cut in cuts))
    return verdict.source, verdict.verdict, kind, cuts


def outcome(program, library, persistent):
    """Run a program; return its values, gradients, second gradients and verdicts."""
    scope = {"hg": library, "np": np, "persistent": persistent}
    code = compile(program.text, f"<program {persistent}>", "exec")
    exec(code, scope)
    arrays = {name: np.asarray(scope[name].value) for name in program.shapes if name[0] == "t"}
    for what in ("gradients", "seconds"):
        for name, g in zip(program.sources, scope[what], strict=True):
            arrays[f"{what} {name}"] = None if g is None else np.asarray(g.value)
    verdicts = [_plain(verdict, program.start) for verdict in scope["verdicts"]]
    # The answer does not depend on whether the graph is still there.
    assert verdicts == [_plain(verdict, program.start) for verdict in scope["early"]]
    return arrays, verdicts


def differences(program, small, persistent=False):
    """Return what the miniature says otherwise than the real library."""
    arrays, verdicts = outcome(program, hg, persistent)
    small_arrays, small_verdicts = outcome(program, small, persistent)
    found = []
    for name, expected in arrays.items():
        got = small_arrays[name]
        if expected is None or got is None:
            same = expected is got
        else:
            same = got.shape == expected.shape and np.allclose(got, expected, 1e-12, 1e-12)
        if not same:
            found.append(f"{name}: {got} instead of {expected}")
    names = [name for name in program.sources if name != "c"]
    for expected, got in zip(verdicts, small_verdicts, strict=True):
        # What a constant is called is the real library's look at the program; compare the rest.
        start = 0 if expected[0] in names else 1
        if expected[start:] != got[start:]:
            found.append(f"{got} instead of {expected}")
    return found


@pytest.fixture(scope="module")
def small():
    return miniature()


@pytest.mark.parametrize("start", range(0, PROGRAMS, 50))
def test_random_programs(small, start):
    for seed in range(start, start + 50):
        program = Program(seed)
        found = differences(program, small, persistent=seed % 3 == 0)
        assert not found, "\n".join([program.text, *found])


def test_the_programs_are_worth_running(small):
    """The random programs have every verdict, several kinds of cuts and second derivatives."""
    verdicts, kinds, second, mixed = set(), set(), 0, 0
    for seed in range(PROGRAMS):
        arrays, said = outcome(Program(seed), small, persistent=False)
        verdicts.update(verdict for _, verdict, _, _ in said)
        kinds.update(kind for *_, cuts in said for kind, _, _ in cuts)
        second += any(
            g is not None and np.any(g) for name, g in arrays.items() if name.startswith("seconds")
        )
        mixed += any(verdict == "connected" and cuts for _, verdict, _, cuts in said)
    assert verdicts == {"connected", "cut", "unused", "not watched"}
    assert kinds == {"stop_gradient", "nondiff_op", "outside_tape", "frozen"}
    assert second > PROGRAMS / 3
    assert mixed > PROGRAMS / 10


WRONG = {
    "a rule": ('op("tanh(x)", lambda g, ans: g * (1 - ans * ans))', "(1 - ans * ans)", "(1 - ans)"),
    "a rule at second order": ("lambda g, xp, x: g * xp.cos(x)", "xp.cos(x)", "np.cos(x.value)"),
    "the OR of live": ("live |= its_live", "|=", "="),
    "the OR of cuts": ("cuts |= its_cuts", "|=", "="),
    "what lay before a cut": ("Cut(kind, label, *where(), severed, earlier)", "earlier", "0"),
    "the sum over broadcast axes": ("if k < extra or size != shape", "k < extra or ", ""),
    "the sum of two paths": ("c = pending[parent.seq][1] + c", "pending[parent.seq][1] + ", ""),
    "the line of a cut": ("frame.f_lineno", "f_lineno", "f_code.co_firstlineno"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_miniature_is_found(what):
    line, old, new = WRONG[what]
    assert TEXT.count(line) == 1
    if "second order" in what:  # right on arrays, and a constant where it is to be recorded
        new = "(np.cos(x) if xp is NUMPY else np.cos(x.value))"
    wrong = miniature(TEXT.replace(line, line.replace(old, new)))
    assert any(_fails(Program(seed), wrong) for seed in range(100))


def _fails(program, wrong):
    try:
        return bool(differences(program, wrong))
    except Exception:
        return True


# -- the page --------------------------------------------------------------------------------------


def test_the_page_runs_as_a_program(tmp_path):
    command = [sys.executable, "-W", "error", str(DOCS / "inside.py")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "[Tensor(7.0), None]" in done.stdout
    (line,) = re.findall(r"stop_gradient at inside\.py:(\d+): z = x \* x", done.stdout)
    assert "stop_gradient(y)" in TEXT.splitlines()[int(line) - 1]


def test_what_a_stop_leaves_behind_is_freed(small):
    v = small.Variable([1.0, 2.0], name="v")
    with small.GradientTape() as tape:
        before = small.sin(v)
        kept = weakref.ref(before.value)
        target = small.sum(small.stop_gradient(small.multiply(before, before)))
        del before
        assert kept() is None
    assert tape.why(target, v).kind == "stop_gradient"


def test_the_page_needs_only_numpy():
    imported = re.findall(r"^(?:import|from) (\w+)", TEXT, re.MULTILINE)
    assert {name for name in imported if name not in sys.stdlib_module_names} == {"numpy"}


def test_the_files_that_the_page_names_exist():
    links = re.findall(r"\]\((\.\./\S+?)\)", TEXT)
    assert len(links) > 10
    assert [link for link in links if not (DOCS / link).is_file()] == []


@pytest.mark.skipif(
    importlib.util.find_spec("jupytext") is None,
    reason="jupytext, which reads the page's cells, is not installed (it is in the extra dev)",
)
def test_the_page_is_what_the_program_renders_to():
    rendered = runpy.run_path(str(DOCS / "inside_page.py"))["render"]()
    assert rendered == (DOCS / "inside.md").read_text(encoding="utf-8"), (
        "docs/inside.py has changed: run python docs/inside_page.py"
    )
