"""What only a PyTorch program can do wrong, and no gradient call can tell.

A parameter that its module does not register, or the optimizer does not have; one that was put in
the place of another after the optimizer was made; a gradient wanted of a result that is no leaf; a
flag that nobody reads; gradients that are cleared before the step. Each is looked for once, over
the whole run.
"""

from __future__ import annotations

import ast
import difflib
import functools
import linecache
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from headgate.flow.judge import Facts, Told, facts_of
from headgate.flow.trace import Place
from headgate.record.cuts import bits

if TYPE_CHECKING:
    from headgate.flow.watch.torch.records import Ask, Stepper
    from headgate.flow.watch.torch.session import Session
    from headgate.flow.watch.torch.values import Leaf


@functools.cache
def means_requires_grad(name: str) -> bool:
    """Tell whether an attribute is meant to be `requires_grad`, perhaps with a slip."""
    return bool(difflib.get_close_matches(name, ["requires_grad"], cutoff=0.85))


def mistakes(session: Session) -> Iterator[Told]:
    """Yield what is wrong with parameters beside all gradient calls."""
    replaced = [*_failures(session), *_replaced(session), *_copied(session)]
    yield from replaced
    known = {one.name for one in replaced}
    for find in (
        *(_not_registered, _passed_over, _forgotten, _non_leaves, _flags, _misspelt, _cleared),
        *(_wiped, _thawed, _never_stepped, _given_twice),
    ):
        for one in find(session):
            if one.name not in known:
                yield one


def _name(session: Session, number: int) -> str:
    return session.log.trace.sources[number].name


def _unnoticed(session: Session) -> list[Any]:
    """Return the leaves that gradient reaches, that no optimizer has, and that never change.

    An optimizer that takes no step has nothing.
    """
    steppers, reached = list(session.steppers.values()), session.reached()
    optimized = {leaf for leaf, number in session.optimized.items() if steppers[number].steps}
    return [
        leaf
        for leaf in session.log.leaves
        if leaf in reached
        and leaf.number not in optimized
        and not session.log.trace.sources[leaf.number].updated
        and not was_assigned(session, leaf)
    ]


def was_assigned(session: Session, leaf: Leaf) -> bool:
    """Tell whether the program writes into a leaf once a gradient has come to it."""
    first = min((ask.updates for ask in session.asks if ask.arrived.get(leaf)), default=0)
    return any(leaf.number in update.sources for update in session.log.trace.updates[first:])


def _replaced(session: Session) -> Iterator[Told]:
    """Find parameters that stand where others stood when the optimizer was made."""
    optimized = session.optimized
    reached = {leaf.number for leaf in session.reached()}
    for old, new, place in session.replaced:
        if old in optimized and new not in optimized and old not in reached and new in reached:
            yield Told(_name(session, new), "connected", "variable_replaced", session.place(place))


def _copied(session: Session) -> Iterator[Told]:
    """Find parameters of which an optimizer has copies, so that it never gets a gradient."""
    reached = {leaf.number for leaf in session.reached()}
    for known, originals in copies_in_optimizers(session):
        for number in originals:
            if number in reached:
                place = session.place(known.place)
                yield Told(_name(session, number), "copied", "variable_replaced", place)


def copies_in_optimizers(session: Session) -> Iterator[tuple[Stepper, list[int]]]:
    """Yield the optimizers that step and never have a gradient, with what theirs are copies of."""
    starved = [known for known in session.steppers.values() if known.steps > 1 and not known.fed]
    reach = session.reach
    for known in starved:
        mask = 0
        for parameter in known.parameters:
            leaf = session.log.leaf(parameter)
            for value in leaf.past:
                mask |= reach.by_value.get(value, 0) & ~(1 << leaf.number)
        if mask:
            yield known, [*bits(mask)]


