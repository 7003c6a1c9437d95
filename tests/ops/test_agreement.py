"""One program, one result: every row, eager and in a trace, where the two could part.

`test_compiled.py` has each case in the dtypes that it is written for. Here each row is given what
users mix: dtypes beside each other, Python's numbers, NaN and infinities, nothing at all, arrays
that do not fit. What is compared is the value, or the type and the text of the error. Dtypes,
shapes and errors are known when a function is traced, so most programs here are only traced, one
for all rows; values are compared where they could differ. What differs on purpose is in a table,
with the reason.
"""

import warnings

import numpy as np
import pytest

import headgate as hg
from headgate.core.namespace import TENSORS
from ops.test_table import CASES, VALUE_SHAPED, flat, function, is_floating, parts

pytestmark = [
    pytest.mark.peers,
    pytest.mark.light,
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),  # NumPy's, of NaN and of overflow
]

ROWS = {}
for _case in CASES:
    if _case.op not in VALUE_SHAPED:
        ROWS.setdefault(_case.op, _case)

SINGULAR = "whether a matrix is singular is known when the program runs: NaN"
ODD = "booleans as numbers: NumPy has rules of its own for a few of its functions"
UNLIKE = {
    ("cholesky", "bool"): SINGULAR,
    ("cholesky", "uint8"): SINGULAR,
    ("inv", "bool"): SINGULAR,
    ("solve", "bool"): SINGULAR,
    ("pow", "bool"): ODD,
    **{
        ("pow", name): "a negative power of an integer raises"
        for name in ("int64", "int32", "int8")
    },
    ("sigmoid_cross_entropy", "bool"): ODD,
}
"""Rows that differ for a dtype of the first array, and why."""

LIKE_NUMPYS = {"f": 1e-9, "F": 2e-5, "e": 2e-3}


def is_float_array(x):
    return isinstance(x, np.ndarray) and x.dtype.kind in "fc"


def changed(case, change):
    """Return a case's arguments with something else for its floating arrays, by their number."""
    count = -1

    def other(x):
        nonlocal count
        if not is_float_array(x):
            return x
        count += 1
        return change(x, count)

    return [list(map(other, x)) if isinstance(x, list) else other(x) for x in case.make()]


def in_dtypes(*dtypes):
    def change(x, number):
        dtype = dtypes[min(number, len(dtypes) - 1)]
        return x > 0 if dtype == "bool" else x.astype(dtype)

    return change


def results(calls, given):
    """Return what each call gives for arrays: a list of tensors, or an error."""
    found = []
    for (case, arguments), arrays in zip(calls, given, strict=True):
        values = [arrays.get(k, x) for k, x in enumerate(flat(arguments))]
        try:
            found.append(parts(function(case, arguments)(*values)))
        except Exception as error:
            found.append(error)
    return found


def arrays_of(calls):
    return [
        {k: x for k, x in enumerate(flat(arguments)) if isinstance(x, np.ndarray)}
        for _, arguments in calls
    ]


def traced(calls):
    """Return what the calls give in a trace; nothing is run."""
    found = []

    def program(given):
        found[:] = results(calls, given)
        return hg.asarray(0.0)

    hg.function(program)._variant((arrays_of(calls),), {})
    return found


def form(result):
    """Return what is known of a result before a program runs."""
    if isinstance(result, Exception):
        return type(result), str(result).splitlines()[0]
    return [(str(x.dtype), x.shape) for x in result]


def differing(calls, allowed=()):
    pairs = zip(calls, results(calls, arrays_of(calls)), traced(calls), strict=True)
    return {
        case.op: (form(eager), form(other))
        for (case, _), eager, other in pairs
        if form(eager) != form(other) and case.op not in allowed
    }


def allowed_for(dtype):
    return {op for op, name in UNLIKE if name == dtype}


@pytest.mark.parametrize("dtype", ["int64", "int32", "int8", "uint8", "bool", "float16", "float32"])
def test_dtypes_of_all_rows(dtype):
    calls = [(case, changed(case, in_dtypes(dtype))) for case in ROWS.values()]
    assert not differing(calls, allowed_for(dtype))


OTHERS = ["int64", "int32", "uint8", "bool", "float64", "float16"]
SEVERAL = [case for case in ROWS.values() if sum(map(is_float_array, flat(case.make()))) > 1]


