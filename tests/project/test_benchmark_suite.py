"""The benchmark's own parts: groups of peers, ratios, tables, the plot, what is read of memory."""

import sys

import numpy as np
import pytest

for _library in ("rich", "typer"):
    pytest.importorskip(_library)

from benchmarks import plot, report, worker, workloads  # noqa: E402
from benchmarks.__main__ import chosen_peers  # noqa: E402
from benchmarks.compare import Comparison, Row  # noqa: E402
from benchmarks.peak import RESET, Peak  # noqa: E402
from benchmarks.peers import GROUPS, PEERS  # noqa: E402

MACHINE = {"processor": "p", "cores": 2, "load": 0.0, "system": "s", "python": "3"}


def comparison(*rows):
    return Comparison(MACHINE, {}, {"rounds": 1, "seconds": 1, "threads": 2}, list(rows))


def table(made, beginning):
    return next(grid for grid in report.grids(made) if grid.title.startswith(beginning))


def test_every_peer_is_in_one_group():
    assert sorted(GROUPS["compiled"] + GROUPS["eager"]) == sorted(PEERS)


def test_a_group_stands_for_its_peers():
    assert chosen_peers("compiled") == GROUPS["compiled"]
    assert chosen_peers("jax-jit,compiled").count("jax-jit") == 1
    assert chosen_peers("") == list(PEERS)


def test_ours_is_held_against_the_best_compiled_peer():
    # The eager peer is faster than all and does not count.
    times = {"headgate-function": [2.0, 9.0, 1.0], "jax-jit": [4.0], "torch-compile": [5.0]}
    row = Row("w", "W", rounds=times | {"headgate": [8.0], "torch": [1.0]})
    steps = table(comparison(row), "One step, compiled")
    assert steps.headings[-1] == "ours/best peer"
    assert steps.rows == [["2.00 s", "4.00 s (2.00×)", "5.00 s (2.50×)", "0.50"]]
    assert table(comparison(row), "One step, eager").rows == [["8.00 s (4.00×)", "1.00 s (0.50×)"]]


def test_without_the_compiled_one_headgate_eager_is_the_measure():
    row = Row("w", "W", rounds={"headgate": [2e-3], "jax-jit": [1e-3]})
    assert table(comparison(row), "One step, compiled").rows == [["1.00 ms (0.50×)", "2.00"]]


def test_first_steps_are_compared_with_jax():
    first = {"headgate-function": 1.5, "jax-jit": 1.0}
    row = Row("w", "W", rounds={peer: [1.0] for peer in first}, first_step=first)
    assert table(comparison(row), "First step").rows == [["1.50 s", "1.00 s", "1.50"]]


def test_a_peer_that_was_refused_is_shown_without_figures():
    row = Row("w", "W", rounds={"headgate": [1.0]}, refused={"torch-compile": "no C++ compiler"})
    made = comparison(row)
    assert table(made, "One step, compiled").rows == [["not timed"]]
    assert not made.complete
    assert "not timed" in report.markdown(made)


def test_a_plot_is_refused_before_anything_is_timed(tmp_path):
    with pytest.raises(ValueError, match=r"'p\.doc' should end with one of \.png, \.svg"):
        plot.check(tmp_path / "p.doc", ["headgate"])


def test_nothing_in_the_plot_leaves_its_panel(tmp_path):
    pytest.importorskip("matplotlib")
    spread = {peer: [10.0 ** (index - 3)] for index, peer in enumerate(PEERS)}
    rows = [Row(name, name, rounds=spread) for name in ("one", "two", "three", "four")]
    figure = plot.figure_of(comparison(*rows))
    figure.savefig(tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 0
    shown = [panel for panel in figure.axes if panel.get_visible()]
    assert [panel.get_title(loc="left") for panel in shown] == ["one", "two", "three", "four"]
    for panel in shown:
        edge = panel.get_window_extent().x1
        words = [text for text in panel.texts if text.get_text()]
        assert len(words) == len(PEERS)
        assert all(text.get_window_extent().x1 <= edge for text in words)


def test_a_worker_answers_for_its_first_steps():
    desk = worker.Desk(PEERS["headgate"], 1)
    beginning = desk.prepare(workloads.make("scalar"))
    assert beginning.results == [10.0, 7.0] * worker.CHECKED_STEPS
    assert beginning.seconds > 0
    assert desk.measure(0.0) > 0


def test_weights_that_arrive_elsewhere_are_a_disagreement():
    workload = workloads.make("scalar")
    moved = worker.Beginning([1.0], {"x": [np.float32(3)], "y": [np.float32(3)]}, 0.1)
    other = worker.Beginning([1.0], {"x": [np.float32(4)], "y": [np.float32(3)]}, 0.1)
    assert worker.disagreement(workload, moved, moved) is None
    assert worker.disagreement(workload, moved, other).startswith("the update of x[0]")


@pytest.mark.skipif(sys.platform != "linux" or not RESET.exists(), reason="reads Linux's counts")
def test_memory_is_what_is_kept_and_the_highest_rise():
    peak = Peak()
    kept = np.ones(5_000_000)  # 40 MB
    gone_before = np.ones(20_000_000)  # 160 MB, which only the preparation needs
    del gone_before
    peak.begin()
    brief = np.ones(10_000_000)  # 80 MB
    del brief
    assert 115e6 < peak.read() < 140e6
    assert kept[-1] == 1
