"""Question: what is known of one target that a tape has recorded, and of the variables asked about.

Where a watch saw the target being computed (`watch.Watch`), the answer is what the watch would say
if the program had asked its tape there. A persistent tape is asked indeed, and goes on as it was,
so sizes are known and where a gradient becomes zero. One that is not persistent can be asked only
once, and that is the program's: of it is told what is connected, and what cuts the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import tensorflow as tf

from headgate.flow.judge import Facts, Outcome, Told, facts_of
from headgate.flow.patterns import covers_name, names_it
from headgate.flow.report import Finding, counted
from headgate.flow.trace import Trace
from headgate.flow.watch.tensorflow import entrance
from headgate.flow.watch.tensorflow.mistakes import mistakes
from headgate.flow.watch.tensorflow.session import Session, began
from headgate.flow.watch.tensorflow.values import is_variable, tensors_in
from headgate.flow.watcher import Account
from headgate.record.errors import describe, refusal

ONCE = (
    "The tape is not persistent, so it was not asked, and where a gradient becomes zero is not "
    "known; with GradientTape(persistent=True) it is."
)


class Answer(Account):
    """What is known of one target and some variables.

    Attributes:
        outcomes: one for each variable that was asked about, in order.
        noted: its remarks.
    """

    framework = "tensorflow"

    def __init__(self, trace: Trace, told: Sequence[Told], noted: Sequence[str]) -> None:
        self._trace = trace
        self._told = told
        self.noted = [*noted]
        self._facts = facts_of(trace)
        self.outcomes: list[Outcome] = [*self._facts.calls[0].outcomes.values()]

    @property
    def trace(self) -> Trace:
        """What led to the target, in neutral form."""
        return self._trace

    def facts(self) -> Facts:
        """Return what there is to judge."""
        return self._facts

    def told(self) -> Iterable[Told]:
        """Return what was found beside the gradients."""
        return self._told

    def findings(
        self, no_flow: Sequence[str] = (), flow: Sequence[str] = (), step: int | None = None
    ) -> list[Finding]:
        """Return what is wrong with the variables asked about, the most important first."""
        names = {outcome.name for outcome in self.outcomes}
        found = super().findings(no_flow, flow, step)
        return [
            each for each in found if each.parameter in names or names_it(each.parameter, no_flow)
        ]

    def summary(self, findings: Sequence[Finding]) -> str:
        """Return in a sentence how far gradient comes."""
        reached = sum(outcome.verdict == "connected" for outcome in self.outcomes)
        targets = " and ".join(self._facts.calls[0].targets)
        asked = counted(len(self.outcomes), "variable").replace("No", "0")
        return f"Gradient of {targets} reaches {reached} of {asked}."

    def remarks(self) -> list[str]:
        """Return in a sentence each what was not asked, and what could not be seen."""
        return self.noted


def ask(tape: Any, target: Any, sources: Any) -> Answer:
    """Return what is known of a target and some variables.

    Args:
        tape: a `tf.GradientTape` that has recorded the target.
        target: a tensor, or a structure of tensors that are added.
        sources: a model, a layer or an optimizer, which stand for their variables; a variable or a
            tensor; a pattern of names; or a structure of these.

    Raises:
        TypeError: the tape is none, the target is no tensor, or a source is none of these.
        ValueError: nobody looked on as the target was computed, or there are no sources.
    """
    if not isinstance(tape, tf.GradientTape):
        raise refusal(TypeError, f"{describe(tape)} is no tf.GradientTape")
    targets = list(tensors_in(target))
    if not targets or not all(map(entrance.is_eager, targets)):
        raise refusal(
            TypeError,
            f"the target is {describe(target)}, and no eager tensor: give the loss itself, outside "
            "of tf.function",
        )
    session = who_saw(targets)
    if session is None:
        raise refusal(
            ValueError,
            "nobody looked on as the target was computed: compute it within `with "
            "headgate.why.watching():`, and ask there",
        )
    return answer(session, tape, target, sources)


def who_saw(targets: Sequence[Any]) -> Session | None:
    """Return the newest session that saw some tensors being computed, None if there is none."""
    for known in reversed(began):
        session = known()
        if session is not None and all(session.log.of(each) is not None for each in targets):
            return session
    return None


def tape_of(session: Session, targets: Sequence[Any]) -> Any:
    """Return a tape that has recorded some tensors, None if there is none."""
    mask = 0
    for each in targets:
        known = session.log.of(each)
        mask |= 0 if known is None else known.tapes
    found = [held() for held, known in session.tapes.values() if known.bit & mask]
    return next((each for each in reversed(found) if each is not None), None)


def answer(session: Session, tape: Any, target: Any, sources: Any) -> Answer:
    """Return what a session tells of a target and some sources."""
    wanted = list({id(each): each for each in _wanted(sources, session)}.values())
    if not wanted:
        raise refusal(ValueError, "sources: there are no variables in it, and nothing to ask about")
    remarks = session.remarks()
    asked = session.asked_about(tape, target, wanted)
    if asked.broke:
        remarks.append(ONCE)
    try:
        trace = session.trace()
        told = [] if asked.broke else list(mistakes(session))
    finally:
        session.asks.remove(asked)
    call = trace.gradients[-1]
    alone = replace(
        trace,
        events=list(trace.events),
        places=list(trace.places),
        sources=[replace(source) for source in trace.sources],
        gradients=[call],
        updates=[],
        optimizers=[],
        freezes=[],
        courses=[],
        sizes={},
    )
    return Answer(alone, told, remarks)


def _wanted(tree: Any, session: Session) -> Iterator[Any]:
    """Yield the variables and tensors of a structure; models stand for what they train."""
    if is_variable(tree) or isinstance(tree, tf.Tensor):
        yield tree
    elif isinstance(tree, str):
        yield from _called(tree, session)
    elif isinstance(tree, Mapping):
        for each in tree.values():
            yield from _wanted(each, session)
    elif hasattr(tree, "trainable_variables"):
        yield from tree.trainable_variables
    elif isinstance(tree, Iterable):
        for each in tree:
            yield from _wanted(each, session)
    else:
        raise refusal(
            TypeError, f"sources: {describe(tree)} is neither a variable nor a model of Keras"
        )


def _called(pattern: str, session: Session) -> Iterator[Any]:
    """Yield the variables whose name a pattern covers."""
    names = session.names()
    known = {
        names[leaf.number]: variable
        for leaf in session.log.handles.values()
        if (variable := leaf.variable()) is not None
    }
    found = [variable for name, variable in known.items() if covers_name(name, pattern)]
    if not found:
        there = f"; there are {', '.join(known)}" if known else ""
        raise refusal(ValueError, f"no variable is called {pattern!r}{there}")
    yield from found
