"""A session: when a JAX program is looked at, and what is put in its way for that.

JAX's public transformations are replaced by ones that do the same and tell the session of each
call. A gradient call outside of all others is looked at as it is. One within `jit`, `vmap` or
`scan` has no values as long as JAX traces it, so the outermost of these is noted, and run once more
beside the program (`beside`) after its own call has returned.

Of each line the first three passes are looked at, later ones ever more rarely. Everything is taken
back at the end; what the program has made by then (a jitted function) only passes calls on.
"""

from __future__ import annotations

import copy
import functools
import importlib
import threading
import traceback
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import jax

from headgate.flow.judge import Told
from headgate.flow.trace import Trace
from headgate.flow.watch.arrival import when_imported
from headgate.flow.watch.jax.account import account
from headgate.flow.watch.jax.beside import Beside, Outer
from headgate.flow.watch.jax.calls import CALLBACKS, GRADIENTS, OUTER, Call
from headgate.flow.watch.jax.definitions import LEAVING
from headgate.flow.watch.jax.log import Line, Log
from headgate.flow.watch.jax.look import leaves_with_names, look_at
from headgate.flow.watch.jax.optimizers import Optimizers
from headgate.flow.watch.jax.places import Frame, Where

began: list[weakref.ref[Session]] = []
"""All sessions that look on and are still there."""

CLOSELY = 3
"""So many first passes of a line are looked at closely."""


def _spare(fun: Any) -> Any:
    """Return a function that can be called once more: an object may use up what it holds."""
    if isinstance(fun, FunctionType | MethodType | BuiltinFunctionType | type):
        return fun
    if not isinstance(getattr(fun, "__dict__", None), dict):
        return fun
    queues = {name: each for name, each in vars(fun).items() if isinstance(each, deque)}
    if not queues:
        return fun
    spare = copy.copy(fun)
    vars(spare).update({name: copy.copy(each) for name, each in queues.items()})
    return spare


def untouched() -> dict[str, Callable[..., Any]]:
    """Return JAX's own functions, whoever has put something before them."""
    found = {}
    for name in (*GRADIENTS, "jit", "make_jaxpr"):
        found[name] = getattr(jax, name)
        while hasattr(found[name], "untouched"):
            found[name] = found[name].untouched
    return found


