"""Every op, every way: what follows from the tables `CASES` in the `cases_*.py` beside this file.

A case says how an op is called and what NumPy says of it (`headgate.testing.OpCase`). From that
follow: the value in every dtype, derivatives of first and second order against finite differences,
forward mode against reverse, float32 against float64, JAX against NumPy (eager and under
`jax.jit`), what bad input does, and what the tape says of ops that have no gradient. What a case
cannot say (kinks, ties, empty arrays) is tested beside the table, in `test_<table>.py`.
"""

import importlib
from pathlib import Path

import numpy as np
import pytest

import headgate as hg
from headgate.core.lift import as_tensor
from headgate.core.namespace import TENSORS
from headgate.testing import DTYPES, OpCase, check_gradient

TABLES = [
    importlib.import_module(f"ops.{path.stem}")
    for path in sorted(Path(__file__).parent.glob("cases_*.py"))
]
CASES: list[OpCase] = [case for table in TABLES for case in table.CASES]
# Gates have rows too, but their gradients are meant to differ from their derivatives.
ROWS = {
    name: value
    for name, value in vars(TENSORS).items()
    if hasattr(value, "op") and value.__module__.startswith("headgate.ops.")
}

# How close two ways of computing the same thing in a dtype must be.
CLOSE = {
    "f": {"rtol": 1e-10, "atol": 1e-11},
    "c": {"rtol": 1e-10, "atol": 1e-11},
    "F": {"rtol": 2e-5, "atol": 1e-5},
}
CLOSE_GRADIENT = {"f": 1e-9, "c": 1e-9, "F": 5e-4}

# Their result's shape depends on values, so they cannot be traced; a concrete mask or index can.
VALUE_SHAPED = {"nonzero", "unique_all", "unique_counts", "unique_inverse", "unique_values"}


def label(case: OpCase) -> str:
    statics = ",".join(f"{name}={value}" for name, value in case.statics.items())
    return f"{case.op}-{statics}"[:60] if statics else case.op


def rows(cases, *more):
    """Return pytest's parameters for cases, each with what else a test needs."""
    return [pytest.param(case, *more, id=label(case)) for case in cases]


def each_dtype(cases, letters="fFc"):
    """Return pytest's parameters for each case in each of its dtypes; `make quick` runs float64."""
    return [
        pytest.param(
            case,
            letter,
            id=f"{label(case)}-{letter}",
            marks=[pytest.mark.other_dtype] if letter != "f" else [],
        )
        for case in cases
        for letter in letters
        if letter in case.dtypes
    ]


def flat(arguments):
    """Return the arguments with lists taken apart."""
    found = []
    for argument in arguments:
        found += argument if isinstance(argument, list) else [argument]
    return found


def floating(case, arguments):
    """Return the flat positions of the arguments that the case differentiates by."""
    if case.wrt is not None:
        return list(case.wrt)
    return [
        k for k, x in enumerate(flat(arguments)) if getattr(x, "dtype", np.dtype(int)).kind in "fc"
    ]


def differentiable(letter="f"):
    """Return the cases of a dtype that have a gradient and something to differentiate by."""
    return [
        case
        for case in CASES
        if case.order and letter in case.dtypes and floating(case, case.make(letter))
    ]


def function(case, arguments):
    """Return the case's op as a function of its arguments in one row."""

    def call(*values):
        remaining = list(values)
        nested = []
        for argument in arguments:
            count = len(argument) if isinstance(argument, list) else 1
            taken, remaining = remaining[:count], remaining[count:]
            nested.append(taken if isinstance(argument, list) else taken[0])
        return getattr(TENSORS, case.op)(*nested, **case.statics)

    return call


def reference(case):
    found = case.reference or getattr(np, case.op, None) or getattr(np.linalg, case.op, None)
    assert found is not None, f"NumPy has no {case.op!r}: give the case a reference"
    return found


def parts(result):
    """Return the tensors of a result, whether one or several."""
    return list(result) if isinstance(result, tuple | list) else [result]


