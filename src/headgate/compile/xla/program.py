"""Programs: what a traced function does becomes one XLA program, by JAX; and their arrays.

Stand-ins are JAX's tracers. Programs are traced with 64-bit types enabled, whatever JAX's setting
is: a program must not lose half of its digits by being compiled. They are compiled ahead of time,
so that the setting does not matter when they are called with JAX's own arrays. How exactly it
multiplies is what JAX is set to while it is traced, and while it is lowered, which comes later.

A program that writes over the arrays of variables must be called without a step of Python's: a
signal's handler that raises there would lose the old arrays and the new ones. JAX has a function in
C++ for each program (`_direct`). If a call is not like one before (the first one, or with other
settings of JAX), it goes on in Python before the program runs, and looks at the arguments again:
what is given for the variables (`_Offer`) is copies then.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

import numpy as np

from headgate.core.namespace import Array
from headgate.core.traced import is_traced_kind


def jax_for(what: str = "this needs", without: str = "") -> Any:
    """Return JAX, imported for the first time here; say `what` wants it if it is not there."""
    try:
        import jax
    except ImportError as error:
        raise ImportError(
            f"{what} JAX, which is not installed: pip install 'headgate[xla]'{without}"
        ) from error
    return jax


_MUCH = 1 << 26
"""From so many bytes on a program is waited for on a CPU, so that its own call says if it fails."""

_SURE = 1 << 28
"""Memory for so many bytes is there, on a CPU."""

Flat = Callable[[Sequence[Any], Sequence[Any]], Any]
"""A function of two lists of arrays and numbers; it may use the memory of the first ones again."""


class _Offer:
    """Arrays that a call may use up: JAX gets them when it looks at first, then copies.

    If it is not for `once`, it gets them each time.
    """

    __slots__ = ("arrays", "copying", "once")

    def __init__(self, arrays: Sequence[Any], once: bool = False) -> None:
        self.arrays = arrays
        self.once = once
        self.copying = False


def _look(offer: _Offer) -> tuple[Sequence[Any], None]:
    if offer.copying:
        return list(map(native, offer.arrays)), None
    offer.copying = offer.once
    return offer.arrays, None


@functools.cache
def _known() -> None:
    """Let JAX know what is offered."""
    jax_for().tree_util.register_pytree_node(_Offer, _look, lambda _, arrays: _Offer(arrays))


class Program:
    """A traced function; compiled when it is called for the first time.

    It takes two lists of arrays, of which the first is used up if it donates, and returns a list.
    """

    __slots__ = (
        *("_call", "_config", "_in_python", "_jitted", "_lowered", "_offer", "_renews", "_traced"),
        *("donates", "precision", "risky"),
    )

    def __init__(
        self,
        function: Flat,
        used: Sequence[Any],
        kept: Sequence[Any],
        renewed: int,
        donate: bool | None,
        precision: str | None,
    ) -> None:
        self.precision: str | None = precision or jax_for().config.jax_default_matmul_precision
        self._renews = renewed > 0
        if self._renews:
            _known()
            given = function
            function = functools.wraps(given)(lambda offer, kept: given(offer.arrays, kept))
        self._jit(function, used, kept, donate=donate is not False)
        self._lowered: Any = None
        self._call: Any = None
        self._config = jax_for().config
        self._offer = _Offer((), once=True)
        self._in_python = True
        self.risky = _calls_the_host(self._traced.jaxpr)
        if donate is not False and self._renews and not self._may_write_over(donate, renewed):
            self._jit(function, used, kept, donate=False)  # it is not traced again

    def _jit(self, function: Any, used: Any, kept: Any, donate: bool) -> None:
        self._jitted = jax_for().jit(function, donate_argnums=(0,) * donate)
        with wide(), self._precise():
            self._traced = self._jitted.trace(_Offer(used) if self._renews else used, kept)
        self.donates = donate

    def _precise(self) -> AbstractContextManager[Any]:
        context: AbstractContextManager[Any] = jax_for().default_matmul_precision(self.precision)
        return context

    def _may_write_over(self, donate: bool | None, renewed: int) -> bool:
        """Tell whether it may use up variables: if asked to, or if it cannot fail once it runs.

        A program that calls the host is called by Python, where signals would come in.
        """
        if self.risky or donate:
            return not self.risky
        jaxpr = self._traced.jaxpr.jaxpr
        in_place = set(jaxpr.outvars[:renewed])
        return jax_for().default_backend() == "cpu" and _bytes_at_most(jaxpr, in_place) <= _SURE

    def lower(self) -> Any:
        """Return the program in XLA's language, before it is optimized."""
        if self._lowered is None:
            with wide(), self._precise(), warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Some donated buffers were not usable")
                self._lowered = self._traced.lower()
            self._traced = None
        return self._lowered

    def compile(self) -> Callable[..., Any]:
        """Return the function that runs the compiled program."""
        if self._call is None:
            compiled = self.lower().compile()
            self.risky = self.risky or _needs_much(compiled)
            self._take(compiled)
        call: Callable[..., Any] = self._call
        return call

    def _take(self, compiled: Any) -> None:
        direct = _direct(compiled)
        self._in_python = direct is None
        self._call = direct or compiled

    def offered(self, used: Sequence[Any]) -> Any:
        """Return the first list as the program takes it, for one call."""
        if not self.donates:
            return _Offer(used) if self._renews else used
        if not self._renews:
            return used
        offer, config = self._offer, self._config
        offer.arrays = used
        # With these settings JAX looks at the results, in Python.
        offer.copying = self._in_python or config.jax_debug_nans or config.jax_debug_infs
        return offer

    def moved(self, error: Exception, used: Sequence[Any], kept: Sequence[Any]) -> Any:
        """Compile for arrays that are on another device now, if that is what an error is about."""
        ours = getattr(error, "headgate_explained", False)
        if ours or ("sharding" not in str(error) and "device" not in str(error)):
            raise error
        with wide(), self._precise():  # it is not traced again: JAX keeps what it traced
            given = _Offer(used) if self._renews else used
            self._take(self._jitted.lower(given, kept).compile())
        return self._call

    def text(self) -> str:
        """Return the program as text, in StableHLO."""
        text: str = self.lower().as_text()
        return text


