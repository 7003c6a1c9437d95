"""Optimizers, schedules, clipping and averages agree with optax and with Keras over 50 steps.

Which of the two a case is compared with:

* optax and Keras define SGD, RMSprop, Adagrad and Lion alike, so both must agree.
* Adam's epsilon is added by optax to the root of the corrected mean square (the paper's algorithm),
  by Keras and here to the root of the plain one (the paper's "epsilon hat"). Without an epsilon
  both must agree; with one, Keras.
* AMSGrad takes the largest corrected mean square in optax, the largest plain one in Keras and here
  (as Reddi et al. 2018 do): Keras only.

The gradients depend on where the variables are, and each library goes its own way. That the
formulas are those of the papers is the matter of `tests/train/test_optim.py`.
"""

import os
import types

import numpy as np
import pytest

import headgate as hg
from headgate import optim
from headgate.optim import schedules

os.environ.setdefault("KERAS_BACKEND", "jax")
optax = pytest.importorskip("optax", reason="optax is not installed")
jax = pytest.importorskip("jax", reason="jax is not installed")
import jax.numpy as jnp  # noqa: E402

pytestmark = pytest.mark.peers

STEPS = 50
CLOSE = {"float64": 1e-10, "float32": 1e-5}


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras", reason="keras is not installed")


@pytest.fixture(params=["float64", "float32"])
def dtype(request):
    return request.param


@pytest.fixture
def keras_in(keras, dtype):
    """Keras, its learning rates in the dtype of the test."""
    before = keras.config.floatx()
    keras.config.set_floatx(dtype)
    yield keras
    keras.config.set_floatx(before)


class Problem:
    """A bowl for each variable and noise for each step."""

    def __init__(self, dtype):
        random = np.random.default_rng(7)
        shapes = [(3,), (4, 5), ()]
        self.start = [np.asarray(random.standard_normal(s), dtype) for s in shapes]
        self.centre = [np.asarray(random.standard_normal(s), dtype) for s in shapes]
        self.noise = [
            [np.asarray(random.standard_normal(s), dtype) for s in shapes] for _ in range(STEPS)
        ]

    def gradients(self, step, values):
        return [
            2 * (np.asarray(x) - c) + n for x, c, n in zip(values, self.centre, self.noise[step])
        ]


def by_headgate(optimizer, problem):
    variables = [hg.Variable(x) for x in problem.start]
    for step in range(STEPS):
        values = [v.numpy() for v in variables]
        optimizer.apply(problem.gradients(step, values), variables)
    return [v.numpy() for v in variables]


def by_optax(transform, problem):
    values = [jnp.asarray(x) for x in problem.start]
    state = transform.init(values)
    update = jax.jit(transform.update)
    for step in range(STEPS):
        gradients = [jnp.asarray(g) for g in problem.gradients(step, values)]
        updates, state = update(gradients, state, values)
        values = optax.apply_updates(values, updates)
    return values


def by_keras(keras, optimizer, problem):
    variables = [keras.Variable(x, dtype=x.dtype) for x in problem.start]
    optimizer.build(variables)
    for step in range(STEPS):
        values = [keras.ops.convert_to_numpy(v.value) for v in variables]
        gradients = map(keras.ops.convert_to_tensor, problem.gradients(step, values))
        optimizer.apply(list(gradients), variables)
    return [keras.ops.convert_to_numpy(v.value) for v in variables]


def assert_agree(ours, theirs, dtype):
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == dtype == np.asarray(b).dtype
        np.testing.assert_allclose(a, np.asarray(b), rtol=CLOSE[dtype], atol=CLOSE[dtype])


ADAM = {"eps": 1e-7}
RMS = {"decay": 0.8, "eps": 1e-5, "eps_in_sqrt": True}