def _not_registered(session: Session) -> Iterator[Told]:
    """Find parameters that a module uses and does not list, though its own ones are trained."""
    listed: dict[int, set[int]] = {}
    for key, root in session.roots.items():
        listed[key] = {id(each) for each in root.parameters()}
    for leaf in _unnoticed(session):
        tensor = leaf.tensor()
        root = session.paths.get(leaf.number, (0, ""))[0]
        if tensor is None or root not in listed:
            continue
        if not leaf.parameter and not (leaf.slot and leaf.home):  # a library's buffer is its own
            continue
        if id(tensor) not in listed[root]:
            place = _line_of_list(session, tensor)
            if place < 0:
                place = session.log.trace.sources[leaf.number].place
            yield Told(
                _name(session, leaf.number), "connected", "not_registered", session.place(place)
            )


def _line_of_list(session: Session, tensor: Any) -> int:
    """Return the line at which the list was put into a module that has a parameter in it."""
    for value, place in session.lists:
        for member in value.values() if isinstance(value, dict) else value:
            inside = member.parameters() if hasattr(member, "parameters") else [member]
            if any(each is tensor for each in inside):
                return place
    return -1


def _passed_over(session: Session) -> Iterator[Told]:
    """Find parameters with a gradient that no optimizer has, though it has others of its module.

    Whoever trains a head leaves the trunk alone. So it is told only of what lies behind something
    that is trained, of one whose neighbours in the same layer are, and of one that the program
    itself said to train.
    """
    optimized, downstream = session.optimized, None
    steppers = list(session.steppers.values())
    roots: dict[int, int] = {}
    for number, stepper in optimized.items():
        if number in session.paths and steppers[stepper].steps:
            roots.setdefault(session.paths[number][0], stepper)
    for leaf in _unnoticed(session):
        root = session.paths.get(leaf.number, (None, ""))[0]
        if root not in roots or not leaf.parameter or leaf.loaded:
            continue
        module = session.holders.get(root)
        tensor = leaf.tensor()
        if module is None or all(each is not tensor for each in module.parameters()):
            continue
        wanted = any(flag for flag, _ in leaf.flags) or _has_neighbour(session, module, tensor)
        if not wanted:
            if downstream is None:
                downstream = _behind_trained(session)
            if leaf not in downstream:
                continue
        place = steppers[roots[root]].place
        yield Told(_name(session, leaf.number), "connected", "optimizer_mask", session.place(place))


def _has_neighbour(session: Session, module: Any, tensor: Any) -> bool:
    """Tell whether an optimizer has another parameter of the very layer that has this one."""
    optimized = session.optimized
    return any(
        session.log.leaf(each).number in optimized
        for child in module.modules()
        if any(own is tensor for own in child._parameters.values())
        for each in child._parameters.values()
        if each is not None
    )


def _behind_trained(session: Session) -> set[Leaf]:
    """Return the sources that are used together with something that comes of trained ones."""
    trained = 0
    for number in session.optimized:
        trained |= 1 << number
    reach, found = session.reach, set()
    for leaf in _unnoticed(session):
        bit = 1 << leaf.number
        for event in session.log.trace.events:
            masks = [reach.by_gradient.get(value, 0) for value in event.inputs]
            if any(m & bit for m in masks) and any(m & trained and not m & bit for m in masks):
                found.add(leaf)
                break
    return found


def _is_a_network(session: Session, module: Any) -> bool:
    """Tell whether a module multiplies what it is given with matrices.

    One that is given and not trained is used as a function: a critic, or a measure of likeness.
    """
    return any(each.ndim > 1 for each in module.parameters())


def _forgotten(session: Session) -> Iterator[Told]:
    """Find parameters that no optimizer has, behind others that are trained: of a loss, say."""
    optimized = session.optimized
    if not optimized:
        return
    behind = _behind_trained(session)
    for leaf in _unnoticed(session):
        root = session.paths.get(leaf.number, (0, ""))[0]
        whole = session.roots.get(root)
        if leaf.loaded or not leaf.parameter or whole is None or leaf not in behind:
            continue
        if _is_a_network(session, whole):
            continue
        if any(session.log.leaf(each).number in optimized for each in whole.parameters()):
            continue  # then it is passed over
        source = session.log.trace.sources[leaf.number]
        yield Told(source.name, "connected", "unlisted", session.place(source.place))


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


