"""Values and gradients of functions by name: the same program in Headgate and in TensorFlow.

What a name returns in TensorFlow 2.21 is written down in `more_names.json`, by

    python -m tests.tf_semantics.test_more_names

where TensorFlow is installed; there the tests run against it as well. Each program is given
variables; the gradients are those of a fixed weighting of its floating results.
"""

import importlib
import json
import pathlib

import numpy as np
import pytest

FILE = pathlib.Path(__file__).with_name("more_names.json")

RNG = np.random.default_rng(1)
X = RNG.uniform(-1.5, 1.5, (4, 3)).round(3)
Y = RNG.uniform(0.2, 0.9, (4, 3)).round(3)
A = (RNG.uniform(-1.0, 1.0, (3, 3)) + 3 * np.eye(3)).round(3)
S = (A @ A.T).round(3)
B = RNG.uniform(-1.0, 1.0, (3, 2)).round(3)
LOWER = np.tril(A)
IDS = [0, 0, 1, 3]
MIXED = [2, 0, -1, 2]


def volume(tf, x):
    return tf.cast(tf.reshape(x, [1, 2, 2, 3, 1]), tf.float32)


def each(module, names, *arrays):
    """Return programs that call functions of one module with the same arguments."""
    return {
        f"{module}.{name}": (
            lambda tf, *x, name=name, module=module: getattr(getattr(tf, module), name)(*x),
            arrays,
        )
        for name in names.split()
    }


