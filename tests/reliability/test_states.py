"""A model that is trained compiled, and its twin that is trained eagerly, stay the same.

Hypothesis draws what a program may do with a model: train and evaluate, set modes, rates and other
settings, freeze, move to JAX and back, save and go back, copy and pickle, average, compile anew,
other shapes and dtypes, and an interrupt at a place drawn at random. All is done to both twins;
after each step their variables, settings and losses are compared. What is interrupted must be all
as before or all as after; the eager twin then follows.

Worlds are made once for each model and optimizer and set back between runs, so that programs are
compiled once. `python tests/reliability/test_states.py` (`make reliability`) runs many more and
longer ones, drawn anew each time.
"""

import copy
import itertools
import pickle
import sys
import tempfile
import warnings
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import headgate as hg
from headgate import nn, optim
from headgate.checkpoint import Checkpoints

sys.path.insert(0, str(Path(__file__).parent))
import faults


class Thinning(nn.Layer):
    """Dropout whose draws are the same compiled and eagerly: they follow from a count of calls."""

    def __init__(self, rate):
        super().__init__()
        self.rate = rate

    def build(self, shape):
        self.count = self.add_weight((), "zeros", trainable=False, name="count")

    def call(self, x, training=None):
        if not training or not self.rate:
            return x
        self.count.assign_add(1.0)
        places = hg.reshape(hg.arange(x.size, dtype="float64"), x.shape)
        return hg.where(hg.sin(places * 12.9898 + self.count) > 2 * self.rate - 1, x, 0.0)


class Mean(nn.Layer):
    """The mean over the positions of a sequence."""

    def call(self, x):
        return hg.mean(x, axis=1)


KINDS = {
    "dense": lambda: [
        nn.Dense(4, "tanh", name="first"),
        nn.BatchNormalization(name="norm"),
        Thinning(0.25),
        nn.Dropout(0.0),
        nn.Dense(2, name="last"),
    ],
    "recurrent": lambda: [nn.GRU(3, name="first"), Thinning(0.25), nn.Dense(1, name="last")],
    "table": lambda: [nn.Embedding(9, 2, name="first"), Mean(), nn.Dense(1, name="last")],
}
OPTIMIZERS = {
    "momentum": lambda: optim.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: optim.Adam(0.05, global_clipnorm=1.0),
    "lazy": lambda: optim.Adam(0.05, lazy=True),
    "decay": lambda: optim.AdamW(0.05, weight_decay=0.1),
    "rmsprop": lambda: optim.RMSprop(0.02, momentum=0.5, centered=True),
    "adagrad": lambda: optim.Adagrad(0.1),
}
BASE = {"clipnorm": None, "clipvalue": None}  # what a run may change, of any optimizer


def batch(kind, rows, wide, number):
    rng = np.random.default_rng(number)
    if kind == "table":
        return rng.integers(9, size=(rows, 3)).astype("int64" if wide else "int32")
    shape = (rows, 3) if kind == "dense" else (rows, 4, 2)
    return rng.normal(size=shape).astype("float64" if wide else "float32")


