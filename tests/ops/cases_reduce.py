"""Cases of `headgate.ops.reduce`: reductions, cumulative ops, sorting and searching."""

import numpy as np

from headgate.testing import OpCase, booleans, distinct, integers, positive, real

OUT_OF_RANGE = [
    ([real(2, 3)], {"axis": 2}, IndexError, r"axis 2 is out of bounds(?s:.*)float64 \(2, 3\)")
]
WITH_ZEROS = np.array([[2.0, 0.0, 3.0, -1.0], [0.0, 4.0, 0.0, 5.0], [1.0, 2.0, -2.0, 3.0]])


def largest(x, k, axis=-1):
    order = np.flip(np.argsort(x, axis=axis), axis=axis).take(range(k), axis=axis)
    return np.take_along_axis(x, order, axis=axis), order


def descending(function):
    return lambda x, axis, descending: np.flip(function(x, axis=axis), axis=axis)


def reductions(name, array, dtypes="f", bad=(), **options):
    """Return the cases of one reduction: all axes, one, several, kept, a list, 0-d."""
    reference = getattr(np, name)

    def plainly(x, axis=None, **statics):
        return reference(x, axis=tuple(axis) if isinstance(axis, list) else axis, **statics)

    return [
        OpCase(name, [array(2, 3, 4)], {}, None, dtypes, bad=bad, **options),
        OpCase(name, [array(2, 3, 4)], {"axis": -1, "keepdims": True}, **options),
        OpCase(name, [array(2, 3, 4)], {"axis": (0, 2)}, None, dtypes, **options),
        OpCase(name, [array(2, 3, 4)], {"axis": [1, 2], "keepdims": True}, plainly, **options),
        OpCase(name, [array(2, 3, 4)], {"axis": 1}, **options),
        OpCase(name, [array()], **options),
    ]


