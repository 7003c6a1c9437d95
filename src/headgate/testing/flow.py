"""Expectations: tests that gradient arrives where it must, and nowhere else.

No tape is asked for. A target's node knows its recording, and so all sources that any tape of it
watched; the masks then say what is connected and what cut the rest (`headgate.record.verdict`).
While the graph is there, the walk is run as well, without freeing anything: it gives norms, finds
gradients that are connected and exactly zero, and the graph shows on which lines a source is used.
When `gradient` has freed the graph, connection and cuts are all that is left to check.

Losses of PyTorch are examined by its own graph, and by what a watch saw (`headgate.testing.torch`).
Functions of JAX have no graph: the target is what `headgate.why.jax` answers about one
(`headgate.testing.jax`).

`flow_matrix` asks the same of several losses and several groups of parameters at once.
"""

from __future__ import annotations

import functools
import html
import math
import operator
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import optree

from headgate.core.arguments import value_of
from headgate.core.asked import all_asked, question
from headgate.core.pull import pull
from headgate.core.tensor import Tensor
from headgate.core.variable import Variable
from headgate.flow.trace import Place as Line
from headgate.nn.layer import Layer
from headgate.record.asked import Asked
from headgate.record.errors import describe, refusal
from headgate.record.graph import Leaf, Node, Recording, state, unrecorded
from headgate.record.magnitude import Magnitudes, norm
from headgate.record.site import Site, shown_path
from headgate.record.verdict import SHOWN, Place, Verdict, explain

if TYPE_CHECKING:
    from rich.table import Table


class FlowError(AssertionError):
    """Gradient does not flow as a test expects; `report` tells of every source that it named."""

    def __init__(self, message: str, report: str = "") -> None:
        super().__init__(message)
        self.report = report


# -- what a test may say --------------------------------------------------------------------------


def assert_flow(target: Any, sources: Any, *, nonzero: bool = True) -> None:
    """Check that gradient reaches every source from a target.

    Works within the tape's block and after it, and frees nothing. After `tape.gradient` has freed
    the graph, zeros can no longer be seen: connection is all that is checked.

    A loss of PyTorch is checked in the same way, without writing any `.grad`. What cuts it is known
    if it was computed in a block of `headgate.why.watching()`, or if a function that computes it is
    given. For JAX the target is what `headgate.why.jax(function, *arguments)` answers, and sources
    are arrays of those arguments or patterns of their names.

    Args:
        target: a tensor or variable, or a nested structure of them (their gradients are added); of
            PyTorch also a function without arguments that computes it.
        sources: tensors, variables or layers (which stand for their trainable variables), or a
            nested structure of them; of PyTorch also modules, optimizers and patterns of names.
        nonzero: a gradient of which each element is exactly zero does not count.

    Raises:
        FlowError: an `AssertionError` that says of each source without gradient what cut it, where.
        TypeError: target or a source is no tensor.
        ValueError: there are no sources, or the targets belong to different recordings.

    >>> import headgate as hg
    >>> from headgate.testing import assert_flow
    >>> w, b = hg.Variable(2.0, name="w"), hg.Variable(1.0, name="b")
    >>> with hg.GradientTape() as tape:
    ...     loss = hg.stop_gradient(w) * 3.0 + b
    >>> assert_flow(loss, b)
    >>> assert_flow(loss, [w, b])
    Traceback (most recent call last):
      ...
    headgate.testing.flow.FlowError: gradient does not reach 1 of 2 sources
    w: cut
      stop_gradient at ...: loss = hg.stop_gradient(w) * 3.0 + b
    reached: b
    """
    (findings,) = _examined({"target": target}, {"sources": sources})[0]
    missing = [f for f in findings if f.missing(nonzero)]
    if missing:
        raise FlowError(
            _listed(
                f"gradient does not reach {len(missing)} of {_sources_of(findings)}",
                _paragraphs(missing),
                "reached",
                [f for f in findings if not f.missing(nonzero)],
            ),
            _report(findings),
        )


