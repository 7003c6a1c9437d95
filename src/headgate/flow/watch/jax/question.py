"""Question: what is known of one function and the arguments that it would be differentiated by.

JAX keeps no graph of what was computed, so a question is about a function and its arguments, not
about a loss. The function is read as equations and differentiated once, beside the program, as the
watcher does it of a gradient call; nothing else is needed, and nothing is patched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax

from headgate.flow.judge import Facts, Outcome, facts_of
from headgate.flow.report import Finding, counted
from headgate.flow.trace import Trace
from headgate.flow.watch.jax.account import account
from headgate.flow.watch.jax.calls import Call
from headgate.flow.watch.jax.look import leaves_of, measured, write_down
from headgate.flow.watch.jax.session import Session, untouched
from headgate.flow.watcher import Account
from headgate.record.errors import refusal


class Answer(Account):
    """What is known of one function and what it is differentiated by.

    Attributes:
        outcomes: one for each array that is differentiated by, in order.
        leaves: these arrays.
        name: of the function.
    """

    framework = "jax"

    def __init__(self, session: Session, leaves: Sequence[Any], name: str) -> None:
        self._session = session
        self._facts = facts_of(session.trace())
        self.outcomes: list[Outcome] = [*self._facts.calls[0].outcomes.values()]
        self.leaves = leaves
        self.name = name

    @property
    def trace(self) -> Trace:
        """What the function computes, in neutral form."""
        return self._session.trace()

    def facts(self) -> Facts:
        """Return what there is to judge."""
        return self._facts

    def summary(self, findings: Sequence[Finding]) -> str:
        """Return in a sentence how far gradient comes."""
        reached = sum(outcome.verdict == "connected" for outcome in self.outcomes)
        asked = counted(len(self.outcomes), "array").replace("No", "0")
        return f"Gradient of {self.name} reaches {reached} of {asked}."

    def remarks(self) -> list[str]:
        """Return in a sentence each what could not be seen."""
        return self._session.remarks()


def ask(
    fun: Callable[..., Any],
    args: tuple[Any, ...],
    argnums: int | Sequence[int],
    has_aux: bool,
    kwargs: dict[str, Any],
) -> Answer:
    """Return what is known of a function; the arguments are those of `headgate.why.jax`.

    Raises:
        TypeError: it is no function, or its arguments have no values, as within `jit`.
        ValueError: there is nothing to differentiate by.
    """
    if not callable(fun):
        raise refusal(TypeError, "the first argument is the function, the others are what it takes")
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree_util.tree_leaves((args, kwargs))):
        raise refusal(TypeError, "the arguments have no values here: ask outside of jit and vmap")
    numbers = tuple(argnums) if isinstance(argnums, Sequence) else (argnums,)
    if any(not -len(args) <= number < len(args) for number in numbers):
        raise refusal(ValueError, f"argnums={argnums}: the function is given {len(args)} arguments")
    session = Session()
    session.original = untouched()
    call = Call("vjp", fun, numbers, args, kwargs, has_aux, argnums)
    if not leaves_of(call):
        raise refusal(ValueError, "there are no arrays of floating point to differentiate by")
    with session.hushed():
        line = session.log.line(session.log.places.here(), "vjp")
        line.passes = line.looked = 1
        asked = write_down(session, call, line)
        seen = measured(session, asked, asked.forward.given)
    norms = seen.norms if seen is not None else [1.0] * len(asked.sources)
    session.log.passed(asked, 0, norms, seen)
    account(session)
    return Answer(session, leaves_of(call), asked.name)
