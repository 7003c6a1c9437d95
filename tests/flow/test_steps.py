"""What a watch notes of Headgate's own programs about updates, statements and passes."""

import numpy as np
import pytest

import headgate as hg
from core.support import line_of
from headgate import nn, optim
from headgate.flow.watch.headgate import Watch
from headgate.record.graph import state


@pytest.fixture
def pair():
    return hg.Variable([1.0, 2.0], name="a"), hg.Variable([3.0, 4.0], name="b")


def found(watch, **options):
    return [(finding.parameter, finding.kind) for finding in watch.findings(**options)]


def gradients(loss, sources):
    with hg.GradientTape() as tape:
        value = loss()
    return tape.gradient(value, sources)


def train(sources, optimizer, change=lambda g: g, passes=3):
    """Train on the sum of squares, with gradients that are changed before they are applied."""
    for _ in range(passes):
        mine = change(gradients(lambda: sum(hg.sum(v * v) for v in sources), sources))
        optimizer.apply_gradients(zip(mine, sources))


# -- gradients are followed ------------------------------------------------------------------------

WAYS = {
    "as they are": lambda gs: gs,
    "clipped together": lambda gs: optim.clip_by_global_norm(gs, 0.1)[0],
    "clipped": lambda gs: [optim.clip_by_norm(g, 0.1) for g in gs],
    "stopped": hg.stop_gradient,
    "stacked": lambda gs: hg.unstack(hg.stack(gs) * 0.5),
    "through NumPy": lambda gs: [hg.asarray(g.numpy() * 0.5) for g in gs],
    "averaged": lambda gs: [(gs[0] + gs[1]) / 2.0] * 2,
}


@pytest.mark.parametrize("way", WAYS)
def test_training_that_is_right_is_silent(pair, way):
    with Watch() as watch:
        train(pair, optim.SGD(0.1), WAYS[way])
    assert found(watch) == []


@pytest.mark.parametrize("way", [way for way in WAYS if way not in ("through NumPy", "averaged")])
def test_gradients_that_are_swapped_are_found_on_every_way(pair, way):
    with Watch() as watch:
        train(pair, optim.SGD(0.1), lambda gs: WAYS[way](gs)[::-1])
    mixed = way in ("clipped together", "stacked")  # each has something of the other
    assert found(watch) == ([] if mixed else [("a", "wrong_variable"), ("b", "wrong_variable")])


def test_gradients_kept_over_several_calls_and_applied_once(pair):
    optimizer = optim.SGD(0.1)
    with Watch() as watch:
        for _ in range(2):
            kept = None
            for _ in range(4):
                new = gradients(lambda: hg.sum(pair[0] * pair[1]), pair)
                kept = new if kept is None else [old + g for old, g in zip(kept, new)]
            optimizer.apply_gradients(zip([g / 4.0 for g in kept], pair))
    assert found(watch) == []


def test_gradients_kept_in_variables(pair):
    kept = [hg.Variable([0.0, 0.0], trainable=False) for _ in pair]
    with Watch() as watch:
        for _ in range(3):
            for cell, g in zip(kept, gradients(lambda: hg.sum(pair[0] * pair[1]), pair)):
                cell.assign_add(g)
        optim.SGD(0.1).apply_gradients(zip(kept, pair))
    assert found(watch) == []


def test_a_gradient_multiplied_by_zero_is_found_at_its_line(pair):
    with Watch() as watch:
        train(
            pair,
            optim.SGD(0.1),
            lambda gs: [gs[0] * 0.0, gs[1]],  # away
        )
    (finding,) = watch.findings()
    assert (finding.parameter, finding.kind) == ("a", "zeroed_update")
    assert finding.line == line_of("away")


def test_the_results_are_the_same_with_and_without_a_watch():
    def run():
        weights = [hg.Variable([1.0, 2.0]), hg.Variable([3.0, 4.0])]
        train(weights, optim.Adam(0.1), WAYS["clipped together"], passes=40)
        return [w.numpy() for w in weights]

    alone = run()
    with Watch():
        watched = run()
    assert all(map(np.array_equal, alone, watched))


def test_a_gradient_gets_no_node_from_nobody(pair):
    assert all(g.node is None for g in gradients(lambda: hg.sum(pair[0] * pair[1]), pair))
    with Watch():
        (g, _) = gradients(lambda: hg.sum(pair[0] * pair[1]), pair)
        assert (g.node.live, g.node.cuts, g.node.recording) == (0, 0, state.outside)
    assert (g * 2.0).node is None


def test_a_gradient_that_is_used_in_another_loss_explains_nothing(pair):
    a, b = pair
    with Watch() as watch, hg.GradientTape() as tape:
        (g,) = gradients(lambda: hg.sum(a * a), [a])
        tape.reset()
        loss = hg.sum(b * g)
    with watch:
        report = tape.why(loss, [a, b])
    assert [verdict.verdict for verdict in report] == ["unused", "connected"]