NAMES = {
    **each("math", "lgamma digamma erfc erfinv erfcinv ndtri bessel_i0 bessel_i0e", Y),
    **each("math", "bessel_i1 bessel_i1e reciprocal_no_nan angle", X),
    **each("math", "xlogy xlog1py xdivy multiply_no_nan", X, Y),
    "truncatediv": (lambda tf, x, y: tf.truncatediv(x, y), [X, Y]),
    "truncatemod": (lambda tf: tf.truncatemod(tf.constant(X), tf.constant(Y)), []),
    **each("math", "polygamma", np.asarray([1.0, 2.0, 3.0]), Y),
    "math.igamma": (lambda tf, x: tf.math.igamma(np.asarray([1.0, 2.0, 3.0]), x), [Y]),
    "math.igammac": (lambda tf, x: tf.math.igammac(np.asarray([1.0, 2.0, 3.0]), x), [Y]),
    "math.xlogy at 0": (lambda tf, x: tf.math.xlogy(x, [0.0, 2.0]), [np.zeros(2)]),
    "math.xdivy at 0": (lambda tf, x: tf.math.xdivy(x, [0.0, 2.0]), [np.zeros(2)]),
    "math.zeta": (lambda tf, q: tf.math.zeta(tf.constant(2.5, tf.float64), q), [Y]),
    "math.betainc": (
        lambda tf, x: tf.math.betainc(*tf.constant([2.0, 3.0], tf.float64), x),
        [Y],
    ),
    "math.lbeta": (lambda tf, x: tf.math.lbeta(x), [Y]),
    "math.polyval": (lambda tf, x: tf.math.polyval([x, 2.0 * x, x], x), [X]),
    "math.scalar_mul": (lambda tf, x: tf.math.scalar_mul(2.0, x), [X]),
    "math.count_nonzero": (lambda tf, x: tf.math.count_nonzero(x > 0, 1), [X]),
    "math.zero_fraction": (lambda tf, x: tf.math.zero_fraction(tf.nn.relu(x)), [X]),
    "math.cumulative_logsumexp": (lambda tf, x: tf.math.cumulative_logsumexp(x, 1), [X]),
    "math.cumulative_logsumexp exclusive": (
        lambda tf, x: tf.math.cumulative_logsumexp(x, 0, exclusive=True, reverse=True)[:-1],
        [X],
    ),
    "math.is_non_decreasing": (lambda tf, x: tf.math.is_non_decreasing(x), [X]),
    "math.is_strictly_increasing": (
        lambda tf, x: tf.math.is_strictly_increasing(tf.sort(x[0])),
        [X],
    ),
    "math.invert_permutation": (lambda tf: tf.math.invert_permutation([2, 0, 1]), []),
    "math.nextafter": (
        lambda tf: tf.math.nextafter(tf.constant([0.0, 1.0], tf.float64), [1.0, 0.0]),
        [],
    ),
    "truncatediv of int32": (
        lambda tf: tf.truncatediv(tf.constant([7, -7]), tf.constant([2, 2])),
        [],
    ),
    "truncatemod of int32": (
        lambda tf: tf.truncatemod(tf.constant([7, -7]), tf.constant([2, 2])),
        [],
    ),
    "nn.l2_loss": (lambda tf, x: tf.nn.l2_loss(x), [X]),
    "nn.log_poisson_loss": (lambda tf, x: tf.nn.log_poisson_loss(Y * 3, x, True), [X]),
    "nn.compute_average_loss": (
        lambda tf, x: tf.nn.compute_average_loss(x[:, 0], Y[:, 0], global_batch_size=8),
        [X],
    ),
    "nn.scale_regularization_loss": (
        lambda tf, x: tf.nn.scale_regularization_loss(x[0] ** 2),
        [X],
    ),
    "nn.max_pool3d": (
        lambda tf, x: tf.nn.max_pool3d(
            tf.cast(tf.reshape(x, [1, 2, 2, 3, 1]), tf.float32), 2, 1, "VALID"
        ),
        [X],
    ),
    "nn.avg_pool3d": (
        lambda tf, x: tf.nn.avg_pool3d(
            tf.cast(tf.reshape(x, [1, 2, 2, 3, 1]), tf.float32), 2, 1, "SAME"
        ),
        [X],
    ),
    "keras.layers.concatenate": (
        lambda tf, x, y: tf.keras.layers.concatenate([x, y], axis=1),
        [X, Y],
    ),
    "keras.layers.add": (lambda tf, x, y: tf.keras.layers.add([x, y]), [X, Y]),
    "complex": (lambda tf, x, y: tf.abs(tf.complex(x, y) ** 2), [X, Y]),
    "angle of complex": (lambda tf, x, y: tf.math.angle(tf.complex(x, y)), [X, Y]),
    "cumsum": (lambda tf, x: tf.cumsum(x, axis=1, exclusive=True), [X]),
    "add_n": (lambda tf, x, y: tf.add_n([x, y, x]), [X, Y]),
    **{
        f"math.segment_{name}": (
            lambda tf, x, name=name: getattr(tf.math, f"segment_{name}")(x, IDS),
            [X],
        )
        for name in ("sum", "mean", "max", "min", "prod")
    },
    **{
        f"math.unsorted_segment_{name}": (
            lambda tf, x, name=name: getattr(tf.math, f"unsorted_segment_{name}")(x, MIXED, 3)[::2],
            [X],
        )
        for name in ("sum", "mean", "max", "min", "prod", "sqrt_n")
    },
    "math.unsorted_segment_sum of pairs": (
        lambda tf, x: tf.math.unsorted_segment_sum(x, [[0, 1, 0]] * 4, 2),
        [X],
    ),
    "empty segments": (
        lambda tf, x: [
            tf.math.unsorted_segment_max(tf.cast(x, tf.float32), MIXED, 4)[1],
            tf.math.unsorted_segment_min([1, 2], [0, 0], 2),
            tf.math.unsorted_segment_prod(x, MIXED, 4)[3],
        ],
        [X],
    ),
    "linalg.svd": (lambda tf, x: tf.linalg.svd(x, compute_uv=False), [X]),
    "linalg.svd and back": (
        lambda tf, x: (lambda s, u, v: tf.matmul(u * s, v, adjoint_b=True))(*tf.linalg.svd(x)),
        [X],
    ),
    "linalg.svd of all": (lambda tf, x: tf.shape(tf.linalg.svd(x, full_matrices=True)[1]), [X]),
    "linalg.eigvalsh": (lambda tf, x: tf.linalg.eigvalsh(x @ tf.transpose(x)), [A]),
    "linalg.eigvals": (lambda tf, x: tf.sort(tf.math.real(tf.linalg.eigvals(x))), [S]),
    "linalg.qr": (
        lambda tf, x: tf.matmul(tf.abs(tf.linalg.qr(x).q), tf.abs(tf.linalg.qr(x)[1])),
        [A],
    ),
    "linalg.lu": (lambda tf: tf.linalg.lu(A)[0], []),
    "linalg.lu order": (lambda tf: tf.linalg.lu(A[::-1])[1], []),
    "linalg.lu_solve": (lambda tf: tf.linalg.lu_solve(*tf.linalg.lu(A), B), []),
    "linalg.lu_reconstruct": (lambda tf: tf.linalg.lu_reconstruct(*tf.linalg.lu(A[::-1])), []),
    "linalg.triangular_solve": (lambda tf, x, y: tf.linalg.triangular_solve(x, y), [A, B]),
    "linalg.triangular_solve adjoint": (
        lambda tf, x, y: tf.linalg.triangular_solve(x, y, lower=False, adjoint=True),
        [A, B],
    ),
    "linalg.cholesky_solve": (lambda tf, x, y: tf.linalg.cholesky_solve(x, y), [LOWER, B]),
    "linalg.lstsq": (lambda tf, x, y: tf.linalg.lstsq(x, y), [X, Y]),
    "linalg.lstsq of wide": (
        lambda tf, x, y: tf.linalg.lstsq(x, y, l2_regularizer=0.1),
        [X.T, B],
    ),
    "linalg.lstsq by pinv": (lambda tf: tf.linalg.lstsq(X, Y, fast=False), []),
    "linalg.pinv": (lambda tf, x: tf.linalg.pinv(x), [X]),
    "linalg.logdet": (lambda tf, x: tf.linalg.logdet(x @ tf.transpose(x)), [A]),
    "linalg.matvec": (lambda tf, x, y: tf.linalg.matvec(x, y, transpose_a=True), [X, Y[:, 0]]),
    "linalg.matrix_rank": (lambda tf: tf.linalg.matrix_rank([A, np.ones((3, 3))]), []),
    "linalg.cross": (lambda tf, x, y: tf.linalg.cross(x, y), [X, Y]),
    "linalg.normalize": (lambda tf, x: tf.linalg.normalize(x, axis=1), [X]),
    "linalg.band_part": (lambda tf, x: tf.linalg.band_part(x, 1, 0), [X]),
    "linalg.band_part above": (lambda tf, x: tf.linalg.band_part(x, 0, -1), [A]),
    "linalg.diag": (lambda tf, x: tf.linalg.diag(x), [X]),
    "linalg.diag above": (lambda tf, x: tf.linalg.diag(x, k=1, padding_value=7), [X]),
    "linalg.diag in a shape": (lambda tf, x: tf.linalg.diag(x, k=-1, num_rows=4, num_cols=5), [X]),
    "linalg.diag_part": (lambda tf, x: tf.linalg.diag_part(x, k=-1), [X]),
    "linalg.set_diag": (lambda tf, x, y: tf.linalg.set_diag(x, y), [X, Y[0]]),
    "linalg.set_diag below": (lambda tf, x, y: tf.linalg.set_diag(x, y, k=-1), [X, Y[0]]),
    "linalg.tensor_diag": (lambda tf, x: tf.linalg.tensor_diag(x), [X]),
    "linalg.tensor_diag_part": (lambda tf, x: tf.linalg.tensor_diag_part(x), [A]),
    "linalg.solve adjoint": (lambda tf, x, y: tf.linalg.solve(x, y, adjoint=True), [A, B]),
    "scatter_nd": (lambda tf, x: tf.scatter_nd([[1], [3], [1], [0]], x, [5, 3]), [X]),
    "tensor_scatter_nd_sub": (
        lambda tf, x, y: tf.tensor_scatter_nd_sub(x, [[1], [1]], y[:2]),
        [X, Y],
    ),
    "map_fn": (
        lambda tf, x, y: tf.map_fn(lambda r: r[0] * tf.reduce_sum(r[1]), (x, y), x.dtype),
        [X, Y],
    ),
    "vectorized_map": (lambda tf, x: tf.vectorized_map(lambda r: r * tf.reduce_sum(r), x), [X]),
    "scan": (lambda tf, x: tf.scan(lambda c, r: c * 0.5 + r, x), [X]),
    "scan from": (
        lambda tf, x, y: tf.scan(lambda c, r: c * r, x, initializer=y[0], reverse=True),
        [X, Y],
    ),
    "scan back": (lambda tf, x: tf.scan(lambda c, r: c * 0.5 + r, x, reverse=True), [X]),
    "foldl": (lambda tf, x: tf.foldl(lambda c, r: c * 0.5 + r, x), [X]),
    "foldr": (lambda tf, x, y: tf.foldr(lambda c, r: c * 0.5 + r, x, initializer=y[0]), [X, Y]),
    "TensorArray": (
        lambda tf, x: (
            tf.TensorArray(tf.float64, 3, element_shape=[3])
            .write(0, x[0] * 2.0)
            .write(2, x[1])
            .stack()
        ),
        [X],
    ),
    "TensorArray that grows": (
        lambda tf, x: (
            tf.TensorArray(tf.float64, 0, dynamic_size=True)
            .unstack(x)
            .scatter([4, 5], x[:2])
            .gather([1, 4])
        ),
        [X],
    ),
    "TensorArray.concat": (
        lambda tf, x: (
            tf.TensorArray(tf.float64, 2, infer_shape=False).write(0, x).write(1, x[:1]).concat()
        ),
        [X],
    ),
    "sequence_mask": (lambda tf: tf.sequence_mask([[1, 3], [0, 2]]), []),
    "sequence_mask of a dtype": (lambda tf: tf.sequence_mask([1, 3], 4, tf.float32), []),
    "searchsorted": (lambda tf: tf.searchsorted([1.0, 3.0, 3.0], [3.0, 0.0, 9.0], "right"), []),
    "searchsorted of rows": (
        lambda tf: tf.searchsorted([[1, 3, 5], [2, 4, 6]], [[3, 6], [1, 7]]),
        [],
    ),
    "unique": (lambda tf: tf.unique([5, 3, 5, 1, 3]), []),
    "unique_with_counts": (lambda tf: tf.unique_with_counts([5, 3, 5, 1, 3]), []),
    "slice": (lambda tf, x: tf.slice(x, [1, 0], [2, -1]), [X]),
    "saturate_cast": (lambda tf: tf.saturate_cast([300.7, -5.0, 7.2], tf.uint8), []),
    "ensure_shape": (lambda tf, x: tf.ensure_shape(x, [None, 3]), [X]),
    "identity_n": (lambda tf, x, y: tf.identity_n([x, y]), [X, Y]),
    "shape_n": (lambda tf, x: tf.shape_n([x, x[0]]), [X]),
    "dynamic_stitch": (lambda tf, x: tf.dynamic_stitch([[2, 0], [1, 3]], [x[:2], x[2:]]), [X]),
}


