"""Faults at places drawn at random, for a few seconds; `make reliability` takes many more."""

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


@pytest.mark.parametrize("mode", ["memory", "lines"])
@pytest.mark.parametrize("name", faults.VALUES)
def test_values_are_whole_whatever_ends_a_step(name, mode):
    """Where memory runs out, and where an error comes at the beginning of any line."""
    if name in JAX:
        pytest.importorskip("jax")
    with faults.quiet():
        ((_, report),) = faults.run([name], 15, len(name), seconds=1.0, mode=mode)
    assert report.places > 100
    assert report.interrupted
    assert report.wrong == []


@pytest.mark.parametrize("mode", faults.MODES)
def test_a_fault_that_is_there_is_found(mode):
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
            ((_, report),) = faults.run(["torn"], count=60, seed=0, mode=mode)
    finally:
        del faults.SCENARIOS["torn"]
    assert any("both is half done" in line for line in report.wrong)
