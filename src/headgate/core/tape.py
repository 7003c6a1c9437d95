"""GradientTape: which sources are watched, and what is asked of the record.

A tape owns bits of its recording, one for each source that it watches, and says by them what it
wants to know about. Entering it makes it the newest of the tapes that record in this thread; ops do
the rest (`headgate.core.op`).

`gradient` hands targets and sources to the walk (`headgate.core.walk`); `why` hands them to
`headgate.core.verdict`. A tape that is not persistent frees the nodes it has passed, unless another
tape still needs them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import optree

from headgate.core.cotangent import pass_through
from headgate.core.failure import describe
from headgate.core.lift import INEXACT, as_tensor, is_inexact
from headgate.core.magnitude import Magnitudes
from headgate.core.namespace import NUMPY, TENSORS, common, owner
from headgate.core.row import PASS
from headgate.core.tensor import Tensor, constant
from headgate.core.variable import Variable
from headgate.core.verdict import FlowReport, explain, updated, with_path
from headgate.core.walk import USED, walk
from headgate.record.graph import (
    Leaf,
    MissingGradientWarning,
    Node,
    Observer,
    Recording,
    Source,
    new_leaf,
    observers,
    refusal,
    state,
    where,
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
            raise refusal(
                ValueError,
                "Tape is still recording. This can happen if you try to re-enter an "
                "already-active tape.",
            )
        current = state.recording
        if self._recording is None or self._used:
            self._forget()
            self._used = False
            self._recording = current if current.in_use else Recording()
            if observers and self._recording.log is None:
                self._recording.log = observers[-1].log()
        elif current.in_use and current is not self._recording:
            raise refusal(
                RuntimeError,
                "this tape was entered again while other tapes record that began after it "
                "had ended; "
                "enter it before them, or make a new tape",
            )
        state.enter(self._recording)
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
            state.leave(recording)

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
            raise refusal(ValueError, "Tape is not recording.")
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
            raise refusal(RuntimeError, "Trying to stop recording a tape which is not recording.")
        if not self._active:
            raise refusal(ValueError, "Tape is not recording.")
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
                raise refusal(
                    ValueError,
                    f"Passed in object {leaf!r} of type {kind.__name__!r}, not a Tensor or "
                    "Variable; "
                    "make one with headgate.asarray(...) and use that one in the computation",
                )
            if self._recording is None:
                raise refusal(
                    RuntimeError,
                    "watch was called on a tape that was never entered; call it inside "
                    "`with GradientTape() as tape:`",
                )
            if not is_inexact(leaf if kind is Tensor else leaf._value):
                warnings.warn(
                    "The dtype of the watched tensor must be floating or complex (e.g. "
                    "float32), got "
                    f"{leaf.dtype}; its gradient will be None",
                    stacklevel=2,
                )
            if kind is Variable:
                self._access(leaf, self._recording.leaf(leaf._source))
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
        if type(node) is Leaf:
            source, forgiven = node.source, node.own
        else:
            source, forgiven = Source(f"tensor of shape {tensor.shape}"), 0
        leaf = new_leaf(recording, source)
        if node is not None:
            leaf.live, leaf.cuts = recording.admit(node, forgiven)
            if leaf.live and node.edges is not None:
                leaf.op = PASS
                leaf.edges = ((node, pass_through, (), None, None),)
        self._give_bit(leaf)
        tensor.node = leaf
        if recording.log is not None:
            recording.log.watched(tensor, node, leaf)

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
        """Watch a variable, from now on."""
        if leaf.source not in self._watched:
            self._watched[leaf.source] = variable
            if variable._value.dtype.kind in INEXACT:
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
            `why(target, sources)` explains each None, and so does a `MissingGradientWarning`, once
            for each line that asks (not for variables that are not trainable).

        Raises:
            RuntimeError: the tape is not persistent and was used before.
            TypeError: target or a source is neither tensor nor variable.
            ValueError: wrong number, shape or dtype of `output_gradients`.
        """
        results = self._gradient(
            target, sources, output_gradients, unconnected_gradients, observers
        )
        self._explain_missing(target, sources, results)
        return results

    def _gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        unconnected_gradients: Any = "none",
        observers: Sequence[Observer] = (),
    ) -> Any:
        """Do what `gradient` does, observed or not: other functions here ask for gradients too."""
        self._check_unused()
        zero = _is_zero(unconnected_gradients)
        targets = _checked(target, "target")
        flat, structure = _flatten_sources(sources)
        cotangents = _cotangents(targets, output_gradients)
        memos = [(each, each.before_gradient(self, targets, flat)) for each in observers]
        meter = next((memo[0] for _, memo in memos if memo is not None), None)
        if self._active and not self._persistent:
            self._leave()
        elif self._active:
            warnings.warn(
                "Calling GradientTape.gradient on a persistent tape inside its context is "
                "significantly less efficient than calling it outside: the gradient itself is "
                "recorded",
                stacklevel=2,
            )
        free = not self._persistent
        results = self._differentiate(targets, cotangents, flat, free, meter)
        self._consume()
        for observer, memo in memos:
            if memo is not None:
                observer.after_gradient(memo, results)
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
            raise refusal(
                TypeError,
                f"jacobian takes one tensor as its target, a {type(target).__name__} has no shape",
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
            raise refusal(ValueError, f"Shape {target.shape} must have rank at least 2")
        if not source.shape or target.shape[0] != source.shape[0]:
            raise refusal(
                ValueError,
                f"Need first dimension of target shape ({target.shape}) and source shape "
                f"({source.shape}) to match.",
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
            raise refusal(RuntimeError, USED)

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

    def _bits_of(self, source: Tensor | Variable) -> int:
        """Return the bits that lead to a source here."""
        node = self._node(source)
        return 0 if node is None else _bit_of(node, self._bits)

    def _differentiate(
        self,
        targets: list[Any],
        cotangents: list[Any],
        flat: list[Any],
        free: bool,
        meter: Magnitudes | None = None,
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
        lifted = meter is None and any(
            c is not None and c.node is not None and c.node.live for c in cotangents
        )
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
                    found = walk(
                        [
                            (node, _seed(target, c, lifted and meter is None))
                            for node, target, c in seeds
                        ],
                        {origin.seq for origin in origins if origin is not None},
                        wanted,
                        recording.kept & ~self._bits,
                        lifted,
                        free,
                        meter,
                    )
            finally:
                current.walking = was_walking
        results: list[Any] = []
        for source, origin in zip(flat, origins, strict=True):
            g = found.get(origin.seq) if origin is not None else None
            if g is None:  # the target itself counts, even if it was never watched
                own = [c for t, c in zip(targets, cotangents, strict=True) if t is source]
                g = _sum([_seed(source, c, True) for c in own]) if own else None
            if g is None and origin is not None and recording.refused:
                missed = _bit_of(origin, self._bits)
                if any(node.live & missed for node, _, _ in seeds):
                    recording.blocked |= missed
            results.append(None if g is None else g if type(g) is Tensor else constant(g))
        return results

    # -- explanations -----------------------------------------------------------------------------

    def why(
        self,
        target: Any,
        sources: Any,
        magnitudes: bool = False,
        model: Any = None,
        optimizer: Any = None,
    ) -> FlowReport:
        """Explain, for each source, whether gradient reaches it from the target, and if not, why.

        Works at any time after the computation, also when `gradient` has freed the graph.

        Args:
            target: a tensor or variable, or a nested structure of them.
            sources: a tensor or variable, or a nested structure of them.
            magnitudes: compute the gradient and report its norm along the path, and the op at
                which it becomes exactly zero. The tape stays as it is.
            model: whose `variables` the sources should be among (kind `not_registered` else).
            optimizer: that should have had steps for the sources, if it had any at all (kind
                `optimizer_mask` else).

        Returns:
            A report with a `Verdict` per source, in the structure of `sources`.

        Raises:
            RuntimeError: magnitudes were asked for when `gradient` had freed the graph.

        >>> import headgate as hg
        >>> w = hg.Variable([1.0, 2.0], name="w")
        >>> with hg.GradientTape() as tape:
        ...     loss = hg.sum(hg.stop_gradient(w) * 3.0)
        >>> tape.why(loss, w).kind
        'stop_gradient'
        """
        targets = _checked(target, "target")
        flat, structure = _flatten_sources(sources)
        measured = None
        if magnitudes and self._recording is not None:
            if self._used:
                raise refusal(
                    RuntimeError,
                    "magnitudes can be measured only before gradient() frees the graph: call why "
                    "first, or make the tape with GradientTape(persistent=True)",
                )
            measured = self._measure(targets, flat)
        verdicts = [
            explain(self._recording, self._bits, self._watch_accessed, targets, source, measured)
            for source in flat
        ]
        if measured is not None:
            verdicts = [with_path(each, source, measured) for each, source in zip(verdicts, flat)]
        if model is not None or optimizer is not None:
            verdicts = [
                updated(verdict, source, model, optimizer)
                for verdict, source in zip(verdicts, flat)
            ]
        return FlowReport(verdicts, _restore(structure, verdicts))

    def _explain_missing(self, target: Any, sources: Any, results: Any) -> None:
        """Say why gradients are None: to the sources, for later messages, and once per line."""
        if type(results) is Tensor or (
            type(results) is list and all(type(result) is Tensor for result in results)
        ):
            return
        flat, _ = _flatten_sources(sources)
        found = [results] if results is None else optree.tree_leaves(results, none_is_leaf=True)
        missing = [
            source
            for source, result in zip(flat, found)
            if result is None and not (type(source) is Variable and not source.trainable)
        ]
        if not missing or state.recording.walking:
            return
        site = where()
        key = id(site[0]), site[1]
        known = key in _explained
        if known and all(type(s) is Tensor or s._source.missing for s in missing):
            return
        _explained[key] = site[0]
        verdicts = list(self.why(target, missing))
        for source, verdict in zip(missing, verdicts):
            if type(source) is Variable:
                source._source.missing = str(verdict)
        if known or observers:  # an observer reports at the end
            return
        texts = "\n".join(map(str, verdicts))
        warnings.warn(
            f"the gradient is None for {len(missing)} of {len(flat)} source(s):\n{texts}",
            MissingGradientWarning,
            stacklevel=3,
        )

    def _measure(self, targets: list[Any], flat: list[Any]) -> Magnitudes:
        """Walk from the targets to the sources, only to look at the cotangents."""
        measured = Magnitudes()
        with unrecorded():
            self._differentiate(targets, [None] * len(targets), flat, False, measured)
        return measured


_explained: dict[tuple[int, int], Any] = {}
"""The lines that were told why their gradients are None, with their code objects."""


def _serial(source: Source) -> int:
    return source.serial


@contextmanager
def apart() -> Iterator[Recording]:
    """Run a block in a recording of its own: the tapes of this thread do not see it."""
    before, state.recording = state.recording, Recording()
    try:
        yield state.recording
    finally:
        state.recording = before


@contextmanager
def unrecorded() -> Iterator[None]:
    """Run a block in which no tape of this thread records or watches anything."""
    with apart() as recording:
        recording.walking = True  # what comes in from outside is a plain constant
        yield


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


# -- arguments ------------------------------------------------------------------------------------


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
    raise refusal(
        TypeError,
        f"Argument `{what}` should be a Tensor or Variable, or a nested structure of them, "
        "but it has "
        f"{describe(leaf) if leaf is not None else 'None'}: {cure}",
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
        raise refusal(
            ValueError,
            f"output_gradients has {len(flat)} entries for {len(targets)} target(s); give one each",
        )
    return [
        _cotangent(target, c, k) for k, (target, c) in enumerate(zip(targets, flat, strict=True))
    ]


def _leaves_are_tensors(given: Any) -> bool:
    return any(type(leaf) in (Tensor, Variable) for leaf in _leaves(given))


def _cotangent(target: Any, given: Any, position: int) -> Tensor:
    if given is None:
        raise refusal(
            ValueError, f"output_gradients[{position}] is None; give zeros, or leave the target out"
        )
    c = as_tensor(given)
    if type(given) not in (Tensor, Variable) and c.dtype != target.dtype:
        c = constant(np.asarray(c.value).astype(_plain_dtype(target)))
    if c.dtype != target.dtype:
        raise refusal(
            ValueError,
            f"output_gradients[{position}] has the dtype {c.dtype} and its target {target.dtype}; "
            "convert one of them with headgate.astype",
        )
    try:
        fits = np.broadcast_shapes(c.shape, target.shape) == target.shape
    except ValueError:
        fits = False
    if not fits:
        raise refusal(
            ValueError,
            f"Incompatible shapes: output_gradients[{position}] has the shape {c.shape} and its "
            f"target {target.shape}",
        )
    return c


def _is_zero(value: Any) -> bool:
    name = getattr(value, "value", value)
    if name not in ("none", "zero"):
        raise refusal(
            ValueError,
            f"Unknown value for unconnected_gradients: {value!r}; it is 'none' or 'zero'",
        )
    return bool(name == "zero")


def _zeros_like(source: Any) -> Tensor:
    value = source._value if type(source) is Variable else source.value
    return constant(owner[type(value)].zeros_like(value))


def _plain_dtype(source: Any) -> Any:
    return NUMPY.array_module.dtype(source.dtype)