def run(tf, name):
    """Return dtypes and values of a program's results, and its gradients."""
    program, arrays = NAMES[name]
    sources = [tf.Variable(x, dtype=tf.float64) for x in arrays]
    with tf.GradientTape() as tape:
        values = [tf.convert_to_tensor(x) for x in sources]
        found = program(tf, *values)
        found = list(found) if isinstance(found, list | tuple) else [found]
        floats = [x for x in found if x.dtype == tf.float64]
        loss = tf.add_n([tf.reduce_sum(x * weights(x)) for x in floats]) if floats else None
    slopes = tape.gradient(loss, sources) if floats and sources else []
    return [
        *([str(np.dtype(x.numpy().dtype)), x.numpy().tolist()] for x in found),
        [None if x is None else x.numpy().tolist() for x in slopes],
    ]


def weights(x):
    return np.cos(1 + np.arange(np.prod(x.shape))).reshape(x.shape)


def recorded():
    return json.loads(FILE.read_text(encoding="utf-8"))


def same(found, expected):
    *results, slopes = found
    *others, right = expected
    assert len(results) == len(others)
    for (dtype, value), (theirs, other) in zip(results, others):
        assert dtype == theirs
        np.testing.assert_allclose(value, other, rtol=1e-6, atol=1e-9)
    for slope, other in zip(slopes, right, strict=True):
        assert (slope is None) == (other is None)
        if other is not None:
            np.testing.assert_allclose(slope, other, rtol=1e-6, atol=1e-9)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", NAMES)
