"""Question: what is known of one loss that has been computed, and of the parameters asked about.

The gradients are asked for once more, of PyTorch itself: by `torch.autograd.grad`, which keeps the
graph and leaves every `.grad` as it is. Where a watch saw the loss being computed (`watch.Watch`),
the answer is what the watch would say if the program had asked there, and the watch does not
remember it: a question is no part of the program.

Where none did, PyTorch's own graph is all there is. It is written down as a trace, an event for
each node, so that the walk is measured and drawn like any other: what is connected, and where a
gradient becomes zero or NaN. A graph has no lines, and what was cut before it was built is not in
it, so of a parameter that it does not lead to nothing more can be said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch.nn.parameter import is_lazy

from headgate.flow.judge import NOWHERE, Facts, Outcome, Told, facts_of
from headgate.flow.patterns import covers_name, names_it
from headgate.flow.report import NAMES_SHOWN, Finding, counted
from headgate.flow.solve import Reach
from headgate.flow.trace import Cut, Event, Gradient, Trace
from headgate.flow.watch.torch.asking import begin_asking, source_of
from headgate.flow.watch.torch.graph import Walk, in_order, nodes_behind
from headgate.flow.watch.torch.log import Log
from headgate.flow.watch.torch.mistakes import mistakes
from headgate.flow.watch.torch.names import (
    find_names,
    modules_in_frames,
    names_of,
    outermost,
    paths_in,
)
from headgate.flow.watch.torch.ops import op_of_node
from headgate.flow.watch.torch.records import Ask
from headgate.flow.watch.torch.session import Session, began
from headgate.flow.watch.torch.values import norm
from headgate.flow.watch.torch.watch import Watch
from headgate.flow.watcher import Account
from headgate.record.errors import describe, refusal

BARE = (
    "Nobody watched as it was computed, so this is read from its graph alone, which tells what is "
    "connected, but not what cut the rest, and knows no lines."
)
FREED = (
    "An earlier backward() has freed the graph: what is connected is known, not how large the "
    "gradients are. Ask before it, or keep the graph: backward(retain_graph=True)."
)


class Wanted(NamedTuple):
    """A tensor that is asked about, by the path that the question itself gives it, if any."""

    path: str
    tensor: Any


class Answer(Account):
    """What is known of one loss and some parameters.

    Attributes:
        outcomes: one for each parameter that was asked about and requires a gradient, in order.
        frozen: the names of those that do not.
        noted: its remarks.
    """

    framework = "torch"

    def __init__(
        self,
        trace: Trace,
        told: Sequence[Told] = (),
        frozen: Sequence[str] = (),
        noted: Sequence[str] = (),
    ) -> None:
        self._trace = trace
        self._told = told
        self.noted = [*noted]
        self.frozen = frozen
        self._facts = facts_of(trace)
        self.outcomes: list[Outcome] = [*self._facts.calls[0].outcomes.values()]
        for outcome in self.outcomes:
            if outcome.kind == "unreached":  # it may well be used
                outcome.verdict = "no gradient"

    @property
    def trace(self) -> Trace:
        """What led to the loss, in neutral form."""
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
        """Return what is wrong with the parameters asked about, the most important first."""
        names = {outcome.name for outcome in self.outcomes} | {one.name for one in self._told}
        found = super().findings(no_flow, flow, step)
        return [
            each for each in found if each.parameter in names or names_it(each.parameter, no_flow)
        ]

    def summary(self, findings: Sequence[Finding]) -> str:
        """Return in a sentence how far gradient comes."""
        reached = sum(outcome.verdict == "connected" for outcome in self.outcomes)
        targets = " and ".join(self._facts.calls[0].targets)
        asked = counted(len(self.outcomes), "parameter").replace("No", "0")
        return f"Gradient of {targets} reaches {reached} of {asked}."

    def remarks(self) -> list[str]:
        """Return in a sentence each what was not asked, and what could not be seen."""
        return self.noted


HIDDEN = (
    "What is used within a checkpoint(use_reentrant=True) is not in the graph, so nothing is known "
    "of what the rest of it does not lead to."
)


def ask(target: Any, sources: Any) -> Answer:
    """Return what is known of a loss, or of several that are added, and some parameters.

    Args:
        target: a tensor, a list of tensors, or a function without arguments that computes one; it
            is called while somebody watches.
        sources: a module, an optimizer, a parameter or another tensor that the target was computed
            from, a pattern of names, or a list or dictionary of these.

    Raises:
        TypeError: target is no tensor, or a source is none of these.
        ValueError: there are no targets or sources.
    """
    return answer(*computed(target), sources)


def computed(target: Any, what: str = "the target") -> tuple[Session | None, list[Any]]:
    """Return the tensors of a target, computed now if it is a function, and who saw that."""
    if callable(target) and not isinstance(target, torch.Tensor):
        with Watch() as watch:
            targets = tensors_of(target(), f"what {what} returns")
        return watch.session, targets
    targets = tensors_of(target, what)
    return _who_saw(targets), targets


def tensors_of(tree: Any, what: str) -> list[Any]:
    """Return the tensors of a structure; refuse what is none."""
    if isinstance(tree, torch.Tensor):
        return [tree]
    if isinstance(tree, Mapping):
        tree = list(tree.values())
    if isinstance(tree, list | tuple) and tree:
        return [tensor for each in tree for tensor in tensors_of(each, what)]
    raise refusal(
        TypeError,
        f"{what} is {describe(tree)}, and no tensor of PyTorch: give the loss itself, not what its "
        "item() or numpy() returned",
    )


def _who_saw(targets: Sequence[Any]) -> Session | None:
    """Return the newest session that saw some tensors being computed, None if there is none."""
    for known in reversed(began):
        session = known()
        if session is not None and all(_saw(session, target) for target in targets):
            return session
    return None


def _saw(session: Session, tensor: Any) -> bool:
    if session.log.known(tensor) is not None:
        return True
    node = tensor.grad_fn
    return session.hears if node is None else session.log in node.metadata


def answer(
    session: Session | None, targets: list[Any], sources: Any, what: str = "sources"
) -> Answer:
    """Return what a session, or the graph alone, tells of some targets and sources."""
    bare = session is None
    session = session or Session()
    log = session.log
    before = len(log.leaves)
    drawn = _draw(log, targets) if bare else []
    wanted = list(_wanted(sources, session, what))
    asking = [each for each in wanted if each.tensor.requires_grad] or wanted
    for node in nodes_behind(targets):
        if hasattr(node, "variable"):
            log.leaf(node.variable)
    try:
        found = _asked(session, targets, asking, bare)
        frozen = _names_of(session, [each for each in wanted if not each.tensor.requires_grad])
    finally:
        _forget(session, before)
        for node in drawn:
            node.metadata.pop(log, None)
    found.frozen = frozen
    if frozen and asking is not wanted:
        names = ", ".join(frozen[:NAMES_SHOWN])
        more = f" and {len(frozen) - NAMES_SHOWN} more" if len(frozen) > NAMES_SHOWN else ""
        found.noted.append(f"Not asked for, because requires_grad is False: {names}{more}.")
    return found


def _asked(session: Session, targets: list[Any], asking: list[Wanted], bare: bool) -> Answer:
    """Ask for the gradients, and put together what came."""
    log = session.log
    numbers = [_number_of(session, each) for each in asking]
    ask = begin_asking(session, log.here(), 0, targets, False)
    ask.targets = ask.targets or (log.new(),)
    ask.names = ask.names or ("the loss",)
    ask.explicit = numbers
    ask.outputs = [None] * len(numbers)
    walk = ask.walk = Walk(log, targets)
    hidden = any(node.name().startswith("CheckpointFunction") for node in walk.nodes)
    remarks = [BARE] if bare else session.remarks()
    try:
        sizes, failure = _gradients(log, walk, targets, [each.tensor for each in asking])
        known = _sizes_before(session, ask, walk) if failure else {}
        unmeasured = bool(failure) and not known
        sizes |= known
        if unmeasured:
            remarks.append(failure)
        ask.norms = [sizes.get(id(each.tensor)) for each in asking]
        for leaf in log.leaves:
            size = sizes.get(id(leaf.tensor()))
            if size is not None:
                ask.arrived[leaf] = size
                walk.cotangents.setdefault(leaf.read, size)
        trace = session.trace()
        told = list(mistakes(session))
    finally:
        session.asks.remove(ask)
    if bare:
        nowhere = log.lines.at(NOWHERE)
        for event in trace.events:
            event.place, event.callers = nowhere, 0
    call = trace.gradients[-1]
    if unmeasured:
        call = _by_connection(trace, call)
    if bare and hidden:
        remarks.append(HIDDEN)
        call, asking = _without_missing(call, asking)
    found = Answer(_of_one(trace, call, asking, bare), told, (), remarks)
    for outcome in found.outcomes if unmeasured else ():
        outcome.norm = None
    return found


def _by_connection(trace: Trace, call: Gradient) -> Gradient:
    """Return a call that could not be made, with some norm for all that the trace connects."""
    _, found = Reach(trace).behind(call.targets)
    reached = [found.get(trace.sources[number].value, False) for number in call.sources]
    norms = [1.0 if size is None and flows else size for size, flows in zip(call.norms, reached)]
    return replace(call, norms=tuple(norms))


def _without_missing(call: Gradient, asking: list[Wanted]) -> tuple[Gradient, list[Wanted]]:
    """Return a call of those sources alone that a gradient came to, and those."""
    kept = [position for position, size in enumerate(call.norms) if size is not None]
    return replace(
        call,
        sources=tuple(call.sources[k] for k in kept),
        norms=tuple(call.norms[k] for k in kept),
        outputs=tuple(call.outputs[k] for k in kept),
        births={kept.index(k): cut for k, cut in call.births.items() if k in kept},
    ), [asking[k] for k in kept]


def _of_one(trace: Trace, call: Gradient, asking: list[Wanted], bare: bool) -> Trace:
    """Return a trace as it would be if this question were all that was asked in it."""
    sources = [replace(source) for source in trace.sources]
    for number, each in zip(call.sources, asking):
        sources[number].trainable = each.tensor.requires_grad
        if bare:
            sources[number].place = -1
    call = replace(call, told=_unreached(call, asking) if bare else {})
    return replace(
        trace,
        events=list(trace.events),
        places=list(trace.places),
        sources=sources,
        gradients=[call],
        updates=[],
        optimizers=[],
        freezes=[],
        courses=[],
        sizes={},
    )


def _unreached(call: Gradient, asking: list[Wanted]) -> dict[int, Cut]:
    """Return what is to be said of what a graph does not lead to."""
    return {
        position: Cut("unreached" if each.tensor.requires_grad else "frozen", NOWHERE)
        for position, each in enumerate(asking)
        if call.norms[position] is None
    }


def _gradients(
    log: Log, walk: Walk, targets: list[Any], tensors: list[Any]
) -> tuple[dict[int, float], str]:
    """Walk back from some targets, and leave everything as it is.

    Returns:
        Tensor, by its id -> the norm of its gradient; and why these norms are not true, and only
        tell where gradient comes at all, "" if they are.
    """
    differentiable = [target for target in targets if target.requires_grad]
    leaves = [node.variable for node in walk.nodes if hasattr(node, "variable")]
    inputs = list({id(each): each for each in (*tensors, *leaves) if each.requires_grad}.values())
    if not differentiable or not inputs:
        return {}, ""
    log.quiet += 1
    try:
        with walk:
            found = torch.autograd.grad(
                differentiable,
                inputs,
                [torch.ones_like(target) for target in differentiable],
                retain_graph=True,
                allow_unused=True,
            )
    except RuntimeError as error:
        freed = "through the graph a second time" in str(error)
        failure = FREED if freed else f"PyTorch refused to walk back: {str(error).splitlines()[0]}"
        return {id(leaf): 1.0 for leaf in walk.leaves}, failure
    finally:
        log.quiet -= 1
    return {id(each): norm(g) for each, g in zip(inputs, found) if g is not None}, ""


def _sizes_before(session: Session, ask: Ask, walk: Walk) -> dict[int, float]:
    """Return what an earlier call brought of the same targets, and take over its walk."""
    for known in reversed(session.asks):
        if known is not ask and known.targets == ask.targets and known.arrived:
            assert known.walk is not None
            walk.cotangents.update(known.walk.cotangents)
            walk.deaths.update(known.walk.deaths)
            walk.births += known.walk.births
            return {id(leaf.tensor()): size for leaf, size in known.arrived.items()}
    return {}


# -- what is asked about --------------------------------------------------------------------------


def _wanted(tree: Any, session: Session, what: str) -> Iterator[Wanted]:
    """Yield the tensors of a structure, each once, modules and optimizers being their parameters'.

    Raises:
        TypeError: there is something else in it.
        ValueError: there is nothing in it.
    """
    seen: set[int] = set()
    for path, tensor in _tensors_in(tree, session, what):
        if id(tensor) not in seen:
            seen.add(id(tensor))
            yield Wanted(path, tensor)
    if not seen:
        raise refusal(
            ValueError, f"{what}: there are no parameters in it, and nothing to ask about"
        )


def _tensors_in(tree: Any, session: Session, what: str) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, torch.Tensor):
        yield "", tree
    elif isinstance(tree, torch.nn.Module):
        yield from ((path, each) for path, each in tree.named_parameters() if not is_lazy(each))
    elif isinstance(tree, torch.optim.Optimizer):
        yield from (("", each) for group in tree.param_groups for each in group["params"])
    elif isinstance(tree, str):
        yield from _called(tree, session)
    elif isinstance(tree, Mapping):
        for key, each in tree.items():
            for path, tensor in _tensors_in(each, session, what):
                yield f"{key}.{path}".removesuffix("."), tensor
    elif isinstance(tree, tuple) and [*map(type, tree)][:1] == [str] and len(tree) == 2:
        yield tree  # as named_parameters() gives them
    elif isinstance(tree, Iterable):
        for each in tree:
            yield from _tensors_in(each, session, what)
    else:
        raise refusal(
            TypeError,
            f"{what}: {describe(tree)} is neither a tensor nor a module of PyTorch",
        )


def _called(pattern: str, session: Session) -> Iterator[tuple[str, Any]]:
    """Yield the parameters whose name a pattern covers."""
    known = _named(session)
    found = [(name, each) for name, each in known.items() if covers_name(name, pattern)]
    if not found:
        names = f"; there are {', '.join(known)}" if known else ""
        raise refusal(ValueError, f"no parameter is called {pattern!r}{names}")
    yield from found


def _named(session: Session) -> dict[str, Any]:
    """Return all parameters that somebody could mean by a name."""
    find_names(session)
    sources = session.trace().sources
    found = {}
    for leaf in session.log.leaves:
        if (tensor := leaf.tensor()) is not None:
            found[sources[leaf.number].name] = tensor
    known = {id(tensor) for tensor in found.values()}
    modules = outermost(modules_in_frames().items())
    for name, module in modules:
        for path, tensor in paths_in(module):
            if isinstance(tensor, torch.nn.Parameter) and id(tensor) not in known:
                known.add(id(tensor))
                found.setdefault(path if len(modules) == 1 else f"{name}.{path}", tensor)
    return found


def _number_of(session: Session, wanted: Wanted) -> int:
    """Return the number of the source that a tensor is, made for this question if need be."""
    log, tensor = session.log, wanted.tensor
    if not tensor.is_leaf:
        return source_of(session, tensor)[0]
    leaf = log.leaf(tensor)
    find_names(session)
    if wanted.path and leaf.number not in session.paths:
        log.names.setdefault(leaf.number, wanted.path)
    return leaf.number


def _names_of(session: Session, wanted: Iterable[Wanted]) -> list[str]:
    numbers = [_number_of(session, each) for each in wanted]
    find_names(session)
    names = names_of(session)
    return [names[number] for number in numbers]


def _forget(session: Session, before: int) -> None:
    """Forget the sources that were only made to be asked about, if nothing was noted of them."""
    log = session.log
    added = log.leaves[before:]
    if any(leaf.read for leaf in added):
        return
    for leaf in added:
        tensor = leaf.tensor()
        if tensor is not None and (known := log.known(tensor)) is not None and known.leaf is leaf:
            log.forget(tensor)
        log.names.pop(leaf.number, None)
        session.paths.pop(leaf.number, None)
    del log.leaves[before:], log.trace.sources[before:]


# -- a graph without lines ------------------------------------------------------------------------


def _draw(log: Log, targets: Sequence[Any]) -> list[Any]:
    """Write down the graph behind some tensors, an event for each node; return the nodes."""
    nodes = in_order(nodes_behind(targets))
    results: dict[int, dict[int, int]] = {id(node): {} for node in nodes}
    for node in nodes:
        for child, nr in node.next_functions:
            if child is not None and id(child) in results:
                results[id(child)].setdefault(nr, 0)
    for target in targets:
        if target.grad_fn is not None:
            results[id(target.grad_fn)].setdefault(target.output_nr, 0)
    for node in nodes:
        made = results[id(node)]
        variable = getattr(node, "variable", None)
        if variable is not None:
            made[0] = log.number(variable)
            continue
        made.update((nr, log.new()) for nr in made)
        taken = [
            (index, results[id(child)][nr])
            for index, (child, nr) in enumerate(node.next_functions)
            if child is not None and id(child) in results
        ]
        node.metadata[log] = (
            len(log.trace.events),
            {index: position for position, (index, _) in enumerate(taken)},
            made,
        )
        inputs = tuple(number for _, number in taken)
        op = op_of_node(node.name())
        flows = (True,) * len(inputs)
        place = log.lines.at(NOWHERE)
        log.trace.events.append(Event(op, inputs, tuple(made.values()), flows, place))
    for target in targets:
        if target.grad_fn is not None:
            log.keep(target, results[id(target.grad_fn)][target.output_nr])
    return nodes
