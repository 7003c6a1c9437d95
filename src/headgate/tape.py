"""GradientTape: which sources are watched, and the walk that turns a record into gradients.

A tape owns bits of its recording, one for each source that it watches, and says by them what it
wants to know about. Entering it makes it the newest of the tapes that record in this thread; ops do
the rest (`headgate.op`).

The **walk** computes gradients. It starts with the cotangents of the targets and takes nodes from a
heap, the youngest first; since parents are always older than their children, a node has its whole
cotangent when its turn comes, and no recursion is needed however long the chain. For each argument
that a wanted source reaches, the node's rule gives a cotangent, which is summed over broadcast
axes, cast, and added to what the parent has already. The walk ends below the oldest wanted source.

If no other tape looks on, rules run on raw arrays. If one does (higher order), the same rules run
on tensors, with what they saved put back on its node, and so are recorded themselves. A tape that
is not persistent frees the nodes it has passed, unless another tape still needs them.

`why` answers from masks alone: see `headgate.graph`. Its kinds of cut are

    stop_gradient     stop_gradient, or a gate without a gradient for that argument
    no_grad_block     computed under stop_recording
    nondiff_op        an op without a gradient: argmax, round, a comparison
    integer_cast      a cast to integers or booleans
    host_round_trip   the value left for the host: float(), numpy()
    rewrap            the value was copied into a new variable
    stateful_write    the value was assigned to a variable
    outside_tape      computed while the tape did not record
    not_watched       the tape was not asked to watch
    frozen            a variable that is not trainable
    unused_parameter  the source was never used in the target
"""

from __future__ import annotations

import heapq
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import optree

from headgate.graph import (
    Cut,
    Leaf,
    Node,
    Recording,
    Site,
    Source,
    new_leaf,
    shown_path,
    state,
)
from headgate.namespace import NUMPY, TENSORS, common, owner
from headgate.op import (
    PASS,
    PICK,
    Op,
    as_tensor,
    describe,
    is_inexact,
    pass_through,
    pick_node,
)
from headgate.tensor import Tensor, constant, tensor_of
from headgate.variable import Variable

_USED = (
    "A non-persistent GradientTape can only be used to compute one set of gradients (or jacobians); "
    "make it with GradientTape(persistent=True) to ask it more than once"
)


