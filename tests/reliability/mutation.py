"""Mutation: small faults put into Headgate's text, each of which some test must notice.

A mutant is the source of one module with one change: a comparison turned round, a number that is
one more, a statement left out. It lives in memory alone: the child process that runs the tests
imports the module from the changed tree, and no file is written. So nothing that is edited
meanwhile is touched, and many run side by side.

Which tests are worth running is known from a *map*, recorded once: each test, and the blocks
(bodies of functions, of branches, of lambdas) that it has run through. Blocks are counted by a
store into a bytearray that is put at their heads in the same way, in memory, which costs a few per
cent where a tracer would cost several times as much. The tests of a mutant are those of its block;
those that run through the fewest other blocks come first, the first that fails ends it, and a
mutant that runs for too long is taken as noticed.

    python tests/reliability/mutation.py --record              # the map: as long as the tests take
    python tests/reliability/mutation.py --record tests/core   # renew a part of it
    python tests/reliability/mutation.py --count 200 --seed 1  # draw mutants and run their tests
    python tests/reliability/mutation.py --only core/tape      # of modules whose path has that

`make mutation` does both; it fails if fewer than 98 of 100 are noticed. Mutants that change nothing
that can be seen (a cache that is not asked, an equal bound) stand in `equivalent.toml`, each with
its reason; they are not counted.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import collections
import copy
import difflib
import hashlib
import importlib.machinery
import json
import os
import random
import resource
import signal
import sys
import time
import tomllib
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "headgate"
EQUIVALENT = Path(__file__).with_name("equivalent.toml")
CACHE = ROOT / ".mutation"
PACKAGES = ["core", "record", "ops", "compile", "nn", "flow"]

# Each of these folders is one process of the recording, with the tests of it that are left out:
# comparisons in many dtypes take most of the time, and notice little besides. What starts processes
# of its own is of no use, for they do not run the changed module.
TESTS = {
    "tests/core": "chromium",
    "tests/tf_semantics": "chromium",
    "tests/ops": "other_dtype",
    "tests/flow": "chromium",
    "tests/train": "other_dtype",
    "tests/compile": "chromium",
    "tests/testing": "chromium",
    "tests/project/test_arguments.py": "chromium",
    "src/headgate": "chromium",
}

FIRST = 12  # so many tests are tried first, for most mutants are noticed by one of them
BUDGET = 25.0  # so many seconds of tests (as they were recorded) are tried in all
PATIENCE = 20.0  # so much longer than recorded may the tests of a mutant take
MEMORY = 6 << 30

_HITS = "__headgate_hits__"


# -- blocks ----------------------------------------------------------------------------------------


_BODIES = ("body", "orelse", "finalbody")
_NEW_BLOCKS = (ast.If, ast.For, ast.While, ast.Try, ast.ExceptHandler, ast.FunctionDef)


def blocks(tree: ast.Module, put: Callable[[int], ast.stmt] | None = None) -> dict[ast.AST, int]:
    """Return the block of each node, as a number; 0 is what runs when the module is imported.

    With `put`, each block begins with the statement that it makes of the number.
    """
    found: dict[ast.AST, int] = {}
    count = 0

    def new() -> int:
        nonlocal count
        count += 1
        return count

    def enter(node: ast.AST, block: int) -> None:
        found[node] = block
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inner = new()
            for part in (node.args, *node.decorator_list):
                enter(part, block)
            inside(node.body, inner)
        elif isinstance(node, ast.Lambda):
            inner = new()
            enter(node.args, block)
            enter(node.body, inner)
            if put is not None:
                mark = put(inner)
                assert isinstance(mark, ast.Assign)
                call = ast.parse(f"{_HITS}.__setitem__({inner}, 1) or 0", mode="eval").body
                assert isinstance(call, ast.BoolOp)
                call.values[1] = node.body
                node.body = call
        elif isinstance(node, ast.If | ast.For | ast.While | ast.Try) and block:
            for name, value in ast.iter_fields(node):
                if name in _BODIES and value:
                    inside(value, new())
                elif isinstance(value, list):
                    for each in value:
                        enter(each, block)
                elif isinstance(value, ast.AST):
                    enter(value, block)
        elif isinstance(node, ast.ExceptHandler):
            inside(node.body, new() if block else 0)
        else:
            for child in list(ast.iter_child_nodes(node)):
                enter(child, block)

    def inside(body: list[ast.stmt], block: int) -> None:
        for each in list(body):
            enter(each, block)
        if put is not None and block:
            text = ast.get_docstring(ast.Module(body, [])) is not None
            body.insert(int(text), put(block))

    enter(tree, 0)
    return found


def instrumented(tree: ast.Module, name: str) -> ast.Module:
    """Let the blocks of a module say that they were run."""

    def put(number: int) -> ast.stmt:
        return ast.parse(f"{_HITS}[{number}] = 1").body[0]

    blocks(tree, put)
    # The array of the module is found by a global name.
    offset = next(
        k
        for k, each in enumerate([*tree.body, None])
        if not (isinstance(each, ast.ImportFrom) and each.module == "__future__")
        and not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))
    )
    source = f"import builtins as __b; {_HITS} = __b.{_HITS}[{name!r}]; del __b"
    tree.body[offset:offset] = ast.parse(source).body
    ast.fix_missing_locations(tree)
    return tree


class Changing(importlib.machinery.SourceFileLoader):
    """Import a module of Headgate from a changed tree."""

    change: Callable[[ast.Module, str], ast.Module]

    def get_code(self, fullname: str) -> Any:
        path = self.get_filename(fullname)
        tree = ast.parse(self.get_data(path), path)
        relative = str(Path(path).relative_to(SOURCE))
        return compile(type(self).change(tree, relative), path, "exec", dont_inherit=True)


class Finder:
    """Find modules of Headgate where they are, and give them a loader that changes them."""

    def __init__(self, change: Callable[[ast.Module, str], ast.Module]) -> None:
        self.loader = type("Loader", (Changing,), {"change": staticmethod(change)})

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != "headgate" and not name.startswith("headgate."):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or not str(spec.origin).startswith(str(SOURCE)):
            return spec
        spec.loader = self.loader(name, spec.origin)
        return spec


def prepared() -> None:
    """Let this process run the tests of this tree, one thread each."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "JAX_ENABLE_X64"):
        os.environ[variable] = "1"  # JAX is imported before conftest.py is
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ["PYTHONPATH"] = str(ROOT / "src")
    sys.path.insert(0, str(ROOT / "src"))
    os.chdir(ROOT)


