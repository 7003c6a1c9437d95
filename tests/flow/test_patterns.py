"""Declarations that speak of some gradient calls only."""

import pytest

import headgate as hg
from headgate.flow.patterns import covers_call, covers_name, names_it, names_it_at
from headgate.flow.trace import Place
from headgate.flow.watch.headgate import Watch

CALL = Place("/home/me/gan.py", 31, "train.<locals>.critic_step")


@pytest.mark.parametrize(
    ("pattern", "name", "call"),
    [
        ("generator/*", True, True),
        ("critic/*", False, True),
        ("generator/*@critic_step", True, True),
        ("generator/*@*_step", True, True),
        ("generator/*@gan.py:31", True, True),
        ("generator/*@train", True, False),
        ("generator/*@gan.py:3", True, False),
        ("*@generator_step", True, False),
    ],
)
def test_a_pattern_fits_names_and_calls(pattern, name, call):
    assert covers_name("generator/dense/kernel", pattern) == name
    assert covers_call(CALL, pattern) == call
    assert names_it_at("generator/dense/kernel", CALL, [pattern]) == (name and call)
    assert names_it("generator/dense/kernel", [pattern]) == (name and "@" not in pattern)


def two_steps(stop):
    """Watch a generator and a critic, as in a GAN; the critic's step stops the images or not."""
    generator, critic = hg.Variable(2.0, name="generator"), hg.Variable(3.0, name="critic")

    def generator_step():
        with hg.GradientTape() as tape:
            loss = -critic * hg.sin(generator)
        return tape.gradient(loss, generator)

    def critic_step():
        with hg.GradientTape() as tape:
            images = stop(hg.sin(generator))
            loss = critic * images
        return tape.gradient(loss, critic)

    with Watch() as watch:
        generator_step()
        critic_step()
    return watch


def leaks(watch, pattern):
    return [(found.parameter, found.text) for found in watch.findings(no_flow=[pattern])]


def test_a_leak_into_one_of_two_steps_is_found_and_the_other_step_is_in_order():
    stopped, leaking = two_steps(hg.stop_gradient), two_steps(hg.positive)
    assert leaks(stopped, "generator@critic_step") == []
    assert leaks(leaking, "generator@critic_step") == [
        ("generator", "images = stop(hg.sin(generator))")
    ]


def test_without_a_call_it_is_rather_a_leak_where_nobody_asked_for_the_parameter():
    assert leaks(two_steps(hg.positive), "generator") == [
        ("generator", "images = stop(hg.sin(generator))")
    ]
    assert leaks(two_steps(hg.stop_gradient), "generator") == [
        ("generator", "loss = -critic * hg.sin(generator)")
    ]


def test_a_declaration_for_one_call_does_not_excuse_a_missing_gradient_elsewhere():
    w = hg.Variable(1.0, name="w")
    with Watch() as watch:
        with hg.GradientTape() as tape:
            loss = hg.stop_gradient(w) * 2.0
        tape.gradient(loss, w)
    assert [found.kind for found in watch.findings(no_flow=["w@elsewhere"])] == ["stop_gradient"]
    assert watch.findings(no_flow=["w"]) == []
