"""The watcher of Headgate's programs: what it sees, what it keeps silent about, what it leaves."""

import threading

import numpy as np
import pytest

import headgate as hg
from core.support import line_of
from headgate import nn, optim
from headgate.flow.watch.headgate import KEPT, Watch
from headgate.record.graph import state
from headgate.record.onlooker import onlookers


@pytest.fixture(autouse=True)
def nobody_is_left_watching():
    yield
    assert not onlookers
    assert state.outside.onlooker is None


@pytest.fixture
def w():
    return hg.Variable([1.0, 2.0], name="w")


def found(watch, **options):
    return [(finding.parameter, finding.kind) for finding in watch.findings(**options)]


def dense(size, name):
    layer = nn.Dense(size, activation="tanh", name=name)
    layer.build((None, 3))
    return layer


def step(loss, weights, optimizer=None):
    """Take one step of training and return the gradients."""
    with hg.GradientTape() as tape:
        value = loss()
    gradients = tape.gradient(value, weights)
    if optimizer is not None:
        optimizer.apply_gradients(zip(gradients, weights))
    return gradients


# What is fine at one call is fine.


def test_the_two_steps_of_a_gan_are_silent():
    generator, discriminator = dense(3, "generator"), dense(1, "discriminator")
    noise, real = hg.ones((4, 3)), hg.zeros((4, 3))
    with Watch() as watch:
        for _ in range(2):
            step(
                lambda: hg.mean(
                    discriminator(hg.stop_gradient(generator(noise))) - discriminator(real)
                ),
                discriminator.trainable_variables,
                optim.SGD(0.1),
            )
            step(
                lambda: -hg.mean(discriminator(generator(noise))),
                generator.trainable_variables,
                optim.SGD(0.1),
            )
    assert len(watch.calls) == 4
    assert found(watch) == []


def test_a_cut_at_one_call_is_no_finding_if_another_call_brings_a_gradient(w):
    with Watch() as watch:
        step(lambda: hg.sum(hg.stop_gradient(w)), [w])
        step(lambda: hg.sum(w), [w])
    assert found(watch) == []
    assert found(watch, flow=["w"]) == [("w", "stop_gradient")]


def test_only_one_pass_is_looked_at(w):
    with Watch() as watch:
        for stopped in (False, True, False):
            with hg.GradientTape() as tape:
                y = hg.sum(hg.stop_gradient(w) if stopped else w)
            tape.gradient(y, w)
    assert found(watch) == []
    assert found(watch, step=0) == []
    assert found(watch, step=1) == [("w", "stop_gradient")]
    assert found(watch, step=7) == []


def test_what_a_tape_within_a_tape_gets_is_not_what_the_program_gets(w):
    with Watch() as watch, hg.GradientTape() as outer:
        with hg.GradientTape() as inner:
            y = hg.sum(w * w)
        slope = inner.gradient(y, w)
        loss = hg.sum(hg.stop_gradient(slope))  # cut
        del inner
    with watch:
        outer.gradient(loss, w)
    (finding,) = watch.findings()
    assert (finding.parameter, finding.kind) == ("w", "stop_gradient")
    assert finding.line == line_of("cut")


def test_gradient_that_must_not_arrive(w):
    v = hg.Variable(1.0, name="v")
    with Watch() as watch:
        step(lambda: hg.sum(w * v), [v])  # leak
    (finding,) = watch.findings(no_flow=["w"])
    assert (finding.parameter, finding.kind) == ("w", "missing_stop")
    assert finding.line == line_of("leak")
    assert found(watch, no_flow=["other*"]) == []


# What no single call can tell.


def test_a_variable_that_is_kept_from_the_optimizer(w):
    v = hg.Variable(1.0, name="v")
    with Watch() as watch:
        gradients = step(lambda: hg.sum(w * v), [w, v])
        optim.SGD(0.1).apply_gradients([(gradients[0], w)])  # passes over
    (finding,) = watch.findings()
    assert (finding.parameter, finding.kind) == ("v", "optimizer_mask")
    assert finding.line == line_of("passes over")


def test_a_variable_that_the_program_updates_by_itself_needs_no_optimizer(w):
    v = hg.Variable(1.0, name="v")
    with Watch() as watch:
        gradients = step(lambda: hg.sum(w * v), [w, v])
        optim.SGD(0.1).apply_gradients([(gradients[0], w)])
        v.assign_sub(gradients[1])
    assert found(watch) == []


