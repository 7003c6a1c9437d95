"""Magnitudes: how large the gradient is along its path, and where it becomes exactly zero.

A `Magnitudes` looks on during a backward walk. It keeps the norm of the cotangent of each node, and
each edge over which something came in that was not zero and only zeros went out. For a source whose
gradient is zero, the edges of that sort above it are where the gradient died: a relu of which no
element is positive, a clip out of range, a product with a mask of zeros. How many elements an op
lets through is found by its own rule, from a cotangent of ones.

Cotangents come here finished, as arrays; those of an op with several outputs as a tuple of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from headgate.record.asked import Asked
from headgate.record.graph import Leaf, Node, Source
from headgate.record.onlooker import Onlooker
from headgate.record.site import Site

_SELECTIONS = {"where", "index", "take", "take_along_axis", "route"}
"""Ops that let gradient through for some elements only, chosen by an argument or an index."""

_LINEAR = {"multiply", "matmul", "vecdot", "tensordot", "outer", "convolution"}
"""Ops whose gradient by one argument is a product with another one."""


class Step(NamedTuple):
    """One op on the way of a gradient, from the target back to the source."""

    op: str
    site: Site | None
    norm: float


class Zero(NamedTuple):
    """An op at which a gradient becomes exactly zero: `alive` elements of `size` let it through.

    `kind` is "zero_derivative", "mask" or "custom_gradient". `factor` is, for a product, the node
    of the zeros that the gradient was multiplied with, if a tape follows them. `number` says
    whether it was a single number that no tape follows.
    """

    op: str
    site: Site | None
    kind: str
    alive: int
    size: int
    factor: Node | None
    seq: int
    number: bool = False

    @property
    def label(self) -> str:
        """What the place is called."""
        return FACTOR if self.number else self.op


FACTOR = "a factor of 0"
"""Label of a place where a gradient is multiplied with a number that is exactly 0."""


class Birth(NamedTuple):
    """An op at which the first value that is not finite was born, and how (`headgate.core.birth`).

    `kind` is "nonfinite_value", "nonfinite_slope" (the value was finite and the gradient not) or
    "nonfinite_data" (what the op was given was so already). It is not `certain` that a constant
    infinity is a mistake: masks have them.
    """

    op: str
    site: Site | None
    kind: str
    certain: bool
    text: str
    seq: int


class Magnitudes(Onlooker):
    """The norms of one backward walk; made by the walk, asked by reports.

    Only the `Meter` of `headgate.core.birth` knows births: `born` by edge, of all edges over which
    something `spoilt` went, and that of the value of the target.
    """

    of_target: Birth | None = None

    def __init__(self) -> None:
        self.born: dict[tuple[int, int], Birth] = {}
        self.spoilt: set[tuple[int, int]] = set()
        self.nodes: dict[int, tuple[Node, float]] = {}
        self.leaves: dict[Source, int] = {}  # the numbers of the sources' nodes
        self.below: dict[int, list[tuple[int, int]]] = {}  # parent -> (node, position) that gave
        self.died: dict[tuple[int, int], Zero] = {}
        self._zeros: dict[int, frozenset[tuple[int, int]]] = {}  # found, by node

    def passed(self, node: Node, g: Any) -> None:
        """Note the whole cotangent of a node."""
        self.nodes[node.seq] = node, norm(g)
        if type(node) is Leaf:
            self.leaves[node.source] = node.seq

    def gave(self, node: Node, position: int, g: Any, c: Any, opened: Callable[[], Any]) -> None:
        """Note what a node gave to one of its arguments; `opened` says what for ones."""
        assert node.edges is not None
        parent = node.edges[position][0]
        if parent.seq in self.below:
            self.below[parent.seq].append((node.seq, position))
        else:
            self.below[parent.seq] = [(node.seq, position)]
        if is_zero(c) and not is_zero(g):
            self.died[node.seq, position] = _autopsy(node, position, g, c, opened)

    def number(self, source: Asked) -> int | None:
        """Return the number of the node of a source, if the walk came to it."""
        if source.variable:
            return None if source.identity is None else self.leaves.get(source.identity)
        node = source.node
        return None if node is None or node.seq not in self.nodes else node.seq

    def zeros(self, origin: int) -> list[Zero]:
        """Return the ops at which the gradient on its way to a node became zero, oldest first."""
        known = self._zeros
        todo = [origin]
        while todo:
            number = todo[-1]
            if number in known:
                todo.pop()
                continue
            edges = self.below.get(number, ())
            waiting = [e[0] for e in edges if e not in self.died and e[0] not in known]
            if waiting:
                todo += waiting
                continue
            todo.pop()
            died = frozenset(edge for edge in edges if edge in self.died)
            above = {known[edge[0]] for edge in edges if edge not in self.died}
            # Along a chain all share one set, or this would cost a copy per op.
            known[number] = above.pop() if len(above) == 1 and not died else died.union(*above)
        return [self.died[edge] for edge in sorted(known[origin])]

    def births(self, origin: int) -> list[Birth]:
        """Return where what is not finite in the gradient of a node was born, values first."""
        found: dict[int, Birth] = {}
        todo, seen = [origin], {origin}
        while todo:
            for edge in self.below.get(todo.pop(), ()):
                if edge in self.born:
                    birth = self.born[edge]
                    found.setdefault(birth.seq, birth)
                elif edge in self.spoilt and edge[0] not in seen:
                    seen.add(edge[0])
                    todo.append(edge[0])
        births = sorted(found.values(), key=lambda birth: birth.seq)
        values = [birth for birth in births if birth.kind != "nonfinite_slope"]
        if not births and self.of_target is not None:
            return [self.of_target]
        return values + [birth for birth in reversed(births) if birth.kind == "nonfinite_slope"]

    @property
    def reaches_a_source(self) -> bool:
        """Whether a source has a gradient that is not finite."""
        return any(not math.isfinite(self.nodes[seq][1]) for seq in self.leaves.values())

    def path(self, origin: int) -> list[Step]:
        """Return the ops over which a gradient came to a node, the target's first."""
        todo, seen = [origin], {origin}
        while todo:
            for number, _ in self.below.get(todo.pop(), ()):
                if number not in seen:
                    seen.add(number)
                    todo.append(number)
        steps = []
        for number in sorted(seen - {origin}, reverse=True):
            node, size = self.nodes[number]
            if node.op is not None and node.site is not None:
                steps.append(Step(node.op.name, Site(*node.site), size))
        return steps


