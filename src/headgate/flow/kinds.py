"""Kinds: what can be wrong with a gradient, one row for each, for all frameworks.

A row says what happened to the parameters and what to do about it, each in a sentence, in the words
of Headgate. The order of the rows is their rank in a report. A watcher names a kind by its key; the
words are in the tables here, and in `headgate.flow.words` for what other frameworks call else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from headgate.flow.words import jax, tensorflow, torch


class Kind(NamedTuple):
    """What a kind of cut does to `{names}`, and what to do about it."""

    what: str
    cure: str


KINDS = {
    "missing_stop": Kind(
        "Gradient reaches {names}, where it was declared unwanted",
        "Put hg.stop_gradient around what is used here, or compute it under tape.stop_recording().",
    ),
    "nonfinite_value": Kind(
        "No finite gradient of a finite loss reaches {names}: a value becomes NaN or infinite",
        "Keep what goes in here inside the range where the result is finite.",
    ),
    "nonfinite_slope": Kind(
        "No finite gradient of a finite loss reaches {names}: an infinite slope at the values here",
        "Keep what goes in here away from the point: use hg.where twice, around what goes in and "
        "around the result.",
    ),
    "nonfinite_data": Kind(
        "No finite gradient of a finite loss reaches {names}: a value comes in NaN or infinite",
        "Look at the data, or at the step before that wrote it: hg.isfinite(x) tells which "
        "elements are not numbers.",
    ),
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
    "stateful_write": Kind(
        "No gradient reaches {names}: the value is written into a variable and read back",
        "Use the tensor itself in the loss; write it into the variable for later steps only.",
    ),
    "outside_tape": Kind(
        "No gradient reaches {names}: the value is computed while the tape does not record",
        "Compute it inside the `with GradientTape()` block that is asked for the gradient, and in "
        "the thread that entered it: a tape records no other.",
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
    "dead_term": Kind(
        "A term of the loss moves nothing: its value depends on {names}, and no gradient comes of "
        "it",
        "Let gradient through to what the term is computed from, or take the term out of the loss "
        "and only report it.",
    ),
    "cancelled": Kind(
        "The gradients of {names} that meet here add up to exactly zero",
        "A value that is added and taken away again passes nothing on: to keep the value of q and "
        "the gradient of z, write z + hg.stop_gradient(q - z).",
    ),
    "not_watched": Kind(
        "No gradient reaches {names}: the tape was not asked to watch",
        "Call tape.watch(x) in the block before x is used, or make it a trainable hg.Variable.",
    ),
    "wrong_variable": Kind(
        "The gradient of another variable is applied to {names}",
        "Pair each gradient with the variable that it was computed for: zip(gradients, variables) "
        "with the list that was asked for.",
    ),
    "zeroed_update": Kind(
        "The update of {names} is exactly zero, though the gradient is not",
        "Look at what is done with the gradient between the call and the optimizer: this line "
        "multiplies, clips or masks it to zero.",
    ),
    "zero_rate": Kind(
        "{names} does not move: the optimizer's rate is 0 in every step",
        "Give the optimizer a rate, or leave the step out.",
    ),
    "dropped_gate": Kind(
        "Nothing is stopped here: the result is dropped, and gradient still reaches {names}",
        "A gate changes nothing in place: use what it returns, h = hg.stop_gradient(h).",
    ),
    "freeze_too_late": Kind(
        "Frozen, and trained all the same: {names}",
        "Collect the variables after the freeze: a list that was made before still has them.",
    ),
    "freeze_too_much": Kind(
        "Frozen together with what the pattern seems to say: {names}",
        "End the number in the pattern, as in 'block_1/*'.",
    ),
    "averages_trained": Kind(
        "Trained while the averages are in it, not its own values: {names}",
        "Put the values back first: leave the block of applied(), or call swap() again.",
    ),
    "not_applied": Kind(
        "A gradient is asked for and never used: that of {names}",
        "Give it to the optimizer, or do not ask for it.",
    ),
    "cleared": Kind(
        "The gradient of {names} is taken away before the step",
        "Clear gradients before the call that computes them, or after the step.",
    ),
    "freed_graph": Kind(
        "No gradient comes of a second walk: what {names} was computed with has been freed",
        "Compute the target anew before it is differentiated again.",
    ),
    "in_place": Kind(
        "No gradient reaches {names}: a value that it needs was overwritten",
        "Write into a copy, or compute a new value in place of changing this one.",
    ),
    "born_each_pass": Kind(
        "Made anew in every step, so that it never learns: {names}",
        "Make it once, before the loop or in the model's __init__, and use it in every step.",
    ),
    "unlisted": Kind(
        "Used for the target, and neither asked for nor ever changed: {names}",
        "Add it to the variables that are asked for and trained, or make it with trainable=False.",
    ),
    "not_registered": Kind(
        "Used, but not among the variables that are trained: {names}",
        "Make it an attribute of the model or of one of its layers, or an item of a list or "
        "dictionary that is one (what lies in a deque, a set or a plain object is not found), or "
        "add it to the list of variables.",
    ),
    "mask": Kind(
        "The gradient of {names} is exactly zero: a mask lets nothing through",
        "Look at the mask: it selects no element here. Skip such a batch, or correct the "
        "condition.",
    ),
    "zero_derivative": Kind(
        "The gradient of {names} is exactly zero: the derivative is zero at every element here",
        "Look at the values that arrive here: use hg.leaky_relu, a wider clip, smaller weights "
        "or logits instead of saturated outputs.",
    ),
    "optimizer_mask": Kind(
        "The optimizer never updates {names}, though a gradient is there",
        "Pass its pair of gradient and variable to apply_gradients, too.",
    ),
    "frozen": Kind(
        "No gradient is asked for {names}: frozen",
        "Set trainable to True before the variables are collected, or declare it frozen: "
        "--no-flow NAME.",
    ),
    "unreached": Kind(
        "No gradient reaches {names}: the graph of the target does not lead there",
        "Have somebody look on while the target is computed: then it is known what cuts the "
        "gradient, and at which line.",
    ),
    "unused_parameter": Kind(
        "No gradient reaches {names}: not used for the target",
        "Use it, or what was computed from it, in the target; or do not ask for its gradient.",
    ),
}
"""One row for each kind, the most important first: a cut is always a mistake or a decision, while a
parameter that is not used may be nobody's concern."""

