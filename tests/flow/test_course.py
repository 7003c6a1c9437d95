"""How a gradient went over the passes of a line, and when it counts as lost."""

import itertools

import pytest

from headgate.flow.course import coverage, looks_at, losses, lost
from headgate.flow.trace import Course


def course(text, source=0, place=0, looked=0):
    """Return a course with a letter for each pass: S some, N none, Z zero."""
    words = {"S": "some", "N": "none", "Z": "zero"}
    runs = []
    for step, letter in enumerate(text):
        if not runs or runs[-1][1] != words[letter]:
            runs.append((step, words[letter]))
    return Course(source, place, tuple(runs), len(text), looked)


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("S" * 30 + "N" * 30, 30),
        ("SNN", 1),
        ("S" * 80 + "N" * 20, 80),
        ("SNS" + "N" * 10, 3),
        ("SSSZNNN", 3),
    ],
)
def test_lost(text, step):
    assert lost(course(text)) == step


@pytest.mark.parametrize(
    "text",
    [
        "SSSS",
        "NNNN",
        "NNSS",
        "SNSNSN",  # in turns
        "SNNSNNSNN",
        "S" * 100 + "NN",  # the last passes of many
        "SN",
        "SSSZZZ",  # the loss may have nothing more to say
        "S" * 30 + "Z" * 20,
    ],
)
def test_not_lost(text):
    assert lost(course(text)) is None


def test_what_another_line_still_brings_is_not_lost():
    mine = course("SSSNNNN")
    assert lost(mine, [course("SSSS", place=1)]) is None
    assert lost(mine, [course("SSNN", place=1)]) == 3


def test_zero_is_a_loss_only_beside_gradients_that_still_come():
    dead = course("S" * 20 + "Z" * 30)
    assert losses([dead]) == {}
    assert losses([dead, course("S" * 50, source=1)]) == {0: (dead, 20)}


def test_looking_is_spread_over_the_run():
    looked = [step for step in range(1000) if looks_at(step)]
    assert looked[:16] == list(range(16))
    gaps = [after - before for before, after in itertools.pairwise(looked)]
    assert gaps == sorted(gaps)
    assert all(8 * gap <= step for gap, step in zip(gaps, looked) if gap > 1)


def test_coverage_counts_the_passes_of_each_line_once():
    courses = [
        course("S" * 60, looked=20),
        course("S" * 60, source=1, looked=20),
        course("SS", place=1, looked=2),
    ]
    assert coverage(courses) == (22, 62)
