"""Cases of the rows in `headgate.ops.shape` and of `tril`, `triu` and `one_hot` in `creation`."""

import numpy as np

from headgate.testing import OpCase, integers, real


def split_by_sizes(x, sizes_or_sections, axis=0):
    return np.split(x, np.cumsum(sizes_or_sections)[:-1], axis=axis)


def pad_with_value(x, widths, value=0):
    return np.pad(x, widths, constant_values=value)


def pad_with_mode(x, widths, mode):
    return np.pad(x, widths, mode=mode)


CASES = [
    OpCase(
        "reshape",
        [real(2, 6)],
        {"shape": (3, -1)},
        dtypes="fFc",
        bad=[
            ([real(2, 3)], {"shape": (4,)}, ValueError, r"reshape.*\n.*x: float64 \(2, 3\)"),
            ([real(2, 3)], {"shape": (2.5,)}, TypeError, "float"),
        ],
    ),
    OpCase("reshape", [real()], {"shape": (1, 1)}),
    OpCase("reshape", [real(1)], {"shape": ()}),
    OpCase("reshape", [real(2, 2)], {"shape": -1}),
    OpCase("reshape", [real(0, 3)], {"shape": (3, 0)}),
    OpCase("permute_dims", [real(2, 3, 4)], {"axes": (2, 0, 1)}, dtypes="fFc"),
    OpCase(
        "permute_dims",
        [real(2, 3, 4)],
        {"axes": (-1, 0, -2)},
        bad=[
            ([real(2, 3)], {"axes": (0, 0)}, ValueError, "repeated axis"),
            ([real(2, 3)], {"axes": (0,)}, ValueError, "axes don't match"),
        ],
    ),
    OpCase("permute_dims", [real(2, 3)], {}, np.transpose),
    OpCase("permute_dims", [real()], {"axes": ()}),
    OpCase(
        "matrix_transpose",
        [real(2, 3, 4)],
        dtypes="fFc",
        bad=[([real(3)], {}, IndexError, "out of bounds")],
    ),
    OpCase("moveaxis", [real(2, 3, 4)], {"source": 0, "destination": -1}, dtypes="fFc"),
    OpCase(
        "moveaxis",
        [real(2, 3, 4)],
        {"source": (0, 2), "destination": (1, 0)},
        bad=[([real(2)], {"source": 1, "destination": 0}, IndexError, "out of bounds")],
    ),
    OpCase("flip", [real(2, 3)], dtypes="fFc"),
    OpCase("flip", [real(2, 3, 2)], {"axis": (0, -1)}),
    OpCase("flip", [real(3)], {"axis": 0}, bad=[([real(3)], {"axis": 1}, IndexError, "axis 1")]),
    OpCase("roll", [real(2, 3)], {"shift": 2}, dtypes="fFc"),
    OpCase("roll", [real(2, 3)], {"shift": -1, "axis": 1}),
    OpCase("roll", [real(2, 3)], {"shift": (1, 2), "axis": (0, 1)}),
    OpCase(
        "expand_dims",
        [real(2, 3)],
        {"axis": -1},
        dtypes="fFc",
        bad=[([real(2)], {"axis": 5}, IndexError, "axis 5 is out of bounds")],
    ),
    OpCase("expand_dims", [real()], {"axis": 0}),
    OpCase("expand_dims", [real(2, 3)], {"axis": (0, 2)}),
    OpCase("squeeze", [real(1, 3, 1)], {}, dtypes="fFc"),
    OpCase(
        "squeeze",
        [real(1, 3, 1)],
        {"axis": -1},
        bad=[([real(2, 3)], {"axis": 0}, ValueError, "size not equal to one")],
    ),
    OpCase(
        "broadcast_to",
        [real(3, 1)],
        {"shape": (2, 3, 4)},
        dtypes="fFc",
        bad=[
            ([real(3)], {"shape": (2,)}, ValueError, r"broadcast.*\n.*x: float64 \(3,\)"),
            ([real(1, 3)], {"shape": (3,)}, ValueError, "more dimensions"),
        ],
    ),
    OpCase("broadcast_to", [real()], {"shape": (2, 2)}),
    OpCase("broadcast_to", [real()], {"shape": ()}),
    OpCase("broadcast_to", [real(1, 3)], {"shape": (0, 3)}),
    OpCase("broadcast_to", [real(1, 90)], {"shape": (60, 90)}),
    OpCase(
        "tile",
        [real(2, 3)],
        {"repetitions": (2, 2)},
        lambda x, repetitions: np.tile(x, repetitions),
        "fFc",
    ),
    OpCase(
        "tile", [real(3)], {"repetitions": (2, 1)}, lambda x, repetitions: np.tile(x, repetitions)
    ),
    OpCase(
        "tile", [real(2, 3)], {"repetitions": 2}, lambda x, repetitions: np.tile(x, repetitions)
    ),
    OpCase("repeat", [real(2, 3)], {"repeats": 2}, dtypes="fFc"),
    OpCase("repeat", [real(2, 3)], {"repeats": 3, "axis": -1}),
    OpCase(
        "repeat",
        [real(2, 3)],
        {"repeats": (1, 0, 4), "axis": 1},
        bad=[([real(3)], {"repeats": (1, 2), "axis": 0}, ValueError, "broadcast")],
    ),
    OpCase("pad", [real(2, 3)], {"widths": 1}, pad_with_value, "fFc"),
    OpCase("pad", [real(2, 3)], {"widths": ((1, 0), (2, 3)), "value": 5.0}, pad_with_value),
    OpCase("pad", [real(0, 3)], {"widths": 1}, pad_with_value),
    OpCase(
        "pad",
        [real(4)],
        {"widths": (3, 2), "mode": "reflect"},
        pad_with_mode,
        "fFc",
        bad=[
            (
                [real(4)],
                {"widths": 1, "mode": "mirror"},
                ValueError,
                "one of 'constant', 'reflect'",
            ),
            ([real(4)], {"widths": -1}, ValueError, "negative"),
            ([real(2, 2)], {"widths": ((1, 1),) * 3}, ValueError, "broadcast"),
        ],
    ),
    OpCase("pad", [real(2, 3)], {"widths": (4, 5), "mode": "reflect"}, pad_with_mode),
    OpCase("pad", [real(2, 3)], {"widths": 2, "mode": "symmetric"}, pad_with_mode),
    OpCase("pad", [real(2, 3)], {"widths": 2, "mode": "edge"}, pad_with_mode),
    OpCase("pad", [real(2, 3)], {"widths": (1, 2), "mode": "wrap"}, pad_with_mode),
    OpCase("concat", [[real(2, 3), real(1, 3), real(0, 3)]], {"axis": 0}, dtypes="fFc"),
    OpCase("concat", [[real(2, 3), real(2, 1)]], {"axis": -1}),
    OpCase(
        "concat",
        [[real(2, 3), real(4)]],
        {"axis": None},
        bad=[
            ([[real(2, 3), real(2, 4)]], {"axis": 0}, ValueError, "dimension 1"),
            ([[real(2), real()]], {"axis": 0}, ValueError, "same number of dimensions"),
            ([[real(2), real(2)]], {"axis": 1}, IndexError, "axis 1 is out of bounds"),
            ([[]], {"axis": 0}, ValueError, "at least one array"),
        ],
    ),
    OpCase("stack", [[real(2, 3), real(2, 3)]], {"axis": 0}, dtypes="fFc"),
    OpCase("stack", [[real(2, 3), real(2, 3)]], {"axis": -1}),
    OpCase(
        "stack",
        [[real(), real(), real()]],
        bad=[
            ([[real(2), real(3)]], {}, ValueError, "same shape"),
            ([[real(2), real(1)]], {"axis": 1}, ValueError, "same shape"),
            ([[real(2), real(2)]], {"axis": 3}, IndexError, "axis 3 is out of bounds"),
        ],
    ),
    OpCase("unstack", [real(2, 3)], dtypes="fFc"),
    OpCase(
        "unstack",
        [real(2, 3)],
        {"axis": -1},
        bad=[([real(2)], {"axis": 1}, IndexError, "out of bounds")],
    ),
    OpCase(
        "split",
        [real(4, 3)],
        {"sizes_or_sections": 2},
        lambda x, sizes_or_sections: np.split(x, 2),
        "fFc",
    ),
    OpCase("split", [real(2, 6)], {"sizes_or_sections": (1, 3, 2), "axis": -1}, split_by_sizes),
    OpCase(
        "split",
        [real(5)],
        {"sizes_or_sections": (2, -1)},
        lambda x, sizes_or_sections: np.split(x, [2]),
        bad=[
            ([real(5)], {"sizes_or_sections": 2}, ValueError, "2 equal parts"),
            ([real(5)], {"sizes_or_sections": (2, 2)}, ValueError, "axis of size 5"),
            ([real(5)], {"sizes_or_sections": 5, "axis": 1}, ValueError, "axis 1 is out of bounds"),
        ],
    ),
    OpCase("tril", [real(3, 4)], dtypes="fFc"),
    OpCase("tril", [real(2, 3, 3)], {"k": -1}),
    OpCase("triu", [real(3, 4)], dtypes="fFc"),
    OpCase("triu", [real(3, 3)], {"k": 1}),
    OpCase(
        "one_hot",
        [integers(2, 3, high=4)],
        {"depth": 4},
        lambda indices, depth: np.eye(depth)[indices],
        order=0,
        bad=[([real(3)], {"depth": 3}, TypeError, r"astype\(indices, int\)")],
    ),
    OpCase(
        "one_hot",
        [np.asarray([-1, 0, 3])],
        {"depth": 3, "dtype": np.int32},
        lambda indices, depth, dtype: np.asarray([[0, 0, 0], [1, 0, 0], [0, 0, 0]], dtype),
        order=0,
    ),
]