def assert_no_flow(target: Any, sources: Any) -> None:
    """Check that gradient reaches none of the sources from a target.

    A path on which gradient happens to be zero (a dead relu, say) counts as flow: nothing stops it.

    Args:
        target: a tensor or variable, or a nested structure of them.
        sources: tensors, variables or layers (which stand for their trainable variables), or a
            nested structure of them.

    Raises:
        FlowError: an `AssertionError` that names each source with gradient, and the lines on which
            it enters while the graph is there.
        TypeError: target or a source is no tensor.
        ValueError: there are no sources, or the targets belong to different recordings.

    >>> import headgate as hg
    >>> from headgate.testing import assert_no_flow
    >>> w, b = hg.Variable(2.0, name="w"), hg.Variable(1.0, name="b")
    >>> with hg.GradientTape() as tape:
    ...     loss = hg.stop_gradient(w) * 3.0 + b
    >>> assert_no_flow(loss, w)
    >>> assert_no_flow(loss, [w, b])
    Traceback (most recent call last):
      ...
    headgate.testing.flow.FlowError: gradient reaches 1 of 2 sources that it must not reach
    b: missing_stop; gradient norm 1
    ...
    not reached: w
    """
    (findings,) = _examined({"target": target}, {"sources": sources})[0]
    reached = [f for f in findings if f.reached]
    if reached:
        raise FlowError(
            _listed(
                f"gradient reaches {len(reached)} of {_sources_of(findings)} that it must not "
                "reach",
                map(_missing_stop, reached),
                "not reached",
                [f for f in findings if not f.reached],
            ),
            _report(findings),
        )


def flow_matrix(losses: Mapping[str, Any], groups: Mapping[str, Any]) -> FlowMatrix:
    """Return which loss reaches which group of parameters: how strongly, or what cuts it.

    Nothing is freed, so this can be asked before `tape.gradient`. Afterwards, if that freed the
    graph, cells say "connected" in place of the norm.

    Args:
        losses: for each row its name and a target, as for `assert_flow`.
        groups: for each column its name and the sources, as for `assert_flow`.

    Raises:
        TypeError: no dictionary, or something in it is no tensor.
        ValueError: a group without variables.

    >>> import headgate as hg
    >>> from headgate.testing import flow_matrix
    >>> g, d = hg.Variable(3.0, name="g"), hg.Variable(4.0, name="d")
    >>> with hg.GradientTape() as tape:
    ...     g_loss = g * d
    ...     d_loss = d * 2.0
    >>> matrix = flow_matrix({"g_loss": g_loss, "d_loss": d_loss}, {"G": g, "D": d})
    >>> print(matrix)
            G       D
    g_loss  4       3
    d_loss  unused  2
    >>> matrix.norm("g_loss", "G")
    4.0
    """
    for given, what in ((losses, "losses"), (groups, "groups")):
        if not isinstance(given, Mapping) or not given:
            raise refusal(
                TypeError,
                f"flow_matrix takes {what} as a dictionary with a name for each, "
                f"got {describe(given)}",
            )
    targets = {f"loss {name!r}": loss for name, loss in losses.items()}
    sources = {f"group {name!r}": group for name, group in groups.items()}
    rows = [tuple(Cell(tuple(found)) for found in row) for row in _examined(targets, sources)]
    return FlowMatrix(tuple(losses), tuple(groups), tuple(rows))


# -- what is found out ----------------------------------------------------------------------------


def _examined(targets: Mapping[str, Any], groups: Mapping[str, Any]) -> list[list[list[Finding]]]:
    """Return for each target and each group of sources what holds for each source."""
    if any(type(target).__module__ == _ANSWERS for target in targets.values()):
        from headgate.testing import jax

        return jax.examined(targets, groups)
    if _is_of_torch([*targets.values(), *groups.values()]):
        from headgate.testing.torch import examined

        return examined(targets, groups)
    if _is_of_tensorflow([*targets.values(), *groups.values()]):
        from headgate.testing import tensorflow

        return tensorflow.examined(targets, groups)
    columns = [_sources(group, name) for name, group in groups.items()]
    rows = []
    for name, target in targets.items():
        findings = iter(_examine(_tensors(target, name), list(chain(*columns))))
        rows.append([[next(findings) for _ in column] for column in columns])
    return rows