def frozen_net(name="frozen"):
    frozen, head = dense(3, name), dense(1, "head")
    net = nn.Sequential([frozen, head])
    frozen.trainable = False  # freezes
    return net, frozen


def test_a_layer_that_was_frozen_before_it_learnt_anything():
    net, frozen = frozen_net()
    with Watch() as watch:
        step(lambda: hg.mean(net(hg.ones((2, 3)))), net.trainable_variables)
    assert {kind for _, kind in found(watch)} == {"frozen"}
    assert {name for name, _ in found(watch)} == {v.name for v in frozen.variables}
    assert {finding.text for finding in watch.findings()} == {"frozen.trainable = False  # freezes"}


def test_a_frozen_layer_with_weights_from_elsewhere_is_silent():
    net, frozen = frozen_net()
    for variable in frozen.variables:
        variable.assign(variable * 0.5)  # loaded from a checkpoint, say
    with Watch() as watch:
        step(lambda: hg.mean(net(hg.ones((2, 3)))), net.trainable_variables)
    assert found(watch) == []


class Adapted(nn.Layer):
    """A frozen layer, and a correction that is trained."""

    def __init__(self):
        super().__init__(name="adapted")
        self.base = dense(3, "base")
        self.base.trainable = False
        self.scale = self.add_weight((3,), "ones", name="scale")

    def call(self, x):
        return self.base(x) * self.scale


def test_what_an_adapter_wraps_is_frozen_on_purpose():
    layer = Adapted()
    with Watch() as watch:
        step(lambda: hg.mean(layer(hg.ones((2, 3)))), layer.trainable_variables)
    assert found(watch) == []


class Plain:
    """Not a layer, so no model sees what it holds."""

    def __init__(self):
        self.scale = hg.Variable(1.5, name="hidden_scale")  # hidden

    def __call__(self, x):
        return x * self.scale


class Net(nn.Model):
    def __init__(self):
        super().__init__(name="net")
        self.stem = dense(3, "stem")
        self.head = Plain()

    def call(self, x):
        return self.head(self.stem(x))


def test_a_variable_that_the_model_uses_and_does_not_list():
    net = Net()
    with Watch() as watch:
        step(lambda: hg.mean(net(hg.ones((2, 3)))), net.trainable_variables)
    (finding,) = watch.findings()
    assert (finding.parameter, finding.kind) == ("hidden_scale", "not_registered")
    assert finding.text.endswith("# hidden")


def test_a_variable_that_is_asked_for_beside_the_models_is_no_stray():
    net = Net()
    with Watch() as watch:
        weights = [*net.trainable_variables, net.head.scale]
        step(lambda: hg.mean(net(hg.ones((2, 3)))), weights)
    assert found(watch) == []


# Who is seen.


def test_functional_gradients_are_seen_and_their_inner_ones_are_not(w):
    def loss(x):
        return hg.sum(hg.stop_gradient(x) ** 2)

    def square(x):
        return hg.sum(x**2)

    x = hg.asarray([1.0, 2.0])
    with Watch() as watch:
        with pytest.warns(UserWarning, match="is zero"):
            hg.grad(loss)(x)  # grad
        with pytest.warns(UserWarning, match="is zero"):
            hg.value_and_grad(loss)(x)  # value_and_grad
    assert [call.place.line for call in watch.calls] == [line_of("grad"), line_of("value_and_grad")]
    assert {kind for _, kind in found(watch)} == {"stop_gradient"}
    with Watch() as watch:
        hg.jvp(square, [x], [x])
        hg.hvp(square, [x], [x])
        hg.vjp(square, x)[1](hg.asarray(1.0))
    assert len(watch.calls) == 0


def test_all_threads_are_seen():
    def work(k):
        v = hg.Variable(float(k), name=f"v{k}")
        for _ in range(20):
            step(lambda: hg.stop_gradient(v) * 2.0, [v])

    with Watch() as watch:
        threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(watch.calls) == 80
    assert sorted(found(watch)) == [(f"v{k}", "stop_gradient") for k in range(4)]


def test_nothing_is_seen_before_or_after(w):
    step(lambda: hg.sum(hg.stop_gradient(w)), [w])
    with Watch() as watch:
        pass
    step(lambda: hg.sum(hg.stop_gradient(w)), [w])
    assert (watch.calls, found(watch), watch.trace.events) == ([], [], [])


