"""The benchmark's programs do the same work in each text: the same results, step by step.

The benchmark checks for itself, before it times anything, that each number agrees to 1e-4 or, if it
is small, to 1e-6. Here two steps are compared array by array, relative to the norm of the array, so
that gradients of any size count.
"""

import numpy as np
import pytest

import headgate.tf

for _library in ("jax", "rich", "typer"):
    pytest.importorskip(_library)

from benchmarks import workloads  # noqa: E402
from benchmarks.peers import tape_text  # noqa: E402

pytestmark = pytest.mark.peers

STEPS = 2
CLOSE = 1e-4


def headgate_steps(workload):
    """Return the results of each step and the weights after the last."""
    tf = headgate.tf
    variables = {name: [tf.Variable(a) for a in group] for name, group in workload.weights.items()}
    step = tape_text("headgate.tf", workload.name, compiled=False)(tf, variables)
    batch = [tf.constant(array) for array in workload.batch]
    results = [[result.numpy() for result in step(*batch)] for _ in range(STEPS)]
    return results, {name: [v.numpy() for v in group] for name, group in variables.items()}


def jax_steps(workload):
    """Return the results of each step and the weights after the last."""
    import jax
    from benchmarks import jax_programs

    step = jax.jit(getattr(jax_programs, workload.name))
    weights, results = workload.weights, []
    for _ in range(STEPS):
        weights, row = step(weights, *workload.batch)
        results.append([np.asarray(result) for result in row])
    return results, jax.tree.map(np.asarray, weights)


@pytest.mark.parametrize(
    "name",
    [
        *("transformer", "mlp_adam", "gmm", "ba", "adbench_lstm"),
        *("embedding", "embedding_adam", "jacobian", "tall_jacobian"),
    ],
)
def test_headgate_and_jax_take_the_same_steps(name):
    workload = workloads.make(name)
    results, weights = headgate_steps(workload)
    expected_results, expected_weights = jax_steps(workload)
    for row, expected_row in zip(results, expected_results, strict=True):
        for result, expected in zip(row, expected_row, strict=True):
            assert result.dtype == expected.dtype == np.float32
            assert result.shape == expected.shape
            assert np.linalg.norm(result - expected) <= CLOSE * np.linalg.norm(expected)
    for group, initial_group in workload.weights.items():
        for index, initial in enumerate(initial_group):
            found, expected = weights[group][index], expected_weights[group][index]
            rounding = STEPS * np.finfo(np.float32).eps * np.linalg.norm(initial)
            allowed = CLOSE * np.linalg.norm(expected - initial) + rounding
            assert np.linalg.norm(found - expected) <= allowed, (group, index)


def test_the_mixture_is_one_of_normal_densities():
    workload = workloads.make("gmm")
    points, places = workload.batch
    alphas, means, factors = (array.astype(np.float64) for array in workload.weights["mixture"])
    count, size = points.shape
    entries = np.concatenate([np.exp(factors[:, :size]), factors[:, size:]], axis=1)
    entries = np.pad(entries, ((0, 0), (0, 1)))
    density, prior = np.zeros(count), 0.0
    for chance, mean, row in zip(np.exp(alphas) / np.exp(alphas).sum(), means, entries):
        factor = row[places]
        assert (factor == np.tril(factor)).all()
        precision = factor.T @ factor
        centred = points - mean
        distance = np.einsum("ni,ij,nj->n", centred, precision, centred)
        normaliser = np.sqrt(np.linalg.det(precision / (2 * np.pi)))
        density += chance * normaliser * np.exp(-0.5 * distance)
        prior += 0.5 * np.trace(precision)
    of_priors = workloads.mixture_constant(0, len(alphas), size)
    expected = (np.log(density).sum() + prior + of_priors) / count
    value = headgate_steps(workload)[0][0][0]
    assert value == pytest.approx(expected, rel=1e-5)
