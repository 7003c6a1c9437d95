"""What the table cannot say of convolutions and pooling: ties, forms of the options, layouts."""

import numpy as np
import pytest

import headgate as hg
from headgate.ops.conv import convolution
from headgate.ops.windows import Plan, Window
from headgate.testing import check_gradient


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def gradient(function, x, g=None):
    x = hg.asarray(x)
    with hg.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return tape.gradient(y, x, output_gradients=g).numpy()


# -- convolution ----------------------------------------------------------------------------------


def test_a_convolution_by_hand():
    x = np.arange(5.0).reshape(1, 5, 1)
    w = np.array([1.0, 10.0, 100.0]).reshape(3, 1, 1)
    assert hg.conv(x, w).numpy().ravel().tolist() == [210.0, 321.0, 432.0]
    assert hg.conv(x, w, stride=2, padding="SAME").numpy().ravel().tolist() == [100, 321, 43]


def test_odd_padding_goes_to_the_end_as_in_tensorflow():
    x, w = np.ones((1, 4, 1)), np.ones((4, 1, 1))
    assert hg.conv(x, w, padding="SAME").numpy().ravel().tolist() == [3.0, 4.0, 3.0, 2.0]


def test_layouts_agree(rng):
    x, w = rng.standard_normal((2, 6, 5, 4)), rng.standard_normal((3, 2, 2, 6))
    options = {"stride": (2, 1), "padding": "SAME", "groups": 2}
    last = hg.conv(x, w, **options).value
    first = hg.conv(np.moveaxis(x, -1, 1), w, layout="NCHW", **options).value
    np.testing.assert_allclose(np.moveaxis(first, 1, -1), last)


def test_tensorflows_forms_of_the_options(rng):
    x, w = rng.standard_normal((2, 6, 5, 4)), rng.standard_normal((3, 2, 4, 3))
    expected = hg.conv(x, w, stride=(2, 1), padding=[(1, 1), (0, 2)], dilation=(1, 2)).value
    pads = [[0, 0], [1, 1], [0, 2], [0, 0]]
    found = hg.conv(x, w, stride=[1, 2, 1, 1], padding=pads, dilation=[1, 1, 2, 1])
    np.testing.assert_array_equal(found.value, expected)
    found = hg.conv(x, w, stride=np.array([2, 1]), padding=np.array(pads[1:3]), dilation=(1, 2))
    np.testing.assert_array_equal(found.value, expected)
    found = hg.conv(
        np.moveaxis(x, -1, 1),
        w,
        stride=[1, 1, 2, 1],
        padding=[[0, 0], [0, 0], [1, 1], [0, 2]],
        dilation=[1, 1, 1, 2],
        layout="NCHW",
    )
    np.testing.assert_allclose(np.moveaxis(found.value, 1, -1), expected)
    pooled = hg.max_pool(x, [1, 2, 2, 1], stride=[1, 2, 1, 1]).value
    np.testing.assert_array_equal(pooled, hg.max_pool(x, 2, stride=(2, 1)).value)


def test_many_examples_are_taken_in_portions(rng):
    """One portion of windows is 1 MB; here they are 5, the last one short."""
    x, w = rng.standard_normal((11, 32, 32, 8)), rng.standard_normal((3, 3, 8, 2))
    whole = hg.conv(x, w, padding="SAME").value
    single = [hg.conv(x[k : k + 1], w, padding="SAME").value for k in range(11)]
    np.testing.assert_allclose(whole, np.concatenate(single))
    g = rng.standard_normal(whole.shape)
    parts = [
        gradient(lambda w, k=k: hg.conv(x[k : k + 1], w, padding="SAME"), w, g[k : k + 1])
        for k in range(11)
    ]
    found = gradient(lambda w: hg.conv(x, w, padding="SAME"), w, g)
    np.testing.assert_allclose(found, np.sum(parts, 0), rtol=1e-9)