WITH_OPTAX = {
    "sgd": (optim.SGD(0.1), lambda: optax.sgd(0.1)),
    "momentum": (optim.SGD(0.02, 0.9), lambda: optax.sgd(0.02, 0.9)),
    "nesterov": (optim.SGD(0.02, 0.9, True), lambda: optax.sgd(0.02, 0.9, nesterov=True)),
    "rmsprop": (optim.RMSprop(0.01, 0.8, epsilon=1e-5), lambda: optax.rmsprop(0.01, **RMS)),
    "rmsprop momentum": (
        optim.RMSprop(0.01, 0.8, 0.5, 1e-5),
        lambda: optax.rmsprop(0.01, momentum=0.5, **RMS),
    ),
    "rmsprop centered": (
        optim.RMSprop(0.01, 0.8, 0.5, 1e-5, True),
        lambda: optax.rmsprop(0.01, momentum=0.5, centered=True, **RMS),
    ),
    "adagrad": (optim.Adagrad(0.1, 0.2), lambda: optax.adagrad(0.1, 0.2, 1e-7)),
    "adam": (optim.Adam(0.05, epsilon=0.0), lambda: optax.adam(0.05, eps=0.0)),
    "adamw": (
        optim.AdamW(0.05, 0.1, epsilon=0.0),
        lambda: optax.adamw(0.05, eps=0.0, weight_decay=0.1),
    ),
    "lion": (optim.Lion(0.01), lambda: optax.lion(0.01, weight_decay=0.0)),
    "lion decay": (
        optim.Lion(0.01, 0.8, 0.95, weight_decay=0.1),
        lambda: optax.lion(0.01, 0.8, 0.95, weight_decay=0.1),
    ),
    "clipvalue": (
        optim.SGD(0.1, clipvalue=0.7),
        lambda: optax.chain(optax.clip(0.7), optax.sgd(0.1)),
    ),
    "global_clipnorm": (
        optim.SGD(0.1, 0.5, global_clipnorm=1.5),
        lambda: optax.chain(optax.clip_by_global_norm(1.5), optax.sgd(0.1, 0.5)),
    ),
    "schedule": (
        optim.Adam(schedules.CosineDecay(0.1, 40, 0.1), epsilon=0.0),
        lambda: optax.adam(optax.cosine_decay_schedule(0.1, 40, 0.1), eps=0.0),
    ),
}


@pytest.mark.parametrize("name", WITH_OPTAX)
def test_as_optax(name, dtype):
    optimizer, transform = WITH_OPTAX[name]
    optimizer = type(optimizer)(**settings(optimizer))  # the table's own never takes a step
    problem = Problem(dtype)
    assert_agree(by_headgate(optimizer, problem), by_optax(transform(), problem), dtype)


COMMON = ("learning_rate", "weight_decay", "clipnorm", "clipvalue", "global_clipnorm")
OWN = {
    optim.SGD: ("momentum", "nesterov"),
    optim.RMSprop: ("rho", "momentum", "epsilon", "centered"),
    optim.Adagrad: ("initial_accumulator_value", "epsilon"),
    optim.Adam: ("beta_1", "beta_2", "epsilon", "amsgrad"),
    optim.AdamW: ("beta_1", "beta_2", "epsilon", "amsgrad"),
    optim.Lion: ("beta_1", "beta_2"),
}


def settings(optimizer):
    return {name: getattr(optimizer, name) for name in COMMON + OWN[type(optimizer)]}


AS_KERAS = [
    optim.SGD(0.1),
    optim.SGD(0.02, 0.9),
    optim.SGD(0.02, 0.9, True),
    optim.SGD(0.1, weight_decay=0.1),
    optim.SGD(0.1, clipnorm=0.5),
    optim.SGD(0.1, clipvalue=0.5),
    optim.RMSprop(0.01),
    optim.RMSprop(0.01, 0.8, 0.5, 1e-5),
    optim.RMSprop(0.01, 0.8, 0.5, 1e-5, True, global_clipnorm=2.0),
    optim.Adagrad(0.1),
    optim.Adam(0.05),
    optim.Adam(0.05, amsgrad=True),
    optim.Adam(0.05, 0.8, 0.9, 1e-3, clipnorm=0.5, weight_decay=0.05),
    optim.AdamW(0.05),
    optim.AdamW(0.05, 0.1, amsgrad=True),
    optim.Lion(0.01),
    optim.Lion(0.01, 0.8, 0.95, weight_decay=0.1),
]


