"""The backward walk: from the cotangents of targets to the gradients of sources.

Nodes are taken from a heap, the youngest first. Since parents are always older than their children,
a node has its whole cotangent when its turn comes, and no recursion is needed however long the
chain. For each argument that a wanted source reaches, the node's rule gives a cotangent, which is
summed over broadcast axes, cast, and added to what the parent has already. The walk ends below the
oldest wanted source.

If nobody records, rules run on raw arrays. If somebody does (higher order), the same rules run on
tensors, with what they saved put back on its node, and so are recorded themselves.

Complex numbers: what the walk carries and what users see are conjugates of each other. Users see
gradients G that point uphill, as TensorFlow's do: a loss changes by `Re sum(conj(G) dx)`. In the
walk it changes by `Re sum(g dx)`, which is JAX's convention, so that the rule of a holomorphic f is
`g * f'(x)` without a conjugate. They are turned where they cross the border: cotangents that users
give and gradients that they get (`GradientTape`), and the same for rules that users write
(`custom_gradient`). What only hands on what a walk carries (compiled functions, branches and loops,
`recompute_grad`, JAX's functions and ours under JAX) turns nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from headgate.core.cotangent import GATHERED, Waiting, added, finished, fit
from headgate.core.namespace import TENSORS
from headgate.core.op import pick_node
from headgate.core.row import Op
from headgate.core.tensor import tensor_of
from headgate.record.errors import refusal
from headgate.record.graph import Node
from headgate.record.onlooker import Onlooker
from headgate.record.site import where

USED = (
    "A non-persistent GradientTape can only be used to compute one set of gradients (or "
    "jacobians); "
    "make it with GradientTape(persistent=True) to ask it more than once"
)


def walk(
    seeds: Sequence[tuple[Node, Any]],
    origins: set[int],
    wanted: int,
    kept: int,
    lifted: bool,
    free: bool,
    onlooker: Onlooker | None = None,
    beyond: bool = True,
) -> dict[int, Any]:
    """Carry cotangents from the seeds down to the origins; return them by the origin's number.

    `lifted` says that cotangents are tensors and the rules are to be recorded. `free` drops the
    edges of each node passed, unless another tape needs them: one that owns a bit of `kept`. An
    onlooker is told of each node's cotangent and of what each of its arguments gets. `beyond` says
    whether an origin that was computed hands its cotangent on to other origins.
    """
    lowest = min(origins)
    found: dict[int, Any] = {}
    pending: dict[int, Waiting] = {}
    heap: list[int] = []
    push, pop = heapq.heappush, heapq.heappop
    for node, g in seeds:
        if node.seq in pending:
            pending[node.seq] = added(pending[node.seq], g)
        else:
            pending[node.seq] = node, g, False
            push(heap, -node.seq)
    while heap:
        number = -pop(heap)
        node, g, _ = pending.pop(number)
        if type(g) in GATHERED:
            g = g.value()
        if number in origins:
            found[number] = g
            if not beyond:
                continue
        if onlooker is not None:
            onlooker.passed(node, finished(g))
        edges = node.edges
        if not edges:
            if edges is None:
                raise refusal(RuntimeError, USED)
            continue
        if number <= lowest:
            continue
        for position, edge in enumerate(edges):
            if edge is None:
                continue
            parent, rule, args, shape, dtype = edge
            seq = parent.seq
            if seq < lowest or not parent.live & wanted:
                continue
            if lifted:
                c = rule(g, *_on_tensors(node, position, args))
            else:
                c = rule(g, *args)
            if c is None:
                continue
            if shape is not None and (c.shape != shape or c.dtype is not dtype):
                c = fit(c, shape, dtype, lifted)
            if onlooker is not None:
                opened = partial(_opened, node, position, g)
                onlooker.gave(node, position, finished(g), finished(c), opened)
            if seq in pending:
                pending[seq] = added(pending[seq], c)
            else:
                pending[seq] = parent, c, False
                push(heap, -seq)
        if free and not node.live & kept and type(node) is Node:
            node.edges = None
    return found


def _opened(node: Node, position: int, g: Any) -> Any:
    """Return what a node's rule gives for a cotangent of ones."""
    assert node.edges is not None
    _, rule, args, _, _ = node.edges[position]
    g = np.asarray(finished(g))
    return finished(rule(np.ones(g.shape, g.dtype), *args))


def _on_tensors(node: Node, position: int, args: tuple[Any, ...]) -> list[Any]:
    """Put what a rule saved back on its nodes, so that what the rule does is recorded."""
    op: Op = node.op
    plan = op.plans[position if position < len(op.plans) else 0]
    edges = node.edges
    assert edges is not None
    wrapped = []
    for what, value in zip(plan, args, strict=True):
        if value is None or what == "":
            wrapped.append(value)
        elif what == "xp":
            wrapped.append(TENSORS)
        elif what == "ans":
            if op.outputs:
                site = where()
                picks = [pick_node(node, k, node.live, node.cuts, site) for k in range(len(value))]
                wrapped.append(tuple(map(tensor_of, value, picks)))
            else:
                wrapped.append(tensor_of(value, node))
        elif type(what) is int:
            edge = edges[what]
            if hasattr(value, "dtype"):
                value = tensor_of(value, edge and edge[0])
            wrapped.append(value)
        else:  # the list of arrays of an op on lists
            wrapped.append(
                [
                    tensor_of(v, edge and edge[0]) if hasattr(v, "dtype") else v
                    for v, edge in zip(value, edges, strict=True)
                ]
            )
    return wrapped