@pytest.mark.parametrize(
    "dtypes", [*(("float32", x) for x in OTHERS), *((x, "float32") for x in OTHERS)], ids="-".join
)
def test_dtypes_of_several_arrays(dtypes):
    calls = [(case, changed(case, in_dtypes(*dtypes))) for case in SEVERAL]
    assert not differing(calls, allowed_for(dtypes[0]) | allowed_for(dtypes[1]))


BINARY = [
    name
    for name in ROWS
    if isinstance(getattr(np, name, None), np.ufunc)
    and getattr(np, name).nin == 2
    and getattr(np, name).signature is None
]
NUMBERS = [2, 2.0, np.int64(2), np.float32(2), np.uint8(2)]


@pytest.mark.parametrize("dtype", ["float32", "int32", "uint8"])
def test_numbers_beside_arrays(dtype):
    """Numbers that are written in a function, and those that it is given."""
    x = np.asarray([1, 3]).astype(dtype)

    def program(x, numbers):
        found = {}
        for name in [*BINARY, "where"]:
            for k, number in enumerate(numbers):
                call = getattr(TENSORS, name)
                before = (x > 1,) if name == "where" else ()
                for swapped in (False, True):
                    try:
                        y = call(*before, *((number, x) if swapped else (x, number)))
                        found[name, k, swapped] = str(y.dtype)
                    except Exception as error:
                        found[name, k, swapped] = type(error), str(error).splitlines()[0]
        return found

    found = []

    def both(x, numbers):
        found[:] = [program(x, NUMBERS), program(x, numbers)]
        return x

    hg.function(both)(x, NUMBERS)
    expected = program(x, NUMBERS)
    assert found == [expected, expected]


def test_what_is_made_of_numbers_alone():
    def program(k, n):
        return [
            *(
                hg.sqrt(k),
                hg.where(hg.asarray(k) > 1, 1.0, 0.0),
                hg.full((2,), k),
                hg.maximum(n, 3),
            ),
            *(x * np.ones(2, "float32") for x in (hg.sqrt(k), hg.exp(k), hg.sum(k))),
            *(k * 2 * np.ones(2, "float32"), (n + 1) * np.ones(2, "uint8")),
        ]

    for ours, theirs in zip(hg.function(program)(2.0, 3), program(2.0, 3), strict=True):
        ours, theirs = hg.asarray(ours), hg.asarray(theirs)
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours.value, theirs.value)


SHAPES = {
    "first axis empty": lambda x: x[:0] if np.ndim(x) else x,
    "last axis empty": lambda x: x[..., :0] if np.ndim(x) else x,
    "no axes": lambda x: x.ravel()[0].reshape(()) if is_float_array(x) and x.size else x,
    "axes more": lambda x: x[None, ..., None] if is_float_array(x) else x,
}
PLANNED = {
    "convolution": "its plan is for other shapes",
    "convolution_weights": "its plan is for other shapes",
    "pick_rows": "its indices are for more rows",
    "scatter_rows": "its shape is for other updates",
}


@pytest.mark.parametrize("change", SHAPES)
def test_shapes(change):
    calls = []
    for case in ROWS.values():
        made = case.make()
        other = SHAPES[change]
        calls.append((case, [list(map(other, x)) if type(x) is list else other(x) for x in made]))
    assert not differing(calls, PLANNED)


def test_shapes_that_do_not_fit():
    odd = [(case, changed(case, lambda x, k: np.ones((7, 5)) if k else x)) for case in SEVERAL]
    assert not differing(odd)


def test_bad_input_is_refused_in_the_same_words():
    of_values = {"sparse_softmax_cross_entropy", "inv", "cholesky"}  # known when a program runs
    calls = [
        (type(case)(case.op, arrays, statics), case.make(arrays=arrays))
        for case in CASES
        for arrays, statics, _, _ in case.bad
        if case.op not in VALUE_SHAPED | of_values
    ]
    assert not differing(calls)


# -- values ----------------------------------------------------------------------------------------


def slopes(call, values):
    """Return the gradients for what is floating, of what is floating."""
    wrt = [k for k, x in enumerate(values) if np.dtype(getattr(x, "dtype", int)).kind in "fc"]
    tensors = [hg.asarray(x) if k in wrt else x for k, x in enumerate(values)]
    with hg.GradientTape() as tape:
        tape.watch([tensors[k] for k in wrt])
        found = [x for x in parts(call(*tensors)) if is_floating(x)]
    return tape.gradient(found, [tensors[k] for k in wrt])