def test_a_rate_of_zero(pair):
    with Watch() as watch:
        train(pair, optim.SGD(0.0))
    assert found(watch) == [("a", "zero_rate"), ("b", "zero_rate")]
    with Watch() as watch:
        train(pair, optim.SGD(lambda step: 0.1 * step))
    assert found(watch) == []


# -- averages --------------------------------------------------------------------------------------


@pytest.mark.parametrize("back", [True, False])
def test_training_goes_on_with_averages(pair, back):
    averages = optim.ExponentialMovingAverage(list(pair), decay=0.5)
    optimizer = optim.SGD(0.1)
    with Watch() as watch:
        train(pair, optimizer)
        averages.update()
        averages.swap()
        if back:
            averages.swap()
        train(pair, optimizer)
    wrong = [("a", "averages_trained"), ("b", "averages_trained")]
    assert found(watch) == ([] if back else wrong)


def test_an_evaluation_with_averages_at_the_end(pair):
    averages = optim.ExponentialMovingAverage(list(pair))
    with Watch() as watch:
        train(pair, optim.SGD(0.1))
        averages.update()
        averages.swap()
    assert found(watch) == []


# -- freezes ---------------------------------------------------------------------------------------


def net(blocks):
    names = [nn.Dense(2, name=f"block_{k}") for k in blocks]
    model = nn.Sequential(names, name="net")
    model.build((None, 2))
    return model


def test_a_pattern_that_takes_ten_with_one():
    model = net([1, 2, 10])
    with Watch() as watch:
        model.freeze("block_1*")  # freezes
    (first, _) = watch.findings()
    assert (first.parameter, first.kind) == ("block_10/kernel", "freeze_too_much")
    assert first.line == line_of("freezes")


@pytest.mark.parametrize("first", ["freeze", "list"])
def test_a_list_that_was_made_before_the_freeze(first):
    model = net([1, 2])
    optimizer = optim.SGD(0.1)
    with Watch() as watch:
        weights = model.trainable_variables
        model.freeze("block_1/*")
        if first == "freeze":
            weights = model.trainable_variables
        x = np.ones((3, 2), "float32")
        mine = gradients(lambda: hg.mean(model(x) ** 2), weights)
        optimizer.apply_gradients(zip(mine, weights))
    late = [name for name, kind in found(watch) if kind == "freeze_too_late"]
    assert late == ([] if first == "freeze" else ["net/block_1/kernel", "net/block_1/bias"])


def test_an_adversary_that_is_frozen_for_the_other_s_step_is_trained_in_its_own():
    model = net([1])
    weights = model.trainable_variables
    with Watch() as watch:
        model.freeze("block_1/*")
        mine = gradients(lambda: hg.mean(model(np.ones((3, 2), "float32")) ** 2), weights)
        optim.SGD(0.1).apply_gradients(zip(mine, weights))
    assert all(kind != "freeze_too_late" for _, kind in found(watch))


# -- gates that are dropped ------------------------------------------------------------------------


def dropped(h):
    hg.stop_gradient(h)
    return h


def stopped(h):
    return hg.stop_gradient(h)


def dropped_by_way_of_a_function(h):
    stopped(h)
    return h


def used_by_way_of_a_function(h):
    return 0.5 * h + stopped(h)


def dropped_name(h):
    stopped = hg.stop_gradient(h)  # noqa: F841
    return h


def used(h):
    stopped = hg.stop_gradient(h)
    return h + stopped


def printed(h):
    stopped = hg.stop_gradient(h)
    str(stopped)
    return h


def returned(h):
    return hg.stop_gradient(h) + 0.5 * h


DROPPED = (dropped, dropped_name, dropped_by_way_of_a_function)


@pytest.mark.parametrize("function", [*DROPPED, used, printed, returned, used_by_way_of_a_function])
def test_a_stop_whose_result_is_dropped(pair, function):
    with Watch() as watch:
        gradients(lambda: hg.sum(function(pair[0] * 2.0)), pair[:1])
    expected = function in DROPPED
    assert found(watch) == ([("a", "dropped_gate")] if expected else [])


# -- who is left out -------------------------------------------------------------------------------


def test_an_argument_that_is_forgotten(pair):
    a, b = pair
    step = hg.value_and_grad(lambda x, y: hg.sum((x * y - 1.0) ** 2))
    with Watch() as watch:
        for _ in range(3):
            a.assign_sub(0.01 * step(a, b)[1])
    assert found(watch) == [("b", "unlisted")]


def test_a_target_that_follows_or_was_copied_is_not_left_out(pair):
    a, b = pair
    with Watch() as watch:
        copy = hg.Variable(a, name="copy")
        for _ in range(3):
            mine = gradients(lambda: hg.sum(a * b * copy), [a])
            optim.SGD(0.1).apply_gradients(zip(mine, [a]))
            b.assign(0.9 * b + 0.1 * a)
    assert found(watch) == []


def test_a_probe_on_a_trunk_that_a_model_holds():
    trunk, head = net([1]), net([2])
    with Watch() as watch:
        for _ in range(3):
            mine = gradients(
                lambda: hg.mean(head(trunk(np.ones((3, 2), "float32"))) ** 2),
                head.trainable_variables,
            )
            optim.SGD(0.1).apply_gradients(zip(mine, head.trainable_variables))
    assert found(watch) == []


