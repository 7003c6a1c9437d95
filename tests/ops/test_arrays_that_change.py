"""Arrays that are written to after an op was given them: nothing that was computed may change.

A buffer for batches that is filled again, an `x += 1`: what a rule saved, what a tensor holds and
what a compiled program reads are copies. Which arguments of a row need one is known from the row;
here every case of the tables is tried.
"""

import linecache
from dataclasses import replace

import numpy as np
import pytest

import headgate as hg
import headgate.tf as tf
from headgate.core.lift import owned
from headgate.core.namespace import NUMPY, TENSORS, implementations
from headgate.core.op import op
from ops.test_table import CASES, flat, floating, function, is_floating, parts, weighting


def spoil(arrays):
    """Write something else into arrays, and return what was in them."""
    before = [array.copy() for array in arrays]
    for array in arrays:
        if array.size:
            array[...] = array.flat[0]  # a valid index, mask or number
            array += array.dtype.type(1) if array.dtype.kind in "fc" else array.dtype.type(0)
    return before


def case_name(case):
    return f"{case.op} {dict(case.statics)}"


def own(array):
    return array.copy() if isinstance(array, np.ndarray) else array


def test_no_result_shares_memory_with_an_array_that_was_given():
    for case in CASES:
        arguments = case.make()
        values = [own(x) for x in flat(arguments)]
        arrays = [x for x in values if isinstance(x, np.ndarray) and x.size]
        for part in parts(function(case, arguments)(*values)):
            for array in arrays:
                assert not np.shares_memory(part.value, array), case_name(case)


def row_of(name):
    """Return the row of an op, which is also where its function's text comes from."""
    return linecache.cache[getattr(TENSORS, name).__code__.co_filename][2]


ROWS = {name: row_of(name) for name in vars(TENSORS) if hasattr(getattr(TENSORS, name), "op")}
OURS = {name for name in ROWS if getattr(TENSORS, name).__module__.startswith("headgate.")}
X = np.array([1.0, 2.0])
GATES = [
    ("scale_gradient", [X], {"scale": 0.5}),
    ("reverse_gradient", [X], {"scale": 1.0}),
    ("clip_gradient_by_value", [X], {"minimum": 0.0, "maximum": 1.0}),
    ("clip_gradient_by_norm", [X], {"norm": 1.0}),
    ("route", [X, X > 1.5], {}),
    ("straight_through", [X, X], {}),
]
DTYPES = [None, "float32", "complex128", "int64", "bool"]


def converted(argument, dtype):
    """Return an argument with its floating arrays in a dtype."""
    if isinstance(argument, list):
        return [converted(item, dtype) for item in argument]
    if dtype is None or getattr(argument, "dtype", np.dtype(int)).kind != "f":
        return argument
    return argument.astype(dtype)


def shows(name, arguments, statics):
    """Tell whether an implementation's result shares memory with an array that it was given."""
    try:
        found = getattr(NUMPY, name)(*arguments, **statics)
    except (TypeError, ValueError, np.linalg.LinAlgError):  # not defined for this dtype
        return False
    arrays = [x for x in flat(arguments) if isinstance(x, np.ndarray) and x.size]
    results = [x for x in parts(found) if isinstance(x, np.ndarray)]
    return any(np.shares_memory(result, array) for result in results for array in arrays)


@pytest.mark.filterwarnings("ignore")  # of numbers that an op is not for
def test_a_row_says_whether_its_result_may_be_a_view():
    calls = [(case.op, case.make(), dict(case.statics)) for case in CASES]
    found = set()
    for name, arguments, statics in [*calls, *GATES]:
        if name not in ROWS or ROWS[name].listed or name in found:  # of a list, it is looked at
            continue
        for dtype in DTYPES:
            given = [converted(argument, dtype) for argument in arguments]
            options = [statics]
            if "dtype" in ROWS[name].statics:
                options.append({**statics, "dtype": np.dtype(dtype or "float64")})
            if any(shows(name, given, each) for each in options):
                found.add(name)
    assert found == {name for name in OURS if ROWS[name].views}


def test_a_row_of_others_is_taken_to_return_views():
    made = op("same(x)", "Return x.", lambda g: g, impl=lambda xp, x: x)
    try:
        x = np.array([1.0, 2.0])
        y = made(x)
        x += 1
        np.testing.assert_array_equal(y.numpy(), [1.0, 2.0])
    finally:
        del TENSORS.same, implementations["same"]


@pytest.mark.parametrize("dtype", ["float64", "int64", "bool"])
def test_a_conversion_to_the_same_dtype_is_a_copy(dtype):
    x = np.array([0, 1], dtype)
    y = hg.astype(x, dtype)
    x[:] = 1
    np.testing.assert_array_equal(y.numpy(), [0, 1])