class Twin:
    """A model with all that belongs to its training."""

    def __init__(self, kind, optimizer, compiled):
        nn.reset_names()
        hg.random.set_seed(0)
        before = nn.floatx()
        nn.set_floatx("float64")
        model = nn.Sequential(KINDS[kind](), name="model")
        nn.set_floatx(before)
        model(batch(kind, 2, True, 0))
        optimizer = OPTIMIZERS[optimizer]()
        optimizer.build(model.trainable_variables)
        self.objects = model, optimizer, optim.ExponentialMovingAverage(model, 0.5)
        self.usual = {name: getattr(optimizer, name) for name in (*BASE, "weight_decay")}
        self.rate = float(optimizer.learning_rate)
        self.first = [each.get_state() for each in self.objects]
        self.compiled = compiled
        self.compile()

    @property
    def model(self):
        return self.objects[0]

    @property
    def optimizer(self):
        return self.objects[1]

    @property
    def average(self):
        return self.objects[2]

    def compile(self, donate=False):
        model, optimizer, _ = self.objects

        def train(x):
            with hg.GradientTape() as tape:
                # Without the half, the offsets would rest where Adam makes of rounding steps.
                loss = hg.mean((model(x, training=None) - 0.5) ** 2)
            variables = model.trainable_variables
            optimizer.apply(tape.gradient(loss, variables), variables)
            return loss

        def forward(x):
            return hg.sum(model(x) ** 2)

        self.train, self.forward = train, forward
        if self.compiled:
            self.train = hg.function(train, donate=donate)
            self.forward = hg.function(forward)

    def reset(self):
        """Be as at first, but for the programs that were compiled."""
        model, optimizer, average = self.objects
        if average.swapped:
            average.swap()
        hg.to_backend([*self.objects[:2], *average.averages], "numpy")
        model.trainable = True
        model.unfreeze("*")
        model.train()
        self.set_dropout(0.25)
        for name, value in self.usual.items():
            setattr(optimizer, name, value)
        optimizer.learning_rate = self.rate
        for each, state in zip(self.objects, self.first):
            each.set_state(state)

    def set_dropout(self, rate):
        for layer in self.model.layers:
            if type(layer) is Thinning:
                layer.rate = rate
            elif type(layer) is nn.Dropout:
                layer.rate = float(rate == 1)  # what draws the same numbers compiled and eagerly

    def copied(self, how):
        """Be a copy, and leave the original to others."""
        made = object.__new__(Twin)
        vars(made).update(vars(self))
        made.objects = how(self.objects)
        made.compile()
        return made

    def values(self):
        model, optimizer, average = self.objects
        cells = [*model.variables, *optimizer.variables, *average.averages]
        found = {f"{k} {v.name}": v.numpy() for k, v in enumerate(cells)}
        found["swapped"] = np.asarray(average.swapped)
        return found

    def told(self):
        """Return what is not the value of a variable."""
        model, optimizer, _ = self.objects
        return (
            [v.name for v in model.trainable_variables],
            [layer._mode for layer in (model, *model.layers)],
            {name: getattr(optimizer, name) for name in self.usual},
            sorted(optimizer.get_state()),
        )


def close(one, other):
    return one.keys() == other.keys() and all(
        np.allclose(one[k], other[k], 1e-7, 1e-9) for k in one
    )


