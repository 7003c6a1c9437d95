"""Faults: an interrupt at each place where Python would let one come in.

Python looks for signals when a function is entered and when a call has returned. Its profiler is
told of the same places, so an interrupt can be put into any of them: `KeyboardInterrupt` at the
k-th place within Headgate's own files (and `contextlib`, which runs blocks for it). A scenario says
what is made (`make`), what is done (`act`), and what must go together afterwards (`groups`): each
group must be as before the interrupt or as after the whole act. Nothing may be left on: no tape, no
scope, no mode, no lock, no file. Then the act is done again, and must give what it gives without an
interrupt.

Two other sorts of faults are put in as well. Memory may run out at the same places: a `MemoryError`
is one that code may catch. And an error may come at the beginning of each line, which is more than
signals can do; of values the promise is the same, of what is left on there is none.

    python tests/reliability/faults.py                 # all scenarios, 12,000 interrupts, and more
    python tests/reliability/faults.py --count 500 --seed 3 training restore

`make reliability` runs it in full, `test_faults.py` for a few seconds.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import gc
import os
import random as pythons_random
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import headgate as hg
from headgate import metrics, nn, optim
from headgate.checkpoint import Checkpoints
from headgate.core.bundle import in_transit
from headgate.core.scope import open_scopes, stage
from headgate.data import Batches
from headgate.nn.layer import calls
from headgate.record.graph import Recording, state
from headgate.record.onlooker import onlookers

OWN = str(Path(hg.__file__).parent) + os.sep
BLOCKS = contextlib.__file__

Groups = dict[str, list[np.ndarray]]


# -- where an interrupt comes in -------------------------------------------------------------------


def is_own(frame: Any) -> bool:
    file = frame.f_code.co_filename
    return file.startswith((OWN, "<headgate ")) or file == BLOCKS


class Fault:
    """Count the places at which a fault may come in, and let one come in at the k-th.

    That is an interrupt, where Python looks for signals; or else another `error` there. With
    `lines`, the places are the beginnings of all lines, so also those of each turn of a loop: more
    than signals find, for nothing is safe by being a mere assignment.
    """

    def __init__(
        self,
        at: int | None = None,
        error: type[BaseException] = KeyboardInterrupt,
        lines: bool = False,
    ) -> None:
        self.at = at
        self.error = error
        self.lines = lines
        self.count = 0
        self.place = ""
        self.usual = signal.getsignal(signal.SIGINT)

    def __call__(self, frame: Any, event: str, arg: Any) -> Any:
        """Be told by Python's profiler, or by what traces calls."""
        if self.lines:
            return self.at_line if is_own(frame) else None
        if event == "c_call" or event == "c_exception":
            return None
        if not is_own(frame) and not (event == "return" and frame.f_back and is_own(frame.f_back)):
            return None
        name = getattr(arg, "__qualname__", "") if event == "c_return" else ""
        self.take(frame, f"{event} {name}")
        return None

    def at_line(self, frame: Any, event: str, arg: Any) -> Any:
        if event == "line":
            self.take(frame, "line")
        return self.at_line

    def take(self, frame: Any, what: str) -> None:
        if self.error is KeyboardInterrupt and signal.getsignal(signal.SIGINT) is not self.usual:
            return  # it is held back
        self.count += 1
        if self.count - 1 == self.at:
            code = frame.f_code
            file = code.co_filename.removeprefix(OWN)
            self.place = f"{file}:{frame.f_lineno} in {code.co_qualname}, {what}"
            raise self.error

    def during(self, act: Callable[..., Any], *given: Any) -> bool:
        """Run an act; tell whether it was ended by the fault."""
        listen = sys.settrace if self.lines else sys.setprofile
        try:
            listen(self)
            act(*given)
        except BaseException:
            if not self.place:
                raise
            return True
        finally:
            listen(None)
            if self.lines:
                _give_back()
        return False


def _give_back() -> None:
    """Give a lock back that this thread still has.

    The end of a `with` block is a line of its own: an error there comes before the lock is given
    back, and nothing catches it. No signal is looked for at that place.
    """
    while in_transit._is_owned():  # type: ignore[attr-defined]
        in_transit.release()