class GradientTape:
    """Record ops, to differentiate by what was watched; used as a context manager.

    Args:
        persistent: whether `gradient` and its kin may be called more than once. The record is then
            kept until its tensors and this tape are gone.
        watch_accessed_variables: whether trainable variables are watched when they are read.

    >>> import headgate as hg
    >>> x = hg.Variable(3.0)
    >>> with hg.GradientTape() as tape:
    ...     y = x * x
    >>> tape.gradient(y, x).numpy()
    np.float64(6.0)
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self._persistent = persistent
        self._watch_accessed = watch_accessed_variables
        self._recording: Recording | None = None
        self._bits = 0
        self._watched: dict[Source, Variable] = {}
        self._active = False
        self._used = False

    # -- recording --------------------------------------------------------------------------------

    def __enter__(self) -> GradientTape:
        if self._active:
            raise ValueError(
                "Tape is still recording. This can happen if you try to re-enter an already-active tape."
            )
        current = state.recording
        if self._recording is None or self._used:
            self._forget()
            self._used = False
            self._recording = current if current.in_use else Recording()
        elif current.in_use and current is not self._recording:
            raise RuntimeError(
                "this tape was entered again while other tapes record that began after it had ended; "
                "enter it before them, or make a new tape"
            )
        state.recording = self._recording
        self._recording.tapes.append(self)
        self._active = True
        self._tapes_changed()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._active:
            self._leave()

    def _leave(self) -> None:
        recording = self._recording
        assert recording is not None
        recording.tapes = [tape for tape in recording.tapes if tape is not self]
        self._active = False
        self._tapes_changed()
        if not recording.in_use and state.recording is recording:
            state.leave()

    def _tapes_changed(self) -> None:
        """Bring what depends on the set of active tapes up to date."""
        recording = self._recording
        assert recording is not None
        active = stopped = 0
        for tape in recording.tapes:
            active |= tape._bits
        for tape in recording.suspended:
            stopped |= tape._bits
        recording.epoch = object()
        recording.paused = ((1 << len(recording.sources)) - 1) & ~active
        recording.stopped = stopped

    def _forget(self) -> None:
        self._release()
        self._bits = 0
        self._watched = {}

    def reset(self) -> None:
        """Forget everything recorded and watched so far; the tape goes on recording.

        Raises:
            ValueError: the tape is not recording.
        """
        if not self._active:
            raise ValueError("Tape is not recording.")
        self._forget()
        self._tapes_changed()

    @contextmanager
    def stop_recording(self) -> Iterator[None]:
        """Pause this tape: what is computed in the block is constant for it, not for other tapes.

        Raises:
            RuntimeError: the tape was never entered.
            ValueError: the tape is not recording just now.

        >>> import headgate as hg
        >>> x = hg.Variable(3.0)
        >>> with hg.GradientTape() as tape:
        ...     y = x * x
        ...     with tape.stop_recording():
        ...         factor = x + 1.0
        ...     z = y * factor
        >>> tape.gradient(z, x).numpy()
        np.float64(24.0)
        """
        recording = self._recording
        if recording is None:
            raise RuntimeError("Trying to stop recording a tape which is not recording.")
        if not self._active:
            raise ValueError("Tape is not recording.")
        recording.tapes = [tape for tape in recording.tapes if tape is not self]
        recording.suspended = [*recording.suspended, self]
        self._active = False
        self._tapes_changed()
        try:
            yield
        finally:
            recording.suspended = [tape for tape in recording.suspended if tape is not self]
            recording.tapes = [*recording.tapes, self]
            self._active = True
            self._tapes_changed()

    # -- watching ---------------------------------------------------------------------------------

    def watch(self, tensor: Any) -> None:
        """Watch tensors or variables: what is computed from them from now on is recorded.

        Args:
            tensor: a tensor, a variable, or a nested structure of them.

        Raises:
            RuntimeError: the tape was never entered.
            ValueError: anything else than tensors and variables, such as a float.

        >>> import headgate as hg
        >>> x = hg.asarray(3.0)
        >>> with hg.GradientTape() as tape:
        ...     tape.watch(x)
        ...     y = x * x
        >>> tape.gradient(y, x).numpy()
        np.float64(6.0)
        """
        for leaf in _leaves(tensor):
            kind = type(leaf)
            if kind is not Tensor and kind is not Variable:
                raise ValueError(
                    f"Passed in object {leaf!r} of type {kind.__name__!r}, not a Tensor or Variable; "
                    "make one with headgate.asarray(...) and use that one in the computation"
                )
            if self._recording is None:
                raise RuntimeError(
                    "watch was called on a tape that was never entered; call it inside "
                    "`with GradientTape() as tape:`"
                )
            if not is_inexact(leaf if kind is Tensor else leaf._value):
                warnings.warn(
                    "The dtype of the watched tensor must be floating or complex (e.g. float32), got "
                    f"{leaf.dtype}; its gradient will be None",
                    stacklevel=2,
                )
            if kind is Variable:
                self._access_leaf(leaf, self._recording.leaf(leaf._source))
            elif is_inexact(leaf):
                self._watch_tensor(leaf)
        if self._recording is not None:
            self._recording.epoch = object()

    def _watch_tensor(self, tensor: Tensor) -> None:
        recording = self._recording
        assert recording is not None
        node = tensor.node
        if type(node) is Leaf and node.recording is recording:
            if not node.own & self._bits:
                self._give_bit(node)
            return
        # Watched by one tape after another, a tensor stays the same source and owes nothing to the
        # earlier tapes' having watched it.
        known = type(node) is Leaf
        source = node.source if known else Source(f"tensor of shape {tensor.shape}")
        leaf = new_leaf(recording, source)
        if node is not None:
            leaf.live, leaf.cuts = recording.admit(node, node.own if known else 0)
            if leaf.live and node.edges is not None:
                leaf.op = PASS
                leaf.edges = ((node, pass_through, (), None, None),)
        self._give_bit(leaf)
        tensor.node = leaf

    def _give_bit(self, leaf: Leaf) -> None:
        recording = leaf.recording
        bit = recording.new_bit(leaf.source)
        leaf.own |= bit
        leaf.live |= bit
        recording.kept |= bit
        self._bits |= bit
        if not self._active:
            recording.paused |= bit

    def _access(self, variable: Variable, leaf: Leaf) -> None:
        """Watch a variable that is being read, if this tape watches such reads."""
        if self._watch_accessed and variable._trainable:
            self._access_leaf(variable, leaf)

    def _access_leaf(self, variable: Variable, leaf: Leaf) -> None:
        if leaf.source not in self._watched:
            self._watched[leaf.source] = variable
            if is_inexact(variable._value):
                self._give_bit(leaf)

    def watched_variables(self) -> tuple[Variable, ...]:
        """Return the variables that this tape watches, in the order of their creation."""
        return tuple(self._watched[source] for source in sorted(self._watched, key=_serial))

    # -- gradients --------------------------------------------------------------------------------

    def gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        unconnected_gradients: Any = "none",
    ) -> Any:
        """Return the gradient of a target, summed over its elements, by each source.

        Args:
            target: a tensor or variable, or a nested structure of them (their gradients are added).
            sources: a tensor or variable, or a nested structure of them.
            output_gradients: one cotangent per target, of its shape (or one that broadcasts to it);
                ones if not given.
            unconnected_gradients: "none" (None for sources that the target does not depend on by
                gradient) or "zero" (zeros instead).

        Returns:
            Tensors of the sources' shapes and dtypes, or None, in the structure of `sources`.
            `why(target, sources)` explains each None.

        Raises:
            RuntimeError: the tape is not persistent and was used before.
            TypeError: target or a source is neither tensor nor variable.
            ValueError: wrong number, shape or dtype of `output_gradients`.
        """
        self._check_unused()
        zero = _is_zero(unconnected_gradients)
        targets = _checked(target, "target")
        flat, structure = _flatten_sources(sources)
        cotangents = _cotangents(targets, output_gradients)
        if self._active and not self._persistent:
            self._leave()
        elif self._active:
            warnings.warn(
                "Calling GradientTape.gradient on a persistent tape inside its context is "
                "significantly less efficient than calling it outside: the gradient itself is recorded",
                stacklevel=2,
            )
        results = self._differentiate(targets, cotangents, flat, free=not self._persistent)
        self._consume()
        if zero:
            results = [
                _zeros_like(source) if result is None else result
                for source, result in zip(flat, results, strict=True)
            ]
        return _restore(structure, results)

    def jacobian(
        self,
        target: Any,
        sources: Any,
        unconnected_gradients: Any = "none",
        parallel_iterations: int | None = None,
        experimental_use_pfor: bool = True,
    ) -> Any:
        """Return the derivative of each element of a target by each element of the sources.

        Args:
            target: one tensor or variable.
            sources: a tensor or variable, or a nested structure of them.
            unconnected_gradients: "none" or "zero", as for `gradient`.
            parallel_iterations: taken for TensorFlow's programs; without effect.
            experimental_use_pfor: likewise.

        Returns:
            Tensors of shape `target.shape + source.shape`, or None, in the structure of `sources`.

        >>> import headgate as hg
        >>> x = hg.Variable([1.0, 2.0])
        >>> with hg.GradientTape() as tape:
        ...     y = x * x
        >>> tape.jacobian(y, x).numpy()
        array([[2., 0.],
               [0., 4.]])
        """
        self._check_unused()
        zero = _is_zero(unconnected_gradients)
        if isinstance(target, list | tuple | dict):
            raise TypeError(
                f"jacobian takes one tensor as its target, a {type(target).__name__} has no shape"
            )
        (target,) = _checked(target, "target")
        flat, structure = _flatten_sources(sources)
        if self._active and not self._persistent:
            self._leave()
        shape = target.shape
        rows: list[list[Any]] = []
        for k in range(target.size):
            unit = np.zeros(target.size, _plain_dtype(target))
            unit[k] = 1
            seed = constant(unit.reshape(shape))
            rows.append(self._differentiate([target], [seed], flat, free=False))
        results: list[Any] = []
        for number, source in enumerate(flat):
            parts = [row[number] for row in rows]
            if not rows or parts[0] is None:
                connected = bool(rows) or self._connected(target, source)
                empty = constant(np.zeros(shape + source.shape, _plain_dtype(source)))
                results.append(empty if zero or (not rows and connected) else None)
            else:
                results.append(TENSORS.reshape(TENSORS.stack(parts), shape + source.shape))
        self._consume()
        return _restore(structure, results)

    def batch_jacobian(
        self,
        target: Any,
        source: Any,
        unconnected_gradients: Any = "zero",
        parallel_iterations: int | None = None,
        experimental_use_pfor: bool = True,
    ) -> Tensor:
        """Return, for each entry of the first axis, the Jacobian of that entry alone.

        Args:
            target: a tensor of shape (b, ...), each entry a function of the same entry of source.
            source: a tensor or variable of shape (b, ...).
            unconnected_gradients: taken for TensorFlow's programs, as are the two below; the result
                for an unconnected source is always zeros.
            parallel_iterations: without effect.
            experimental_use_pfor: without effect.

        Returns:
            A tensor of shape `(b,) + target.shape[1:] + source.shape[1:]`; zeros if unconnected.

        Raises:
            ValueError: rank below 2 or different first sizes.
        """
        self._check_unused()
        (target,) = _checked(target, "target")
        flat, _ = _flatten_sources([source])
        if target.ndim < 2:
            raise ValueError(f"Shape {target.shape} must have rank at least 2")
        if not source.shape or target.shape[0] != source.shape[0]:
            raise ValueError(
                f"Need first dimension of target shape ({target.shape}) and source shape "
                f"({source.shape}) to match."
            )
        if self._active and not self._persistent:
            self._leave()
        batch, inner = target.shape[0], target.shape[1:]
        size = int(np.prod(inner))
        rows = []
        for k in range(size):
            unit = np.zeros((batch, size), _plain_dtype(target))
            unit[:, k] = 1
            seed = constant(unit.reshape(target.shape))
            (row,) = self._differentiate([target], [seed], flat, free=False)
            rows.append(_zeros_like(source) if row is None else row)
        self._consume()
        shape = (batch, *inner, *source.shape[1:])
        if not rows:
            return constant(np.zeros(shape, _plain_dtype(source)))
        return TENSORS.reshape(TENSORS.stack(rows, axis=1), shape)  # type: ignore[no-any-return]

    def _check_unused(self) -> None:
        if self._used or self._recording is None:
            raise RuntimeError(_USED)

    def _consume(self) -> None:
        if not self._persistent:
            self._used = True
            self._release()

    def _release(self) -> None:
        """Give up the claim to the graph; the last tape that does so lets go of the leaves.

        Leaves and recording refer to each other, so this is also what keeps them from being a
        reference cycle.
        """
        recording = self._recording
        if recording is not None:
            recording.kept &= ~self._bits
            if not recording.kept and not recording.in_use:
                recording.leaves = {}

    def __del__(self) -> None:
        self._release()

    def _connected(self, target: Any, source: Any) -> bool:
        node, origin = self._node(target), self._node(source)
        return (
            node is not None
            and origin is not None
            and bool(node.live & _bit_of(origin, self._bits))
        )

    def _node(self, value: Tensor | Variable) -> Node | None:
        """Return a tensor's or variable's node if this tape's recording has it."""
        recording = self._recording
        assert recording is not None
        if type(value) is Variable:
            return recording.leaves.get(value._source)
        node = value.node  # type: ignore[union-attr]
        return node if node is not None and node.recording is recording else None

    def _differentiate(
        self, targets: list[Any], cotangents: list[Any], flat: list[Any], free: bool
    ) -> list[Any]:
        """Return the gradients of targets with these cotangents, one per source, or None."""
        recording = self._recording
        assert recording is not None
        origins = [self._node(source) for source in flat]
        wanted = 0
        lowest = None
        for origin in origins:
            if origin is not None:
                wanted |= _bit_of(origin, self._bits)
                if lowest is None or origin.seq < lowest:
                    lowest = origin.seq
        seeds = []
        lifted = any(c is not None and c.node is not None and c.node.live for c in cotangents)
        others = ~recording.paused if state.recording is recording else 0
        for target, cotangent in zip(targets, cotangents, strict=True):
            node = self._node(target)
            if node is not None and node.live & self._bits:
                seeds.append((node, target, cotangent))
                lifted = lifted or bool(node.live & others)
        found: dict[int, Any] = {}
        if seeds and wanted:
            current = state.recording
            was_walking, current.walking = current.walking, True
            try:
                with np.errstate(all="ignore"):
                    found = _walk(
                        [(node, _seed(target, c, lifted)) for node, target, c in seeds],
                        {origin.seq for origin in origins if origin is not None},
                        wanted,
                        self._bits,
                        lifted,
                        free,
                    )
            finally:
                current.walking = was_walking
        results: list[Any] = []
        for source, origin in zip(flat, origins, strict=True):
            g = found.get(origin.seq) if origin is not None else None
            own = [c for t, c in zip(targets, cotangents, strict=True) if t is source]
            if g is None and own:  # the target itself, even if it was never watched
                g = _sum([_seed(source, c, True) for c in own])
            results.append(None if g is None else g if type(g) is Tensor else constant(g))
        return results

    # -- explanations -----------------------------------------------------------------------------

    def why(self, target: Any, sources: Any) -> Any:
        """Explain, for each source, whether gradient reaches it from the target, and if not, why.

        Works at any time after the computation, also when `gradient` has freed the graph.

        Args:
            target: a tensor or variable, or a nested structure of them.
            sources: a tensor or variable, or a nested structure of them.

        Returns:
            A `Verdict` per source, in the structure of `sources`.

        >>> import headgate as hg
        >>> w = hg.Variable([1.0, 2.0], name="w")
        >>> with hg.GradientTape() as tape:
        ...     loss = hg.sum(hg.stop_gradient(w) * 3.0)
        >>> tape.why(loss, w).kind
        'stop_gradient'
        """
        targets = _checked(target, "target")
        flat, structure = _flatten_sources(sources)
        return _restore(structure, [self._verdict(targets, source) for source in flat])

    def _verdict(self, targets: list[Any], source: Any) -> Verdict:
        recording = self._recording
        name = source.name if type(source) is Variable else f"tensor of shape {source.shape}"
        if recording is None:
            return Verdict(name, "cut", "outside_tape", (), "the tape was never entered")
        if any(target is source for target in targets):
            return Verdict(name, "connected", None, (), "it is the target itself")
        connected = by_value = False
        cuts: dict[int, Cut] = {}
        for target in targets:
            node = recording.leaves.get(target._source) if type(target) is Variable else target.node
            if node is None:
                continue
            every, mine = self._bits_in(node.recording, source)
            if node.recording is recording:
                connected = connected or self._reaches(node, source, mine & self._bits)
            by_value = by_value or bool(node.live & every)
            way = list(node.recording.upstream(node.cuts))
            for cut in way:
                if cut.severed & mine:
                    behind = [c for c in way if _follows(c, cut, node.recording)]
                    cuts.update((c.order, c) for c in (cut, *behind))
        found = tuple(Place.of(cuts[order]) for order in sorted(cuts))
        if connected:
            return Verdict(name, "connected", None, found, "")
        if found:
            return Verdict(name, "cut", found[0].kind, found, "")
        if by_value:
            return Verdict(
                name, "cut", "outside_tape", (), "computed while this tape did not record"
            )
        _, mine = self._bits_in(recording, source)
        escapes = tuple(
            Place.of(c) for c in recording.upstream(recording.escapes) if c.severed & mine
        )
        if escapes:
            return Verdict(name, "cut", escapes[-1].kind, escapes, "")
        if not mine & self._bits:
            return Verdict(name, *self._unwatched(source))
        return Verdict(name, "unused", "unused_parameter", (), "the target was computed without it")

    def _unwatched(self, source: Any) -> tuple[str, str, tuple[Place, ...], str]:
        if not is_inexact(source if type(source) is Tensor else source._value):
            return "not watched", "not_watched", (), f"its dtype, {source.dtype}, has no gradient"
        if type(source) is Tensor:
            text = "call tape.watch(x) in the block before x is used, and use that very x"
            return "not watched", "not_watched", (), text
        if not source._trainable:
            return (
                "not watched",
                "frozen",
                (),
                "it is not trainable; tape.watch(v) watches it all the same",
            )
        if not self._watch_accessed:
            text = "the tape was made with watch_accessed_variables=False; call tape.watch(v)"
            return "not watched", "not_watched", (), text
        return "unused", "unused_parameter", (), "it was never read while the tape recorded"

    def _bits_in(self, recording: Recording, source: Any) -> tuple[int, int]:
        """Return the bits by which a recording knows a source: all, and those of this tape.

        The bit that belongs to no tape counts as this tape's. A result in the middle has no bits of
        its own and stands in for all that it was computed from.
        """
        if type(source) is Variable:
            identity: Source = source._source
        elif type(source.node) is Leaf:
            identity = source.node.source
        else:
            node = source.node
            every = node.live if node is not None and node.recording is recording else 0
            return 0, every
        every = recording.masks.get(identity, 0)
        if recording is not self._recording:
            return every, every
        return every, every & (self._bits | recording.untaped.get(identity, 0))

    def _reaches(self, node: Node, source: Any, mine: int) -> bool:
        """Tell whether gradient flows from a node to a source."""
        if type(source) is Variable or source.node is None or type(source.node) is Leaf:
            return bool(node.live & mine)
        todo, seen = [node], set()  # a result in the middle: search the graph, if it is still there
        while todo:
            current = todo.pop()
            if current is source.node:
                return True
            if current.seq in seen or current.seq < source.node.seq or not current.edges:
                continue
            seen.add(current.seq)
            todo.extend(edge[0] for edge in current.edges if edge is not None)
        return False


