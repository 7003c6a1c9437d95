"""The operators and methods of tensors and variables: the one place where they are attached.

Each operator is an op, so `x * y` and `headgate.multiply(x, y)` are the same function. NumPy meets
a tensor in two ways. A ufunc (`numpy.sin(x)`, `array * x`) is passed on to our op of the same
meaning, so no object array is ever built. Any other function of NumPy would leave the tape without
a word, so it is refused with the name of ours.

What a function means is told by what it *is*, never by what it is called: `scipy.special.gamma` is
a ufunc too, and our `gamma` draws random numbers. So NumPy's functions are the keys of two tables
here, and a ufunc that is in neither is refused.
"""

from __future__ import annotations

import functools
import operator
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from headgate.core.lift import INEXACT
from headgate.core.namespace import TENSORS, owner
from headgate.core.tensor import Tensor
from headgate.core.traced import is_traced
from headgate.core.variable import Variable

# The rows have to be there before they are attached.
from headgate.ops import elementwise, index, reduce, shape, special  # noqa: F401
from headgate.ops.linalg import products  # noqa: F401
from headgate.record.errors import refusal

_BINARY = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "divide",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "pow": "pow",
    "matmul": "matmul",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
    "lshift": "bitwise_left_shift",
    "rshift": "bitwise_right_shift",
}
_ORDER = {
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
}
_UNARY = {"neg": "negative", "pos": "positive", "abs": "abs", "invert": "bitwise_invert"}


def _same(names: str) -> dict[str, str]:
    return {name: name for name in names.split()}


_UFUNC_NAMES = _same("""
    add bitwise_and bitwise_or bitwise_xor ceil copysign cos cosh divide equal exp exp2 expm1 floor
    floor_divide greater greater_equal hypot isfinite isinf isnan less less_equal log log10 log1p
    log2 logaddexp logical_and logical_not logical_or logical_xor matmul maximum minimum multiply
    negative nextafter not_equal positive reciprocal remainder sign signbit sin sinh sqrt square
    subtract tan tanh trunc vecdot
""") | {
    "absolute": "abs",
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan": "atan",
    "arctan2": "atan2",
    "arctanh": "atanh",
    "conjugate": "conj",
    "invert": "bitwise_invert",
    "left_shift": "bitwise_left_shift",
    "power": "pow",
    "right_shift": "bitwise_right_shift",
    "rint": "round",
}
"""NumPy's name of a ufunc -> our op of the same meaning."""

_SPECIAL_NAMES = _same("""
    betainc betaln entr erf erfc erfcinv erfcx erfinv exp1 expi gammainc gammaincc gammaln i0 i0e i1
    i1e kl_div log_ndtr logit ndtr ndtri rel_entr xlog1py xlogy
""") | {
    "gamma": "gamma_function",
    "psi": "digamma",
    "exp2": "exp2",
    "expit": "sigmoid",
    "expm1": "expm1",
    "log1p": "log1p",
    "log_expit": "log_sigmoid",
}
"""The same for the ufuncs of `scipy.special`."""

