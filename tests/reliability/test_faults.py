"""Interrupts at places drawn at random, for a few seconds; `make reliability` takes many more."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import faults

JAX = {"compiled"}


@pytest.mark.parametrize("name", faults.SCENARIOS)
def test_nothing_is_lost_or_left_on(name):
    if name in JAX:
        pytest.importorskip("jax")
    with faults.quiet():
        ((_, report),) = faults.run([name], count=40, seed=len(name), seconds=3.0)
    assert report.places > 100
    assert report.interrupted
    assert report.wrong == []


def test_a_fault_that_is_there_is_found():
    """Two variables that are written one after the other are seen to be half done."""
    import headgate as hg

    def write(world):
        for variable in world:
            variable.assign(1.0)

    faults.SCENARIOS["torn"] = faults.Scenario(
        lambda: [hg.Variable(0.0), hg.Variable(0.0)],
        write,
        lambda world: {"both": [v.numpy() for v in world]},
    )
    try:
        with faults.quiet():
            ((_, report),) = faults.run(["torn"], count=60, seed=0)
    finally:
        del faults.SCENARIOS["torn"]
    assert any("both is half done" in line for line in report.wrong)