def _serial(source: Source) -> int:
    return source.serial


def _follows(later: Cut, first: Cut, recording: Recording) -> bool:
    """Tell whether one cut lies behind another on a value's way."""
    return later is not first and any(c is first for c in recording.upstream(later.earlier))


@contextmanager
def unrecorded() -> Iterator[None]:
    """Run a block in which no tape of this thread records or watches anything."""
    before = state.recording
    state.recording = Recording()
    state.recording.walking = True  # what comes in from outside is a plain constant
    try:
        yield
    finally:
        state.recording = before


# -- the walk
# ---------------------------------------------------------------------------------------


def _walk(
    seeds: Sequence[tuple[Node, Any]],
    origins: set[int],
    wanted: int,
    mine: int,
    lifted: bool,
    free: bool,
) -> dict[int, Any]:
    """Carry cotangents from the seeds down to the origins; return them by the origin's number.

    `lifted` says that cotangents are tensors and the rules are to be recorded. `free` drops the
    edges of each node passed, unless a tape other than the owner of the bits `mine` needs them.
    """
    lowest = min(origins)
    found: dict[int, Any] = {}
    pending: dict[int, tuple[Node, Any]] = {}
    heap: list[int] = []
    push, pop = heapq.heappush, heapq.heappop
    for node, g in seeds:
        if node.seq in pending:
            g = pending[node.seq][1] + g
        else:
            push(heap, -node.seq)
        pending[node.seq] = node, g
    while heap:
        number = -pop(heap)
        node, g = pending.pop(number)
        if number in origins:
            found[number] = g
        edges = node.edges
        if not edges:
            if edges is None:
                raise RuntimeError(_USED)
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
            entry = pending.get(seq)
            if entry is None:
                pending[seq] = parent, c
                push(heap, -seq)
            else:
                pending[seq] = parent, entry[1] + c
        if free and not node.live & node.recording.kept & ~mine and type(node) is Node:
            node.edges = None
    return found