def test_gradients_beyond_the_windows_are_zero(rng):
    """With a stride longer than the kernel, and at the end, some elements are in no window."""
    x, w = rng.standard_normal((1, 8, 1)), np.ones((2, 1, 1))
    found = gradient(lambda x: hg.conv(x, w, stride=3), x)
    assert found.ravel().tolist() == [1, 1, 0, 1, 1, 0, 1, 1]
    found = gradient(lambda x: hg.conv(x, w, stride=5), x)
    assert found.ravel().tolist() == [1, 1, 0, 0, 0, 1, 1, 0]


def test_windows_in_nothing_but_padding(rng):
    x, w = rng.standard_normal((1, 1, 1)), np.ones((1, 1, 1))
    y = hg.conv(x, w, stride=2, padding=[(1, 1)])
    assert y.numpy().ravel().tolist() == [0, 0]
    assert gradient(lambda x: hg.conv(x, w, stride=2, padding=[(1, 1)]), x).item() == 0


def test_empty_batches_and_no_space():
    w = np.ones((3, 3, 2, 4))
    for shape, result in [((0, 5, 5, 2), (0, 5, 5, 4)), ((2, 0, 5, 2), (2, 0, 5, 4))]:
        x = np.ones(shape)
        assert hg.conv(x, w, padding="SAME").shape == result
        assert gradient(lambda x: hg.conv(x, w, padding="SAME"), x).shape == shape
        found = gradient(lambda w, x=x: hg.conv(x, w, padding="SAME"), w)
        assert found.shape == w.shape
        assert not found.any()


def test_dtypes_are_promoted_and_gradients_cast_back():
    x, w = hg.asarray(np.ones((1, 5, 2), np.float32)), hg.asarray(np.ones((3, 2, 1)))
    with hg.GradientTape() as tape:
        tape.watch([x, w])
        y = hg.conv(x, w)
    by_x, by_w = tape.gradient(y, [x, w])
    assert (y.dtype, by_x.dtype, by_w.dtype) == (np.float64, np.float32, np.float64)
    assert hg.conv(np.ones((1, 5, 2), int), np.ones((3, 2, 1), int)).dtype == int


def test_transpose_is_the_gradient(rng):
    y, w = rng.standard_normal((2, 4, 3, 5)), rng.standard_normal((3, 3, 2, 5))
    options = {"stride": 2, "padding": "SAME"}
    found = hg.conv_transpose(y, w, output_shape=(7, 5), **options).value
    expected = gradient(lambda x: hg.conv(x, w, **options), np.zeros((2, 7, 5, 2)), y)
    np.testing.assert_allclose(found, expected)


def test_third_order(rng):
    x, w = rng.standard_normal((1, 5, 2)), rng.standard_normal((2, 2, 2))
    check_gradient(lambda x, w: hg.conv(hg.conv(x, w, padding="SAME") ** 2, w), x, w, order=3)


def test_variables_and_tensors_are_taken():
    w = hg.Variable(np.ones((2, 1, 1)))
    with hg.GradientTape() as tape:
        y = hg.conv([[[1.0], [2.0], [3.0]]], w)
    assert y.numpy().ravel().tolist() == [3.0, 5.0]
    assert tape.gradient(y, w).numpy().ravel().tolist() == [3.0, 5.0]


def test_options_that_were_right_once_do_not_excuse_wrong_ones():
    """Plans are remembered; 1 and 1.0 and True are equal as keys."""
    x, w = np.ones((1, 4, 1)), np.ones((2, 1, 1))
    assert hg.conv(x, w, stride=1).shape == (1, 3, 1)
    with pytest.raises(ValueError, match=r"stride=1\.0"):
        hg.conv(x, w, stride=1.0)


def test_an_error_names_the_users_line():
    with pytest.raises(ValueError, match=r"test_conv\.py:\d+: hg\.conv\(np\.ones"):
        hg.conv(np.ones((1, 4, 1)), np.ones((2, 1, 1)), stride=0)


def test_a_foreign_plan_is_refused():
    """Windows are views made from strides: a plan for more space would read foreign memory."""
    plan = Plan((Window(length=99, size=2, stride=1, dilation=1, pad=(0, 0), number=98),), 1, 2)
    with pytest.raises(ValueError, match="no plan for a space of"):
        convolution(np.ones((1, 4, 1)), np.ones((2, 1, 1)), plan=plan)