@pytest.mark.parametrize("number", range(len(AS_KERAS)))
def test_as_keras(number, dtype, keras_in):
    options = settings(AS_KERAS[number])
    kind = type(AS_KERAS[number]).__name__
    problem = Problem(dtype)
    theirs = by_keras(keras_in, getattr(keras_in.optimizers, kind)(**options), problem)
    assert_agree(by_headgate(getattr(optim, kind)(**options), problem), theirs, dtype)


@pytest.mark.parametrize("dtype", ["float64"])
def test_variables_excluded_from_decay_as_keras(dtype, keras_in):
    problem = Problem(dtype)
    names = ["layer/kernel", "layer/bias", "scale"]
    theirs = keras_in.optimizers.AdamW(0.1, 0.3)
    ours = optim.AdamW(0.1, 0.3)
    their_variables = [
        keras_in.Variable(x, name=n.replace("/", "_"), dtype=dtype)
        for x, n in zip(problem.start, names)
    ]
    our_variables = [hg.Variable(x, name=n) for x, n in zip(problem.start, names)]
    for optimizer, variables in [(theirs, their_variables), (ours, our_variables)]:
        optimizer.exclude_from_weight_decay([variables[2]], ["bias", "gamma"])
        if optimizer is theirs:
            optimizer.build(variables)
        for _ in range(5):
            zeros = [np.zeros_like(x) for x in problem.start]
            optimizer.apply(zeros, variables)
    for a, b in zip(our_variables, their_variables):
        np.testing.assert_allclose(a.numpy(), keras_in.ops.convert_to_numpy(b.value), rtol=1e-12)
    assert np.all(our_variables[0].numpy() != problem.start[0])
    assert np.all(our_variables[2].numpy() == problem.start[2])


# -- schedules -------------------------------------------------------------------------------------