def fit(c: Any, shape: tuple[int, ...], dtype: Any, lifted: bool) -> Any:
    """Sum a cotangent over the axes that were broadcast, and cast it to the argument's dtype."""
    xp = TENSORS if lifted else owner[type(c)]
    if c.dtype != dtype:
        if c.dtype.kind == "c" and np.dtype(dtype).kind != "c":
            c = xp.real(c)
        if c.dtype != dtype:
            c = xp.astype(c, dtype)
    if c.shape != shape:
        extra = len(c.shape) - len(shape)
        axes = tuple(range(extra)) + tuple(
            axis + extra
            for axis, size in enumerate(shape)
            if size == 1 and c.shape[axis + extra] != 1
        )
        if axes:
            c = xp.sum(c, axis=axes, keepdims=True)
        if c.shape != shape:
            # Leading axes are summed to 1 by now; a scalar's cotangent may have to grow.
            c = xp.reshape(c, shape) if extra > 0 or not shape else xp.broadcast_to(c, shape)
    return c


def _on_tensors(node: Node, position: int, args: tuple[Any, ...]) -> list[Any]:
    """Put what a rule saved back on its nodes, so that what the rule does is recorded."""
    op: Op = node.op
    if op is PICK or op is PASS:
        return list(args)
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
                outputs = [tensor_of(v, pick_node(node, k)) for k, v in enumerate(value)]
                wrapped.append(tuple(outputs))
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