def _misspelt(session: Session) -> Iterator[Told]:
    """Find flags of parameters with a slip in them: attributes that nobody reads."""
    for leaf in session.reached():
        for name in getattr(leaf.tensor(), "__dict__", ()):
            if means_requires_grad(name):
                place = _line_that_sets(name, session)
                yield Told(_name(session, leaf.number), "connected", "frozen", place)


def _line_that_sets(name: str, session: Session) -> Place | None:
    """Return the first line of the program that sets an attribute of this name."""
    for file in dict.fromkeys(place.file for place in session.log.trace.places):
        try:
            tree = ast.parse("".join(linecache.getlines(file)))
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Attribute)
                and node.attr == name
                and isinstance(node.ctx, ast.Store)
            ):
                return Place(file, node.lineno)
    return None


def _failures(session: Session) -> Iterator[Told]:
    """Find what made a gradient call fail, or an op that writes in place."""
    for leaf, line in session.log.refused:
        yield Told(_name(session, leaf.number), "cut", "in_place", session.place(line))
    facts = None
    for ask in session.asks:
        if not ask.failed:
            continue
        missing = [leaf for leaf in ask.missing if leaf.parameter] or list(ask.missing)
        if "a second time" in ask.failed:
            place = session.place(_kept_over(session, ask))
            for leaf in missing:
                yield Told(_name(session, leaf.number), "cut", "freed_graph", place)
        elif "modified by an inplace operation" in ask.failed:
            place = session.place(_overwritten(session, ask))
            for leaf in missing:
                yield Told(_name(session, leaf.number), "cut", "in_place", place)
        else:
            facts = facts or facts_of(session.log.trace)
            told = [*_of_failed(session, ask, facts)]
            yield from told or [*_all_frozen(session, ask)] or _not_asking(session)


def _kept_over(session: Session, ask: Ask) -> int:
    """Return the line that used what was computed before the last walk freed it."""
    trace = session.log.trace
    leaves = {source.value for source in trace.sources}
    reads = {event.outputs[0] for event in trace.events if event.op == "read"}
    later = [each.first for each in session.asks if each.first > ask.first]
    for event in trace.events[ask.first : min(later, default=len(trace.events))]:
        for value, flows in zip(event.inputs, event.flows):
            if flows and value <= ask.began and value not in leaves and value not in reads:
                return event.place
    return ask.place


def _overwritten(session: Session, ask: Ask) -> int:
    """Return the line that wrote over what a walk needed."""
    found = re.search(r"output \d+ of (\w+)", ask.failed)
    node = found[1] if found else ""
    for place, name, _ in reversed(session.log.writes):
        if name.rstrip("0123456789") == node.rstrip("0123456789"):
            return place
    if session.log.writes and not session.steppers:
        return session.log.writes[-1][0]
    steps = [update.place for update in session.log.trace.updates]
    return steps[-1] if steps else ask.place


def _of_failed(session: Session, ask: Ask, facts: Facts) -> Iterator[Told]:
    """Yield what was cut in a call that raised, also of what got a gradient in others."""
    place = session.place(ask.place)
    elsewhere = {
        outcome.name
        for call in facts.calls
        if call.place != place
        for outcome in call.outcomes.values()
        if outcome.arrived
    }
    for call in facts.calls:
        if call.place == place and call.step == ask.step:
            for outcome in call.outcomes.values():
                if outcome.name in elsewhere:
                    continue
                if outcome.verdict == "cut" and outcome.norm is None and outcome.causes:
                    cut = outcome.causes[0]
                    yield Told(
                        outcome.name, "cut", cut.kind, cut.place, cut.label, callers=cut.callers
                    )