# -- the map ---------------------------------------------------------------------------------------


class Recorder:
    """What pytest tells while it runs: the blocks that each test has run through."""

    def __init__(self, hits: dict[str, bytearray]) -> None:
        self.hits = hits
        self.tests: dict[str, Any] = {}
        self.failed: set[str] = set()

    def pytest_runtest_logstart(self, nodeid: str, location: Any) -> None:
        for each in self.hits.values():
            each[:] = bytes(len(each))
        self.start = time.process_time()

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.outcome != "passed":
            self.failed.add(report.nodeid)

    def pytest_runtest_logfinish(self, nodeid: str, location: Any) -> None:
        if nodeid in self.failed:
            return
        blocks = {
            name: [k for k, hit in enumerate(each) if hit]
            for name, each in self.hits.items()
            if any(each)
        }
        self.tests[nodeid] = {"seconds": time.process_time() - self.start, "blocks": blocks}


def record(folder: str) -> int:
    """Run the tests of a folder, and write down through which blocks each of them runs."""
    prepared()
    hits: dict[str, bytearray] = {}

    def change(tree: ast.Module, name: str) -> ast.Module:
        count = max(blocks(copy.deepcopy(tree)).values(), default=0)
        hits[name] = bytearray(count + 1)
        return instrumented(tree, name)

    setattr(builtins, _HITS, hits)
    sys.meta_path.insert(0, Finder(change))
    import pytest

    recorder = Recorder(hits)
    flags = ["-q", "--no-header", "--tb=line", "-p", "no:cacheprovider", "-p", "no:xdist"]
    left = next((mark for name, mark in TESTS.items() if folder.startswith(name)), "chromium")
    chosen = ["-m", f"not ({left})", "--ignore=src/headgate/examples"]
    pytest.main([folder, *chosen, *flags], plugins=[recorder])
    CACHE.mkdir(exist_ok=True)
    place = CACHE / (folder.replace("/", "-").removesuffix(".py") + ".json")
    place.write_text(json.dumps({"of": digests(), "tests": recorder.tests}))
    print(f"{folder}: {len(recorder.tests)} tests recorded, {len(recorder.failed)} left out")
    return 0


