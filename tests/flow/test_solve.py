"""The solver on traces made by hand, one for each rung of the ladder of verdicts.

A trace is written down as rows `(op, inputs, output, flows, kind)`; values are letters, and sources
are the values that no row makes.
"""

import random
import time

import pytest

from headgate.flow.solve import Flow, Reach, solve
from headgate.flow.trace import Death, Event, Gradient, Place, Source, Trace


def traced(rows, targets, norms, cotangents="", alive=None):
    """Return a trace of events, with one gradient call by the sources that `norms` names."""
    events = [
        Event(op, tuple(map(ord, inputs)), tuple(map(ord, made)), flows, 0, kind=kind)
        for op, inputs, made, flows, kind in rows
    ]
    call = Gradient(
        0,
        tuple(map(ord, targets)),
        tuple(targets),
        tuple(range(len(norms))),
        tuple(norms.values()),
        {ord(value): 1.0 for value in cotangents},
        {place: Death(*share) for place, share in (alive or {}).items()},
    )
    sources = [Source(name, ord(name)) for name in norms]
    return Trace("none", events, [Place("program.py", 1)], sources=sources, gradients=[call])


def solved(rows, targets, norms, cotangents="", alive=None):
    return solve(traced(rows, targets, norms, cotangents, alive))


def test_connected():
    rows = [("sin", "w", "h", (True,), ""), ("sum", "h", "y", (True,), "")]
    assert solved(rows, "y", {"w": 2.0}) == [Flow(0, 0, "connected", (), (0, 1))]


def test_zero_names_the_op_at_which_the_gradient_died():
    rows = [
        ("sin", "w", "h", (True,), ""),
        ("relu", "h", "r", (True,), ""),
        ("sum", "r", "y", (True,), ""),
    ]
    (flow,) = solved(rows, "y", {"w": 0.0}, alive={(1, 0): (0, 4)})
    assert (flow.verdict, flow.zero_at) == ("zero", 1)


def test_zero_without_a_measurement():
    (flow,) = solved([("relu", "w", "y", (True,), "")], "y", {"w": 0.0})
    assert (flow.verdict, flow.zero_at) == ("zero", None)


def test_of_two_ops_that_kill_the_gradient_the_one_that_it_met_first_is_named():
    rows = [("relu", "w", "h", (True,), ""), ("clip", "h", "y", (True,), "")]
    (flow,) = solved(rows, "y", {"w": 0.0}, alive={(0, 0): (0, 4), (1, 0): (1, 4)})
    assert flow.zero_at == 1


def test_an_op_that_kills_the_gradient_of_another_argument_is_not_named():
    rows = [("sin", "w", "h", (True,), ""), ("where", "hv", "y", (True, True), "")]
    of_w, of_v = solved(rows, "y", {"w": 0.0, "v": 0.0}, alive={(1, 1): (0, 4)})
    assert (of_w.zero_at, of_v.zero_at) == (None, 1)


def test_several_cuts_come_in_order_from_the_source_on():
    rows = [
        ("stop_gradient", "w", "a", (False,), "stop_gradient"),
        ("sin", "a", "b", (False,), ""),
        ("round", "b", "c", (False,), "nondiff_op"),
        ("sum", "c", "y", (False,), ""),
    ]
    assert solved(rows, "y", {"w": None}) == [Flow(0, 0, "cut", (0, 2), (0, 1, 2, 3))]


def test_cuts_side_by_side():
    rows = [
        ("stop_gradient", "w", "a", (False,), "stop_gradient"),
        ("round", "w", "b", (False,), "nondiff_op"),
        ("multiply", "ab", "y", (False, False), ""),
    ]
    assert solved(rows, "y", {"w": None}) == [Flow(0, 0, "cut", (0, 1), (0, 1, 2))]


def test_a_cut_on_one_path_of_two():
    rows = [
        ("stop_gradient", "w", "a", (False,), "stop_gradient"),
        ("multiply", "wa", "y", (True, False), ""),
    ]
    assert solved(rows, "y", {"w": 1.0}) == [Flow(0, 0, "connected", (0,), (0, 1))]


def test_a_cut_beside_the_path_is_none_of_it():
    rows = [
        ("sin", "w", "y", (True,), ""),
        ("stop_gradient", "w", "logged", (False,), "stop_gradient"),
        ("stop_gradient", "v", "b", (False,), "stop_gradient"),
        ("add", "yb", "z", (True, False), ""),
    ]
    of_w, of_v = solved(rows, "z", {"w": 1.0, "v": None})
    assert (of_w.verdict, of_w.cuts) == ("connected", ())
    assert (of_v.verdict, of_v.cuts) == ("cut", (2,))


