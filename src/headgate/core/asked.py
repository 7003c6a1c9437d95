"""What is asked, in the words of the record (`headgate.record.asked`): made of tensors and
variables here, so that nothing that reads a record needs to know them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from headgate.core.lift import is_inexact
from headgate.core.variable import Variable
from headgate.record.asked import Asked, Question
from headgate.record.graph import Leaf, Recording
from headgate.record.site import name_in_program
from headgate.record.verdict import Verdict


def asked(given: Any) -> Asked:
    """Return a tensor or variable as the record knows it."""
    variable = type(given) is Variable
    node = given._leaf if variable else given.node
    return Asked(
        name=name_of(given),
        itself=given,
        identity=given._source if variable else node.source if type(node) is Leaf else None,
        node=node,
        variable=variable,
        trainable=not variable or given.trainable,
        shape=given.shape,
        dtype=str(given.dtype),
        inexact=is_inexact(given),
    )


def question(
    recording: Recording | None, bits: int, watches_reads: bool, targets: Sequence[Any]
) -> Question:
    """Return the question what leads to some targets, for the tape that owns these bits."""
    nodes = []
    if recording is not None:
        for target in targets:
            variable = type(target) is Variable
            node = recording.leaves.get(target._source) if variable else target.node
            if node is not None:
                nodes.append(node)
    return Question(recording, bits, watches_reads, tuple(targets), tuple(nodes))


def name_of(given: Any) -> str:
    """Return a variable's name, or what the user's program calls a tensor."""
    if type(given) is Variable:
        return given.name
    node = given.node
    if type(node) is Leaf and node.source.made is not None:  # an argument that was a variable
        return node.source.name
    return name_in_program(given) or f"tensor of shape {given.shape}"


def updated(verdict: Verdict, source: Any, model: Any, optimizer: Any) -> Verdict:
    """Add to the verdict on a connected variable why it is not trained all the same, if so."""
    if verdict.verdict != "connected" or type(source) is not Variable:
        return verdict
    if model is not None and not any(each is source for each in model.variables):
        text = "gradient arrives, but it is not among the variables of the model"
        return replace(verdict, kind="not_registered", detail=text)
    had_steps = {} if optimizer is None else optimizer._state
    if had_steps and source._source not in had_steps:
        text = "gradient arrives, but the optimizer had steps for other variables and none for it"
        return replace(verdict, kind="optimizer_mask", detail=text)
    return verdict
