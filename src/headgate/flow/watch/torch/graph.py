"""Gradients as they come: what one backward walk of PyTorch brings to each line.

PyTorch's graph is public: its nodes can be walked, and each takes a hook that sees what came in and
what goes on. So while a walk is looked at, the norm of each cotangent is measured, at the value
that it belongs to; a node that is given something and gives exactly zeros is where a gradient died;
one that is given numbers and gives none is where a NaN was born. What no node is there for, what
was cut before the graph was built, is in the log.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch

from headgate.flow.kinds import FACTOR
from headgate.flow.trace import Death
from headgate.flow.watch.torch.log import Log
from headgate.flow.watch.torch.ops import FLAT, PRODUCTS, SELECTIONS
from headgate.flow.watch.torch.values import norm

MOST = 200_000
"""So many nodes are walked."""


class Walk:
    """One backward walk, from its targets on; a context manager.

    Attributes:
        leaves: the tensors that gradient reaches.
        arrived: id of a leaf -> norm of what came to it.
        cotangents: value -> norm of its cotangent.
        deaths: (event, input) -> how a gradient became zero there.
        births: events at which a gradient became NaN or infinite, the last op first.
    """

    def __init__(self, log: Log, targets: Iterable[Any]) -> None:
        self.log = log
        self.leaves: list[Any] = []
        self.arrived: dict[int, float] = {}
        self.cotangents: dict[int, float] = {}
        self.deaths: dict[tuple[int, int], Death] = {}
        self.births: list[int] = []
        self._delivered: set[tuple[int, int]] = set()
        self._handles: list[Any] = []
        self.nodes = nodes_behind(targets)

    def __enter__(self) -> Walk:
        for node in self.nodes:
            leaf = getattr(node, "variable", None)
            if leaf is not None:
                self.leaves.append(leaf)
                self._handles.append(node.register_prehook(self._safe(self._at_leaf(leaf, node))))
            else:
                self._handles.append(node.register_hook(self._safe(self._at_node(node))))
        return self

    def __exit__(self, *exception: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self.nodes.clear()

    def ends(self) -> list[Any]:
        """Return the tensors that gradient may reach."""
        return [node.variable for node in self.nodes if hasattr(node, "variable")]

    def _safe(self, hook: Callable[..., None]) -> Callable[..., None]:
        """Return a hook whose errors are the watcher's, and do not end the walk."""

        def instead(*given: Any) -> None:
            try:
                hook(*given)
            except Exception as error:
                self.log.fault(error)

        return instead

    def _at_leaf(self, leaf: Any, node: Any) -> Any:
        number = id(node)

        def come(cotangents: tuple[Any, ...]) -> None:
            g = cotangents[0]
            if g is None:
                return
            size = norm(g)
            known = self.log.known(leaf)
            self.arrived[id(leaf)] = size
            if known is not None and known.leaf is not None:
                self.cotangents[known.leaf.read] = size
                known.leaf.arrived = True
                if size == 0 and (number, 0) in self._delivered:
                    self._by_hook(known.leaf.read, g)

        return come

    def _at_node(self, node: Any) -> Any:
        mark = node.metadata.get(self.log)
        children = [(0 if c is None else id(c), nr) for c, nr in node.next_functions]
        number, name = id(node), node.name()

        def passed(given: tuple[Any, ...], came: tuple[Any, ...]) -> None:
            sizes = [None if g is None else norm(g) for g in came]
            gave = [None if g is None else norm(g) for g in given]
            for child, size in zip(children, gave):
                if size and child[0]:
                    self._delivered.add(child)
            if mark is None:
                return
            event, edges, results = mark
            for nr, value in results.items():
                if nr < len(sizes) and sizes[nr] is not None:
                    self.cotangents[value] = sizes[nr]
                    was = (number, nr) in self._delivered
                    if sizes[nr] == 0 and was:
                        self._by_hook(value, came[nr])
            lively = [size for size in sizes if size is not None]
            finite = all(map(math.isfinite, lively))
            if finite and any(size is not None and not math.isfinite(size) for size in gave):
                self.births.append(event)
            if not any(lively):
                return
            for index, (size, child) in enumerate(zip(gave, children)):
                if size == 0 and child[0]:
                    position = edges.get(index, 0)
                    known = self.deaths.get((event, position))
                    if known is None:
                        death = self._autopsy(node, name, event, position, given[index])
                        self.deaths[event, position] = death

        return passed

    def _by_hook(self, value: int, g: Any) -> None:
        """Note that a gradient died in a hook, if there is one on the value."""
        if value in self.log.hooks:
            self.deaths[self.log.hooks[value], 0] = Death(
                0, g.numel(), "custom_gradient", -1, "hook"
            )

    def _autopsy(self, node: Any, name: str, number: int, position: int, g: Any) -> Death:
        """Find out how a node turned a gradient into zeros."""
        if number >= len(self.log.trace.events):
            return Death(0, g.numel())
        event = self.log.trace.events[number]
        size = g.numel()
        if event.label == CUSTOM:
            return Death(0, size, "custom_gradient")
        if event.op in FLAT:
            return Death(0, size, "nondiff_op")
        nothing = not self.log.spoilt.isdisjoint(event.outputs)  # the mean of no elements is NaN
        if event.op in SELECTIONS or size == 0 or nothing:
            return Death(0, size, "mask")
        if event.op in PRODUCTS or name.startswith(("Mul", "Mm", "Bmm", "Addmm")):
            return _factor(node, event, position, size)
        return Death(0, size)


