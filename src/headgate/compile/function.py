"""hg.function: the same program, compiled.

A compiled function runs its Python once for each signature (`headgate.compile.signature`), on
stand-ins for arrays, and what it does becomes a program of an executor
(`headgate.compile.executor`). That program is what runs from then on.

Programs have no variables, so those that the function reads or writes are *lifted*: their arrays
are passed in, and new ones passed out and put back into the cells. Which they are is found while
the function is traced (`headgate.core.scope`): it is traced until the variables that were passed in
are those that it met, which takes two times for the first signature and mostly one for others.
State of every sort is found in this way, for it lives in variables: that of optimizers, moving
statistics, metrics, random generators.

Between calls the arrays stay with the executor, and the user's program gets them when it asks
(`headgate.core.bundle`). So a program on NumPy stays one, and results are NumPy's unless an
argument or a variable is the executor's own.

No call loses a variable: whatever fails or interrupts, all variables are as before the call or as
after it. Where nothing can fail once the program runs (the executor tells), the arrays of variables
that are written are *donated*: the program writes its results there, in one call that no signal
splits (`Bundle.write_over`). Otherwise the old arrays stay until the new ones are there, and are
exchanged for them at once. On request all programs are given the arrays; one that fails has lost
them then.

Called under a tape, a compiled function is one node. Its rule is another compiled function, which
runs the same Python under a tape of its own, and is itself differentiated in this way.
"""

from __future__ import annotations

import functools
import inspect
import threading
import types
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from headgate.compile.alarms import Alarms, asking
from headgate.compile.executor import Executor, Tracing, at_work, preferred
from headgate.compile.leaks import is_other, no_leaks, outside
from headgate.compile.precision import PRECISIONS, products
from headgate.compile.signature import Form, Frame, Given, Parameters, Quick
from headgate.core.bundle import Bundle, in_transit
from headgate.core.checks import choice, flag, optional
from headgate.core.custom import record_custom
from headgate.core.failure import is_about_values
from headgate.core.lift import as_tensor, is_inexact, owned
from headgate.core.namespace import Array
from headgate.core.scope import open_scopes, stage
from headgate.core.settings import Log, changes, logging
from headgate.core.tape import GradientTape
from headgate.core.tensor import Tensor, constant, tensor_of
from headgate.core.traced import is_traced
from headgate.core.variable import Variable, bind, node_of
from headgate.record.cuts import sequence
from headgate.record.errors import TracingError, refusal
from headgate.record.graph import Node, Recording, apart, ghost, state
from headgate.record.onlooker import onlookers
from headgate.record.site import caller

_ATTEMPTS = 5  # at most so many times is a function traced to find its variables
_AHEAD = 1  # so many large programs may still run when the next one is started
_MANY_AHEAD = 16  # and so many small ones, which are waited for all at once
_MANY = 5  # so many times may a function be compiled again before it is called a mistake


class RecompileWarning(UserWarning):
    """A function is compiled again and again; says which argument changes."""


# -- one signature ---------------------------------------------------------------------------------


