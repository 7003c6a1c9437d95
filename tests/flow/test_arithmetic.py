"""Whether what a function hands over was computed from what left for the host, by its text."""

import sys

import numpy as np
import pytest

from headgate.flow.watch.arithmetic import computed_from

LEFT = np.array([1.0, 2.0])
OTHER = np.array([3.0, 4.0])


def hand_over(content):
    """Stand for a framework's function: return which of two values the caller's argument has."""
    return computed_from(sys._getframe(1), [(LEFT, -1), (OTHER, -1)])


def opaque(x):
    return x + 0.0


def twice(x):
    state = x
    state = state * 2.0
    return hand_over(state)


def in_a_loop(x):
    total = 0.0
    for each in x:
        total = total + each
    return hand_over(total)


def swapped(x, y):
    x, y = y, x
    return hand_over(x)


def by_a_program(x):
    y = opaque(x)
    return hand_over(y)


def by_comparison(x):
    return hand_over(x > 1.0)


def by_index(x, table):
    return hand_over(table[x])


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (lambda: hand_over(LEFT), {0}),
        (lambda: hand_over(LEFT @ np.eye(2) + OTHER), {0, 1}),
        (lambda: hand_over(np.mean(-LEFT)), {0}),
        (lambda: hand_over(LEFT.sum()), {0}),
        (lambda: hand_over([float(x) for x in LEFT]), {0}),
        (lambda: hand_over(LEFT if len(LEFT) else 0.0), {0}),
        (lambda: twice(LEFT), {0}),
        (lambda: in_a_loop(LEFT), {0}),
        (lambda: hand_over(opaque(LEFT)), set()),
        (lambda: by_a_program(LEFT), set()),
        (lambda: by_comparison(LEFT), set()),
        (lambda: by_index(1, LEFT), {0}),
        (lambda: hand_over(1.0), set()),
    ],
)
def test_what_is_handed_over_is_followed_by_arithmetic_alone(found, expected):
    assert found() == expected


def test_names_that_are_exchanged_may_be_either():
    assert swapped(LEFT, OTHER) <= {0, 1}


def test_a_function_without_its_text_tells_nothing():
    scope = {"hand_over": hand_over, "x": LEFT}
    exec("found = hand_over(x * 2.0)", scope)
    assert scope["found"] == set()