def digests() -> dict[str, str]:
    """Return what tells whether a module has the blocks that it had when the map was recorded."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        opened, before = [], 0
        for node, block in blocks(ast.parse(path.read_bytes())).items():
            if block > before:
                opened.append(type(node).__name__ + getattr(node, "name", ""))
                before = block
        text = "\n".join(opened)
        found[str(path.relative_to(SOURCE))] = hashlib.sha256(text.encode()).hexdigest()[:16]
    return found


@dataclass
class Test:
    """A test, how long it takes, and through how many blocks it runs."""

    name: str
    seconds: float
    wide: int


class Map:
    """Which tests run through a block."""

    def __init__(self) -> None:
        self.of: dict[tuple[str, int], list[Test]] = collections.defaultdict(list)
        self.modules: dict[str, list[Test]] = collections.defaultdict(list)
        known = digests()
        self.stale: set[str] = set()
        for path in sorted(CACHE.glob("*.json"), key=os.path.getmtime, reverse=True):
            read = json.loads(path.read_text())
            self.stale.update(k for k, v in known.items() if read["of"].get(k) != v)
            for name, told in read["tests"].items():
                self._add(name, told)

    def _add(self, name: str, told: Any) -> None:
        wide = sum(map(len, told["blocks"].values()))
        test = Test(name, told["seconds"], wide)
        for module, numbers in told["blocks"].items():
            self.modules[module].append(test)
            for number in numbers:
                self.of[module, number].append(test)

    def tests(self, mutant: Mutant) -> list[Test]:
        """Return the tests of a mutant: the most telling first, and no more than there is time."""
        known = self.of[mutant.module, mutant.block] if mutant.block else None
        chosen = sorted(
            {test.name: test for test in known or self.modules[mutant.module]}.values(),
            key=lambda test: test.wide * (0.05 + test.seconds),
        )
        files: dict[str, list[Test]] = collections.defaultdict(list)
        for test in chosen:  # a test of each file in turn
            files[test.name.split("::")[0]].append(test)
        turns = sorted(
            ((k, each) for tests in files.values() for k, each in enumerate(tests)),
            key=lambda turn: (turn[0], turn[1].wide),
        )
        # The first ones are the most telling, whatever file they are in.
        ordered = chosen[:FIRST] + [test for _, test in turns if test not in chosen[:FIRST]]
        found, spent = [], 0.0
        for test in ordered:
            spent += 0.01 + test.seconds
            if found and spent > BUDGET:
                break
            found.append(test)
        return found


# -- mutants ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mutant:
    """One change of one node of a module, told by its place in `ast.walk` and a number."""

    module: str
    index: int
    variant: int
    line: int
    block: int
    where: str
    was: str
    now: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line} in {self.where}\n  - {self.was}\n  + {self.now}"


_COMPARED: dict[type, list[type]] = {
    ast.Lt: [ast.LtE, ast.GtE],
    ast.LtE: [ast.Lt, ast.Gt],
    ast.Gt: [ast.GtE, ast.LtE],
    ast.GtE: [ast.Gt, ast.Lt],
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
    ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is],
    ast.In: [ast.NotIn],
    ast.NotIn: [ast.In],
}
_COMPUTED: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}


def changes(node: ast.AST) -> list[ast.AST]:
    """Return what a node may be replaced by."""
    made: list[ast.AST] = []

    def with_(**fields: Any) -> None:
        other = copy.copy(node)
        for name, value in fields.items():
            setattr(other, name, value)
        made.append(other)

    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for kind in _COMPARED[type(node.ops[0])]:
            with_(ops=[kind()])
    elif isinstance(node, ast.BinOp):
        text = isinstance(node.op, ast.Add | ast.Mod) and any(
            isinstance(each, ast.JoinedStr) or isinstance(getattr(each, "value", None), str)
            for each in (node.left, node.right)
        )
        if not text:
            with_(op=_COMPUTED[type(node.op)]())
    elif isinstance(node, ast.AugAssign):
        with_(op=_COMPUTED[type(node.op)]())
        made.append(ast.Pass())
    elif isinstance(node, ast.BoolOp):
        with_(op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
        made.extend([node.values[1 - k] for k in range(2)] if len(node.values) == 2 else [])
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub | ast.Invert):
        made.append(node.operand)
    elif isinstance(node, ast.If | ast.While | ast.IfExp | ast.comprehension):
        if isinstance(node, ast.comprehension):
            if node.ifs:
                with_(ifs=node.ifs[1:])
        else:
            with_(test=ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.Constant):
        value = node.value
        if isinstance(value, bool):
            with_(value=not value)
        elif isinstance(value, int | float):
            with_(value=value + 1)
        elif isinstance(value, str) and value.isidentifier():
            with_(value=value + "_")
    elif _can_go(node):
        made.append(ast.Pass())
    elif isinstance(node, ast.Return) and not (
        node.value is None or (isinstance(node.value, ast.Constant) and node.value.value is None)
    ):
        with_(value=ast.Constant(None))
    elif isinstance(node, ast.Break):
        made.append(ast.Continue())
    elif isinstance(node, ast.Continue):
        made.append(ast.Break())
    return made


def _can_go(node: ast.AST) -> bool:
    """Tell whether a statement may be left out: it makes no name that what follows needs."""
    return isinstance(node, ast.Raise) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        if not isinstance(node, ast.Assign)
        else isinstance(node.targets[0], ast.Attribute | ast.Subscript)
    )


_SPEAKING = {"refusal", "warn", "cast", "TypeVar", "overload", "namedtuple"}


def _silent(tree: ast.Module) -> set[ast.AST]:
    """Return nodes that are left alone: types, docstrings, words of messages, lists of names."""
    found: set[ast.AST] = set()
    for node in ast.walk(tree):
        parts: list[Any] = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        if _is_for_types(node):
            parts.append(node)
        elif isinstance(node, ast.Raise):
            parts += [node.exc, node.cause]
        elif isinstance(node, ast.JoinedStr):
            parts += node.values
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in _SPEAKING:
                parts += [*node.args, *node.keywords]
        for part in parts:
            if part is not None:
                found.update(ast.walk(part))
    return found


def _is_for_types(node: ast.AST) -> bool:
    """Tell whether a node says something to readers and type checkers only."""
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        name = node.targets[0].id
        is_alias = name[0].isupper() and isinstance(node.value, ast.Subscript)
        return is_alias or name in ("__all__", "__slots__")
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    if isinstance(node, ast.ClassDef):
        return any("Protocol" in ast.unparse(base) for base in node.bases)
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Assert | ast.Import | ast.ImportFrom)


def mutants_of(module: str) -> Iterator[Mutant]:
    """Yield all mutants of a module."""
    tree = ast.parse((SOURCE / module).read_text())
    numbers, silent = blocks(tree), _silent(tree)
    statement: dict[ast.AST, tuple[ast.stmt, str]] = {}

    def enter(node: ast.AST, inside: ast.stmt, where: str) -> None:
        if isinstance(node, ast.stmt):
            inside = node
        statement[node] = inside, where
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            where = f"{where}.{node.name}".lstrip(".")
        for child in ast.iter_child_nodes(node):
            enter(child, inside, where)

    for each in tree.body:
        enter(each, each, "")
    for index, node in enumerate(ast.walk(tree)):
        if node in silent or node not in statement:
            continue
        around, where = statement[node]
        for variant in range(len(changes(node))):
            was, now = _difference(around, node, variant)
            if was != now:
                line = getattr(node, "lineno", around.lineno)
                yield Mutant(
                    module, index, variant, line, numbers[node], where or "module", was, now
                )


def _difference(around: ast.stmt, node: ast.AST, variant: int) -> tuple[str, str]:
    """Return the lines of a statement that differ once a node is replaced."""
    before = ast.unparse(around)
    changed = _Replacing(node, changes(node)[variant]).visit(around)
    after = ast.unparse(ast.fix_missing_locations(changed))
    was, now = [], []
    for line in difflib.ndiff(before.splitlines(), after.splitlines()):
        (was if line[0] == "-" else now if line[0] == "+" else []).append(line[2:].strip())
    return " ".join(was), " ".join(now)


class _Replacing(ast.NodeTransformer):
    """Put another node in the place of one, without a change of the tree that is given."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        if node is self.old:
            return self.new
        made = _shallow(node)
        self.generic_visit(made)
        return made


