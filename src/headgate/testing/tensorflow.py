"""What holds for targets and variables of TensorFlow, as the assertions on flow have it.

A target is a function without arguments that computes it, or a tensor that was computed on a tape
while somebody looked on (`headgate.why.watching`). TensorFlow is there already when this module is
imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from headgate.flow.judge import Outcome
from headgate.flow.kinds import cure, what
from headgate.flow.trace import Cut
from headgate.flow.trace import Place as Line
from headgate.flow.watch.tensorflow.question import Answer, answer, tape_of, who_saw
from headgate.flow.watch.tensorflow.values import tensors_in
from headgate.flow.watch.tensorflow.watch import Watch
from headgate.record.errors import describe, refusal
from headgate.record.verdict import Place, Verdict
from headgate.testing.flow import Finding

_STOP = "put tf.stop_gradient(...) around the value"


def examined(targets: Mapping[str, Any], groups: Mapping[str, Any]) -> list[list[list[Finding]]]:
    """Return for each target and each group of sources what holds for each source.

    Raises:
        TypeError: a target is no tensor, or a source is nothing of TensorFlow.
        ValueError: a group without variables, or a target that nobody saw being computed.
    """
    columns = [list(group) if isinstance(group, Iterator) else group for group in groups.values()]
    rows = []
    for name, target in targets.items():
        session, tape, computed = _computed(name, target)
        rows.append([[*_findings(answer(session, tape, computed, of))] for of in columns])
    return rows


def _computed(name: str, target: Any) -> tuple[Any, Any, Any]:
    """Return who saw a target being computed, on which tape, and the target."""
    import tensorflow as tf

    if callable(target) and not isinstance(target, tf.Tensor):
        with Watch() as watch, tf.GradientTape(persistent=True) as tape:
            computed = target()
        return watch.session, tape, computed
    tensors = list(tensors_in(target))
    if not tensors:
        raise refusal(TypeError, f"{name} is {describe(target)}, and no tensor of TensorFlow")
    session = who_saw(tensors)
    tape = None if session is None else tape_of(session, tensors)
    if tape is None:
        raise refusal(
            ValueError,
            f"nobody saw {name} being computed on a tape: give a function that computes it, or "
            "compute it within `with headgate.why.watching():`",
        )
    return session, tape, target


def _findings(found: Answer) -> Iterator[Finding]:
    entrances = {leak.name: leak.entrance for leak in found.facts().leaks}
    for outcome in found.outcomes:
        entrance = entrances.get(outcome.name)
        yield _finding(outcome, () if entrance is None or not entrance.file else (entrance,))


def _finding(outcome: Outcome, entries: tuple[Line, ...]) -> Finding:
    name, kind, verdict = outcome.name, outcome.kind or None, outcome.verdict
    label = outcome.blamed.label if outcome.blamed else ""
    said = what(kind, label, "tensorflow", verdict).partition(": ")[2] if kind else ""
    advice = cure(kind, label, "tensorflow", verdict) if kind else ""
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