def _seed(target: Any, cotangent: Tensor | None, lifted: bool) -> Any:
    """Return the cotangent that a target starts with, ones by default."""
    value = target._value if type(target) is Variable else target.value
    if cotangent is None:
        ones = owner[type(value)].ones_like(value)
        return constant(ones) if lifted else ones
    if lifted:
        if cotangent.shape == value.shape:
            return cotangent
        return TENSORS.broadcast_to(cotangent, value.shape)
    xp = owner[common(type(value), type(cotangent.value))]
    given = xp.asarray(
        cotangent.value
    )  # of the target's library, or what passes it on would not be
    return given if cotangent.shape == value.shape else xp.broadcast_to(given, value.shape)


def _sum(parts: list[Any]) -> Any:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


# -- arguments
# --------------------------------------------------------------------------------------


def _bit_of(node: Node, mine: int) -> int:
    """Return the bits that lead to a source: its own if it is watched, else all that reach it."""
    if type(node) is Leaf:
        return node.own & mine or node.live & mine
    return node.live & mine


def _leaves(tree: Any) -> list[Any]:
    if type(tree) is Tensor or type(tree) is Variable:
        return [tree]
    leaves: list[Any] = optree.tree_leaves(tree, none_is_leaf=True)
    return leaves


def _checked(target: Any, what: str) -> list[Any]:
    """Return the leaves of a target; refuse what is no tensor."""
    if type(target) is Tensor or type(target) is Variable:
        return [target]
    leaves = _leaves(target)
    for leaf in leaves:
        if type(leaf) is not Tensor and type(leaf) is not Variable:
            _refuse(leaf, what)
    return leaves


