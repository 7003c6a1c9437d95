"""Programs: what a traced function does becomes one XLA program, by JAX; and their arrays.

Stand-ins are JAX's tracers. Programs are traced with 64-bit types enabled, whatever JAX's setting
is: a program must not lose half of its digits by being compiled. They are compiled ahead of time,
so that the setting does not matter when they are called with JAX's own arrays.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
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


Flat = Callable[[Sequence[Any], Sequence[Any]], Any]
"""A function of two lists of arrays and numbers; it may use the memory of the first ones again."""


class Program:
    """A traced function; compiled when it is called for the first time.

    It takes two lists of arrays, of which the first is used up, and returns what the function did.
    """

    __slots__ = ("_call", "_jitted", "_lowered", "_traced")

    def __init__(self, jitted: Any, used: Sequence[Any], kept: Sequence[Any]) -> None:
        self._jitted = jitted
        with wide():
            self._traced = jitted.trace(used, kept)
        self._lowered: Any = None
        self._call: Any = None

    def lower(self) -> Any:
        """Return the program in XLA's language, before it is optimized."""
        if self._lowered is None:
            with wide(), warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Some donated buffers were not usable")
                self._lowered = self._traced.lower()
            self._traced = None
        return self._lowered

    def compile(self) -> Callable[..., Any]:
        """Return the function that runs the compiled program."""
        if self._call is None:
            self._call = self.lower().compile()
        call: Callable[..., Any] = self._call
        return call

    def moved(self, error: Exception, used: Sequence[Any], kept: Sequence[Any]) -> Any:
        """Compile for arrays that are on another device now, if that is what an error is about."""
        ours = getattr(error, "headgate_explained", False)
        if ours or ("sharding" not in str(error) and "device" not in str(error)):
            raise error
        with wide():  # the function is not traced again: JAX keeps what it traced
            self._call = self._jitted.lower(used, kept).compile()
        return self._call

    def text(self) -> str:
        """Return the program as text, in StableHLO."""
        text: str = self.lower().as_text()
        return text


def wide() -> AbstractContextManager[Any]:
    """Let JAX use 64-bit types for a block."""
    jax = jax_for()
    return nullcontext() if jax.config.jax_enable_x64 else jax.enable_x64(True)


def trace(function: Flat, used: Sequence[Any], kept: Sequence[Any], donate: bool) -> Program:
    """Run a function on stand-ins for arrays and numbers like these.

    If `donate`, the memory of what is `used` is the program's to write its results to.
    """
    jax = jax_for(
        "headgate.function compiles with",
        ". Without it, functions run as plain Python under headgate.function(..., jit=False)",
    )
    return Program(jax.jit(function, donate_argnums=(0,) * donate), used, kept)


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