CUSTOM = "autograd.Function"
"""Label of events that are a function of the program's own."""


def _factor(node: Any, event: Any, position: int, size: int) -> Death:
    """Tell what it means that a product made zeros: one of its factors is all zeros."""
    zeros = [
        saved
        for name in dir(node)
        if name.startswith("_saved_")
        and isinstance(saved := _saved(node, name), torch.Tensor)
        and saved.numel()
        and not bool(saved.detach().any())
    ]
    if not zeros:
        return Death(0, size)
    others = [value for k, value in enumerate(event.inputs) if k != position]
    if len(others) == 1:
        return Death(0, size, factor=others[0])
    if zeros[0].numel() == 1:
        return Death(0, size, label=FACTOR)
    return Death(0, size, "mask" if event.op == "multiply" else "zero_derivative")


def _saved(node: Any, name: str) -> Any:
    try:
        return getattr(node, name)
    except RuntimeError:  # it is freed
        return None


def nodes_behind(targets: Iterable[Any]) -> list[Any]:
    """Return all nodes of the graph behind some tensors."""
    found = []
    todo = [target.grad_fn or edge_of(target) for target in targets if target.requires_grad]
    seen = {id(node) for node in todo}
    while todo:
        node = todo.pop()
        found.append(node)
        if len(found) > MOST:
            break
        for child, _ in node.next_functions:
            if child is not None and id(child) not in seen:
                seen.add(id(child))
                todo.append(child)
    return found


def edge_of(leaf: Any) -> Any:
    """Return the node at which the gradient of a leaf arrives."""
    return torch.autograd.graph.get_gradient_edge(leaf).node


def in_order(nodes: Iterable[Any]) -> list[Any]:
    """Return nodes so that each comes after all that it was computed from."""
    known = {id(node): node for node in nodes}
    ordered: dict[int, Any] = {}
    for root in known.values():
        todo = [(root, False)]
        while todo:
            node, done = todo.pop()
            if done:
                ordered[id(node)] = node
            elif id(node) not in ordered:
                todo.append((node, True))
                todo += [
                    (known[id(child)], False)
                    for child, _ in node.next_functions
                    if id(child) in known and id(child) not in ordered
                ]
    return list(ordered.values())
