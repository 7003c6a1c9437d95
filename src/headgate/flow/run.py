"""Run: a script runs unchanged while watchers look on, and is explained afterwards.

The script runs in this process, in a fresh `__main__` module, as `python SCRIPT ARGS` would run it:
same `sys.argv`, `sys.path`, `__name__` and `__file__`, same standard streams, same traceback. When
it has ended, and all of its threads that Python would wait for, the report follows on standard
output, below a rule. Exit handlers run after that, as the interpreter leaves.

The exit status answers the question that was asked: `CLEAN`, `FOUND`, or `UNANSWERED` when the
script failed, could not be run, or never did what an option asks about. Interpreters that the
script starts have their part in the report (`headgate.flow.children`); a process that it forks is
the script's alone: it leaves with the status that Python would give it and reports nothing. What
differs from `python SCRIPT` is that Headgate and NumPy are imported already, so an environment
variable that the script sets for them comes too late.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib.machinery
import importlib.util
import io
import json
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import Any, TextIO

from rich.console import Console, RenderableType
from rich.text import Text

from headgate.flow.children import Part, children, part_of, together
from headgate.flow.matrix import Matrix, as_tables, entries, matrices
from headgate.flow.patterns import covers_call, covers_name, function_of, line_of
from headgate.flow.report import Finding, as_entries, as_json, merged, render, summary
from headgate.flow.sarif import as_sarif
from headgate.flow.trace import Trace
from headgate.flow.watcher import Watcher
from headgate.record.site import printable

CLEAN, FOUND, UNANSWERED = 0, 1, 2
"""Exit statuses of `headgate why`."""


class CannotRun(Exception):
    """There is nothing to run, or nowhere to write to; the message is for people."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be run, and what is asked of it.

    Attributes:
        script: path of the script, or name of the module if `module`.
        arguments: what the script gets to see behind its own name.
        module: whether to run a module, as `python -m` does.
        json: file for the report as JSON.
        html: file for the map.
        sarif: file for the findings as SARIF, for code reviews.
        no_flow: patterns of parameters that gradient must not reach (`headgate.flow.patterns`).
        flow: patterns of the names of parameters that gradient must reach.
        step: only this pass of each gradient call, from 0.
        every: how far apart the passes are that are looked at closely.
        matrix: whether to tell which term of each loss reaches which parameters.
    """

    script: str
    arguments: Sequence[str] = ()
    module: bool = False
    json: Path | None = None
    html: Path | None = None
    sarif: Path | None = None
    no_flow: Sequence[str] = ()
    flow: Sequence[str] = ()
    step: int | None = None
    every: int | None = None
    matrix: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of a run, for the files that are written about it.

    Attributes:
        traces: one of each watcher.
        gradients: the calls looked at, as the watchers give them.
        findings: the most important first.
        matrices: which term of each loss reaches which parameters, for each trace, if asked for.
        trouble: why the run says less than was asked; "" if it does not.
    """

    traces: Sequence[Trace]
    gradients: Sequence[dict[str, Any]]
    findings: Sequence[Finding]
    matrices: Sequence[list[Matrix]] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a script ended: the status that Python would have left with, and in words."""

    status: int
    words: str = ""


def why(question: Question, watch: Callable[[], Sequence[Watcher]]) -> int:
    """Run a script under watchers, print and write the report, and return the exit status.

    Leaves by SystemExit in a process that the script forked.

    Args:
        question: what to run and what to ask.
        watch: makes the watchers.

    Raises:
        CannotRun: if there is no such script, if it is not Python, or if a report could not be
            written. Where that is so beforehand, nothing is run.
    """
    out, errors, process, folder = sys.stdout, sys.stderr, os.getpid(), os.getcwd()
    pages = _pages_wanted(question)
    asked = {"step": question.step, "every": question.every}
    patterns = {"no_flow": list(question.no_flow), "flow": list(question.flow)}
    with ExitStack() as looking:
        parts_of_children = looking.enter_context(children({**asked, **patterns}))
        watchers = [looking.enter_context(watcher) for watcher in watch()]
        modules = dict(sys.modules)
        ending = run(question.script, question.arguments, question.module)
        if os.getpid() != process:
            sys.exit(ending.status)
        parts = parts_of_children()
    modules.pop("__main__", None)
    sys.modules.update(modules)  # some scripts clear what was imported before them
    with _inside(folder), _unwarned():
        traces = [watcher.trace for watcher in watchers]
        own = part_of(watchers, question.no_flow, question.flow, question.step)
        all_of_it = together(own, parts)
        gradients, findings = all_of_it.gradients, all_of_it.findings
        complaint = _unanswered(question, all_of_it)
        trouble = " ".join(filter(None, [ending.words, complaint]))
        counted = _summary(len(gradients), len(merged(findings)), all_of_it.calls)
        said = " ".join([counted, *all_of_it.remarks])
        found = [matrices(trace, question.step) for trace in traces if question.matrix]
        tables = [table for some in found for table in as_tables(some)]
        _show(f"{trouble} {said}".lstrip(), render(findings), tables, (out, errors))
        seen = Seen(traces, gradients, findings, found, trouble)
        for path, page in pages:
            _write(path, page(seen))
    if ending.status or complaint:
        return UNANSWERED
    return FOUND if findings else CLEAN


def run(script: str, arguments: Sequence[str], module: bool = False) -> Ending:
    """Run a script or a module as Python would, wait for its threads, and say how it ended.

    Raises:
        CannotRun: if there is no such script or module, or if it is not Python.
    """
    sys.argv = [script, *arguments]
    if not sys.flags.safe_path:
        sys.path[0] = os.getcwd() if module else os.path.dirname(os.path.realpath(script))
    ending = Ending(0)
    try:
        main, code = _load_module(script) if module else _load_script(script)
        sys.modules["__main__"] = main
        put_back = _kept()
        try:
            exec(code, main.__dict__)
        finally:
            put_back()
    except CannotRun:
        raise
    except SystemExit as leave:
        ending = _left(leave.code)
    except BaseException as error:
        _show_error(error)
        ending = Ending(
            1, f"The script failed: {type(error).__name__}. This was learned until then."
        )
    try:
        # The interpreter's own step at its end. It also ends the idle workers of thread pools, for
        # which a join would wait for ever.
        threading._shutdown()  # type: ignore[attr-defined]
    except KeyboardInterrupt:
        ending = Ending(1, "The script was interrupted. This was learned until then.")
    return ending


def _kept() -> Callable[[], None]:
    """Return what puts back those of the interpreter's own things that a script has thrown away.

    It may have deleted builtins, so nothing here calls one.
    """
    names, lists = dict(vars(builtins)), (sys.path, sys.meta_path, sys.path_hooks)
    kept = [(each, [*each]) for each in lists]

    def put_back() -> None:
        for name in names.keys() - builtins.__dict__.keys():
            builtins.__dict__[name] = names[name]
        for each, before in kept:
            each.extend([item for item in before if item not in each])

    return put_back


def _load_script(script: str) -> tuple[ModuleType, CodeType]:
    file = os.path.abspath(script)
    try:
        with io.open_code(file) as stream:
            source = stream.read()
    except OSError as error:
        cure = "; name the script in it" if isinstance(error, IsADirectoryError) else ""
        raise CannotRun(f"Cannot run {script}: {error.strerror}{cure}.") from None
    with _python_only(script):
        code = compile(source, file, "exec", dont_inherit=True)
    return _main(importlib.machinery.SourceFileLoader("__main__", file), file, None), code


def _load_module(name: str) -> tuple[ModuleType, CodeType]:
    spec = _find(name)
    if spec.submodule_search_locations is not None:
        spec = _find(f"{name}.__main__")
    with _python_only(name):
        code = spec.loader.get_code(spec.name)
    if code is None:
        raise CannotRun(f"Cannot run {name}: it is not a module written in Python.")
    sys.argv[0] = code.co_filename
    return _main(spec.loader, code.co_filename, spec), code


def _find(name: str) -> Any:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError) as error:  # of a package around it, or a name like "a..b"
        raise CannotRun(f"Cannot run {name}: {error}.") from None
    if spec is None:
        raise CannotRun(f"Cannot run {name}: no module has this name; for a file, leave out -m.")
    return spec


def _main(loader: Any, file: str, spec: importlib.machinery.ModuleSpec | None) -> ModuleType:
    """Return a fresh `__main__` module, as the interpreter makes it."""
    main = ModuleType("__main__")
    main.__dict__.update(
        __builtins__=builtins,
        __cached__=spec and spec.cached,
        __file__=file,
        __loader__=loader,
        __package__=spec and spec.parent,
        __spec__=spec,
    )
    return main


@contextmanager
def _python_only(script: str) -> Iterator[None]:
    """Refuse what does not compile, and show the line as Python would."""
    try:
        yield
    except (SyntaxError, ValueError) as error:  # ValueError: null bytes, before Python 3.12
        shown = "".join(traceback.format_exception_only(error)).rstrip()
        raise CannotRun(f"Cannot run {script}: it is not a Python program.\n{shown}") from None


def _left(code: Any) -> Ending:
    """Return the ending of a script that called sys.exit; print its message, as Python does."""
    if code is None:
        return Ending(0)
    if not isinstance(code, int):
        print(code, file=sys.stderr)
        return Ending(1, "The script left with an error message. This was learned until then.")
    words = f"The script left with exit status {code}. This was learned until then."
    return Ending(code, words if code else "")


def _show_error(error: BaseException) -> None:
    """Show an error that ended the script as Python would, from the script's first frame on."""
    try:
        sys.excepthook(type(error), error, _below_this_file(error))
    except BaseException as failure:  # of a hook that the script put there; it has `error` with it
        sys.__excepthook__(type(failure), failure, _below_this_file(failure))


