"""Statements without effect: gates whose result is dropped, and freezes that do something else."""

import pytest

from flow.traces import Program
from headgate.flow.statements import statements, taken_beside
from headgate.flow.trace import Freeze


def said(trace, **options):
    return [(found.parameter, found.kind, found.line) for found in statements(trace, **options)]


@pytest.fixture
def program():
    return Program()


def stop(program, value, dropped):
    result = program.op("stop_gradient", value, line=14, kind="stop_gradient")
    if dropped:
        program.trace.dropped.add(len(program.trace.events) - 1)
    return result


@pytest.mark.parametrize("dropped", [True, False])
def test_a_stop_whose_result_is_thrown_away(program, dropped):
    w = program.source("w", line=1)
    for _ in range(2):
        goal = program.op("matmul", program.read(w, 13), line=13)
        stop(program, goal, dropped)
        program.op("sum", goal, line=15)
    assert said(program.trace) == ([("w", "dropped_gate", 14)] if dropped else [])


def test_a_stop_is_thrown_away_of_what_nobody_uses_otherwise(program):
    w = program.source("w", line=1)
    stop(program, program.op("matmul", program.read(w, 13), line=13), dropped=True)
    assert said(program.trace) == []


def test_a_stop_of_what_has_no_gradient_stops_nothing(program):
    stop(program, program.value(), dropped=True)
    assert said(program.trace) == []


def test_a_stop_of_what_is_stopped_already(program):
    w = program.source("w", line=1)
    stop(program, stop(program, program.read(w, 13), dropped=False), dropped=True)
    assert said(program.trace) == []


def test_other_ops_may_be_called_for_nothing(program):
    w = program.source("w", line=1)
    program.op("matmul", program.read(w, 13), line=13)
    program.trace.dropped.add(len(program.trace.events) - 1)
    assert said(program.trace) == []


@pytest.mark.parametrize(
    ("pattern", "took", "more"),
    [
        ("block_1*", ("block_1/a", "block_10/a", "block_1_old/a"), ["block_10/a"]),
        ("block_1*/kernel", ("block_1/kernel", "block_12/kernel"), ["block_12/kernel"]),
        ("block_1*", ("block_1/a",), []),
        ("block_1*", ("block_10/a", "block_11/a"), []),  # all of these are meant
        ("block_1/*", ("block_1/a",), []),
        ("block_*", ("block_1/a", "block_10/a"), []),
        ("[ab]_1*", ("a_1/x", "b_11/x"), ["b_11/x"]),
    ],
)
def test_what_a_pattern_takes_beside_what_it_says(pattern, took, more):
    assert taken_beside(Freeze(0, pattern, took)) == more


def test_a_freeze_that_takes_too_much_or_comes_too_late(program):
    w = program.source("w", line=1)
    place = program.place(5)
    program.trace.freezes += [
        Freeze(place, "block_1*", ("block_1/a", "block_10/a")),
        Freeze(place, "w", ("w",), (w,), (w,)),
    ]
    assert said(program.trace) == [
        ("w", "freeze_too_late", 5),
        ("block_10/a", "freeze_too_much", 5),
    ]


def test_a_parameter_that_is_declared_to_flow_and_never_asked_for(program):
    w, frozen = program.source("w", line=1), program.source("base", line=2)
    program.trace.freezes.append(Freeze(program.place(5), "base", ("base",), (frozen,)))
    loss = program.op("sum", program.read(w, 10), program.read(frozen, 10), line=10)
    program.gradient("loss", loss, [w], [1.0], 20)
    assert said(program.trace, flow=["w"]) == []
    assert said(program.trace, flow=["*"]) == [("base", "frozen", 5)]
    program.trace.freezes.clear()
    assert said(program.trace, flow=["*"]) == [("base", "unlisted", 2)]