_FUNCTION_NAMES = _same("""
    all allclose angle any argmax argmin argsort astype broadcast_arrays broadcast_to clip concat
    convolve correlate count_nonzero diag diagonal diff dot einsum empty_like expand_dims flip
    full_like imag inner interp isclose linspace logspace matrix_transpose max mean median meshgrid
    min moveaxis nan_to_num ones_like outer pad percentile permute_dims prod quantile real repeat
    reshape roll round searchsorted sort split squeeze stack std sum swapaxes take take_along_axis
    tensordot tile trapezoid tril triu unique_all unique_counts unique_inverse unique_values unstack
    var vdot where zeros_like
    fft.fft fft.fft2 fft.fftn fft.fftshift fft.hfft fft.ifft fft.ifft2 fft.ifftn fft.ifftshift
    fft.ihfft fft.irfft fft.irfft2 fft.irfftn fft.rfft fft.rfft2 fft.rfftn
    linalg.cholesky linalg.cross linalg.det linalg.diagonal linalg.eig linalg.eigh
    linalg.eigvals linalg.eigvalsh linalg.inv linalg.matmul linalg.matrix_norm
    linalg.matrix_power linalg.matrix_rank linalg.matrix_transpose linalg.norm linalg.outer
    linalg.pinv linalg.qr linalg.slogdet linalg.solve linalg.svd linalg.svdvals linalg.tensordot
    linalg.trace linalg.vecdot linalg.vector_norm
""") | {
    "amax": "max",
    "amin": "min",
    "append": "concat",
    "around": "round",
    "array_split": "split",
    "atleast_1d": "expand_dims",
    "atleast_2d": "expand_dims",
    "atleast_3d": "expand_dims",
    "average": "mean",
    "column_stack": "stack",
    "compress": "boolean_mask",
    "concatenate": "concat",
    "copy": "identity",
    "cross": "linalg.cross",
    "cumprod": "cumulative_prod",
    "cumsum": "cumulative_sum",
    "cumulative_prod": "cumulative_prod",
    "cumulative_sum": "cumulative_sum",
    "delete": "boolean_mask",
    "dsplit": "split",
    "dstack": "stack",
    "extract": "boolean_mask",
    "fabs": "abs",
    "fix": "trunc",
    "fliplr": "flip",
    "flipud": "flip",
    "float_power": "pow",
    "hsplit": "split",
    "hstack": "concat",
    "kron": "linalg.kron",
    "matvec": "matmul",
    "partition": "sort",
    "put_along_axis": "scatter_update",
    "ravel": "reshape",
    "rollaxis": "moveaxis",
    "select": "where",
    "trace": "linalg.trace",
    "transpose": "permute_dims",
    "unique": "unique_values",
    "vecmat": "matmul",
    "vsplit": "split",
    "vstack": "concat",
    "linalg.lstsq": "linalg.lstsq",
    "i0": "special.i0",
    "sinc": "special.sinc",
    "linalg.multi_dot": "matmul",
    "add.accumulate": "cumulative_sum",
    "add.at": "scatter_add",
    "add.reduce": "sum",
    "logical_and.reduce": "all",
    "logical_or.reduce": "any",
    "maximum.reduce": "max",
    "minimum.reduce": "min",
    "multiply.accumulate": "cumulative_prod",
    "multiply.outer": "outer",
    "multiply.reduce": "prod",
}
"""What else of NumPy meets a tensor -> what to use in its place, by the names that users see."""


def _named(home: Any, names: dict[str, str]) -> Iterator[tuple[Any, str]]:
    """Yield the functions of a module by these names, those that its release has, and ours."""
    for name, ours in names.items():
        module, _, last = name.rpartition(".")
        found = getattr(operator.attrgetter(module)(home) if module else home, last, None)
        if found is not None:
            yield found, ours


_UFUNCS = {found: getattr(TENSORS, ours) for found, ours in _named(np, _UFUNC_NAMES)}
_INSTEAD: dict[Any, str] = dict(_named(np, _FUNCTION_NAMES))


@functools.cache
def _special() -> dict[Any, Callable[..., Any]]:
    """Return the table of SciPy's ufuncs, which is asked only if SciPy has been imported."""
    found = _named(sys.modules["scipy.special"], _SPECIAL_NAMES)
    return {ufunc: getattr(TENSORS, ours) for ufunc, ours in found}


def _comparison(function: Callable[..., Any], unlike: bool) -> Callable[..., Any]:
    """Compare elementwise; None and arrays that can't be broadcast are `unlike` any tensor."""

    def method(self: Any, other: Any) -> Any:
        if other is None:
            return unlike
        try:
            return function(self, other)
        except (TypeError, ValueError):
            if _fit(self, other):
                raise
            return unlike

    return method


def _fit(x: Any, y: Any) -> bool:
    """Tell whether two operands can be broadcast."""
    try:
        np.broadcast_shapes(x.shape, y.shape if hasattr(y, "shape") else np.shape(y))
    except ValueError:
        return False
    return True


DIVIDED = (
    "whole numbers are divided by 0; leave those places out with headgate.where, or convert with "
    "headgate.astype(x, float)"
)


def looked_at(value: Any, find: Callable[[], list[Any]], explain: Callable[..., Exception]) -> None:
    """Have a program look at a traced value while it runs, if its executor can and is asked to.

    `find` returns whether something fails, and values that `explain` makes the error of.
    """
    look = getattr(owner[type(value)], "look", None)
    if look is not None:
        look(find, explain)


