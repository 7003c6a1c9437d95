"""Functions never promote tensors: two dtypes are an error, and sums of integers are integers.

dtypes.json has which dtypes TensorFlow's functions take, and what they return (`dtype_calls`).
"""

import json

import numpy as np
import pytest
from tests.tf_semantics.dtype_calls import CALLS, DTYPES, MATRIX, RECORD, dtypes_of

MIXED = {
    "add": lambda tf, x, y: tf.add(x, y),
    "multiply": lambda tf, x, y: tf.multiply(x, y),
    "maximum": lambda tf, x, y: tf.maximum(x, y),
    "pow": lambda tf, x, y: tf.pow(x, y),
    "atan2": lambda tf, x, y: tf.atan2(x, y),
    "equal": lambda tf, x, y: tf.equal(x, y),
    "where": lambda tf, x, y: tf.where([[True]], x, y),
    "matmul": lambda tf, x, y: tf.matmul(x, y),
    "tensordot": lambda tf, x, y: tf.tensordot(x, y, 1),
    "einsum": lambda tf, x, y: tf.einsum("ij,jk", x, y),
    "concat": lambda tf, x, y: tf.concat([x, y], 0),
    "stack": lambda tf, x, y: tf.stack([x, y]),
    "convert_to_tensor": lambda tf, x, y: tf.convert_to_tensor([x, y]),
    "add_n": lambda tf, x, y: tf.math.add_n([x, y]),
    "solve": lambda tf, x, y: tf.linalg.solve(x, y),
    "tensor_scatter_nd_add": lambda tf, x, y: tf.tensor_scatter_nd_add(x, [[0], [1]], y),
    "tensor_scatter_nd_update": lambda tf, x, y: tf.tensor_scatter_nd_update(x, [[0], [1]], y),
    "clip_by_value": lambda tf, x, y: tf.clip_by_value(x, y, y),
    "bias_add": lambda tf, x, y: tf.nn.bias_add(x, y[0]),
    "sigmoid_cross_entropy": lambda tf, x, y: tf.nn.sigmoid_cross_entropy_with_logits(x, y),
    "batch_normalization": lambda tf, x, y: tf.nn.batch_normalization(x, y, y, None, None, 0.1),
}
A = np.array([[2.0, 1.0], [1.0, 3.0]])


@pytest.mark.parametrize("other", ["float64", "int32"])
@pytest.mark.parametrize("name", MIXED)
def test_tensors_of_two_dtypes_are_refused(tf, implementation, name, other):
    x = tf.constant(A, tf.float32)
    MIXED[name](tf, x, tf.constant(A, tf.float32))
    kinds = (ValueError,)
    if implementation == "tensorflow":
        kinds = (tf.errors.InvalidArgumentError, ValueError, TypeError)
    for first, second in ((x, tf.cast(x, other)), (tf.cast(x, other), x)):
        with pytest.raises(kinds):
            MIXED[name](tf, first, second)
        with pytest.raises(kinds):
            MIXED[name](tf, tf.Variable(first), second)


def test_the_refusal_names_dtypes_and_cure(tf, implementation):
    if implementation == "tensorflow":
        pytest.skip("Headgate's words")
    with pytest.raises(ValueError, match=r"float32, float64; .*tf\.cast(.|\n)*test_dtypes.py"):
        tf.add(tf.constant(1.0), tf.constant(1.0, tf.float64))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int32", "uint8", "int64"])
def test_numbers_and_lists_take_the_dtype_of_the_tensor(tf, dtype):
    x = tf.constant([1, 2], dtype)
    results = [
        tf.add(x, 1),
        tf.add(1, x),
        tf.maximum(x, [1, 2]),
        tf.where([True, False], x, 0),
        tf.stack([x, [3, 4]]),
        tf.concat([[3, 4], x], 0),
        tf.clip_by_value(x, 1, 2),
        tf.convert_to_tensor([x[0], 1]),
    ]
    assert all(result.dtype == x.dtype for result in results)


