"""Children: processes that a script starts are looked at as well, and are part of the report.

Whoever trains on several devices starts a process for each, by `torch.multiprocessing.spawn`, by
`torchrun`, or by hand. Such a process is another interpreter and inherits the environment. So while
a script runs there is a folder on `PYTHONPATH` with a `sitecustomize` module, which Python imports
first of all: once the process imports a framework, watchers look on there too, and as it ends it
writes down in that folder what they found. The parent reads that when its own script is over. What
several processes found is told once, with their number.

A process that is only forked is the script's alone, as the workers of a data loader are; and one
that asks for no gradients has nothing to write.
"""

from __future__ import annotations

import atexit
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from headgate.flow.report import Finding
from headgate.flow.trace import Place
from headgate.flow.watcher import WATCHERS, Watcher

VARIABLE = "HEADGATE_WHY"
"""The environment variable that tells a process where to write, and what is asked."""

_CUSTOMIZE = '''"""Put here by headgate why, to look on in the processes that a script starts."""

import importlib.util
import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [folder for folder in sys.path if os.path.abspath(folder or ".") != here]
own = sys.modules.pop("sitecustomize")
try:
    import sitecustomize
except ModuleNotFoundError as error:
    if error.name != "sitecustomize":
        raise
sys.modules.setdefault("sitecustomize", own)


class Waiting:
    """Waits for the first framework; only then Headgate is imported."""

    def find_spec(self, name, path=None, target=None):
        if name not in {names!r}:
            return None
        sys.meta_path.remove(self)
        sys.path.append({source!r})
        from headgate.flow.children import begin

        begin()
        return importlib.util.find_spec(name)


sys.meta_path.insert(0, Waiting())
'''


@dataclass(frozen=True, slots=True)
class Part:
    """What one process found.

    Attributes:
        findings: the most important first.
        gradients: the calls looked at, as the watchers give them.
        calls: how many there were.
        remarks: what could not be seen.
        names: of all parameters.
        aliases: what else they go by.
        asked: the lines of gradient calls, and which passes of them were looked at.
    """

    findings: Sequence[Finding] = ()
    gradients: Sequence[dict[str, Any]] = ()
    calls: int = 0
    remarks: Sequence[str] = ()
    names: Sequence[str] = ()
    aliases: Sequence[str] = ()
    asked: Sequence[tuple[Place, int]] = field(default=())


def part_of(
    watchers: Sequence[Watcher], no_flow: Sequence[str], flow: Sequence[str], step: int | None
) -> Part:
    """Return what some watchers found in this process."""
    traces = [watcher.trace for watcher in watchers]
    findings = [found for each in watchers for found in each.findings(no_flow, flow, step)]
    sources = [source for trace in traces for source in trace.sources]
    return Part(
        sorted(findings, key=lambda found: found.order),
        [call for watcher in watchers for call in watcher.gradients()],
        sum(watcher.coverage()[1] for watcher in watchers),
        [remark for watcher in watchers for remark in watcher.remarks() if remark],
        [source.name for source in sources],
        [source.alias for source in sources if source.alias],
        [(trace.places[call.place], call.step) for trace in traces for call in trace.gradients],
    )


# -- in the process of the script ------------------------------------------------------------------


@contextmanager
def children(asked: dict[str, Any]) -> Iterator[Callable[[], list[Part]]]:
    """Let the processes that are started meanwhile write down what they find.

    Args:
        asked: what is asked of them: keyword arguments of `watchers`, and of `part_of`.

    Yields:
        What reads their parts.
    """
    before = {name: os.environ.get(name) for name in (VARIABLE, "PYTHONPATH")}
    with tempfile.TemporaryDirectory(prefix="headgate-", ignore_cleanup_errors=True) as folder:
        source = str(Path(__file__).parents[2])
        text = _CUSTOMIZE.replace("{names!r}", repr((*WATCHERS,)))
        Path(folder, "sitecustomize.py").write_text(text.replace("{source!r}", repr(source)))
        os.environ[VARIABLE] = json.dumps({"into": folder, **asked})
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [folder, before["PYTHONPATH"]]))
        try:
            yield lambda: [_read(path) for path in sorted(Path(folder).glob("*.json"))]
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def together(own: Part, parts: Sequence[Part]) -> Part:
    """Return what several processes found, what they have in common once."""
    parts = [*([own] if own.calls else ()), *parts]
    if not parts or (own.calls and len(parts) == 1):
        return own
    found: dict[tuple[Any, ...], list[Finding]] = {}
    for part in parts:
        for finding in part.findings:
            key = finding.parameter, finding.kind, finding.file, finding.line, finding.term
            found.setdefault(key, []).append(finding)
    told = [
        replace(
            same[0], when=", ".join(filter(None, [same[0].when, _share(len(same), len(parts))]))
        )
        for same in found.values()
    ]
    return Part(
        sorted(told, key=lambda finding: finding.order),
        [call for part in parts for call in part.gradients],
        sum(part.calls for part in parts),
        list(dict.fromkeys(remark for part in (own, *parts) for remark in part.remarks)),
        [name for part in (own, *parts) for name in part.names],
        [alias for part in (own, *parts) for alias in part.aliases],
        [asked for part in parts for asked in part.asked],
    )


def _share(count: int, of: int) -> str:
    return f"in {count} of {of} processes" if of > 1 else "in a process that it started"


def _read(path: Path) -> Part:
    known = json.loads(path.read_text(encoding="utf-8"))
    findings = [
        Finding(
            **{
                **each,
                "others": tuple(each["others"]),
                "called_from": tuple(Place(*place) for place in each["called_from"]),
                "term": each["term"] and Place(*each["term"]),
            }
        )
        for each in known.pop("findings")
    ]
    asked = [(Place(*place), step) for place, step in known.pop("asked")]
    return Part(findings=findings, asked=asked, **known)


# -- in a process that it started ------------------------------------------------------------------


def begin() -> None:
    """Look on in this process, and write down what was found as it ends."""
    from headgate.flow.watcher import watchers

    asked = json.loads(os.environ[VARIABLE])
    into = Path(asked.pop("into"))
    question = {name: asked.pop(name) for name in ("no_flow", "flow")}
    looking = [watcher.__enter__() for watcher in watchers(**asked)]
    process = os.getpid()

    def write() -> None:
        if os.getpid() != process:
            return
        for watcher in looking:
            watcher.__exit__(None, None, None)
        part = part_of(looking, **question, step=asked.get("step"))
        if part.calls and into.exists():
            unfinished = into / f"{process}.part"
            unfinished.write_text(json.dumps(asdict(part)), encoding="utf-8")
            unfinished.rename(into / f"{process}.json")

    def safely() -> None:
        with suppress(Exception):
            write()

    atexit.register(safely)