def gradient_of(case, k, change):
    """Return the gradient by one argument, with the others written to after the op if asked."""
    arguments = case.make()
    values = [own(x) for x in flat(arguments)]
    x = values[k] = hg.asarray(values[k])
    with hg.GradientTape() as tape:
        tape.watch(x)
        results = [p for p in parts(function(case, arguments)(*values)) if is_floating(p)]
    if change:
        spoil([value for value in values if isinstance(value, np.ndarray)])
    return tape.gradient(results, x, output_gradients=[weighting(p) for p in results])


def test_no_gradient_follows_an_array_that_is_written_to():
    tried = 0
    for case in CASES:
        arguments = case.make()
        arrays = [x for x in flat(arguments) if isinstance(x, np.ndarray)]
        if not case.order or len(arrays) < 2:
            continue
        for k in floating(case, arguments):
            found, expected = gradient_of(case, k, True), gradient_of(case, k, False)
            if expected is not None:
                np.testing.assert_array_equal(found.value, expected.value, case_name(case))
                tried += 1
    assert tried > 100


def batch():
    return np.array([1.0, 2.0])


USES = {
    "right": lambda v, x: v * x,
    "left": lambda v, x: x * v,
    "product": lambda v, x: x.reshape(1, 2) @ hg.reshape(v, (2, 1)),
    "tensor": lambda v, x: v * hg.asarray(x),
    "shared view": lambda v, x: v * hg.asarray(x[::-1]),
    "read-only view": lambda v, x: v * read_only(x),
    "reshaped": lambda v, x: v * hg.reshape(x, (2,)),
    "broadcast": lambda v, x: v * np.broadcast_to(x, (3, 2)),
    "list": lambda v, x: hg.stack([v, x]) * hg.stack([x, x]),
    "einsum": lambda v, x: hg.einsum("i,i->", v, x),
    "mask": lambda v, x: hg.where(x > 1.5, v, 0.0) + hg.where(whole(x, bool), v, 0.0),
    "index": lambda v, x: v[whole(x) - 1] * v[whole(x, int, 1)],
    "take": lambda v, x: hg.take(v * v, whole(x, int, 1)),
    "tf": lambda v, x: tf.multiply(v, tf.constant(x)) + tf.convert_to_tensor(x) * v + v * x,
    "second variable": lambda v, x: v * hg.Variable(x),
    "recomputed": lambda v, x: hg.recompute_grad(lambda x: v * x * x)(x),
    "own rule": lambda v, x: hg.custom_gradient(lambda v, x: (v * x, lambda g: (g * x, g * v)))(
        v, x
    ),
    "memoryview": lambda v, x: v * memoryview(x),
}
LENT = []


def whole(x, dtype=int, less=0):
    """Return whole numbers that are spoilt with x."""
    LENT.append((x - less).astype(dtype))
    return LENT[-1]


def read_only(x):
    view = x.view()
    view.flags.writeable = False
    return view


@pytest.mark.parametrize("use", USES)
def test_a_batch_that_is_filled_again(use):
    def slope(change):
        LENT.clear()
        v, x = hg.Variable([3.0, 4.0]), batch()
        with hg.GradientTape() as tape:
            y = hg.sum(USES[use](v, x))
        if change:
            x[:] = 100.0
            for lent in LENT:
                lent[:] = 0
        return tape.gradient(y, v).numpy()

    np.testing.assert_array_equal(slope(True), slope(False))


def sevenfold(v):
    return v * np.arange(1.0, 8.0).reshape(7, 1, 1)[: v.shape[0]]