def _refuse(leaf: Any, what: str) -> None:
    cure = (
        "the forward pass returned nothing"
        if leaf is None
        else "it left the tape (float(), numpy(), NumPy functions) or never was on it"
    )
    raise TypeError(
        f"Argument `{what}` should be a Tensor or Variable, or a nested structure of them, but it has "
        f"{describe(leaf) if leaf is not None else 'None'}: {cure}"
    )


def _flatten_sources(sources: Any) -> tuple[list[Any], Any]:
    if type(sources) is Tensor or type(sources) is Variable:
        return [sources], None
    if type(sources) is list and all(type(s) is Variable or type(s) is Tensor for s in sources):
        return sources, list
    flat, structure = optree.tree_flatten(sources, none_is_leaf=True)
    for leaf in flat:
        if type(leaf) is not Tensor and type(leaf) is not Variable:
            _refuse(leaf, "sources")
    return flat, structure


def _restore(structure: Any, results: list[Any]) -> Any:
    if structure is None:
        return results[0]
    if structure is list:
        return results
    return optree.tree_unflatten(structure, results)


def _cotangents(targets: list[Any], given: Any) -> list[Tensor | None]:
    """Return one cotangent per target, each checked against it; None stands for ones."""
    if given is None:
        return [None] * len(targets)
    if isinstance(given, list | tuple | dict):
        single = len(targets) == 1 and isinstance(given, list | tuple) and len(given) != 1
        flat = [given] if single and not _leaves_are_tensors(given) else _leaves(given)
    else:
        flat = [given]
    if len(flat) != len(targets):
        raise ValueError(
            f"output_gradients has {len(flat)} entries for {len(targets)} target(s); give one each"
        )
    return [
        _cotangent(target, c, k) for k, (target, c) in enumerate(zip(targets, flat, strict=True))
    ]


