"""Verdicts on random PyTorch programs, against an oracle that knows neither modes nor graphs.

The oracle perturbs one source at a time and runs the program again: where the value of a result
changes, the result depends on that source. It also has the gradient. A result that depends on a
source and gets no gradient from it is cut; nothing else may be said of it.
"""

import functools
from collections import Counter

import numpy as np
import pytest

from headgate.flow.solve import solve
from headgate.flow.watch.torch.watch import Watch

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

SEEDS = range(80)
PERTURBATIONS = ([0.37, -0.61], [3.1, 2.3], [-4.2, -5.7])


def without_gradient(x, y):
    with torch.no_grad():
        return x * y


def in_inference(x, y):
    with torch.inference_mode():
        inside = x * 0.5
    return inside.clone() + torch.tanh(y)


def written(x, y):
    cell = torch.zeros(2)
    cell[:1] = x[:1]
    return cell + torch.tanh(y)


def written_through_data(x, y):
    cell = y * 1.0
    cell.data[1:] = x[1:].detach()
    return torch.tanh(cell)


def in_place(x, y):
    z = x * 0.7
    z += torch.tanh(y)
    z.mul_(0.5)
    return z


def from_the_host(x, y):
    return torch.from_numpy(np.tanh(x.detach().numpy())) + 0.5 * y


def checkpointed(x, y):
    from torch.utils.checkpoint import checkpoint

    return checkpoint(lambda a: a * torch.tanh(y) + torch.tanh(a), x, use_reentrant=False)


class Through(torch.autograd.Function):
    """Round, with the gradient of the identity."""

    @staticmethod
    def forward(ctx, x):
        return torch.round(x)

    @staticmethod
    def backward(ctx, g):
        return g


STEPS = [
    lambda x, y: x * 0.5 + torch.tanh(y),
    lambda x, y: torch.tanh(x) * torch.tanh(y),
    lambda x, y: torch.relu(x) - 0.5 * y,
    lambda x, y: torch.where(x > y, x, torch.tanh(y)),
    lambda x, y: torch.cat([x[:1], y[1:]]),
    lambda x, y: torch.relu(-x.abs() - 1.0),  # dead: the gradient is exactly zero
    lambda x, y: x.detach() * 0.9,
    lambda x, y: x.data + torch.tanh(y),
    lambda x, y: torch.round(x) * 0.3,
    lambda x, y: Through.apply(x) + y * 0.1,
    lambda x, y: (x > 0.1).double() + 0.5 * y,
    lambda x, y: x.long().double(),
    lambda x, y: x.sum().item() * torch.tanh(y),
    lambda x, y: torch.topk(x, 2)[0] * 0.7,
    lambda x, y: torch.nn.functional.one_hot(x.argmax(), 2) * 1.0,
    lambda x, y: torch.tensor([x[0].item(), y[1].item()]).double(),
    lambda x, y: torch.stack(torch.unbind(x)).flip(0) - torch.nn.functional.softplus(y),
    lambda x, y: torch.einsum("i,j->i", x, y.sigmoid()) * 0.3,
    without_gradient,
    in_inference,
    written,
    written_through_data,
    in_place,
    from_the_host,
    checkpointed,
]


def run(seed, moved=None, by=(0.0, 0.0)):
    """Run the program of a seed; return its sources and all of its results."""
    rng = np.random.default_rng(seed)
    starts = rng.normal(size=(4, 2))
    sources = [
        torch.nn.Parameter(torch.tensor(start + (np.asarray(by) if k == moved else 0.0)))
        for k, start in enumerate(starts)
    ]
    results = []
    values = [*sources, torch.ones(2, dtype=torch.float64)]
    for _ in range(rng.integers(3, 16)):
        step = STEPS[rng.integers(len(STEPS))]
        x, y = (values[k] for k in rng.integers(len(values), size=2))
        results.append(step(x, y))
        values.append(results[-1])
    return sources, results


@functools.cache
def observed(seed):
    """Return (verdict, gradient, whether the value depends) for each result and source."""
    rows, kept = [], []
    with Watch(every=1) as watch:
        sources, results = run(seed)
        for number, result in enumerate(results):
            if result.requires_grad:
                gradients = torch.autograd.grad(
                    result.sum(), sources, retain_graph=True, allow_unused=True
                )
                kept += [(number, gradient) for gradient in gradients]
    flows = solve(watch.trace)
    assert len(flows) == len(kept)
    moved = [
        [[other.detach().numpy() for other in run(seed, k, by)[1]] for by in PERTURBATIONS]
        for k in range(len(sources))
    ]
    for place, ((number, gradient), flow) in enumerate(zip(kept, flows)):
        others = moved[place % len(sources)]
        value = results[number].detach().numpy()
        changed = any(not np.array_equal(value, other[number]) for other in others)
        rows.append((flow.verdict, gradient, changed))
    return rows


@pytest.mark.parametrize("seed", SEEDS)
def test_verdicts_agree_with_perturbation(seed):
    for verdict, gradient, changed in observed(seed):
        if gradient is not None:
            assert verdict == ("connected" if gradient.any() else "zero")
        elif changed:
            assert verdict == "cut"
        else:  # it may be cut all the same, where no perturbation was large enough to show
            assert verdict in ("unused", "cut")


def test_the_programs_show_all_verdicts():
    seen = Counter(verdict for seed in SEEDS for verdict, _, _ in observed(seed))
    assert all(seen[verdict] > 20 for verdict in ("connected", "zero", "cut", "unused")), seen
