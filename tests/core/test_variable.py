"""Variable: a cell with a name and a dtype, whose value nobody else can change."""

import copy
import pickle

import numpy as np
import pytest

import headgate as hg

# What it holds.


@pytest.mark.parametrize(
    ("given", "dtype", "expected"),
    [
        (1.0, None, "float64"),
        (1, None, "int64"),
        (True, None, "bool"),
        (1j, None, "complex128"),
        ([1, 2.0], None, "float64"),
        (np.float32(1.0), None, "float32"),
        (1.0, "float32", "float32"),
        (1, float, "float64"),
        ([1, 2], np.float16, "float16"),
        (lambda: 1.0, None, "float64"),
        (hg.asarray(1.0), "float32", "float32"),
        (hg.Variable(1.0, dtype="float32"), None, "float32"),
    ],
)
def test_dtype(given, dtype, expected):
    v = hg.Variable(given, dtype=dtype)
    assert v.dtype == expected
    assert v.numpy().dtype == expected


@pytest.mark.parametrize("shape", [(), (0, 3), (2, 1, 3)])
def test_shape(shape):
    v = hg.Variable(np.zeros(shape), shape=shape)
    assert (v.shape, v.ndim, v.size) == (shape, len(shape), int(np.prod(shape)))


def test_a_shape_that_is_not_the_values():
    with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)"):
        hg.Variable([1.0, 2.0], shape=(3,))


def test_names():
    assert hg.Variable(1.0, name="w").name == "w"
    first, second = hg.Variable(1.0).name, hg.Variable(1.0).name
    assert first != second
    assert first.startswith("variable_")


def test_repr():
    text = repr(hg.Variable([1.0], name="w", trainable=False))
    assert text == "Variable([1.], name='w', shape=(1,), dtype=float64, trainable=False)"


def test_trainable_is_fixed():
    v = hg.Variable(1.0)
    with pytest.raises(AttributeError):
        v.trainable = False
    with pytest.raises(AttributeError):
        v.value_ = 1.0


# Nobody else's array.


@pytest.mark.parametrize("give", [lambda a: hg.Variable(a), lambda a: hg.Variable(a * 0).assign(a)])
def test_the_givers_array_is_copied(give):
    array = np.array([1.0, 2.0])
    v = give(array)
    array[0] = 9.0
    np.testing.assert_array_equal(v.numpy(), [1.0, 2.0])


@pytest.mark.parametrize(
    "take", [lambda v: v.numpy(), lambda v: np.array(v), lambda v: (v * 1.0).numpy()]
)
def test_what_is_given_out_is_a_copy(take):
    v = hg.Variable([1.0, 2.0])
    array = take(v)
    array[0] = 9.0
    np.testing.assert_array_equal(v.numpy(), [1.0, 2.0])


@pytest.mark.parametrize("view", [np.asarray, lambda v: np.asarray(v.read_value())])
def test_what_is_given_out_without_a_copy_cannot_be_written(view):
    v = hg.Variable([1.0, 2.0])
    array = view(v)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 9.0


def test_variables_do_not_share_after_assign():
    u, v = hg.Variable([1.0]), hg.Variable([2.0])
    v.assign(u)
    u.assign_add([5.0])
    assert v.numpy() == [1.0]


@pytest.mark.parametrize("write", ["assign", "assign_add", "assign_sub"])
def test_a_read_keeps_its_value(write):
    v = hg.Variable([1.0, 2.0])
    with hg.GradientTape() as tape:
        y = v * v
        before = v.read_value()
        assert getattr(v, write)([5.0, 5.0]) is v
    np.testing.assert_array_equal(before.numpy(), [1.0, 2.0])
    np.testing.assert_array_equal(tape.gradient(y, v).numpy(), [2.0, 4.0])