def _all_frozen(session: Session, ask: Ask) -> Iterator[Told]:
    """Yield what a target without any gradient was computed from, if all of it is frozen."""
    reach, trace = session.reach, session.log.trace
    for leaf in session.log.leaves:
        tensor = leaf.tensor()
        if tensor is None or tensor.requires_grad or not leaf.flags:
            continue
        if any(reach.by_value.get(value, 0) >> leaf.number & 1 for value in ask.targets):
            place = session.place(leaf.flags[-1][1])
            yield Told(trace.sources[leaf.number].name, "not asked for", "frozen", place)


def _not_asking(session: Session) -> Iterator[Told]:
    """Yield what optimizers are to train and never required a gradient."""
    for known in session.steppers.values():
        for parameter in known.parameters:
            leaf = session.log.leaf(parameter)
            if not parameter.requires_grad and not leaf.flags:
                name = _name(session, leaf.number)
                yield Told(name, "not asked for", "not_watched", session.place(known.place))


def _cleared(session: Session) -> Iterator[Told]:
    """Find gradients that are taken away between the call and each step."""
    optimized = session.optimized
    for leaf in session.reached():
        if leaf.wiped >= 0 and not leaf.given and leaf.number in optimized:
            yield Told(
                _name(session, leaf.number), "connected", "cleared", session.place(leaf.wiped)
            )


def _wiped(session: Session) -> Iterator[Told]:
    """Find gradients of which a step gets only those of the last call, the others being cleared."""
    reached = session.reached()
    for known in session.steppers.values():
        place = session.place(known.waiting.place)
        if not known.waiting.wiped or place is None:
            continue
        leaves = [session.log.leaf(each) for each in known.parameters]
        if any(leaf.handed or leaf.seized for leaf in leaves):
            continue  # the program adds them up by itself
        for leaf in leaves:
            if leaf in reached:
                yield Told(_name(session, leaf.number), "part", "cleared", place)


def _thawed(session: Session) -> Iterator[Told]:
    """Find parameters that were told to train, and were frozen again before they ever did."""
    for leaf in session.log.leaves:
        tensor = leaf.tensor()
        if leaf.arrived or tensor is None or tensor.requires_grad or len(leaf.flags) < 2:
            continue
        if any(flag for flag, _ in leaf.flags[:-1]) and not leaf.flags[-1][0]:
            place = leaf.flags[-1][1]
            yield Told(_name(session, leaf.number), "not asked for", "frozen", session.place(place))


def _never_stepped(session: Session) -> Iterator[Told]:
    """Find parameters whose gradients come and are cleared, pass by pass, and no step is made."""
    steps = {number for number, known in enumerate(session.steppers.values()) if known.steps}
    owners: dict[int, set[int]] = {}
    for number, known in enumerate(session.steppers.values()):
        for parameter in known.parameters:
            owners.setdefault(session.log.leaf(parameter).number, set()).add(number)
    for leaf in session.reached():
        source = session.log.trace.sources[leaf.number]
        if not owners.get(leaf.number) or owners[leaf.number] & steps or not leaf.clears:
            continue
        if leaf.seized or leaf.handed or source.updated or was_assigned(session, leaf):
            continue
        asks = [ask for ask in session.asks if ask.arrived.get(leaf)]
        if len(asks) > 1:
            place = session.place(asks[0].place)
            yield Told(source.name, "never stepped", "not_applied", place)


def _given_twice(session: Session) -> Iterator[Told]:
    """Find parameters that no optimizer has, where two of them have the very same ones."""
    first: dict[frozenset[int], Stepper] = {}
    optimized = session.optimized
    for known in session.steppers.values():
        same = frozenset(map(id, known.parameters))
        if first.setdefault(same, known) is known or not known.steps:
            continue
        for leaf in _unnoticed(session):
            root = session.roots.get(session.paths.get(leaf.number, (0, ""))[0])
            if root is None or not leaf.parameter or leaf.loaded or not leaf.home:
                continue
            if any(session.log.leaf(each).number in optimized for each in root.parameters()):
                continue
            name = _name(session, leaf.number)
            yield Told(name, "connected", "optimizer_mask", session.place(known.place))