_ANSWERS = "headgate.flow.watch.jax.question"
"""Module of what is answered about functions of JAX."""


def _is_of_tensorflow(tree: Any) -> bool:
    """Tell whether anything in a structure is of TensorFlow or Keras, without importing them."""
    return "tensorflow" in sys.modules and any(
        base.__module__.partition(".")[0] in ("tensorflow", "keras")
        for leaf in optree.tree_leaves(tree)
        for base in type(leaf).__mro__
    )


def _is_of_torch(tree: Any) -> bool:
    """Tell whether anything in a structure is of PyTorch, without importing it.

    Functions and names only stand for something there.
    """
    return "torch" in sys.modules and any(
        isinstance(leaf, str)
        or (callable(leaf) and not isinstance(leaf, Layer))
        or any(base.__module__.partition(".")[0] == "torch" for base in type(leaf).__mro__)
        for leaf in optree.tree_leaves(tree)
    )


@dataclass(frozen=True, slots=True)
class Finding:
    """What holds for one source.

    `norm` is None where nothing arrived or the graph is gone; `entries` are the lines of the ops
    that took the source, on paths that gradient comes back on. `zeros` says where a gradient that
    is exactly zero became so. `cure` is what to do where none arrives, if it is known by then, and
    `stop` what to do where some does and should not.
    """

    verdict: Verdict
    norm: float | None = None
    entries: tuple[Site | Line, ...] = ()
    zeros: Verdict | None = None
    cure: str = ""
    stop: str = "put headgate.stop_gradient(...) around the value"

    @property
    def reached(self) -> bool:
        """Whether gradient arrives, were it zero."""
        return self.norm is not None or self.verdict.connected

    def missing(self, nonzero: bool) -> bool:
        """Whether a test that asks for gradient, perhaps for one that is not zero, must fail."""
        return not self.reached or (nonzero and self.norm == 0)

    @property
    def strength(self) -> str:
        """The norm in words, after a semicolon; empty where it is not known."""
        if self.norm is None:
            return ""
        return f"; gradient norm {self.norm:.4g}" if self.norm else "; exactly zero"

    def __str__(self) -> str:
        lines = self._told()
        return "\n".join([*lines, f"  {self.cure}"] if self.cure else lines)

    def _told(self) -> list[str]:
        if self.norm is not None and not self.verdict.connected:  # blocked for another target
            return [f"{self.verdict.source}: connected{self.strength}"]
        first, *cuts = str(self.verdict).splitlines()
        others = _OTHERS if first.endswith(_OTHERS) else ""
        first = first.removesuffix(_OTHERS) + self.strength
        if self.zeros is None:
            return [first + others, *cuts]
        why = self.zeros.detail.partition(": ")[2]
        places = [f"  {place}" for place in self.zeros.cuts]
        more = [f"  {_OTHERS.removeprefix('; ')}", *cuts] if others else []
        return [f"{first}: {why}", *places, *more]


_OTHERS = "; other paths are cut:"


