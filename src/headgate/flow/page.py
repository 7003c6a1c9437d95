"""Page: the map of a program's flow, one HTML file that needs nothing else.

The file holds the trace as columns of numbers beside one table of texts, the program that draws
it (`assets/map.js`), and two libraries: Graphviz as WebAssembly for the layout, which runs in a
worker, and svg-pan-zoom. A content security policy forbids every connection and every script but
those, so a page from a stranger's program can do no more than show it.

Which paths light up is worked out in the page, from the events, when a loss and a parameter are
chosen. So the file need not hold a path for each pair. What is shown as one node, and which groups
there are, is decided in `headgate.flow.fold`, for texts as well.

What shows at first is what a reader came for: the first finding, its path alone where the whole map
could not be read, no computation that leads to no loss, and of the gates only those loudly that
keep a gradient from a parameter that misses it.

Text of the user's program enters the file in one way only: as JSON in which no character can end
a script; the page puts it into the document as text.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from headgate.flow.fold import Folded, fold
from headgate.flow.kinds import KINDS, what
from headgate.flow.trace import Gradient, Trace
from headgate.record.site import shown_path

_LICENCES = [
    "LICENSE.viz-js.txt",
    "LICENSE.graphviz.txt",
    "LICENSE.expat.txt",
    "LICENSE.svg-pan-zoom.txt",
]
_UNSAFE = {ord(character): f"\\u{ord(character):04x}" for character in "<>&"}


def page(
    trace: Trace,
    title: str = "Gradient flow",
    findings: Sequence[dict[str, Any]] | None = None,
) -> str:
    """Return the map of a trace as one HTML file that opens without a network.

    Args:
        trace: what to draw.
        title: what to call it.
        findings: what to list beside it, as `headgate.flow.report.as_entries` has it; only the cuts
            on the paths of their parameters stand out. None if nobody looked for any: then the cuts
            of all parameters that get no gradient do.

    >>> from headgate.flow.trace import Trace
    >>> page(Trace(), "nothing yet").startswith("<!doctype html>")
    True
    """
    data = json.dumps(_columns(trace, title, findings), separators=(",", ":"), allow_nan=False)
    program = _asset("svg-pan-zoom.min.js") + "\n" + _asset("map.js")
    policy = (
        f"default-src 'none'; script-src '{_hash(program)}' 'wasm-unsafe-eval'; "
        "worker-src blob:; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": html.escape(policy),
        "title": html.escape(_printable(title)),
        "style": _asset("map.css"),
        "data": data.translate(_UNSAFE),
        "layout": _packed_layout(),
        "program": program,
        "licences": html.escape("\n\n".join(map(_asset, _LICENCES))),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _asset("map.html"))


def notebook(page: str, height: int = 640) -> str:
    """Return a page as a frame of so many pixels in height, for `_repr_html_`.

    >>> notebook("<!doctype html>")[:27]
    '<iframe sandbox="allow-scri'
    """
    return (
        '<iframe sandbox="allow-scripts" title="Gradient flow" '
        f'style="width:100%;height:{height}px;border:0" srcdoc="{html.escape(page)}">'
        "</iframe>"
    )


@cache
def _asset(name: str) -> str:
    from importlib.resources import files  # slow to import, and only a page needs it

    return (files(__package__) / "assets" / name).read_text(encoding="utf-8")


@cache
def _packed_layout() -> str:
    """Return the layout library and the worker around it, packed so that no character matters."""
    text = _asset("viz-global.js") + "\n" + _asset("worker.js")
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _hash(script: str) -> str:
    """Return by what a content security policy knows a script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _printable(text: str) -> str:
    """Return a text without halves of surrogate pairs, which no file can hold."""
    return text.encode("utf-8", "replace").decode()


