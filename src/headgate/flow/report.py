"""Report: what was found, in words for people and in JSON for programs.

A **finding** is one parameter whose gradient is missing, zero or unwanted, and the line that is to
blame; what happened and what to do is in the table of kinds (`headgate.flow.kinds`). For people,
findings with the same cause share one entry of three lines (what, where, what to do); in JSON each
parameter has an entry of its own.

Everything quoted here comes out of somebody's program: names, labels and source lines may hold
anything, so control characters are replaced before they reach a terminal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from headgate.flow.kinds import rank, what
from headgate.flow.trace import Place
from headgate.record.site import printable, shown_path

if TYPE_CHECKING:
    from rich.text import Text

VERSION = 1
"""Of the JSON's format; grows when a field changes its meaning or goes away."""

NAMES_SHOWN = 5
"""How many parameters an entry for people names before it counts the others."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One parameter whose gradient is not as it should be, and the line to blame.

    Attributes:
        parameter: name of the parameter.
        verdict: "cut", "zero", "unused", or what else the solver says of it.
        kind: kind of cut, a key of `headgate.flow.kinds.KINDS`.
        file: file of the cut, "" if unknown.
        line: line of the cut, from 1.
        text: source text of that line.
        cure: what to do.
        label: what the user called the cut.
        others: further parameters that the same cut severs.
        called_from: the user's lines that led there, the nearest first, where the line lies in a
            function that is called from several.
        term: the line of the term of the loss that is dead, if that is what is wrong.
        further: whether it is one more cut of a parameter, after the one to look at first.
        when: from when on, or how often, in words: "from step 30 of 60".
        framework: in whose words it is told, a key of `headgate.flow.watcher.WATCHERS`.
    """

    parameter: str
    verdict: str
    kind: str
    file: str
    line: int
    text: str
    cure: str
    label: str = ""
    others: tuple[str, ...] = ()
    called_from: tuple[Place, ...] = ()
    term: Place | None = None
    when: str = ""
    further: bool = False
    framework: str = "headgate"

    @property
    def order(self) -> tuple[bool, int]:
        """Where it stands in a report: by its kind, one more cut after all first ones."""
        return self.further, rank(self.kind)

    @property
    def cause(self) -> tuple[Any, ...]:
        """What findings with one cause share, whatever the parameter."""
        where = self.file, self.line, self.called_from, self.term
        return self.verdict, self.kind, *where, self.when

    @property
    def said(self) -> str:
        """What happened, in a sentence about `{names}`."""
        return what(self.kind, self.label, self.framework, self.verdict)


def told_of(callers: Sequence[Place]) -> tuple[Place, ...]:
    """Return those of the lines that led somewhere which a finding tells of.

    That is the nearest one, and the next if that is in a function as well.

    >>> from headgate.flow.report import told_of
    >>> from headgate.flow.trace import Place
    >>> step, main = Place("a.py", 8, "train.<locals>.step"), Place("a.py", 20, "<module>")
    >>> told_of([step, main])
    (Place(file='a.py', line=8, function='step'),)
    """
    names = [(place, _function(place)) for place in callers[:2]]
    return tuple(
        place._replace(function="" if name == "<module>" else name)
        for number, (place, name) in enumerate(names)
        if not number or name != "<module>"
    )


def _function(place: Place) -> str:
    """Return the name of the function of a line, without those around it; of a comprehension, of
    the one around it."""
    parts = place.function.split(".<locals>.")
    named = [part for part in parts if not part.startswith("<") or part == "<lambda>"]
    return named[-1] if named else "<module>"