def _below_this_file(error: BaseException) -> TracebackType | None:
    rest = error.__traceback__
    while rest is not None and rest.tb_frame.f_code.co_filename == __file__:
        rest = rest.tb_next
    error.__traceback__ = rest
    return rest


@contextmanager
def _unwarned() -> Iterator[None]:
    """Write a report without warnings, which the script may have made into errors."""
    with ExitStack() as quiet:
        with contextlib.suppress(Exception):  # it may have taken the machinery apart as well
            quiet.enter_context(warnings.catch_warnings(module=warnings))
            warnings.simplefilter("ignore")
        yield


@contextmanager
def _inside(folder: str) -> Iterator[None]:
    """Work in a folder; the script may have left it, and removed the one that it went to."""
    try:
        before = os.getcwd()
    except FileNotFoundError:
        before = folder
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _unanswered(question: Question, part: Part) -> str:
    """Say what an option asks about that the script never had or did; empty if nothing."""
    names, aliases = sorted({*part.names}), part.aliases
    calls = [place for place, _ in part.asked]
    complaints = []
    for option, patterns in (("--no-flow", question.no_flow), ("--flow", question.flow)):
        for pattern in patterns:
            if not any(covers_name(name, pattern) for name in (*names, *aliases)):
                known = f"; there are {', '.join(names)}." if names else "."
                complaints.append(
                    f"{option} {pattern}: no parameter of the script has such a name{known}"
                )
            elif not any(covers_call(call, pattern) for call in calls):
                there = ", ".join(
                    sorted({f"{function_of(call)} ({line_of(call)})" for call in calls})
                )
                complaints.append(
                    f"{option} {pattern}: no gradient call is there; there are those in {there}."
                )
    steps = {step for _, step in part.asked}
    if question.step is not None and question.step not in steps:
        last = f"the last one was {max(steps)}" if steps else "there was none at all"
        complaints.append(f"--step {question.step}: there was no such gradient call; {last}.")
    return " ".join(complaints)