@pytest.mark.parametrize("rows", [[], [("sin", "w", "h", (True,), "")]])
def test_unused(rows):
    rows = [*rows, ("sin", "v", "y", (True,), "")]
    of_w, of_v = solved(rows, "y", {"w": None, "v": 1.0})
    assert of_w == Flow(0, 0, "unused", (), ())
    assert of_v.verdict == "connected"


def test_integers_lead_by_value_and_are_no_cuts_of_their_own():
    rows = [
        ("argmax", "w", "k", (False,), "nondiff_op"),
        ("one_hot", "k", "h", (False,), ""),
        ("multiply", "hv", "y", (False, True), ""),
    ]
    of_w, of_v = solved(rows, "y", {"w": None, "v": 1.0})
    assert (of_w.verdict, of_w.cuts, of_w.path) == ("cut", (0,), (0, 1, 2))
    assert (of_v.verdict, of_v.cuts) == ("connected", ())


def test_a_source_that_nobody_watches_is_cut_where_it_is_first_used():
    rows = [("sin", "x", "h", (False,), ""), ("sum", "h", "y", (False,), "")]
    assert solved(rows, "y", {"x": None}) == [Flow(0, 0, "cut", (0,), (0, 1))]


def test_a_rule_that_gives_nothing_is_known_by_the_cotangents():
    rows = [
        ("sin", "w", "h", (True,), ""),
        ("custom", "h", "r", (True,), ""),
        ("multiply", "rv", "y", (True, True), ""),
    ]
    of_w, of_v = solved(rows, "y", {"w": None, "v": 1.0}, cotangents="yrv")
    assert (of_w.verdict, of_w.cuts) == ("cut", (1,))
    assert of_v.verdict == "connected"


@pytest.mark.parametrize("norm", [1.0, 0.0])
def test_the_target_itself_as_source(norm):
    (flow,) = solved([("sin", "w", "y", (True,), "")], "y", {"y": norm})
    assert flow.verdict == ("connected" if norm else "zero")


def test_any_of_several_targets_will_do():
    rows = [("round", "w", "y", (False,), "nondiff_op"), ("sin", "w", "z", (True,), "")]
    assert solved(rows, "y", {"w": None})[0].verdict == "cut"
    assert solved(rows, "yz", {"w": 1.0})[0] == Flow(0, 0, "connected", (0,), (0, 1))


def test_each_gradient_call_is_solved_on_its_own():
    trace = traced([("sin", "w", "y", (True,), "")], "y", {"w": 1.0})
    trace.sources.append(Source("v", ord("v")))
    trace.gradients.append(Gradient(0, (ord("y"),), ("y",), (1, 0), (None, 1.0)))
    found = [(flow.gradient, flow.source, flow.verdict) for flow in solve(trace)]
    assert found == [(0, 0, "connected"), (1, 1, "unused"), (1, 0, "connected")]


def test_a_trace_without_events_or_calls():
    assert solve(Trace()) == []
    assert solved([], "y", {"w": None})[0].verdict == "unused"


def test_reach_by_value_and_by_gradient():
    rows = [("round", "w", "h", (False,), "nondiff_op"), ("add", "hw", "y", (True, True), "")]
    w, h, y = map(ord, "why")
    reach = Reach(traced(rows, "y", {"w": 1.0}))
    assert set(reach.by_value) == {w, h, y}
    first = Reach(traced(rows[:1], "h", {"w": None}))
    assert set(first.by_gradient) == {w}
    assert reach.behind([y]) == ([0, 1], {y: True, h: True, w: True})
    assert reach.behind([h]) == ([0], {h: True, w: False})


def test_a_large_trace_with_many_sources_is_solved_fast():
    rng = random.Random(0)
    sources = [Source(f"w{k}", k) for k in range(100)]
    values = list(range(100))
    events = []
    for number in range(20_000):
        taken = tuple(rng.sample(values[-300:], 2))
        kind = "stop_gradient" if rng.random() < 0.01 else ""
        events.append(Event("op", taken, (100 + number,), (not kind,) * 2, 0, kind=kind))
        values.append(100 + number)
    call = Gradient(0, (values[-1],), ("y",), tuple(range(100)), (1.0,) * 100)
    trace = Trace(events=events, places=[Place("x.py", 1)], sources=sources, gradients=[call])
    start = time.process_time()
    flows = solve(trace)
    assert time.process_time() - start < 3.0  # on a slow machine; it takes a fifth of a second
    assert len(flows) == 100