FACTOR = "a factor of 0"
"""Label of a place where a gradient is multiplied with a number that is exactly 0."""

_SOFT_CURES = {
    ("argmax", "argmin"): "Use hg.softmax instead, or keep the hard choice forward: "
    "hg.straight_through(one_hot, soft).",
    ("argsort", "searchsorted"): "Use the sorted values or a softmax over them, not positions.",
    ("round", "floor", "ceil", "trunc"): "Keep the rounded value and pass the gradient on: "
    "hg.straight_through(rounded, x).",
    ("greater", "greater_equal", "less", "less_equal", "equal", "not_equal", "sign"): "Use "
    "hg.sigmoid(scale * difference) in its place, or hg.straight_through(hard, soft).",
    (
        "softmax",
        "log_softmax",
    ): "Look at the axis: a softmax over one element is always 1, so for a "
    "single output use hg.sigmoid; over several, one logit is too far above the others: scale them "
    "down.",
    ("sigmoid", "tanh", "log_sigmoid", "hard_sigmoid", "hard_tanh"): "The values that arrive here "
    "are so far out that it is flat: scale the data or the weights down, or give the loss the "
    "logits.",
    ("level",): "It is a second derivative of relu or another function of straight pieces, which "
    "is zero: where derivatives are differentiated, use a smooth one, hg.softplus, hg.tanh or "
    "hg.silu.",
    (FACTOR,): "Look at where the number comes from: a division of whole numbers (1 // 3 is 0), a "
    "weight or scale that is still at its start; or leave the term out.",
    ("categorical", "bernoulli"): "Put the log-probability of what was drawn into the loss, or "
    "use hg.straight_through(one_hot, probabilities).",
}
OP_CURES = {op: text for ops, text in _SOFT_CURES.items() for op in ops}
"""For operations without a derivative: a cure that is closer than that of their kind."""


NONFINITE = ("nonfinite_value", "nonfinite_slope", "nonfinite_data")
"""The kinds of gradients that arrive and are NaN or infinite."""

_TWICE = "hg.where(x > 0, {0}(hg.where(x > 0, x, 1.0)), 0.0)"
_SAFE_CURES = {
    ("log", "log2", "log10", "log1p", "logaddexp"): "Keep it away from zero, "
    "hg.log(hg.maximum(x, 1e-7)); of a softmax or sigmoid take hg.log_softmax(logits) or "
    "hg.log_sigmoid(logits), and of a sum of exponentials hg.logsumexp.",
    ("sqrt", "rsqrt", "hypot", "vector_norm"): "Put an epsilon inside the root, "
    "hg.sqrt(x + 1e-12), or use where twice: " + _TWICE.format("hg.sqrt") + ".",
    ("std", "var"): "Put an epsilon inside the root: hg.sqrt(hg.var(x) + 1e-6).",
    ("divide", "reciprocal", "remainder"): "Keep the divisor away from zero: add an epsilon, use "
    "hg.maximum(y, 1e-7), or where twice: hg.where(y != 0, x / hg.where(y != 0, y, 1.0), 0.0).",
    ("exp", "exp2", "expm1", "sinh", "cosh", "square", "prod"): "It leaves the range of the "
    "dtype: subtract the maximum first, as hg.softmax and hg.logsumexp do, clip what goes in, or "
    "use a wider dtype.",
    ("pow",): "A negative base has no fractional power, and a base of zero no finite slope: take "
    "hg.abs(x) or hg.maximum(x, 1e-7) first, or hg.square(x) for squares.",
    ("acos", "asin", "atanh", "acosh"): "Clip what goes in to the inside of its range: "
    "hg.clip(x, -1 + 1e-7, 1 - 1e-7).",
    ("softmax", "log_softmax", "logsumexp"): "A row has no finite entry, or an infinite one: leave "
    "each row of a mask at least one entry, or mask with a large finite number, -1e9, instead of "
    "-inf.",
    ("multiply", "matmul", "add", "subtract", "sum", "mean", "tensordot", "convolution"): "It "
    "leaves the range of the dtype, or infinities meet: compute in float32 (hg.astype), scale what "
    "goes in down, or look for the infinities that go in.",
    ("inv", "solve", "det", "slogdet", "cholesky", "pinv"): "The matrix is singular, or not "
    "positive definite: add a small multiple of the identity to it.",
    ("eigh", "svd"): "Two values of the spectrum are equal, where vectors have no slope: use "
    "functions of the values only, or separate them.",
}
SAFE_CURES = {op: text for ops, text in _SAFE_CURES.items() for op in ops}
"""For operations at which a NaN is born: a cure that is closer than that of the kind."""


