"""Report: what was found, in words for people and in JSON for programs.

A **finding** is one parameter whose gradient is missing, zero or unwanted, and the line that is to
blame. `KINDS` has one row for each kind of cut: a sentence that says what happened, and one that
says what to do. For people, findings with the same cause share one entry of three lines (what,
where, what to do); in JSON each parameter has an entry of its own.

Everything quoted here comes out of somebody's program: names, labels and source lines may hold
anything, so control characters are replaced before they reach a terminal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from headgate.record.graph import shown_path

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
        kind: kind of cut, a key of `KINDS`.
        file: file of the cut, "" if unknown.
        line: line of the cut, from 1.
        text: source text of that line.
        cure: what to do.
        label: what the user called the cut.
        others: further parameters that the same cut severs.
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


class Kind(NamedTuple):
    """What a kind of cut does to `{names}`, and what to do about it."""

    what: str
    cure: str


KINDS = {
    "stop_gradient": Kind(
        "No gradient reaches {names}: the value passes a stop",
        "Remove the stop, or put it around only the part that must stay constant; "
        "hg.route sends gradient to some of the arguments.",
    ),
    "no_grad_block": Kind(
        "No gradient reaches {names}: the value is computed while recording is stopped",
        "Move this line out of the `with tape.stop_recording()` block.",
    ),
    "nondiff_op": Kind(
        "No gradient reaches {names}: the value passes an operation without a derivative",
        "Use a smooth form of it, or keep the hard value forward and the gradient of a smooth one "
        "backward: hg.straight_through(hard, soft).",
    ),
    "integer_cast": Kind(
        "No gradient reaches {names}: the value is cast to whole numbers or booleans",
        "Keep it in floating point as far as the loss, or pass the gradient on with "
        "hg.straight_through(hard, soft).",
    ),
    "host_round_trip": Kind(
        "No gradient reaches {names}: the value leaves for Python or NumPy and comes back as a "
        "constant",
        "Compute with Headgate's functions on the tensor itself; use float() and numpy() for "
        "logging only.",
    ),
    "rewrap": Kind(
        "No gradient reaches {names}: the value is copied into a new variable",
        "Use the tensor itself; hg.asarray(x) makes a tensor of it without a copy.",
    ),
    "outside_tape": Kind(
        "No gradient reaches {names}: the value is computed while the tape does not record",
        "Compute it inside the `with GradientTape()` block that is asked for the gradient.",
    ),
    "not_watched": Kind(
        "No gradient reaches {names}: the tape was not asked to watch",
        "Call tape.watch(x) in the block before x is used, or make it a trainable hg.Variable.",
    ),
    "variable_replaced": Kind(
        "No gradient reaches {names}: this name stands for another object by now",
        "Change the variable in place, with w.assign(...) or w.assign_sub(...), and collect the "
        "list of variables after the last one was made.",
    ),
    "non_leaf": Kind(
        "No gradient reaches {names}: asked of a copy that the target was not computed from",
        "Ask for the gradient of the variable itself, or compute the target from the copy.",
    ),
    "stateful_write": Kind(
        "No gradient reaches {names}: the value is written into a variable and read back",
        "Use the tensor itself in the loss; write it into the variable for later steps only.",
    ),
    "checkpoint": Kind(
        "No gradient reaches {names}: used in a recomputed part none of whose arguments "
        "needs a gradient",
        "Pass what needs a gradient as an argument of the recomputed function.",
    ),
    "custom_gradient": Kind(
        "No gradient reaches {names}: a custom rule returns nothing, or zeros",
        "Return a gradient for this argument from the rule, or drop hg.custom_gradient and let the "
        "tape derive it.",
    ),
    "zero_derivative": Kind(
        "The gradient of {names} is exactly zero: the derivative is zero at every element here",
        "Look at the values that arrive here: use hg.leaky_relu, a wider clip, smaller weights "
        "or logits instead of saturated outputs.",
    ),
    "mask": Kind(
        "The gradient of {names} is exactly zero: a mask lets nothing through",
        "Look at the mask: it selects no element here. Skip such a batch, or correct the "
        "condition.",
    ),
    "unused_parameter": Kind(
        "No gradient reaches {names}: not used for the target",
        "Use it, or what was computed from it, in the target; or do not ask for its gradient.",
    ),
    "not_registered": Kind(
        "Used, but not among the variables that are trained: {names}",
        "Make it an attribute of the model or of one of its layers, or add it to the list of "
        "variables.",
    ),
    "frozen": Kind(
        "No gradient is asked for {names}: frozen",
        "Set trainable to True before the variables are collected, or declare it frozen: "
        "--no-flow NAME.",
    ),
    "optimizer_mask": Kind(
        "The optimizer never updates {names}, though a gradient is there",
        "Pass its pair of gradient and variable to apply_gradients, too.",
    ),
    "missing_stop": Kind(
        "Gradient reaches {names}, where it was declared unwanted",
        "Put hg.stop_gradient around what is used here, or compute it under tape.stop_recording().",
    ),
}
"""One row for each kind of cut."""

_SOFT_CURES = {
    ("argmax", "argmin"): "Use hg.softmax instead, or keep the hard choice forward: "
    "hg.straight_through(one_hot, soft).",
    ("argsort", "searchsorted"): "Use the sorted values or a softmax over them, not positions.",
    ("round", "floor", "ceil", "trunc"): "Keep the rounded value and pass the gradient on: "
    "hg.straight_through(rounded, x).",
    ("greater", "greater_equal", "less", "less_equal", "equal", "not_equal", "sign"): "Use "
    "hg.sigmoid(scale * difference) in its place, or hg.straight_through(hard, soft).",
    ("categorical", "bernoulli"): "Put the log-probability of what was drawn into the loss, or "
    "use hg.straight_through(one_hot, probabilities).",
}
OP_CURES = {op: text for ops, text in _SOFT_CURES.items() for op in ops}
"""For operations without a derivative: a cure that is closer than that of their kind."""


def cure(kind: str, op: str = "") -> str:
    """Return what to do about a kind of cut, in one sentence.

    Args:
        kind: a key of `KINDS`.
        op: the operation at which gradient ends, by which the advice may be closer.

    Raises:
        ValueError: if there is no such kind.

    >>> from headgate.flow.report import cure
    >>> cure("nondiff_op", "round")
    'Keep the rounded value and pass the gradient on: hg.straight_through(rounded, x).'
    """
    own = _row(kind).cure
    return OP_CURES.get(op, own) if kind in ("nondiff_op", "zero_derivative") else own


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
        cause = (finding.verdict, finding.kind, finding.file, finding.line)
        groups.setdefault(cause, {}).setdefault(finding.parameter, finding)
    return [
        replace(next(iter(group.values())), others=tuple(group)[1:]) for group in groups.values()
    ]


def render(findings: Iterable[Finding], shown: Callable[[str], str] = shown_path) -> Text:
    """Return findings as styled text: three lines each (what, where, what to do).

    Args:
        findings: the most important first; those with the same cause become one.
        shown: how to write a path.

    >>> from headgate.flow.report import Finding, cure, render
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
        what = _row(finding.kind).what.format(names=_names(finding))
        label = f" [{finding.label}]" if finding.label else ""
        place = f"{shown(finding.file)}:{finding.line}: " if finding.file else "no line is known"
        entries.append(
            Text.assemble(
                (head + _printable(what), "bold"),
                (f" ({_printable(finding.kind + label)})", "red"),
                indent,
                (_printable(place), "cyan"),
                _printable(finding.text),
                indent,
                (_printable(finding.cure), "green"),
            )
        )
    return Text("\n").join(entries)


def as_text(findings: Iterable[Finding]) -> str:
    """Return findings as plain text, as `render` lays it out; empty without findings.

    >>> from headgate.flow.report import as_text
    >>> as_text([])
    ''
    """
    return render(findings).plain


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
        "findings": [
            {
                "parameter": finding.parameter,
                "verdict": finding.verdict,
                "kind": finding.kind,
                "file": finding.file,
                "line": finding.line,
                "text": finding.text,
                "cure": finding.cure,
            }
            for finding in each(findings)
        ],
    }


def _row(kind: str) -> Kind:
    row = KINDS.get(kind)
    if row is None:
        raise ValueError(f"there is no kind of cut {kind!r}; use one of {', '.join(KINDS)}")
    return row


def _names(finding: Finding) -> str:
    names = (finding.parameter, *finding.others)
    shown, more = names[:NAMES_SHOWN], len(names) - NAMES_SHOWN
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _printable(text: str) -> str:
    """Replace what would move a terminal's cursor or change its colours."""
    letters = (letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return "".join(letters)


def _strict(value: Any) -> Any:
    """Return a value that JSON can hold: lists for sequences, strings for infinities and NaN."""
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
