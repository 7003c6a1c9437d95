"""What becomes of gradients, judged on traces written by hand: found, and silent where it must."""

import pytest

from flow.traces import Program
from headgate.flow.updates import updates

MADE, ASKED, APPLIED, BETWEEN = 1, 20, 30, 25


def said(program):
    return [(found.parameter, found.kind, found.line) for found in updates(program.trace)]


class Training(Program):
    """A loss of one or more sources, and steps with what is made of their gradients."""

    def loss(self, *sources, line=10):
        reads = [self.read(source, line) for source in sources]
        return self.op("sum", *reads, line=line)

    def asked(self, *sources, loss=None, norms=None, line=ASKED, began=0):
        loss = self.loss(*sources) if loss is None else loss
        return self.gradient(
            "loss", loss, sources, norms or [1.0] * len(sources), line, began=began
        )


@pytest.fixture
def program():
    return Training()


@pytest.fixture
def pair(program):
    return program.source("a", line=1), program.source("b", line=2)


# -- gradients and their variables -----------------------------------------------------------------


def test_each_gets_its_own(program, pair):
    for _ in range(3):
        program.steps(pair, program.asked(*pair), APPLIED)
    assert said(program) == []


def test_a_gradient_that_goes_to_another_variable(program, pair):
    a, b = pair
    for _ in range(3):
        program.asked(a)
        (mine,) = program.asked(b)
        program.steps([a], [mine], APPLIED)
        program.steps([b], [mine], 40)
    assert said(program) == [("a", "wrong_variable", APPLIED)]


def test_two_gradients_in_the_wrong_order(program, pair):
    of_a, of_b = program.asked(*pair)
    program.steps(pair, [of_b, of_a], APPLIED)
    kinds = [("a", "wrong_variable", APPLIED), ("b", "wrong_variable", APPLIED)]
    assert said(program) == kinds


def test_gradients_that_are_mixed_are_everybodys(program, pair):
    both = program.op("add", *program.asked(*pair), line=BETWEEN, size=2.0)
    program.steps(pair, [both, both], APPLIED)
    assert said(program) == []


def test_a_gradient_that_nobody_followed_is_not_judged(program, pair):
    program.asked(*pair)
    program.steps(pair, [program.value(), program.value()], APPLIED)
    assert said(program) == []


def test_the_gradient_of_a_copy_goes_to_the_original(program):
    meta = program.source("meta", line=1)
    (inner,) = program.asked(meta)
    fast = program.op("subtract", program.read(meta, 12), inner, line=12)
    copy = program.source("fast", line=13)
    program.trace.sources[copy].copied = True
    program.assign(copy, fast, 13, "assign")
    (outer,) = program.asked(copy, line=21)
    program.steps([meta], [outer], APPLIED)
    assert said(program) == []


def test_an_original_of_which_nobody_asks_gets_the_gradient_of_a_worker(program, pair):
    shared, worker = pair
    program.steps([shared], program.asked(worker), APPLIED)
    assert ("a", "wrong_variable", APPLIED) not in said(program)


# -- what happens in between -----------------------------------------------------------------------


def test_a_gradient_that_is_multiplied_away(program):
    w = program.source("w", line=MADE)
    for _ in range(2):
        (g,) = program.asked(w)
        scaled = program.op("multiply", g, line=BETWEEN, size=0.0)
        clipped = program.op("clip", scaled, line=26, size=0.0)
        program.steps([w], [clipped], APPLIED)
    assert said(program) == [("w", "zeroed_update", BETWEEN)]


def test_one_step_that_is_left_out_is_no_finding(program):
    w = program.source("w", line=MADE)
    for size in (0.0, 1.0):
        (g,) = program.asked(w)
        program.steps([w], [program.op("multiply", g, line=BETWEEN, size=size)], APPLIED)
    assert said(program) == []


def test_a_gradient_that_was_zero_is_the_loss_s_business(program):
    w = program.source("w", line=MADE)
    (g,) = program.asked(w, norms=[0.0])
    program.steps([w], [g], APPLIED)
    assert said(program) == []


def test_a_rate_of_zero(program, pair):
    for _ in range(3):
        program.steps(pair, program.asked(*pair), APPLIED, rate=0.0)
    assert said(program) == [("a", "zero_rate", APPLIED), ("b", "zero_rate", APPLIED)]


def test_a_warm_up_begins_at_zero(program, pair):
    for rate in (0.0, 0.1):
        program.steps(pair, program.asked(*pair), APPLIED, rate=rate)
    assert said(program) == []


def test_training_on_averages(program, pair):
    program.steps(pair, program.asked(*pair), APPLIED)
    program.trace.updates[0].averages = pair[:1]
    assert said(program) == [("a", "averages_trained", APPLIED)]


# -- gradients that nobody uses --------------------------------------------------------------------


def test_a_gradient_that_is_dropped_beside_one_that_is_assigned(program, pair):
    for _ in range(2):
        of_a, _ = program.asked(*pair)
        program.assign(pair[0], of_a, APPLIED)
    assert said(program) == [("b", "not_applied", APPLIED)]


def test_a_gradient_that_is_looked_at_is_used(program, pair):
    for _ in range(2):
        of_a, of_b = program.asked(*pair)
        program.op("norm", of_b, line=BETWEEN, size=1.0)
        program.assign(pair[0], of_a, APPLIED)
    assert said(program) == []


