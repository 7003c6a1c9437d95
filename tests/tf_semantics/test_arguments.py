"""Arguments of a wrong shape, range or type are refused: none is cut down, broadcast or dropped."""

import numpy as np
import pytest

X, VECTOR, MATRIX = np.ones((3, 4), np.float32), np.ones(3, np.float32), np.eye(3, dtype=np.float32)
IMAGE, KERNEL = np.ones((2, 6, 6, 4), np.float32), np.ones((3, 3, 4, 5), np.float32)
SIGNAL = np.ones((2, 6, 4), np.float32)
AXIS = (5, -5, 1.5, "0", [[0]])
SIZES = (1.5, [1.5], [2.0], "2", ["2"], None, [[2, 2]])

# Function: (arguments that are good, argument -> values that are not)
CASES = {
    "reshape": ({"tensor": X, "shape": [4, 3]}, {"shape": (*SIZES, [2, -3], [-1, -1], [13])}),
    "broadcast_to": ({"input": X, "shape": [2, 3, 4]}, {"shape": (*SIZES, [4, 3], 4)}),
    "zeros": ({"shape": [2, 3]}, {"shape": (*SIZES, [-1], -2)}),
    "ones": ({"shape": [2, 3]}, {"shape": (*SIZES, [-1], -2)}),
    "fill": ({"dims": [2], "value": 1.0}, {"dims": (*SIZES, [-1]), "value": ([1, 2],)}),
    "eye": (
        {"num_rows": 3, "num_columns": 2},
        {"num_rows": (-1, 1.5, "2"), "num_columns": (-1, 2.0), "batch_shape": ("2", [1.5])},
    ),
    "constant": ({"value": [1.0, 2.0], "shape": [2, 1]}, {"shape": (1.5, [2.0], "2", [3])}),
    "expand_dims": ({"input": X, "axis": 0}, {"axis": (5, -5, 1.5, "0", [0, 1], [])}),
    "squeeze": ({"input": np.ones((1, 3)), "axis": [0]}, {"axis": (5, 1.5, "0", [1])}),
    "concat": ({"values": [X, X], "axis": 0}, {"axis": AXIS[:4], "values": ([], [X, VECTOR])}),
    "stack": ({"values": [X, X], "axis": 0}, {"axis": (5, "0", None), "values": ([X, VECTOR],)}),
    "unstack": ({"value": X, "axis": 0}, {"axis": (5, 1.5, "0"), "num": (2, 1.5, -1)}),
    "split": (
        {"value": X, "num_or_size_splits": 2, "axis": 1},
        {"num_or_size_splits": (3, 0, 1.5, "2", None, [3, 2], [-1, -1]), "axis": (5, 1.5)},
    ),
    "transpose": ({"a": X, "perm": [1, 0]}, {"perm": ([0], [0, 0], [0, 2], 1, 1.5, "a", [1.0, 0])}),
    "tile": (
        {"input": X, "multiples": [2, 1]},
        {"multiples": ([2], [2, 1, 1], 2, [-1, 1], [1.5, 1], "a", None, [[2, 1]])},
    ),
    "repeat": ({"input": X, "repeats": 2, "axis": 0}, {"repeats": (-1, 1.5, [1, 2]), "axis": (5,)}),
    "roll": (
        {"input": X, "shift": [1, 2], "axis": [0, 1]},
        {"shift": (1, [1], [1, 2, 3], 1.5, "a", [1.5, 2]), "axis": ([0], 5, None)},
    ),
    "reverse": ({"tensor": X, "axis": [0]}, {"axis": ([5], 1.5, "0", None, [0.5])}),
    "pad": (
        {"tensor": X, "paddings": [[1, 1], [2, 2]]},
        {
            "paddings": (
                [[1], [2]],
                [[1, 1]],
                [1, 1],
                1.9,
                "1",
                [[-1, 1], [1, 1]],
                [[1.5, 1], [1, 1]],
            ),
            "mode": ("edge", "wrap", "", 1, None),
            "constant_values": ("a", [0.5, 0.5], None),
        },
    ),
    "pad of mirrored": (
        {"tensor": X, "paddings": [[2, 0], [0, 3]], "mode": "REFLECT"},
        {"paddings": ([[3, 0], [0, 0]], [[0, 0], [0, 4]])},
    ),
    "gather": ({"params": X, "indices": [0]}, {"axis": (5, 1.5, "0"), "batch_dims": (2, 1.5, "a")}),
    "boolean_mask": (
        {"tensor": X, "mask": [True, False, True]},
        {"mask": (True, [True, False], [True] * 4, [[True] * 3]), "axis": (5, "0")},
    ),
    "tensor_scatter_nd_update": (
        {"tensor": X, "indices": [[0], [2]], "updates": X[:2]},
        {"updates": (X[:1], X[0], 1.0, X[:2, :1]), "indices": ([0, 2], 0, [[0, 1, 1]])},
    ),
    "tensor_scatter_nd_add": (
        {"tensor": X, "indices": [[0], [2]], "updates": X[:2]},
        {"updates": (X[:1], X[0], 1.0, X[:2, :1]), "indices": ([0, 2], 0, [[0, 1, 1]])},
    ),
    "where": ({"condition": [True, False]}, {"condition": (True,)}),
    "one_hot": (
        {"indices": [0, 1], "depth": 2, "dtype": "float32"},
        {"depth": (-1, 1.5, "2", [2]), "axis": (5, "0"), "on_value": ([0.5, 0.5], 1j)},
    ),
    "linspace": ({"start": 0.0, "stop": 1.0, "num": 5}, {"num": (-1, 1.5, "2"), "axis": (5,)}),
    "meshgrid": ({}, {"indexing": ("foo", None, 1)}),
    "clip_by_value": (
        {"t": X, "clip_value_min": 0.0, "clip_value_max": 1.0},
        {"clip_value_min": (VECTOR, np.ones((2, 3, 4))), "clip_value_max": (VECTOR,)},
    ),
    "clip_by_norm": (
        {"t": X, "clip_norm": 1.0},
        {"clip_norm": ("a", None, 1j), "axes": (5, 1.5, "0")},
    ),
    "norm": (
        {"tensor": X, "axis": 1},
        {"ord": ("foo", -1, 0, -np.inf, [2]), "axis": (5, 1.5, "0", [0, 0], [0, 1, 1], [])},
    ),
    "matmul": (
        {"a": MATRIX, "b": MATRIX, "transpose_a": True},
        {"a": (VECTOR, 2.0), "b": (VECTOR, 2.0, X[:2]), "adjoint_a": (True,)},
    ),
    "tensordot": (
        {"a": MATRIX, "b": MATRIX, "axes": 1},
        {"axes": (-1, 3, 1.5, "a", None, [0], [[0], [0, 1]], [[5], [0]], [0, 1, 1])},
    ),
    "argmax": ({"input": X, "axis": 1}, {"axis": (5, 1.5, "0")}),
    "sort": ({"values": X}, {"direction": ("foo", None, 1), "axis": (5,), "values": (0.5,)}),
    "argsort": ({"values": X}, {"direction": ("foo", None, 1), "axis": (5,), "values": (0.5,)}),
    "reduce_sum": ({"input_tensor": X}, {"axis": AXIS[:4]}),
    "reduce_max": ({"input_tensor": X}, {"axis": AXIS[:4]}),
    "reduce_any": ({"input_tensor": X > 0}, {"axis": AXIS[:4]}),
    "math.add_n": ({"inputs": [X, X]}, {"inputs": ([], None, [X, VECTOR], [X, X[:1]])}),
    "math.cumsum": (
        {"x": X, "axis": 0},
        {"axis": (5, 1.5, "0", [0, 1]), "exclusive": ("a", 2, 0.5), "x": (0.5,)},
    ),
    "math.l2_normalize": ({"x": X, "axis": 1}, {"axis": (5, 1.5, "0"), "epsilon": ("a", 1j)}),
    "math.top_k": ({"input": X, "k": 2}, {"k": (-1, 1.5, "2", 5), "sorted": ("a", 0.5)}),
    "nn.softmax": ({"logits": X}, {"axis": (5, "0", [0, 1]), "logits": (0.5,)}),
    "nn.log_softmax": ({"logits": X}, {"axis": (5, "0", [0, 1]), "logits": (0.5,)}),
    "nn.leaky_relu": ({"features": X}, {"alpha": ("a", [0.5], 1j)}),
    "nn.bias_add": (
        {"value": X, "bias": X[0]},
        {"bias": (VECTOR, X[0, :1], X, 1.0), "data_format": ("foo", "", 1), "value": (VECTOR,)},
    ),
    "nn.dropout": (
        {"x": X, "rate": 0.5},
        {"rate": (1.5, -0.5, 1.0, "a", None, 1j), "noise_shape": ([4, 1], [2], [1.5, 1], "a")},
    ),
    "nn.embedding_lookup": ({"params": X, "ids": [0]}, {"max_norm": ("a", 1j)}),
    "nn.sigmoid_cross_entropy_with_logits": (
        {"labels": X, "logits": X},
        {"labels": (X[:1], 1.0, VECTOR)},
    ),
    "nn.softmax_cross_entropy_with_logits": (
        {"labels": X / 4, "logits": X},
        {"labels": (X[:2], 1.0, VECTOR), "logits": (0.5, VECTOR), "axis": (5, 1.5)},
    ),
    "cast": ({"x": X, "dtype": "int32"}, {"dtype": (None, "foo")}),
    "ones of a dtype": ({"shape": [2], "dtype": "int32"}, {"dtype": (None, "foo")}),
    "nn.conv2d": (
        {"input": IMAGE, "filters": KERNEL, "strides": 1, "padding": "SAME"},
        {
            "strides": ([2, 1, 1, 1], [1, 1, 1, 2], 0, -1, "a", [1, 2, 2]),
            "dilations": ([2, 1, 1, 1], 0, "a", [1, 2, 2]),
            "padding": (
                "foo",
                1,
                [[1, 1], [1, 1]],
                [[1, 1]] * 4,
                [[0, 0], [-1, 1], [1, 1], [0, 0]],
            ),
            "data_format": ("foo", "nhwc", 1),
        },
    ),
    "nn.conv1d": (
        {"input": SIGNAL, "filters": KERNEL[0], "stride": 1, "padding": "SAME"},
        {"stride": ([1, 2, 2], 0, "a"), "padding": ("foo", 1), "data_format": ("foo", 1)},
    ),
    "nn.conv2d_transpose": (
        {
            "input": IMAGE,
            "filters": np.ones((3, 3, 5, 4), np.float32),
            "output_shape": [2, 12, 12, 5],
            "strides": 2,
        },
        {"output_shape": ([2, 12, 12, 4], [3, 12, 12, 5], [2, 9, 9, 5], "a", [2, 12.5, 12, 5])},
    ),
    "nn.max_pool2d": (
        {"input": IMAGE, "ksize": 2, "strides": 2, "padding": "VALID"},
        {
            "ksize": ([2, 1, 1, 1], 0, -1, "a", [1, 2, 2]),
            "strides": ([2, 1, 1, 1], 0, "a"),
            "padding": ("foo", 1, [[1, 1], [1, 1]]),
        },
    ),
    "nn.avg_pool1d": (
        {"input": SIGNAL, "ksize": 2, "strides": 2, "padding": "VALID"},
        {"ksize": ([1, 2, 2], 0, "a"), "strides": (0, "a"), "padding": ("foo",)},
    ),
    "nn.moments": ({"x": X, "axes": [0]}, {"axes": ([5], 1.5, "0")}),
    "nn.batch_normalization": (
        {
            "x": X,
            "mean": 0.0,
            "variance": 1.0,
            "offset": None,
            "scale": None,
            "variance_epsilon": 0.1,
        },
        {"variance_epsilon": ("a", None)},
    ),
    "linalg.matrix_transpose": ({"a": X}, {"a": (VECTOR, 1.0)}),
    "linalg.solve": ({"matrix": MATRIX, "rhs": MATRIX}, {"rhs": (VECTOR, X[:2])}),
    "random.normal": ({"shape": [2]}, {"shape": (1.5, [1.5], "2", [-1])}),
    "random.stateless_uniform": (
        {"shape": [2], "seed": [1, 2]},
        {"seed": (1, [1], [1, 2, 3], "a")},
    ),
    "random.categorical": ({"logits": X, "num_samples": 2}, {"num_samples": (-1, 1.5, "2")}),
}