def left_on() -> list[str]:
    """Say what of this thread is not as it was when nothing ran."""
    found = {
        "a tape": state.recording.in_use,
        "another recording": state.recording is not state.outside,
        "a walk": state.recording.walking,
        "a log of reads": state.recording.read_log is not None,
        "a scope": stage.scope is not None or bool(open_scopes),
        "a call of a layer": bool(calls.stack) or stage.training is not None,
        "a log of settings": stage.log is not None,
        "an onlooker": bool(onlookers) or state.outside.onlooker is not None,
        "a lock": in_transit._is_owned(),  # type: ignore[attr-defined]
    }
    return [what for what, is_so in found.items() if is_so]


# -- scenarios -------------------------------------------------------------------------------------


@dataclass
class Scenario:
    """What is made, what is done with it, and what of it goes together.

    With `again`, what the act gives is asked for once more after the interrupt. `left` says what it
    has left behind that should not be there.
    """

    make: Callable[[], Any]
    act: Callable[[Any], Any]
    groups: Callable[[Any], Groups]
    again: bool = True
    left: Callable[[Any], list[str]] = lambda world: []


def model_and_optimizer() -> Any:
    nn.reset_names()
    hg.random.set_seed(0)
    model = nn.Sequential(
        [nn.Input((3,)), nn.Dense(4, "tanh"), nn.BatchNormalization(), nn.Dense(2)], name="model"
    )
    optimizer = optim.Adam(optim.schedules.ExponentialDecay(0.1, 10, 0.5), global_clipnorm=1.0)
    world = (
        model,
        optimizer,
        Batches(np.arange(24.0, dtype="f").reshape(8, 3), batch_size=4, seed=1),
    )
    train(world)
    return world


def train(world: Any) -> None:
    model, optimizer, batches = world
    (x,) = next(batches)
    with hg.GradientTape() as tape:
        loss = hg.mean(model(x, training=True) ** 2)
    variables = model.trainable_variables
    optimizer.apply(tape.gradient(loss, variables), variables)


def of_training(world: Any) -> Groups:
    model, optimizer, batches = world
    return {
        "step": [
            *(v.numpy() for v in model.trainable_variables),
            *(v.numpy() for v in optimizer.variables),
        ],
        "statistics": [v.numpy() for v in model.non_trainable_variables],
        "batches": [np.asarray([batches.epoch, batches.position])],
    }


def large() -> Any:
    variables = [hg.Variable(np.full(40_000, k + 1.0)) for k in range(2)]
    variables.append(hg.Variable([1.0, 2.0]))
    optimizer = optim.Adam(0.1)
    optimizer.apply([np.ones(v.shape) for v in variables], variables)
    return variables, optimizer


def large_step(world: Any) -> None:
    variables, optimizer = world
    optimizer.apply([np.ones(v.shape) for v in variables], variables)


def table() -> Any:
    hg.random.set_seed(0)
    layer = nn.Embedding(20, 2)
    layer(np.array([0]))
    return [layer.embeddings], optim.Adagrad(0.1)


def table_step(world: Any) -> None:
    variables, optimizer = world
    with hg.GradientTape() as tape:
        loss = hg.sum(hg.embedding(variables[0], np.array([3, 3, 7])) ** 2)
    optimizer.apply(tape.gradient(loss, variables), variables)


def of_optimizer(world: Any) -> Groups:
    variables, optimizer = world
    kept = optimizer.get_state()
    kept.pop("rule")
    if len(kept) == 2:  # its state is not there before its first step
        kept = {"iterations": kept["iterations"]}
    return {"step": [*(v.numpy() for v in variables), kept["iterations"]]}


@hg.custom_gradient
def doubled(x: Any) -> Any:
    return x * 2.0, lambda g: g * 3.0


def derivatives(world: Any) -> Any:
    """Tapes of all sorts, around and beside each other."""
    v, found = world
    results = []
    with hg.GradientTape(persistent=True) as outer:
        with hg.GradientTape() as inner:
            y = hg.sum(doubled(v) * hg.stop_gradient(v, label="kept") + v**3)
            with inner.stop_recording():
                _ = v * 5.0
        g = inner.gradient(y, v)
    results += [g, outer.gradient(g, v), outer.jacobian(g, v), outer.gradient(y, v)]
    results.append(hg.hvp(lambda x: hg.sum(x**3), v, hg.ones_like(v)))
    results.append(hg.jacobian(lambda x: x * x, mode="forward")(v.read_value()))
    with hg.ForwardAccumulator(v, hg.ones_like(v)) as accumulator:
        z = hg.recompute_grad(hg.sin)(v) * v
    results.append(accumulator.jvp(z))
    with hg.GradientTape() as tape:
        loss = hg.sum(hg.recompute_grad(lambda x: hg.exp(x) * x)(v))
    results.append(tape.gradient(loss, v))
    found[:] = [np.asarray(result) for result in results]