class _Texts:
    """Texts by number, each one once."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        return self.numbers.setdefault(text, len(self.numbers))

    def each(self, texts: Iterable[str]) -> list[int]:
        return [self(text) for text in texts]


def _columns(trace: Trace, title: str, findings: Sequence[dict[str, Any]] | None) -> dict[str, Any]:
    """Return all that the page needs, as columns; texts and values are numbers from 0."""
    folded = fold(trace)
    text = _Texts()
    values: dict[int, int] = {}

    def numbered(some: Iterable[int]) -> list[int]:
        return [values.setdefault(value, len(values)) for value in some]

    events, sources = trace.events, trace.sources
    columns = {
        "title": title,
        "framework": trace.framework,
        "places": {
            "file": text.each(shown_path(place.file) for place in trace.places),
            "line": [place.line for place in trace.places],
            "function": text.each(place.function for place in trace.places),
            "text": text.each(place.text for place in trace.places),
        },
        "groups": {
            "label": text.each(group.label for group in folded.groups),
            "parent": [group.parent for group in folded.groups],
        },
        "nodes": {
            "what": text.each(node.what for node in folded.nodes),
            "name": text.each(node.name for node in folded.nodes),
            "kind": text.each(node.kind for node in folded.nodes),
            "place": [node.place for node in folded.nodes],
            "group": [node.group for node in folded.nodes],
            "leads": [int(node.leads) for node in folded.nodes],
        },
        "events": {
            "node": folded.of_event,
            "inputs": [len(event.inputs) for event in events],
            "input": numbered(value for event in events for value in event.inputs),
            "flows": "".join("01"[flows] for event in events for flows in event.flows),
            "outputs": [len(event.outputs) for event in events],
            "output": numbered(value for event in events for value in event.outputs),
            "shape": text.each(_shape(event.shape, event.dtype) for event in events),
            "label": text.each(event.label for event in events),
        },
        "sources": {
            "name": text.each(source.name for source in sources),
            "node": folded.of_source,
            "value": numbered(source.value for source in sources),
            "owner": text.each(source.owner for source in sources),
            "shape": text.each(_shape(source.shape, "") for source in sources),
            "trainable": [int(source.trainable) for source in sources],
            "updated": [int(source.updated) for source in sources],
            "place": [source.place for source in sources],
        },
        "gradients": [
            _call(call, number, folded, numbered) for number, call in enumerate(trace.gradients)
        ],
        "findings": [_entry(finding) for finding in findings or ()],
        "judged": findings is not None,
    }
    return {**columns, "values": len(values), "texts": list(text.numbers)}


def _entry(finding: dict[str, Any]) -> dict[str, Any]:
    """Return a finding as the page lists it: its kind in words, its file as reports show it."""
    entry = {**finding}
    kind, framework = finding.get("kind", ""), entry.pop("framework", "headgate")
    if kind in KINDS:
        said = what(kind, finding.get("label") or "", framework, finding.get("verdict", ""))
        before, _, after = said.partition(": ")
        entry["says"] = before if "{names}" in after else after
    for place in (entry, finding.get("term"), *finding.get("called_from", ())):
        if isinstance(place, dict) and place.get("file"):
            place["file"] = shown_path(place["file"])
    return entry


def _call(call: Gradient, number: int, folded: Folded, numbered: Any) -> dict[str, Any]:
    return {
        "node": folded.of_gradient[number],
        "step": call.step,
        "targets": numbered(call.targets),
        "sources": call.sources,
        "norms": [_figure(norm) for norm in call.norms],
        "values": numbered(call.cotangents),
        "cotangents": [_figure(norm) for norm in call.cotangents.values()],
        "alive": [[*where, died.alive, died.size] for where, died in call.deaths.items()],
    }


def _shape(shape: tuple[int, ...], dtype: str) -> str:
    return f"{dtype}[{', '.join(map(str, shape))}]"


def _figure(norm: float | None) -> float | str | None:
    """Return a norm with three digits; one that is not finite as text, which JSON can hold."""
    if norm is None:
        return None
    short = f"{norm:.3g}"
    return short if short in ("inf", "-inf", "nan") else float(short)