def _shallow(node: ast.AST) -> ast.AST:
    made = copy.copy(node)
    for name, value in ast.iter_fields(node):
        if isinstance(value, list):
            setattr(made, name, list(value))
    return made


def applied(tree: ast.Module, mutant: Mutant) -> ast.Module:
    """Return a tree with the change of a mutant."""
    node = next(node for k, node in enumerate(ast.walk(tree)) if k == mutant.index)
    new = changes(node)[mutant.variant]
    changed = _Replacing(node, ast.copy_location(new, node)).visit(tree)
    assert isinstance(changed, ast.Module)
    return ast.fix_missing_locations(changed)


def all_mutants(only: str = "") -> list[Mutant]:
    found = []
    for package in PACKAGES:
        for path in sorted((SOURCE / package).rglob("*.py")):
            module = str(path.relative_to(SOURCE))
            if only in module:
                found += list(mutants_of(module))
    return found


def equivalents() -> set[tuple[str, str, str]]:
    """Return the mutants that change nothing that can be seen, as module, text before, after."""
    if not EQUIVALENT.exists():
        return set()
    read = tomllib.loads(EQUIVALENT.read_text())
    return {(each["module"], each["was"], each["now"]) for each in read.get("mutant", [])}


# -- running them ----------------------------------------------------------------------------------


