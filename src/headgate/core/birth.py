"""Births: where a gradient that is NaN or infinite has it from.

A `Meter` looks on during a backward walk, as `Magnitudes` do. Where a finite cotangent came in and
one that is not finite went out, there is the birth, or behind it: either the op's slope is infinite
at values that are finite (a root at zero), or a value was not finite before (a logarithm of zero,
an overflow), and that one is looked for in the graph, which still holds all that lies before. There
is nothing to look for while all cotangents are finite, and nothing is kept of them.

The graph has no values but those that rules save: arguments, results as `ans`, and settings. What
follows from these is computed again; of the rest it is assumed that nothing is born there. A birth
is where finite values go in and others come out, or where infinities go in and NaN comes out,
unless an op overflowed before: so a mask of `-inf` is nobody's mistake. What is NaN when it comes
in (data, a variable) is called so, at the line where it does.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from headgate.core.namespace import TENSORS, Array, common, owner
from headgate.core.row import PASS, PICK, names_of
from headgate.record.graph import Leaf, Node
from headgate.record.magnitude import Birth, Magnitudes
from headgate.record.site import Site

FINITE, INFINITE, NAN = range(3)

_LOOKED_FOR = 16
"""So many births of one walk are followed into the graph; others are where they show."""

_LINEAR = {"add", "subtract", "multiply", "matmul", "sum", "mean", "tensordot", "convolution"}


def state_of(value: Any) -> int:
    """Return whether all elements are finite, or some infinite, or some NaN.

    What has no elements to look at counts as finite: integers, and values that are traced.
    """
    if isinstance(value, tuple | list):
        return max(map(state_of, value), default=FINITE)
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "fcV" or np.isfinite(array).all():
            return FINITE
        return NAN if np.isnan(array).any() else INFINITE
    except Exception:  # a stand-in of a trace
        return FINITE


class Meter(Magnitudes):
    """The norms of one backward walk, and where what is not finite in them was born.

    Args:
        targets: nodes and values of what is differentiated.
        known: returns what is known of leaves, by number.
    """

    def __init__(
        self, targets: Sequence[tuple[Node, Array]], known: Callable[[], dict[int, Array]]
    ) -> None:
        super().__init__()
        self._known = known
        self._followed = 0
        spoilt = [(node, value) for node, value in targets if state_of(value)]
        if spoilt:
            values = _Values([node for node, _ in spoilt], known())
            values.found.update((node.seq, value) for node, value in spoilt)
            births = [values.births().get(node.seq) for node, _ in spoilt]
            self.of_target = min(filter(None, births), key=lambda birth: birth.seq, default=None)

    def gave(self, node: Node, position: int, g: Any, c: Any, opened: Callable[[], Any]) -> None:
        """Note what a node gave to one of its arguments."""
        super().gave(node, position, g, c, opened)
        if state_of(c):
            self._note(node, position, g, c)

    def _note(self, node: Node, position: int, g: Any, c: Any) -> None:
        """Note that what a node gave is not finite, and where that was born if it was here."""
        self.spoilt.add((node.seq, position))
        if not state_of(g):
            self.born[node.seq, position] = self._born(node, position, c)

    def _born(self, node: Node, position: int, c: Any) -> Birth:
        """Return where what an op gives to an argument became what it is."""
        self._followed += 1
        deep = self._followed <= _LOOKED_FOR
        values = _Values([node], self._known() if deep else {}, deep)
        birth = values.births().get(node.seq) or values.of_arguments(node)
        if birth is not None and birth.certain:
            return birth
        return _slope(node, position, c, values)


class Lookout(Meter):
    """The same without norms, for the many steps at which nothing is missing: only what is spoilt
    is noted, and the sources that were reached."""

    def passed(self, node: Node, g: Any) -> None:
        """Note the cotangent of a source."""
        if type(node) is Leaf:
            super().passed(node, g)

    def gave(self, node: Node, position: int, g: Any, c: Any, opened: Callable[[], Any]) -> None:
        """Note what a node gave to one of its arguments, if that is not finite."""
        if state_of(c):
            assert node.edges is not None
            self.below.setdefault(node.edges[position][0].seq, []).append((node.seq, position))
            self._note(node, position, g, c)


class _Values:
    """The values that a graph still has, from some nodes back to the sources."""

    def __init__(self, nodes: Sequence[Node], known: dict[int, Array], deep: bool = True) -> None:
        self.nodes: dict[int, Node] = {}
        self.found: dict[int, Any] = {}
        self.constants: dict[tuple[int, int], Any] = {}
        self.settings: dict[int, dict[str, Any]] = {}
        self.forms: dict[int, tuple[Any, Any]] = {}  # shapes and dtypes
        todo = list(nodes)
        while todo:
            node = todo.pop()
            if node.seq in self.nodes:
                continue
            self.nodes[node.seq] = node
            if node.seq in known:
                self.found[node.seq] = known[node.seq]
            self._harvest(node)
            if deep:
                todo += [edge[0] for edge in node.edges or () if edge is not None]

    def _harvest(self, node: Node) -> None:
        """Take from a node what its rules saved."""
        edges = node.edges or ()
        for position, edge in enumerate(edges):
            if edge is None or node.op in (PASS, PICK):
                continue
            if edge[3] is not None:
                self.forms[edge[0].seq] = edge[3:]
            plans, rules = node.op.plans, node.op.rules
            which = position if position < len(plans) else 0
            if which < len(rules) and rules[which] is not None:
                named = zip(names_of(rules[which])[1:], edge[2])
                self.settings.setdefault(node.seq, {}).update(named)
            for what, value in zip(plans[which], edge[2]):
                if value is None or what in ("", "xp"):
                    continue
                if what == "ans":
                    self.found[node.seq] = value
                elif type(what) is int:
                    self._argument(node, what, value)
                elif isinstance(value, list | tuple):  # the arrays of an op on a list
                    for number, item in enumerate(value):
                        self._argument(node, number, item)

    def _argument(self, node: Node, number: int, value: Any) -> None:
        assert node.edges is not None
        edge = node.edges[number] if number < len(node.edges) else None
        if edge is None:
            self.constants[node.seq, number] = value
        else:
            self.found[edge[0].seq] = value

    def value(self, node: Node) -> Any:
        """Return a node's value, computed again if need be; None if it is not to be had."""
        found = self.found.get(node.seq)
        if found is None and node.edges:
            found = self._computed(node)
            if found is not None:
                self.found[node.seq] = found
        return found

    def _computed(self, node: Node) -> Any:
        assert node.edges is not None
        if node.op is PASS or node.op is PICK:
            edge = node.edges[0]
            whole = None if edge is None else self.found.get(edge[0].seq)
            return whole[edge[2][0]] if node.op is PICK and whole is not None else whole
        settings = _settings(node.op)
        if settings is None:
            return None
        shape, dtype = self.forms.get(node.seq, (None, None))
        held = {"shape": shape, "dtype": dtype, **self.settings.get(node.seq, {})}
        if any(name not in held for name in settings):
            return None
        given = []
        for number, edge in enumerate(node.edges):
            value = self.found.get(edge[0].seq) if edge else self.constants.get((node.seq, number))
            if value is None:
                return None
            given.append(value)
        try:
            with np.errstate(all="ignore"):
                function = getattr(owner[common(*map(type, given))], node.op.name)
                return function(*given, **{name: held[name] for name in settings})
        except Exception:  # what was saved is not all that it takes
            return None

    def arguments(self, node: Node) -> Iterator[tuple[Node | None, Any]]:
        """Yield an op's arguments: the node, None for a constant, and the value if it is known."""
        for number, edge in enumerate(node.edges or ()):
            if edge is None:
                yield None, self.constants.get((node.seq, number))
            else:
                yield edge[0], self.found.get(edge[0].seq)

    def births(self) -> dict[int, Birth]:
        """Return, for each node whose value is not finite, where the first such value was born."""
        states: dict[int, int] = {}
        births: dict[int, Birth] = {}
        for number in sorted(self.nodes):  # parents come first
            node = self.nodes[number]
            value = self.value(node)
            inputs = [
                (FINITE if held is None else state_of(held))
                if parent is None
                # A parent that was not followed is known by its value alone.
                else states.get(parent.seq, FINITE if held is None else state_of(held))
                for parent, held in self.arguments(node)
            ]
            worst = max(inputs, default=FINITE)
            states[number] = state = worst if value is None else state_of(value)
            if not state:
                continue
            came = self._came(node, inputs, births)
            if value is not None and state == NAN and worst != NAN:  # infinities made it, at most
                came = [birth for birth in came if birth.certain]
            if came:
                births[number] = min(came, key=lambda birth: birth.seq)
            elif node.op is not None and type(node) is not Leaf:  # nothing is known of a ghost
                births[number] = _value(node, value, self)
        return births

    def of_arguments(self, node: Node) -> Birth | None:
        """Return where what an op was given was born, of what is not finite in it."""
        inputs = [FINITE if held is None else state_of(held) for _, held in self.arguments(node)]
        births = self.births()
        return min(self._came(node, inputs, births), key=lambda birth: birth.seq, default=None)

    def _came(self, node: Node, inputs: list[int], births: dict[int, Birth]) -> list[Birth]:
        """Return where the worst of an op's arguments were born, or that they came in here."""
        worst = max(inputs, default=FINITE)
        if not worst:
            return []
        found = []
        for (parent, held), state in zip(self.arguments(node), inputs):
            if state == worst:
                birth = None if parent is None else births.get(parent.seq)
                found.append(birth or _data(node, parent, held, state))
        return found