def norm(g: Any) -> float:
    """Return the Euclidean norm of a cotangent."""
    if type(g) is tuple:
        return math.hypot(*map(norm, g))
    array = np.asarray(g)
    if array.ndim == 0:
        return abs(array.item())  # type: ignore[no-any-return]
    flat = array.reshape(-1)
    if flat.dtype.kind not in "fc" or flat.dtype.itemsize < 4:
        flat = flat.astype(np.float64)
    found = math.sqrt(np.vdot(flat, flat).real)
    if 1e-18 < found < 1e18:  # else the squares may have left the range of the dtype
        return found
    largest = float(np.max(np.abs(flat), initial=0.0))
    if not 0 < largest < math.inf:
        return largest
    flat = flat / largest
    return largest * math.sqrt(np.vdot(flat, flat).real)


def is_zero(g: Any) -> bool:
    """Tell whether a cotangent has elements, and all of them are exactly zero."""
    if type(g) is tuple:
        return all(map(is_zero, g))
    array = np.asarray(g)
    if array.ndim == 0:
        return not array
    return array.size > 0 and not array.item(0) and not array.any()


def _autopsy(node: Node, position: int, g: Any, c: Any, opened: Callable[[], Any]) -> Zero:
    """Find out how an op turned a gradient into zeros."""
    op = node.op
    kind, factor = "zero_derivative", None
    alive = 0
    if op.cut_kind == "custom_gradient":
        kind = "custom_gradient"
    elif type(g) is not tuple:
        try:
            alive = int(np.count_nonzero(opened()))
        except Exception:  # a rule that needs the cotangent it was made for
            alive = 0
        if op.name in _SELECTIONS or np.size(g) == 0:
            kind = "mask"
        elif op.name in _LINEAR:
            assert node.edges is not None
            kind, factor = _zero_factor(node, op.plans[position], node.edges[position][2])
    site = None if node.site is None else Site(*node.site)
    number = kind == "number"
    kind = "zero_derivative" if number else kind
    return Zero(op.name, site, kind, alive, int(np.size(c)), factor, node.seq, number)


def _zero_factor(node: Node, plan: Any, args: tuple[Any, ...]) -> tuple[str, Node | None]:
    """Return what it means that a factor of a product is all zeros, and the node it came from."""
    assert node.edges is not None
    for what, value in zip(plan, args):
        if type(what) is int and np.size(value) and not np.any(np.asarray(value)):
            edge = node.edges[what]
            if edge is None:
                return ("number" if np.size(value) == 1 else "mask"), None
            return "zero_derivative", edge[0]
    return "zero_derivative", None


def leaf_of(node: Node | None) -> Leaf | None:
    """Return the source that a value simply is (a variable as it was read), if it is one."""
    while node is not None and type(node) is not Leaf:
        edges = node.edges or ()
        if node.op is None or node.op.name not in _VIEWS or len(edges) != 1 or edges[0] is None:
            return None
        node = edges[0][0]
    return node


_VIEWS = {
    *("identity", "reshape", "permute_dims", "matrix_transpose", "astype_inexact", "broadcast_to"),
}
