"""What holds for functions of JAX and what they are differentiated by, as assertions have it.

A target is what `headgate.why.jax` answers. Sources are arrays that were differentiated by, trees
of them, or patterns of their names. JAX is there already when this module is imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from headgate.flow.judge import Outcome
from headgate.flow.kinds import cure, what
from headgate.flow.patterns import covers_name
from headgate.flow.trace import Cut
from headgate.flow.trace import Place as Line
from headgate.flow.watch.jax.question import Answer
from headgate.record.errors import describe, refusal
from headgate.record.verdict import Place, Verdict
from headgate.testing.flow import Finding

_STOP = "put jax.lax.stop_gradient(...) around the value"


def examined(targets: Mapping[str, Any], groups: Mapping[str, Any]) -> list[list[list[Finding]]]:
    """Return for each target and each group of sources what holds for each source.

    Raises:
        TypeError: a target is no answer of `headgate.why.jax`.
        ValueError: a source is none that was differentiated by.
    """
    rows = []
    for name, target in targets.items():
        if not isinstance(target, Answer):
            raise refusal(
                TypeError,
                f"{name} is {describe(target)}: give headgate.why.jax(function, *arguments), as "
                "JAX keeps no graph of what it has computed",
            )
        rows.append([list(_findings(target, group, of)) for of, group in groups.items()])
    return rows


def _findings(found: Answer, group: Any, what: str) -> Iterator[Finding]:
    import jax

    entrances = {leak.name: leak.entrance for leak in found.facts().leaks}
    aliases = {source.name: source.alias for source in found.trace.sources}
    places = {id(leaf): number for number, leaf in enumerate(found.leaves)}
    wanted: dict[int, None] = {}
    for leaf in jax.tree_util.tree_leaves(group):
        if isinstance(leaf, str):
            names = [(outcome.name, aliases.get(outcome.name, "")) for outcome in found.outcomes]
            fits = [
                number
                for number, known in enumerate(names)
                if any(covers_name(name, leaf) for name in known)
            ]
        else:
            fits = [places[id(leaf)]] if id(leaf) in places else []
        if not fits:
            raise refusal(
                ValueError,
                f"{what} has {leaf if isinstance(leaf, str) else describe(leaf)}, which is none of "
                "what is differentiated by: name its argument in argnums",
            )
        wanted.update(dict.fromkeys(fits))
    if not wanted:
        raise refusal(ValueError, f"{what} has no arrays: there would be nothing to check")
    for number in wanted:
        outcome = found.outcomes[number]
        entrance = entrances.get(outcome.name)
        yield _finding(outcome, () if entrance is None or not entrance.file else (entrance,))


def _finding(outcome: Outcome, entries: tuple[Line, ...]) -> Finding:
    name, kind, verdict = outcome.name, outcome.kind or None, outcome.verdict
    label = outcome.blamed.label if outcome.blamed else ""
    said = what(kind, label, "jax", verdict).partition(": ")[2] if kind else ""
    advice = cure(kind, label, "jax", verdict) if kind else ""
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