def equal(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


_worlds = {}


def world(kind, optimizer):
    """Return the twins of a model and optimizer as they were at first."""
    if (kind, optimizer) not in _worlds:
        _worlds[kind, optimizer] = [Twin(kind, optimizer, compiled) for compiled in (True, False)]
    for twin in _worlds[kind, optimizer]:
        twin.reset()
    return _worlds[kind, optimizer]


SMALL = st.integers(0, 3)
FORMS = [(2, True), (4, False)]  # each that is new costs a program
PAIRS = tuple(itertools.product(sorted(KINDS), sorted(OPTIMIZERS)))


class Twins(RuleBasedStateMachine):
    """What may be done with a model, in any order."""

    pairs: tuple[tuple[str, str], ...] = PAIRS

    @initialize(data=st.data())
    def make(self, data):
        self.kind, optimizer = data.draw(st.sampled_from(self.pairs))
        self.twins = list(world(self.kind, optimizer))
        self.folder = tempfile.TemporaryDirectory(prefix="headgate-states-")
        self.step = self.saves = 0
        self.hold = []
        self.folders()

    def folders(self):
        """Give each twin checkpoints of what it is now."""
        self.checkpoints = [
            Checkpoints(
                Path(self.folder.name) / f"{k}", keep=3, model=t.model, o=t.optimizer, e=t.average
            )
            for k, t in enumerate(self.twins)
        ]

    def teardown(self):
        if hasattr(self, "folder"):
            self.folder.cleanup()

    def do(self, act):
        """Do the same to both twins; return what came of it, the compiled one's first."""
        results = []
        for k, twin in enumerate(self.twins):
            results.append(act(twin, self.checkpoints[k]))
        self.step += 1
        return results

    def interrupted(self, act, at):
        """Interrupt the compiled twin; the eager one follows if all had been done."""
        twin, before = self.twins[0], self.twins[0].values()
        fault = faults.Fault(at)
        was_stopped = fault.during(act, twin, self.checkpoints[0])
        assert faults.left_on() == [], fault.place
        if not was_stopped or not equal(before, twin.values()):
            act(self.twins[1], self.checkpoints[1])
        self.step += 1
        hypothesis.event(f"interrupted: {was_stopped}")
        values = [each.values() for each in self.twins]
        assert close(*values), f"half done: {fault.place}"

    # -- training ------------------------------------------------------------------------------

    @rule(form=st.sampled_from(FORMS), times=st.integers(1, 3))
    def train(self, form, times):
        for _ in range(times):
            x = batch(self.kind, *form, self.step)
            one, other = self.do(lambda twin, _, x=x: float(twin.train(x)))
            np.testing.assert_allclose(one, other, 1e-7, 1e-9)

    @rule(form=st.sampled_from(FORMS))
    def evaluate(self, form):
        x = batch(self.kind, *form, self.step)
        one, other = self.do(lambda twin, _: float(twin.forward(x)))
        np.testing.assert_allclose(one, other, 1e-7, 1e-9)

    @rule()
    def differentiate(self):
        """Ask for gradients of a compiled function under a tape."""
        x = batch(self.kind, 2, True, self.step)

        def gradients(twin, _):
            with hg.GradientTape() as tape:
                loss = twin.forward(x)
            found = tape.gradient(loss, twin.model.variables)
            return [None if g is None else np.asarray(g) for g in found]

        for one, other in zip(*self.do(gradients)):
            assert (one is None) == (other is None)
            if one is not None:
                np.testing.assert_allclose(one, other, 1e-6, 1e-9)

    @rule(u=st.floats(0, 4.3), form=st.sampled_from(FORMS))
    def interrupt_training(self, u, form):
        x = batch(self.kind, *form, self.step)
        self.interrupted(lambda twin, _: twin.train(x), int(10**u))

    # -- settings ------------------------------------------------------------------------------

    @rule(mode=st.booleans())
    def set_mode(self, mode):
        self.do(lambda twin, _: twin.model.train(mode))

    @rule(mode=st.booleans(), index=st.integers(0, 3))
    def set_mode_of_a_layer(self, mode, index):
        self.do(lambda twin, _: twin.model.layers[index % len(twin.model.layers)].train(mode))

    @rule(name=st.sampled_from(["first", "last"]), back=st.booleans(), whole=st.booleans())
    def freeze(self, name, back, whole):
        def act(twin, _):
            if whole:
                layer = next(layer for layer in twin.model.layers if layer.name == name)
                layer.trainable = back
            elif back:
                twin.model.unfreeze(f"{name}/*")
            else:
                twin.model.freeze(f"{name}/*")
            if not twin.model.trainable_variables:
                twin.model.trainable = True
                twin.model.unfreeze("*")

        self.do(act)

    @rule(rate=st.sampled_from([0.01, 0.1, 0.3]), how=st.sampled_from(["set", "assign", "times"]))
    def set_rate(self, rate, how):
        def act(twin, _):
            optimizer = twin.optimizer
            if how == "set" or callable(optimizer.learning_rate):
                optimizer.learning_rate = rate
            elif how == "assign":
                optimizer.learning_rate.assign(rate)
            else:
                optimizer.learning_rate *= 0.5

        self.do(act)

    @rule(times=SMALL)
    def set_schedule(self, times):
        self.do(
            lambda twin, _: setattr(
                twin.optimizer, "learning_rate", optim.schedules.ExponentialDecay(0.1, 2, 0.5)
            )
        )

    @rule(name=st.sampled_from(["clipnorm", "clipvalue", "weight_decay"]), value=SMALL)
    def set_option(self, name, value):
        def act(twin, _):
            if name != "weight_decay":  # gradients are clipped in one way
                twin.optimizer.clipnorm = twin.optimizer.clipvalue = None
            setattr(twin.optimizer, name, value / 10 or None)

        self.do(act)

    @rule(rate=st.sampled_from([0.0, 0.25, 1.0]))
    def set_dropout(self, rate):
        self.do(lambda twin, _: twin.set_dropout(rate))

    @rule(factor=st.sampled_from([0.5, 1.0]))
    def set_weights(self, factor):
        self.do(
            lambda twin, _: twin.model.set_weights([w * factor for w in twin.model.get_weights()])
        )

    # -- where things are ----------------------------------------------------------------------

    @rule(place=st.sampled_from(["jax", "numpy"]), both=st.booleans())
    def move(self, place, both):
        for twin in self.twins[: 2 if both else 1]:
            hg.to_backend([*twin.objects[:2], *twin.average.averages], place)

    @rule()
    def look(self):
        """Hold what a variable shows now: it must not change, whatever runs."""
        for twin in self.twins:
            v = twin.model.variables[0]
            shown = v.read_value()
            self.hold.append((shown, shown.numpy().copy()))
        del self.hold[:-6]

    @rule(how=st.sampled_from([copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))]))
    def copy(self, how):
        self.twins = [twin.copied(how) for twin in self.twins]
        self.folders()

    @rule(donate=st.sampled_from([False, None, True]))
    def compile(self, donate):
        self.twins[0].compile(donate)

    # -- averages, files -----------------------------------------------------------------------

    @precondition(lambda self: not self.twins[0].average.swapped)
    @rule()
    def average(self):
        self.do(lambda twin, _: twin.average.update())

    @rule()
    def swap(self):
        self.do(lambda twin, _: twin.average.swap())

    @precondition(lambda self: not self.twins[0].average.swapped)
    @rule()
    def save(self):
        self.saves += 1
        self.do(lambda twin, checkpoints: checkpoints.save(self.saves))

    @precondition(lambda self: self.saves and not self.twins[0].average.swapped)
    @rule(back=SMALL)
    def restore(self, back):
        def act(twin, checkpoints):
            steps = checkpoints.steps()
            step = steps[max(0, len(steps) - back)] if back and steps else None
            return checkpoints.restore(step)

        one, other = self.do(act)
        assert one == other

    @precondition(lambda self: self.saves and not self.twins[0].average.swapped)
    @rule(u=st.floats(0, 3.5))
    def interrupt_restoring(self, u):
        self.interrupted(lambda twin, checkpoints: checkpoints.restore(), int(10**u))

    @precondition(lambda self: not self.twins[0].average.swapped)
    @rule(u=st.floats(0, 3.5))
    def interrupt_saving(self, u):
        """What is on the disk is the save before it, or this one: a restore gives one of them."""
        before = self.checkpoints[0].steps()
        self.saves += 1
        fault = faults.Fault(int(10**u))
        fault.during(lambda: self.checkpoints[0].save(self.saves))
        assert faults.left_on() == [], fault.place
        if self.saves in self.checkpoints[0].steps():
            self.checkpoints[1].save(self.saves)
        else:
            assert self.checkpoints[0].steps() == before, fault.place

    @rule()
    def fail(self):
        """A program that fails leaves all as it was."""

        def act(twin, _):
            with pytest.raises((ValueError, TypeError)):
                twin.train(np.ones(2, "int32" if self.kind == "table" else "f"))

        self.do(act)

    # -- what holds ----------------------------------------------------------------------------

    @invariant()
    def they_are_the_same(self):
        if not hasattr(self, "twins"):
            return
        one, other = self.twins
        values = one.values(), other.values()
        assert values[0].keys() == values[1].keys()
        for name in values[0]:
            np.testing.assert_allclose(values[0][name], values[1][name], 1e-7, 1e-9, err_msg=name)
        assert one.told() == other.told()
        rates = [t.optimizer.learning_rate for t in self.twins]
        assert rates[0] == rates[1] or all(map(callable, rates))
        for shown, copied in self.hold:
            np.testing.assert_array_equal(shown.numpy(), copied)


