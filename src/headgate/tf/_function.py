"""`tf.function` and control flow."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import optree

import headgate.compile.control as _control
from headgate.compile.function import Function as _CompiledFunction
from headgate.record.errors import TracingError as _TracingError
from headgate.tf import _arguments as _is
from headgate.tf._adapt import tensor
from headgate.tf._arguments import checked as _checked
from headgate.tf._gradients import stop_gradient


class _Function(_CompiledFunction):
    """A compiled function that is run as plain Python if it cannot be compiled."""

    _constants = True
    _cure = (
        "Python numbers are constants of the program, as in TensorFlow: pass one that changes as a "
        "tensor, tf.constant(...). Pad tensors to a few shapes"
    )

    def __init__(
        self,
        function: Callable[..., Any],
        must: bool = False,
        check: bool = False,
        donate: bool | None = None,
        precision: str | None = None,
    ) -> None:
        super().__init__(function, donate, check=check, precision=precision)
        self._told = False
        self._settings = (must, check, donate, precision)
        self._must = must
        self.python_function = function

    def _warn_of_many(self, described: dict[str, str]) -> None:
        if not self._told:
            self._told = True
            super()._warn_of_many(described)

    def _called(self, args: Any, kwargs: Any) -> Any:
        try:
            return super()._called(args, kwargs)
        except (_TracingError, ImportError) as error:
            if self._must or not self._jit:
                raise
            self._jit = False
            if isinstance(error, _TracingError):
                warnings.warn(
                    f"{self.__name__} runs as plain Python, not compiled: {error}", stacklevel=2
                )
            with self._precise():
                return self._function(*args, **kwargs)


def function(
    func: Callable[..., Any] | None = None,
    input_signature: Any = None,
    autograph: bool = True,
    jit_compile: bool | None = None,
    reduce_retracing: bool = False,
    experimental_implements: Any = None,
    experimental_autograph_options: Any = None,
    experimental_attributes: Any = None,
    experimental_relax_shapes: bool | None = None,
    experimental_compile: bool | None = None,
    experimental_follow_type_hints: bool | None = None,
    *,
    check: bool = False,
    donate: bool | None = None,
    precision: str | None = None,
) -> Any:
    """Compile a function; see `headgate.function`.

    Three options are not TensorFlow's: `check` looks at indices, classes and divisors while the
    program runs; `donate` lets it write new values of variables over the old ones; `precision` is
    how exactly float32 is multiplied on an accelerator.

    Python numbers are constants, as in TensorFlow: they may be sizes, and the function is compiled
    for each value. A number that changes from call to call is better a tensor; a warning says so
    after a while.

    Python control flow is not rewritten: a function that branches on a tensor runs as plain Python,
    with a warning (with `jit_compile=True` it is an error), and so does every function if JAX is
    not installed. The other options are taken for TensorFlow's programs, and without effect.

    >>> import headgate.tf as tf
    >>> @tf.function
    ... def double(x):
    ...     return 2.0 * x
    >>> double(tf.constant([1.0, 2.0])).numpy()
    array([2., 4.], dtype=float32)
    """
    if jit_compile is None:
        jit_compile = experimental_compile
    if func is None:
        return lambda found: function(
            found, jit_compile=jit_compile, check=check, donate=donate, precision=precision
        )
    return _Function(func, jit_compile is True, check, donate, precision)


def cond(
    pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any], name: str | None = None
) -> Any:
    """Call one of two functions; see `headgate.cond`."""
    return _control.cond(tensor(pred), true_fn, false_fn)


@_checked(maximum_iterations=_is.count)
def while_loop(
    cond: Callable[..., Any],
    body: Callable[..., Any],
    loop_vars: Any,
    shape_invariants: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    maximum_iterations: int | None = None,
    name: str | None = None,
) -> Any:
    """Repeat a function of several variables while a condition holds; see `headgate.while_loop`.

    >>> import headgate.tf as tf
    >>> i, total = tf.while_loop(lambda i, t: i < 4, lambda i, t: (i + 1, t + i), (0, 0))
    >>> int(i), int(total)
    (4, 6)
    """

    def step(values: Any) -> Any:
        result = body(*values)
        return tuple(result) if isinstance(result, list | tuple) else (result,)

    first = tuple(loop_vars)
    last = _control.while_loop(lambda values: cond(*values), step, first, maximum_iterations)
    return last if back_prop else optree.tree_map(stop_gradient, last)


def group(*inputs: Any, name: str | None = None) -> None:
    """Do nothing: what was passed has already run."""


def no_op(name: str | None = None) -> None:
    """Do nothing."""