def _examine(targets: list[Any], sources: list[Any]) -> list[Finding]:
    """Return a finding for each source."""
    about = all_asked(sources)
    pairs = [(node, target) for target in targets if (node := _node(target)) is not None]
    recording = _recording([node for node, _ in pairs], about)
    if recording is None:
        text = "the target is a constant, and no tape knows of this source"
        return [
            Finding(Verdict(source.name, "unused", "unused_parameter", (), text))
            for source in about
        ]
    every = question(recording, _watched(recording), True, targets)
    bits = [_bits(recording, source) for source in about]
    wanted = functools.reduce(operator.or_, bits)
    seeds = [
        (node, value_of(target), None)
        for node, target in pairs
        if node.recording is recording and node.live & wanted
    ]
    graph = _graph([node for node, _, _ in seeds], wanted)
    if not graph:  # nothing to walk through, or freed
        return [Finding(explain(every, source)) for source in about]
    leaves = {node.source: node for node in graph.values() if type(node) is Leaf}
    found = [leaves.get(s.identity) if s.variable and s.identity else s.node for s in about]
    origins = [node if node is not None and node.seq in graph else None for node in found]
    with unrecorded():
        gradients = pull(seeds, origins, bits)
    entries = _entries(graph, {node.seq for node in origins if node is not None})
    sizes = [None if gradient is None else norm(gradient) for gradient in gradients]
    measured = None
    if 0 in sizes:  # once more, to see where that came to be so
        measured = Magnitudes()
        with unrecorded():
            pull(seeds, origins, bits, onlooker=measured)
    findings = []
    for source, origin, size in zip(about, origins, sizes, strict=True):
        lines = () if origin is None else tuple(entries.get(origin.seq, ()))
        zeros = None if size != 0 else explain(every, source, measured)
        known = zeros if zeros is not None and zeros.verdict == "zero" else None
        findings.append(Finding(explain(every, source), size, lines, known))
    return findings


def _recording(nodes: list[Node], sources: list[Asked]) -> Recording | None:
    """Return the recording that explains the targets: theirs, or for constants the sources'."""
    alive = {id(node.recording): node.recording for node in nodes if node.live}
    if len(alive) > 1:
        raise refusal(
            ValueError,
            "the targets were recorded by tapes that did not overlap; assert them one at a time",
        )
    known = [*alive.values(), *(node.recording for node in nodes)]
    if not known:
        known = [source.node.recording for source in sources if source.node is not None]
    return known[0] if known else None


def _node(target: Any) -> Node | None:
    if type(target) is Variable:
        return state.recording.leaves.get(target._source)
    node: Node | None = target.node
    return node


def _bits(recording: Recording, source: Asked) -> int:
    """Return the bits whose presence in a node says that it may lead to the source."""
    if source.variable and source.identity is not None:
        return recording.sources.masks.get(source.identity, 0)
    node = source.node
    if node is None or node.recording is not recording:
        return 0
    mask: int = node.own if type(node) is Leaf else node.live
    return mask


def _watched(recording: Recording) -> int:
    """Return the bits of all tapes of a recording together."""
    watched = recording.sources.every
    for bit in recording.sources.untaped.values():
        watched &= ~bit
    return watched


def _graph(nodes: list[Node], wanted: int) -> dict[int, Node] | None:
    """Return, by number, the nodes that gradient passes on its way; None if one was freed."""
    found: dict[int, Node] = {}
    todo = list(nodes)
    while todo:
        node = todo.pop()
        if node.seq in found:
            continue
        if node.edges is None:
            return None
        found[node.seq] = node
        todo.extend(edge[0] for edge in node.edges if edge and edge[0].live & wanted)
    return found


def _entries(graph: dict[int, Node], numbers: set[int]) -> dict[int, dict[Site, None]]:
    """Return, for the nodes with these numbers, the lines of the ops that took their values."""
    found: dict[int, dict[Site, None]] = {}
    for number in sorted(graph):
        node = graph[number]
        for edge in node.edges or ():
            if node.site is not None and edge and edge[0].seq in numbers:
                found.setdefault(edge[0].seq, {})[Site(*node.site)] = None
    return found


# -- arguments ------------------------------------------------------------------------------------


def _tensors(tree: Any, what: str) -> list[Any]:
    """Return the leaves of a structure; refuse what is no tensor."""
    leaves: list[Any] = optree.tree_leaves(tree, none_is_leaf=True)
    for leaf in leaves:
        if type(leaf) is not Tensor and type(leaf) is not Variable:
            raise refusal(
                TypeError,
                f"{what} has {describe(leaf)}, which is no tensor: it left the tape (float(), "
                "numpy(), NumPy functions) or never was on it; give the tensor that it was "
                "computed from",
            )
    if not leaves:
        raise refusal(ValueError, f"{what} has no tensors: there would be nothing to check")
    return leaves


