"""GradientTape: which sources are watched, and what is asked of the record.

A tape owns bits of its recording, one for each source that it watches, and says by them what it
wants to know about. Entering it makes it the newest of the tapes that record in this thread; ops do
the rest (`headgate.core.op`).

`gradient` hands targets and sources to the walk (`headgate.core.pull`); `why` puts them into the
record's words (`headgate.core.asked`) and hands them to `headgate.record.verdict`. A tape that is
not persistent frees the nodes it has passed, unless another tape still needs them.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from headgate.core.arguments import (
    asked_sources,
    flat_cotangents,
    flat_sources,
    flat_targets,
    leaves_of,
    one_tensor,
    plain_dtype,
    restored,
    value_of,
    wants_zeros,
    zeros_like,
)
from headgate.core.asked import all_asked, asked, question, updated
from headgate.core.birth import Meter
from headgate.core.checks import flag
from headgate.core.cotangent import pass_through
from headgate.core.jacobian import rows_of
from headgate.core.lift import INEXACT, as_tensor, is_inexact
from headgate.core.namespace import TENSORS
from headgate.core.pull import bits_to, pull, seed
from headgate.core.row import PASS
from headgate.core.scope import stage
from headgate.core.tensor import Tensor, constant, tensor_of
from headgate.core.traced import is_traced
from headgate.core.variable import Variable, node_of
from headgate.core.walk import USED
from headgate.record.asked import Question
from headgate.record.errors import TracingError, refusal, warn_missing
from headgate.record.graph import (
    Leaf,
    Node,
    Recording,
    Source,
    Tape,
    new_leaf,
    state,
    unrecorded,
)
from headgate.record.magnitude import Magnitudes
from headgate.record.onlooker import Onlooker, onlookers, together
from headgate.record.site import Site, where
from headgate.record.verdict import (
    FlowReport,
    Verdict,
    explain,
    if_not_finite,
    in_short,
    with_path,
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

    _recording: Recording | None = None
    _active = False

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        if persistent is not False:
            persistent = flag("GradientTape", "persistent", persistent)
        if watch_accessed_variables is not True:
            name = "watch_accessed_variables"
            watch_accessed_variables = flag("GradientTape", name, watch_accessed_variables)
        self._persistent = persistent
        self._watch_accessed = watch_accessed_variables
        self._bits = 0
        self._watched: dict[Source, Variable] = {}
        self._used = False
        self._reference: weakref.ref[Tape] = weakref.ref(self)

    def __reduce__(self) -> Any:
        raise refusal(
            TypeError,
            "a GradientTape belongs to what runs here and now, and cannot be copied or pickled: "
            "ask it for its gradients, and copy those",
        )

    # -- recording --------------------------------------------------------------------------------

    def __enter__(self) -> GradientTape:
        if self._active:
            raise refusal(
                ValueError,
                "Tape is still recording. This can happen if you try to re-enter an "
                "already-active tape.",
            )
        current, recording = state.recording, self._recording
        if recording is None or self._used:
            if self._used:
                self._forget()
                self._used = False
            recording = self._recording = current if current.in_use else Recording()
            if onlookers and recording.onlooker is None:
                recording.onlooker = together([each.for_recording(recording) for each in onlookers])
        elif current is not recording and current.in_use:
            raise refusal(
                RuntimeError,
                "this tape was entered again while other tapes record that began after it "
                "had ended; "
                "enter it before them, or make a new tape",
            )
        elif current is not recording and recording.in_use:
            raise refusal(
                RuntimeError,
                "this tape was entered again while tapes with which it shares its record are open "
                "in another thread; each would record what the other thread computes: make a new "
                "tape for this thread",
            )
        try:
            state.enter(recording)
            recording.tapes.append(self._reference)
            self._active = True
            recording.refresh()
            return self
        except BaseException:  # an interrupt: nobody will leave what was not entered
            self._leave()
            raise

    def __exit__(self, *exception: object) -> None:
        recording = self._recording
        if self._active or (recording is not None and recording.suspended):
            try:
                self._leave()
            except BaseException:  # an interrupt came in between
                self._leave()
                raise

    def _leave(self) -> None:
        """Record no more, neither now nor after a `stop_recording` that an interrupt left open."""
        recording, mine = self._recording, self._reference
        if recording is None:
            return
        tapes = recording.tapes
        alone = len(tapes) == 1 and tapes[0] is mine
        recording.tapes = [] if alone else [tape for tape in tapes if tape is not mine]
        if recording.suspended:
            recording.suspended = [tape for tape in recording.suspended if tape is not mine]
        recording.refresh()
        if not recording.in_use and state.recording is recording:
            state.leave(recording)
        self._active = False  # once it is so: an interrupt may come in between

    def _forget(self) -> None:
        self._release()
        self._bits = 0
        self._watched = {}

    def reset(self) -> None:
        """Forget everything recorded and watched so far; the tape goes on recording.

        Raises:
            ValueError: the tape is not recording.
        """
        self._require_here()
        if not self._active:
            raise refusal(ValueError, "Tape is not recording.")
        self._forget()
        assert self._recording is not None
        self._recording.refresh()

    def stop_recording(self) -> AbstractContextManager[None]:
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
        self._require_here()
        return _Stopped(self)

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
        self._require_here()
        for leaf in leaves_of(tensor):
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
            self._recording.read_anew()

    def _watch_tensor(self, tensor: Tensor) -> None:
        recording = self._recording
        assert recording is not None
        node = tensor.node
        if type(node) is Leaf and node.recording is recording:
            if not node.own & self._bits:
                self._bits |= recording.give_bit(node, self._active)
            return
        tensor.node = leaf = self._leaf_on(node, tensor.shape)
        if recording.onlooker is not None:
            recording.onlooker.watched(tensor, node, leaf)

    def _leaf_on(self, node: Node | None, shape: tuple[int, ...]) -> Leaf:
        """Make the leaf of a watched tensor, from which gradient goes on to where it came from.

        Watched by one tape after another, a tensor stays the same source and owes nothing to the
        earlier tapes' having watched it.
        """
        recording = self._recording
        assert recording is not None
        if type(node) is Leaf:
            source = node.source
            forgiven = 0 if node.recording is recording else node.own
        else:
            source, forgiven = Source(f"tensor of shape {shape}"), 0
        leaf = new_leaf(recording, source)
        if node is not None:
            leaf.live, leaf.cuts = recording.admit(node, forgiven)
            if leaf.live and node.edges is not None:
                leaf.op = PASS
                leaf.edges = ((node, pass_through, (), None, None),)
        self._bits |= recording.give_bit(leaf, self._active)
        return leaf

    def _argument(self, given: Any) -> Tensor:
        """Return a tensor to stand for an argument of a function: watched, a source of its own.

        It is told from all else that has the same value: from another argument, from what the
        function closes over, and from what an outer derivative is taken by. To that one the outer
        derivative's gradient goes on.
        """
        if type(given) is Variable:
            return self._variable_argument(given)
        tensor = as_tensor(given)
        node = tensor.node
        own = tensor_of(tensor.value, node)
        if is_inexact(own.value):
            own.node = leaf = self._leaf_on(node, own.shape)
            recording = leaf.recording
            if recording.onlooker is not None:
                recording.onlooker.watched(own, node, leaf)
        return own

    def _variable_argument(self, variable: Variable) -> Tensor:
        """Return a tensor to stand for a variable; explanations call it by the variable's name."""
        recording = self._recording
        assert recording is not None
        value = variable._value
        if value.dtype.kind not in INEXACT:
            return as_tensor(variable)
        node = None
        if len(recording.tapes) > 1 or recording.suspended or recording.read_log is not None:
            node = node_of(variable)
        else:
            for onlooker in onlookers:
                onlooker.first_read(variable)
        leaf = new_leaf(recording, variable._source)
        if node is not None and node.live:
            leaf.live, leaf.cuts = recording.admit(node)
            leaf.op = PASS
            leaf.edges = ((node, pass_through, (), None, None),)
        self._bits |= recording.give_bit(leaf, self._active)
        if recording.onlooker is not None:
            recording.onlooker.read(variable, leaf, "")
        return tensor_of(value, leaf)

    def _access(self, variable: Variable, leaf: Leaf) -> None:
        """Watch a variable, from now on."""
        if leaf.source not in self._watched:
            if variable._value.dtype.kind in INEXACT:
                self._bits |= leaf.recording.give_bit(leaf, self._active)
            self._watched[leaf.source] = variable  # once it has its bit

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
        return self._gradient(
            target, sources, output_gradients, unconnected_gradients, onlookers, explained=True
        )

    def _gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        unconnected_gradients: Any = "none",
        onlookers: Sequence[Onlooker] = (),
        explained: bool = False,
        inside: bool = False,
        shown: list[Any] | None = None,
    ) -> Any:
        """Do what `gradient` does, looked at and explained or not: others ask for gradients too.

        `inside` says that cotangents are given, and gradients wanted, as a walk carries them.
        Observers see the sources, or what is to be `shown` to them instead.
        """
        self._check_unused()
        zero = wants_zeros(unconnected_gradients)
        targets = flat_targets(target)
        flat, structure = flat_sources(sources)
        cotangents = flat_cotangents(targets, output_gradients)
        seen = flat if shown is None else shown
        noted = [(each, each.before_gradient(self, targets, seen)) for each in onlookers]
        onlooker = together(found[0] for _, found in noted if found is not None)
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
        results = self._differentiate(targets, cotangents, flat, free, onlooker, inside)
        self._consume()
        for each, found in noted:
            if found is not None:
                each.after_gradient(found[1], results)
        if zero:
            results = [
                zeros_like(source) if result is None else result
                for source, result in zip(flat, results, strict=True)
            ]
        elif explained:
            for result in results:
                if result is None:
                    self._explain_missing(targets, flat, results)
                    break
        return restored(structure, results)

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
        zero = wants_zeros(unconnected_gradients)
        one_tensor("jacobian", "target", target)
        (target,) = flat_targets(target)
        flat, structure = flat_sources(sources)
        if self._active and not self._persistent:
            self._leave()
        shape = target.shape
        rows = self._rows(target, flat, 1, target.size)
        results: list[Any] = []
        for row, source in zip(rows, flat, strict=True):
            if row is None:
                connected = not target.size and self._connected(target, source)
                empty = constant(np.zeros(shape + source.shape, plain_dtype(source)))
                results.append(empty if zero or connected else None)
            else:
                results.append(TENSORS.reshape(row, shape + source.shape))
        self._consume()
        self._explain_missing([target], flat, results, "Jacobian")
        return restored(structure, results)

    def batch_jacobian(
        self,
        target: Any,
        source: Any,
        unconnected_gradients: Any = "none",
        parallel_iterations: int | None = None,
        experimental_use_pfor: bool = True,
    ) -> Tensor:
        """Return, for each entry of the first axis, the Jacobian of that entry alone.

        Args:
            target: a tensor of shape (b, ...), each entry a function of the same entry of source.
            source: a tensor or variable of shape (b, ...).
            unconnected_gradients: the result for an unconnected source is zeros in any case, as in
                TensorFlow; with "none", a warning says why.
            parallel_iterations: taken for TensorFlow's programs; without effect.
            experimental_use_pfor: likewise.

        Returns:
            A tensor of shape `(b,) + target.shape[1:] + source.shape[1:]`; zeros if unconnected.

        Raises:
            TypeError: target or source is a list or other structure.
            ValueError: rank below 2 or different first sizes.
        """
        self._check_unused()
        zero = wants_zeros(unconnected_gradients)
        one_tensor("batch_jacobian", "target", target)
        one_tensor("batch_jacobian", "source", source)
        (target,) = flat_targets(target)
        flat, _ = flat_sources([source])
        if target.ndim < 2:
            raise refusal(
                ValueError,
                f"batch_jacobian: the target has the shape {target.shape}. Shape {target.shape} "
                "must have rank at least 2, the first axis for the entries of the batch; "
                "use jacobian for others",
            )
        if not source.shape or target.shape[0] != source.shape[0]:
            raise refusal(
                ValueError,
                f"Need first dimension of target shape ({target.shape}) and source shape "
                f"({source.shape}) to match: it is the batch. Use jacobian for sources that all "
                "entries share, such as weights",
            )
        if self._active and not self._persistent:
            self._leave()
        batch, inner = target.shape[0], target.shape[1:]
        size = int(np.prod(inner))
        (rows,) = self._rows(target, flat, batch, size)
        self._consume()
        if not zero and size:
            self._explain_missing([target], flat, [rows], "batch Jacobian")
        shape = (batch, *inner, *source.shape[1:])
        if rows is None:
            return constant(np.zeros(shape, plain_dtype(source)))
        return TENSORS.reshape(  # type: ignore[no-any-return]
            TENSORS.moveaxis(rows, 0, 1), shape
        )

    def _rows(
        self, target: Any, flat: list[Any], batch: int, size: int, inside: bool = False
    ) -> list[Any]:
        """Return, by each source, the gradients of each of `size` elements of a target's entries.

        Those of the same element in all `batch` entries are added. None for a source that gets no
        gradient, or if there is no element.
        """
        if not size:
            return [None] * len(flat)

        def walked(cotangent: Any) -> list[Any]:
            return self._differentiate([target], [cotangent], flat, free=False, inside=inside)

        recorded = self._is_recorded(target)
        return rows_of(walked, value_of(target), batch, size, recorded)

    def _is_recorded(self, target: Any) -> bool:
        """Tell whether gradients of a target are themselves recorded now, by another tape."""
        recording, node = self._recording, self._node(target)
        return (
            node is not None
            and state.recording is recording
            and bool(node.live & self._bits)
            and bool(node.live & ~node.recording.paused)
        )

    def _require_here(self) -> None:
        """Refuse a tape that began to record outside of the function that is being traced."""
        if stage.scope is not None and self._active and self._recording is not state.recording:
            raise refusal(
                TracingError,
                "this tape began outside of the compiled function and cannot be used in it: the "
                "Python runs once, when the function is traced, and the tape records the whole "
                "call as one operation. Make the tape in the function, or use it outside",
            )

    def _check_unused(self) -> None:
        self._require_here()
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
        recording = self._recording
        if recording is not None:
            if self._active or recording.suspended:
                self._leave()
            self._release()

    def _connected(self, target: Any, source: Any) -> bool:
        node, origin = self._node(target), self._node(source)
        return (
            node is not None
            and origin is not None
            and bool(node.live & bits_to(origin, self._bits))
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
        return bits_to(self._node(source), self._bits)

    def _differentiate(
        self,
        targets: list[Any],
        cotangents: list[Any],
        flat: list[Any],
        free: bool,
        onlooker: Onlooker | None = None,
        inside: bool = False,
    ) -> list[Any]:
        """Return the gradients of targets with these cotangents, one per source, or None.

        This is the border of the walk: unless it is `inside` another one, cotangents are turned on
        their way in, and gradients on their way out.
        """
        recording = self._recording
        assert recording is not None
        mine = self._bits
        origins = [self._node(source) for source in flat]
        lifted = onlooker is None and any(
            c is not None and c.node is not None and c.node.live for c in cotangents
        )
        others = ~recording.paused if state.recording is recording else 0
        seeds = []
        for target, cotangent in zip(targets, cotangents, strict=True):
            node = self._node(target)
            if node is not None and node.live & mine:
                seeds.append((node, value_of(target), cotangent))
                lifted = lifted or bool(node.live & others)
        bits = [bits_to(origin, mine) for origin in origins]
        kept = recording.kept & ~mine
        found = pull(seeds, origins, bits, kept, lifted, free, onlooker, border=not inside)
        results: list[Any] = []
        for source, g in zip(flat, found, strict=True):
            if g is None:  # the target itself counts, even if it was never watched
                own = [c for t, c in zip(targets, cotangents, strict=True) if t is source]
                g = _sum([seed(value_of(source), c, True) for c in own]) if own else None
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

        Works at any time after the computation, also when `gradient` has freed the graph. Before
        that, the gradient is computed once to see whether it is NaN or infinite, and if so, the
        line is named where that was born.

        Args:
            target: a tensor or variable, or a nested structure of them.
            sources: tensors, variables, models, layers or optimizers (which stand for their
                trainable variables, or all of them if none is), or a nested structure of them.
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
        targets = flat_targets(target)
        flat, structure = asked_sources(sources)
        measured = None
        if magnitudes and self._recording is not None:
            if self._used:
                raise refusal(
                    RuntimeError,
                    "magnitudes can be measured only before gradient() frees the graph: call why "
                    "first, or make the tape with GradientTape(persistent=True)",
                )
            measured = self._measure(targets, flat)
        verdicts = self._verdicts(targets, flat, measured)
        if measured is None:
            verdicts = self._seen_finite(verdicts, targets, flat)
        if model is not None or optimizer is not None:
            verdicts = [
                updated(verdict, source, model, optimizer)
                for verdict, source in zip(verdicts, flat)
            ]
        return FlowReport(verdicts, restored(structure, verdicts))

    def _question(self, targets: list[Any]) -> Question:
        """Return what this tape is asked about, in the words of the record."""
        return question(self._recording, self._bits, self._watch_accessed, targets)

    def _verdicts(
        self, targets: list[Any], flat: list[Any], measured: Magnitudes | None = None
    ) -> list[Verdict]:
        """Return what there is to say of each source."""
        about = self._question(targets)
        found = all_asked(flat)
        verdicts = [explain(about, source, measured) for source in found]
        if measured is not None:
            verdicts = [with_path(each, source, measured) for each, source in zip(verdicts, found)]
        return verdicts

    def _explain_missing(
        self, targets: list[Any], flat: list[Any], results: list[Any], what: str = "gradient"
    ) -> None:
        """Say why gradients are None: to the sources, for later messages, and once per line."""
        missing = [
            source
            for source, result in zip(flat, results)
            if result is None and not (type(source) is Variable and not source.trainable)
        ]
        if not missing or state.recording.walking:
            return
        site = where()
        key = id(site[0]), site[1]
        known = key in _explained
        if known and all(type(s) is Tensor or s._source.missing for s in missing):
            return
        verdicts = self._verdicts(targets, missing)
        for source, verdict in zip(missing, verdicts):
            if type(source) is Variable:
                source._source.missing = verdict, None
        _explained[key] = site[0]
        if known:
            return
        said = f"the {what} is None for {len(missing)} of {len(flat)} source(s):\n"
        said += in_short(verdicts)
        if onlookers:  # they report at the end; but where a warning is an error, it stays one
            with warnings.catch_warnings(record=True, module=warnings):
                warn_missing(said)
        elif warn_missing(said):
            for source, verdict in zip(missing, verdicts):
                if type(source) is Variable:
                    source._source.missing = verdict, Site(*site)

    def _measure(self, targets: list[Any], flat: list[Any]) -> Magnitudes:
        """Walk from the targets to the sources, only to look at the cotangents."""
        measured = self._meter(targets, flat)
        with unrecorded():
            self._differentiate(targets, [None] * len(targets), flat, False, measured)
        return measured

    def _meter(self, targets: list[Any], flat: list[Any], kind: type[Meter] = Meter) -> Meter:
        """Return who looks on at a walk from the targets to the sources."""

        def known() -> dict[int, Any]:
            pairs = [(self._node(given), value_of(given)) for given in flat]
            pairs += [(self._node(given), given._value) for given in self._watched.values()]
            return {node.seq: value for node, value in pairs if type(node) is Leaf}

        nodes = [(self._node(target), value_of(target)) for target in targets]
        return kind([(node, value) for node, value in nodes if node is not None], known)

    def _seen_finite(
        self, verdicts: list[Verdict], targets: list[Any], flat: list[Any]
    ) -> list[Verdict]:
        """Return verdicts on sources that gradient reaches anew, where it is not finite.

        For that it is computed, if the graph is still there. What a custom rule withholds is not
        noted by the way.
        """
        recording = self._recording
        values = [value_of(target) for target in targets]
        if (
            recording is None
            or self._used
            or not any(verdict.verdict == "connected" for verdict in verdicts)
            or any(map(is_traced, values))
        ):
            return verdicts
        noted = recording.cuts.refused, recording.sources.blocked
        try:
            measured = self._measure(targets, flat)
        except Exception:  # another tape has freed it, or a rule cannot run: that is another matter
            return verdicts
        finally:
            recording.cuts.refused, recording.sources.blocked = noted
        return [
            if_not_finite(verdict, asked(source, verdict.source), measured)
            for verdict, source in zip(verdicts, flat)
        ]


_explained: dict[tuple[int, int], Any] = {}
"""The lines that were told why their gradients are None, with their code objects."""


def _serial(source: Source) -> int:
    return source.serial


def _sum(parts: list[Any]) -> Any:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


class _Stopped:
    """The block of `GradientTape.stop_recording`."""

    __slots__ = ("tape",)

    def __init__(self, tape: GradientTape) -> None:
        self.tape = tape

    def __enter__(self) -> None:
        tape = self.tape
        recording, mine = tape._recording, tape._reference
        if recording is None:
            raise refusal(RuntimeError, "Trying to stop recording a tape which is not recording.")
        if not tape._active:
            raise refusal(ValueError, "Tape is not recording.")
        try:
            recording.suspended = [*recording.suspended, mine]
            recording.tapes = [each for each in recording.tapes if each is not mine]
            tape._active = False
            recording.refresh()
        except BaseException:  # an interrupt: nobody will leave what was not entered
            self.__exit__()
            raise

    def __exit__(self, *exception: object) -> None:
        tape = self.tape
        recording, mine = tape._recording, tape._reference
        assert recording is not None
        if mine not in recording.suspended:
            return  # the tape itself was left
        recording.tapes = [*(each for each in recording.tapes if each is not mine), mine]
        recording.suspended = [each for each in recording.suspended if each is not mine]
        tape._active = True
        recording.refresh()