def _direct(compiled: Any) -> Callable[..., Any] | None:
    """Return the function in C++ that calls a compiled program, if JAX has one for it.

    JAX makes it at the first call and keeps it for itself. This call is without arguments and fails
    before it comes to the program.
    """
    with suppress(TypeError):
        compiled()
    found: Callable[..., Any] | None = getattr(compiled, "_call", None)
    return found if type(found) is type(jax_for().jit(abs)) else None


def _calls_the_host(jaxpr: Any) -> bool:
    """Tell whether equations call Python while they run."""
    return any(
        "callback" in equation.primitive.name or any(map(_calls_the_host, _jaxprs(equation)))
        for equation in getattr(jaxpr, "jaxpr", jaxpr).eqns
    )


def _jaxprs(equation: Any) -> list[Any]:
    """Return the programs inside an equation."""
    return [
        part
        for value in equation.params.values()
        for part in (value if isinstance(value, tuple | list) else (value,))
        if hasattr(part, "eqns") or hasattr(part, "jaxpr")
    ]


def _bytes_at_most(jaxpr: Any, in_place: set[Any]) -> int:
    """Return the bytes of all that equations compute, but for what is put in place of arguments."""
    total = 0
    for equation in jaxpr.eqns:
        inner = [getattr(part, "jaxpr", part) for part in _jaxprs(equation)]
        results = [each for each in equation.outvars if each not in in_place]
        if inner and equation.primitive.name in ("jit", "pjit"):  # what is inside, named once more
            outer = zip(inner[0].outvars, equation.outvars, strict=True)
            total += _bytes_at_most(inner[0], {a for a, b in outer if b in in_place and _named(a)})
            continue
        total += sum(_bytes(each.aval) for each in results)
        total += sum(_bytes_at_most(part, set()) for part in inner)
    return total


def _named(variable: Any) -> bool:
    return not hasattr(variable, "val")  # a literal has no name, and no hash


def _bytes(form: Any) -> int:
    return int(np.prod(form.shape, dtype=float)) * form.dtype.itemsize if form.shape else 8


