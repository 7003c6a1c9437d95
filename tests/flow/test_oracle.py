"""Verdicts on random programs, against an oracle that knows neither masks nor traces.

The oracle perturbs one source at a time and runs the program again: where the value of a result
changes, the result depends on that source. It also compares with the gradient. A result that
depends on a source and gets no gradient from it is cut; nothing else may be said of it.
"""

import functools
from collections import Counter

import numpy as np
import pytest

import headgate as hg
from headgate.flow.solve import solve
from headgate.flow.watch.headgate import Watch

SEEDS = range(80)
PERTURBATIONS = ([0.37, -0.61], [3.1, 2.3], [-4.2, -5.7])


def paused(tape, x, y):
    with tape.stop_recording():
        return x * y


def rewrapped(tape, x, y):
    return hg.Variable(x * 1.0) * 0.5


def assigned(tape, x, y):
    cell = hg.Variable([0.0, 0.0])
    cell.assign(x * 1.0)
    return cell + hg.tanh(y)


def unwatched_state(tape, x, y):
    cell = hg.Variable([0.0, 0.0], trainable=False)
    cell.assign_add(x * 0.5)
    return cell * 1.0


STEPS = [
    lambda tape, x, y: x * 0.5 + hg.tanh(y),
    lambda tape, x, y: hg.tanh(x) * hg.tanh(y),
    lambda tape, x, y: hg.relu(x) - 0.5 * y,
    lambda tape, x, y: hg.where(x > y, x, hg.tanh(y)),
    lambda tape, x, y: hg.concat([x[:1], y[1:]]),
    lambda tape, x, y: hg.relu(-hg.abs(x) - 1.0),  # dead: the gradient is exactly zero
    lambda tape, x, y: hg.stop_gradient(x) * 0.9,
    lambda tape, x, y: hg.stop_gradient(x) + hg.tanh(y),
    lambda tape, x, y: hg.round(x) * 0.3,
    lambda tape, x, y: hg.straight_through(hg.floor(x), y),
    lambda tape, x, y: hg.astype(x > 0.1, float) + 0.5 * y,
    lambda tape, x, y: hg.astype(hg.astype(x, int), float),
    lambda tape, x, y: float(hg.sum(x)) * hg.tanh(y),
    lambda tape, x, y: hg.asarray(np.tanh((x * 1.0).numpy())),
    lambda tape, x, y: hg.top_k(x, 2)[0] * 0.7,
    lambda tape, x, y: hg.one_hot(hg.top_k(x, 1)[1], 2)[0] * 1.0,
    paused,
    rewrapped,
    assigned,
    unwatched_state,
]


def nested(tape, x, y):
    """Differentiate at a value of this program, and use that value inside as well."""
    return hg.grad(lambda z: hg.sum(z * (hg.tanh(x) + z) * y))(x)


def nested_at_one_value(tape, x, y):
    """Differentiate by one of two arguments of the same value."""
    return hg.grad(lambda a, b: hg.sum(a * hg.tanh(b) * 0.5 + a * a))(x, x) + hg.tanh(y)


def nested_twice(tape, x, y):
    return hg.hvp(lambda z: hg.sum(z**3 * hg.tanh(x)), (x,), (y * 1.0,))[0]


def pushed(tape, x, y):
    return hg.jvp(lambda z: z * hg.tanh(x) * z, (x,), (y * 1.0,))[1]


def computed_again(tape, x, y):
    return hg.recompute_grad(lambda z: z * hg.tanh(y) + hg.tanh(x) + hg.round(y))(x)


NESTED = {
    nested: lambda tape, x, y: (hg.tanh(x) + 2 * x) * y,
    nested_at_one_value: lambda tape, x, y: 0.5 * hg.tanh(x) + 2 * x + hg.tanh(y),
    nested_twice: lambda tape, x, y: 6 * x * hg.tanh(x) * y,
    pushed: lambda tape, x, y: 2 * x * hg.tanh(x) * y,
    computed_again: lambda tape, x, y: x * hg.tanh(y) + hg.tanh(x) + hg.round(y),
}
"""Derivatives taken at values of the program itself, and the same written out."""


