"""Names: what reports call variables and tensors that were given no name."""

import argparse
import gc
import types
import weakref
from collections import deque, namedtuple
from dataclasses import dataclass, field

import numpy as np
import pytest

import headgate as hg
from headgate import nn
from headgate.core.asked import name_of, names_of
from headgate.record.names import passing_names, paths_to

anywhere = hg.Variable(1.0)


def test_local_and_global_names():
    target = hg.Variable(1.0)
    tensor = hg.asarray([1.0, 2.0])
    assert names_of([target, tensor, anywhere]) == ["target", "tensor", "anywhere"]


def test_names_that_were_given_stay():
    inside = hg.Variable(1.0, name="given")
    assert name_of(inside) == "given"


def test_variables_of_layers_keep_their_paths():
    model = nn.Sequential([nn.Dense(2, name="dense")], name="model")
    model.build((None, 3))
    kernel = model.variables[0]
    assert name_of(kernel) == "model/dense/kernel"


class Block:
    def __init__(self):
        self.kernel = hg.Variable(1.0)


class Critic:
    def __init__(self):
        self.layers = [Block() for _ in range(3)]

    def ask(self):
        return name_of(self.layers[1].kernel)


def test_attributes_keys_and_positions():
    critic = Critic()
    meta = {"log_rate": {"w0": hg.asarray(1.0)}, "all": (hg.Variable(1.0), hg.Variable(2.0))}
    asked = [critic.layers[2].kernel, meta["log_rate"]["w0"]]
    assert names_of(asked) == ["critic.layers[2].kernel", "meta['log_rate']['w0']"]
    assert name_of(meta["all"][1]) == "meta['all'][1]"


@dataclass(slots=True)
class Slotted:
    weight: hg.Variable = field(default_factory=lambda: hg.Variable(1.0))


class Settings:
    scale = hg.Variable(1.0)


Point = namedtuple("Point", "x y")


def test_all_kinds_of_holders():
    slotted, space = Slotted(), types.SimpleNamespace(w=hg.Variable(1.0))
    options = argparse.Namespace(w=hg.Variable(2.0))
    queue, point = deque([hg.Variable(1.0)]), Point(hg.Variable(1.0), hg.Variable(2.0))
    asked = (slotted.weight, space.w, options.w, point.y, Settings.scale)
    names = ["slotted.weight", "space.w", "options.w", "point.y", "Settings.scale"]
    assert names_of(asked) == names
    assert name_of(queue[0]) == "queue[0]"


def test_what_a_function_closes_over():
    def make():
        scale = hg.Variable(2.0)
        return (lambda x: scale * x), [scale]

    f, kept = make()
    assert name_of(kept[0]) == "scale"
    assert f(1.0).numpy() == 2.0


def test_names_of_callers_are_better_than_those_of_parameters():
    def ask(v):
        return name_of(v)

    first = hg.Variable(1.0)
    both = {"a": hg.Variable(1.0)}
    assert ask(first) == "first"
    assert ask(both["a"]) == "both['a']"
    assert ask(hg.Variable(3.0)) == "v"
    critic = Critic()
    assert critic.ask() == "critic.layers[1].kernel"


def test_names_of_loops_are_taken_only_where_there_is_no_other():
    weights = [hg.Variable(1.0), hg.Variable(2.0)]
    for w in weights:
        assert w.shape == ()
    assert names_of(weights) == ["weights[0]", "weights[1]"]
    for other in (hg.Variable(1.0),):
        assert name_of(other) == "other"
    assert passing_names(test_names_of_loops_are_taken_only_where_there_is_no_other.__code__) == {
        "w",
        "other",
    }
    assert w is weights[1]


def test_what_has_no_name_is_called_after_the_line_that_made_it():
    assert "variable made at " in name_of(hg.Variable(1.0))
    assert name_of(hg.asarray([1.0])) == "tensor of shape (1,)"
    with hg.GradientTape():
        assert name_of(anywhere * 2.0).startswith("tensor of shape (), made at ")


def test_different_ones_have_different_names():
    left = {"w": hg.Variable(1.0, name="w")}
    right = {"w": hg.Variable(1.0, name="w")}
    asked = [left["w"], right["w"], left["w"]]
    assert names_of(asked) == ["w", "w (right['w'])", "w"]
    hidden = [hg.Variable(1.0, name="b") for _ in range(2)]
    del hidden[1:]
    assert names_of([hidden[0], hg.Variable(1.0, name="b")]) == ["b", "b (2)"]


def test_the_program_is_only_read():
    class Angry:
        def __init__(self):
            self.w = hg.Variable(1.0)

        def __getattribute__(self, name):
            raise AssertionError(f"{name} was asked for")

        def __eq__(self, other):
            raise AssertionError("compared")

        __hash__ = None

    class Keys(dict):
        def items(self):
            raise AssertionError("items were asked for")

    angry, keys = Angry(), Keys(w=hg.Variable(2.0))
    assert names_of([object.__getattribute__(angry, "__dict__")["w"], dict.get(keys, "w")]) == [
        "angry.w",
        "keys['w']",
    ]


def test_cycles_and_long_lists_end():
    around = [hg.Variable(1.0)]
    around.append(around)
    numbers = [[float(k)] for k in range(100_000)]
    assert name_of(around[0]) == "around[0]"
    assert name_of(hg.Variable(1.0)).startswith("variable made")
    assert len(numbers) == 100_000


def test_nothing_is_kept_alive():
    def search():
        array = np.zeros(3)
        kept = weakref.ref(array)
        name_of(hg.Variable(1.0))
        del array
        gc.collect()
        return kept()

    assert search() is None


def test_a_programs_own_locals_are_left_alone():
    value = 1.0
    mine = locals()
    name_of(hg.Variable(value))
    assert mine["value"] == 1.0


def test_paths_have_an_order():
    w = [1.0, 2.0]
    box = {"w": w}
    assert paths_to([id(w)], lambda value: 0)[id(w)][0] == "w"
    assert box["w"] is w


@pytest.mark.parametrize("name", ["w", "'; drop", "a\x1b[31m"])
def test_keys_are_written_as_python_writes_them(name):
    params = {name: hg.Variable(1.0)}
    assert name_of(params[name]) == f"params[{name!r}]"