def explanations(world: Any) -> None:
    v, found = world
    told = []
    with hg.GradientTape(persistent=True) as tape:
        y = hg.sum(hg.stop_gradient(v) * float(v.numpy()[0]) + hg.round(v))
    told.append(str(tape.why(y, v, magnitudes=True)))
    with hg.trace() as traced:
        with hg.GradientTape() as tape:
            y = hg.sum(v * hg.stop_gradient(v))
        tape.gradient(y, v)
    told.append(str(len(traced.trace.events)))
    found[:] = [np.asarray([told[0].count("stop_gradient"), int(told[1])])]


def folder() -> Any:
    place = tempfile.TemporaryDirectory(prefix="headgate-faults-")
    variables = [hg.Variable(np.zeros(20), name=f"v{k}") for k in range(3)]
    optimizer = optim.SGD(0.1, momentum=0.9)
    optimizer.build(variables)
    checkpoints = Checkpoints(place.name, keep=2, v=variables, o=optimizer)
    for step in (1, 2):
        for v in variables:
            v.assign(np.full(20, float(step)))
        checkpoints.save(step)
    for v in variables:
        v.assign(np.full(20, 3.0))
    return variables, optimizer, checkpoints, place


def saved(world: Any) -> None:
    world[2].save(3)


def on_disk(world: Any) -> Groups:
    variables, _, _, place = world
    found = [hg.Variable(np.zeros(20), name=v.name) for v in variables]
    other = optim.SGD(0.1, momentum=0.9)
    other.build(found)
    newest = Checkpoints(place.name, v=found, o=other).restore()
    return {"newest": [np.asarray(newest), *(v.numpy() for v in found)]}


def temporary(world: Any) -> list[str]:
    world[2].save(4)  # which clears away what an interrupted one has left
    return [f"{name} is left" for name in os.listdir(world[3].name) if name.endswith(".tmp")]


def restored(world: Any) -> None:
    world[2].restore(1)


def in_memory(world: Any) -> Groups:
    return {"all": [v.numpy() for v in (*world[0], *world[1].variables)]}


def unbuilt() -> Any:
    nn.reset_names()
    hg.random.set_seed(0)

    class Block(nn.Model):
        def __init__(self) -> None:
            super().__init__(name="block")
            self.parts = [nn.Dense(3), nn.LSTM(2), nn.BatchNormalization()]
            self.attend = nn.MultiHeadAttention(2, 2)

        def call(self, x: Any) -> Any:
            x = self.parts[1](hg.reshape(self.parts[0](x), (-1, 1, 3)))
            x = self.parts[2](x)
            return self.attend(hg.reshape(x, (-1, 1, 2)), hg.reshape(x, (-1, 1, 2)))

    stack = nn.Sequential([nn.Input((3,))], name="stack")
    return Block(), stack


def build(world: Any) -> None:
    model, stack = world
    while len(stack.layers) < 2:
        stack.add(nn.Dense(2))
    model(np.ones((2, 3), "f"))


def of_names(world: Any) -> Groups:
    names = [(v.name, v.shape) for model in world for v in model.variables]
    finished = all(not model.unbuilt() for model in world)
    return {} if not finished else {"names": [np.asarray([f"{n} {s}" for n, s in names])]}


def pieces() -> Any:
    nn.reset_names()
    hg.random.set_seed(0)
    generator = hg.random.Generator(1)
    mean, auc = metrics.Mean(), metrics.AUC(num_thresholds=4)
    online = [hg.Variable(1.0, name="a"), hg.Variable(2.0, name="b")]
    target = [hg.Variable(0.0), hg.Variable(0.0)]
    average = optim.ExponentialMovingAverage(online, 0.5)
    layer = nn.Dense(2)
    layer.build((None, 2))
    return generator, mean, auc, online, target, average, layer


def use_pieces(world: Any) -> None:
    generator, mean, auc, online, target, average, layer = world
    generator.normal((3,))
    mean.update_state([1.0, 2.0])
    auc.update_state([0.0, 1.0], [0.2, 0.7])
    optim.soft_update(target, online, 0.5)
    layer.set_weights([np.ones((2, 2)), np.ones(2)])
    with average.applied():
        pass
    average.swap()


