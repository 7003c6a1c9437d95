"""Onlookers: what they are told, that they change nothing, and that values have their own nodes."""

import inspect

import numpy as np
import pytest

import headgate as hg
from headgate import optim
from headgate.flow.watch.headgate import Watch
from headgate.flow.watch.log import Log
from headgate.record.graph import Footprint, Node, Recording, state
from headgate.record.magnitude import Magnitudes
from headgate.record.onlooker import Onlooker, onlookers

TOLD = [name for name, _ in inspect.getmembers(Onlooker, inspect.isfunction)]


@hg.custom_gradient
def doubled(x):
    return (x * 2.0, hg.argmax(x)), lambda g, _: g * 2.0


def program():
    """Cut values in all ways there are; return all that came of it, in order."""
    w = hg.Variable([3.0, 1.0, 2.0], name="w")
    frozen = hg.Variable(2.0, name="frozen", trainable=False)
    with hg.GradientTape(persistent=True) as tape:
        stopped = hg.stop_gradient(w * frozen)
        chain = [stopped, stopped * 2.0, hg.exp(stopped), stopped + frozen, -stopped]
        chain += [hg.concat([stopped, -stopped]), hg.stop_gradient(stopped), frozen * 1.0]
        constant = hg.stop_gradient(hg.asarray(1.0))
        chain += [constant, constant + 1.0, hg.round(w), hg.argmax(w), w > 1.0, hg.round(w) > 1.0]
        chain += hg.top_k(w, 2)
        chain += doubled(w)
        chain += [chain[-1] + 1, *doubled(stopped)]
        chain += [hg.asarray(w.numpy()) * 1.0, hg.asarray(np.asarray(stopped)) * 1.0]
        rewrapped = hg.Variable(w * 2.0, name="rewrapped")
        chain += [rewrapped * 1.0]
        with tape.stop_recording():
            chain += [w * 5.0, hg.sin(w * 5.0)]
        with hg.GradientTape() as inner:
            slope = hg.sum(w**2)
        chain += [inner.gradient(slope, w), slope]
        loss = hg.sum(w * stopped) + hg.sum(chain[-2])
    gradients = tape.gradient(loss, [w, frozen])
    return [*chain, loss, gradients[0], w * 3.0, hg.stop_gradient(w) * 3.0]


def masks(tensors):
    """Return what is live in each tensor and its cuts; a constant has neither."""
    nodes = [tensor.node for tensor in tensors]
    return [(0, 0) if node is None else (node.live, node.cuts) for node in nodes]


@pytest.fixture
def tell():
    """Let somebody look on in a test."""
    yield onlookers.append
    onlookers.clear()


def test_values_carry_the_same_with_and_without_a_trace():
    state.outside = state.recording = Recording()  # or the bits would go on from before
    plain = program()
    state.outside = state.recording = Recording()
    with hg.trace() as flow:
        traced = program()
    assert masks(plain) == masks(traced)
    (gradient,) = [k for k, t in enumerate(traced) if type(t.node) is Footprint]
    assert plain[gradient].node is None
    plain[gradient].node = traced[gradient].node  # which carries nothing: the masks are the same
    assert [t.node is None for t in plain] == [t.node is None for t in traced]
    for one, other in zip(plain, traced, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    assert len(flow.trace.events) > len(traced)


def test_values_are_told_apart_only_while_somebody_looks_on():
    def ghosts(tensors):
        nodes = [t.node for t in tensors if t.node is not None and not t.node.live]
        return [node.seq for node in nodes if type(node) is not Footprint]

    plain = ghosts(program())
    assert len(set(plain)) < len(plain)
    with hg.trace():
        traced = ghosts(program())
    assert len(set(traced)) == len(traced) == len(plain)


def contents(node):
    """Return a node as it is now."""
    return [getattr(node, name) for name in Node.__slots__]


@pytest.mark.parametrize("told", ["op", "stopped", "read", "watched", "left", "back"])
def test_the_log_changes_no_node(told, monkeypatch):
    calls = 0
    real = getattr(Log, told)

    def checked(log, *args):
        nonlocal calls
        calls += 1
        tensors = [each for each in args if type(each) is hg.Tensor]
        lists = [each for each in args if type(each) in (list, tuple)]
        nodes = [tensor.node for tensor in tensors]
        every = [*args, *nodes, *[each for items in lists for each in items]]
        known = [each for each in every if hasattr(each, "seq")]
        before = list(map(contents, known))
        assert real(log, *args) is None
        assert all(tensor.node is node for tensor, node in zip(tensors, nodes, strict=True))
        assert list(map(contents, known)) == before

    monkeypatch.setattr(Log, told, checked)
    x = hg.asarray(2.0)
    with hg.trace():
        program()
        with hg.GradientTape() as tape:
            tape.watch(x)
    assert calls


class Told(Onlooker):
    """Notes the names of what it is told."""

    def __init__(self):
        self.names = []

    def __getattribute__(self, name):
        if name in TOLD:
            self.names.append(name)
        return super().__getattribute__(name)


class Everywhere(Told):
    """Is told of the program, of each recording and of each walk."""

    def for_recording(self, recording):
        return self

    def before_gradient(self, tape, targets, sources):
        return self, "memo"

    def after_gradient(self, memo, gradients):
        assert memo == "memo"
        assert [g.numpy() for g in gradients] == [6.0]


def test_what_is_told_and_in_which_order(tell):
    w, x = hg.Variable(3.0, name="w"), hg.asarray(2.0)
    onlooker = Everywhere()
    tell(onlooker)
    with hg.GradientTape() as tape:
        tape.watch(x)
        y = w * 2.0
        loss = y * hg.stop_gradient(y) * 0.5
    gradients = tape.gradient(loss, [w])
    optim.SGD(0.1).apply_gradients(zip(gradients, [w], strict=True))
    assert onlooker.names == [
        "for_recording",
        "watched",
        "first_read",
        "read",
        "op",  # w * 2.0
        "stopped",
        "op",
        "op",
        "before_gradient",
        *["passed", "gave"] * 3,
        "passed",  # w
        "after_gradient",
        "applied",
    ]


def test_who_overrides_nothing_learns_nothing(tell):
    onlooker = Told()
    tell(onlooker)
    w = hg.Variable(3.0, name="w")
    with hg.GradientTape() as tape:
        y = hg.stop_gradient(w) * w
    assert tape._recording.onlooker is None
    assert tape.gradient(y, w).numpy() == 3.0
    assert set(onlooker.names) == {"for_recording", "first_read", "before_gradient"}


def test_onlookers_have_no_other_names_for_what_they_are_told():
    for kind in (Watch, Log, Magnitudes):
        told = [name for name in TOLD if name in vars(kind)]
        assert told
        for name in told:
            ours = inspect.signature(getattr(kind, name)).parameters
            assert list(ours) == list(inspect.signature(getattr(Onlooker, name)).parameters)