@functools.cache
def _settings(op: Any) -> tuple[str, ...] | None:
    """Return the names of what an op of the table takes beside its arrays; None for others."""
    function: Any = getattr(TENSORS, op.name, None)
    table = op.rules and not op.outputs and getattr(function, "op", None) is op
    if not table:
        return None
    names = tuple(inspect.signature(function).parameters)
    return names[len(op.rules) :]


def _site(node: Node) -> Site | None:
    return None if node.site is None else Site(*node.site)


def _value(node: Node, value: Any, values: _Values) -> Birth:
    """Return the birth of a value in an op that was given finite ones, or only infinities."""
    array = np.asarray(value[0] if isinstance(value, tuple | list) else value)
    bad = ~np.isfinite(array)
    first = array[bad].flat[0] if bad.any() else array.flat[0]
    of = _at(bad, [held for _, held in values.arguments(node)])
    text = f"{node.op.name}{of} gives {_number(first)}{_share(bad)}"
    return Birth(node.op.name, _site(node), "nonfinite_value", True, text, node.seq)


def _data(node: Node, parent: Node | None, held: Any, state: int) -> Birth:
    """Return the birth of what was not finite when an op was given it."""
    what = parent.source.name if type(parent) is Leaf else "a constant"
    how = "nan" if state == NAN else "infinite"
    text = f"{what} is {how} already where {node.op.name} is given it"
    if held is not None and not isinstance(held, list | tuple):
        text += _share(~np.isfinite(np.asarray(held)))
    certain = state == NAN or type(parent) is Leaf
    return Birth(node.op.name, _site(node), "nonfinite_data", certain, text, node.seq)