@pytest.mark.parametrize("reproduce", [copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_a_copy_is_another_variable(reproduce):
    v = hg.Variable([1.0, 2.0], name="w", trainable=False, dtype="float32")
    twin = reproduce(v)
    assert (twin.name, twin.trainable, twin.dtype) == ("w", False, np.float32)
    twin.assign([9.0, 9.0])
    np.testing.assert_array_equal(v.numpy(), [1.0, 2.0])
    with hg.GradientTape() as tape:
        tape.watch([v, twin])
        y = hg.sum(v * 2.0)
    assert tape.gradient(y, twin) is None


def test_a_deep_copy_keeps_what_is_shared():
    v = hg.Variable(1.0)
    first, second = copy.deepcopy([v, v])
    assert first is second


# Writing.


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "int32", "bool"])
def test_writes_keep_the_dtype(dtype):
    v = hg.Variable(np.ones(2), dtype=dtype)
    v.assign([1, 0])
    assert v.dtype == dtype
    if dtype != "bool":
        v.assign_add([1, 1])
        v.assign_sub(np.ones(2, dtype))
        assert v.dtype == dtype
        np.testing.assert_array_equal(v.numpy(), [1, 0])


@pytest.mark.parametrize("value", [[1.5, 2.5], 1j * np.ones(2), hg.asarray(np.ones(2, "float32"))])
def test_a_write_never_loses_a_part_of_the_value(value):
    v = hg.Variable([1, 2], name="count")
    with pytest.raises(ValueError, match="count"):
        v.assign(value)
    np.testing.assert_array_equal(v.numpy(), [1, 2])


@pytest.mark.parametrize("write", ["assign", "assign_add", "assign_sub"])
@pytest.mark.parametrize("value", [1.0, [1.0], [[1.0, 2.0]], [1.0, 2.0, 3.0]])
def test_a_write_of_another_shape_is_refused(write, value):
    v = hg.Variable([1.0, 2.0], name="w")
    with pytest.raises(ValueError, match=r"'w'.*\(2,\)") as caught:
        getattr(v, write)(value)
    assert str(np.shape(value)) in str(caught.value)
    np.testing.assert_array_equal(v.numpy(), [1.0, 2.0])


def test_a_value_of_the_tape_can_be_assigned_and_does_not_drag_its_graph_along():
    v, w = hg.Variable(1.0), hg.Variable(3.0)
    with hg.GradientTape() as tape:
        v.assign(w * 2.0)
        y = v * w
    dv, dw = tape.gradient(y, [v, w])
    assert (dv.numpy(), dw.numpy()) == (3.0, 6.0)


# As an argument.


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        (lambda v: v + v, 2.0),
        (lambda v: 1.0 / v, -0.25),
        (lambda v: hg.sum([v, v, 1.0]), 2.0),
        (lambda v: hg.concat([hg.expand_dims(v, 0)] * 2), 2.0),
        (lambda v: hg.where(True, v, 0.0), 1.0),
        (lambda v: -v, -1.0),
        (lambda v: abs(v), 1.0),
        (lambda v: v.read_value() * v.value(), 4.0),
        (lambda v: v**v, 4 * (1 + np.log(2.0))),
    ],
)
def test_gradient_of_every_use(use, expected):
    v = hg.Variable(2.0)
    with hg.GradientTape() as tape:
        y = use(v)
    np.testing.assert_allclose(tape.gradient(y, v).numpy(), expected)


def test_indexing_iterating_and_transposing():
    v = hg.Variable(np.arange(6.0).reshape(2, 3))
    with hg.GradientTape() as tape:
        first, second = v
        y = hg.sum(first * 2.0) + second[1] + v.T[2, 0] + v[-1, -1]
    np.testing.assert_array_equal(tape.gradient(y, v).numpy(), [[2, 2, 3], [0, 1, 1]])


def test_none_and_identity():
    v = hg.Variable(1.0)
    assert (v == None) is False  # noqa: E711
    assert (v != None) is True  # noqa: E711
    assert v.ref() == v.ref()
    assert v.ref() != hg.Variable(1.0).ref()
    assert v.ref().deref() is v


def test_as_an_index():
    assert [10, 20, 30][hg.Variable(2)] == 30
    assert list(range(hg.Variable(2))) == [0, 1]
