"""A call that is interrupted or fails: all variables are as before it, or all as after it."""

import linecache
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import headgate as hg
from headgate import nn, optim
from headgate.compile import function as compiled
from headgate.core import bundle
from headgate.core.bundle import in_transit

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
    handled between that and the release of a lock.
    """
    count = 0

    def local(frame, event, argument):
        nonlocal count
        text = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
        if event == "line" and not text.startswith("with "):
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
        assert not in_transit._is_owned(), f"a lock is left on at line {line}"
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


def entered(call):
    """Return the functions in Python that are entered while arrays are written over."""
    names, over = [], bundle.Bundle.write_over.__code__

    def note(frame, event, argument):
        if event == "call" and frame.f_back is not None and frame.f_back.f_code is over:
            names.append(frame.f_code.co_qualname)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(before)
    return names


@pytest.mark.cpu
@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("library", ["numpy", "jax.numpy"])
def test_no_python_runs_between_a_program_and_its_new_values(jax, library, silent):
    """A signal's handler would run there, and lose both if it raises."""
    zeros = sys.modules[library].zeros
    variables = [hg.Variable(zeros(2)) for _ in range(3)]
    step = hg.function(counting(variables, silent))
    step()
    assert entered(step) == ["_look"]  # before it runs
    for _ in range(3):
        old = variables[0]._place[0].arrays[0]
        step()
        assert old.is_deleted()


@pytest.mark.cpu
@pytest.mark.parametrize("setting", ["first", "precision", "device", "cleared", "nan", "infinite"])
def test_interrupted_within_jax(setting):
    """Where a call goes on in Python, it is given copies: at each place there, nothing is lost."""
    script = Path(__file__).with_name("within_jax.py")
    done = subprocess.run(
        [sys.executable, script, setting], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.cpu
def test_not_a_number_is_said_and_nothing_is_lost(jax):
    """JAX looks at results when the program is over, if it is asked to."""
    variables = [hg.Variable(np.zeros(2)) for _ in range(2)]

    @hg.function
    def step(x):
        for v in variables:
            v.assign_add(x / x)

    step(np.ones(2))
    with jax.debug_nans(True), pytest.raises(Exception, match="nan"):
        step(np.zeros(2))
    assert [v.numpy().tolist() for v in variables] == [[1, 1], [1, 1]]
    step(np.ones(2))
    assert [v.numpy().tolist() for v in variables] == [[2, 2], [2, 2]]


@pytest.mark.cpu
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="timers are of Unix")
@pytest.mark.parametrize("silent", [False, True])
def test_a_handler_that_raises_between_calls(silent):
    """A timer strikes at some moment of a step, as the end of a batch job does."""

    def strike(number, frame):
        if armed:
            raise Interrupt

    variables = [hg.Variable(np.zeros(2000)) for _ in range(30)]

    @hg.function
    def step():
        for v in variables:
            v.assign_add(np.ones(2000))
        return None if silent else variables[0] * 1.0

    step()
    assert "tf.aliasing_output" in step.lower_text()
    draw, usual, armed = random.Random(0), signal.signal(signal.SIGALRM, strike), False
    try:
        for _ in range(60):
            try:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, draw.uniform(0.0001, 0.002), 0.001)
                while True:
                    step()
            except Interrupt:
                armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            assert len({x for v in variables for x in v.numpy().tolist()}) == 1
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, usual)


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