def _slope(node: Node, position: int, c: Any, values: _Values) -> Birth:
    """Return the birth of a gradient in an op whose values are all finite."""
    assert node.edges is not None
    name = node.op.name
    if isinstance(c, tuple):
        text = f"{name} gives a gradient that is not finite for one that is"
        return Birth(name, _site(node), "nonfinite_slope", True, text, node.seq)
    bad = ~np.isfinite(np.asarray(c))
    of = _at(bad, [held for _, held in values.arguments(node)])
    if name in _LINEAR:
        text = f"the gradient leaves the range of {np.asarray(c).dtype} in {name}{_share(bad)}"
    elif node.op.cut_kind == "custom_gradient":
        text = f"the rule of {name} gives {_number(np.asarray(c)[bad].flat[0])} for a finite one"
    else:
        text = f"{name}{of} has no finite slope{_share(bad)}"
    return Birth(name, _site(node), "nonfinite_slope", True, text, node.seq)


def _at(bad: Any, arguments: Sequence[Any]) -> str:
    """Return the arguments at the first bad element in words, as far as they are known."""
    shown = []
    for held in arguments:
        array = None if held is None or isinstance(held, list | tuple) else np.asarray(held)
        if array is None or (array.shape and array.shape != bad.shape) or not bad.any():
            return ""
        shown.append(_number(array[bad].flat[0] if array.shape else array[()]))
    return f" of {' and '.join(shown)}" if shown else ""


def _number(value: Any) -> str:
    value = np.asarray(value)[()]
    return f"{complex(value):.4g}" if value.dtype.kind == "c" else f"{float(value):.4g}"


def _share(bad: Any) -> str:
    return f" at {np.count_nonzero(bad)} of {bad.size} elements" if bad.size > 1 else ""