LISTS = {
    "sum": (lambda v, given: hg.sum(v, axis=given), [0, 2], [1, 1]),
    "max": (lambda v, given: hg.max(v, axis=given), [0, 2], [0, 1]),
    "permute_dims": (lambda v, given: sevenfold(hg.permute_dims(v, given)), [1, 0, 2], [0, 1, 2]),
    "moveaxis": (lambda v, given: sevenfold(hg.moveaxis(v, given, (1, 0))), [0, 1], [1, 0]),
    "flip": (lambda v, given: sevenfold(hg.flip(v, axis=given)), [0, 1], [2, 1]),
    "roll": (lambda v, given: sevenfold(hg.roll(v, given, axis=(0, 1))), [1, 1], [0, 0]),
    "pad": (lambda v, given: sevenfold(hg.pad(v, given)), [[1, 1], [0, 0], [0, 0]], [[0, 2]] * 3),
    "tile": (lambda v, given: sevenfold(hg.tile(v, given)), [2, 1, 1], [1, 1, 2]),
    "repeat": (lambda v, given: sevenfold(hg.repeat(v, given, axis=0)), [1, 2], [2, 1]),
    "softmax": (lambda v, given: sevenfold(hg.softmax(v, axis=given)), [0, 1], [2, 1]),
    "tensordot": (lambda v, given: hg.tensordot(v, v, given), [[0, 1], [0, 1]], [[1, 2], [1, 2]]),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_that_changes_after_the_op(name):
    f, before, after = LISTS[name]

    def slope(change):
        given = [list(item) if isinstance(item, list) else item for item in before]
        v = hg.Variable(np.arange(24.0).reshape(2, 3, 4) / 24)
        with hg.GradientTape() as tape:
            y = f(v, given)
            y = hg.sum(y * y)
        if change:
            given[:] = after
        return tape.gradient(y, v).numpy()

    np.testing.assert_array_equal(slope(True), slope(False))


def as_list(value):
    """Return a list to give in place of axes and the like; None in place of anything else."""
    if isinstance(value, tuple | list):
        return [list(item) if isinstance(item, tuple) else item for item in value]
    return [value] if type(value) is int else [0] if value is None else None


def keeps(case, name, given):
    """Tell whether a rule saves a list that was given, or None if the op takes no list there."""
    arguments = case.make()
    values = flat(arguments)
    for k in floating(case, arguments):
        values[k] = hg.asarray(values[k])
    call = function(replace(case, statics={**case.statics, name: given}), arguments)
    with hg.GradientTape() as tape:
        for k in floating(case, arguments):
            tape.watch(values[k])
        try:
            node = parts(call(*values))[0].node
        except (TypeError, ValueError, IndexError):
            return None
    edges = node.edges if node.op.name == case.op else node.edges[0][0].edges
    return any(saved is given for edge in edges if edge for saved in edge[2])


def test_a_row_says_which_of_its_arguments_may_be_lists():
    found = {}
    for case in CASES:
        row = ROWS.get(case.op)
        if row is None or not case.order or not floating(case, case.make()):
            continue
        for name in {*row.statics} & {name for needs in row.needs for name in needs}:
            given = as_list(case.statics.get(name, row.defaults.get(name)))
            if given is None or name.startswith("key"):  # `headgate.ops.index` copied what is in it
                continue
            kept = keeps(case, name, given)
            assert not kept, f"{case.op} saves {name}={given}, which may change: name it in lists"
            if kept is not None:
                found.setdefault(case.op, set()).add(name)
    assert found == {name: {*ROWS[name].lists} for name in ROWS if ROWS[name].lists}


def test_values_of_tensors_and_variables_stay():
    x = batch()
    made = [hg.asarray(x), hg.Variable(x), hg.reshape(x, (2,)), hg.permute_dims(x, (0,))]
    made += [hg.asarray(x)[:], hg.broadcast_to(x, (3, 2)), tf.constant(x), hg.stop_gradient(x)]
    made += [hg.einsum("i->i", x), hg.squeeze(x[None]), hg.astype(x, float), hg.real(x)]
    v = hg.Variable([0.0, 0.0])
    v.assign(x)
    before = [np.array(m.numpy()) for m in [*made, v]]
    x += 1
    for tensor, value in zip([*made, v], before, strict=True):
        np.testing.assert_array_equal(tensor.numpy(), value)
    left = made[0].numpy()
    left += 1
    np.testing.assert_array_equal(made[0].numpy(), [1.0, 2.0])


def test_only_what_can_be_written_to_is_copied():
    x = batch()
    x.flags.writeable = False
    assert owned(x) is x
    assert hg.asarray(x).value is x
    assert hg.asarray(batch(), copy=False).value.flags.writeable
    wide = owned(np.broadcast_to(batch(), (1000, 2)))
    assert wide.strides[0] == 0
    assert TENSORS.add(x, x).value.flags.owndata


@pytest.mark.peers
def test_a_batch_that_is_filled_again_while_a_program_runs():
    """JAX reads memory of NumPy as it is, some time after the call."""
    size = 1 << 18
    memory = np.empty(size * 8 + 64, np.uint8)
    start = -memory.ctypes.data % 64  # where JAX does not copy
    x = memory[start : start + size * 8].view(np.float64)
    total, v = hg.Variable(np.zeros(size)), hg.Variable(2.0)

    @hg.function
    def step(x):
        y = x
        for _ in range(30):
            y = hg.sin(y * 1.1) + x
        total.assign(y * v)

    found = []
    for again in (1.0, 5.0):
        x[:] = 1.0
        step(x)
        x[:] = again
        found.append(total.numpy())
    np.testing.assert_array_equal(*found)

    double = hg.function(lambda x: hg.sum(x[:4] * v))
    x[:] = 1.0
    with hg.GradientTape() as tape:
        y = double(x)
    x[:] = 5.0
    assert tape.gradient(y, v).numpy() == 4.0