def call(tf, name, arguments):
    function = tf
    for part in name.split(" ")[0].split("."):
        function = getattr(function, part)
    given = ([1, 2], [1, 2, 3]) if name == "meshgrid" else ()
    return function(*given, **{key: made(tf, value) for key, value in arguments.items()})


def made(tf, value):
    """Make tensors of arrays."""
    if isinstance(value, list):
        return [made(tf, item) for item in value]
    return tf.constant(value) if isinstance(value, np.ndarray) else value


def refuses(kinds, program):
    try:
        program()
    except kinds:
        return True
    return False


@pytest.mark.parametrize("name", CASES)
def test_wrong_arguments_are_refused(tf, implementation, name):
    good, wrong = CASES[name]
    call(tf, name, good)
    for argument, values in wrong.items():
        for value in values:
            kinds = (Exception,) if implementation == "tensorflow" else (ValueError, TypeError)
            given = {**good, argument: value}
            assert refuses(kinds, lambda: call(tf, name, given)), f"{argument}={value!r}"  # noqa: B023


@pytest.mark.parametrize(
    ("name", "wrong", "words"),
    [
        (
            "reshape",
            {"shape": 1.5},
            r"tf\.reshape: shape must be an integer of at least -1, got 1\.5",
        ),
        (
            "tile",
            {"multiples": [2]},
            r"tf\.tile: multiples must be 2 numbers, .*each axis, got \[2\]",
        ),
        ("nn.dropout", {"rate": 1.5}, r"tf\.nn\.dropout: rate must be .*0 and below 1, got 1\.5"),
        ("math.cumsum", {"axis": "0"}, r"tf\.math\.cumsum: axis must be an integer, got '0'"),
        ("sort", {"direction": "up"}, r"tf\.sort: direction must be 'ASCENDING' or .*, got 'up'"),
        (
            "nn.conv2d",
            {"strides": [2, 1, 1, 1]},
            r"strides must be 1 for the axes N and C of 'NHWC'",
        ),
    ],
)
def test_the_refusal_names_function_argument_and_line(tf, implementation, name, wrong, words):
    if implementation == "tensorflow":
        pytest.skip("Headgate's words")
    with pytest.raises(ValueError, match=rf"{words}(.|\n)*test_arguments\.py"):
        call(tf, name, {**CASES[name][0], **wrong})