def compared(calls, gradients=False, close=2e-5, zeros=False):
    """Compare values, and gradients if wanted, of all calls in one program; or that they raise.

    `zeros` says whether the signs of zeros are compared, in values.
    """
    refused = {}

    def program(given):
        found = []
        for (case, arguments), arrays in zip(calls, given, strict=True):
            values = [arrays.get(k, x) for k, x in enumerate(flat(arguments))]
            call = function(case, arguments)
            try:
                found.append([parts(call(*values)), slopes(call, values) if gradients else []])
            except Exception as error:
                refused.setdefault(case.op, []).append(type(error))
                found.append([[], []])
        return found

    given = arrays_of(calls)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", hg.UndefinedGradientWarning)  # most are of values
        expected = program(given)
        eagerly, refused = refused, {}
        compiled = hg.function(program)(given)
    assert refused.keys() == eagerly.keys()
    for (case, _), ours, theirs in zip(calls, compiled, expected, strict=True):
        for kind, mine, other in zip(("value", "gradient"), ours, theirs, strict=True):
            for x, y in zip(mine, other, strict=True):
                assert (x is None) == (y is None), (case.op, kind)
                if y is None:
                    continue
                what = f"{case.op}: {kind}"
                assert x.dtype == y.dtype, what
                x, y = (z.value.astype(float) if z.dtype.kind == "V" else z.value for z in (x, y))
                np.testing.assert_allclose(x, y, rtol=close, atol=close, err_msg=what)
                signed = zeros and kind == "value" and case.op not in EITHER_ZERO
                if signed and y.dtype.kind == "f":
                    differ = np.signbit(x) != np.signbit(y)
                    assert not np.any(differ & (x == 0)), f"{what}: the sign of a zero"


VALUE_DEPENDENT = {
    "pow": "an integer to a negative power raises eagerly",
    "reciprocal": "of the integer 0",
}
SUMS = {
    *("sum", "mean", "prod", "var", "std", "max", "argmax", "cumulative_sum", "cumulative_prod"),
    *("sort", "top_k", "logsumexp", "softmax", "vector_norm", "trace", "window_mean", "gelu"),
}


def test_values_of_mixed_dtypes_and_of_integers():
    calls = [(case, changed(case, in_dtypes("float32", "int64"))) for case in SEVERAL]
    calls += [(ROWS[op], changed(ROWS[op], in_dtypes("int32"))) for op in sorted(SUMS)]
    compared([call for call in calls if call[0].op not in VALUE_DEPENDENT])


def test_integers_that_need_64_bits():
    big = np.asarray([16777217, 16777217, 3], np.int32)
    divisors = np.asarray([0, 2, -2], np.int32)

    def program(x):
        return [
            *(hg.sum(x), hg.mean(x), hg.prod(x), hg.cumulative_sum(x), hg.cumulative_prod(x)),
            *(hg.var(x), hg.std(x), x / 3, hg.sqrt(x), hg.reciprocal(x), hg.exp(x % 7)),
            *(hg.floor_divide(x, 0), hg.remainder(x, 0), hg.floor_divide(x, divisors), -x % 4),
            *(hg.argmax(x), hg.arange(3) + x, hg.count_nonzero(x), x // np.int64(7)),
        ]

    with np.errstate(all="ignore"):
        expected = program(hg.asarray(big))
    for ours, theirs in zip(hg.function(program)(big), expected, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours.value, theirs.value, rtol=1e-12)


HALVES = {"float16": 4e-3, "bfloat16": 3e-2}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        *(("float32", x) for x in ("float64", "float16", "int64", "bfloat16")),
        *(("float64", "float32"), ("float16", "float32"), ("int32", "float32")),
        *(("bfloat16", x) for x in ("float32", "float16", "int32", "uint8", "bool")),
    ],
)
def test_gradients_of_dtypes_beside_each_other(first, second):
    """Each row that takes two arrays: its values and gradients, of the dtypes of the arrays."""
    names = {"bfloat16": pytest.importorskip("ml_dtypes").bfloat16}
    dtypes = [names.get(name, name) for name in (first, second)]
    calls = [(case, changed(case, in_dtypes(*dtypes))) for case in SEVERAL]
    allowed = allowed_for(second)
    close = max(HALVES.get(name, 2e-5) for name in (first, second))
    compared([call for call in calls if call[0].op not in allowed], gradients=True, close=close)