def test_many_calls_of_one_line_are_counted_and_not_kept(w):
    with Watch() as watch:
        for _ in range(2000):
            step(lambda: hg.sum(w * w), [w])
        for _ in range(2000):
            step(lambda: hg.sum(hg.stop_gradient(w)), [w])
    assert len(watch.calls) < 100
    (finding,) = watch.findings()
    assert (finding.kind, finding.when) == ("stop_gradient", "from step 2000 of 4000")
    assert len(watch.gradients()) == len(watch.calls)
    steps = [gradient.step for gradient in watch.trace.gradients]
    assert steps == [call.step for call in watch.calls if call.step != 2000]  # a pass too late


def test_a_gradient_that_never_arrives_fills_the_report_only_so_far(w):
    with Watch() as watch:
        for _ in range(KEPT + 200):
            step(lambda: hg.sum(hg.stop_gradient(w)), [w])
    assert len(watch.gradients()) == KEPT
    assert found(watch) == [("w", "stop_gradient")]


def test_gradients_as_the_report_has_them(w):
    with Watch() as watch:
        with hg.GradientTape() as tape:
            y = hg.sum(hg.stop_gradient(w))  # cut
        tape.gradient(y, [w])  # asks
    (entry,) = watch.gradients()
    assert entry["where"].endswith(f"test_watch.py:{line_of('asks')}")
    assert (entry["framework"], entry["targets"]) == ("headgate", ["y"])
    (source,) = entry["sources"]
    assert (source["name"], source["verdict"], source["norm"]) == ("w", "cut", None)
    assert [(cut["kind"], cut["line"]) for cut in source["cuts"]] == [
        ("stop_gradient", line_of("cut"))
    ]


def test_a_gradient_of_nan_is_not_missing_but_nan(w):
    with Watch() as watch:
        step(lambda: hg.sum(w) * np.nan, [w])
    assert found(watch) == [("w", "nonfinite_data")]


# What is left behind.


def test_an_exception_leaves_nobody_watching(w):
    watch = Watch()

    def fail():
        with watch, hg.GradientTape() as tape:
            tape.gradient(hg.sum(hg.stop_gradient(w)), w)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert found(watch) == [("w", "stop_gradient")]


def test_an_exception_in_a_rule_does_not_hold_a_lock(w):
    def refuse(g):
        raise ZeroDivisionError

    @hg.custom_gradient
    def broken(x):
        return x * 1.0, refuse

    with Watch() as watch:
        with pytest.raises(ZeroDivisionError):
            step(lambda: hg.sum(broken(w)), [w])
        thread = threading.Thread(target=step, args=(lambda: hg.sum(w), [w]))
        thread.start()
        thread.join()
    assert found(watch) == []
    assert len(watch.trace.gradients) == 1


def test_two_watches_see_the_same_events(w):
    x = hg.Variable(3.0, name="x")
    with Watch() as outer:
        with Watch() as inner:
            step(lambda: hg.sum(hg.round(w) * x), [w, x])
            outside = w * 2.0
        step(lambda: x * 1.0, [x])
    assert outside.shape == w.shape
    names = [[event.op for event in watch.trace.events] for watch in (inner, outer)]
    assert names[0] == ["read", "round", "read", "multiply", "sum", "read", "multiply"]
    assert names[1][: len(names[0])] == names[0]
    assert len(names[1]) > len(names[0])
    cotangents = [watch.trace.gradients[0].cotangents for watch in (inner, outer)]
    assert cotangents[0] == cotangents[1] != {}
    assert state.outside.onlooker is None
    declared = [
        {finding.parameter for finding in watch.findings(no_flow=["x"])} for watch in (inner, outer)
    ]
    assert declared == [{"w", "x"}, {"w", "x"}]


def test_a_watch_within_a_watch(w):
    v = hg.Variable(1.0, name="v")
    with Watch() as outer:
        step(lambda: hg.sum(hg.stop_gradient(w)), [w])
        with Watch() as inner:
            step(lambda: hg.round(v) * 1.0, [v])
    assert found(inner) == [("v", "nondiff_op")]
    assert found(outer) == [("w", "stop_gradient"), ("v", "nondiff_op")]