def gradients(case, arguments, values):
    """Return the gradients of a fixed weighting of the results by the floating arguments."""
    wrt = floating(case, arguments)
    tensors = list(values)
    for k in wrt:
        tensors[k] = hg.asarray(values[k])
    with hg.GradientTape() as tape:
        for k in wrt:
            tape.watch(tensors[k])
        results = [part for part in parts(function(case, arguments)(*tensors)) if is_floating(part)]
    weights = [weighting(part) for part in results]
    return tape.gradient(results, [tensors[k] for k in wrt], output_gradients=weights)


def is_floating(tensor):
    return np.dtype(tensor.dtype).kind in "fc"


def weighting(tensor):
    weights = np.cos(np.arange(tensor.size)).reshape(tensor.shape)
    return weights.astype(tensor.dtype)


@pytest.mark.parametrize(("case", "letter"), each_dtype(CASES))
def test_value_is_numpys(case, letter):
    arguments = case.make(letter)
    copies = [np.copy(x) for x in flat(arguments) if isinstance(x, np.ndarray)]
    found = parts(getattr(TENSORS, case.op)(*arguments, **case.statics))
    expected = parts(reference(case)(*case.make(letter), **case.statics))
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected):
        assert isinstance(ours, hg.Tensor)
        assert ours.node is None
        assert ours.shape == np.shape(theirs)
        assert ours.dtype == np.asarray(theirs).dtype
        np.testing.assert_allclose(ours.value, theirs, **CLOSE[letter])
    for before, after in zip(copies, (x for x in flat(arguments) if isinstance(x, np.ndarray))):
        np.testing.assert_array_equal(before, after, err_msg="the op changed its argument")


@pytest.mark.parametrize(
    ("case", "letter"),
    [*each_dtype(differentiable("f"), "f"), *each_dtype(differentiable("c"), "c")],
)
def test_derivatives(case, letter):
    arguments = case.make(letter)
    check_gradient(
        function(case, arguments),
        *flat(arguments),
        order=case.order,
        wrt=floating(case, arguments),
    )


@pytest.mark.other_dtype
@pytest.mark.parametrize("case", rows(differentiable("F")))
def test_float32_gradient_is_close_to_float64(case):
    narrow, wide = case.make("F"), case.make("f")
    found = gradients(case, narrow, flat(narrow))
    expected = gradients(case, wide, flat(wide))
    for k, ours, theirs in zip(floating(case, narrow), found, expected):
        if theirs is None:
            assert ours is None
            continue
        assert ours.dtype == flat(narrow)[k].dtype
        scale = 1 + np.max(np.abs(theirs.value), initial=0)
        np.testing.assert_allclose(
            ours.value / scale, theirs.value / scale, atol=CLOSE_GRADIENT["F"]
        )


NARROW = {np.dtype("complex128"): np.dtype("complex64"), np.dtype("float64"): np.dtype("float32")}


def narrowed(argument):
    """Return an argument with its complex128 arrays as complex64."""
    if isinstance(argument, list):
        return [narrowed(item) for item in argument]
    wide = isinstance(argument, np.ndarray) and argument.dtype == np.complex128
    return argument.astype(np.complex64) if wide else argument


@pytest.mark.other_dtype
@pytest.mark.parametrize("case", rows(case for case in differentiable("c") if "F" in case.dtypes))
def test_complex64_is_close_to_complex128(case):
    wide = case.make("c")
    narrow = [narrowed(argument) for argument in wide]
    call = getattr(TENSORS, case.op)
    values = zip(parts(call(*narrow, **case.statics)), parts(call(*wide, **case.statics)))
    slopes = zip(gradients(case, narrow, flat(narrow)), gradients(case, wide, flat(wide)))
    for ours, theirs in [*values, *slopes]:
        if theirs is None:
            assert ours is None
            continue
        assert ours.dtype == NARROW.get(theirs.dtype, theirs.dtype)
        scale = 1 + np.max(np.abs(theirs.value), initial=0)
        np.testing.assert_allclose(
            ours.value / scale, theirs.value / scale, atol=CLOSE_GRADIENT["F"]
        )


