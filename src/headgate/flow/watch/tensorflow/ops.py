"""Ops: what TensorFlow's operations are called in a trace, and what they mean to gradient.

An operation goes by the name that traces of other frameworks have for it, where there is one: so
sums are taken apart and factors recognised in the same way everywhere. What is not listed goes by
its own name in small letters.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

OP, SKIP, STOP, HOST, HANDLE, READ, GATHER, WRITE, STEP, CALL = (
    *("op", "skip", "stop", "host", "handle", "read", "gather", "write", "step", "call"),
)
"""What sort of thing an operation does."""


class Row(NamedTuple):
    """An operation: what it does, and what it is called."""

    role: str
    op: str


_SAME = {
    "add": ("Add", "AddV2", "BiasAdd", "BiasAddV1"),
    "add_n": ("AddN", "AccumulateNV2"),
    "subtract": ("Sub",),
    "multiply": ("Mul", "MulNoNan"),
    "divide": ("Div", "RealDiv", "DivNoNan", "Xdivy"),
    "negative": ("Neg",),
    "matmul": ("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "SparseMatMul"),
    "astype": ("Cast",),
    "identity": ("Identity", "IdentityN", "Snapshot", "DeepCopy", "CheckNumerics", "_EagerConst"),
    "concat": ("Concat", "ConcatV2"),
    "stack": ("Pack",),
    "unstack": ("Unpack",),
    "permute_dims": ("Transpose", "ConjugateTranspose"),
    "broadcast_to": ("BroadcastTo", "Tile"),
    "getitem": ("StridedSlice", "Slice"),
    "gather": ("Gather", "GatherV2", "GatherNd"),
    "where": ("Select", "SelectV2"),
    "nonzero": ("Where",),
    "argmax": ("ArgMax",),
    "argmin": ("ArgMin",),
    "cumulative_sum": ("Cumsum",),
    "categorical": ("Multinomial", "StatelessMultinomial", "RandomCategorical"),
    "bernoulli": ("StatelessRandomBinomial", "StatefulRandomBinomial"),
    "sparse_softmax_cross_entropy": ("SparseSoftmaxCrossEntropyWithLogits",),
    "softmax_cross_entropy": ("SoftmaxCrossEntropyWithLogits",),
    "convolution": ("Conv2D", "Conv3D", "DepthwiseConv2dNative", "Conv2DBackpropInput", "Conv"),
    "top_k": ("TopK", "TopKV2"),
    "acos": ("Acos",),
    "inv": ("MatrixInverse",),
    "det": ("MatrixDeterminant",),
    "slogdet": ("LogMatrixDeterminant",),
    "solve": ("MatrixSolve", "MatrixTriangularSolve"),
    "eigh": ("SelfAdjointEigV2",),
    "round": ("Round", "Rint"),
    "remainder": ("FloorMod", "Mod", "TruncateMod"),
    "reciprocal": ("Reciprocal", "Inv"),
    "reverse": ("ReverseV2",),
}
_OPS = {name: op for op, names in _SAME.items() for name in names}

_ROLES = {
    "StopGradient": STOP,
    "PreventGradient": STOP,
    "PyFunc": HOST,
    "PyFuncStateless": HOST,
    "VarHandleOp": HANDLE,
    "_VarHandlesOp": HANDLE,
    "ReadVariableOp": READ,
    "ResourceGather": GATHER,
    "ResourceGatherNd": GATHER,
    "ResourceStridedSliceAssign": WRITE,
    **dict.fromkeys(("AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp"), WRITE),
    **dict.fromkeys(
        (
            *("ZerosLike", "OnesLike", "Shape", "ShapeN", "Size", "Rank", "Fill", "Range"),
            *("BroadcastGradientArgs", "BroadcastArgs", "InvertPermutation", "ConcatOffset"),
            *("VarIsInitializedOp", "VariableShape", "DestroyResourceOp", "Assert", "PrintV2"),
            *("StringFormat", "NoOp", "EnsureShape_", "CollectiveReduceV2", "Print"),
        ),
        SKIP,
    ),
}
"""What makes no value out of a value is passed over."""

WRITES = {
    "AssignVariableOp": "assign",
    "AssignAddVariableOp": "assign_add",
    "AssignSubVariableOp": "assign_sub",
}

NOTHING = {
    *("ArgMax", "ArgMin", "FloorDiv", "TruncateDiv", "Floor", "Ceil", "Round", "Rint"),
    *("OneHot", "LinSpace", "Bincount", "DenseBincount", "Bucketize"),
}
"""Operations whose rule is there, and gives nothing: it has to be asked to be known."""

FLAT = {"sign", "floor", "ceil", "round", "heaviside"}
"""Ops whose derivative is zero everywhere."""

SELECTIONS = {
    *("where", "gather", "getitem", "dynamic_partition", "dynamic_stitch", "scatter_nd"),
    *("tensor_scatter_update", "matrix_band_part", "unsorted_segment_sum", "segment_sum", "top_k"),
    *("boolean_mask", "unstack", "split", "pad"),
}
"""Ops that let through what a mask or an index selects."""

PRODUCTS = {"multiply", "matmul", "einsum", "convolution"}

INFINITE = {
    *("log", "log1p", "divide", "reciprocal", "exp", "expm1", "pow", "rsqrt", "square", "prod"),
    *("sum", "mean", "matmul", "cosh", "sinh", "tan", "atanh", "multiply"),
    *("sparse_softmax_cross_entropy", "softmax_cross_entropy", "squared_difference"),
}
"""Ops at which an infinity is born by mistake; elsewhere it may be a mask's."""


@cache
def row_of(name: str) -> Row:
    """Return what an operation does, by its type.

    >>> from headgate.flow.watch.tensorflow.ops import row_of
    >>> row_of("AddV2").op, row_of("ResizeBilinear").op, row_of("ReadVariableOp").role
    ('add', 'resize_bilinear', 'read')
    """
    if name.startswith("__"):
        return Row(CALL, name)
    role = _ROLES.get(name, OP)
    if role == OP and name.startswith(("ResourceScatter", "ResourceSparseApply", "ResourceApply")):
        role = STEP if "Apply" in name else WRITE
    return Row(role, _OPS.get(name) or _small(name))


def _small(name: str) -> str:
    plain = re.sub(r"V\d+$", "", name).lstrip("_")
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", plain).lower()
    return words.removeprefix("resource_")
