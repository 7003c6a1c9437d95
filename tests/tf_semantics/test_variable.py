"""Section 2.8: Variable: what assign does to gradients, and what it refuses."""

import numpy as np
import pytest


@pytest.mark.parametrize("inside", [True, False])
def test_assign_after_read(tf, near, inside):
    """assign after read (inside or after the tape): gradient uses the VALUE AT READ (6.0, not
    20).
    """
    v = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        y = v * v
        if inside:
            v.assign(10.0)
    if not inside:
        v.assign(10.0)
    near(tape.gradient(y, v), 6.0)


def test_two_reads(tf, near):
    """two reads: 2*3+2*10 = 26."""
    v = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        y = v * v
        v.assign(10.0)
        y += v * v
    near(tape.gradient(y, v), 26.0)


def test_assign_a_tensor(tf, near):
    """assign(tensor): no gradient flows through assign: dv=5, dw None."""
    v, w = tf.Variable(3.0), tf.Variable(2.0)
    with tf.GradientTape() as tape:
        v.assign(w * 2.0)
        y = v * 5.0
    near(y, 20.0)
    dv, dw = tape.gradient(y, [v, w])
    near(dv, 5.0)
    assert dw is None


@pytest.mark.parametrize(
    ("method", "value"), [("assign", 5.0), ("assign_add", 6.0), ("assign_sub", -4.0)]
)
def test_what_assign_returns(tf, near, deviation, method, value):
    """returned object is a new variable-like (is not v); reading it counts as reading v.

    Headgate returns the variable itself, which reads the same.
    """
    v = tf.Variable(1.0)
    with tf.GradientTape() as tape:
        returned = getattr(v, method)(5.0)
        y = returned * returned
    assert (returned is v) == deviation(tensorflow=False, headgate=True)
    near(v, value)
    near(tape.gradient(y, v), 2 * value)


@pytest.mark.parametrize("method", ["assign", "assign_add", "assign_sub"])
def test_read_value_false(tf, method):
    """read_value=False -> None in eager."""
    assert getattr(tf.Variable(1.0), method)(5.0, read_value=False) is None


@pytest.mark.parametrize("value", [[1.0, 2.0, 3.0], 1.0], ids=["vector", "scalar"])
def test_assign_shape(tf, near, value):
    """assign shape mismatch: ValueError naming both shapes (scalars do not broadcast)."""
    v = tf.Variable([1.0, 2.0])
    with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)" if value != 1.0 else r"\(2,\).*\(\)"):
        v.assign(value)
    near(v, [1.0, 2.0])


@pytest.mark.parametrize("method", ["assign_add", "assign_sub"])
def test_assign_add_shape(tf, near, error, method):
    """assign_add(scalar): TF's InvalidArgumentError is Headgate's ValueError."""
    v = tf.Variable([1.0, 2.0])
    with pytest.raises(error("incompatible shapes")):
        getattr(v, method)(1.0)
    near(v, [1.0, 2.0])


def test_assign_dtype(tf, near):
    """assign dtype: tensors of other dtype ValueError naming both; numpy arrays are cast."""
    v = tf.Variable([1.0, 2.0])
    with pytest.raises(ValueError, match=r"float32.*int32|int32.*float32"):
        v.assign(tf.constant([1, 2]))
    v.assign(np.array([3, 4]))
    near(v, [3.0, 4.0])
    assert v.dtype == tf.float32


def test_in_place_operator(tf):
    """`v += 1.`: RuntimeError naming assign_add."""
    v = tf.Variable(1.0)
    with pytest.raises(RuntimeError, match="assign_add"):
        v += 1.0


@pytest.mark.parametrize("make", ["Variable", "constant"])
def test_item_assignment(tf, make):
    """`v[0]=` / tensor item assignment: TypeError."""
    thing = getattr(tf, make)([1.0, 2.0])
    with pytest.raises(TypeError, match="item assignment"):
        thing[0] = 5.0