def _leaves_are_tensors(given: Any) -> bool:
    return any(type(leaf) in (Tensor, Variable) for leaf in _leaves(given))


def _cotangent(target: Any, given: Any, position: int) -> Tensor:
    if given is None:
        raise ValueError(
            f"output_gradients[{position}] is None; give zeros, or leave the target out"
        )
    c = as_tensor(given)
    if type(given) not in (Tensor, Variable) and c.dtype != target.dtype:
        c = constant(np.asarray(c.value).astype(_plain_dtype(target)))
    if c.dtype != target.dtype:
        raise ValueError(
            f"output_gradients[{position}] has the dtype {c.dtype} and its target {target.dtype}; "
            "convert one of them with headgate.astype"
        )
    try:
        fits = np.broadcast_shapes(c.shape, target.shape) == target.shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"Incompatible shapes: output_gradients[{position}] has the shape {c.shape} and its "
            f"target {target.shape}"
        )
    return c


def _is_zero(value: Any) -> bool:
    name = getattr(value, "value", value)
    if name not in ("none", "zero"):
        raise ValueError(
            f"Unknown value for unconnected_gradients: {value!r}; it is 'none' or 'zero'"
        )
    return bool(name == "zero")


def _zeros_like(source: Any) -> Tensor:
    value = source._value if type(source) is Variable else source.value
    return constant(owner[type(value)].zeros_like(value))