def jax_arguments(case, letter):
    """Return a case's arguments in one row, for NumPy and as JAX arrays."""
    import jax.numpy as jnp

    values = flat(case.make(letter))
    return values, [jnp.asarray(x) if isinstance(x, np.ndarray) else x for x in values]


@pytest.mark.light
@pytest.mark.peers
@pytest.mark.parametrize("case", rows(case for case in CASES if "f" in case.dtypes))
def test_jax_gives_the_same(case):
    """The value that JAX computes, op by op."""
    import jax

    values, arrays = jax_arguments(case, "f")
    call = function(case, case.make("f"))
    results = parts(call(*arrays))
    expected = parts(call(*values))
    assert all(isinstance(ours.value, jax.Array) for ours in results) or not arrays
    compare(results, expected, "f")


TOGETHER = 50
"""So many cases are one program: JAX compiles an op anew for each dtype, if it runs op by op."""


def groups():
    """Yield pytest's parameters: cases that share a program, in a dtype other than float64."""
    for letter in "Fc":
        cases = [x for x in CASES if letter in x.dtypes and x.op not in VALUE_SHAPED]
        for start in range(0, len(cases), TOGETHER):
            yield pytest.param(cases[start : start + TOGETHER], letter, id=f"{letter}-{start}")


@pytest.mark.light
@pytest.mark.peers
@pytest.mark.other_dtype
@pytest.mark.parametrize(("cases", "letter"), [*groups()])
def test_jax_gives_the_same_in_other_dtypes(cases, letter):
    import jax

    given = [jax_arguments(case, letter) for case in cases]
    floats = [
        {k: x for k, x in enumerate(arrays) if getattr(x, "dtype", np.dtype(int)).kind in "fc"}
        for _, arrays in given
    ]

    def program(floats):
        found = []
        for case, (_, arrays), traced in zip(cases, given, floats, strict=True):
            mixed = [traced.get(k, x) for k, x in enumerate(arrays)]
            results = parts(function(case, case.make(letter))(*mixed))
            found.append([part.value for part in results])
        return found

    for case, (values, _), ours in zip(cases, given, jax.jit(program)(floats), strict=True):
        expected = parts(function(case, case.make(letter))(*values))
        compare(map(hg.asarray, ours), expected, letter, label(case))


@pytest.mark.peers
@pytest.mark.parametrize("case", rows(CASES))
def test_compiled_by_jax_gives_the_same(case):
    """Value and gradient as one program under jax.jit; its floating arguments are traced.

    XLA compiles as it does for users.
    """
    import jax

    arguments = case.make()
    values, arrays = jax_arguments(case, "f")
    traced = [k for k, x in enumerate(values) if getattr(x, "dtype", np.dtype(int)).kind in "fc"]

    def program(*chosen):
        mixed = list(arrays)
        for k, x in zip(traced, chosen):
            mixed[k] = x
        results = parts(function(case, arguments)(*mixed))
        slopes = gradients(case, arguments, mixed) if case.order else []
        return [part.value for part in results], [
            None if part is None else part.value for part in slopes
        ]

    run = program if case.op in VALUE_SHAPED else jax.jit(program)
    results, slopes = run(*(arrays[k] for k in traced))
    compare(map(hg.asarray, results), parts(function(case, arguments)(*values)), "f")
    expected = gradients(case, arguments, values) if case.order else []
    for ours, theirs in zip(slopes, expected, strict=True):
        assert (ours is None) == (theirs is None)
        if theirs is not None:
            assert isinstance(ours, jax.Array)
            scale = 1 + np.max(np.abs(theirs.value), initial=0)
            np.testing.assert_allclose(ours / scale, theirs.value / scale, atol=CLOSE_GRADIENT["f"])


def compare(results, expected, letter, what=""):
    for ours, theirs in zip(results, expected, strict=True):
        assert ours.shape == theirs.shape, what
        assert ours.dtype == theirs.dtype, what
        np.testing.assert_allclose(ours.value, theirs.value, **CLOSE[letter], err_msg=what)


