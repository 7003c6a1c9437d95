"""hg.function: the same program, compiled.

A compiled function runs its Python once for each signature (`headgate.signature`), on stand-ins for
arrays, and what it does becomes a program of an executor (`headgate.xla`). That program is what
runs from then on.

Programs have no variables, so those that the function reads or writes are *lifted*: their arrays
are passed in, and new ones passed out and put back into the cells. Which they are is found while
the function is traced (`headgate.scope`): it is traced until the variables that were passed in are
those that it met, which takes two times for the first signature and mostly one for others. State of
every sort is found in this way, for it lives in variables: that of optimizers, moving statistics,
metrics, random generators.

The array of a variable that is written is *donated*: the program writes its results there. If
somebody else holds it, the program is given a copy. Between calls the arrays stay with the
executor, and the program's own library gets them when it asks (`headgate.variable`). So a program
on NumPy stays one, and results are NumPy's unless an argument or a variable is the executor's own.

Called under a tape, a compiled function is one node. Its rule is another compiled function, which
runs the same Python under a tape of its own, and is itself differentiated in this way.
"""

from __future__ import annotations

import functools
import threading
import types
import warnings
from collections.abc import Callable, Sequence
from sys import getrefcount
from typing import Any

import numpy as np

from headgate import xla
from headgate.custom import record_custom
from headgate.graph import Recording, TracingError, observers, refusal, sequence, state
from headgate.leaks import no_leaks
from headgate.namespace import Array
from headgate.op import as_tensor, is_inexact
from headgate.scope import Scope, stage
from headgate.signature import Form, Frame, Given, Parameters
from headgate.tape import GradientTape
from headgate.tensor import Tensor, constant, tensor_of
from headgate.variable import Variable, bind, in_transit, node_of

_ATTEMPTS = 5  # at most so many times is a function traced to find its variables
_MANY = 5  # so many times may a function be compiled again before it is called a mistake


class RecompileWarning(UserWarning):
    """A function is compiled again and again; says which argument changes."""


# -- variables on their way to a program and back --------------------------------------------------


def _holders(variable: Variable) -> int:
    array = variable._resident
    return getrefcount(array)


def _alone() -> int:
    probe = Variable(0.0)
    probe._resident = np.zeros(3)
    return _holders(probe)


_ALONE = _alone()
"""What `_holders` counts for an array that only its variable holds."""


def _lent(variable: Variable) -> Array:
    """Return a variable's array as the executor's own, which is kept for later calls."""
    if variable._resident is None:
        held = variable._array
        variable._resident = held if xla.is_native(type(held)) else xla.native(held)
    return variable._resident


# -- one signature ---------------------------------------------------------------------------------


class _Variant:
    """A function traced for one signature: its program, its variables, the form of its result."""

    __slots__ = (
        "call",
        "described",
        "donated",
        "form",
        "frame",
        "program",
        "pulls",
        "read",
        "wide",
        "written",
    )

    def __init__(self, trace: _Trace, program: Any, described: dict[str, str], wide: bool) -> None:
        self.program = program
        self.written = trace.written
        self.read = trace.read
        self.donated = trace.donated
        self.frame = trace.frame
        self.form: Form = trace.form
        self.described = described
        self.wide = wide
        self.call: Callable[..., Any] | None = None
        self.pulls: dict[tuple[bool, ...], _Pull] = {}

    def run(self, leaves: list[Any], native: bool) -> list[Tensor]:
        """Run the program on the variables and these arrays; return its results."""
        call = self.call
        if call is None:
            call = self.call = self.program.compile()
        with in_transit:
            used, at_home = [], []
            for variable in self.written:
                array = variable._resident
                if array is None:
                    array = _lent(variable)
                if variable._array is array:
                    at_home.append(variable)
                    variable._array = None  # so that other threads wait for the new one
                if getrefcount(array) > _ALONE:
                    array = xla.native(array)
                used.append(array)
            kept = []
            for variable in self.read:
                array = variable._resident
                if array is None:
                    array = _lent(variable)
                if variable._array is array:
                    native = True
                kept.append(array)
            if self.donated:
                used += [leaves[k] for k in self.donated]
                leaves = [leaf for k, leaf in enumerate(leaves) if k not in self.donated]
            kept += leaves
            try:
                if self.wide:
                    with xla.wide():
                        new, results = call(used, kept)
                else:
                    new, results = call(used, kept)
            except BaseException:
                for variable in at_home:
                    variable._array = variable._resident
                raise
            for variable, array in zip(self.written, new):
                variable._resident = array
                variable._array = None
            for variable in at_home:
                variable._array = variable._resident
        if native or at_home:
            return [constant(array) for array in results]
        return [constant(xla.host(array)) for array in results]