CASES = [
    OpCase("nonzero", [real(3, 4)], order=0, bad=[([1.0], {}, ValueError, "without axes")]),
    *reductions("sum", real, "fFc", OUT_OF_RANGE),
    OpCase("sum", [real(0, 3)], {"axis": 0}),
    OpCase("sum", [real(0, 3)]),
    OpCase("sum", [integers(2, 3)], {"axis": 1}, order=0),
    OpCase("sum", [booleans(5)], order=0),
    OpCase("sum", [real(2, 3)], {"axis": ()}),
    OpCase("sum", [real(2, 3)], {"axis": 0, "dtype": np.float32}, order=0, wrt=[]),
    *reductions("mean", real, "fFc", OUT_OF_RANGE),
    OpCase("mean", [integers(2, 3)], order=0),
    OpCase("mean", [booleans(5)], order=0),
    OpCase("mean", [real(0, 3)], {"axis": 1}),
    *reductions("prod", real, "fFc", OUT_OF_RANGE),
    OpCase("prod", [WITH_ZEROS], {"axis": 1}),
    OpCase("prod", [WITH_ZEROS]),
    OpCase("prod", [real(0, 3)], {"axis": 0}),
    *reductions("var", real, "fFc", OUT_OF_RANGE)[:-1],
    OpCase("var", [real(3, 4)], {"axis": 1, "correction": 1}, dtypes="fFc"),
    *reductions("std", real, "fFc", OUT_OF_RANGE)[:-1],
    OpCase("std", [real(3, 4)], {"axis": 0, "correction": 1}, dtypes="fFc"),
    *reductions(
        "max",
        distinct,
        "fF",
        [*OUT_OF_RANGE, ([real(0, 3)], {"axis": 0}, ValueError, "zero-size array")],
    ),
    OpCase("max", [integers(2, 3)], order=0),
    OpCase("max", [real(0, 3)], {"axis": 1}),
    *reductions(
        "min", distinct, "fF", [*OUT_OF_RANGE, ([real(0)], {}, ValueError, "zero-size array")]
    ),
    *(
        OpCase(name, [array(2, 3, 4)], statics, order=0)
        for name in ("any", "all", "count_nonzero")
        for array, statics in ((booleans, {}), (real, {"axis": 1}), (real, {"axis": (0, 2)}))
    ),
    *(
        OpCase(name, [distinct(3, 4)], statics, dtypes="fF", order=0, bad=OUT_OF_RANGE)
        for name in ("argmax", "argmin")
        for statics in ({}, {"axis": 0}, {"axis": -1, "keepdims": True})
    ),
    *(
        OpCase(name, [array], {"axis": axis, "include_initial": initial}, dtypes=dtypes)
        for name, array in (
            ("cumulative_sum", real(2, 5, 3)),
            ("cumulative_prod", positive(2, 5, 3)),
        )
        for axis, initial, dtypes in ((0, False, "f"), (1, True, "fFc"), (-1, False, "f"))
    ),
    OpCase("cumulative_sum", [real(6)], bad=[([real(2, 3)], {}, ValueError, "axis")]),
    OpCase("cumulative_sum", [real(0, 3)], {"axis": 0}),
    OpCase("cumulative_sum", [integers(4)], order=0),
    OpCase("cumulative_prod", [real(5)]),
    OpCase("cumulative_prod", [real(1)], {"include_initial": True}),
    OpCase("cumulative_prod", [WITH_ZEROS], {"axis": 1}),
    OpCase("cumulative_prod", [WITH_ZEROS], {"axis": 0, "include_initial": True}),
    OpCase("cumulative_prod", [real(3, 0)], {"axis": 1}),
    OpCase("sort", [distinct(3, 4)], dtypes="fF", bad=OUT_OF_RANGE),
    OpCase("sort", [distinct(3, 4)], {"axis": 0}),
    OpCase("sort", [distinct(3, 4)], {"axis": 0, "descending": True}, descending(np.sort)),
    OpCase("sort", [real(0, 3)], {"axis": 0}),
    OpCase(
        "permute_along_axis",
        [real(2, 3), np.array([[2, 0, 1], [0, 2, 1]]), np.array([[1, 2, 0], [0, 2, 1]])],
        {"axis": 1},
        lambda x, order, back, axis: np.take_along_axis(x, order, axis),
        "fFc",
    ),
    OpCase("argsort", [distinct(3, 4)], order=0, bad=OUT_OF_RANGE),
    OpCase(
        "argsort",
        [distinct(3, 4)],
        {"axis": 0, "descending": True},
        descending(np.argsort),
        order=0,
    ),
    OpCase(
        "top_k",
        [distinct(3, 5)],
        {"k": 2},
        largest,
        "fF",
        bad=[
            ([real(2, 3)], {"k": 4}, ValueError, "k is 4, and there are 3 elements"),
            ([real(2, 3)], {"k": 1, "axis": 2}, ValueError, "axis 2 is out of bounds"),
        ],
    ),
    OpCase("top_k", [distinct(3, 5)], {"k": 3, "axis": 0}, largest),
    OpCase("top_k", [distinct(3, 5)], {"k": 0}, largest),
    OpCase(
        "searchsorted", [np.array([1.0, 2.0, 4.0]), np.array([[2.0, 0.5], [9.0, 3.0]])], order=0
    ),
    OpCase(
        "searchsorted",
        [np.array([4.0, 1.0, 2.0]), np.array([2.0, 9.0]), np.array([1, 2, 0])],
        {"side": "right"},
        lambda x1, x2, sorter, side: np.searchsorted(x1, x2, side, sorter),
        order=0,
    ),
    OpCase("unique_values", [np.array([[2.0, 1.0], [2.0, 3.0]])], reference=np.unique, order=0),
    *(
        OpCase(name, [np.array([[2.0, 1.0], [2.0, 3.0]])], order=0)
        for name in ("unique_counts", "unique_inverse", "unique_all")
    ),
]
