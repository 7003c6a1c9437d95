"""Who called the function in which a finding's line lies, and how parameters are called there."""

import re

import numpy as np
import pytest

import headgate as hg
from core.support import line_of
from headgate.flow.judge import facts_of, judge
from headgate.flow.report import as_text, told_of
from headgate.flow.watch.headgate import Watch


def held(x):
    return hg.stop_gradient(x)


def generate(z, g):
    return held(g * z)


def generator_step(g, z):
    with hg.GradientTape() as tape:
        loss = generate(z, g)  # generates
    return tape.gradient(loss, g)


def critic_step(d, z):
    with hg.GradientTape() as tape:
        loss = held(d) * z
    return tape.gradient(loss, d)


def both_ways(watch):
    """Return the findings of a watch, and those that its trace alone gives."""
    return watch.findings(), judge(facts_of(watch.trace), watch.told())


def test_a_finding_in_a_helper_tells_who_called_it():
    g, d = hg.Variable(2.0), hg.Variable(1.0)
    with Watch() as watch:
        for z in (1.0, 2.0):
            generator_step(g, z)
            critic_step(d, z)
    for findings in both_ways(watch):
        first, second = sorted(findings, key=lambda found: len(found.called_from), reverse=True)
        assert (first.parameter, second.parameter) == ("g", "d")
        assert [place.function for place in first.called_from] == ["generate", "generator_step"]
        assert second.called_from[0].function == "critic_step"
        assert first.line == second.line
    text = as_text(watch.findings())
    said = r"\(called from generate, \S+callers.py:\d+, from generator_step, \S+:\d+\)"
    assert re.search(said, text)


def held_all(values):
    return [
        hg.stop_gradient(value)  # held
        for value in values
    ]


def test_a_comprehension_is_no_function_of_its_own():
    v = hg.Variable(1.0)

    def outer(values):
        return [held(value) for value in values]

    with Watch() as watch:
        with hg.GradientTape() as tape:
            loss = held_all([v])[0] * 1.0  # calls
        tape.gradient(loss, v)
        with hg.GradientTape() as tape:
            loss = outer([v])[0] * 1.0
        tape.gradient(loss, v)
    called = [call.outcomes for call in watch.calls]
    first, second = [next(iter(outcomes.values())).cuts[0].callers for outcomes in called]
    assert first[0].line == line_of("calls")
    assert told_of(second)[0].function == "outer"
    assert told_of(second)[1].function == "test_a_comprehension_is_no_function_of_its_own"


def test_zeros_and_births_tell_it_too():
    def dead(x):
        return hg.relu(x - 100.0)

    def broken(x):
        with np.errstate(divide="ignore"):
            return hg.log(x)

    v, w = hg.Variable(1.0), hg.Variable(0.0)
    with Watch() as watch:
        with hg.GradientTape() as tape:
            loss = dead(v)  # calls dead
        tape.gradient(loss, v)
        with hg.GradientTape() as tape:
            loss = broken(w)  # calls broken
        tape.gradient(loss, w)
    called = {found.parameter: found.called_from[0].line for found in watch.findings()}
    assert called == {"v": line_of("calls dead"), "w": line_of("calls broken")}


@pytest.mark.parametrize(
    "pattern", ["target", "variable_*", "target@*", "par*['w0']", "params['w0']"]
)
def test_declarations_match_the_names_of_the_program_and_those_of_the_variables(pattern):
    target, params = hg.Variable(1.0), {"w0": hg.Variable(2.0)}
    with Watch() as watch:
        with hg.GradientTape() as tape:
            loss = target * params["w0"]
        tape.gradient(loss, [target, params["w0"]])
    names = {found.parameter for found in watch.findings(no_flow=[pattern])}
    assert names == {
        "target": {"target"},
        "variable_*": {"target", "params['w0']"},
        "target@*": {"target"},
    }.get(pattern, {"params['w0']"})


def test_parameters_are_called_as_in_the_program():
    target, params = hg.Variable(1.0), {"w0": hg.asarray(2.0)}
    other = hg.Variable(3.0)

    def meta_loss(meta, scale):
        return hg.stop_gradient(meta["rates"]["a"]) * scale

    with Watch() as watch:
        for _ in range(2):
            with hg.GradientTape() as tape:
                tape.watch(params)
                loss = hg.stop_gradient(target * params["w0"]) * other
            tape.gradient(loss, [target, params])
            hg.grad(meta_loss)({"rates": {"a": 1.0}}, 2.0)
    for findings in both_ways(watch):
        assert {found.parameter for found in findings} == {
            "target",
            "params['w0']",
            "meta['rates']['a']",
        }
    names = {source.name for source in watch.trace.sources}
    assert names == {"target", "params['w0']", "meta['rates']['a']", "other"}
    labels = {event.label for event in watch.trace.events if event.op == "read"}
    assert labels == {"target", "other"}
    assert watch.gradients()[0]["targets"] == ["loss"]