def test_value_and_gradient(tf, name):
    same(run(tf, name), recorded()[name])


@pytest.mark.peers
@pytest.mark.light
def test_compiled(implementation):
    """All programs that need no values in advance, with their gradients, as one function."""
    if implementation == "tensorflow":
        pytest.skip("Headgate's")
    import headgate as hg
    import headgate.tf as tf

    given = {
        name: arrays
        for name, (_, arrays) in NAMES.items()
        if arrays and not name.startswith(OF_VALUES)
    }

    def program(given):
        found = {}
        for name, arrays in given.items():
            sources = [hg.asarray(x) for x in arrays]
            with hg.GradientTape() as tape:
                tape.watch(sources)
                y = NAMES[name][0](tf, *sources)
                y = list(y) if isinstance(y, list | tuple) else [y]
                floats = [x for x in y if x.dtype == tf.float64]
                loss = hg.sum(hg.stack([hg.sum(x * weights(x)) for x in floats])) if floats else 0.0
            found[name] = y, tape.gradient(loss, sources) if floats else []
        return found

    expected = program(given)
    for name, (values, slopes) in hg.function(program)(given).items():
        right, steep = expected[name]
        for ours, theirs in zip([*values, *slopes], [*right, *steep], strict=True):
            assert (ours is None) == (theirs is None), name
            if theirs is not None:
                assert ours.dtype == theirs.dtype, name
                np.testing.assert_allclose(
                    ours.numpy(), theirs.numpy(), rtol=1e-6, atol=1e-9, err_msg=name
                )