SCHEDULES = [
    schedules.ExponentialDecay(0.1, 7, 0.8),
    schedules.ExponentialDecay(0.1, 7, 0.8, staircase=True),
    schedules.InverseTimeDecay(0.1, 7, 0.8),
    schedules.InverseTimeDecay(0.1, 7, 0.8, staircase=True),
    schedules.PolynomialDecay(0.1, 20),
    schedules.PolynomialDecay(0.1, 20, 0.01, 2.0),
    schedules.PolynomialDecay(0.1, 20, 0.01, 0.5, cycle=True),
    schedules.PiecewiseConstantDecay([3, 10, 30], [0.5, 0.25, 0.1, 0.01]),
    schedules.CosineDecay(0.1, 40),
    schedules.CosineDecay(0.1, 40, 0.2),
    schedules.CosineDecay(0.01, 40, 0.2, warmup_target=0.1, warmup_steps=8),
    schedules.CosineDecayRestarts(0.1, 10),
    schedules.CosineDecayRestarts(0.1, 10, 1.0, 0.9, 0.1),
    schedules.CosineDecayRestarts(0.1, 5, 3.0, 0.5, 0.05),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_schedules_as_keras(schedule, keras):
    fields = {name: getattr(schedule, name) for name in schedule.__dataclass_fields__}
    theirs = getattr(keras.optimizers.schedules, type(schedule).__name__)(**fields)
    steps = [0, 1, 3, 4, 7, 8, 9, 10, 11, 20, 21, 29, 30, 31, 39, 40, 48, 69, 70, 99]
    expected = [float(theirs(step)) for step in steps]  # Keras computes in single precision
    np.testing.assert_allclose([schedule(n) for n in steps], expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("schedule", "theirs"),
    [
        (SCHEDULES[0], lambda: optax.exponential_decay(0.1, 7, 0.8)),
        (SCHEDULES[1], lambda: optax.exponential_decay(0.1, 7, 0.8, staircase=True)),
        (SCHEDULES[4], lambda: optax.linear_schedule(0.1, 0.0001, 20)),
        (SCHEDULES[5], lambda: optax.polynomial_schedule(0.1, 0.01, 2.0, 20)),
        (SCHEDULES[9], lambda: optax.cosine_decay_schedule(0.1, 40, 0.2)),
        (SCHEDULES[10], lambda: optax.warmup_cosine_decay_schedule(0.01, 0.1, 8, 48, 0.02)),
        (
            schedules.CosineDecayRestarts(0.1, 10, 1.0, 0.9),
            lambda: optax.join_schedules(
                [optax.cosine_decay_schedule(0.1 * 0.9**n, 10) for n in range(10)],
                list(range(10, 100, 10)),
            ),
        ),
        (
            schedules.PiecewiseConstantDecay([2, 9], [0.5, 0.25, 0.05]),  # optax: from 3, from 10
            lambda: optax.piecewise_constant_schedule(0.5, {3: 0.5, 10: 0.2}),
        ),
        (
            schedules.LinearWarmup(schedules.ExponentialDecay(0.1, 7, 0.8), 8, 0.02),
            lambda: optax.warmup_exponential_decay_schedule(0.02, 0.1, 8, 7, 0.8),
        ),
        (schedules.Constant(0.3), lambda: optax.constant_schedule(0.3)),
    ],
    ids=lambda x: None if isinstance(x, types.FunctionType) else repr(x),
)
def test_schedules_as_optax(schedule, theirs):
    expected = jax.vmap(theirs())(jnp.arange(100.0))
    np.testing.assert_allclose(schedule(np.arange(100)), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_schedules_of_arrays_and_tracers(schedule):
    steps = np.arange(100)
    expected = [schedule(step) for step in range(100)]
    np.testing.assert_allclose(schedule(steps), expected, rtol=1e-12)
    np.testing.assert_allclose(jax.jit(schedule)(jnp.asarray(steps)), expected, rtol=1e-9)
    np.testing.assert_allclose(jax.jit(schedule)(17), expected[17], rtol=1e-6)


# -- clipping and averages -------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0.5, 100.0])
def test_clipping_as_optax(limit, dtype):
    gradients = Problem(dtype).start
    jax_gradients = [jnp.asarray(g) for g in gradients]
    clipped, norm = optim.clip_by_global_norm(gradients, limit)
    theirs, _ = optax.clip_by_global_norm(limit).update(jax_gradients, optax.EmptyState())
    np.testing.assert_allclose(norm.numpy(), optax.tree.norm(jax_gradients), rtol=CLOSE[dtype])
    assert_agree([g.numpy() for g in clipped], theirs, dtype)
    by_value = [optim.clip_by_value(g, -limit, limit).numpy() for g in gradients]
    theirs, _ = optax.clip(limit).update(jax_gradients, optax.EmptyState())
    assert_agree(by_value, theirs, dtype)
    by_norm = [optim.clip_by_norm(g, limit).numpy() for g in gradients]
    theirs = [optax.projections.projection_l2_ball(g, limit) for g in jax_gradients]
    assert_agree(by_norm, theirs, dtype)


def test_averages_as_optax(dtype):
    problem = Problem(dtype)
    variables = [hg.Variable(x) for x in problem.start]
    average = optim.ExponentialMovingAverage(variables, 0.9)
    theirs = [jnp.asarray(x) for x in problem.start]
    targets = [hg.Variable(x) for x in problem.start]
    for step in range(STEPS):
        values = problem.noise[step]
        for variable, value in zip(variables, values):
            variable.assign(value)
        average.update()
        optim.soft_update(targets, variables, 0.1)
        theirs = optax.incremental_update([jnp.asarray(x) for x in values], theirs, 0.1)
    with average.applied():
        assert_agree([v.numpy() for v in variables], theirs, dtype)
    assert_agree([v.numpy() for v in targets], theirs, dtype)
