"""`headgate train`: what it prints, writes and refuses."""

import json
import os
import subprocess
import sys

import pytest
from PIL import Image
from typer.testing import CliRunner

from headgate.cli import app
from headgate.examples.training import METRICS, Lines, read_metrics


@pytest.fixture
def train(tmp_path):
    def run(*options):
        terminal = {"COLUMNS": "200"}
        return CliRunner().invoke(app, ["train", *map(str, options)], env=terminal)

    return run


def width_of(path):
    with Image.open(path) as image:
        return image.size[0]


def test_a_run_writes_its_folder(train, tmp_path):
    done = train("ste", "--steps", 4, "--seed", 7, "--out", tmp_path / "ste")
    assert done.exit_code == 0, done.output
    assert "accuracy" in done.output
    assert "≥ 0.9" in done.output
    out = tmp_path / "ste"
    figures = json.loads((out / "figures.json").read_text())
    assert (figures["seed"], figures["steps"], figures["stops"]) == (7, 4, True)
    assert read_metrics(out / METRICS, 4)[-1]["step"] == 4
    assert width_of(out / "curves.png") > 400
    assert list((out / "checkpoints").iterdir())


def test_an_ablation_runs_both_arms_and_draws_them_together(train, tmp_path):
    done = train("ste", "--steps", 4, "--ablate", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert "without" in done.output
    stops = [
        json.loads((tmp_path / arm / "figures.json").read_text())["stops"]
        for arm in ("with-stop", "without-stop")
    ]
    assert stops == [True, False]
    alone = train("ste", "--steps", 4, "--no-stop", "--out", tmp_path / "alone")
    assert alone.exit_code == 0
    both = [tmp_path / arm / METRICS for arm in ("without-stop", "alone")]
    assert both[0].read_bytes() == both[1].read_bytes()
    assert width_of(tmp_path / "ablation.png") > 400


def test_a_run_is_resumed_with_its_own_settings(train, tmp_path):
    assert train("ste", "--steps", 4, "--seed", 5, "--out", tmp_path).exit_code == 0
    done = train("ste", "--steps", 6, "--resume", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert "6 steps, seed 5" in done.output
    assert [entry["step"] for entry in read_metrics(tmp_path / METRICS, 6)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("before", "options", "words"),
    [
        ([], ["ste", "--resume"], "holds no run to go on with: leave out --resume"),
        (["ste"], ["ste"], "add --resume to go on with it, or name another folder with --out"),
        (["ste"], ["ste", "--resume", "--seed", "9"], "has seed 0, not 9"),
        (["ste"], ["ste", "--resume", "--no-stop"], "has stops True, not False"),
        (["ste"], ["maml", "--resume"], "has program ste, not maml"),
        ([], ["vae", "--no-stop"], "vae has no stop that could be left out"),
        ([], ["vae", "--ablate"], "vae has no stop that could be left out"),
        ([], ["ste", "--ablate", "--no-stop"], "--ablate runs both arms: leave out --no-stop"),
    ],
)
def test_what_does_not_fit_together_is_refused_and_changes_nothing(
    train, tmp_path, before, options, words
):
    if before:
        assert train(*before, "--steps", 2, "--out", tmp_path).exit_code == 0
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    done = train(*options, "--steps", 2, "--out", tmp_path)
    assert done.exit_code == 2
    assert words in done.output
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == files


def test_a_folder_that_cannot_be_written_is_named(train, tmp_path):
    (tmp_path / "file").write_text("")
    done = train("ste", "--steps", 2, "--out", tmp_path / "file" / "below")
    assert done.exit_code == 2
    assert "cannot write into" in done.output


def test_an_unknown_program_is_refused_with_the_known_ones(train):
    done = train("gam")
    assert done.exit_code == 2
    assert "wgan-gp" in done.output


def test_metrics_of_a_process_that_ended_in_a_line_are_read_up_to_it(tmp_path):
    path = tmp_path / METRICS
    with Lines(path, [{"step": 1, "loss": 2.0}]) as lines:
        lines.write({"step": 2, "loss": 1.0})
    with path.open("a") as file:
        file.write('{"step": 3, "lo')
    assert read_metrics(path, 9) == [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}]
    assert read_metrics(path, 1) == [{"step": 1, "loss": 2.0}]
    assert read_metrics(tmp_path / "nowhere", 9) == []


def test_tensorboard_reads_the_events(train, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert train("ste", "--steps", 3, "--out", tmp_path).exit_code == 0
    events = EventAccumulator(str(tmp_path)).Reload()
    expected = [entry["loss"] for entry in read_metrics(tmp_path / METRICS, 3)]
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3]
    assert [event.value for event in events.Scalars("loss")] == pytest.approx(expected)


def why(*options, cwd):
    command = [sys.executable, "-m", "headgate.cli", "why", *options]
    environment = {**os.environ, "COLUMNS": "300"}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)


def test_why_looks_on_at_a_program(tmp_path):
    module = ["-m", "headgate.examples.ste", "--steps", "3", "--out"]
    done = why(*module, str(tmp_path / "stop"), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    done = why(*module, str(tmp_path / "none"), "--no-stop", cwd=tmp_path)
    assert done.returncode == 1
    assert "ste.py:" in done.stdout
