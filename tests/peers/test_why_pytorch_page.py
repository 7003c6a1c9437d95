"""The page on PyTorch says what `headgate why` prints, and its cures are cures.

A section of the page has a script, the report on it, and the lines to change (`flow.why_page`).
"""

import pytest

from flow.why_page import Page, checks_of
from headgate.flow.kinds import FACTOR
from headgate.flow.words.torch import CURES

pytestmark = pytest.mark.torch

PAGE = Page("why-pytorch.md")
globals().update(checks_of(PAGE))

WORDS = " ".join(CURES.values())
FINITE = {
    "torch.log(x.clamp(min=1e-7))": 0.0,
    "torch.sqrt(x + 1e-12)": 0.0,
    "torch.where(x > 0, torch.sqrt(torch.where(x > 0, x, 1.0)), 0.0)": 0.0,
    "torch.where(y != 0, x / torch.where(y != 0, y, 1.0), 0.0)": 0.0,
    "torch.sqrt(x.var(correction=0) + 1e-6)": 1.0,
    "x.clamp(-1 + 1e-6, 1 - 1e-6)": 1.0,
}
FLOWS = {
    "x + (torch.round(x) - x).detach()",
    "soft + (hard - soft).detach()",
    "z + (q - z).detach()",
    "torch.sigmoid(scale * difference)",
    "low + (high - low) * torch.sigmoid(x)",
    "F.gumbel_softmax(logits, hard=True)",
}


def _gradient(code, at):
    """Return the gradient of what a cure says, at a value that all of its names have."""
    import torch

    x = torch.full((2,), at, requires_grad=True)
    names = ("x", "y", "soft", "z", "difference", "logits")
    hard = {name: torch.round(x.detach()) for name in ("hard", "q")}
    known = {"torch": torch, "F": torch.nn.functional, "scale": 2.0, "low": -1.0, "high": 1.0}
    result = eval(code, {**known, **hard, **dict.fromkeys(names, x)})
    (result * torch.arange(1.0, 3.0)).sum().backward()
    return x.grad


@pytest.mark.parametrize("code", FINITE)
def test_a_cure_of_nan_is_one(code):
    assert code in WORDS
    assert _gradient(code, FINITE[code]).isfinite().all()


@pytest.mark.parametrize("code", sorted(FLOWS))
def test_a_cure_of_a_cut_lets_gradient_through(code):
    assert code in WORDS
    assert _gradient(code, 0.3).all()


def test_the_ops_that_have_a_cure_are_those_of_pytorch():
    import torch

    from headgate.flow.watch.torch.ops import _OPS

    ops = {op for kind, op in CURES if kind in ("nondiff_op", "nonfinite_value")} - {"", FACTOR}
    known = {*dir(torch), *dir(torch.Tensor), *dir(torch.nn.functional), *_OPS.values()}
    assert ops <= known | {f"linalg_{name}" for name in dir(torch.linalg)}