def _sources(tree: Any, what: str) -> list[Any]:
    """Return the leaves of a structure, each once, with the variables of layers in their place."""
    leaves: list[Any] = []
    for leaf in optree.tree_leaves(tree, none_is_leaf=True):
        if not isinstance(leaf, Layer):
            leaves.append(leaf)
        elif variables := leaf.trainable_variables:
            leaves.extend(variables)
        else:
            raise refusal(
                ValueError,
                f"{what}: {leaf.name} has no trainable variables; build it or call it first, and "
                "if it is frozen, give its `variables`",
            )
    return list({id(leaf): leaf for leaf in _tensors(leaves, what)}.values())


# -- what is said ---------------------------------------------------------------------------------


def _sources_of(findings: list[Finding]) -> str:
    return "1 source" if len(findings) == 1 else f"{len(findings)} sources"


def _listed(head: str, wrong: Iterable[str], rest: str, others: list[Finding]) -> str:
    """Return a message that tells of what is wrong, then names what is not."""
    names = [", ".join(f.verdict.source for f in others)] if others else []
    return "\n".join([head, *wrong, *(f"{rest}: {each}" for each in names)])


def _paragraphs(findings: list[Finding]) -> list[str]:
    """Return findings in words, many with the same words at once."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        made = finding.verdict.made and finding.verdict.made.of_all
        alike = replace(finding, verdict=replace(finding.verdict, made=made))
        groups.setdefault(str(alike).removeprefix(finding.verdict.source), []).append(finding)
    found: list[str] = []
    for words, group in groups.items():
        if len(group) <= SHOWN and not group[0].cure:
            found += map(str, group)
        else:
            names = ", ".join(finding.verdict.source for finding in group[:SHOWN])
            more = f" and {len(group) - SHOWN} more" if len(group) > SHOWN else ""
            found.append(f"{names}{more}{words}")
    return found


def _report(findings: list[Finding]) -> str:
    """Return all that was found out, for the section that the pytest plugin shows."""
    return "\n".join(str(replace(finding, cure="")) for finding in findings)


def _missing_stop(finding: Finding) -> str:
    """Tell of gradient that should have been stopped, and where to stop it."""
    head = f"{finding.verdict.source}: missing_stop{finding.strength}"
    lines = dict.fromkeys(f"  enters at {site}: {site.text}" for site in finding.entries)
    where = "there" if lines else "on its way to the target"
    cure = f"  {finding.stop} {where}"
    return "\n".join([head, *lines, cure])


@dataclass(frozen=True, slots=True)
class Cell:
    """What one loss does to one group of parameters; `str()` of it is the norm or the cut."""

    findings: tuple[Finding, ...]

    @property
    def reached(self) -> int:
        """How many sources of the group gradient arrives at."""
        return sum(finding.reached for finding in self.findings)

    @property
    def norm(self) -> float | None:
        """Euclidean norm of the gradient by all of the group; None if nothing arrives.

        Raises:
            RuntimeError: gradient arrives, but the graph was freed before it could be measured.
        """
        if not self.reached:
            return None
        norms = [finding.norm for finding in self.findings if finding.norm is not None]
        if not norms:
            raise refusal(
                RuntimeError,
                "the norm is not known, because the graph had been freed; call flow_matrix "
                "before it is, by tape.gradient or backward(), or keep the graph: "
                "GradientTape(persistent=True), backward(retain_graph=True)",
            )
        return math.hypot(*norms)

    @property
    def cuts(self) -> tuple[Place, ...]:
        """Where gradient to those stops that nothing arrives at, each line once."""
        missing = [finding.verdict for finding in self.findings if not finding.reached]
        return tuple(dict.fromkeys(place for verdict in missing for place in verdict.cuts))

    @property
    def state(self) -> str:
        """One of "flows", "zero", "partly" and "cut"."""
        if not self.reached:
            return "cut"
        if self.reached < len(self.findings):
            return "partly"
        return "zero" if all(finding.norm == 0 for finding in self.findings) else "flows"

    def __str__(self) -> str:
        reasons = dict.fromkeys(_reason(f.verdict) for f in self.findings if not f.reached)
        if not self.reached:
            return "; ".join(reasons)
        known = any(finding.norm is not None for finding in self.findings)
        text = f"{self.norm:.4g}" if known else "connected"
        if reasons:
            text += f" ({self.reached} of {len(self.findings)}; {'; '.join(reasons)})"
        return text


def _reason(verdict: Verdict) -> str:
    """Say in a few words why a source gets nothing."""
    if verdict.verdict == "unused":
        return "unused"
    if not verdict.cuts:
        return str(verdict.kind)
    first = verdict.cuts[0]
    return f"{first.kind} at {shown_path(first.file)}:{first.line}"


_STYLES = {"flows": "green", "zero": "yellow", "partly": "yellow", "cut": "red"}
_TINTS = {  # light enough for black letters, and for white ones on a dark page
    "flows": "rgba(46,160,67,.18)",
    "zero": "rgba(210,153,34,.22)",
    "partly": "rgba(210,153,34,.22)",
    "cut": "rgba(218,54,51,.18)",
}
_BORDER = "padding:.3em .7em;border:1px solid rgba(128,128,128,.4);text-align:left"


@dataclass(frozen=True, slots=True)
class FlowMatrix:
    """Losses by groups of parameters, as `flow_matrix` found them; notebooks show it as a table."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[Cell, ...], ...]

    def cell(self, row: str, column: str) -> Cell:
        """Return what one loss does to one group.

        Raises:
            LookupError: there is no such row or column.
        """
        return self.cells[_index(self.rows, row, "loss")][_index(self.columns, column, "group")]

    def norm(self, row: str, column: str) -> float | None:
        """Return the norm of the gradient of one loss by one group; None if nothing arrives.

        Raises:
            LookupError: there is no such row or column.
            RuntimeError: gradient arrives, but the graph was freed before it could be measured.
        """
        return self.cell(row, column).norm

    @property
    def cuts(self) -> tuple[Place, ...]:
        """The places at which gradient stops on its way to any group, each line once."""
        return tuple(dict.fromkeys(place for cell in chain(*self.cells) for place in cell.cuts))

    def __str__(self) -> str:
        table = [("", *self.columns)]
        table += [(row, *map(str, cells)) for row, cells in zip(self.rows, self.cells)]
        widths = [max(map(len, column)) for column in zip(*table)]
        return "\n".join(
            "  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip()
            for line in table
        )

    def __rich__(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table("")
        for column in self.columns:
            table.add_column(Text(column))
        for row, cells in zip(self.rows, self.cells):
            table.add_row(Text(row), *(Text(str(cell), _STYLES[cell.state]) for cell in cells))
        return table

    def _repr_html_(self) -> str:
        def line(name: str, cells: Iterable[str]) -> str:
            return f'<tr><th style="{_BORDER}">{html.escape(name)}</th>{"".join(cells)}</tr>'

        head = (f'<th style="{_BORDER}">{html.escape(name)}</th>' for name in self.columns)
        body = [line(row, map(_html_cell, cells)) for row, cells in zip(self.rows, self.cells)]
        style = "border-collapse:collapse;color:inherit;background:transparent"
        return f'<table style="{style}">{line("", head)}{"".join(body)}</table>'


def _html_cell(cell: Cell) -> str:
    style = f"{_BORDER};color:inherit;background:{_TINTS[cell.state]}"
    return f'<td style="{style}">{html.escape(str(cell))}</td>'


def _index(names: tuple[str, ...], name: str, what: str) -> int:
    if name not in names:
        raise refusal(LookupError, f"there is no {what} {name!r}; there are {', '.join(names)}")
    return names.index(name)