class FewTwins(Twins):
    """With few models and optimizers, so that many runs share a program."""

    pairs = (("dense", "adam"), ("recurrent", "momentum"), ("table", "lazy"))


def run(machine, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hook, sys.unraisablehook = sys.unraisablehook, lambda info: None
        try:
            run_state_machine_as_test(
                machine,
                settings=settings(
                    deadline=None,
                    database=None,
                    suppress_health_check=list(hypothesis.HealthCheck),
                    **options,
                ),
            )
        finally:
            sys.unraisablehook = hook


@pytest.mark.light
def test_compiled_and_eager_stay_the_same():
    pytest.importorskip("jax")
    run(FewTwins, max_examples=10, stateful_step_count=25, derandomize=True)


class Apart(FewTwins):
    """Twins of which a layer of the compiled one loses its mode."""

    pairs = (("table", "lazy"),)

    @invariant()
    def lose(self):
        if getattr(self, "step", 0) > 3:
            self.twins[0].model.layers[-1].train(False)


@pytest.mark.light
def test_a_difference_is_found():
    pytest.importorskip("jax")
    with pytest.raises(AssertionError):
        run(
            Apart,
            max_examples=5,
            stateful_step_count=20,
            derandomize=True,
            report_multiple_bugs=False,
            phases=[hypothesis.Phase.generate],
        )


if __name__ == "__main__":
    run(Twins, max_examples=400, stateful_step_count=60, print_blob=True)
    print("400 runs of 60 steps: the twins are the same")
