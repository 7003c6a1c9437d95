"""Watchers: each sees the gradient calls of one framework, and all are asked the same questions.

While it is entered, a watcher notes what one framework computes and differentiates, in neutral form
(`headgate.flow.trace`); afterwards it says what it found. A framework has one class, `Watch`, in
`headgate/flow/watch`, and one line in `WATCHERS`; `headgate why` enters all of them around the
script. Judging, drawing and reporting need nothing but the trace, so they are written once, here: a
watcher that writes a trace has all of it. One that knows better what came of its gradient calls, or
finds something by itself, overrides `facts` or `told`.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any, Self

from headgate.flow import report
from headgate.flow.course import coverage
from headgate.flow.judge import Call, Facts, Told, facts_of, judge, lost, noticed
from headgate.flow.page import notebook, page
from headgate.flow.patterns import names_it, with_aliases
from headgate.flow.report import Finding, as_entries, as_json
from headgate.flow.statements import statements
from headgate.flow.text import as_dot, as_mermaid, as_text
from headgate.flow.trace import Trace
from headgate.flow.updates import updates
from headgate.record.site import shown_path

KEPT = 1000
"""So many gradient calls are in the report in full."""

WATCHERS = {
    "headgate": "headgate",
    "torch": "torch.watch",
    "jax": "jax.watch",
    "tensorflow": "tensorflow.watch",
}
"""Framework -> the module in `headgate.flow.watch` that has its `Watch`."""


class Account(ABC):
    """What is known of the gradients of a program, and all that can be asked about it.

    `str()` of it is what `headgate why` prints; a notebook shows its map.

    Attributes:
        framework: in whose words it is told, a key of `WATCHERS`.
    """

    framework: str

    @property
    @abstractmethod
    def trace(self) -> Trace:
        """What happened, in neutral form."""

    def facts(self) -> Facts:
        """Return what there is to judge."""
        return facts_of(self.trace)

    def told(self) -> Iterable[Told]:
        """Return what was found beside all gradient calls."""
        return ()

    def gradients(self) -> list[dict[str, Any]]:
        """Return the entries of the report's "gradients", one for each call looked at."""
        return [_entry(call, self.framework) for call in self.facts().calls[:KEPT]]

    def findings(
        self, no_flow: Sequence[str] = (), flow: Sequence[str] = (), step: int | None = None
    ) -> list[Finding]:
        """Return what is wrong, the most important first.

        Args:
            no_flow: patterns of parameters that gradient must not reach (`headgate.flow.patterns`);
                none is missed there.
            flow: patterns of parameters that must get a gradient wherever they are asked for.
            step: look only at this pass of each gradient call, from 0.
        """
        return judged(self.trace, self.facts(), self.told(), no_flow, flow, step, self.framework)

    def remarks(self) -> list[str]:
        """Return in a sentence each what could not be seen."""
        return []

    def coverage(self) -> tuple[int, int]:
        """Return how many gradient calls were looked at closely, and of how many."""
        return coverage(self.trace.courses)

    def json(self) -> dict[str, Any]:
        """Return the report as `headgate why --json` writes it."""
        return as_json(self.gradients(), self.findings())

    # -- what a person looks at -------------------------------------------------------------------

    def __str__(self) -> str:
        findings = self.findings()
        head = " ".join([self.summary(findings), *self.remarks()])
        return "\n".join(filter(None, [head, report.as_text(findings)]))

    def summary(self, findings: Sequence[Finding]) -> str:
        """Return in a sentence how much was found, and in how much."""
        looked, calls = len(self.gradients()), self.coverage()[1]
        return report.summary(looked, len(report.merged(findings)), calls)

    def text(self) -> str:
        """Return the flow as text for a terminal."""
        return as_text(self.trace)

    def mermaid(self) -> str:
        """Return the flow as a Mermaid flowchart."""
        return as_mermaid(self.trace)

    def dot(self) -> str:
        """Return the flow in Graphviz' language."""
        return as_dot(self.trace)

    def html(self, title: str = "Flow of gradient") -> str:
        """Return the flow as a page: one self-contained HTML file."""
        return page(self.trace, title, as_entries(self.findings()))

    def _repr_html_(self) -> str:
        return notebook(self.html())


class Watcher(Account):
    """Sees the gradient calls of one framework while it is entered; a context manager."""

    @abstractmethod
    def __enter__(self) -> Self:
        """Begin to look on."""

    @abstractmethod
    def __exit__(self, *exception: object) -> None:
        """Leave the framework as it was."""


def judged(
    trace: Trace,
    facts: Facts,
    told: Iterable[Told] = (),
    no_flow: Sequence[str] = (),
    flow: Sequence[str] = (),
    step: int | None = None,
    framework: str = "headgate",
) -> list[Finding]:
    """Return all that is wrong, the most important first: with gradients, and with their use.

    The arguments are those of `headgate.flow.judge.judge`, and the trace.
    """
    told = [*told, *(noticed(trace) if step is None else ())]
    if no_flow or flow:
        aliases = [(source.name, source.alias) for source in trace.sources]
        no_flow, flow = with_aliases(no_flow, aliases), with_aliases(flow, aliases)
    found = judge(facts, told, no_flow, flow, step, framework)
    if step is None:
        beside = (lost(facts, no_flow, framework), updates(trace), statements(trace, flow))
        known = {(finding.parameter, finding.kind) for finding in found}
        for finding in itertools.chain.from_iterable(beside):
            key = finding.parameter, finding.kind
            if key not in known and not names_it(finding.parameter, no_flow):
                known.add(key)
                found.append(finding)
    return sorted(_closest(found), key=lambda finding: finding.order)


_FURTHER = {
    "born_each_pass": ("not_registered", "unlisted"),
    "not_registered": ("unlisted",),
    "wrong_variable": ("optimizer_mask",),
}
"""Kind -> kinds that say the same of a parameter, and less."""


def _closest(findings: list[Finding]) -> list[Finding]:
    """Return findings without those that say less of a parameter than another one does."""
    covered = {
        (finding.parameter, further)
        for finding in findings
        for further in _FURTHER.get(finding.kind, ())
    }
    return [each for each in findings if (each.parameter, each.kind) not in covered]


def _entry(call: Call, framework: str) -> dict[str, Any]:
    """Return a gradient call as the report's JSON has it."""
    return {
        "where": f"{shown_path(call.place.file)}:{call.place.line}",
        "framework": framework,
        "targets": call.targets,
        "sources": [
            {
                "name": outcome.name,
                "verdict": outcome.verdict,
                "norm": outcome.norm,
                "cuts": [
                    {
                        "kind": cut.kind,
                        "file": cut.place.file,
                        "line": cut.place.line,
                        "text": cut.place.text,
                        "label": cut.label,
                        "shape": cut.shape,
                    }
                    for cut in outcome.cuts
                ],
            }
            for outcome in call.outcomes.values()
        ],
    }


def watchers(step: int | None = None, every: int | None = None) -> list[Watcher]:
    """Make the watcher of each framework.

    Args:
        step: a pass of each gradient call, from 0, that is looked at closely in any case.
        every: how far apart the passes are that are looked at closely; by themselves they are the
            first ones, and ever fewer later (`headgate.flow.course.looks_at`).

    >>> from headgate.flow.watcher import watchers
    >>> [watcher.framework for watcher in watchers()]
    ['headgate', 'torch', 'jax', 'tensorflow']
    """
    return [
        import_module(f"headgate.flow.watch.{module}").Watch(step, every)
        for module in WATCHERS.values()
    ]
