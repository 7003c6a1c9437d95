"""Ops: what the functions of PyTorch are called in a trace, and what they mean to gradient.

A function comes in several forms (`torch.add`, `Tensor.add_`, the operator); all of them share one
row, with the name that other frameworks' traces have for it, where there is one: so sums are taken
apart and factors recognised in the same way everywhere. What is not listed goes by its own name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

OP, SKIP, HOST, STOP, REWRAP, FLAG, GRAD, SET_GRAD, SET_DATA, HOOK = (
    *("op", "skip", "host", "stop", "rewrap", "flag", "grad", "set grad", "set data", "hook"),
)
"""What sort of thing a function does."""


class Row(NamedTuple):
    """A function: what it does, the name of the op, and whether its operands are exchanged."""

    role: str
    op: str
    reverse: bool = False


_SAME = {
    "add": ("add", "__add__", "__radd__", "__iadd__"),
    "subtract": ("sub", "subtract", "__sub__", "__isub__"),
    "multiply": ("mul", "multiply", "__mul__", "__rmul__", "__imul__"),
    "divide": ("div", "divide", "true_divide", "__div__", "__truediv__", "__itruediv__"),
    "negative": ("neg", "negative", "__neg__"),
    "positive": ("positive", "__pos__"),
    "pow": ("pow", "__pow__", "float_power"),
    "matmul": ("matmul", "mm", "bmm", "mv", "dot", "__matmul__"),
    "abs": ("abs", "absolute", "__abs__"),
    "identity": ("clone", "contiguous", "alias", "view_as_real", "requires_grad_", "to_dense"),
    "astype": (
        *("to", "type", "type_as", "float", "double", "half", "bfloat16", "int", "long", "short"),
        *("bool", "char", "byte", "cpu", "cuda"),
    ),
    "reshape": ("reshape", "view", "flatten", "unflatten", "view_as", "reshape_as", "ravel"),
    "permute_dims": (
        *("permute", "transpose", "t", "swapaxes", "movedim", "moveaxis", "swapdims", "adjoint"),
        *("T.__get__", "mT.__get__", "H.__get__", "mH.__get__"),
    ),
    "broadcast_to": ("expand", "expand_as", "broadcast_to", "repeat", "tile"),
    "concat": ("cat", "concat", "concatenate", "hstack", "vstack", "dstack"),
    "expand_dims": ("unsqueeze",),
    "getitem": ("__getitem__", "select", "narrow"),
    "detach": ("detach", "detach_", "data.__get__", "detach_copy"),
    "nan_to_num": ("nan_to_num",),
    "maximum": ("maximum", "fmax"),
    "minimum": ("minimum", "fmin"),
    "clip": ("clamp", "clip", "clamp_min", "clamp_max", "hardtanh"),
    "greater": ("gt", "greater", "__gt__"),
    "greater_equal": ("ge", "greater_equal", "__ge__"),
    "less": ("lt", "less", "__lt__"),
    "less_equal": ("le", "less_equal", "__le__"),
    "equal": ("eq", "__eq__"),
    "not_equal": ("ne", "not_equal", "__ne__"),
    "trunc": ("trunc", "fix"),
    "sign": ("sign", "sgn"),
    "level": ("heaviside",),
}
_OPS = {form: op for op, forms in _SAME.items() for form in forms}

_REVERSED = {
    "rsub": "subtract",
    "__rsub__": "subtract",
    "__rtruediv__": "divide",
    "__rdiv__": "divide",
    "__rmatmul__": "matmul",
    "__rpow__": "pow",
}

_HOST = {
    "item": "item()",
    "tolist": "tolist()",
    "numpy": "numpy()",
    "__array__": "numpy()",
    "__dlpack__": "dlpack",
    "__float__": "float()",
    "__int__": "int()",
    "__complex__": "complex()",
}
"""Ways to the host. Whatever a branch is decided by (`__bool__`) does not come back."""

_ROLES = {
    **dict.fromkeys(_HOST, HOST),
    **dict.fromkeys(("detach", "detach_", "data.__get__", "detach_copy"), STOP),
    **dict.fromkeys(("tensor", "as_tensor", "asarray", "new_tensor", "scalar_tensor"), REWRAP),
    **dict.fromkeys(("requires_grad_", "requires_grad.__set__"), FLAG),
    "grad.__get__": GRAD,
    "grad.__set__": SET_GRAD,
    "data.__set__": SET_DATA,
    "register_hook": HOOK,
}

_QUIET = {
    *("backward", "register_post_accumulate_grad_hook", "retain_grad"),
    *("size", "dim", "numel", "nelement", "stride", "storage_offset", "element_size", "ndimension"),
    *("is_floating_point", "is_complex", "is_contiguous", "is_signed", "is_nonzero", "data_ptr"),
    *("untyped_storage", "storage", "get_device", "__len__", "__hash__", "__repr__", "__format__"),
    *("__bool__", "__index__", "__contains__", "equal", "allclose", "is_tensor", "is_same_size"),
    *("__deepcopy__", "__reduce_ex__", "__setstate__", "_set_grad_enabled", "__dir__", "grad"),
    *(
        "is_inference",
        "isclose",
        "result_type",
        "can_cast",
        "is_storage",
        "__cuda_array_interface__",
    ),
    *("zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like", "new_zeros"),
    *(
        "randint_like",
        "new_ones",
        "new_empty",
        "new_full",
        "zeros",
        "ones",
        "empty",
        "randn",
        "rand",
    ),
    *("__dlpack_device__", "is_pinned", "pin_memory", "manual_seed", "randperm"),
}
"""What makes no value out of a value."""

FLAT = {"round", "floor", "ceil", "trunc", "sign", "level", "bernoulli", "floor_divide"}
"""Ops whose derivative is zero everywhere: PyTorch gives zeros where others give nothing."""

INDEXES = {"argmax", "argmin", "argsort", "multinomial", "searchsorted", "bucketize", "nonzero"}

SELECTIONS = {
    *(
        "where",
        "masked_fill",
        "masked_select",
        "masked_scatter",
        "getitem",
        "gather",
        "index_select",
    ),
    *("take", "take_along_dim", "dropout", "tril", "triu", "index_put"),
}
"""Ops that let through what a mask or an index selects."""

PRODUCTS = {"multiply", "matmul", "linear", "einsum", "outer", "baddbmm", "addmm", "bilinear"}

OVERWRITES = {
    *("copy", "zero", "fill", "normal", "uniform", "bernoulli", "exponential", "random", "set"),
    *("log_normal", "geometric", "cauchy", "kaiming_uniform", "kaiming_normal", "xavier_uniform"),
    *("xavier_normal", "trunc_normal", "constant", "orthogonal", "eye", "dirac", "sparse"),
}
"""In place: nothing of what was there before is left."""

APART = {"broadcast_tensors", "meshgrid", "atleast_1d", "atleast_2d", "atleast_3d"}
"""Ops of several tensors that give something for each, which the others have no part in."""

INFINITE = {
    *("log", "log2", "log10", "log1p", "logit", "divide", "reciprocal", "exp", "exp2", "expm1"),
    *("rsqrt", "square", "prod", "sum", "mean", "matmul", "linear", "cosh", "sinh", "tan", "atanh"),
    *("logsumexp", "binary_cross_entropy", "nll_loss", "mse_loss", "poisson_nll_loss", "erfinv"),
    "pow",
}
"""Ops at which an infinity is born by mistake; elsewhere it may be a mask's."""


