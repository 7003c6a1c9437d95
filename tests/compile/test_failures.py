"""A call that is interrupted or fails: all variables are as before it, or all as after it."""

import linecache
import signal
import sys

import numpy as np
import pytest

import headgate as hg
from headgate import nn, optim
from headgate.compile import function as compiled
from headgate.core import bundle

pytest.importorskip("jax")
pytestmark = pytest.mark.usefixtures("jax")

OURS = {module.__file__ for module in (compiled, bundle)}


@pytest.fixture
def jax():
    return pytest.importorskip("jax")


class Interrupt(KeyboardInterrupt):
    """What is raised at the chosen line."""


def interrupted(call, line):
    """Interrupt a call before its nth line in our files; tell whether it had so many.

    Lines with `with` are left out: Python comes back to them to leave the block, and no signal is
    handled between that and the release of a lock. So are those that run while Ctrl-C is held back.
    """
    count, usual = 0, signal.getsignal(signal.SIGINT)

    def local(frame, event, argument):
        nonlocal count
        text = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
        held_back = signal.getsignal(signal.SIGINT) is not usual
        if event == "line" and not text.startswith("with ") and not held_back:
            count += 1
            if count == line:
                raise Interrupt
        return local

    def tracer(frame, event, argument):
        return local if frame.f_code.co_filename in OURS else None

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        call()
    except Interrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def counting(variables, silent=False):
    def step():
        for v in variables:
            v.assign_add(np.ones(2))
        return None if silent else variables[0] * 1.0

    return step


@pytest.mark.parametrize("donate", [None, False])
@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("library", ["numpy", "jax.numpy"])
def test_interrupted_at_each_line(library, silent, donate):
    """All variables have made the same number of steps, also where one was assigned before."""
    zeros = sys.modules[library].zeros if library in sys.modules else np.zeros
    variables = [hg.Variable(zeros(2)) for _ in range(3)]
    step = hg.function(counting(variables, silent), donate=donate)
    other = hg.function(counting(variables[1:]))
    step(), other()
    for v in variables:
        v.assign(np.zeros(2))
    line = 0
    while True:
        line += 1
        done = {float(v.numpy()[0]) for v in variables}
        assert len(done) == 1, f"mixed steps after an interrupt at line {line}"
        (before,) = done
        variables[-1].assign(np.full(2, before))  # so that they are gathered
        hit = interrupted(step, line)
        after = {float(v.numpy()[0]) for v in variables}
        assert after in ({before}, {before + 1}), f"line {line}"
        step()
        assert {float(v.numpy()[0]) for v in variables} == {after.pop() + 1}, f"line {line}"
        if not hit:
            break
    assert line > 20


def test_interrupted_while_variables_move_to_another_function():
    variables = [hg.Variable(np.zeros(2)) for _ in range(3)]
    one, two = hg.function(counting(variables)), hg.function(counting(variables[::-1]))
    one(), two(), one()
    line, steps = 0, 3
    while True:
        line += 1
        hit = interrupted(two if line % 2 else one, line)
        done = {float(v.numpy()[0]) for v in variables}
        assert done in ({steps}, {steps + 1}), f"line {line}"
        one(), two()
        steps = done.pop() + 2
        assert {float(v.numpy()[0]) for v in variables} == {steps}, f"line {line}"
        if not hit:
            break


def test_ctrl_c_does_not_split_a_call_that_gives_away(monkeypatch):
    """A real signal, between the program's end and the new values' being in place."""
    variables = [hg.Variable(np.zeros(2)) for _ in range(3)]
    step = hg.function(counting(variables), donate=True)
    step()
    renew = bundle.Bundle.renew

    def late(self, arrays, sure):
        signal.raise_signal(signal.SIGINT)
        renew(self, arrays, sure)

    monkeypatch.setattr(bundle.Bundle, "renew", late)
    with pytest.raises(KeyboardInterrupt):
        step()
    monkeypatch.undo()
    assert [float(v.numpy()[0]) for v in variables] == [2, 2, 2]
    step()
    assert [float(v.numpy()[0]) for v in variables] == [3, 3, 3]