class _Trace:
    """What an executor runs on stand-ins: the function with its variables as arguments."""

    def __init__(
        self,
        function: Callable[..., Any],
        frame: Frame,
        written: list[Variable],
        read: list[Variable],
        donated: Sequence[int],
    ) -> None:
        self.function = function
        self.frame = frame
        self.written = written
        self.read = read
        self.donated = donated
        self.scope = Scope(self._stand_in)
        self.given: dict[Any, Array] = {}
        self.form: Any = None

    def _stand_in(self, variable: Variable) -> Array:
        given = self.given.get(variable._source)
        return xla.stand_in(variable._form) if given is None else given

    def __call__(self, used: Sequence[Any], kept: Sequence[Any]) -> Any:
        written, read = len(self.written), len(self.read)
        lifted = [*zip(self.written, used), *zip(self.read, kept)]
        self.given = {variable._source: array for variable, array in lifted}
        leaves = list(kept[read:])
        for k, array in zip(self.donated, used[written:]):
            leaves.insert(k, array)
        args, kwargs = self.frame.filled([constant(leaf) for leaf in leaves])
        outside, state.recording = state.recording, Recording()
        try:
            with self.scope.entered():
                self.form = Form(self.function(*args, **kwargs))
        finally:
            state.recording = outside
        results, self.form.arrays = self.form.arrays, []
        return [_new_value(self.scope, variable) for variable in self.found[0]], results

    @property
    def found(self) -> tuple[list[Variable], list[Variable]]:
        """The variables that were written, and those that were read only."""
        written = self.scope.written
        return list(written.values()), [v for s, v in self.scope.met.items() if s not in written]


def _new_value(scope: Scope, variable: Variable) -> Array:
    value = xla.fitted(scope.values[variable._source], variable._form)
    if value.shape != variable.shape:
        raise refusal(
            ValueError,
            f"variable {variable.name!r} has the shape {variable.shape} and was given a value of "
            f"the shape {value.shape}",
        )
    return value


def _same(one: list[Variable], other: list[Variable]) -> bool:
    return [v._source for v in one] == [v._source for v in other]


# -- the function ----------------------------------------------------------------------------------