@pytest.mark.parametrize("number", [0.5, 1j])
def test_a_number_that_the_tensor_cannot_hold_is_refused(tf, number):
    x = tf.constant([1, 2])
    for call in (lambda: tf.add(x, number), lambda: tf.maximum(number, x)):
        with pytest.raises((TypeError, ValueError)):
            call()


@pytest.mark.parametrize("dtype", ["int32", "int8", "uint8", "int64"])
def test_sums_and_products_of_whole_numbers_keep_their_dtype(tf, near, dtype):
    x = tf.constant([100, 2], dtype)
    for found, expected in (
        (tf.reduce_sum(x), 102),
        (tf.reduce_prod(x), np.multiply.reduce(np.array([100, 2], dtype), dtype=dtype)),
        (tf.math.cumsum(x), [100, 102]),
        (tf.math.cumsum(x, exclusive=True), [0, 100]),
        (tf.math.cumprod(x, reverse=True, exclusive=True), [2, 1]),
    ):
        assert found.dtype == x.dtype
        np.testing.assert_array_equal(found.numpy(), expected)


def test_labels_take_the_dtype_of_logits(tf):
    logits, labels = tf.constant([[1.0, 2.0]]), tf.constant([[0.0, 1.0]], tf.float64)
    assert tf.nn.softmax_cross_entropy_with_logits(labels, logits).dtype == tf.float32


@pytest.mark.light
def test_a_number_that_comes_into_a_compiled_function_is_still_a_number(tf, implementation):
    if implementation == "tensorflow":
        pytest.skip("a number is a constant there")
    pytest.importorskip("jax")
    x = tf.constant([1.0, 2.0])
    for program in (
        tf.multiply,
        tf.maximum,
        lambda x, a: tf.add(a, x),
        lambda x, a: tf.stack([a, x[0]]),
    ):
        for number in (2, 2.0):
            found = tf.function(program, jit_compile=True)(x, number)
            assert found.dtype == tf.float32


RECORDED = json.loads(RECORD.read_text())

WIDER = {
    "tile": {"uint16"},  # TensorFlow has no kernel for these, for no reason
    "where(x)": {"float16"},
}


def test_each_call_is_recorded():
    assert RECORDED.keys() == CALLS.keys()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", CALLS)
def test_dtypes_taken_and_returned(tf, implementation, name):
    """A function takes the dtypes that TensorFlow's takes, and returns what that returns."""
    found = {}
    for dtype in DTYPES:
        x = tf.constant(MATRIX.astype(dtype))
        try:
            found[dtype] = dtypes_of(CALLS[name](tf, x))
        except (TypeError, ValueError, AssertionError):
            continue
        except Exception:
            assert implementation == "tensorflow"  # errors of its own
    wider = WIDER.get(name, set()) if implementation == "headgate" else set()
    assert {k: v for k, v in found.items() if k not in wider} == RECORDED[name]


def test_a_refused_dtype_is_named_with_the_function_and_the_cure(tf, implementation):
    if implementation == "tensorflow":
        pytest.skip("Headgate's words")
    with pytest.raises(TypeError, match=r"tf\.sqrt of int32 .*float32.*tf\.cast\(x, tf\.float32\)"):
        tf.sqrt(4)
    with pytest.raises(TypeError, match=r"tf\.reduce_all of float32 .*bool.*tf\.cast\(x, tf\.bool"):
        tf.reduce_all([1.0])
    assert (tf.reduce_sum.__name__, tf.math.add.__name__) == ("reduce_sum", "add")


def test_names_of_dtypes(tf):
    x = tf.constant([1, 0])
    for name, dtype in {
        float: tf.float32,
        "float": tf.float32,
        "float64": tf.float64,
        np.float16: tf.float16,
        bool: tf.bool,
        1: tf.float32,
        3: tf.int32,
    }.items():
        for made in (tf.cast(x, name), tf.zeros_like(x, name), tf.ones([2], name)):
            assert made.dtype == dtype
    for wrong in (int, complex, "int", "none", str, x, 99):
        with pytest.raises((TypeError, ValueError)):
            tf.cast(x, wrong)
