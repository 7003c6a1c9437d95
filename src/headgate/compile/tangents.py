"""The gradient of a loop, if it is to be differentiated again: a loop that goes forward.

The gradient G(z, g) of a loop, where z is all that it was given and g the cotangent of what it
returned, is linear in g if the gradients of its steps are (`headgate.core.again`). Then
<v, G(z, g)> = <g, J(z) v> for all v, and J(z) v is the tangent of what the loop returned: it is
computed by one loop that carries the tangent of each soft array beside it. By g, that expression's
derivative is J(z) v itself; by z it is the gradient, with the cotangent g, of the loop that carries
tangents. So each order has one loop forward and one back. (Where loops back are differentiated, the
second order has four loops, the third eight, and each of those that compute again what went into a
step has others in it.)

So G is recorded as one node (`recorded`), with what it was computed from as its parents. To which
of them each gradient leads, the gradient of one step tells (`_Ways`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import optree

from headgate.compile.construct import inner, pulled, record
from headgate.compile.loop import Carried, Loop
from headgate.core.again import Moment, Probes, boundary, input_node
from headgate.core.lift import as_tensor
from headgate.core.namespace import TENSORS, Array
from headgate.core.pull import pull
from headgate.core.tensor import Tensor, constant, tensor_of
from headgate.record.cuts import bits, sequence
from headgate.record.graph import Node, state, unrecorded

Forward = Callable[[Callable[[Any, Any], Any], Any, Any], tuple[Any, Any]]
"""From a body, what it carries first and what it takes in steps to what a loop of it returns."""


class _Ways:
    """What each gradient of a loop depends on: `met` has a mask for each, of numbers of origins.

    Origins are the cotangents, then all soft arrays that the loop is given, then `captured` nodes.
    """

    def __init__(self, loop: Loop) -> None:
        self.captured: list[Node] = []
        self.met: list[int] = []
        ports = [*loop.carried, *loop.xs]
        cotangents = loop.cotangent_forms
        self.soft = [k for k, each in enumerate(ports) if each.live]

        def trace(inputs: list[Array], cotangents: list[Array]) -> tuple[list[Any], list[Any]]:
            start, active = sequence(), ~state.recording.paused
            count, states = len(loop.carried), len(loop.written)
            nodes = [input_node(each.live & active, each.cuts) for each in ports]
            nodes[count:count] = [None] * states
            tensors = list(map(tensor_of, inputs, nodes))
            probes = Probes(cotangents)
            found = loop.pull(tensors[: count + states], tensors[count + states :], probes.tensors)
            del nodes[count : count + states]
            given = [*probes.leaves, *(nodes[k] for k in self.soft)]
            self._learn(loop, [g.node for g in found], start, given)
            probes.close()
            return [g.value for g in found], []

        forms = [*loop.forms, *(each.form for each in loop.xs)]
        loop.executor.equations(trace, forms, cotangents)
        self._close(loop)

    def _learn(
        self, loop: Loop, found: list[Node | None], start: int, given: list[Node | None]
    ) -> None:
        active = ~state.recording.paused
        numbers = {node.seq: number for number, node in enumerate(given) if node is not None}
        found = [node if node is not None and node.live & active else None for node in found]
        nodes, met = boundary(found, start, numbers)
        for node in (*nodes, *loop.captured):
            if node.seq not in numbers:
                numbers[node.seq] = len(given) + len(self.captured)
                self.captured.append(node)
        masks = [1 << numbers[node.seq] for node in nodes]
        self.met = [sum(masks[k] for k in bits(mask)) for mask in met]
        # What is carried may be what the loop was given, or have come from it and from captured.
        first = len(loop.cotangent_forms)
        own = [first + k for k in range(len(self.soft))]
        own += [numbers[node.seq] for node in loop.captured]
        self.ports = [0] * first
        for number, k in enumerate(self.soft):
            mask = loop.met[k] if k < len(loop.carried) else 0
            self.ports.append(1 << first + number | sum(1 << own[n] for n in bits(mask)))

    def _close(self, loop: Loop) -> None:
        """Let each gradient depend on what it did a step later, and on what that step was given."""
        soft = len(loop.soft)
        for k in range(soft):
            self.met[k] |= 1 << k  # there may be no step
        before: list[int] = []
        while before != self.met:
            before = list(self.met)
            for k, mask in enumerate(before):
                for number in bits(mask):
                    if number < soft:
                        self.met[k] |= before[number]
                    elif number < len(self.ports):
                        self.met[k] |= self.ports[number]


def recorded(
    loop: Loop,
    values: Sequence[Array],
    cotangents: list[Tensor],
    forward: Forward,
    back: Callable[[], list[Tensor]],
) -> list[Any]:
    """Return tensors for the numbered gradients of a loop, which can be differentiated again.

    `values` are those gradients, computed with these cotangents of its soft results. `forward` runs
    a loop like it, for as many steps as it had. `back` computes the gradients by loops of tensors.
    """
    ways, executor = _Ways(loop), loop.executor
    recording = state.recording
    ports: list[Carried] = [*loop.carried, *loop.xs]
    origins = [g.node for g in cotangents] + [ports[k].node for k in ways.soft] + ways.captured
    admitted = [(0, 0) if node is None else recording.admit(node) for node in origins]
    masks = []
    for met in ways.met:
        live = cuts = 0
        for number in bits(met):
            live, cuts = live | admitted[number][0], cuts | admitted[number][1]
        masks.append((live, cuts))
    moment = Moment()
    forms = list(map(executor.form_of, values))
    stepwise = len(ways.soft)

    def rule(given: dict[int, Tensor], again: bool) -> list[Any]:
        """Return the gradients by each origin, given cotangents of the gradients."""
        if again and state.recording is not recording:
            with inner(executor, loop.held).entered():
                return _pulled_apart(moment, back, given, origins)
        with inner(executor, loop.held).entered(), nullcontext() if again else unrecorded():
            with moment.again(and_now=True):
                fresh = list(map(_fresh, (each.given(executor, True) for each in ports)))
                directions: list[Any] = [
                    _fresh(given[k]) if k in given else None for k in range(len(values))
                ]
                for k in range(stepwise):
                    if directions[k] is None:
                        directions[k] = constant(executor.zeros(forms[k]))
                body = _with_tangents(loop, directions[stepwise:])
                count, soft = len(loop.carried), len(loop.soft)
                first = fresh[:count], directions[:soft]
                xs = fresh[count:], directions[soft:stepwise]
                (_, last), ys = forward(body, first, xs)
                tangents = [*last, *ys]
            seeds = [
                (t.node, t.value, g if again else g.value)
                for t, g in zip(tangents, cotangents, strict=True)
                if t.node is not None and t.node.live
            ]
            nodes = [fresh[k].node for k in ways.soft] + ways.captured
            stops = [each.node for each in directions if each is not None]
            found = pull(seeds, [*nodes, *stops], lifted=again, beyond=False)
        return [*tangents, *found[: len(nodes)]]

    return record(loop.name, values, masks, origins, rule, ways.met, True)


def _pulled_apart(
    moment: Moment,
    back: Callable[[], list[Tensor]],
    given: dict[int, Tensor],
    origins: Sequence[Node | None],
) -> list[Any]:
    """Return the gradients by each origin, recorded where none of these is known.

    Tapes that began when those of the loop had ended see the cotangents alone, and those alone
    would. So no loop can carry both: the gradients are computed by loops of tensors, and pulled.
    """
    with moment.again():
        gradients = back()
    seeds = [
        (t.node, t.value, given[k])
        for k, t in enumerate(gradients)
        if k in given and t.node is not None and t.node.live
    ]
    known: set[int] = set()
    own: list[Node | None] = []
    for node in origins:  # one that is there twice gets the sum once
        own.append(None if node is None or node.seq in known else node)
        known.update(() if node is None else (node.seq,))
    return pull(seeds, own, lifted=True, beyond=False)


def _fresh(tensor: Tensor) -> Tensor:
    """Return a tensor with a node of its own, at which a walk can be told to stop."""
    node = tensor.node
    if node is None:
        return tensor
    return tensor_of(tensor.value, input_node(*state.recording.admit(node), node))


def _with_tangents(loop: Loop, shared: Sequence[Any]) -> Callable[[Any, Any], Any]:
    """Return the body of a loop, which carries and takes tangents beside what is soft.

    `shared` are those of captured nodes, the same in each step, or None.
    """
    executor, ports = loop.executor, (*loop.carried, *loop.xs)

    def body(carry: Any, x: Any) -> Any:
        (full, tangents), (x, x_tangents) = carry, x
        with loop.moment.again():
            tensors = [
                tensor_of(t.value, input_node(each.live, each.cuts, t.node))
                for t, each in zip([*full, *x], ports)
            ]
            count = len(full)
            (following, _), outcome = loop.run(tensors[:count], tensors[count:])
        assert outcome is not None
        forms = loop.cotangent_forms
        probes = Probes(list(map(executor.zeros, forms)))
        origins: list[Any] = [t.node for t, each in zip(tensors, ports) if each.live]
        origins += loop.captured
        gradients = pulled(outcome, loop.placed(probes.tensors), origins, True)
        found = probes.tangents(gradients, [*tangents, *x_tangents, *shared])
        found = [
            constant(executor.zeros(form)) if t is None else as_tensor(t)
            for t, form in zip(found, forms)
        ]
        following = [
            TENSORS.astype(as_tensor(leaf), each.form.dtype)
            for leaf, each in zip(optree.tree_leaves(following), loop.carried)
        ]
        soft = len(loop.soft)
        return (following, found[:soft]), found[soft:]

    return body
