"""Half precision: every row keeps float16 and bfloat16, and is as right as they can be.

What a row gives for halves is compared with what it gives for the same numbers in float64.
"""

import importlib.util
import math

import numpy as np
import pytest

import headgate as hg
from headgate.core.namespace import TENSORS
from ops.test_table import CASES, flat, function, label, parts

pytestmark = pytest.mark.other_dtype

BFLOAT16 = "bfloat16"
EPSILON = {"float16": 2.0**-10, BFLOAT16: 2.0**-7}

# NumPy has none of these for float16, and computes them in float64 for bfloat16.
IN_LAPACK = {
    *("cholesky", "det", "eigh", "eigvalsh", "eigvalsh_slope", "inv", "matrix_rank", "pinv"),
    *("qr", "slogdet", "solve", "svd", "svdvals", "svdvals_slope", "expm", "sqrtm", "logm"),
    *("eig", "lu", "solve_triangle", "irfftn"),  # a spectrum has no halves either
    *("funm_change", "funm_along", "funm_later", "funm_unknown"),
}


def dtype_named(name):
    return np.dtype(name if name != BFLOAT16 else pytest.importorskip("ml_dtypes").bfloat16)


def converted(argument, dtype):
    if isinstance(argument, list):
        return [converted(item, dtype) for item in argument]
    floating = isinstance(argument, np.ndarray) and argument.dtype.kind in "fV"
    return argument.astype(dtype) if floating else argument


def all_of(case, arguments):
    """Return the floating results of a case, and their gradients by its floating arrays."""
    values = flat(arguments)
    places = [k for k, x in enumerate(values) if isinstance(x, np.ndarray) and x.dtype.kind in "fV"]
    for k in places:
        values[k] = hg.asarray(values[k])
    with hg.GradientTape() as tape:
        tape.watch([values[k] for k in places])
        found = parts(function(case, arguments)(*values))
        results = [part for part in found if np.dtype(part.dtype).kind in "fV"]
    if not case.order:
        return results, []
    weights = [np.cos(np.arange(p.size)).reshape(p.shape).astype(p.dtype) for p in results]
    return results, tape.gradient(results, [values[k] for k in places], output_gradients=weights)


def is_for_halves(case):
    arrays = [x for x in flat(case.make()) if isinstance(x, np.ndarray)]
    return (
        any(x.dtype == np.float64 for x in arrays)
        and not any(x.dtype.kind == "c" for x in arrays)
        and "dtype" not in case.statics
        and case.op not in IN_LAPACK
    )


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", ["float16", BFLOAT16])
@pytest.mark.parametrize(
    "case", [pytest.param(case, id=label(case)) for case in CASES if is_for_halves(case)]
)
def test_half_stays_half(case, name):
    dtype = dtype_named(name)
    halves = converted(case.make(), dtype)
    wide = converted(halves, np.float64)
    whole = any(getattr(x, "dtype", dtype).kind in "iu" and x.ndim for x in flat(halves))
    if whole and case.op in ("pow", "matmul", "polygamma"):
        pytest.skip("whole numbers of 64 bits are promoted to float64, as in NumPy")
    for ours, theirs in zip(all_of(case, halves), all_of(case, wide), strict=True):
        for mine, other in zip(ours, theirs, strict=True):
            if mine is None or other is None:
                continue
            assert mine.dtype == dtype
            scale = 1 + np.max(np.abs(other.numpy()), initial=0)
            error = np.abs(mine.numpy().astype(float) - other.numpy()) / scale
            assert np.max(error, initial=0) < 40 * EPSILON[name]


@pytest.mark.parametrize("name", ["float16", BFLOAT16])
def test_numbers_beside_halves(name):
    t = hg.asarray(np.asarray([0.25, 1.0, 2.0], dtype_named(name)))
    for found in (
        *(t * 0.5, 0.5 * t, t + 0.5, 0.5 - t, t / 2.0, t**0.5, t * 2, t[0] * 0.5, 2.0**t),
        *(hg.maximum(t, 0.5), hg.clip(t, 0.5, 1.0), hg.where(t > 0, t, 0.5), hg.clip(t[0], 0.5)),
        *(t @ t, hg.einsum("i,i", t, t), hg.einsum("i,j->ij", t, t), hg.norm(t), hg.std(t)),
        *(getattr(TENSORS, row)(t) for row in ("exp2", "rsqrt", "log10", "gelu", "mean", "var")),
    ):
        assert found.dtype == t.dtype
    for row in ("exp2", "rsqrt", "log2", "log10", "reciprocal", "erf", "gelu", "silu", "elu"):
        slope = hg.grad(lambda x, row=row: hg.sum(getattr(TENSORS, row)(x) * 0.5))(t)
        assert slope.dtype == t.dtype, row