BAD = [
    pytest.param(case, *bad, id=f"{case.op}-{bad[3][:30]}") for case in CASES for bad in case.bad
]


@pytest.mark.parametrize(("case", "arrays", "statics", "error", "pattern"), BAD)
def test_bad_input_is_refused_and_the_tape_stays_usable(case, arrays, statics, error, pattern):
    x = hg.asarray(3.0)
    with hg.GradientTape() as tape:
        tape.watch(x)
        with pytest.raises(error, match=pattern) as raised:
            getattr(TENSORS, case.op)(*case.make(arrays=arrays), **statics)
        assert str(raised.value).startswith(case.op) or case.op in str(raised.value)
        assert not str(raised.value).startswith(f"{case.op}: {case.op}:")
        y = x * x
    assert tape.gradient(y, x).numpy() == 6.0


@pytest.mark.parametrize("case", rows(c for c in CASES if c.order == 0 and floating(c, c.make())))
def test_op_without_gradient_is_a_cut(case):
    arguments = case.make()
    values = flat(arguments)
    sources = [hg.asarray(values[k]) for k in floating(case, arguments)]
    for k, source in zip(floating(case, arguments), sources):
        values[k] = source
    with hg.GradientTape(persistent=True) as tape:
        tape.watch(sources)
        result = parts(function(case, arguments)(*values))[0]
    assert tape.gradient(result, sources) == [None] * len(sources)
    for source in sources:
        said = str(tape.why(result, source))
        assert "nondiff_op" in said or "integer_cast" in said
        assert "test_table.py" in said


def test_every_row_has_a_case():
    missing = sorted(ROWS.keys() - {case.op for case in CASES})
    assert not missing, f"these ops have no case in tests/ops/cases_*.py: {', '.join(missing)}"


def test_every_case_has_a_row():
    unknown = sorted({case.op for case in CASES} - vars(TENSORS).keys())
    assert not unknown, f"these cases name no op: {', '.join(unknown)}"


@pytest.mark.parametrize("letter", DTYPES)
def test_cases_make_the_same_numbers_each_time(letter):
    for case in CASES:
        if letter in case.dtypes:
            for first, second in zip(flat(case.make(letter)), flat(case.make(letter))):
                np.testing.assert_array_equal(first, second)


def test_watched_arguments_give_tensors_with_nodes():
    case = OpCase("multiply", [])
    assert as_tensor(2.0).node is None
    assert case.make() == []


# -- complex numbers -------------------------------------------------------------------------------


def complexified(argument):
    """Return an argument with its floating arrays as complex ones."""
    if isinstance(argument, list):
        return [complexified(item) for item in argument]
    if getattr(argument, "dtype", np.dtype(int)).kind != "f":
        return argument
    turned = np.cos(np.arange(argument.size)).reshape(argument.shape)
    return argument + 0.4j * turned


# Vectors have a phase each, which differences do not keep; `test_linalg_factors.py` has what does.
# Slopes take real weights; those of complex matrices are in second derivatives of the values.
APART = {"eig", "eigh", "svd", "eigvalsh_slope", "svdvals_slope"}


@pytest.mark.parametrize(
    "case",
    rows(
        case
        for case in CASES
        if "c" not in case.dtypes
        and case.op not in APART
        and "dtype" not in case.statics
        and any(getattr(x, "shape", ()) and x.dtype.kind == "f" for x in flat(case.make()))
    ),
)
def test_complex_input_is_right_or_refused(case):
    """A row has a complex version with the right gradient, or says that it has none."""
    arguments = [complexified(argument) for argument in case.make()]
    call = function(case, arguments)
    refused = None
    try:
        call(*flat(arguments))
    except TypeError as error:
        refused = str(error)
    if refused is not None:
        assert refused.startswith(case.op)
        assert "complex128" in refused
        return
    wrt = floating(case, arguments)
    if case.order:
        check_gradient(call, *flat(arguments), order=1, wrt=wrt)
