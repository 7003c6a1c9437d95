"""NumPy's dtypes in XLA's programs: what goes into an operation, and what comes out.

The same program runs on NumPy and on JAX, and must compute the same. JAX has a lattice of dtypes of
its own, made for accelerators: of float32 and int64 it makes float32, of the root of an int32 too,
and a product of int32 stays one. Eager code has NumPy's, in which no number loses digits that it
had. So before an operation is done on JAX's arrays, they are cast to what NumPy would compute with.

Nothing of that is written down here. The table is NumPy's own: a ufunc lists its *loops*, the
dtypes that it takes and gives (`loop_of`); where there is no ufunc, `numpy.result_type` says what
several arrays become (`JOINED`), and a sum of nothing what a reduction gives (`REDUCED`).

Python's numbers have no dtype and adapt to what they meet. Those that are arguments of a compiled
function are 0-d arrays in it, which JAX calls weakly typed. Python's operators on nothing but such
numbers give another one (`NUMBERS`). Whatever else is made of them is an array of a dtype, as it is
eagerly: JAX's would stay weak, and adapt to float32 where NumPy's does not.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from headgate.core.namespace import Array
from headgate.ops.special import OF_LIBRARY

_Function = Callable[..., Any]

NUMBERS = {
    *("abs", "add", "divide", "floor_divide", "multiply", "negative", "positive", "pow"),
    *("remainder", "subtract"),
}
"""Operations that Python has an operator for: of numbers they make numbers."""

SPECIAL = {
    **dict.fromkeys(("betaln", "gammainc", "gammaincc", "polygamma", "zeta"), (0, 1)),
    "betainc": (0, 1, 2),
}
"""Special functions of several arrays."""

JOINED = {
    **SPECIAL,
    "clip": (0, 1, 2),
    "concat": (0,),
    "convolution": (0, 1),
    "convolution_weights": (0, 1),
    "cross": (0, 1),
    "crossed": (0, 1),
    "divide_no_nan": (0, 1),
    "divided": (0, 1),
    "convolve_whole": (0, 1),
    "eigvalsh_slope": (0, 1),
    "einsum": (0,),
    "lstm_state": (0, 1),
    "outer": (0, 1),
    "scaled": (0, 1),
    "scatter_each": (0,),
    "solve": (0, 1),
    "solve_triangle": (0, 1),
    "squared_difference": (0, 1),
    "stack": (0,),
    "svdvals_slope": (0, 1),
    "tensordot": (0, 1),
    "transposed_convolution": (0, 1),
    "where": (1, 2),
}
"""Operations that are no ufuncs and cast some arguments to one dtype -> which (a list's all).

`tests/ops/test_agreement.py` fails for a new row that belongs here."""

COMPUTED = {
    *("clip", "crossed", "divide_no_nan", "divided", "eigvalsh_slope", "lstm_state", "outer"),
    *("scaled", "squared_difference", "svdvals_slope", *SPECIAL),
}
"""Those of them that NumPy computes with ufuncs."""

MATRICES = {
    *("cholesky", "det", "eig", "eigh", "eigvalsh", "inv", "lu", "matrix_rank", "pinv", "qr"),
    *("slogdet", "solve", "solve_triangle", "svd", "svdvals", "eigvalsh_slope", "svdvals_slope"),
}
"""Operations of LAPACK, which has no half precision."""

FLOATING = MATRICES | {
    *("divide_no_nan", "divided", "erf", "hard_sigmoid", "mean", "softsign", "vector_norm"),
    *("window_mean", "window_mean_spread"),
    *OF_LIBRARY,
}
"""Operations that make floating numbers of integers, of double precision for any width."""

REDUCED = {"cumulative_prod", "cumulative_sum", "prod", "sum"}
"""Operations that add or multiply up integers in another dtype than their own."""

_NUMBER = {"i": int, "u": int, "f": float, "c": complex}
_EXAMPLES = {int: 0, float: 0.0, complex: 0j}


def kind_of(value: Any) -> Any:
    """Return the dtype of an array, or the type of a Python number, whether it is known or not."""
    if not hasattr(value, "dtype"):
        return type(value) if type(value) in _EXAMPLES else np.result_type(value)
    if getattr(value, "weak_type", False):
        return _NUMBER.get(value.dtype.kind, value.dtype)
    return value.dtype


def cast(value: Array, dtype: Any) -> Array:
    """Return an array in a dtype, strongly typed; a number that is known adapts by itself."""
    import jax

    if not hasattr(value, "dtype"):
        if type(value) is not int or dtype.kind not in "iu":
            return value
        return np.asarray(value, dtype)[()].item()  # refused as NumPy does, if it does not fit
    dtype = jax.dtypes.canonicalize_dtype(dtype)  # of 32 bits, if JAX is set so
    if value.dtype == dtype and not getattr(value, "weak_type", False):
        return value
    if isinstance(value, np.ndarray | np.generic):
        return value.astype(dtype)
    if value.dtype == bool and dtype.kind in "fc":
        # XLA makes a choice of a product with a mask: `nan * mask` would be 0 where it is false.
        value = jax.lax.convert_element_type(value, np.int8)
    return jax.lax.convert_element_type(value, dtype)


def strong(value: Array) -> Array:
    """Return an array that is not weakly typed."""
    return cast(value, value.dtype) if getattr(value, "weak_type", False) else value


@functools.lru_cache(4096)
def loop_of(ufunc: np.ufunc, kinds: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """Return the dtypes that a ufunc casts its arguments to, then those of its results.

    None: all are numbers, or bfloat16, in which NumPy computes what JAX does.
    """
    if any(getattr(kind, "kind", "") == "V" for kind in kinds) and not _apart(kinds):
        return None
    if all(type(kind) is type for kind in kinds):
        return None
    return tuple(ufunc.resolve_dtypes((*kinds, *[None] * ufunc.nout)))


def _apart(kinds: tuple[Any, ...]) -> bool:
    """Tell whether bfloat16 is beside whole numbers that it cannot hold: NumPy takes float64."""
    return any(getattr(kind, "kind", "") in ("i", "u") and kind.itemsize > 1 for kind in kinds)


@functools.lru_cache(4096)
def joined(kinds: tuple[Any, ...], computed: bool = False) -> Any:
    """Return the dtype that NumPy casts several arrays to; None if that is JAX's own.

    bfloat16 has none in common with float16 and wide integers; what is `computed` with ufuncs
    is so in the dtype of their loops.
    """
    if any(getattr(kind, "kind", "") == "V" for kind in kinds):
        if computed:
            return np.dtype(np.float64) if _apart(kinds) else None
        np.result_type(*(kind for kind in kinds if type(kind) is not type))  # may be refused
        return None
    return np.result_type(*(_EXAMPLES.get(kind, kind) for kind in kinds))


@functools.lru_cache(4096)
def reduced(name: str, dtype: Any) -> Any:
    """Return the dtype of a reduction."""
    return getattr(np, name)(np.ones(1, dtype)).dtype


def typed(name: str, function: _Function) -> _Function:
    """Return an operation on JAX's arrays with the dtypes that NumPy's has."""
    ufunc = getattr(np, name, None)
    if isinstance(ufunc, np.ufunc):
        return _of_loops(name, ufunc, function)
    if name in REDUCED:
        function = _reducing(name, function)
    if name in JOINED or name in FLOATING:
        function = _joining(name, function)
    return _strengthened(function)


def _strengthened(function: _Function) -> _Function:
    def call(*args: Any, **options: Any) -> Any:
        return strong(function(*args, **options))

    return call


_COMPARED = {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"}


def _of_loops(name: str, ufunc: np.ufunc, function: _Function) -> _Function:
    keeps_numbers, count = name in NUMBERS, ufunc.nin

    def call(*arrays: Any, **options: Any) -> Any:
        kinds = tuple(map(kind_of, arrays))
        found = loop_of(ufunc, kinds)
        if found is None:
            result = function(*arrays, **options)
            return result if keeps_numbers else strong(result)
        try:
            cast_to_loop = list(map(cast, arrays, found))
        except OverflowError:
            if name not in _COMPARED:
                raise
            # NumPy compares with a number that is out of the range of the dtype all the same.
            wide = np.result_type(
                *(np.min_scalar_type(x) if k is int else k for x, k in zip(arrays, kinds))
            )
            cast_to_loop = [cast(x, wide) for x in arrays]
        return cast(function(*cast_to_loop, **options), found[count])

    return call


def _floating(kind: Any) -> Any:
    """Return double precision for integers and booleans."""
    return np.dtype(np.float64) if getattr(kind, "kind", "") in ("b", "i", "u") else kind


def _joining(name: str, function: _Function) -> _Function:
    places = JOINED.get(name, (0,))

    def call(*args: Any, **options: Any) -> Any:
        given = list(args)
        chosen = [k for k in places if k < len(given) and given[k] is not None]
        arrays: list[Any] = []
        for k in chosen:
            arrays += given[k] if type(given[k]) in (list, tuple) else [given[k]]
        kinds = tuple(map(kind_of, arrays))
        if name in MATRICES:
            given_to_lapack = 2 if name.startswith("solve") else 1
            if np.dtype(np.float16) in kinds[:given_to_lapack]:
                raise TypeError("array type float16 is unsupported in linalg")
            if getattr(kinds[0], "kind", "") == "V":
                return function(*args, **options)  # which refuses it
            kinds = (*map(_floating, kinds[:given_to_lapack]), *kinds[given_to_lapack:])
        dtype = joined(kinds, name in COMPUTED)
        if dtype is None:
            return function(*args, **options)
        if name in FLOATING:
            dtype = _floating(dtype)
        if name == "clip" and dtype.kind in "iu":
            limits = np.iinfo(dtype)  # a bound out of the range of the dtype is none
            given = [min(max(x, limits.min), limits.max) if type(x) is int else x for x in given]
        for k in chosen:
            many = type(given[k]) in (list, tuple)
            given[k] = [cast(x, dtype) for x in given[k]] if many else cast(given[k], dtype)
        return function(*given, **options)

    return call


def _reducing(name: str, function: _Function) -> _Function:
    def call(x: Any, *args: Any, **options: Any) -> Any:
        if not args and options.get("dtype") is None and x.dtype.kind in "biu":
            import jax

            options["dtype"] = jax.dtypes.canonicalize_dtype(reduced(name, x.dtype))
        return function(x, *args, **options)

    return call