def test_what_halves_have_no_range_for():
    x = np.array([0.5, 2.5, 4.0, 300.0, -4.0], np.float16)
    erf = [math.erf(value) for value in x.astype(float)]
    np.testing.assert_allclose(hg.erf(x).numpy(), np.float16(erf))
    gelu = [value * (1 + math.erf(value / math.sqrt(2))) / 2 for value in x.astype(float)]
    np.testing.assert_allclose(hg.gelu(x).numpy(), np.float16(gelu), rtol=2e-3)
    slopes = hg.grad(lambda x: hg.sum(hg.gelu(x)))(x)
    np.testing.assert_allclose(slopes, [0.867, 1.0376, 1.0005, 1.0, -0.0005], atol=2e-3)
    assert hg.norm(np.array([300, 400], np.float16)) == 500
    np.testing.assert_allclose(
        hg.grad(hg.norm)(np.array([300, 400], np.float16)), [0.6, 0.8], rtol=1e-3
    )
    assert hg.var(np.array([300, 400], np.float16)) == 2500
    assert hg.mean(np.ones(70000, np.float16)) == 1


LONG = {
    "sum": lambda x: hg.sum(x),
    "sum along an axis": lambda x: hg.sum(hg.reshape(x, (-1, 1)), axis=0)[0],
    "mean": lambda x: hg.mean(x),
    "cumulative_sum": lambda x: hg.cumulative_sum(x)[-1],
    "logsumexp": lambda x: hg.logsumexp(x),
    "softmax": lambda x: hg.softmax(x)[0],
    "norm": lambda x: hg.norm(x),
    "l2_normalize": lambda x: hg.l2_normalize(x)[0],
    "matmul": lambda x: x @ x,
    "einsum": lambda x: hg.einsum("i,i", x, x),
    "scatter_add": lambda x: hg.scatter_add(x[:2] * 0, x, PLACES)[0],
    "few": lambda x: hg.scatter_add(x[:2] * 0, x[:200] * 4 + x[:200], PLACES[:200])[0],
    "take": lambda x: hg.grad(lambda w: hg.sum(hg.take(w, PLACES, axis=0)))(x)[0],
    "embedding": lambda x: hg.grad(lambda w: hg.sum(hg.embedding(w, PLACES)))(x[:, None])[0, 0],
    "broadcast": lambda x: hg.grad(lambda w: hg.sum(w * x))(x[0]),
    "repeat": lambda x: hg.grad(lambda w: hg.sum(hg.repeat(w, 5000, axis=0)))(x[:1])[0],
    "tile": lambda x: hg.grad(lambda w: hg.sum(hg.tile(w, (5000,))))(x[:1])[0],
    "conv": lambda x: hg.conv(x[None, :300, None], x[:300, None, None])[0, 0, 0],
    "gradient of conv": lambda x: hg.grad(lambda w: hg.sum(hg.conv(x[None, :, None], w)))(
        x[:1, None, None]
    )[0, 0, 0],
    "avg_pool": lambda x: hg.avg_pool(4 * x[None, :300, None], 300)[0, 0, 0],
}
PLACES = np.zeros(5000, int)


@pytest.mark.light
@pytest.mark.parametrize("name", ["float16", BFLOAT16])
def test_sums_of_many_halves_do_not_stop_growing(name):
    """In bfloat16 256 + 1 is 256, in float16 2048 + 1 is 2048."""
    x, wide = hg.asarray(np.ones(5000, dtype_named(name))), hg.asarray(np.ones(5000))
    ways = {"eager": {key: call(x) for key, call in LONG.items()}}
    if importlib.util.find_spec("jax") is not None:
        ways["compiled"] = hg.function(lambda x: {key: call(x) for key, call in LONG.items()})(x)
    for way, found in ways.items():
        for key, call in LONG.items():
            assert found[key].dtype == x.dtype
            np.testing.assert_allclose(
                float(found[key]), float(call(wide)), rtol=4 * EPSILON[name], err_msg=f"{way} {key}"
            )