# -- passes ----------------------------------------------------------------------------------------


def passes(watch, w, flowing):
    with watch:
        for flows in flowing:
            with hg.GradientTape() as tape:
                loss = hg.sum((w if flows else hg.stop_gradient(w)) * 2.0)
            tape.gradient(loss, [w])
    return [(finding.kind, finding.when) for finding in watch.findings()]


def test_a_gradient_that_is_lost_names_the_step(pair):
    flowing = [True] * 100 + [False] * 50
    assert passes(Watch(), pair[0], flowing) == [("stop_gradient", "from step 100 of 150")]


def test_gradients_that_take_turns(pair):
    assert passes(Watch(), pair[0], [k % 3 == 0 for k in range(60)]) == []


@pytest.mark.parametrize(("every", "looked"), [(None, (31, 60)), (10, (6, 60)), (1, (60, 60))])
def test_coverage_is_known(pair, every, looked):
    watch = Watch(every=every)
    passes(watch, pair[0], [True] * 60)
    assert watch.coverage() == looked


def test_two_calls_on_one_line_are_told_apart(pair):
    a, b = pair
    optimizer = optim.SGD(0.1)
    with Watch() as watch:
        for _ in range(2):
            with hg.GradientTape(persistent=True) as tape:
                one, two = hg.sum(a * a), hg.sum(b * b)
            of_a, of_b = tape.gradient(one, a), tape.gradient(two, b)
            optimizer.apply_gradients([(of_a, a), (of_a, b)])
            del of_b
    assert found(watch) == [("b", "wrong_variable")]


def test_an_assignment_of_another_s_gradient(pair):
    a, b = pair
    with Watch() as watch:
        for _ in range(2):
            _, of_b = gradients(lambda: hg.sum(a * a + b * b), pair)
            a.assign(a - 0.1 * of_b)
            b.assign_sub(0.1 * of_b)
    assert found(watch) == [("a", "wrong_variable")]


class Careless(nn.Model):
    """Uses a variable that it does not list, the same one or a new one in each call."""

    def __init__(self, anew):
        super().__init__(name="careless")
        self.stem = nn.Dense(2, name="stem")
        self.anew = anew
        shift = hg.Variable([0.5, 0.5], name="shift", dtype="float32")
        self.hidden = lambda: shift

    def call(self, x):
        if self.anew:
            return self.stem(x) + hg.Variable([0.5, 0.5], name="shift", dtype="float32")
        return self.stem(x) + self.hidden()


@pytest.mark.parametrize("anew", [False, True])
def test_a_variable_is_told_of_once_by_the_closest_kind(anew):
    model, optimizer = Careless(anew), optim.SGD(0.1)
    x = np.ones((3, 2), "float32")
    with Watch() as watch:
        for _ in range(3):
            with hg.GradientTape() as tape:
                loss = hg.mean(model(x) ** 2)
            weights = model.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
    assert found(watch) == [("shift", "born_each_pass" if anew else "not_registered")]


@pytest.mark.parametrize("thawed", [False, True])
def test_a_layer_that_is_frozen_while_a_list_from_before_is_trained(thawed):
    model, optimizer = net([1, 2]), optim.SGD(0.1)
    weights = model.trainable_variables
    x = np.ones((3, 2), "float32")
    with Watch() as watch:
        model.layers[0].trainable = False
        if thawed:
            model.layers[0].trainable = True
        mine = gradients(lambda: hg.mean(model(x) ** 2), weights)
        optimizer.apply_gradients(zip(mine, weights))
    late = [name for name, kind in found(watch) if kind == "freeze_too_late"]
    assert late == ([] if thawed else ["net/block_1/kernel", "net/block_1/bias"])


TWO_LOSSES = """
for _ in range(3):
    with hg.GradientTape(persistent=True) as tape:
        loss = hg.sum((w - 1.0) ** 2)
        penalty = hg.sum(w**2)
    gradient = tape.gradient(loss, w)
    {}
    optimizer.apply_gradients([(gradient, w)])
"""


@pytest.mark.parametrize(
    ("use", "kinds"),
    [
        ("other = tape.gradient(penalty, w)", ["not_applied"]),
        ("print(tape.gradient(penalty, w))", []),
        ("print(f'{tape.gradient(penalty, w)}', end='')", []),
        ("norm = hg.sum(tape.gradient(penalty, w))", []),
        ("gradient = gradient + tape.gradient(penalty, w)", []),
        ("value, _ = hg.value_and_grad(lambda v: hg.sum(v**2))(w)", []),
    ],
)
def test_the_gradient_of_a_second_loss_that_nobody_uses(use, kinds, capsys):
    names = {"hg": hg, "w": hg.Variable([3.0, 2.0], name="w"), "optimizer": optim.SGD(0.1)}
    with Watch() as watch:
        exec(compile(TWO_LOSSES.format(use), "two_losses.py", "exec"), names)
    assert [finding.kind for finding in watch.findings()] == kinds