# -- pooling --------------------------------------------------------------------------------------


def test_the_first_of_equals_gets_the_gradient():
    """In row-major order of the window, as in TensorFlow."""
    x = np.array([[0.0, 2.0, 2.0], [2.0, 1.0, 0.0], [0.0, 2.0, 1.0]]).reshape(1, 3, 3, 1)
    found = gradient(lambda x: hg.max_pool(x, 3), x).reshape(3, 3)
    assert found.tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    found = gradient(lambda x: hg.max_pool(x, 2, stride=1), x).reshape(3, 3)
    assert found.tolist() == [[0, 2, 0], [1, 0, 0], [0, 1, 0]]
    found = gradient(lambda x: hg.max_pool(x, 2), np.zeros((1, 4, 4, 1))).reshape(4, 4)
    assert found.tolist() == [[1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]


def test_padding_is_never_the_largest():
    x = np.full((1, 3, 1), -5.0)
    y = hg.max_pool(x, 2, padding="SAME")
    assert y.numpy().ravel().tolist() == [-5.0, -5.0]
    assert gradient(lambda x: hg.max_pool(x, 2, padding="SAME"), x).ravel().tolist() == [1, 0, 1]
    lowest = np.full((1, 3, 1), -np.inf)
    found = gradient(lambda x: hg.max_pool(x, 2, padding=[(0, 1)]), lowest)
    assert found.ravel().tolist() == [1, 0, 1]
    numbers = np.array([[[-128], [-7], [-9]]], np.int8)
    assert hg.max_pool(numbers, 2, padding="SAME").numpy().ravel().tolist() == [-7, -9]


def test_nan_is_the_largest():
    x = np.array([1.0, np.nan, 3.0, 4.0]).reshape(1, 4, 1)
    assert np.isnan(hg.max_pool(x, 2).value).ravel().tolist() == [True, False]


def test_mean_leaves_padding_out():
    x = np.arange(1.0, 10.0).reshape(1, 3, 3, 1)
    y = hg.avg_pool(x, 2, padding="SAME").numpy().reshape(2, 2)
    assert y.tolist() == [[3.0, 4.5], [7.5, 9.0]]


def test_mean_keeps_the_dtype():
    x = np.ones((1, 5, 1), np.float32)
    assert hg.avg_pool(x, 2, padding="SAME").dtype == np.float32
    assert gradient(lambda x: hg.avg_pool(x, 2, padding="SAME"), x).dtype == np.float32


def test_pooling_passes_what_flows_and_cuts_nothing(rng):
    x = hg.Variable(rng.standard_normal((1, 4, 4, 1)), name="x")
    with hg.GradientTape() as tape:
        y = hg.sum(hg.avg_pool(hg.max_pool(x, 2), 2))
        verdict = tape.why(y, x)
    assert "connected" in str(verdict)


# -- the forms that are written for XLA on a CPU --------------------------------------------------

FORMS = [  # channels, filters, kernel, groups: one for each form, and XLA's own
    (1, 4, 3, 1),  # one channel: a sum of shifted copies
    (1, 40, 2, 1),
    (6, 4, 3, 1),  # few channels and filters: more filters
    (3, 33, 4, 1),  # few channels: the gradient for the kernel is one product
    (12, 32, 3, 1),  # a product for each tap
    (12, 4, 1, 1),
    (12, 4, 4, 1),  # XLA's own
    (4, 4, 3, 4),  # a filter sees one channel
    (4, 12, 2, 4),
    (6, 9, 3, 3),
]


@pytest.mark.light
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize(("channels", "filters", "size", "groups"), FORMS)
@pytest.mark.parametrize(
    ("stride", "dilation", "padding"), [(1, 1, "SAME"), ((2, 3), (2, 1), [(0, 3), (2, 1)])]
)
def test_forms_on_jax_agree_with_numpy(
    rng, layout, channels, filters, size, groups, stride, dilation, padding
):
    jax = pytest.importorskip("jax")
    shape = (2, 9, 8, channels) if layout == "NHWC" else (2, channels, 9, 8)
    x, w = rng.standard_normal(shape), rng.standard_normal((size, 2, channels // groups, filters))
    options = {"stride": stride, "dilation": dilation, "padding": padding}
    ours = lambda x, w: hg.conv(x, w, groups=groups, layout=layout, **options)

    @jax.jit
    def on_jax(x, w, g):
        y = ours(x, w).value
        return y, *(raw_gradient(k, ours, x, w, g) for k in (0, 1))

    expected = ours(x, w).value
    g = rng.standard_normal(expected.shape)
    with jax.enable_x64(True):
        y, by_x, by_w = on_jax(x, w, g)
    np.testing.assert_allclose(y, expected, atol=1e-12)
    np.testing.assert_allclose(by_x, raw_gradient(0, ours, x, w, g), atol=1e-12)
    np.testing.assert_allclose(by_w, raw_gradient(1, ours, x, w, g), atol=1e-11)


def raw_gradient(k, function, x, w, g):
    arguments = [hg.asarray(x), hg.asarray(w)]
    with hg.GradientTape() as tape:
        tape.watch(arguments[k])
        y = function(*arguments)
    return tape.gradient(y, arguments[k], output_gradients=g).value


@pytest.mark.parametrize("x", [[np.nan, 1.0, 2.0], [np.inf, 2.0, 1.0]])
def test_one_channel_on_jax_keeps_what_is_not_finite(x):
    jnp = pytest.importorskip("jax.numpy")
    x = np.reshape(x, (1, 3, 1)).astype(np.float32)
    w = np.array([1.0, 2.0], np.float32).reshape(2, 1, 1)
    found = hg.conv(jnp.asarray(x), w, padding="SAME").value
    np.testing.assert_array_equal(found, hg.conv(x, w, padding="SAME").value)


@pytest.mark.light
@pytest.mark.parametrize("padding", ["SAME", "VALID", [(1, 0), (0, 1)]])
@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 3), (3, 2), (2, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_pooling_on_jax_agrees_with_numpy(rng, padding, size, stride, dtype):
    """Small integers, so that most windows have ties."""
    jnp = pytest.importorskip("jax.numpy")
    x = rng.integers(0, 3, (2, 7, 8, 3)).astype(dtype)
    for pool in (hg.max_pool, hg.avg_pool)[: 1 if dtype is np.int32 else 2]:
        ours = lambda x, pool=pool: pool(x, size, stride=stride, padding=padding)
        expected = ours(x).value
        np.testing.assert_allclose(ours(jnp.asarray(x)).value, expected, rtol=1e-6)
        if dtype is np.float32:
            g = rng.standard_normal(expected.shape).astype(dtype)
            found = gradient(ours, jnp.asarray(x), jnp.asarray(g))
            np.testing.assert_allclose(found, gradient(ours, x, g), atol=1e-6)


@pytest.mark.parametrize(("padding", "least"), [("SAME", 5), ("VALID", 7), ([(1, 1)], 5)])
def test_a_space_that_a_transpose_cannot_give_is_refused_with_those_that_it_can(padding, least):
    x, w = np.ones((1, 3, 1)), np.ones((3, 1, 1))
    for space in (least, least + 1):
        found = hg.conv_transpose(x, w, stride=2, padding=padding, output_shape=[space])
        assert found.shape == (1, space, 1)
    for space in (least - 1, least + 2):
        with pytest.raises(ValueError, match=rf"with a space of \[{least}\], or up to stride - 1"):
            hg.conv_transpose(x, w, stride=2, padding=padding, output_shape=[space])


# -- other libraries ------------------------------------------------------------------------------


@pytest.mark.peers
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("padding", ["SAME", "VALID", [(2, 1), (0, 3)]])
@pytest.mark.parametrize(("stride", "dilation", "groups"), [(1, 1, 1), ((2, 3), 1, 2), (2, 2, 1)])
def test_convolution_agrees_with_jax(rng, layout, padding, stride, dilation, groups):
    import jax
    from jax import lax

    channels = 4
    shape = (2, 9, 8, channels) if layout == "NHWC" else (2, channels, 9, 8)
    x, w = rng.standard_normal(shape), rng.standard_normal((3, 2, channels // groups, 6))

    def theirs(x, w):
        return lax.conv_general_dilated(
            x,
            w,
            (stride, stride) if isinstance(stride, int) else stride,
            padding,
            rhs_dilation=(dilation, dilation),
            dimension_numbers=(layout, "HWIO", layout),
            feature_group_count=groups,
        )

    def ours(x, w):
        options = {"stride": stride, "padding": padding, "dilation": dilation}
        return hg.conv(x, w, groups=groups, layout=layout, **options)

    expected, pull = jax.vjp(theirs, x, w)
    g = rng.standard_normal(expected.shape)
    by_x, by_w = pull(g)
    np.testing.assert_allclose(ours(x, w).value, expected, atol=1e-12)
    np.testing.assert_allclose(gradient(lambda x: ours(x, w), x, g), by_x, atol=1e-12)
    np.testing.assert_allclose(gradient(lambda w: ours(x, w), w, g), by_w, atol=1e-12)


@pytest.mark.peers
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_pooling_agrees_with_jax(rng, padding):
    """Small integers, so that most windows have ties."""
    import jax
    from jax import lax

    x = rng.integers(0, 3, (2, 7, 8, 3)).astype(float)

    def largest(x):
        return lax.reduce_window(x, -np.inf, lax.max, (1, 3, 2, 1), (1, 2, 2, 1), padding)

    expected, pull = jax.vjp(largest, x)
    g = rng.standard_normal(expected.shape)
    ours = lambda x: hg.max_pool(x, (3, 2), stride=2, padding=padding)
    np.testing.assert_array_equal(ours(x).value, expected)
    np.testing.assert_allclose(gradient(ours, x, g), pull(g)[0], atol=1e-12)


@pytest.mark.tensorflow
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 2), ((3, 2), (1, 3))])
def test_pooling_agrees_with_tensorflow(rng, padding, size, stride):
    import tensorflow as tf

    x = rng.integers(0, 3, (2, 7, 8, 3)).astype(float)
    for ours, theirs in [(hg.max_pool, tf.nn.max_pool2d), (hg.avg_pool, tf.nn.avg_pool2d)]:
        watched = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(watched)
            expected = theirs(watched, size, stride, padding)
        g = rng.standard_normal(expected.shape)
        slope = tape.gradient(expected, watched, output_gradients=tf.constant(g))
        pool = lambda x, ours=ours: ours(x, size, stride=stride, padding=padding)
        np.testing.assert_allclose(pool(x).value, expected)
        np.testing.assert_allclose(gradient(pool, x, g), slope, atol=1e-12)


@pytest.mark.tensorflow
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("output_padding", [None, 1])
@pytest.mark.parametrize(("size", "stride"), [(3, 2), (5, 3), (1, 2)])
def test_transposed_convolution_agrees_with_keras(rng, padding, output_padding, size, stride):
    import keras

    x, w = rng.standard_normal((2, 4, 3, 5)), rng.standard_normal((size, size, 2, 5))
    expected = keras.ops.convert_to_numpy(
        keras.ops.conv_transpose(x, w, stride, padding.lower(), output_padding)
    )
    found = hg.conv_transpose(x, w, stride=stride, padding=padding, output_padding=output_padding)
    np.testing.assert_allclose(found.value, expected, atol=1e-12)


@pytest.mark.parametrize("dtype", [bool, "int8", "uint8"])
def test_means_of_whole_numbers_are_floats(dtype):
    """The sum of a window, and how many elements it has, may not fit into their dtype."""
    x = np.arange(0, 250, 5)[None, :, None].astype(dtype)
    found = hg.avg_pool(x, 20, stride=9, padding="SAME")
    assert found.dtype == "float64"
    expected = hg.avg_pool(x.astype("float64"), 20, stride=9, padding="SAME")
    np.testing.assert_allclose(found.numpy(), expected.numpy())


def test_padding_is_never_the_largest_of_booleans():
    x = np.zeros((1, 3, 1), bool)
    assert not hg.any(hg.max_pool(x, 2, padding="SAME"))
