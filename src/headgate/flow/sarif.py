"""SARIF: findings in the form that code reviews and editors read, version 2.1.0 of the standard.

A finding becomes a **result** at its line; its kind is the **rule**, with the words of the table of
kinds. Beside the line stand those that belong to it: who called, the term of the loss, and the call
that asked for the gradient. Files are named from the root of the repository, where one is found, so
that a review finds the line whatever folder the script was run in.

A result is known again by its kind, its file, the text of its line and its parameters, not by the
number of the line: edits above it do not make it a new one.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from headgate.flow.kinds import KINDS, cure, what
from headgate.flow.report import Finding, merged
from headgate.flow.trace import Place, Trace

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
ROOT = "%SRCROOT%"

NOTES = {"unused_parameter", "frozen"}
"""Kinds that may be nobody's concern; all others are warnings."""

CALLS_SHOWN = 3
"""So many lines that asked for the gradient stand beside a result."""


def as_sarif(
    findings: Iterable[Finding],
    traces: Sequence[Trace] = (),
    *,
    script: str = "",
    name: str = "",
    root: Path | None = None,
    trouble: str = "",
) -> dict[str, Any]:
    """Return findings as a log of one run, to be written as JSON.

    Args:
        findings: the most important first; those with the same cause become one result.
        traces: where to look for the calls that asked for the gradients.
        script: the file that was run, where a finding without a line is put.
        name: what was run, by which logs of several runs are told apart.
        root: the folder from which files are named; by default that of the repository around the
            working folder, or that folder itself.
        trouble: why the run says less than was asked, "" if it does not.

    >>> from headgate.flow.report import Finding
    >>> from headgate.flow.sarif import as_sarif
    >>> found = Finding("w", "cut", "rewrap", "x.py", 3, "v = f(h)", "Use h.")
    >>> (run,) = as_sarif([found])["runs"]
    >>> run["results"][0]["ruleId"], run["results"][0]["level"]
    ('rewrap', 'warning')
    """
    from headgate import __version__  # which imports this wing

    base = (root or _repository(Path.cwd())).resolve()
    findings = merged(findings)
    words = {finding.framework for finding in findings}
    framework = words.pop() if len(words) == 1 else "headgate"
    rules = {kind: number for number, kind in enumerate(KINDS)}
    prints: Counter[str] = Counter()
    results = []
    for finding in findings:
        result = _result(finding, traces, script, base)
        known = result["partialFingerprints"]["headgate/v1"]
        prints[known] += 1
        if prints[known] > 1:
            result["partialFingerprints"]["headgate/v1"] = f"{known}:{prints[known]}"
        results.append({**result, "ruleIndex": rules[finding.kind]})
    invocation: dict[str, Any] = {"executionSuccessful": not trouble}
    if trouble:
        invocation["toolExecutionNotifications"] = [
            {"level": "error", "message": {"text": _writable(trouble)}}
        ]
    driver = {
        "name": "Headgate",
        "version": __version__,
        "rules": [_rule(kind, framework) for kind in rules],
    }
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": _writable(f"headgate why {name}/")},
        "originalUriBaseIds": {ROOT: {"uri": base.as_uri().rstrip("/") + "/"}},
        "columnKind": "unicodeCodePoints",
        "invocations": [invocation],
        "results": results,
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(kind: str, framework: str) -> dict[str, Any]:
    said = what(kind, framework=framework).format(names="a parameter")
    return {
        "id": kind,
        "shortDescription": {"text": f"{said}."},
        "help": {"text": cure(kind, framework=framework)},
        "defaultConfiguration": {"level": _level(kind)},
    }


def _level(kind: str) -> str:
    return "note" if kind in NOTES else "warning"


def _result(finding: Finding, traces: Sequence[Trace], script: str, base: Path) -> dict[str, Any]:
    parameters = (finding.parameter, *finding.others)
    said = finding.said.format(names=", ".join(parameters))
    when = f", {finding.when}" if finding.when else ""
    if finding.file:
        at = [_location(Place(finding.file, finding.line), base, finding.text)]
    elif script:  # a review drops what has no file
        at = [{"physicalLocation": {"artifactLocation": _artifact(script, base)}}]
    else:
        at = []
    related = [
        _location(place, base, place.text, says, number)
        for number, (says, place) in enumerate(_beside(finding, traces), 1)
    ]
    file = _artifact(finding.file, base)["uri"] if finding.file else ""
    facts = [finding.kind, file, finding.text, *parameters]
    digest = hashlib.sha256("\0".join(facts).encode("utf-8", "replace")).hexdigest()
    return {
        "ruleId": finding.kind,
        "level": _level(finding.kind),
        "message": {"text": _writable(f"{said}{when}. {finding.cure}".rstrip())},
        "locations": at,
        **({"relatedLocations": related} if related else {}),
        "partialFingerprints": {"headgate/v1": digest[:32]},
        "properties": {
            "parameters": list(map(_writable, parameters)),
            "verdict": finding.verdict,
            **({"label": _writable(finding.label)} if finding.label else {}),
        },
    }


def _beside(finding: Finding, traces: Sequence[Trace]) -> Iterator[tuple[str, Place]]:
    """Yield the lines that belong to a finding, and what each is."""
    for place in finding.called_from:
        yield "called from here", place
    if finding.term is not None:
        yield "the term of the loss", finding.term
    calls = dict.fromkeys(_asked(finding, traces))
    for place in list(calls)[:CALLS_SHOWN]:
        if place[:2] != (finding.file, finding.line):
            yield "the gradient is asked for here", place


def _asked(finding: Finding, traces: Sequence[Trace]) -> Iterator[Place]:
    """Yield the lines that asked for the gradient of a parameter; first those that got none."""
    names = {finding.parameter, *finding.others}
    for wanted in (True, False):
        for trace in traces:
            about = {n for n, source in enumerate(trace.sources) if source.name in names}
            for call in trace.gradients:
                norms = [norm for source, norm in zip(call.sources, call.norms) if source in about]
                if norms and any(not norm for norm in norms) == wanted:
                    yield trace.places[call.place]


def _location(
    place: Place, base: Path, text: str, says: str = "", number: int | None = None
) -> dict[str, Any]:
    region: dict[str, Any] = {"startLine": max(place.line, 1)}
    if text:
        region["snippet"] = {"text": _writable(text)}
    return {
        **({} if number is None else {"id": number}),
        "physicalLocation": {
            "artifactLocation": _artifact(place.file, base),
            "region": region,
        },
        **({"message": {"text": says}} if says else {}),
    }


def _artifact(file: str, base: Path) -> dict[str, str]:
    """Return the address of a file: from the root if it lies below, else in full."""
    if file.startswith("<"):  # it never was a file
        return {"uri": quote(file, safe="", errors="replace")}
    for whole in (Path(os.path.abspath(file)), Path(os.path.realpath(file))):
        if whole.is_relative_to(base):
            inside = whole.relative_to(base).as_posix()
            return {"uri": quote(inside, errors="replace"), "uriBaseId": ROOT}
    return {"uri": Path(os.path.abspath(file)).as_uri()}


def _repository(folder: Path) -> Path:
    """Return the root of the repository around a folder; the folder itself if there is none."""
    around = (each for each in (folder, *folder.parents) if (each / ".git").exists())
    return next(around, folder)


def _writable(text: str) -> str:
    """Return a text without halves of surrogate pairs, which no file can hold."""
    return text.encode("utf-8", "replace").decode()