def run(seed, moved=None, by=(0.0, 0.0), steps=STEPS):
    """Run the program of a seed; return its tape, its sources and all of its results."""
    rng = np.random.default_rng(seed)
    starts = rng.normal(size=(4, 2))
    sources = [
        hg.Variable(start + (np.asarray(by) if k == moved else 0.0), name=f"s{k}")
        for k, start in enumerate(starts)
    ]
    results = []
    with hg.GradientTape(persistent=True) as tape:
        values = [*sources, hg.ones(2)]
        for _ in range(rng.integers(3, 16)):
            step = steps[rng.integers(len(steps))]
            x, y = (values[k] for k in rng.integers(len(values), size=2))
            results.append(step(tape, x, y))
            values.append(results[-1])
    return tape, sources, results


@functools.cache
def observed(seed):
    """Return (verdict, flow, gradient, whether the value depends) for each result and source."""
    rows = []
    with Watch() as watch:
        tape, sources, results = run(seed)
        for result in results:
            gradients = tape.gradient(result, sources)
            rows += zip(tape.why(result, sources), gradients)
    flows = solve(watch.trace)
    assert len(flows) == len(rows)
    moved = [
        [[other.numpy() for other in run(seed, k, by)[2]] for by in PERTURBATIONS]
        for k in range(len(sources))
    ]
    depends = [
        any(not np.array_equal(result.numpy(), others[number]) for others in moved[k])
        for number, result in enumerate(results)
        for k in range(len(sources))
    ]
    return [(*row, flow, changed) for row, flow, changed in zip(rows, flows, depends)]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_verdict_agrees_with_the_gradient(seed):
    for verdict, gradient, _, _ in observed(seed):
        assert verdict.connected == (gradient is not None), str(verdict)
        assert (verdict.verdict == "cut") <= bool(verdict.cuts), str(verdict)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_called_unused_does_not_change_the_value(seed):
    for verdict, gradient, _, changed in observed(seed):
        if changed and gradient is None:
            assert verdict.verdict == "cut", str(verdict)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_solver_finds_the_same_in_the_trace(seed):
    for verdict, gradient, flow, changed in observed(seed):
        if gradient is not None:
            assert flow.verdict == ("connected" if np.any(gradient.numpy()) else "zero")
        else:
            assert flow.verdict == verdict.verdict, str(verdict)
            assert flow.verdict == "cut" or not changed


def test_the_programs_make_every_verdict():
    seen = Counter(flow.verdict for seed in SEEDS for _, _, flow, _ in observed(seed))
    assert min(seen[verdict] for verdict in ("connected", "zero", "cut", "unused")) >= 30
    silent = sum(
        changed and gradient is None for seed in SEEDS for _, gradient, _, changed in observed(seed)
    )
    assert silent >= 200  # values that changed though no gradient came


@pytest.mark.parametrize("seed", SEEDS)
def test_nested_derivatives_are_those_that_are_written_out(seed):
    (tape, sources, results), (plain_tape, plain_sources, plain_results) = (
        run(seed, steps=[*STEPS, *added, *added]) for added in (NESTED, NESTED.values())
    )
    for result, plain in zip(results, plain_results, strict=True):
        np.testing.assert_allclose(result.numpy(), plain.numpy(), rtol=1e-9, atol=1e-12)
        gradients = tape.gradient(result, sources)
        verdicts = tape.why(result, sources)
        for verdict, found, g in zip(
            verdicts, gradients, plain_tape.gradient(plain, plain_sources), strict=True
        ):
            assert (found is None) == (g is None) == (not verdict.connected), str(verdict)
            if g is not None:
                np.testing.assert_allclose(found.numpy(), g.numpy(), rtol=1e-9, atol=1e-9)