def _plain_dtype(source: Any) -> Any:
    return NUMPY.array_module.dtype(source.dtype)


# -- verdicts
# ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """One cut, as a report shows it: its kind and the user's line."""

    kind: str
    file: str
    line: int
    text: str
    label: str
    shape: tuple[int, ...] | None

    @classmethod
    def of(cls, cut: Cut) -> Place:
        """Read a cut's place from its site."""
        site: Site = cut.site
        return cls(cut.kind, site.file, site.line, site.text, cut.label, cut.shape)

    def __str__(self) -> str:
        label = f" [{self.label}]" if self.label else ""
        return f"{self.kind}{label} at {shown_path(self.file)}:{self.line}: {self.text}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `GradientTape.why` says of one source; `str()` of it is meant for people.

    `verdict` is "connected", "cut", "unused" or "not watched". `cuts` are the places where gradient
    stops, from the source on; for a connected source, those on its other paths.
    """

    source: str
    verdict: str
    kind: str | None
    cuts: tuple[Place, ...]
    detail: str

    @property
    def connected(self) -> bool:
        """Whether gradient reaches the source on some path."""
        return self.verdict == "connected"

    def __bool__(self) -> bool:
        return self.connected

    def __str__(self) -> str:
        head = f"{self.source}: {self.verdict}"
        if self.kind and not self.cuts:
            head += f" ({self.kind})"
        if self.detail:
            head += f"; {self.detail}"
        if self.connected and self.cuts:
            head += "; other paths are cut:"
        return "\n".join([head, *(f"  {place}" for place in self.cuts)])
