"""What JAX's primitives are called in reports, and how they lose a gradient.

The names are those of Headgate's own ops, as far as there are such, so that all judges know them: a
sum of terms is one of `add`, `subtract`, `sum`. Whether gradient comes back through an equation
follows from its dtypes, whole numbers have none, and from a short list of primitives whose slope is
zero everywhere. Where a gradient that could flow is zero for the values of a pass, the table says
what that is called.
"""

from __future__ import annotations

NAMES = {
    "add_any": "add",
    "and": "logical_and",
    "argmax": "argmax",
    "argmin": "argmin",
    "broadcast_in_dim": "broadcast_to",
    "clamp": "clip",
    "concatenate": "concat",
    "conv_general_dilated": "convolution",
    "convert_element_type": "astype",
    "copy": "identity",
    "cumsum": "cumulative_sum",
    "device_put": "identity",
    "div": "divide",
    "dot_general": "matmul",
    "eq": "equal",
    "erf_inv": "erfinv",
    "ge": "greater_equal",
    "gt": "greater",
    "integer_pow": "pow",
    "le": "less_equal",
    "logistic": "sigmoid",
    "lt": "less",
    "max": "maximum",
    "min": "minimum",
    "mul": "multiply",
    "ne": "not_equal",
    "neg": "negative",
    "not": "logical_not",
    "optimization_barrier": "identity",
    "or": "logical_or",
    "reduce_max": "max",
    "reduce_min": "min",
    "reduce_precision": "astype",
    "reduce_prod": "prod",
    "reduce_sum": "sum",
    "rem": "remainder",
    "scatter-add": "scatter_add",
    "select_n": "where",
    "sub": "subtract",
    "transpose": "permute_dims",
}
"""Primitive -> what it is called; all others by their own name."""

FLAT = frozenset({"ceil", "floor", "is_finite", "nextafter", "round", "sign", "trunc"})
"""Ops whose slope is zero wherever there is one."""

STOPS = frozenset({"stop_gradient"})

SELECTIONS = frozenset(
    {
        *("cond", "dynamic_slice", "dynamic_update_slice", "gather", "pad", "scatter"),
        *("scatter_add", "slice", "where", "max", "min", "sort", "top_k"),
    }
)
"""Ops that let some elements through, and not others."""

PRODUCTS = frozenset({"convolution", "divide", "matmul", "multiply", "ragged_dot_general"})

EVEN = frozenset({"abs", "cosh", "multiply", "pow", "square"})
"""Ops that are flat where what they take is zero: a loss is at its minimum there."""

INLINE = frozenset(
    {
        *("jit", "pjit", "closed_call", "core_call", "core_closed_call", "xla_call", "remat"),
        *("remat2", "checkpoint", "custom_vmap_call", "shard_map", "xla_pmap", "named_call"),
    }
)
"""Primitives that only call what is in them."""

DRAWS = {
    "categorical": "categorical",
    "_categorical": "categorical",
    "bernoulli": "bernoulli",
    "_bernoulli": "bernoulli",
    "choice": "categorical",
    "argsort": "argsort",
    "searchsorted": "searchsorted",
    "_searchsorted": "searchsorted",
    "digitize": "searchsorted",
    "round": "round",
    "rint": "round",
    "trunc": "trunc",
    "fix": "trunc",
    "floor_divide": "floor_divide",
    "heaviside": "heaviside",
    "sign": "sign",
    "one_hot": "one_hot",
    "_one_hot": "one_hot",
    "argmax": "argmax",
    "argmin": "argmin",
    "nanargmax": "argmax",
    "nanargmin": "argmin",
    "clip": "clip",
    "relu6": "relu6",
    "hard_tanh": "hard_tanh",
    "hard_sigmoid": "hard_sigmoid",
    "norm": "vector_norm",
}
"""Function of JAX's library -> what an equation within it is called, if that is where it ends."""


COMPOSITE = {
    "softmax": "softmax",
    "_softmax": "softmax",
    "log_softmax": "log_softmax",
    "logsumexp": "logsumexp",
    "_logsumexp": "logsumexp",
    "var": "var",
    "_var": "var",
    "std": "std",
    "_std": "std",
    "standardize": "standardize",
}
"""Function of JAX's library -> the one op that it is for whoever calls it."""

FUNCTIONS = DRAWS | COMPOSITE
"""All of them."""


def name_of(primitive: str) -> str:
    """Return what a primitive is called in reports.

    >>> from headgate.flow.watch.jax.ops import name_of
    >>> name_of("dot_general"), name_of("tanh")
    ('matmul', 'tanh')
    """
    return NAMES.get(primitive, primitive.replace("-", "_"))