def of_pieces(world: Any) -> Groups:
    generator, mean, auc, online, target, average, layer = world
    return {
        "random": [generator.state.numpy()],
        "mean": [v.numpy() for v in mean.variables],
        "auc": [v.numpy() for v in auc.variables],
        "target": [v.numpy() for v in target],
        "average": [v.numpy() for v in (*online, *average.averages)]
        + [np.asarray(average.swapped)],
        "layer": [v.numpy() for v in layer.variables],
    }


def states() -> Any:
    world = pieces()
    saved = [world[k].get_state() for k in (0, 1, 2, 5, 6)]
    use_pieces(world)
    world[5].swap()
    return world, saved


def set_states(given: Any) -> None:
    world, saved = given
    for k, kept in zip((0, 1, 2, 5, 6), saved):
        world[k].set_state(kept)


_compiled: list[Any] = []


def compiled() -> Any:
    """Return the same world each time, as it was at first: it takes seconds to compile a step."""
    if not _compiled:
        world = model_and_optimizer()
        _compiled[:] = [*world, hg.function(train_on)], [each.get_state() for each in world]
        compiled_step(_compiled[0])
    world, first = _compiled
    for each, kept in zip(world, first):
        each.set_state(kept)
    compiled_step(world)
    return world


def train_on(model: Any, optimizer: Any, x: Any) -> Any:
    with hg.GradientTape() as tape:
        loss = hg.mean(model(x, training=True) ** 2)
    variables = model.trainable_variables
    optimizer.apply(tape.gradient(loss, variables), variables)
    return loss


def compiled_step(world: Any) -> None:
    model, optimizer, batches, step = world
    (x,) = next(batches)
    model.trainable_variables[0].assign_add(np.zeros((3, 4), "f"))  # one is taken in anew
    step(model, optimizer, x)


SCENARIOS: dict[str, Scenario] = {
    "training": Scenario(model_and_optimizer, train, of_training),
    "compiled": Scenario(compiled, compiled_step, lambda world: of_training(world[:3])),
    "large": Scenario(large, large_step, of_optimizer),
    "table": Scenario(table, table_step, of_optimizer),
    "derivatives": Scenario(
        lambda: (hg.Variable([1.0, 2.0], name="v"), []),
        derivatives,
        lambda world: {"found": world[1]} if world[1] else {},
    ),
    "why": Scenario(
        lambda: (hg.Variable([1.5, 2.0], name="v"), []),
        explanations,
        lambda world: {"found": world[1]} if world[1] else {},
    ),
    "save": Scenario(folder, saved, on_disk, left=temporary),
    "restore": Scenario(folder, restored, in_memory),
    "build": Scenario(unbuilt, build, of_names),
    "pieces": Scenario(pieces, use_pieces, of_pieces, again=False),
    "states": Scenario(states, set_states, lambda given: of_pieces(given[0])),
}


MODES: dict[str, dict[str, Any]] = {
    "interrupts": {},
    "memory": {"error": MemoryError},
    "lines": {"error": MemoryError, "lines": True},
}

# What changes values: there nothing may be half done, wherever it ends.
VALUES = ["training", "compiled", "large", "table", "save", "restore", "pieces", "states"]


# -- the trial -------------------------------------------------------------------------------------


def same(one: list[Any] | None, other: list[Any] | None) -> bool:
    if one is None or other is None or len(one) != len(other):
        return one is other
    return all(
        a.shape == b.shape and (a == b if a.dtype.kind in "US" else np.isclose(a, b, 1e-5)).all()
        for a, b in zip(one, other, strict=True)
    )


@dataclass
class Report:
    """How often a scenario was interrupted, and what went wrong, by the place of the interrupt."""

    places: int = 0
    interrupted: int = 0
    wrong: list[str] = field(default_factory=list)