def test_a_line_of_whose_gradients_nothing_is_used(program, pair):
    a, b = pair
    for _ in range(2):
        program.steps([a], program.asked(a), APPLIED)
        program.asked(b, line=21)
    assert said(program) == [("b", "not_applied", 21)]


def test_gradients_of_a_program_that_trains_nothing(program, pair):
    for _ in range(2):
        program.asked(*pair)
    assert said(program) == []


# -- who is left out -------------------------------------------------------------------------------


def left_out(program, a, b):
    for _ in range(2):
        program.steps([a], program.asked(a, loss=program.loss(a, b)), APPLIED)


def test_a_variable_that_nobody_asks_for(program, pair):
    left_out(program, *pair)
    assert said(program) == [("b", "unlisted", 2)]


@pytest.mark.parametrize("fact", ["held", "copied", "updated"])
def test_a_variable_that_is_somebody_s_business(program, pair, fact):
    left_out(program, *pair)
    setattr(program.trace.sources[pair[1]], fact, True)
    assert said(program) == []


def test_a_variable_that_is_not_to_be_trained(program, pair):
    left_out(program, *pair)
    program.trace.sources[pair[1]].trainable = False
    assert said(program) == []


def test_a_variable_that_another_call_asks_for(program, pair):
    left_out(program, *pair)
    program.steps([pair[1]], program.asked(pair[1], line=21), APPLIED)
    assert said(program) == []


def test_a_tape_that_was_told_what_to_watch(program, pair):
    left_out(program, *pair)
    for call in program.trace.gradients:
        call.explicit = True
    assert said(program) == []


def test_a_variable_behind_a_stop(program, pair):
    a, b = pair
    stopped = program.op("stop_gradient", program.read(b, 9), line=9, kind="stop_gradient")
    loss = program.op("sum", program.read(a, 10), stopped, line=10, flows=(True, False))
    program.steps([a], program.asked(a, loss=loss), APPLIED)
    assert said(program) == []


@pytest.mark.parametrize("given", [True, False])
def test_an_argument_that_a_function_is_not_differentiated_by(program, pair, given):
    a, b = pair
    of = program.trace.sources[b].value
    for _ in range(2):
        unwatched = program.op("read", of, line=9, kind="not_watched")
        loss = program.op("multiply", program.read(a, 10), unwatched, line=10, flows=(True, False))
        (g,) = program.asked(a, loss=loss)
        program.trace.gradients[-1].beside = (b,) if given else ()
        program.assign(a, g, APPLIED)
    assert said(program) == ([("b", "unlisted", 2)] if given else [])


# -- made anew -------------------------------------------------------------------------------------


def born(program, w, passes, asked=False, inside=True, applied=False):
    for _ in range(passes):
        fresh = None if inside else program.source("skip", line=5)
        began = program.value()
        fresh = program.source("skip", line=5) if inside else fresh
        loss = program.loss(w, fresh)
        sources = (w, fresh) if asked else (w,)
        gradients = program.asked(*sources, loss=loss, began=began)
        count = len(sources) if applied else 1
        program.steps(sources[:count], gradients[:count], APPLIED)


@pytest.fixture
def w(program):
    return program.source("w", line=MADE)


@pytest.mark.parametrize("asked", [False, True])
def test_a_variable_that_each_pass_makes_anew(program, w, asked):
    born(program, w, 3, asked)
    assert ("skip", "born_each_pass", 5) in said(program)
    assert ("skip", "unlisted", 5) not in said(program)


def test_a_variable_made_in_each_pass_and_stepped_by_a_lasting_optimizer(program, w):
    born(program, w, 3, asked=True, applied=True)
    assert said(program) == [("skip", "born_each_pass", 5)]


def test_a_batch_that_is_wrapped_before_the_step_is_not_made_anew(program, w):
    born(program, w, 3, inside=False)
    assert said(program) == []


def test_a_single_pass_tells_nothing(program, w):
    born(program, w, 1)
    assert said(program) == []


def test_blocks_made_in_a_loop_before_training(program, w):
    blocks = [program.source("block", line=5) for _ in range(3)]
    for _ in range(3):
        sources = (w, *blocks)
        program.steps(sources, program.asked(*sources), APPLIED)
    assert said(program) == []


def test_inner_copies_that_are_asked_for_and_used(program, w):
    for _ in range(3):
        began = program.value()
        fast = program.source("fast", line=5)
        (inner,) = program.asked(fast, line=15, began=began)
        program.op("subtract", inner, line=16, size=1.0)
        program.steps([w], program.asked(w, loss=program.loss(w, fast), began=began), APPLIED)
    assert said(program) == []


def test_a_gradient_that_goes_to_one_that_has_its_own_as_well(program, pair):
    b = pair[1]
    for _ in range(2):
        of_a, of_b = program.asked(*pair)
        program.steps([b], [of_a], APPLIED)
        program.steps([b], [of_b], APPLIED)
    assert said(program) == [("a", "wrong_variable", APPLIED)]


def test_updates_of_zero_from_nowhere_beside_gradients_that_are_not(program):
    w = program.source("w", line=MADE)
    for _ in range(2):
        program.asked(w)
        total = program.value()
        program.trace.sizes[total] = 0.0
        program.steps([w], [total], APPLIED)
    assert said(program) == [("w", "zeroed_update", APPLIED)]
