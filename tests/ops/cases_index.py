"""Cases of the rows in `headgate.ops.index`."""

import numpy as np

from headgate.testing import OpCase, booleans, integers, real


def picked(x, key):
    return x[key]


def put(updates, key, shape):
    made = np.zeros(shape, updates.dtype)
    np.add.at(made, key, updates)
    return made


def added(x, updates, key):
    made = x.copy()
    np.add.at(made, key, updates)
    return made


def replaced(x, updates, key):
    made = x.copy()
    made[key] = updates
    return made


def put_rows(updates, indices, axis, shape):
    return put(updates, (slice(None),) * (axis % len(shape)) + (indices,), shape)


def put_along_axis(updates, indices, axis, size):
    moved, indices = np.moveaxis(updates, axis, -1), np.moveaxis(indices, axis, -1)
    made = np.zeros((*moved.shape[:-1], size), updates.dtype)
    for place in np.ndindex(moved.shape[:-1]):
        np.add.at(made[place], indices[place], moved[place])
    return np.moveaxis(made, -1, axis)


MASK = np.asarray([[True, False, True], [False, False, True]])
ROWS = np.asarray([2, 0, 2, -1])
COLUMNS = np.asarray([1, 1, 1, 0])

KEYS = [  # for an array of shape (3, 2, 4)
    1,
    -1,
    slice(None, None, 2),
    slice(None, None, -1),
    slice(5, 9),
    None,
    ...,
    (),
    (0, 1, 2),
    (slice(None), 1),
    (..., 0),
    (None, slice(1, None), ..., -1),
    ROWS,
    (slice(None), slice(None), ROWS),
    (ROWS, COLUMNS),
    (ROWS, slice(None), COLUMNS),
    (ROWS[:, None], COLUMNS),
    (1, slice(None), ROWS),
    np.asarray([], int),
    np.asarray([True, False, True]),
    (slice(None), np.asarray([False, True])),
    (np.asarray([True, False, True]), 0, COLUMNS[:2]),
]

