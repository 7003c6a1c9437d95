"""A step changes no dtype: each rule, kind of rate and dtype, eagerly and in a compiled function.

What a rule reads and writes stays in the dtype of the variable, its state does too, and so does
what the program reads of the variable after the step, in the same call. Half precision is computed
in float32 and rounded once, so that eager and compiled steps agree to a rounding.
"""

import numpy as np
import pytest

import headgate as hg
from headgate import optim
from headgate.optim import schedules

ml_dtypes = pytest.importorskip("ml_dtypes")

DTYPES = [np.dtype(kind) for kind in ("e", ml_dtypes.bfloat16, "f", "d", "F", "D")]
RULES = {
    "SGD": optim.SGD,
    "SGD with momentum": lambda rate: optim.SGD(rate, momentum=np.float64(0.9), nesterov=True),
    "RMSprop": lambda rate: optim.RMSprop(rate, momentum=0.5, centered=True),
    "Adagrad": lambda rate: optim.Adagrad(rate, 0.125, epsilon=np.float64(1e-7)),
    "Adam": lambda rate: optim.Adam(rate, amsgrad=True),
    "AdamW": lambda rate: optim.AdamW(rate, weight_decay=np.float64(0.1)),
    "Lion": lambda rate: optim.Lion(rate, weight_decay=0.1),
}
RATES = {
    "Python's number": lambda: 0.125,
    "float64": lambda: np.float64(0.125),
    "array": lambda: np.array(0.125),
    "tensor": lambda: hg.asarray(0.125),
    "variable": lambda: hg.Variable(0.125),
    "schedule": lambda: schedules.ExponentialDecay(0.125, 10, 0.5),
    "function": lambda: lambda step: 0.125 / (1.0 + hg.asarray(step) * 0.5),
}
START = [1.0, -2.0, 0.5, 3.0]
SLOPES = [0.25, -0.5, 1.5, -2.0]


def made(values, dtype):
    values = np.array(values)
    if dtype.kind == "c":
        values = values + 1j * values[::-1]
    return values.astype(dtype)


def stepped(compiled, make, kinds):
    """Take two steps of a rule with rates, for variables of their dtypes; read after each."""
    optimizers = [make(RATES[kind]()) for kind in kinds]
    variables = [[hg.Variable(made(START, d)) for d in dtypes] for dtypes in kinds.values()]
    copies = [[hg.Variable(made(START, d)) for d in dtypes] for dtypes in kinds.values()]

    def step(slopes):
        read = []
        for optimizer, its, others in zip(optimizers, variables, copies, strict=True):
            optimizer.apply([slopes[str(variable.dtype)] for variable in its], its)
            read += [variable.read_value() for variable in its]
            for copy, variable in zip(others, its, strict=True):
                copy.assign(variable)
        return read

    run = hg.function(step) if compiled else step
    for _ in range(2):
        read = run({str(dtype): made(SLOPES, dtype) for dtype in DTYPES})
    return optimizers, variables, copies, read


@pytest.mark.parametrize("name", RULES)
def test_dtypes_stay(name):
    """With a schedule in all dtypes; other rates, of which most are one number, in two."""
    pytest.importorskip("jax")
    every = {kind: DTYPES if kind == "schedule" else DTYPES[1:3] for kind in RATES}
    few = {kind: every[kind] for kind in ("tensor", "variable", "schedule")}
    found = [stepped(False, RULES[name], every), stepped(False, RULES[name], few)]
    found.append(stepped(True, RULES[name], few))
    for kinds, (optimizers, variables, copies, read) in zip((every, few, few), found, strict=True):
        flat = [variable for its in variables for variable in its]
        kept = [variable for its in copies for variable in its]
        expected = [dtype for dtypes in kinds.values() for dtype in dtypes]
        assert [variable.dtype for variable in flat] == expected
        assert [tensor.dtype for tensor in read] == expected
        for variable, copy in zip(flat, kept, strict=True):
            assert not np.array_equal(variable.numpy(), made(START, variable.dtype))
            np.testing.assert_array_equal(variable.numpy(), copy.numpy())
        for optimizer, its in zip(optimizers, variables, strict=True):
            slots = optimizer.variables[1:]
            each = len(slots) // len(its)
            assert [slot.dtype for slot in slots] == [v.dtype for v in its for _ in range(each)]
    for eager, compiled in zip(found[1][1], found[2][1], strict=True):
        for a, b in zip(eager, compiled, strict=True):
            a, b = a.numpy(), b.numpy()
            close = {2: 1e-2, 4: 1e-5, 8: 1e-5, 16: 1e-12}[a.dtype.itemsize]
            wide = np.complex128 if a.dtype.kind == "c" else np.float64
            np.testing.assert_allclose(a.astype(wide), b.astype(wide), rtol=close)


@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
@pytest.mark.parametrize("name", RULES)
def test_half_precision_is_single_precision_rounded_once(name, dtype):
    """The rule runs in float32 on what the variable and its state hold; large arrays in parts."""
    rng = np.random.default_rng(0)
    for shape in ((5,), (90_000,)):
        start, g = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
        narrow, wide = hg.Variable(start), hg.Variable(start.astype(np.float32))
        one, other = RULES[name](0.125), RULES[name](0.125)
        one.apply([g], [narrow])
        other.apply([g.astype(np.float32)], [wide])
        assert narrow.dtype == dtype
        pairs = zip(one.variables[1:], other.variables[1:], strict=True)
        for a, b in [(narrow, wide), *pairs]:
            np.testing.assert_array_equal(a.numpy(), b.numpy().astype(dtype))