def name_of(function: Callable[..., Any]) -> str:
    """Return the name of a function, a getter's or a setter's with that of its attribute."""
    name = getattr(function, "__name__", "")
    if name in ("__get__", "__set__", "__delete__"):
        owner: Any = getattr(function, "__self__", None)
        attribute = getattr(owner, "__name__", None)
        attribute = attribute or getattr(getattr(owner, "fget", None), "__name__", "")
        return f"{attribute}.{name}"
    return name or str(function)


@cache
def row_of(function: Callable[..., Any]) -> Row:
    """Return what a function does, as it is called through PyTorch's own dispatch."""
    name = name_of(function)
    if name in _ROLES:
        return Row(_ROLES[name], _HOST.get(name) or _OPS.get(name, name))
    if name in _QUIET or (name.endswith(("__get__", "__set__", "__delete__")) and name not in _OPS):
        return Row(SKIP, name)
    if name in _REVERSED:
        return Row(OP, _REVERSED[name], reverse=True)
    plain = name.removesuffix("_") if not name.endswith("__") else name
    return Row(OP, _OPS.get(name) or _OPS.get(plain) or plain or name)


def op_of_node(name: str) -> str:
    """Return the op that a node of PyTorch's graph is of, by the name of the node.

    >>> from headgate.flow.watch.torch.ops import op_of_node
    >>> op_of_node("MulBackward0"), op_of_node("LogSoftmaxBackward0")
    ('multiply', 'log_softmax')
    """
    plain = name.rstrip("0123456789").removesuffix("Backward")
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", plain).lower()
    return _OPS.get(words, words)
