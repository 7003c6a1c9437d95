"""What holds for losses and parameters of PyTorch, as the assertions on flow have it.

A question (`headgate.flow.watch.torch.question`) tells of each parameter what came of it; here it
is put into the words that tests of Headgate's own programs use. PyTorch is there already when this
module is imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from headgate.flow.judge import Outcome
from headgate.flow.kinds import cure, what
from headgate.flow.trace import Cut
from headgate.flow.trace import Place as Line
from headgate.flow.watch.torch.question import Answer, answer, computed
from headgate.record.verdict import Place, Verdict
from headgate.testing.flow import Finding

_STOP = "call .detach() on the value"


def examined(targets: Mapping[str, Any], groups: Mapping[str, Any]) -> list[list[list[Finding]]]:
    """Return for each target and each group of sources what holds for each source.

    Raises:
        TypeError: a target is no tensor, or a source is nothing of PyTorch.
        ValueError: a group without parameters.
    """
    columns = {name: _kept(group) for name, group in groups.items()}
    rows = []
    for name, target in targets.items():
        seen = computed(target, name)
        rows.append([[*_findings(answer(*seen, column, of))] for of, column in columns.items()])
    return rows


def _kept(group: Any) -> Any:
    """Return what can be gone through more than once: `model.parameters()` cannot."""
    return list(group) if isinstance(group, Iterator) else group


def _findings(found: Answer) -> Iterator[Finding]:
    entrances = {leak.name: leak.entrance for leak in found.facts().leaks}
    for outcome in found.outcomes:
        entrance = entrances.get(outcome.name)
        yield _finding(outcome, () if entrance is None or not entrance.file else (entrance,))


def _finding(outcome: Outcome, entries: tuple[Line, ...]) -> Finding:
    name, kind, verdict = outcome.name, outcome.kind or None, outcome.verdict
    label = outcome.blamed.label if outcome.blamed else ""
    said = what(kind, label, "torch", verdict).partition(": ")[2] if kind else ""
    advice = cure(kind, label, "torch", verdict) if kind else ""
    cuts = tuple([_place(cut) for cut in outcome.cuts if cut.place.file])
    if verdict == "zero":
        zeros = Verdict(name, verdict, kind, cuts, f"{label}: {said}")
        connected = Verdict(name, "connected", None, (), "")
        return Finding(connected, 0.0, entries, zeros, advice, _STOP)
    if verdict in ("connected", "not finite"):
        told = Verdict(name, verdict, kind, cuts, "")
        return Finding(told, outcome.norm, entries, stop=_STOP)
    told = Verdict(name, verdict, kind, cuts, "" if cuts else said)
    return Finding(told, None, (), None, advice)


def _place(cut: Cut) -> Place:
    return Place(cut.kind, cut.place.file, cut.place.line, cut.place.text, cut.label, cut.shape)
