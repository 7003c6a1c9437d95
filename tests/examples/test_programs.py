"""Each training program, in short: it runs in both arms, resumes exactly, and explains its leak.

What the programs reach when they run in full is in docs/results.md; `make results` measures it.
"""

import dataclasses
import json
import math

import numpy as np
import pytest
import safetensors

from headgate.checkpoint import Checkpoints
from headgate.examples.options import Name
from headgate.examples.train import load
from headgate.examples.training import METRICS, Run
from headgate.flow.watch.headgate import Watch

STEPS = 6

WITH_ABLATION = [name for name in Name if name not in ("vae",)]


class Interrupted(Exception):
    """Stands for the end of a process."""


def interrupt_after(step):
    def progress(stage, done, total, note):
        if done == step:
            raise Interrupted

    return progress


def saved(run):
    """Return what the newest checkpoint of a run holds."""
    newest = max((run.out / "checkpoints").glob("step-*"))
    with safetensors.safe_open(newest, "np") as file:
        arrays = {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118
        return newest.name, file.metadata(), arrays


@pytest.mark.parametrize("name", Name)
def test_a_resumed_run_equals_an_uninterrupted_one(name, tmp_path):
    program = load(name)
    whole = Run(STEPS, seed=3, out=tmp_path / "whole")
    expected = program.train(whole)
    with pytest.raises(Interrupted):
        program.train(Run(STEPS, 3, out=tmp_path / "parts", progress=interrupt_after(4)))
    resumed = Run(STEPS, 3, out=tmp_path / "parts", resume=True)
    result = program.train(resumed)
    assert resumed.history == whole.history
    assert (resumed.out / METRICS).read_bytes() == (whole.out / METRICS).read_bytes()
    assert saved(resumed) == saved(whole)
    for figure, value in expected.figures.items():
        if "_ms" not in figure and "seconds" not in figure:
            assert result.figures[figure] == value, figure


@pytest.mark.parametrize("name", Name)
def test_a_short_run_has_finite_figures_and_the_curves_that_it_promises(name):
    program = load(name)
    run = Run(STEPS)
    result = program.train(run)
    assert result.figures
    assert all(math.isfinite(value) for value in result.figures.values()), result.figures
    assert {*program.least, *program.most} <= result.figures.keys()
    logged = set().union(*run.history)
    assert set(program.curves) <= logged
    if result.images is not None:
        assert result.images.shape[0] == len(result.labels)
        assert result.images.shape[2:] == (8, 8)
        assert np.min(result.images) >= 0.0
        assert np.max(result.images) <= 1.0


@pytest.mark.parametrize("name", Name)
def test_why_has_no_finding_with_the_stops(name):
    with Watch() as watch:
        load(name).train(Run(STEPS))
    assert watch.findings() == []


@pytest.mark.parametrize("name", WITH_ABLATION)
def test_the_arm_without_stops_runs(name):
    program = load(name)
    assert program.without_stop
    result = program.train(Run(STEPS, stops=False))
    assert result.figures.keys() == program.train(Run(STEPS)).figures.keys()


LEAKS = {
    "gan": ("generator/*@discriminator_gradients", "fake = run.stop(generator("),
    "wgan-gp": ("generator/*@critic_gradients", "fake = run.stop(generator("),
    "dqn": ("target/*", "lower = hg.minimum("),
    "actor-critic": ("*/critic/*@pull_at_critic", "return self.actor(features), self.critic("),
}
"""What must not get gradient, and the line that lets it through without the stop."""


@pytest.mark.parametrize("name", LEAKS)
def test_why_names_the_line_of_the_leak_without_the_stop(name):
    pattern, line = LEAKS[name]
    with Watch() as watch:
        load(name).train(Run(STEPS))
    assert watch.findings(no_flow=[pattern]) == []
    with Watch() as watch:
        load(name).train(Run(STEPS, stops=False))
    found = watch.findings(no_flow=[pattern])
    assert {finding.kind for finding in found} == {"missing_stop"}
    assert all(finding.text.startswith(line) for finding in found), found


def test_why_names_the_sign_that_nothing_passes_without_the_stop():
    with Watch() as watch:
        load("ste").train(Run(STEPS, stops=False))
    found = watch.findings()
    assert {finding.kind for finding in found} == {"zero_derivative"}
    assert all("hg.sign(x)" in finding.text for finding in found)
    assert all("straight_through" in finding.cure for finding in found)


def test_the_frame_is_the_same_for_all():
    for name in Name:
        program = load(name)
        assert program.name == name
        assert program.steps > STEPS
        assert dataclasses.is_dataclass(program)


def test_checkpoints_are_in_the_folder_that_the_frame_says(tmp_path):
    run = Run(STEPS, out=tmp_path)
    load("vae").train(run)
    assert Checkpoints(tmp_path / "checkpoints").steps() == [STEPS - 1, STEPS]
    lines = (tmp_path / METRICS).read_text().splitlines()
    assert [json.loads(line) for line in lines] == run.history