def check_divisor(x: Any, y: Any) -> None:
    """Refuse to divide whole numbers by 0, as Python does; floats have NaN and infinities.

    `headgate.floor_divide` and `headgate.remainder` are NumPy's, and give its 0 and its warning;
    compiled code raises nothing unless it was asked to look.
    """
    divisor = y._value if type(y) is Variable else getattr(y, "value", y)
    kinds = (getattr(getattr(value, "dtype", None), "kind", "i") for value in (x, y))
    if any(kind not in "iub" for kind in kinds) or isinstance(x, float) or isinstance(y, float):
        return
    if is_traced(divisor):
        looked_at(divisor, lambda: [(divisor == 0).any()], lambda: ZeroDivisionError(DIVIDED))
    elif not np.all(divisor):
        raise refusal(ZeroDivisionError, DIVIDED)


def _dividing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return an operator that divides, and refuses to divide whole numbers by 0."""

    def method(self: Any, other: Any) -> Any:
        if (self if hasattr(self, "dtype") else other).dtype.kind not in INEXACT:
            check_divisor(self, other)
        return function(self, other)

    return method


def _reflected(function: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Any, other: Any) -> Any:
        return function(other, self)

    return method


def _array_ufunc(self: Any, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
    function = _UFUNCS.get(ufunc)
    if function is None and "scipy.special" in sys.modules:
        function = _special().get(ufunc)
    if function is not None and method == "__call__" and not options:
        return function(*inputs)
    call = _name_of(ufunc)
    if method != "__call__":
        call += f".{method}"
        ours = _INSTEAD.get(getattr(ufunc, method))
    else:
        if options:
            call += f"({', '.join(f'{option}=' for option in options)})"
        ours = _INSTEAD.get(ufunc) if function is None else function.__name__
    raise refusal(TypeError, _instead(call, ours))


def _array_function(self: Any, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    call = f"{function.__module__}.{function.__name__}"
    raise refusal(TypeError, _instead(call, _INSTEAD.get(function)))


def _name_of(ufunc: Any) -> str:
    """Return the name under which a user knows a ufunc, which does not say whose it is."""
    name: str = ufunc.__name__
    for home in ("numpy", "scipy.special"):
        if home in sys.modules and getattr(sys.modules[home], name, None) is ufunc:
            return f"{home}.{name}"
    return f"the ufunc {name}"


def _instead(call: str, ours: str | None) -> str:
    """Say what to call in place of a function that would lose the gradient."""
    cure = (
        "Headgate has no op for it; compose it of ops"
        if ours is None
        else f"use headgate.{ours}(...), which records the gradient"
    )
    return f"{call} does not work on tensors: {cure}; or leave the tape on purpose with x.numpy()"


def _getitem(self: Any, key: Any) -> Any:
    return TENSORS.getitem(self, key)


def _iterate(self: Any) -> Any:
    if not self.ndim:
        raise TypeError("iteration over a 0-d tensor")
    return iter(TENSORS.unstack(self))


def _refuse_item_assignment(self: Any, key: Any, value: Any) -> None:
    raise refusal(
        TypeError,
        "tensors are immutable and do not support item assignment; use "
        "headgate.scatter_update(x, values, key=key), which returns a new tensor",
    )


def _transpose(self: Any) -> Any:
    return TENSORS.permute_dims(self, tuple(reversed(range(self.ndim))))


def attach(kind: type) -> None:
    """Give a class the operators, NumPy's hooks and the few methods of an Array API array."""
    for method, name in _BINARY.items():
        function = getattr(TENSORS, name)
        if method in ("floordiv", "mod"):
            function = _dividing(function)
        setattr(kind, f"__{method}__", function)
        setattr(kind, f"__r{method}__", _reflected(function))
    setattr(kind, "__eq__", _comparison(TENSORS.equal, False))  # noqa: B010
    setattr(kind, "__ne__", _comparison(TENSORS.not_equal, True))  # noqa: B010
    for method, name in (_ORDER | _UNARY).items():
        setattr(kind, f"__{method}__", getattr(TENSORS, name))
    setattr(kind, "__getitem__", _getitem)  # noqa: B010
    setattr(kind, "__iter__", _iterate)  # noqa: B010
    setattr(kind, "__array_ufunc__", _array_ufunc)  # noqa: B010
    setattr(kind, "__array_function__", _array_function)  # noqa: B010
    setattr(kind, "T", property(_transpose, doc="The transpose: all axes in reverse order."))  # noqa: B010
    setattr(kind, "mT", property(TENSORS.matrix_transpose, doc="Each matrix transposed."))  # noqa: B010


attach(Tensor)
attach(Variable)
setattr(Tensor, "__setitem__", _refuse_item_assignment)  # noqa: B010