def _needs_much(compiled: Any) -> bool:
    """Tell whether a program needs so much memory that there may be too little."""
    needs = compiled.memory_analysis()
    if needs is None:  # not known
        return True
    return bool(needs.temp_size_in_bytes + needs.output_size_in_bytes > _MUCH)


def wide() -> AbstractContextManager[Any]:
    """Let JAX use 64-bit types for a block."""
    jax = jax_for()
    return nullcontext() if jax.config.jax_enable_x64 else jax.enable_x64(True)


def precise(precision: str) -> AbstractContextManager[Any]:
    """Let this thread multiply with a precision for a block."""
    try:
        context: AbstractContextManager[Any] = jax_for().default_matmul_precision(precision)
    except ImportError:  # NumPy has one precision
        return nullcontext()
    return context


def set_precision(precision: str) -> None:
    """Let all threads multiply with a precision from now on."""
    with suppress(ImportError):
        jax_for().config.update("jax_default_matmul_precision", precision)


def at_once() -> AbstractContextManager[Any]:
    """Let this thread compute at once for a block, although it traces."""
    context: AbstractContextManager[Any] = jax_for().ensure_compile_time_eval()
    return context


def trace(
    function: Flat,
    used: Sequence[Any],
    kept: Sequence[Any],
    renewed: int,
    donate: bool | None,
    precision: str | None,
) -> Program:
    """Run a function on stand-ins for arrays and numbers like these.

    If it may `donate`, the memory of what is `used` is the program's to write its results to. None:
    if nothing can fail while it runs. So many results, the first ones, are what is used `renewed`.
    Without a `precision` of its own it has JAX's.
    """
    jax_for(
        "headgate.function compiles with",
        ". Without it, functions run as plain Python under headgate.function(..., jit=False)",
    )
    return Program(function, used, kept, renewed, donate, precision)


def stand_in(array: Array) -> Array:
    """Return a stand-in for an array while a function is traced."""
    jax = jax_for()
    return jax.lax.full(array.shape, 0, array.dtype)


def native(array: Array) -> Array:
    """Return a copy of an array as this executor keeps it."""
    jax = jax_for()
    with wide():
        return jax.numpy.array(array, copy=True)


def _is_native(kind: type) -> bool:
    """Tell whether a type is that of this executor's arrays, or of its stand-ins for arrays."""
    if kind.__module__.partition(".")[0] not in ("jax", "jaxlib"):
        return False
    return is_traced_kind(kind) or issubclass(kind, jax_for().Array)


is_native: Callable[[type], bool] = functools.cache(_is_native)


def host(array: Array) -> Array:
    """Return an array as NumPy's, not to be written to."""
    return np.asarray(array)[()]


def runs_ahead(array: Array) -> bool:
    """Tell whether Python must go on while programs run where an array is: not on a CPU."""
    return any(device.platform != "cpu" for device in array.devices())


def wait(array: Array) -> None:
    """Wait until an array is there; raise the error if its program has failed."""
    array.block_until_ready()


def settle() -> None:
    """Wait until the callbacks of the programs that were called are over."""
    jax_for().effects_barrier()


def mover(backend: Any) -> Callable[[Array], Array] | None:
    """Return what moves arrays to JAX's default device ("jax") or to one of its devices."""
    if isinstance(backend, str):
        return _unless_native if backend == "jax" else None
    jax = jax_for()
    return functools.partial(_placed, backend) if isinstance(backend, jax.Device) else None


def _unless_native(array: Array) -> Array:
    return array if is_native(type(array)) else native(array)


def _placed(device: Any, array: Array) -> Array:
    with wide():
        return jax_for().device_put(native(array), device)


def keeps(array: Array) -> bool:
    """Tell whether JAX's operations keep the width of an array's dtype."""
    return array.dtype.itemsize != 8 or bool(jax_for().config.jax_enable_x64)


def fitted(value: Array, like: Array) -> Array:
    """Return a traced value as an array of the dtype of another one."""
    array = jax_for().numpy.asarray(value)
    return array if array.dtype == like.dtype else array.astype(like.dtype)