CASES = [
    *[OpCase("index", [real(3, 2, 4)], {"key": key}, picked) for key in KEYS],
    OpCase("index", [real(2, 3)], {"key": MASK}, picked, "fFc"),
    OpCase("index", [real()], {"key": ()}, picked),
    OpCase("index", [real()], {"key": (None, ...)}, picked),
    OpCase(
        "index",
        [real(0, 3)],
        {"key": (slice(None), 1)},
        picked,
        bad=[
            ([real(3)], {"key": 3}, IndexError, r"index 3 is out of bounds.*\n.*x: float64 \(3,\)"),
            ([real(3)], {"key": (0, 0)}, IndexError, "too many indices"),
            ([real(3, 2)], {"key": np.asarray([3, 0])}, IndexError, "index 3 is out of bounds"),
            ([real(3)], {"key": np.asarray([True])}, IndexError, "did not match"),
        ],
    ),
    OpCase("scatter", [real(2, 4)], {"key": 1, "shape": (3, 2, 4)}, put),
    OpCase(
        "scatter",
        [real(1, 2, 2)],
        {"key": (None, slice(1, None), ..., -1), "shape": (3, 2, 4)},
        put,
    ),
    OpCase("scatter", [real(4, 2, 4)], {"key": ROWS, "shape": (3, 2, 4)}, put),
    OpCase("scatter", [real(3)], {"key": MASK, "shape": (2, 3)}, put),
    OpCase("scatter", [real(2, 1)], {"key": slice(1, 3), "shape": (4, 2)}, put, "fFc"),
    OpCase(
        "scatter",
        [real(200, 4)],
        {"key": (np.arange(200) % 3, slice(None), np.arange(200) % 2), "shape": (3, 4, 2)},
        put,
        "fFc",
        bad=[([real(3)], {"key": slice(2), "shape": (4,)}, ValueError, "broadcast")],
    ),
    OpCase(
        "scatter_each",
        [[real(2), real(3, 2), real(4, 2)]],
        {"keys": [1, slice(None, None, -1), ROWS], "shape": (3, 2)},
        lambda updates, keys, shape: sum(
            put(part, key=key, shape=shape) for part, key in zip(updates, keys, strict=True)
        ),
        "fFc",
        bad=[([[real(3)]], {"keys": [0], "shape": (2, 2)}, ValueError, "broadcast")],
    ),
    *[OpCase("pick", [real(3, 2, 4)], {"key": k}, picked, "fFc") for k in (1, (ROWS, COLUMNS))],
    OpCase("inherit", [real(3), integers(2)], {}, lambda x, other: x),
    OpCase("index_add", [real(3, 4), real(2)], {"key": (slice(None, 2), 1)}, added, "fFc"),
    OpCase("index_add", [real(3, 2), real(4, 2)], {"key": ROWS}, added, "fFc"),
    OpCase("index_add", [real(3, 300), real(4, 300)], {"key": ROWS}, added),
    OpCase(
        "index_add",
        [real(2, 3), real()],
        {"key": MASK},
        added,
        bad=[
            ([real(3), real(2)], {"key": slice(None)}, ValueError, "broadcast"),
            ([integers(3), real(3)], {"key": ...}, TypeError, "do not fit"),
            ([real(3), real()], {"key": 3}, IndexError, "out of bounds"),
        ],
    ),
    OpCase("index_update", [real(3, 4), real(2)], {"key": (slice(None, 2), 1)}, replaced, "fFc"),
    OpCase("index_update", [real(3, 2), real(2, 2)], {"key": ROWS[:2]}, replaced),
    OpCase(
        "index_update",
        [real(2, 3), real()],
        {"key": MASK},
        replaced,
        bad=[
            ([real(3), real(2)], {"key": slice(None)}, ValueError, "broadcast"),
            ([integers(3), real(3)], {"key": ...}, TypeError, "do not fit"),
        ],
    ),
    OpCase("take", [real(5), integers(2, 3, high=5)], {}, dtypes="fFc"),
    OpCase("take", [real(5, 3), integers(4, low=-5, high=5)], {"axis": 0}, dtypes="fFc"),
    OpCase("take", [real(2, 5, 3), integers(4, 2, high=5)], {"axis": -2}),
    OpCase("take", [real(5, 3), 2], {"axis": 0}),
    OpCase("take", [real(5, 40), integers(8, high=5)], {"axis": 0}),
    OpCase(
        "take",
        [real(2, 3), integers(0, high=3)],
        {"axis": 1},
        bad=[
            ([real(3), [3]], {}, IndexError, "index 3 is out of bounds"),
            ([real(3, 2), [0]], {}, ValueError, "2 dimensions"),
            ([real(3), [0.0]], {}, TypeError, r"astype\(index, int\)"),
            ([real(3), booleans(3)], {}, TypeError, "boolean_mask"),
            ([real(3), [0]], {"axis": 1}, IndexError, "axis 1 is out of bounds"),
        ],
    ),
    OpCase(
        "scatter_rows",
        [real(4, 3), integers(4, low=-5, high=5)],
        {"axis": 0, "shape": (5, 3)},
        put_rows,
        "fFc",
    ),
    OpCase(
        "scatter_rows",
        [real(3, 20, 2, 5), integers(20, 2, low=-3, high=3)],
        {"axis": -2, "shape": (3, 3, 5)},
        put_rows,
        "fFc",
    ),
    OpCase("pick_rows", [real(5, 3), integers(4, low=-5, high=5)], {"axis": 0}, np.take, "fFc"),
    OpCase("take_along_axis", [real(3, 4), integers(3, 2, high=4)], {"axis": 1}, dtypes="fFc"),
    OpCase(
        "pick_along_axis", [real(3, 4), integers(5, 4, high=3)], {"axis": 0}, np.take_along_axis
    ),
    OpCase("take_along_axis", [real(3, 4), integers(5, 4, low=-3, high=3)], {"axis": 0}),
    OpCase("take_along_axis", [real(1, 4), integers(3, 2, high=4)], {}),
    OpCase(
        "take_along_axis",
        [real(3, 4, 2), integers(1, 6, 1, high=4)],
        {"axis": -2},
        bad=[
            ([real(3, 4), [0]], {"axis": 1}, ValueError, "dim"),
            ([real(3), [0.0]], {"axis": 0}, TypeError, r"astype\(index, int\)"),
            ([real(3), [3]], {"axis": 0}, IndexError, "out of bounds"),
        ],
    ),
    OpCase(
        "scatter_along_axis",
        [real(3, 6, 2), integers(3, 6, 2, low=-4, high=4)],
        {"axis": 1, "size": 4},
        put_along_axis,
        "fFc",
    ),
    OpCase(
        "scatter_along_axis",
        [real(2, 3), integers(2, 3, high=5)],
        {"axis": -1, "size": 5},
        put_along_axis,
    ),
]