def test_slice_assign(tf, near, deviation):
    """`v[0].assign(5.)` works. In Headgate `v[0]` is a tensor like any other, and says so."""
    v = tf.Variable([1.0, 2.0])
    if deviation(tensorflow=False, headgate=True):
        with pytest.raises(AttributeError, match="assign"):
            v[0].assign(5.0)
    else:
        v[0].assign(5.0)
        near(v, [5.0, 2.0])


@pytest.mark.parametrize("read", ["read_value", "value", "identity", "convert_to_tensor"])
def test_reading(tf, near, read):
    """read_value(), value(), identity, convert_to_tensor: Tensor, differentiable; both it and v
    can be sources.
    """
    v = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        x = getattr(tf, read)(v) if hasattr(tf, read) else getattr(v, read)()
        y = x * x
    assert isinstance(x, tf.Tensor)
    assert not isinstance(x, tf.Variable)
    dv, dx = tape.gradient(y, [v, x])
    near(dv, 6.0)
    near(dx, 6.0)


def test_read_before_the_tape(tf):
    """read before tape: None."""
    v = tf.Variable(3.0)
    x = v * 1.0
    with tf.GradientTape() as tape:
        y = x * x
    assert tape.gradient(y, v) is None


def test_trainable(tf):
    """trainable: read-only (AttributeError); default True even for int."""
    assert tf.Variable(3).trainable is True
    v = tf.Variable(3.0, trainable=False)
    assert v.trainable is False
    with pytest.raises(AttributeError):
        v.trainable = True


def test_variable_made_of_a_tensor_is_a_new_leaf(tf, near):
    """Variable(c*c) inside tape: new leaf, no link to c."""
    c = tf.constant(3.0)
    with tf.GradientTape() as tape:
        tape.watch(c)
        v = tf.Variable(c * c)
        y = v * 2.0
    dv, dc = tape.gradient(y, [v, c])
    near(dv, 2.0)
    assert dc is None


@pytest.mark.parametrize("make", ["Variable", "constant"])
def test_hash(tf, make):
    """hash(v), hash(tensor): TypeError "Variable is unhashable ... ref()"; `==` is elementwise."""
    thing = getattr(tf, make)([1.0, 2.0])
    kind = "Variable" if make == "Variable" else "Tensor"
    with pytest.raises(TypeError, match=rf"{kind} is unhashable.*ref\(\)"):
        hash(thing)
    assert {thing.ref(): "found"}[thing.ref()] == "found"
    assert (thing == tf.constant([1.0, 3.0])).numpy().tolist() == [True, False]


def test_len(tf):
    """len(v): TypeError."""
    with pytest.raises(TypeError, match="len"):
        len(tf.Variable([1.0, 2.0]))


def test_arithmetic(tf):
    """arithmetic result: plain Tensor."""
    v = tf.Variable([1.0, 2.0])
    assert isinstance(v + 1.0, tf.Tensor)
    assert not isinstance(v + 1.0, tf.Variable)


def test_scatter_update(tf, near, deviation):
    """scatter_nd_update under tape: value at read again: [22,8,12].

    Headgate's variables change by assign alone; scattering is an op on tensors.
    """
    v = tf.Variable([1.0, 2.0, 3.0])
    with tf.GradientTape() as tape:
        y = v * v
        if deviation(tensorflow=True, headgate=False):
            v.scatter_nd_update([[0]], [10.0])
        else:
            v.assign(tf.tensor_scatter_nd_update(v, [[0]], [10.0]))
        y += v * v
    near(tape.gradient(y, v), [22.0, 8.0, 12.0])


def test_attributes(tf, deviation):
    """name, shape and dtype: TF's own types; in Headgate the name as given, tuple, NumPy dtype."""
    v = tf.Variable([1.0, 2.0], name="weights")
    assert v.name == deviation(tensorflow="weights:0", headgate="weights")
    assert isinstance(v.shape, tuple) == deviation(tensorflow=False, headgate=True)
    assert isinstance(tf.float32, np.dtype) == deviation(tensorflow=False, headgate=True)
    assert v.shape == (2,)
    assert v.dtype == tf.float32 == np.float32
