"""Functions that run on the host: NumPy's, Python's, and `print`."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from headgate.core.namespace import TENSORS as ops
from headgate.core.tensor import Tensor
from headgate.core.traced import is_traced, refused_trace
from headgate.record.errors import refusal
from headgate.tf._adapt import convert_to_tensor, tensor
from headgate.tf._dtypes import dtype_of
from headgate.tf._gradients import identity
from headgate.tf._variables import is_tensor


def numpy_function(
    func: Callable[..., Any], inp: Any, Tout: Any, stateful: bool = True, name: str | None = None
) -> Any:
    """Call a NumPy function on arrays; gradient does not pass it.

    Args:
        func: a function of arrays that returns an array or a number, or several in a tuple or list.
        inp: what it is called with.
        Tout: the dtype of its result, or a list of those of several results. A list of tensors
            comes back for those, and a tensor for one.
        stateful: without effect: functions are called each time.

    >>> import headgate.tf as tf
    >>> tf.numpy_function(np.sin, [tf.constant(0.0)], tf.float32).numpy()
    np.float32(0.0)
    """
    wanted, _ = _wanted(Tout)
    given = [np.asarray(x.numpy()) for x in _known("numpy_function", inp)]
    results = _results("numpy_function", func(*given), wanted)
    if len(results) == 1:
        return results[0]
    return results or None


def py_function(func: Callable[..., Any], inp: Any, Tout: Any, name: str | None = None) -> Any:
    """Call a Python function on tensors, which is differentiated like any code.

    The arguments are those of `numpy_function`. A list comes back if `Tout` is one.

    >>> import headgate.tf as tf
    >>> x = tf.Variable(3.0)
    >>> with tf.GradientTape() as tape:
    ...     y = tf.py_function(lambda x: x * x, [x], tf.float32)
    >>> tape.gradient(y, x).numpy()
    np.float32(6.0)
    """
    wanted, listed = _wanted(Tout)
    results = _results("py_function", func(*_known("py_function", inp)), wanted)
    return results if listed else results[0]


def _known(whose: str, inputs: Any) -> list[Tensor]:
    """Return the arguments of a function of the host; refuse those whose values are not known yet.

    So a compiled function that calls one runs as plain Python: of what shape the results will be
    can't be told without calling it.
    """
    given = [identity(item) for item in inputs]
    for x in given:
        if is_traced(x.value):
            raise refused_trace(whose, x.value)
    return given


def _wanted(types: Any) -> tuple[list[Any], bool]:
    """Return the dtypes of results, and whether they were given as a list."""
    if types is None:
        raise refusal(TypeError, "Tout is missing: the dtype of the result, or a list of dtypes")
    listed = isinstance(types, list | tuple)
    return [dtype_of(each) for each in (types if listed else [types])], listed


def _results(whose: str, returned: Any, wanted: list[Any]) -> list[Tensor]:
    """Return what a function of the host returned as tensors of the dtypes that were promised."""
    several = isinstance(returned, list | tuple) and (len(wanted) != 1 or len(returned) == 1)
    found = list(returned) if several else [] if returned is None and not wanted else [returned]
    if len(found) != len(wanted):
        raise refusal(
            ValueError,
            f"{whose}: the function returned {len(found)} values, and Tout has {len(wanted)} types",
        )
    return [_promised(whose, *pair) for pair in zip(found, wanted, strict=True)]


def _promised(whose: str, value: Any, dtype: Any) -> Tensor:
    if value is None:
        raise refusal(ValueError, f"{whose}: the function returned None, and Tout promises {dtype}")
    made = value if is_tensor(value) else convert_to_tensor(np.asarray(value))
    if made.dtype == dtype:
        return tensor(made)  # type: ignore[no-any-return]
    if is_tensor(value) or not np.can_cast(made.dtype, dtype, "same_kind"):
        raise refusal(
            ValueError,
            f"{whose}: the function returned {made.dtype}, and Tout promises {dtype}; convert it "
            "there",
        )
    return ops.astype(made, dtype)  # type: ignore[no-any-return]


def print(
    *inputs: Any,
    output_stream: Any = None,
    summarize: int = 3,
    sep: str = " ",
    end: str = "\n",
    name: str | None = None,
) -> None:
    """Print tensors as plain numbers, of each axis the first and last `summarize` (-1: all).

    `output_stream` is a file such as `sys.stderr`; it is `sys.stdout` if left out.
    """
    short = (
        {"edgeitems": summarize, "threshold": 0} if summarize >= 0 else {"threshold": sys.maxsize}
    )
    with np.printoptions(**short):  # type: ignore[arg-type]
        texts = [str(x.numpy() if is_tensor(x) else x) for x in inputs]
    builtins.print(*texts, sep=sep, end=end, file=output_stream)