def attempt(mutant: Mutant | None, tests: list[Test]) -> int:
    """Run tests on a mutant, in this process; return how pytest ends."""
    spent = sum(test.seconds for test in tests)
    limit = int(PATIENCE + 4 * spent)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))

    def change(tree: ast.Module, name: str) -> ast.Module:
        return applied(tree, mutant) if mutant is not None and name == mutant.module else tree

    sys.meta_path.insert(0, Finder(change))
    import pytest

    flags = ["-q", "-x", "--no-header", "--tb=short", "-p", "no:cacheprovider", "-p", "no:xdist"]
    return int(pytest.main([*[test.name for test in tests], *flags]))


def forked(work: Callable[[], int], log: Path, seconds: float) -> int:
    """Do something in a child process; return its status, or that of a signal, below 0."""
    child = os.fork()
    if child == 0:
        status = 99
        try:
            os.setpgid(0, 0)
            out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(out, 1)
            os.dup2(out, 2)
            status = work()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
    end = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return -signal.SIGKILL
        time.sleep(0.02)


def judged(mutant: Mutant, tests: list[Test], sound: dict[str, bool]) -> str:
    """Say how a mutant ends: noticed by which test, or not at all.

    That a test passes without a mutant is made sure when it first fails with one; `sound` has what
    is known of that.
    """
    tests = [test for test in tests if sound.get(test.name, True)]
    if not tests:
        return "survived: no test runs through it"
    log = CACHE / f"log-{os.getpid()}"
    for part in (tests[:FIRST], tests[FIRST:]):
        if not part:
            continue
        status = tried(mutant, part, log)
        if status == 0:
            continue
        told = log.read_text(errors="replace").splitlines()
        first = next((line for line in told if line.startswith(("FAILED", "ERROR"))), "")
        named = [test for test in part if first.startswith(f"FAILED {test.name}")]
        if named:
            test = max(named, key=lambda each: len(each.name))
            if test.name not in sound:
                sound[test.name] = tried(None, [test], log) == 0
            if not sound[test.name]:
                return judged(mutant, tests, sound)
        return f"noticed: {first[:150] or f'status {status}'}"
    return f"survived {len(tests)} tests"