def each(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield findings of one parameter each.

    >>> from headgate.flow.report import Finding, each
    >>> both = Finding("a", "cut", "rewrap", "x.py", 3, "v = f(h)", "", others=("b",))
    >>> [finding.parameter for finding in each([both])]
    ['a', 'b']
    """
    for finding in findings:
        for name in (finding.parameter, *finding.others):
            yield replace(finding, parameter=name, others=())


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Return one finding per cause, in the order given: `others` names the other parameters.

    >>> from headgate.flow.report import Finding, merged
    >>> one = Finding("a", "cut", "rewrap", "x.py", 3, "v = f(h)", "")
    >>> two = Finding("b", "cut", "rewrap", "x.py", 3, "v = f(h)", "")
    >>> [(finding.parameter, finding.others) for finding in merged([one, two])]
    [('a', ('b',))]
    """
    groups: dict[tuple[Any, ...], dict[str, Finding]] = {}
    for finding in each(findings):
        groups.setdefault(finding.cause, {}).setdefault(finding.parameter, finding)
    return [
        replace(next(iter(group.values())), others=tuple(group)[1:]) for group in groups.values()
    ]


def render(findings: Iterable[Finding], shown: Callable[[str], str] = shown_path) -> Text:
    """Return findings as styled text: three lines each (what, where, what to do).

    Args:
        findings: the most important first; those with the same cause become one.
        shown: how to write a path.

    >>> from headgate.flow.kinds import cure
    >>> from headgate.flow.report import Finding, render
    >>> found = Finding("w", "cut", "rewrap", "x.py", 3, "v = hg.Variable(h)", cure("rewrap"))
    >>> print(render([found]).plain)
    1. No gradient reaches w: the value is copied into a new variable (rewrap)
       x.py:3: v = hg.Variable(h)
       Use the tensor itself; hg.asarray(x) makes a tensor of it without a copy.
    """
    from rich.text import Text  # not needed to import headgate, and slow to import

    entries = []
    for number, finding in enumerate(merged(findings), 1):
        head = f"{number}. "
        indent = "\n" + " " * len(head)
        said = finding.said.format(names=_names(finding))
        label = f" [{finding.label}]" if finding.label else ""
        when = f", {finding.when}" if finding.when else ""
        place = f"{_place(finding, shown)}: " if finding.file else "no line is known"
        term: list[Any] = []
        if finding.term is not None:
            at = f"in the term at {_at(finding.term, shown)}: "
            term = [indent, (printable(at), "cyan"), printable(finding.term.text)]
        entries.append(
            Text.assemble(
                (head + printable(said), "bold"),
                (f" ({printable(finding.kind + label + when)})", "red"),
                indent,
                (printable(place), "cyan"),
                printable(finding.text),
                *term,
                indent,
                (printable(finding.cure), "green"),
            )
        )
    return Text("\n").join(entries)


def _at(place: Place, shown: Callable[[str], str]) -> str:
    return f"{shown(place.file)}:{place.line}"


def _place(finding: Finding, shown: Callable[[str], str]) -> str:
    """Return where a finding is, and who called the function that it lies in."""
    there = f"{shown(finding.file)}:{finding.line}"
    callers = [
        f"{place.function + ', ' if place.function else ''}{_at(place, shown)}"
        for place in finding.called_from
    ]
    return f"{there} (called from {', from '.join(callers)})" if callers else there


def as_text(findings: Iterable[Finding]) -> str:
    """Return findings as plain text, as `render` lays it out; empty without findings.

    >>> from headgate.flow.report import as_text
    >>> as_text([])
    ''
    """
    return render(findings).plain


def summary(looked: int, findings: int, calls: int) -> str:
    """Return how much was found, and in how many gradient calls of how many.

    >>> from headgate.flow.report import summary
    >>> summary(3, 0, 20)
    'No findings; 3 of 20 gradient calls looked at.'
    """
    of = f"{looked} of " if looked < calls else ""
    return f"{counted(findings, 'finding')}; {of}{counted(calls, 'gradient call')} looked at."


def counted(count: int, word: str) -> str:
    """Return a number of things in words.

    >>> from headgate.flow.report import counted
    >>> counted(0, "finding"), counted(1, "finding")
    ('No findings', '1 finding')
    """
    return f"{count or 'No'} {word}{'' if count == 1 else 's'}"


def as_json(gradients: Sequence[dict[str, Any]], findings: Iterable[Finding]) -> dict[str, Any]:
    """Return the report as `headgate why --json` writes it.

    JSON has no infinities and no NaN, so such norms become the strings "inf", "-inf" and "nan".

    Args:
        gradients: one entry per gradient call, as a watcher gives them.
        findings: the most important first; each parameter gets an entry of its own.

    >>> from headgate.flow.report import Finding, as_json
    >>> found = Finding("w", "cut", "rewrap", "x.py", 3, "v = f(h)", "Use h.", others=("b",))
    >>> report = as_json([], [found])
    >>> report["version"], [entry["parameter"] for entry in report["findings"]]
    (1, ['w', 'b'])
    """
    return {
        "version": VERSION,
        "gradients": _strict(gradients),
        "findings": _entries(findings, FIELDS),
    }


def as_entries(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Return the findings as `page` takes them: as in the JSON, with label and framework.

    >>> from headgate.flow.report import Finding, as_entries
    >>> found = Finding("w", "cut", "nondiff_op", "x.py", 3, "h = f(w)", "Use g.", "round")
    >>> as_entries([found])[0]["label"]
    'round'
    """
    return _entries(findings, (*FIELDS, "label", "framework"))


FIELDS = (
    *("parameter", "verdict", "kind", "file", "line", "text", "cure"),
    *("called_from", "term", "when"),
)
"""What the JSON has of each finding."""


def _entries(findings: Iterable[Finding], fields: Iterable[str]) -> list[dict[str, Any]]:
    return [{name: _plain(getattr(finding, name)) for name in fields} for finding in each(findings)]


def _plain(value: Any) -> Any:
    """Return a field of a finding as JSON has it: places as objects."""
    if type(value) is Place:
        return {**value._asdict(), "text": value.text}
    return list(map(_plain, value)) if type(value) is tuple else value


def _names(finding: Finding) -> str:
    names = (finding.parameter, *finding.others)
    shown, more = names[:NAMES_SHOWN], len(names) - NAMES_SHOWN
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _strict(value: Any) -> Any:
    """Return a value that JSON can hold: lists for sequences, strings for infinities and NaN."""
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