# -- complex variables -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", RULES)
def test_complex_variables_go_down_in_both_parts(name):
    goal = np.array([1.0 + 2.0j, -3.0 - 0.5j])
    w = hg.Variable(np.zeros(2, complex))
    optimizer = RULES[name](0.05)
    optimizer.weight_decay = 0.0
    for _ in range(300):
        with hg.GradientTape() as tape:
            difference = w - goal
            loss = hg.sum(hg.real(difference * hg.conj(difference)))
        optimizer.apply([tape.gradient(loss, w)], [w])
    close = 0.6 if name == "Adagrad" else 0.1
    assert np.all(np.abs(w.numpy() - goal) < close * np.abs(goal)), w.numpy()


@pytest.mark.parametrize("name", ["RMSprop", "Adagrad", "Adam"])
def test_a_turn_of_the_plane_turns_the_step(name):
    """The square of a complex gradient is that of its size: no direction is another one's equal."""
    turn = np.exp(0.7j)
    steps = []
    for factor in (1.0, turn):
        v = hg.Variable(np.zeros(3, complex))
        optimizer = RULES[name](0.1)
        for g in ([1.0 + 2.0j, -3.0j, 0.5], [0.2j, 1.0, 1.0 - 1.0j]):
            optimizer.apply([factor * np.array(g)], [v])
        steps.append(v.numpy())
    np.testing.assert_allclose(steps[1], turn * steps[0], rtol=1e-12)


def test_adam_as_its_formula_for_complex_numbers():
    g = np.array([3.0 + 4.0j])
    v = hg.Variable(np.zeros(1, complex))
    optim.Adam(0.1, epsilon=0.0).apply([g], [v])
    np.testing.assert_allclose(v.numpy(), -0.1 * g / 5.0, rtol=1e-12)
    lion = hg.Variable(np.zeros(1, complex))
    optim.Lion(0.1).apply([g], [lion])
    np.testing.assert_allclose(lion.numpy(), -0.1 * g / 5.0, rtol=1e-12)


def test_complex_gradients_are_clipped_by_their_size():
    x = np.array([3.0 + 4.0j, 0.0, -12.0j])
    clipped = optim.clip_by_norm(x, 1.0)
    np.testing.assert_allclose(clipped.numpy(), x / 13.0)
    (again, _), norm = optim.clip_by_global_norm([x, np.zeros(2)], 1.0)
    np.testing.assert_allclose(again.numpy(), x / 13.0)
    assert norm.dtype == "float64"
    assert norm.numpy() == 13.0
    assert optim.clip_by_norm(x.astype("F"), 1.0).dtype == "complex64"
    with pytest.raises(
        TypeError, match=r"clip_by_value: complex numbers have no order.*128 \(3,\)"
    ):
        optim.clip_by_value(x, -1.0, 1.0)
    v = hg.Variable(np.zeros(3, complex), name="v")
    with pytest.raises(TypeError, match=r"SGD\(clipvalue=1.0\): complex numbers have no order"):
        optim.SGD(0.1, clipvalue=1.0).apply([x], [v])
    assert not v.numpy().any()
    for options in ({"clipnorm": 1.0}, {"global_clipnorm": 1.0}):
        v = hg.Variable(np.zeros(3, complex))
        optim.SGD(1.0, **options).apply([x], [v])
        np.testing.assert_allclose(v.numpy(), -x / 13.0)


# -- half precision beside the rules ---------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
def test_norms_and_averages_of_half_precision(dtype):
    x = np.array([300.0, -400.0], dtype)  # its square overflows in float16
    clipped = optim.clip_by_norm(x, 5.0)
    assert clipped.dtype == dtype
    np.testing.assert_array_equal(clipped.numpy().astype("f"), [3.0, -4.0])
    (again,), norm = optim.clip_by_global_norm([x], 5.0)
    assert again.dtype == dtype
    assert (norm.numpy(), norm.dtype) == (500.0, "float32")
    v = hg.Variable(np.zeros(2, dtype))
    optim.SGD(1.0, global_clipnorm=5.0).apply([x], [v])
    np.testing.assert_array_equal(v.numpy().astype("f"), [-3.0, 4.0])

    w, target = hg.Variable(x), hg.Variable(np.zeros(2, dtype))
    average = optim.ExponentialMovingAverage([w], decay=0.5)
    w.assign(np.zeros(2, dtype))
    average.update()
    optim.soft_update([target], [average.averages[0]], np.float64(0.5))
    assert (average.averages[0].dtype, target.dtype) == (dtype, dtype)
    np.testing.assert_array_equal(target.numpy().astype("f"), [75.0, -100.0])


def test_averages_of_complex_variables():
    w = hg.Variable(np.array([2.0 + 4.0j], "F"))
    average = optim.ExponentialMovingAverage([w], decay=0.75)
    w.assign(np.array([2.0j], "F"))
    average.update()
    np.testing.assert_allclose(average.averages[0].numpy(), [1.5 + 3.5j])
    assert average.averages[0].dtype == "complex64"