def failing(jax, returned):
    """A step that writes, and calls the host, which raises as long as it is told to."""
    fails = [True]

    def host(x):
        if fails[0]:
            raise RuntimeError("the environment is closed")
        return x

    ask = hg.from_jax(lambda x: jax.pure_callback(host, jax.ShapeDtypeStruct((2,), x.dtype), x))
    v, w = hg.Variable(np.zeros(2)), hg.Variable(np.zeros(2))

    @hg.function
    def step():
        v.assign_add(np.ones(2))
        w.assign_add(ask(v) * 0.0 + 1.0)
        return hg.sum(w) if returned else None

    return step, (v, w), fails


@pytest.mark.parametrize("home", ["numpy", "jax"])
@pytest.mark.parametrize("returned", [True, False])
def test_a_host_callback_that_raises(jax, home, returned):
    step, variables, fails = failing(jax, returned)
    hg.to_backend(variables, home)
    for _ in range(2):
        with pytest.raises(Exception, match="the environment is closed"):
            step()
        assert [v.numpy().tolist() for v in variables] == [[0, 0], [0, 0]]
    fails[0] = False
    step()
    assert [v.numpy().tolist() for v in variables] == [[1, 1], [1, 1]]


def greedy(variables, returned):
    """A step that needs 3.2 TB for each element of its argument but the first."""

    def step(n):
        for v in variables:
            v.assign_add(np.ones(2))
        if n.shape[0] == 1:
            return hg.sum(n) if returned else None
        rows = (n.shape[0] - 1) * 1000
        pair = hg.reshape(variables[0] * np.array([1.0, 2.0]), (2, 1, 1))
        many = hg.broadcast_to(pair, (2, rows, 200_000_000))
        total = hg.sum(hg.sort(hg.reshape(many, (-1,))))
        if returned:
            return total
        variables[0].assign_add(total + hg.zeros(2))
        return None

    return step


@pytest.mark.cpu  # elsewhere the error may come later
@pytest.mark.parametrize("returned", [True, False])
def test_out_of_memory(jax, returned):
    variables = [hg.Variable(np.zeros(2)) for _ in range(2)]
    step = hg.function(greedy(variables, returned))
    step(np.ones(1))
    for home in ("numpy", "jax"):
        hg.to_backend(variables, home)
        with pytest.raises(Exception, match="Out of memory"):
            step(np.ones(2))
        assert [v.numpy().tolist() for v in variables] == [[1, 1], [1, 1]]
    step(np.ones(1))
    assert [v.numpy().tolist() for v in variables] == [[2, 2], [2, 2]]


def test_failures_are_found_later_where_programs_run_ahead(jax, monkeypatch):
    """As on an accelerator: what was put in place meanwhile is taken back, and it is said once."""
    monkeypatch.setattr(compiled.preferred(), "runs_ahead", lambda array: True)
    variables = [hg.Variable(np.zeros(2)) for _ in range(2)]
    step = hg.function(greedy(variables, returned=False))

    def values():
        return {float(x) for v in variables for x in v.numpy()}

    for _ in range(3):
        step(np.ones(1))
    assert values() == {3}
    step(np.ones(1))
    step(np.ones(2))
    with pytest.raises(Exception, match="Out of memory"):
        variables[0].numpy()
    assert values() == {4}
    step(np.ones(2))
    for _ in range(2):  # they depend on one that has failed
        step(np.ones(1))
    with pytest.raises(Exception, match="Out of memory"):
        variables[1].numpy()
    assert values() == {4}
    step(np.ones(1))
    variables[0].assign(np.full(2, 5.0))  # leaves the others while the program may run
    step(np.ones(1))
    assert values() == {6}
    step(np.ones(2))
    other = hg.function(counting(variables))
    with pytest.raises(Exception, match="Out of memory"):
        other()  # takes the variables from a function whose program has failed
    other()
    assert values() == {7}


def test_nothing_is_copied_for_who_holds_a_value():
    """An old value that somebody holds is nobody's to write over; it costs no copy either."""
    model = nn.Dense(2)
    model.build((None, 3))
    optimizer = optim.SGD(0.1)

    @hg.function
    def step(x):
        with hg.GradientTape() as tape:
            loss = hg.sum(model(x) ** 2)
        optimizer.apply(tape.gradient(loss, model.variables), model.variables)
        return loss

    x = np.ones((4, 3), "f")
    step(x)
    held = model.kernel._place[0].handed_out(model.kernel._place[1])
    step(x)
    assert not held.is_deleted()