class _Variant:
    """A function traced for one signature: its program, its variables, the form of its result."""

    __slots__ = (
        "ahead",
        "alarms",
        "bundle",
        "call",
        "described",
        "donated",
        "executor",
        "first",
        "form",
        "frame",
        "history",
        "outside",
        "over",
        "program",
        "pulls",
        "quick",
        "read",
        "seen_in",
        "settings",
        "silent",
        "wide",
    )

    def __init__(
        self,
        trace: _Trace,
        program: Any,
        bundle: Bundle,
        described: dict[str, str],
        wide: bool,
        alarms: Alarms | None,
    ) -> None:
        self.executor = trace.executor
        self.alarms = alarms
        self.program = program
        self.bundle = bundle
        self.read = trace.read
        self.donated = trace.donated
        self.first = trace.first
        self.over = trace.first and program.donates  # whether it writes over its variables
        self.ahead: bool | None = None  # whether Python goes on while the program runs
        self.frame = trace.frame
        self.settings = trace.log.closed()
        self.outside = outside(trace.function) if trace.noticing else ()
        self.form: Form = trace.form
        self.silent = all(type(kind) is tuple for kind in self.form.kinds)  # returns no array
        self.described = described
        self.wide = wide
        self.call: Callable[..., Any] | None = None
        self.quick: Quick | None = None
        self.history: Node | None = None
        self.seen_in: Recording | None = None  # the recording that this history is for
        self.pulls: dict[tuple[bool, ...], _Pull] = {}

    def past(self, recording: Recording) -> Node | None:
        """Return what tells, of results that no tape saw being made, which variables went in."""
        read = [v for v in (*self.bundle.variables, *self.read) if v.trainable]
        nodes = [node for node in map(node_of, read) if node is not None]
        self.history = ghost(recording, _union(map(recording.admit, nodes)))
        self.seen_in = state.recording
        return self.history

    def _checked(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return a call that raises what the program reports, before its results are used."""
        alarms, executor = self.alarms, self.executor
        if alarms is None:
            return call

        def checked(used: Sequence[Any], kept: Sequence[Any]) -> Any:
            found = call(used, kept)
            executor.settle()
            alarms.settle()
            return found

        return checked

    def run(self, leaves: list[Any], native: bool, node: Node | None = None) -> list[Tensor]:
        """Run the program on the variables and these arrays; return its results with a node."""
        executor, bundle = self.executor, self.bundle
        if self.call is None:
            self.call = self._checked(self.program.compile())
        with in_transit:
            if bundle.shared or bundle.past or bundle.trailing or not bundle.intact:
                self._prepare(bundle)
            used = bundle.arrays
            native = native or bundle.native
            kept: list[Any] = []
            if not self.first:
                kept += used
                used = []
            for variable in self.read:
                holder, index = variable._place or lent(variable, executor)
                native = native or holder.native
                kept.append(holder.arrays[index])
            if native or self.silent:  # nobody waits, and a buffer may be filled again meanwhile
                leaves = [owned(leaf) for leaf in leaves]
            if self.donated:
                used = [leaves[k] for k in self.donated]
                leaves = [leaf for k, leaf in enumerate(leaves) if k not in self.donated]
            kept += leaves
            results = self._answer(used, kept)
            new: list[Array] = []
            if not self.over:
                new, results = results, results.pop()
            if not native:
                results = [executor.host(array) for array in results]  # which waits for them
            if new:
                bundle.renew(new, self._is_there(new[0], waited=not (native or self.silent)))
        return [tensor_of(array, node) for array in results]

    def _prepare(self, bundle: Bundle) -> None:
        """Have all variables in the bundle, only these, and not too many programs under way."""
        if bundle.trailing:
            bundle.trim()
        if not bundle.intact or (self.over and bundle.shared):
            bundle.gather(self.executor, self.over)
        if bundle.past:
            if self.program.risky:
                bundle.settle(_AHEAD)
            elif len(bundle.past) > _MANY_AHEAD:
                bundle.settle()

    def _answer(self, used: list[Any], kept: list[Any]) -> Any:
        """Return the program's results; if new arrays are not in place, these and that list."""
        try:
            if self.wide:
                with self.executor.wide():
                    return self._called(used, kept)
            return self._called(used, kept)
        except ValueError as error:
            self.call = self._checked(self.program.moved(error, used, kept))
            with self.executor.wide():
                return self._called(used, kept)

    def _called(self, used: list[Any], kept: list[Any]) -> Any:
        call: Any = self.call
        given = self.program.offered(used)
        return self.bundle.write_over(call, given, kept) if self.over else call(given, kept)

    def _is_there(self, array: Array, waited: bool) -> bool:
        """Tell whether it is known that a program has not failed; wait for it if that is best."""
        if waited:
            return True
        if self.ahead is None:
            self.ahead = not self.program.risky or self.executor.runs_ahead(array)
        if not self.ahead:
            self.executor.wait(array)
        return not self.ahead


def lent(variable: Variable, executor: Executor) -> tuple[Bundle, int]:
    """Put a variable that is only read into a bundle of its own."""
    bundle = Bundle([variable])
    bundle.lend(executor)
    return bundle, 0


class _Trace:
    """What an executor runs on stand-ins: the function with its variables as arguments."""

    def __init__(
        self,
        executor: Executor,
        function: Callable[..., Any],
        frame: Frame,
        written: list[Variable],
        read: list[Variable],
        donated: Sequence[int],
        first: bool,
        noticing: bool,
        precision: str | None,
    ) -> None:
        self.executor = executor
        self.precision = precision
        self.noticing = noticing
        self.function = function
        self.frame = frame
        self.written = written
        self.read = read
        self.donated = donated
        self.first = first  # whether written variables are what the program may use up
        self.scope = Tracing(self._stand_in, executor)
        self.given: dict[Any, Array] = {}
        self.form: Any = None
        self.log = Log()

    def _stand_in(self, variable: Variable) -> Array:
        given = self.given.get(variable._source)
        return self.executor.stand_in(variable._form) if given is None else given

    def __call__(self, used: Sequence[Any], kept: Sequence[Any]) -> Any:
        written = len(self.written)
        if self.first:
            held, used = [*used[:written], *kept], used[written:]
        else:
            held = list(kept)
        lifted = list(zip([*self.written, *self.read], held))
        self.given = {variable._source: array for variable, array in lifted}
        leaves = held[len(lifted) :]
        for k, array in zip(self.donated, used):
            leaves.insert(k, array)
        args, kwargs = self.frame.filled([constant(leaf) for leaf in leaves])
        with apart(), self.scope.entered(), logging(self.log if self.noticing else None):
            if self.precision is None:
                _ = products.matmul_precision  # so that it is a part of the signature
            self.form = Form(self.function(*args, **kwargs), self.executor)
        results, self.form.arrays = self.form.arrays, []
        new = [_new_value(self.scope, variable) for variable in self.found[0]]
        self.scope.values.clear()  # stand-ins must not outlive the trace
        return [*new, results]

    @property
    def found(self) -> tuple[list[Variable], list[Variable]]:
        """The variables that were written, and those that were read only."""
        written = self.scope.written
        return list(written.values()), [v for s, v in self.scope.met.items() if s not in written]


def _new_value(scope: Tracing, variable: Variable) -> Array:
    value = scope.executor.fitted(scope.values[variable._source], variable._form)
    if value.shape != variable.shape:
        raise refusal(
            ValueError,
            f"variable {variable.name!r} has the shape {variable.shape} and was given a value of "
            f"the shape {value.shape}",
        )
    return value


def _same(one: Sequence[Variable], other: Sequence[Variable]) -> bool:
    return [v._source for v in one] == [v._source for v in other]


# -- the function ----------------------------------------------------------------------------------


class Function:
    """A compiled function; made by `headgate.function`."""

    _constants = False
    """Whether Python numbers are constants of the program, each value a signature of its own."""

    _cure = (
        "Pad arrays to a few shapes; pass a number that changes as it is or as an array, and not "
        "as a static argument"
    )

    _noticing = True
    """Whether settings that the Python has read are a part of the signature."""

    def __init__(
        self,
        function: Callable[..., Any],
        donate: bool | Sequence[str] | None = None,
        static_argnames: Sequence[str] = (),
        jit: bool = True,
        executor: Executor | None = None,
        check: bool = False,
        precision: str | None = None,
    ) -> None:
        self._function = function
        self._executor = executor = executor or preferred()
        self._settings: tuple[Any, ...] = (donate, static_argnames, jit, executor, check, precision)
        self._check = flag("function", "check", check)
        self._jit = flag("function", "jit", jit)
        self._precision = optional(choice, "function", "precision", precision, PRECISIONS)
        self._parameters = Parameters(function, static_argnames, executor, self._constants)
        names = () if donate is None or isinstance(donate, bool) else donate
        self._donated = self._parameters.known("donate", names)
        self._donates = donate if donate is None or isinstance(donate, bool) else False
        self._variants: dict[Any, _Variant] = {}
        self._others: dict[Any, list[_Variant]] = {}  # of the same signature, for other settings
        self._last: _Variant | None = None
        self._tracing = threading.RLock()
        self._origin: Function | None = None  # of a method: the function in the class
        functools.update_wrapper(self, function, updated=())
        self.__name__ = getattr(function, "__name__", type(function).__name__)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # Most calls are like the one before, and are recognized at once.
        last = self._last
        if (
            last is not None
            and last.settings.seen == changes.count
            and not (kwargs or open_scopes or onlookers)
            and stage.training is None
        ):
            quick: Any = last.quick
            leaves = quick.leaves(args)
            if leaves is not None:
                if last.outside:
                    self._look_outside(last)
                recording = state.recording
                if not (recording.tapes or recording.suspended or recording.read_log is not None):
                    node = last.history if last.seen_in is recording else last.past(recording)
                    return last.form.filled(last.run(leaves, quick.native, node))
        return self._called(args, kwargs)

    def _called(self, args: Any, kwargs: Any) -> Any:
        if stage.scope is not None or not self._jit or onlookers:  # who looks on sees all ops
            with self._precise():
                return self._function(*args, **kwargs)
        given = self._parameters.given(args, kwargs)
        if given.traced:  # what this does becomes a part of somebody else's program
            with self._precise():
                return self._function(*args, **kwargs)
        known = self._known(given)
        variant = known or self._new_variant(given, args, kwargs)
        if variant.outside and known is not None:
            self._look_outside(variant)
        recording = state.recording
        if recording.in_use or recording.read_log is not None:
            return self._recorded(variant, given, fresh=known is None)
        if not kwargs and not self._parameters.static:
            if variant.quick is None or variant.quick.native is not given.native:
                variant.quick = Quick(args, self._parameters.sorts)
            quick = variant.quick.forms is not None and stage.training is None
            self._last = variant if quick else None
        node = variant.past(recording)
        return variant.form.filled(variant.run(given.leaves, given.native, node))

    def _precise(self) -> AbstractContextManager[Any]:
        """Return the block in which the Python runs as it stands."""
        precision = self._precision
        return nullcontext() if precision is None else self._executor.precise(precision)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Return the function of one instance: compiled for that alone, and gone with it."""
        if instance is None:
            return self
        kept = getattr(instance, "__dict__", {})
        name = self._name_in(type(instance))
        bound = kept.get(name)
        if bound is None:
            bound = type(self)(types.MethodType(self._function, instance), *self._settings)
            bound._origin = self
            kept[name] = bound
        return bound

    def _name_in(self, kind: type) -> str:
        """Return where an instance keeps its function: another place if `super()` leads here."""
        for base in kind.__mro__:
            for name, value in vars(base).items():
                if value is self:
                    overridden = inspect.getattr_static(kind, name) is not self
                    return f"{base.__qualname__}.{name}" if overridden else name
        return self.__name__

    def __reduce__(self) -> Any:
        """Copy a method with its instance, which compiles anew; a function is its name."""
        if self._origin is not None:
            return self._origin.__get__, (self._function.__self__,)  # type: ignore[attr-defined]
        if isinstance(self._function, types.MethodType):  # of what is copied, not of this one
            settings = [None if each is self._executor else each for each in self._settings]
            return type(self), (self._function, *settings)
        return self.__qualname__  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        return f"<headgate.function {self.__name__}, {len(self._all)} signatures>"

    @property
    def signatures(self) -> list[dict[str, str]]:
        """What the function was traced for: its arguments in words, one entry per signature."""
        return [dict(variant.described) for variant in self._all]

    def _variant(self, args: Any, kwargs: Any) -> _Variant:
        """Trace the function for these arguments, if that was not done before; nothing is run."""
        given = self._parameters.given(args, kwargs)
        return self._known(given) or self._new_variant(given, args, kwargs)

    def _known(self, given: Given) -> _Variant | None:
        """Return the variant of a signature, if it was traced with the settings of now."""
        if stage.training is not None:  # called by a layer, which hands that down
            given.key = given.key, stage.training
        variant = self._variants.get(given.key)
        if variant is None or variant.settings.hold():
            return variant
        others = self._others.get(given.key, [])
        found = next((other for other in others if other.settings.hold()), None)
        if found is not None:
            others.remove(found)
            others.append(variant)
            self._variants[given.key] = found
        return found

    def lower_text(self, *args: Any, **kwargs: Any) -> str:
        """Return the program for these arguments as text (StableHLO); nothing is run.

        >>> import headgate as hg
        >>> double = hg.function(lambda x: x * 2.0)
        >>> "stablehlo.multiply" in double.lower_text(hg.asarray([1.0]))
        True
        """
        text: str = self._variant(args, kwargs).program.text()
        return text

    def _look_outside(self, variant: _Variant) -> None:
        """Warn, once, of numbers and arrays from outside that are others by now."""
        names = [
            name
            for name, look, held in variant.outside
            if (now := look()) is not held and is_other(held, now)
        ]
        if names:
            variant.outside = ()
            site = caller()
            warnings.warn_explicit(
                f"{self.__name__} takes {' and '.join(map(repr, names))} from outside, which "
                "changed since it was compiled. The program keeps the old value: give it as an "
                "argument, or hold it in a variable",
                UserWarning,
                site.file,
                site.line,
            )

    # -- tracing ----------------------------------------------------------------------------------

    def _new_variant(self, given: Given, args: Any, kwargs: Any) -> _Variant:
        """Trace the function for a signature that is new."""
        with self._tracing:
            known = self._variants.get(given.key)
            if known is not None and known.settings.hold():  # another thread was quicker
                return known
            leaves = self._parameters.described(args, kwargs)
            described = {name: text for name, text, _ in leaves}
            names = [name for name, _, taken in leaves if taken]
            donated = [k for k, name in enumerate(names) if name.split("[")[0] in self._donated]
            if self._check:  # a failed call leaves all as it was
                donated = []
            if known is not None:
                described |= known.settings.changed()
            if len(self._all) > _MANY:
                self._warn_of_many(described)
            frame = self._parameters.frame(args, kwargs)
            alarms = Alarms() if self._check else None
            with asking(alarms):
                trace, program = self._traced(frame, given.leaves, donated)
            variant = _Variant(
                *(trace, program, self._bundle(trace.written)),
                *(described, any(map(_is_wide, given.leaves)), alarms),
            )
            if known is not None:
                self._others.setdefault(given.key, []).append(known)
            self._variants[given.key] = variant
            return variant

    @property
    def _all(self) -> list[_Variant]:
        """The variants of all signatures and settings."""
        return [*self._variants.values(), *(v for row in self._others.values() for v in row)]

    def _bundle(self, written: list[Variable]) -> Bundle:
        """Return a bundle of these variables, that of another signature if there is one."""
        for variant in self._all:
            if _same(variant.bundle.variables, written):
                return variant.bundle
        return Bundle(written)

    def _traced(self, frame: Frame, leaves: list[Any], donated: list[int]) -> tuple[_Trace, Any]:
        used_leaves = [leaves[k] for k in donated]
        kept_leaves = [leaf for k, leaf in enumerate(leaves) if k not in donated]
        last = next(reversed(self._variants.values()), None)
        written: list[Variable] = list(last.bundle.variables) if last else []
        read: list[Variable] = last.read if last else []
        for _ in range(_ATTEMPTS):
            start = sequence()
            first = self._donates is not False and not self._check
            trace = _Trace(
                *(self._executor, self._function, frame, written, read, donated, first),
                *(self._noticing, self._precision),
            )
            held = [variable._form for variable in written]
            used, kept = (held, []) if first else ([], held)
            kept += [variable._form for variable in read]
            try:
                with no_leaks(self._function):
                    program = self._executor.trace(
                        trace,
                        [*used, *used_leaves],
                        [*kept, *kept_leaves],
                        len(used),
                        self._donates if first else True,
                        self._precision,
                    )
            except Exception as error:
                if isinstance(error, TracingError) or not is_about_values(error):
                    raise
                raise refusal(
                    TracingError,
                    f"{self.__name__} makes a NumPy array or a Python number of a traced tensor, "
                    "whose values are not known while a function is being traced; compute with "
                    "headgate's functions instead, or outside. What decides on shapes or numbers "
                    "of steps is named in headgate.function(..., static_argnames=...)",
                ) from error
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
        site = caller()
        warnings.warn_explicit(
            f"{self.__name__} is compiled again, having been so for {len(self._all)} "
            f"signatures. What changes: {'; '.join(changing) or 'the structure of its arguments'}. "
            f"Compiling takes long. {self._cure}",
            RecompileWarning,
            site.file,
            site.line,
        )

    # -- under a tape -----------------------------------------------------------------------------

    def _retraced(self, variant: _Variant, given: Given) -> _Variant:
        """Return a variant as the Python is now, that one if its program would be the same.

        The gradient is traced now. What the function takes from outside must not have one value in
        it and another in the program.
        """
        with self._tracing:
            donated = list(variant.donated)
            alarms = Alarms() if self._check else None
            with asking(alarms):
                trace, program = self._traced(variant.frame, given.leaves, donated)
            if program.text() == variant.program.text():
                return variant
            made = _Variant(
                *(trace, program, self._bundle(trace.written)),
                *(variant.described, variant.wide, alarms),
            )
            if self._variants.get(given.key) is variant:
                self._variants[given.key] = made
            self._last = None
            return made

    def _recorded(self, variant: _Variant, given: Given, fresh: bool) -> Any:
        """Run a program as one node of the tapes that record."""
        recording = state.recording
        variables = [*variant.bundle.variables, *variant.read]
        nodes = [node_of(variable) for variable in variables]  # which lets the tapes watch them
        with in_transit:
            places = [v._place or lent(v, self._executor) for v in variables]
            arrays = [holder.handed_out(index) for holder, index in places]
        values = [tensor_of(array, node) for array, node in zip(arrays, nodes)]
        inputs = [*values, *map(as_tensor, given.tensors)]
        masks = [(0, 0) if x.node is None else recording.admit(x.node) for x in inputs]
        live = tuple(is_inexact(x) and bool(mask) for x, (mask, _) in zip(inputs, masks))
        if not fresh and any(live) and live not in variant.pulls:
            made = self._retraced(variant, given)
            if made is not variant:
                return self._recorded(made, given, fresh=True)
        results = variant.run(given.leaves, given.native)
        if not any(live):
            node = ghost(recording, _union(masks))
            return variant.form.filled([tensor_of(result.value, node) for result in results])
        # Cuts before arguments that no gradient can reach; variables have theirs in the function.
        lost = _union(
            mask for mask, reached in [*zip(masks, live)][len(variables) :] if not reached
        )
        pull = variant.pulls.get(live)
        if pull is None:
            pull = variant.pulls[live] = _Pull(self._function, variant, live)
        # Numbers stay numbers: made arrays they would carry their dtype into all that is computed.
        numbers = {
            k: number
            for k, number in enumerate(given.leaves, len(variables))
            if not hasattr(number, "dtype") and not live[k]
        }
        prepared = [numbers.get(k, x) for k, x in enumerate(inputs)]
        pull.prepare(prepared, results)
        native = any(self._executor.is_native(type(x.value)) for x in results)

        def gradients(cotangents: list[Tensor], recorded: bool) -> list[Any]:
            given = [
                x if recorded or k in numbers else constant(x.value) for k, x in enumerate(prepared)
            ]
            if native:
                return list(pull.function(given, cotangents))
            if recorded:  # so that what is computed of the gradient is NumPy's as well
                given = [x if k in numbers else self._of_host(x) for k, x in enumerate(given)]
            return list(map(self._of_host, pull.function(given, cotangents)))

        sources = [x for x, reached in zip(inputs, pull.reached) if reached]
        ways = [
            (reaching, lost | recording.translated(pull.recording, cuts))
            for reaching, cuts in pull.ways
        ]
        return variant.form.filled(record_custom(self.__name__, results, sources, gradients, ways))

    def _of_host(self, x: Tensor) -> Tensor:
        """Return what belongs to NumPy, although the executor holds it between calls."""
        value = x.value
        if is_traced(value) or not self._executor.is_native(type(value)):
            return x
        return tensor_of(self._executor.host(value), x.node)


def _union(masks: Iterable[tuple[int, int]]) -> int:
    """Return the cuts of several nodes."""
    found = 0
    for _, cuts in masks:
        found |= cuts
    return found


class _Pull:
    """From the cotangents of a function's results to the gradients of its inputs.

    `live` says which inputs (variables, then arguments) gradients are wanted of. What is known when
    it was traced: `reached`, which of them get one; `ways`, for each result, which of these reach
    it, and the cuts in between, in a recording.
    """

    def __init__(
        self, function: Callable[..., Any], variant: _Variant, live: tuple[bool, ...]
    ) -> None:
        self.body = function
        self.frame = variant.frame
        self.variables = [*variant.bundle.variables, *variant.read]
        self.live = live
        self.reached: list[bool] = []
        self.ways: list[tuple[list[bool], int]] = []
        self.recording = Recording()
        self.function = Function(self._gradients, executor=variant.executor)
        self.function._noticing = False  # it is of a program that was traced with its settings
        self.function._precision = variant.program.precision or "default"

    def prepare(self, inputs: list[Any], results: list[Tensor]) -> None:
        """Trace it now, for results of this form."""
        if not self.reached:
            given = [constant(x.value) if type(x) is Tensor else x for x in inputs]
            self.function._variant((given, [constant(result.value) for result in results]), {})

    def _gradients(self, inputs: list[Any], cotangents: list[Tensor]) -> list[Tensor]:
        outer, count = stage.scope, len(self.variables)
        held = {v._source: x.value for v, x in zip(self.variables, inputs)}
        executor = at_work(inputs) or self.function._executor
        scope = Tracing(
            lambda v: held[v._source] if v._source in held else outer.get(v),  # type: ignore[union-attr]
            executor,
        )
        leaves = [tensor_of(x.value, x.node) for x in map(as_tensor, inputs[count:])]
        wanted = [x for x, live in zip([*self.variables, *leaves], self.live) if live]
        with scope.entered(), GradientTape(watch_accessed_variables=False) as tape:
            for variable, x in zip(self.variables, inputs):
                if x.node is not None:  # somebody differentiates this gradient
                    bind(variable, x.node)
            tape.watch(wanted)
            args, kwargs = self.frame.filled(leaves)
            results = Form.of_tensors(self.body(*args, **kwargs), executor)
        targets = [(t, c) for t, c in zip(results, cotangents) if is_inexact(t)]
        bits = list(map(tape._bits_of, wanted))
        masks = [(node.live, node.cuts) if node else (0, 0) for node in map(tape._node, results)]
        with scope.entered():
            found = tape._gradient(
                [t for t, _ in targets], wanted, [c for _, c in targets], inside=True
            )
        given = iter(found)
        gradients = [next(given) if live else None for live in self.live]
        self.reached = [gradient is not None for gradient in gradients]
        reached = [bit for bit, gradient in zip(bits, found) if gradient is not None]
        self.ways = [([bool(live & bit) for bit in reached], cuts) for live, cuts in masks]
        assert tape._recording is not None
        self.recording = tape._recording
        return [gradient for gradient in gradients if gradient is not None]


def _is_wide(leaf: Any) -> bool:
    """Tell whether an argument is of 64 bits, or a number."""
    return not hasattr(leaf, "dtype") or leaf.dtype.itemsize >= 8


def function(
    f: Callable[..., Any] | None = None,
    *,
    donate: bool | Sequence[str] | None = None,
    static_argnames: str | Sequence[str] = (),
    jit: bool = True,
    check: bool = False,
    precision: str | None = None,
) -> Any:
    """Compile a function of tensors; use it as a decorator or call it.

    Args:
        f: a function of tensors, arrays and numbers, in any structure of lists, tuples and
            dictionaries; it may read and assign variables, take optimizer steps, update metrics,
            draw random numbers and use tapes. Its Python runs once for each signature; what is
            neither array nor number (a boolean, a text, an object) is a part of the signature.
        donate: whether the program may write over the old arrays of variables that it writes. It
            is faster and needs less memory then, and loses the variables if it fails while it runs.
            None: where nothing in it can fail while it runs, on a CPU. Names of parameters: it may
            write over these arguments, which their giver loses, and over nothing else.
        static_argnames: parameters whose value is a part of the signature; needed for numbers that
            decide on shapes or on numbers of steps.
        jit: `False` runs the Python each time, to debug it.
        check: whether the program looks at its indices while it runs. One that is out of range
            raises what eager code raises, and the call leaves all variables as they were. Without,
            what is picked there is NaN, and what is put there is left out. Costs time; nothing is
            donated.
        precision: how exactly float32 is multiplied on an accelerator, in gradients too: "default",
            "high" or "highest" (`set_matmul_precision`). None: as is set for all.

    Returns:
        A function with the same arguments and result. Its results are NumPy's unless an argument or
        a variable is a JAX array. `lower_text(*args)` shows the program, `signatures` what it was
        compiled for.

    Raises:
        TracingError: the function needs to know a value while it is traced; says where, and what to
            do instead.
        IndexError, ValueError: with `check`, an index or a class that is out of range.
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
        return functools.partial(
            function,
            donate=donate,
            static_argnames=static_argnames,
            jit=jit,
            check=check,
            precision=precision,
        )
    if not callable(f):
        raise TypeError(f"function compiles a function, not {type(f).__name__}")
    return Function(f, donate, static_argnames, jit, check=check, precision=precision)