WHOLE = {"int8": 4e-3, "int32": 2e-5, "uint8": 4e-3, "bool": 4e-3}  # bytes are computed in float16
OF_FRACTIONS = {
    "astype_integer": "what -0.5 is without a sign is the processor's choice",
    "reciprocal": "of the integer 0",
    "pow": "an integer to a negative power raises eagerly",
}


@pytest.mark.parametrize("dtype", WHOLE)
def test_values_of_whole_numbers(dtype):
    allowed = allowed_for(dtype) | OF_FRACTIONS.keys()
    rows = [case for op, case in ROWS.items() if op not in allowed]
    compared([(case, changed(case, in_dtypes(dtype))) for case in rows], close=WHOLE[dtype])


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_bytes_do_not_wrap_around_in_what_makes_floats_of_them(dtype):
    limits = np.iinfo(dtype)
    x = np.array([[limits.min, limits.max, 100], [limits.max, limits.max - 1, 1]], dtype)

    def program(x):
        activations = ("sigmoid", "log_sigmoid", "softplus", "softsign", "hard_sigmoid", "silu")
        rows = ("mish", "erf", "softmax", "log_softmax", "logsumexp", "mean", "var")
        found = [getattr(TENSORS, name)(x) for name in (*activations, *rows)]
        found += [hg.l2_normalize(x), hg.avg_pool(x[..., None], 3, padding="SAME")]
        return [*found, hg.sigmoid_cross_entropy(x, 1.0), hg.softmax_cross_entropy(x, x > 99)]

    expected = program(x.astype(float))
    for found in (program(x), hg.function(program)(x)):
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.dtype == "float64"
            np.testing.assert_allclose(ours.value, theirs.value, rtol=1e-9, atol=1e-12)


SPECIAL = np.asarray([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, -2.0, 0.5])
TIES = np.asarray([1.0, 1.0, 2.0, 2.0, 1.0, 0.0, -0.0, 0.0])
PADDED = "whether an infinity is multiplied with the zeros beside an array"
PECULIAR = {
    "astype_integer": "what NaN is as an integer is the processor's choice",
    "betaln": "what it is at infinities, SciPy and JAX do not agree",
    "lu": "which row is a pivot, where there is NaN",
    "matrix_rank": "of NaN it raises",
    "slogdet": SINGULAR,
    "solve_triangle": SINGULAR,
    **dict.fromkeys(("conv", "conv_transpose", "convolution", "transposed_convolution"), PADDED),
    "convolution_weights": PADDED,
}
EITHER_ZERO = {"cumulative_sum", "erfinv", "i1", "i1e", "max", "maximum", "min", "minimum"}
"""Rows for which 0 and -0 are the same: which of them is returned is not said."""


@pytest.mark.parametrize("third", range(3))
@pytest.mark.parametrize("values", ["special", "ties"])
def test_nan_infinities_zeros_and_ties(values, third):
    numbers = {"special": SPECIAL, "ties": TIES}[values]
    apart = {"special": PECULIAR, "ties": {"cholesky": SINGULAR, "lu": SINGULAR}}[values]

    def change(x, number):
        return np.resize(np.roll(numbers, 3 * number), x.shape).astype(x.dtype)

    cases = [case for op, case in ROWS.items() if op not in apart][third::3]
    calls = [(case, changed(case, change)) for case in cases]
    compared(calls, gradients=True, close=1e-5, zeros=True)


def test_nan_stays_nan():
    """XLA's simplifier makes a choice of a product with a mask, if it sees one."""

    def program(x):
        def gradient(f):
            return hg.grad(lambda y: hg.sum(f(y)))(x)

        masks = [lambda y: y * (y > 0), lambda y: y * hg.astype(y > 0, y.dtype)]
        found = [mask(x) for mask in masks]
        found += [f(x) for f in (hg.max, hg.min, hg.argmax, hg.sort, hg.relu)]
        found += [hg.maximum(x, 0.0), hg.minimum(0.0, x), hg.clip(x, 0.0, 1.0)]
        broken = [hg.relu, hg.relu6, hg.max, hg.min, lambda y: hg.maximum(y, 0.0)]
        found += [gradient(lambda y, f=f: np.nan * f(y)) for f in broken]
        return found + [gradient(f) for f in broken]

    x = hg.asarray([1.0, np.nan, 3.0, -1.0, np.inf, -np.inf])
    with np.errstate(all="ignore"):
        expected = program(x)
    for ours, theirs in zip(hg.function(program)(x), expected, strict=True):
        np.testing.assert_array_equal(ours.value, theirs.value)