def _fullest(traces: Sequence[Trace]) -> Trace:
    """Return the trace to draw: that of the framework which computed most of the gradients."""
    return max(traces, key=lambda trace: len(trace.gradients))


def _summary(looked: int, findings: int, calls: int) -> str:
    if not calls:
        return (
            "No gradient was computed with Headgate, PyTorch, JAX or TensorFlow: there is nothing "
            "to explain."
        )
    return summary(looked, findings, calls)


def _show(
    summary: str, body: Text, tables: Sequence[RenderableType], streams: Iterable[TextIO | None]
) -> None:
    """Print the report to the first stream that can still be written to."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        sys.stdout.flush()  # what the script put there, and may have closed
    for stream in filter(None, streams):
        try:
            console = Console(file=stream)
            with console.capture() as captured:
                console.rule("headgate why")
                console.print(Text(printable(summary)), soft_wrap=True)
                if body:
                    console.print(body, soft_wrap=True)
                for table in tables:
                    console.print()
                    console.print(table)
            text = captured.get().encode(stream.encoding, "backslashreplace")
            stream.write(text.decode(stream.encoding))
            stream.flush()
            return
        except ValueError:  # it is closed
            continue
        except OSError as error:
            # Nothing may be left in the buffer, or the interpreter fails once more as it leaves.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            if isinstance(error, BrokenPipeError):  # the reader has seen enough
                return


Page = Callable[[Seen], str]


def _pages_wanted(question: Question) -> list[tuple[Path, Page]]:
    """Return the files to write and how to make each; refuse what cannot be written."""
    makers: list[tuple[Path | None, Callable[[Question, Seen], str]]] = [
        (question.json, _json_page),
        (question.sarif, _sarif_page),
        (question.html, _map_page),
    ]
    return [(_writable(path), partial(make, question)) for path, make in makers if path is not None]


def _json_page(question: Question, seen: Seen) -> str:
    report = as_json(seen.gradients, seen.findings)
    if question.matrix:
        pairs = zip(seen.traces, seen.matrices)
        report["matrix"] = [entry for trace, found in pairs for entry in entries(trace, found)]
    return json.dumps(report, indent=2, allow_nan=False) + "\n"


def _sarif_page(question: Question, seen: Seen) -> str:
    log = as_sarif(
        seen.findings,
        seen.traces,
        script="" if question.module else question.script,
        name=question.script,
        trouble=seen.trouble,
    )
    return json.dumps(log, indent=2) + "\n"


def _map_page(question: Question, seen: Seen) -> str:
    from headgate.flow.page import page

    title = f"headgate why {question.script}"
    return page(_fullest(seen.traces), title, as_entries(seen.findings))


def _writable(path: Path) -> Path:
    """Return the whole path of a file after making sure that it can be written."""
    if str(path) == "-":
        raise CannotRun("Cannot write to -: the script prints there; name a file. Nothing was run.")
    whole = path.absolute()
    known = whole.exists()
    try:
        with whole.open("ab"):
            pass
        if not known:
            whole.unlink()
    except OSError as error:
        raise CannotRun(f"Cannot write {path}: {error.strerror}. Nothing was run.") from None
    return whole


def _write(path: Path, page: str) -> None:
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise CannotRun(f"Cannot write {path}: {error.strerror}.") from None