NUMBERS = {
    "int32": (["12", "a", 0.5, [1, 2.5], 1j, [None]], [(1, 1), (True, 1), (2**31, -(2**31))]),
    "int64": (["12", 0.5, 2**64], [(True, 1), (-1, -1)]),
    "uint8": (["12", 0.5, True, 2**64], [(300, 44), (-1, 255), ([300, 1], [44, 1])]),
    "float32": (["12", ["1"], 1j, [None]], [(True, 1.0), (1e40, np.inf), (2**64, 2.0**64)]),
    "bool": ([0, 1, 0.5, "a"], [(True, True), ([True, False], [True, False])]),
    "complex64": (["12", True], [(1, 1), (1j, 1j), (0.5, 0.5)]),
}


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("make", ["constant", "convert_to_tensor", "Variable"])
def test_a_tensor_holds_the_numbers_given_or_none(tf, make, dtype):
    """NumPy's numbers have a dtype of their own: to ask for another is a cast."""
    refused, taken = NUMBERS[dtype]
    for value in refused:
        kinds = (TypeError, ValueError, OverflowError)
        assert refuses(kinds, lambda: getattr(tf, make)(value, dtype=dtype)), value  # noqa: B023
    for value, expected in taken:
        found = getattr(tf, make)(value, dtype=dtype)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found.numpy(), expected)
    assert getattr(tf, make)(np.array([1.0, 0.0]), dtype=dtype).dtype == dtype