OF_VALUES = ("linalg.svd of all", "math.segment_", "shape_n")
"""Programs whose shapes depend on values, or that return shapes."""


def test_specs_and_shapes(tf):
    spec = tf.TensorSpec([None, 2], tf.float32, "x")
    assert spec.shape.as_list() == [None, 2]
    assert spec.is_compatible_with(tf.ones((3, 2)))
    assert not spec.is_compatible_with(tf.ones((3, 3)))
    assert spec == tf.TensorSpec([None, 2], tf.float32, "x")
    assert tf.TensorSpec.from_tensor(tf.ones(2)).dtype == tf.float32
    shape = tf.TensorShape([None, 2])
    assert shape.rank == 2
    assert shape.num_elements() is None
    assert tf.TensorShape([3, 2]).num_elements() == 6
    assert shape.merge_with([4, None]).as_list() == [4, 2]
    assert shape.concatenate([5]).as_list() == [None, 2, 5]
    assert shape[1:].as_list() == [2]
    assert not shape.is_fully_defined()
    with pytest.raises(ValueError, match="incompatible"):
        shape.assert_is_compatible_with([3, 3])


def test_nests(tf):
    structure = {"b": [1, (2, None)], "a": 3}
    assert tf.nest.flatten(structure) == [3, 1, 2, None]
    assert tf.nest.map_structure(lambda x, y: (x, y), [1, 2], [3, 4]) == [(1, 3), (2, 4)]
    assert tf.nest.pack_sequence_as(structure, [0, 1, 2, 3]) == {"b": [1, (2, 3)], "a": 0}
    assert tf.nest.is_nested([1])
    assert not tf.nest.is_nested(1)
    with pytest.raises((ValueError, TypeError)):
        tf.nest.assert_same_structure([1, 2], [1, [2]])
    with pytest.raises(ValueError, match="structure"):
        tf.nest.pack_sequence_as([1], [1, 2])


def test_what_belongs_to_graphs(tf):
    assert tf.executing_eagerly()
    x = tf.constant(1.0)
    with tf.device("/CPU:0"), tf.control_dependencies([x]), tf.init_scope():
        assert (x + 1.0).numpy() == 2.0
    with tf.name_scope("layer") as scope:
        assert scope == "layer/"


def test_devices_and_older_names(tf):
    assert [d.device_type for d in tf.config.list_physical_devices("CPU")] == ["CPU"]
    for device in tf.config.experimental.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(device, True)
    assert tf.optimizers.Adam is tf.keras.optimizers.Adam
    assert tf.losses.MeanSquaredError is tf.keras.losses.MeanSquaredError
    made = tf.random_normal_initializer(0.0, 0.02)([200, 2])
    assert made.dtype == tf.float32
    assert 0.01 < np.std(made.numpy()) < 0.03
    assert tf.zeros_initializer()([2]).numpy().tolist() == [0.0, 0.0]
    assert tf.constant_initializer(3.0)([1]).numpy().tolist() == [3.0]
    assert tf.half == tf.float16
    assert tf.double == tf.float64


def test_refusals_of_more_names(tf, implementation):
    kinds = Exception if implementation == "tensorflow" else (TypeError, ValueError, IndexError)
    x = tf.constant(X)
    for wrong in (
        lambda: tf.math.segment_sum(x, [1, 0, 0, 0]),
        lambda: tf.math.segment_sum(x, [0, 0]),
        lambda: tf.math.unsorted_segment_sum(x, [0, 1, 2, 3], 3),
        lambda: tf.math.unsorted_segment_sum(x, [0.0, 1.0, 1.0, 1.0], 3),
        lambda: tf.linalg.set_diag(x, [1.0, 2.0]),
        lambda: tf.linalg.tensor_diag_part(x),
        lambda: tf.slice(x, [0, 0], [5, 1]),
        lambda: tf.ensure_shape(x, [None, 4]),
        lambda: tf.unique(x),
        lambda: tf.searchsorted([1, 2], [[1]]),
        lambda: tf.math.polyval(x, x),
        lambda: tf.TensorArray(tf.float64, 1).write(1, x),
        lambda: tf.scatter_nd([[9]], [1.0], [3]),
    ):
        with pytest.raises(kinds):
            wrong()


if __name__ == "__main__":
    tensorflow = importlib.import_module("tensorflow")
    made = {name: run(tensorflow, name) for name in NAMES}
    lines = (f"{json.dumps(name)}: {json.dumps(value)}" for name, value in made.items())
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