class Session:
    """One time of looking on, from the import of JAX or the beginning of a block."""

    def __init__(self, step: int | None = None, every: int | None = None) -> None:
        self.wanted = step
        self.every = every
        self.log = Log()
        self.thread = threading.get_ident()
        self.on = False
        self.busy = 0  # whether a gradient is being computed, or the session itself computes
        self.muted = 0  # whether the program's callbacks are not to be heard
        self.outer: list[Outer] = []  # functions that JAX traces now, the outermost first
        self.beside: Beside | None = None  # what runs beside the program now
        self.context = jax.make_user_context()
        self.original: dict[str, Callable[..., Any]] = {}
        self.optimizers = Optimizers(self)
        self.unread: dict[int, Where] = {}  # line of a call -> where its function wants a value
        self._lost: list[Told] = []
        self.given_beside: list[tuple[Line, int]] = []  # a call, what lies beside what it asks for
        self._undo: list[Callable[[], None]] = []
        self._accounted: tuple[int, ...] = ()
        self._turn = 0

    # -- what is put in the way -------------------------------------------------------------------

    def begin(self) -> None:
        """Begin to look on."""
        for name, wrapper in GRADIENTS.items():
            self.replace("jax", name, functools.partial(wrapper, self))
        for home, name, wrapper in OUTER:
            self.replace(home, name, functools.partial(wrapper, self))
        for home, name, wrapper in CALLBACKS:
            self.replace(home, name, functools.partial(wrapper, self))
        self.original["make_jaxpr"] = jax.make_jaxpr
        while isinstance(self.original["jit"], functools.partial):  # options are not for inner ones
            self.original["jit"] = self.original["jit"].func
        for kind, method in ((jax.custom_vjp, "defvjp"), (jax.custom_jvp, "defjvp")):
            self._replace_method(kind, method)
        self.on = True
        began[:] = [each for each in began if each() is not None] + [weakref.ref(self)]
        self._undo.append(when_imported("optax", lambda: self.safely(self.optimizers.arrived)))

    def end(self) -> None:
        """Leave JAX as it was."""
        self.on = False
        while self._undo:
            self._undo.pop()()

    def replace(self, home: str, name: str, wrapper: Callable[..., Any]) -> None:
        """Put a function before one of JAX's, which it gets as its first argument."""
        owner = importlib.import_module(home)
        original = getattr(owner, name, None)
        if original is None:
            return
        self.original.setdefault(name, original)

        @functools.wraps(original)
        def instead(*args: Any, **kwargs: Any) -> Any:
            return wrapper(original, *args, **kwargs)

        instead.untouched = original  # type: ignore[attr-defined]
        if isinstance(original, type):  # others may ask whether something is one of it
            return
        self.set(owner, name, original, instead)

    def _replace_method(self, kind: Any, name: str) -> None:
        original = getattr(kind, name)

        @functools.wraps(original)
        def instead(function: Any, *rules: Any, **named: Any) -> Any:
            result = original(function, *rules, **named)
            self.safely(self._note_rule, function, [*rules, *named.values()])
            return result

        self.set(kind, name, original, instead)

    def set(self, owner: Any, name: str, original: Any, made: Any) -> None:
        """Put something in the place of an attribute, until the end."""
        setattr(owner, name, made)

        def undo() -> None:
            if vars(owner).get(name) is made:
                setattr(owner, name, original)

        self._undo.append(undo)

    def _note_rule(self, function: Any, rules: list[Any]) -> None:
        """Note where the rule of a function is written down."""
        code = getattr(getattr(function, "__wrapped__", function), "__code__", None)
        rule = getattr(rules[-1], "__code__", None) if rules else None
        if code is not None and rule is not None:
            name = f"{code.co_name} at {code.co_filename}:{code.co_firstlineno}"
            last = max((line for *_, line in rule.co_lines() if line), default=0)
            self.log.rules[name] = rule.co_filename, last, rule.co_qualname

    def safely(self, note: Callable[..., Any], *args: Any) -> Any:
        """Call what only notes something; its errors are the watcher's."""
        busy, outer = self.busy, [*self.outer]
        try:
            return note(*args)
        except Exception as error:
            self.log.fault(error)
            self.busy, self.outer[:] = busy, outer
            return None

    @property
    def hears(self) -> bool:
        """Whether what happens now is to be noted."""
        return self.on and not self.busy and threading.get_ident() == self.thread

    @contextmanager
    def hushed(self) -> Iterator[None]:
        """Have all sessions note nothing meanwhile."""
        others = [each for each in (known() for known in began) if each is not None]
        with ExitStack() as quiet:
            for each in others:
                quiet.enter_context(each.quietly())
            yield

    @contextmanager
    def quietly(self) -> Iterator[None]:
        """Note nothing meanwhile."""
        self.busy += 1
        try:
            yield
        finally:
            self.busy -= 1

    # -- gradient calls ---------------------------------------------------------------------------

    def called(self, call: Call, real: Callable[..., Any]) -> Any:
        """Make a gradient call of the program, and look at it."""
        if not self.hears:
            return real(*call.args, **call.kwargs)
        if self.beside is not None:
            return self.beside.gradient(call, real)
        if self.outer:
            self.outer[0].has_gradients = self.outer[0].fresh = True
            with self.quietly():
                return real(*call.args, **call.kwargs)
        spare = self.safely(_spare, call.fun)
        with self.quietly():
            result = real(*call.args, **call.kwargs)
        call.fun = spare or call.fun
        leaves = jax.tree_util.tree_leaves((call.args, call.kwargs))
        if not any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
            with self.quietly():
                self.safely(look_at, self, call, result)
        return result

    def looks(self, line: Line) -> bool:
        """Tell whether the pass of a line that comes now is to be looked at."""
        step = line.passes
        if self.every is not None:
            return step % self.every == 0 or step == self.wanted
        return step < CLOSELY or not step & step - 1 or step == self.wanted

    def untraced(
        self, call: Call, line: Line, error: Exception, norms: Sequence[float] | None
    ) -> None:
        """Note a call of a function that cannot be read, for it wants to know values.

        Where a value leaves for Python it comes back as a constant, if it does.
        """
        frames = [each for each, _ in traceback.walk_tb(error.__traceback__)]
        wanted = self.log.places.among(
            Frame(f.f_code.co_filename, f.f_lineno, f.f_code.co_qualname) for f in reversed(frames)
        )
        if wanted is None:
            return
        place = self.log.data.places[wanted.place]
        self.unread[line.where.place] = wanted
        left = [words for words in LEAVING if words in place.text]
        asked = zip(leaves_with_names(call), norms or ())
        lost = [name for (name, _), size in asked if size == 0] if left else []
        callers = tuple(self.log.data.places[k] for k in self.log.data.callers[wanted.callers])
        label = left[0].strip(".(") + "()" if left else ""
        self._lost += [
            Told(name, "cut", "host_round_trip", place, label, callers=callers) for name in lost
        ]

    # -- functions that are traced ----------------------------------------------------------------

    def traced(self, outer: Outer, real: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Call a function that JAX traces, and look at it if gradients are computed in it."""
        if not self.hears or self.beside is not None or self.outer:
            return real(*args, **kwargs)
        leaves = jax.tree_util.tree_leaves((args, kwargs))
        if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
            return real(*args, **kwargs)
        looking = outer.passes == 0 or (outer.has_gradients and self._looks_at_outer(outer))
        given = self.safely(outer.kept, args, kwargs) if looking else None
        outer.passes += 1
        outer.fresh = False
        self.outer.append(outer)
        try:
            result = real(*args, **kwargs)
        finally:
            self.outer.pop()
        if outer.fresh and not looking and not outer.donates:  # it was traced anew
            given = args, kwargs
        if outer.has_gradients and given is not None:
            with self.quietly():
                self.safely(self._look_beside, outer, *given)
        return result

    def _looks_at_outer(self, outer: Outer) -> bool:
        step = outer.passes
        if self.every is not None:
            return step % self.every == 0 or step == self.wanted
        return step < CLOSELY or not step & step - 1 or step == self.wanted

    def _look_beside(self, outer: Outer, args: Any, kwargs: Any) -> None:
        self._turn += 1
        beside = outer.beside(self, self._turn, args, kwargs)
        beside.run(args, kwargs)

    # -- what came of it --------------------------------------------------------------------------

    def trace(self) -> Trace:
        """Return what happened, in neutral form."""
        state = len(self.log.data.events), len(self.log.passes), len(self.log.data.updates)
        if self._accounted != state:
            account(self)
            self._accounted = state
        return self.log.data

    def told(self) -> Iterable[Told]:
        """Return what is wrong with parameters beside all gradient calls."""
        return [*dict.fromkeys(self._lost), *self._not_asked(), *self.optimizers.told()]

    def _not_asked(self) -> Iterator[Told]:
        """Yield what a call uses that lies beside what it is asked for, if nothing is trained.

        Whoever trains the one and leaves the other alone does so again and again.
        """
        data = self.log.data
        asked = {source for each in self.log.passes for source in each.ask.sources}
        for line, source in self.given_beside:
            if line.all_passes == 1 and source not in asked and not self.optimizers.moved:
                place = data.places[line.where.place]
                yield Told(data.sources[source].name, "not asked for", "not_watched", place)

    def coverage(self) -> tuple[int, int]:
        """Return how many gradient calls were looked at closely, and of how many."""
        lines = [(line.looked, line.all_passes) for line in self.log.lines.values()]
        return sum(looked for looked, _ in lines), sum(passes for _, passes in lines)

    def remarks(self) -> list[str]:
        """Return in a sentence each what could not be seen."""
        places = self.log.data.places
        said = [
            f"The function that is differentiated at {places[call]} wants to know a value at "
            f"{places[where.place]}, so its equations could not be read."
            for call, where in self.unread.items()
        ]
        if self.log.errors:
            said.append(f"The watcher of JAX failed in part ({self.log.errors[0]}).")
        return said