class Trial:
    """One scenario: what it gives without an interrupt, and its places."""

    def __init__(self, name: str, mode: str = "interrupts") -> None:
        self.name = name
        self.mode = mode
        self.scenario = scenario = SCENARIOS[name]
        for _ in range(2):  # the first time, functions are written and tables filled
            world = scenario.make()
            self.before = scenario.groups(world)
            fault = Fault(**MODES[mode])
            fault.during(scenario.act, world)
            self.after = scenario.groups(world)
        self.report = Report(places=fault.count)

    def run(self, at: int) -> None:
        """Interrupt the scenario at one place, and look at what is left."""
        scenario, report = self.scenario, self.report
        fault = Fault(at, **MODES[self.mode])
        world = scenario.make()
        descriptors = self.descriptors()
        interrupted = fault.during(scenario.act, world)
        report.interrupted += bool(fault.place)
        wrong = left_on()
        if wrong and self.mode == "lines":  # where Python takes no signal, blocks end as they may
            wrong = []
            tidy()
        elif wrong:
            gc.collect()
            wrong = [f"{what} is left on" for what in left_on()]
            tidy()
        try:
            found = scenario.groups(world)
            wrong += self._split(found)
            if interrupted and not wrong and scenario.again:
                wrong += self._again(world, found)
            if self.descriptors() > descriptors:
                wrong.append("a file is left open")
            wrong += scenario.left(world)
        except Exception as error:
            wrong.append(f"{type(error).__name__}: {error}"[:300])
        report.wrong += [f"{self.name}, {fault.place}: {what}" for what in wrong]

    def descriptors(self) -> int:
        """Return how many files are open, where that can be known and is promised."""
        if self.mode == "lines" or not os.path.isdir("/proc/self/fd"):
            return 0
        return len(os.listdir("/proc/self/fd"))

    def _split(self, found: Groups) -> list[str]:
        """Name the groups that are neither as before nor as after."""
        names = {*self.before, *self.after, *found}
        return [
            f"{name} is half done"
            for name in sorted(names)
            if not any(
                same(found.get(name), state.get(name)) for state in (self.before, self.after)
            )
        ]

    def _again(self, world: Any, found: Groups) -> list[str]:
        """Act once more; if nothing had happened, it must give what it gives otherwise."""
        as_before = all(same(found.get(name), self.before.get(name)) for name in self.before)
        if not as_before or len(found) != len(self.before):
            self.scenario.act(world)
            return []
        self.scenario.act(world)
        last = self.scenario.groups(world)
        return [
            f"{k} differs when it is done again" for k in last if not same(last[k], self.after[k])
        ]


def tidy() -> None:
    """Switch off what was left on, so that the next trial finds nothing of it."""
    gc.collect()
    state.__init__()  # type: ignore[misc]
    vars(stage).clear()
    calls.__init__()  # type: ignore[misc]
    onlookers.clear()
    open_scopes.clear()


def leaked() -> int:
    """Return how many recordings are alive that no thread has."""
    gc.collect()
    return sum(type(each) is Recording for each in gc.get_objects())


FEWEST = 10
"""So many places are taken in any case, however slow the machine is."""


def run(
    names: list[str],
    count: int,
    seed: int,
    seconds: float | None = None,
    mode: str = "interrupts",
) -> Iterator[tuple[str, Report]]:
    """Interrupt scenarios so many times in all, evenly, at places drawn at random.

    Where there are fewer places than draws, each is taken once and more.
    """
    rng = pythons_random.Random(seed)
    each = -(-count // len(names))
    for name in names:
        trial = Trial(name, mode)
        places = list(range(trial.report.places))
        rng.shuffle(places)
        before = leaked()  # which takes seconds itself in a process that holds much
        end = None if seconds is None else time.monotonic() + seconds / len(names)
        for number in range(each):
            if end is not None and number >= FEWEST and time.monotonic() > end:
                break
            trial.run(places[number % len(places)])
        kept = leaked() - before
        if kept > 5:
            trial.report.wrong.append(f"{name}: {kept} recordings are never freed")
        yield name, trial.report


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Say nothing of warnings, and of interrupts that a `__del__` has swallowed."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda info: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.unraisablehook = hook


def main() -> int:
    parser = argparse.ArgumentParser(description="Interrupt Headgate everywhere.")
    parser.add_argument("scenarios", nargs="*", help=", ".join(SCENARIOS))
    parser.add_argument("--mode", choices=MODES, help="only these faults (else all sorts)")
    parser.add_argument(
        "--count", type=int, default=12_000, help="interrupts; half of other faults"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    wrong = 0
    with quiet():
        for mode in [options.mode] if options.mode else MODES:
            names = options.scenarios or (list(SCENARIOS) if mode == "interrupts" else VALUES)
            count = options.count if mode == "interrupts" else options.count // 2
            total: collections.Counter[str] = collections.Counter()
            for name, report in run(names, count, options.seed, mode=mode):
                total["faults"] += report.interrupted
                total["wrong"] += len(report.wrong)
                print(
                    f"{mode}, {name}: {report.places} places, {report.interrupted} faults, "
                    f"{len(report.wrong)} wrong",
                    flush=True,
                )
                for line, times in collections.Counter(report.wrong).most_common(20):
                    print(f"    {times} x {line}")
            print(f"{mode}: {total['faults']} faults, {total['wrong']} wrong")
            wrong += total["wrong"]
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