class Function:
    """A compiled function; made by `headgate.function`."""

    def __init__(
        self,
        function: Callable[..., Any],
        donate: bool | Sequence[str] = True,
        static_argnames: Sequence[str] = (),
        jit: bool = True,
    ) -> None:
        self._function = function
        self._settings = donate, static_argnames, jit
        self._jit = jit
        self._parameters = Parameters(function, static_argnames)
        names = () if isinstance(donate, bool) else donate
        self._donated = self._parameters.known("donate", names)
        self._donates = donate is not False
        self._variants: dict[Any, _Variant] = {}
        self._tracing = threading.RLock()
        functools.update_wrapper(self, function, updated=())
        self.__name__ = getattr(function, "__name__", type(function).__name__)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if stage.scope is not None or not self._jit or observers:  # who looks on sees all ops
            return self._function(*args, **kwargs)
        given = self._parameters.given(args, kwargs)
        if given.traced:  # what this does becomes a part of somebody else's program
            return self._function(*args, **kwargs)
        variant = self._variants.get(given.key)
        if variant is None:
            variant = self._new_variant(given, args, kwargs)
        recording = state.recording
        if recording.in_use or recording.read_log is not None:
            return self._recorded(variant, given)
        return variant.form.filled(variant.run(given.leaves, given.native))

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Return the function of one instance: compiled for that alone, and gone with it."""
        if instance is None:
            return self
        bound = type(self)(types.MethodType(self._function, instance), *self._settings)
        if hasattr(instance, "__dict__"):
            instance.__dict__[self.__name__] = bound
        return bound

    def __repr__(self) -> str:
        return f"<headgate.function {self.__name__}, {len(self._variants)} signatures>"

    @property
    def signatures(self) -> list[dict[str, str]]:
        """What the function was traced for: its arguments in words, one entry per signature."""
        return [dict(variant.described) for variant in self._variants.values()]

    def trace(self, *args: Any, **kwargs: Any) -> _Variant:
        """Trace the function for these arguments, if that was not done before; nothing is run."""
        given = self._parameters.given(args, kwargs)
        return self._variants.get(given.key) or self._new_variant(given, args, kwargs)

    def lower_text(self, *args: Any, **kwargs: Any) -> str:
        """Return the program for these arguments as text (StableHLO); nothing is run.

        >>> import headgate as hg
        >>> double = hg.function(lambda x: x * 2.0)
        >>> "stablehlo.multiply" in double.lower_text(hg.asarray([1.0]))
        True
        """
        text: str = self.trace(*args, **kwargs).program.text()
        return text

    # -- tracing ----------------------------------------------------------------------------------

    def _new_variant(self, given: Given, args: Any, kwargs: Any) -> _Variant:
        """Trace the function for a signature that is new."""
        with self._tracing:
            known = self._variants.get(given.key)
            if known is not None:  # another thread was quicker
                return known
            leaves = self._parameters.described(args, kwargs)
            described = {name: text for name, text, _ in leaves}
            names = [name for name, _, taken in leaves if taken]
            donated = [k for k, name in enumerate(names) if name.split("[")[0] in self._donated]
            if len(self._variants) > _MANY:
                self._warn_of_many(described)
            frame = self._parameters.frame(args, kwargs)
            trace, program = self._traced(frame, given.leaves, donated)
            variant = _Variant(trace, program, described, any(map(_is_wide, given.leaves)))
            self._variants[given.key] = variant
            return variant

    def _traced(self, frame: Frame, leaves: list[Any], donated: list[int]) -> tuple[_Trace, Any]:
        used_leaves = [leaves[k] for k in donated]
        kept_leaves = [leaf for k, leaf in enumerate(leaves) if k not in donated]
        last = next(reversed(self._variants.values()), None)
        written, read = (last.written, last.read) if last else ([], [])
        for _ in range(_ATTEMPTS):
            start = sequence()
            trace = _Trace(self._function, frame, written, read, donated)
            with no_leaks(self._function):
                program = xla.trace(
                    trace,
                    [*(variable._form for variable in written), *used_leaves],
                    [*(variable._form for variable in read), *kept_leaves],
                    self._donates,
                )
            found = trace.found
            if _same(found[0], written) and _same(found[1], read):
                return trace, program
            written, read = found
        made = [v for v in (*written, *read) if v._source.serial > start]
        names = ", ".join(f"{v.name!r} (made at {v._source.made})" for v in made)
        raise refusal(
            TracingError,
            f"{self.__name__} meets other variables each time that it is traced"
            + (f": {names}" if made else "")
            + ". Make variables once: before the function is called, or behind an `if` that is "
            "true the first time only",
        )

    def _warn_of_many(self, described: dict[str, str]) -> None:
        """Say which arguments change so often that the function is compiled again and again."""
        changing = []
        for name in dict.fromkeys([*described, *self.signatures[-1]]):
            past = [signature.get(name, "absent") for signature in self.signatures]
            now = described.get(name, "absent")
            if past[-1] != now:
                changing.append(f"{name}: {past[-1]}, now {now}")
        warnings.warn(
            f"{self.__name__} is compiled again, having been so for {len(self._variants)} "
            f"signatures. What changes: {'; '.join(changing) or 'the structure of its arguments'}. "
            "Compiling takes long. Pad arrays to a few shapes; pass a number that changes as it is "
            "or as an array, and not as a static argument",
            RecompileWarning,
            stacklevel=4,
        )

    # -- under a tape -----------------------------------------------------------------------------

    def _recorded(self, variant: _Variant, given: Given) -> Any:
        """Run a program as one node of the tapes that record."""
        recording = state.recording
        variables = [*variant.written, *variant.read]
        nodes = [node_of(variable) for variable in variables]  # which lets the tapes watch them
        with in_transit:
            values = [tensor_of(_lent(v), node) for v, node in zip(variables, nodes)]
        inputs = [*values, *map(as_tensor, given.tensors)]
        live = tuple(
            is_inexact(x) and x.node is not None and bool(recording.admit(x.node)[0])
            for x in inputs
        )
        results = variant.run(given.leaves, given.native)
        if not any(live):
            return variant.form.filled(results)
        pull = variant.pulls.get(live)
        if pull is None:
            pull = variant.pulls[live] = _Pull(self._function, variant, live)
        pull.prepare(inputs, results)

        def gradients(cotangents: list[Tensor], recorded: bool) -> list[Any]:
            given = inputs if recorded else [constant(x.value) for x in inputs]
            return list(pull.function(given, cotangents))

        sources = [x for x, reached in zip(inputs, pull.reached) if reached]
        cuts = recording.translated(*pull.cuts)
        return variant.form.filled(record_custom(self.__name__, results, sources, gradients, cuts))


class _Pull:
    """From the cotangents of a function's results to the gradients of its inputs.

    `live` says which inputs (variables, then arguments) gradients are wanted of; `reached`, known
    when it was traced, which of them get one. `cuts` are those that lie in the function.
    """

    def __init__(
        self, function: Callable[..., Any], variant: _Variant, live: tuple[bool, ...]
    ) -> None:
        self.body = function
        self.frame = variant.frame
        self.variables = [*variant.written, *variant.read]
        self.live = live
        self.reached: list[bool] = []
        self.cuts: tuple[Recording, int] = Recording(), 0
        self.function = Function(self._gradients)

    def prepare(self, inputs: list[Tensor], results: list[Tensor]) -> None:
        """Trace it now, for results of this form."""
        if not self.reached:
            given = [constant(x.value) for x in inputs]
            self.function.trace(given, [constant(result.value) for result in results])

    def _gradients(self, inputs: list[Any], cotangents: list[Tensor]) -> list[Tensor]:
        outer, count = stage.scope, len(self.variables)
        held = {v._source: x.value for v, x in zip(self.variables, inputs)}
        scope = Scope(
            lambda v: held[v._source] if v._source in held else outer.get(v)  # type: ignore[union-attr]
        )
        leaves = [tensor_of(x.value, x.node) for x in map(as_tensor, inputs[count:])]
        wanted = [x for x, live in zip([*self.variables, *leaves], self.live) if live]
        with scope.entered(), GradientTape(watch_accessed_variables=False) as tape:
            for variable, x in zip(self.variables, inputs):
                if x.node is not None:  # somebody differentiates this gradient
                    bind(variable, x.node)
            tape.watch(wanted)
            args, kwargs = self.frame.filled(leaves)
            results = Form.of_tensors(self.body(*args, **kwargs))
        targets = [(t, c) for t, c in zip(results, cotangents) if is_inexact(t)]
        self.cuts = (
            tape._recording,
            functools.reduce(  # type: ignore[assignment]
                lambda mask, pair: mask | (pair[0].node.cuts if pair[0].node else 0), targets, 0
            ),
        )
        with scope.entered():
            found = tape._gradient([t for t, _ in targets], wanted, [c for _, c in targets])
        given = iter(found)
        gradients = [next(given) if live else None for live in self.live]
        self.reached = [gradient is not None for gradient in gradients]
        return [gradient for gradient in gradients if gradient is not None]


def _is_wide(leaf: Any) -> bool:
    """Tell whether an argument is of 64 bits, or a number."""
    return not hasattr(leaf, "dtype") or leaf.dtype.itemsize >= 8


def function(
    f: Callable[..., Any] | None = None,
    *,
    donate: bool | Sequence[str] = True,
    static_argnames: str | Sequence[str] = (),
    jit: bool = True,
) -> Any:
    """Compile a function of tensors; use it as a decorator or call it.

    Args:
        f: a function of tensors, arrays and numbers, in any structure of lists, tuples and
            dictionaries; it may read and assign variables, take optimizer steps, update metrics,
            draw random numbers and use tapes. Its Python runs once for each signature; what is
            neither array nor number (a boolean, a text, an object) is a part of the signature.
        donate: whether the program may write over the old arrays of variables that it writes.
            Names of parameters: over these arguments as well, which their giver loses.
        static_argnames: parameters whose value is a part of the signature; needed for numbers that
            decide on shapes or on numbers of steps.
        jit: `False` runs the Python each time, to debug it.

    Returns:
        A function with the same arguments and result. Its results are NumPy's unless an argument or
        a variable is a JAX array. `lower_text(*args)` shows the program, `signatures` what it was
        compiled for.

    Raises:
        TracingError: the function needs to know a value while it is traced; says where, and what to
            do instead.
        ImportError: JAX is not installed.

    Warns:
        RecompileWarning: it is compiled for a seventh signature or a later one.

    >>> import headgate as hg
    >>> w = hg.Variable([1.0, 2.0])
    >>> @hg.function
    ... def step(x):
    ...     with hg.GradientTape() as tape:
    ...         loss = hg.sum((w * x - 1.0) ** 2)
    ...     w.assign_sub(0.1 * tape.gradient(loss, w))
    ...     return loss
    >>> x = hg.asarray([1.0, 1.0])
    >>> losses = [float(step(x)) for _ in range(3)]
    >>> [round(loss, 3) for loss in losses], w.numpy()
    ([1.0, 0.64, 0.41], array([1.   , 1.512]))
    """
    if f is None:
        return functools.partial(function, donate=donate, static_argnames=static_argnames, jit=jit)
    if not callable(f):
        raise TypeError(f"function compiles a function, not {type(f).__name__}")
    return Function(f, donate, static_argnames, jit)
