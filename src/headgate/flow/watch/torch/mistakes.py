"""What only a PyTorch program can do wrong, and no gradient call can tell.

A parameter that its module does not register, or the optimizer does not have; one that was put in
the place of another after the optimizer was made; a gradient wanted of a result that is no leaf; a
flag that nobody reads; gradients that are cleared before the step. Each is looked for once, over
the whole run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from headgate.flow.judge import Told

if TYPE_CHECKING:
    from headgate.flow.watch.torch.session import Session


def mistakes(session: Session) -> Iterator[Told]:
    """Yield what is wrong with parameters beside all gradient calls."""
    replaced = list(_replaced(session))
    yield from replaced
    known = {one.name for one in replaced}
    for find in (_not_registered, _passed_over, _non_leaves, _flags, _cleared, _thawed):
        for one in find(session):
            if one.name not in known:
                yield one


def _name(session: Session, number: int) -> str:
    return session.log.trace.sources[number].name


def _unnoticed(session: Session) -> list[Any]:
    """Return the leaves that gradient reaches, that no optimizer has, and that never change."""
    optimized = session.optimized()
    return [
        leaf
        for leaf in session.log.leaves
        if leaf in session.reached()
        and leaf.number not in optimized
        and not session.log.trace.sources[leaf.number].updated
        and not _assigned(session, leaf.number)
    ]


def _assigned(session: Session, number: int) -> bool:
    return any(number in update.sources for update in session.log.trace.updates)


def _replaced(session: Session) -> Iterator[Told]:
    """Find parameters that stand where others stood when the optimizer was made."""
    optimized = session.optimized()
    reached = {leaf.number for leaf in session.reached()}
    for old, new, place in session.replaced:
        if old in optimized and new not in optimized and old not in reached and new in reached:
            yield Told(_name(session, new), "connected", "variable_replaced", session.place(place))


def _not_registered(session: Session) -> Iterator[Told]:
    """Find parameters that a module uses and does not list, though its own ones are trained."""
    listed: dict[int, set[int]] = {}
    for key, root in session.roots.items():
        listed[key] = {id(each) for each in root.parameters()}
    for leaf in _unnoticed(session):
        tensor = leaf.tensor()
        root = session.paths.get(leaf.number, (0, ""))[0]
        if tensor is None or root not in listed or not leaf.parameter:
            continue
        if id(tensor) not in listed[root]:
            place = session.log.trace.sources[leaf.number].place
            yield Told(
                _name(session, leaf.number), "connected", "not_registered", session.place(place)
            )


def _passed_over(session: Session) -> Iterator[Told]:
    """Find parameters with a gradient that no optimizer has, though it has others of its module."""
    optimized = session.optimized()
    steppers = list(session.steppers.values())
    roots: dict[int, int] = {}
    for number, stepper in optimized.items():
        if number in session.paths and steppers[stepper].steps:
            roots.setdefault(session.paths[number][0], stepper)
    for leaf in _unnoticed(session):
        root = session.paths.get(leaf.number, (None, ""))[0]
        if root not in roots or not leaf.parameter or leaf.loaded:
            continue
        module = session.roots.get(root)
        tensor = leaf.tensor()
        if module is None or all(each is not tensor for each in module.parameters()):
            continue
        place = steppers[roots[root]].place
        yield Told(_name(session, leaf.number), "connected", "optimizer_mask", session.place(place))


def _non_leaves(session: Session) -> Iterator[Told]:
    """Find results of which the program wants a gradient that PyTorch does not keep."""
    for place, name in session.log.non_leaves.values():
        yield Told(name, "cut", "non_leaf", session.place(place))


def _flags(session: Session) -> Iterator[Told]:
    """Find flags that were to freeze something, and that nobody reads."""
    reached = session.reached()
    for module, _, place in session.flags:
        inside = {id(each) for each in module.parameters()}
        for leaf in reached:
            tensor = leaf.tensor()
            if tensor is not None and id(tensor) in inside:
                yield Told(_name(session, leaf.number), "connected", "frozen", session.place(place))


def _cleared(session: Session) -> Iterator[Told]:
    """Find gradients that are taken away between the call and each step."""
    optimized = session.optimized()
    for leaf in session.reached():
        if leaf.wiped >= 0 and not leaf.given and leaf.number in optimized:
            yield Told(
                _name(session, leaf.number), "connected", "cleared", session.place(leaf.wiped)
            )


def _thawed(session: Session) -> Iterator[Told]:
    """Find parameters that were told to train, and were frozen again before they ever did."""
    reached = session.reached()
    for leaf in session.log.leaves:
        tensor = leaf.tensor()
        if leaf in reached or tensor is None or tensor.requires_grad or len(leaf.flags) < 2:
            continue
        if any(flag for flag, _ in leaf.flags[:-1]) and not leaf.flags[-1][0]:
            place = leaf.flags[-1][1]
            yield Told(_name(session, leaf.number), "not asked for", "frozen", session.place(place))