def tried(mutant: Mutant | None, tests: list[Test], log: Path) -> int:
    """Run tests in a process of their own; return how it ends."""
    seconds = 120 + 20 * sum(test.seconds for test in tests)
    return forked(lambda: attempt(mutant, tests), log, seconds)


def work(drawn: list[tuple[Mutant, list[Test]]], part: int, parts: int, write: int) -> int:
    """Judge each of so many drawn mutants; write the results as lines."""
    prepared()
    # What takes long to import is there before a child is forked. Nothing of it starts a thread.
    import numpy  # noqa: F401
    import optree  # noqa: F401
    import pytest  # noqa: F401

    try:
        import jax  # noqa: F401
    except ImportError:
        pass
    sound: dict[str, bool] = {}
    with os.fdopen(write, "w") as out:
        for number in range(part, len(drawn), parts):
            found = judged(*drawn[number], sound)
            print(json.dumps([number, found]), file=out, flush=True)
    return 0


def run(drawn: list[tuple[Mutant, list[Test]]], jobs: int) -> Iterator[tuple[Mutant, str]]:
    """Judge mutants in several processes; yield each with how it ended."""
    read, write = os.pipe()
    children = []
    for part in range(jobs):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.close(read)
                status = work(drawn, part, jobs, write)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        children.append(child)
    os.close(write)
    with os.fdopen(read) as results:
        for line in results:
            number, found = json.loads(line)
            yield drawn[number][0], found
    for child in children:
        os.waitpid(child, 0)


def recorded(folders: list[str], jobs: int) -> None:
    """Record the map, some folders at a time."""
    running: dict[int, str] = {}
    for folder in [*folders, *[""] * jobs]:
        while len(running) >= jobs or (running and not folder):
            done, _ = os.wait()
            running.pop(done, None)
        if folder:
            child = os.fork()
            if child == 0:
                try:
                    record(folder)
                finally:
                    sys.stdout.flush()
                    os._exit(0)
            running[child] = folder


def main() -> int:
    parser = argparse.ArgumentParser(description="Put small faults in, and see who notices.")
    parser.add_argument("--record", nargs="*", metavar="TESTS", help="only record the map")
    parser.add_argument("--count", type=int, default=200, help="mutants that are drawn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="a part of the path of modules")
    parser.add_argument("--least", type=float, default=98.0, help="per cent that must be noticed")
    parser.add_argument("--jobs", type=int, default=2, help="processes side by side")
    parser.add_argument("--verbose", action="store_true", help="name the test that noticed")
    options = parser.parse_args()
    if options.record is not None:
        recorded(options.record or list(TESTS), options.jobs)
        return 0
    known = Map()
    if known.stale or not known.of:
        print("the map is of other sources; it is recorded anew", flush=True)
        recorded(list(TESTS), options.jobs)
        known = Map()
    mutants = all_mutants(options.only)
    rng, same = random.Random(options.seed), equivalents()
    chosen = rng.sample(mutants, min(options.count, len(mutants)))
    counted = [each for each in chosen if (each.module, each.was, each.now) not in same]
    print(f"{len(mutants)} mutants, {len(chosen)} drawn, {len(counted)} of them count", flush=True)
    survivors = []
    drawn = [(mutant, known.tests(mutant)) for mutant in counted]
    for number, (mutant, found) in enumerate(run(drawn, options.jobs), 1):
        if found.startswith("survived"):
            survivors.append(mutant)
            print(f"[{number}] {mutant}\n  {found}", flush=True)
        elif options.verbose:
            print(f"[{number}] {mutant.module}:{mutant.line} {found}", flush=True)
    score = 100 * (1 - len(survivors) / max(1, len(counted)))
    print(f"{len(counted) - len(survivors)} of {len(counted)} noticed: {score:.1f} %")
    return int(score < options.least)


if __name__ == "__main__":
    sys.exit(main())