Sayings = Mapping[tuple[str, str], str]
"""(Kind, operation or verdict, "" for all) -> a sentence that is closer than that of the kind."""

WHAT: dict[str, Sayings] = {
    "headgate": {
        ("zero_derivative", FACTOR): "The gradient of {names} is exactly zero: it is multiplied "
        "with a number that is exactly 0",
        ("host_round_trip", "into"): "No gradient reaches {names}: the value leaves for another "
        "framework, where it has no history",
    },
    "jax": jax.WHAT,
    "tensorflow": tensorflow.WHAT,
    "torch": torch.WHAT,
}
"""Framework -> what its kinds do."""

CURES: dict[str, Sayings] = {
    "headgate": {
        **{("nondiff_op", op): text for op, text in OP_CURES.items()},
        **{("zero_derivative", op): text for op, text in OP_CURES.items()},
        **{("nonfinite_value", op): text for op, text in SAFE_CURES.items()},
        **{("nonfinite_slope", op): text for op, text in SAFE_CURES.items()},
        ("custom_gradient", "zero"): "The rule gives zeros for the values that arrive here: look "
        "whether they are in the range for which it gives a gradient (the window of a surrogate, a "
        "schedule that is at 0).",
        **{
            ("dead_term", kind): KINDS[kind].cure
            for kind in (
                "no_grad_block",
                "nondiff_op",
                "integer_cast",
                "host_round_trip",
                "rewrap",
                "stateful_write",
                "outside_tape",
                "custom_gradient",
            )
        },
        ("dead_term", "stop_gradient"): "Take the stop away from this term, or stop only what must "
        "stay constant in it; if the term is for the log only, leave it out of the loss.",
    },
    "jax": jax.CURES,
    "tensorflow": tensorflow.CURES,
    "torch": torch.CURES,
}
"""Framework -> what to do about its kinds."""


def cure(kind: str, op: str = "", framework: str = "headgate", verdict: str = "") -> str:
    """Return what to do about a kind of cut, in one sentence.

    Args:
        kind: a key of `KINDS`.
        op: the operation at which gradient ends, by which the advice may be closer.
        framework: whose words to use, as far as there are such; else those of Headgate.
        verdict: what came of the parameter, by which the advice may be closer, too.

    Raises:
        ValueError: if there is no such kind.

    >>> from headgate.flow.kinds import cure
    >>> cure("nondiff_op", "round")
    'Keep the rounded value and pass the gradient on: hg.straight_through(rounded, x).'
    >>> cure("nondiff_op", "round", "torch")
    'Keep the rounded value and pass the gradient on: x + (torch.round(x) - x).detach().'
    """
    return _said(CURES, kind, (op, verdict), framework) or row(kind).cure


def what(kind: str, label: str = "", framework: str = "headgate", verdict: str = "") -> str:
    """Return what a kind of cut does to `{names}`; the arguments are those of `cure`.

    Raises:
        ValueError: if there is no such kind.

    >>> from headgate.flow.kinds import what
    >>> what("cancelled").format(names="w")
    'The gradients of w that meet here add up to exactly zero'
    """
    return _said(WHAT, kind, (label, verdict), framework) or row(kind).what


def _said(
    tables: dict[str, Sayings], kind: str, details: tuple[str, ...], framework: str
) -> str | None:
    """Return the closest sentence that there is, None if the row of the kind has it.

    What comes first in a label counts as well: "into JAX at a line" is one of "into".
    """
    label, verdict = details
    details = label, label.partition(" ")[0], verdict
    for table in (tables.get(framework, {}), tables["headgate"]):
        for detail in (*filter(None, details), ""):
            if (kind, detail) in table:
                return table[kind, detail]
    return None


def rank(kind: str) -> int:
    """Return how far down a kind stands in a report, from 0 for the most important.

    >>> from headgate.flow.kinds import rank
    >>> rank("stop_gradient") < rank("unused_parameter")
    True
    """
    return _RANK[kind]


_RANK = {kind: number for number, kind in enumerate(KINDS)}


def row(kind: str) -> Kind:
    """Return the row of a kind.

    Raises:
        ValueError: if there is no such kind.
    """
    found = KINDS.get(kind)
    if found is None:
        raise ValueError(f"there is no kind of cut {kind!r}; use one of {', '.join(KINDS)}")
    return found