def test_axes_and_sizes_may_be_tensors(tf, near):
    x = tf.constant(X)
    assert tf.reshape(x, tf.constant([4, 3])).shape == (4, 3)
    assert tf.reduce_sum(x, tf.constant([0, 1])).shape == ()
    assert tf.concat([x, x], tf.constant(1)).shape == (3, 8)
    assert tf.tile(x, tf.constant([1, 2])).shape == (3, 8)
    assert tf.pad(x, tf.constant([[1, 1], [0, 0]])).shape == (5, 4)
    assert tf.transpose(x, [-1, 0]).shape == (4, 3)


def test_a_tensor_can_fill_a_padding_or_be_a_rate(tf, near, implementation):
    """TensorFlow has no gradient for what fills a padding."""
    value = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(tf.pad(tf.constant([1.0]), [[1, 2]], constant_values=value))
    near(total, 7.0)
    if implementation == "headgate":
        near(tape.gradient(total, value), 3.0)
    kept = tf.nn.dropout(tf.ones((1000,)), tf.constant(0.25)).numpy()
    near(tf.constant(np.unique(kept)), [0.0, 4 / 3])


def test_one_hot_of_values_without_arithmetic(tf, near):
    near(tf.one_hot([0, 2], 2, on_value=np.inf, off_value=-1.0), [[np.inf, -1.0], [-1.0, -1.0]])
    assert tf.one_hot([0], 2, on_value=5, off_value=2).dtype == tf.int32
    assert tf.one_hot([0], 2, on_value=True, off_value=False).dtype == tf.bool


def test_options_that_exclude_each_other(tf):
    with pytest.raises(ValueError, match="adjoint_b"):
        tf.matmul(tf.constant(MATRIX), tf.constant(MATRIX), transpose_b=True, adjoint_b=True)
