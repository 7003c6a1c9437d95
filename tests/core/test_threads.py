"""Threads: each has its own tapes; what they share is variables."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import headgate as hg
from headgate.record.graph import state

THREADS = 4


def in_threads(work):
    """Run `work(k)` in several threads that start together; return the results."""
    start = threading.Barrier(THREADS)

    def run(k):
        start.wait()
        return work(k)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, range(THREADS)))


def second_order(v, k):
    with hg.GradientTape() as outer:
        with hg.GradientTape() as inner:
            y = hg.sum(v**3) * float(k)
        first = inner.gradient(y, v)
    return outer.gradient(first, v).numpy()


def test_a_shared_variable_in_many_steps():
    v = hg.Variable([1.0, 2.0])
    results = in_threads(lambda k: [second_order(v, k) for _ in range(50)])
    for k, found in enumerate(results):
        np.testing.assert_array_equal(found, [[6.0 * k, 12.0 * k]] * 50)


@pytest.mark.parametrize(
    "transform",
    [
        lambda x: hg.grad(lambda x: hg.sum(x**2))(x),
        lambda x: hg.jvp(lambda x: x**2, (x,), (np.ones(2),))[1],
        lambda x: hg.grad(hg.recompute_grad(lambda x: hg.sum(x**2)))(x),
    ],
    ids=["grad", "jvp", "recompute"],
)
def test_transformations(transform):
    results = in_threads(lambda k: [transform(np.array([k, 1.0])).numpy() for _ in range(30)])
    for k, found in enumerate(results):
        np.testing.assert_array_equal(found, [[2.0 * k, 2.0]] * 30)


def test_a_tape_records_only_its_own_thread():
    v = hg.Variable(2.0)

    def work(k):
        before = state.recording
        alone = before is state.outside and not before.tapes
        y = v * 2.0
        return alone, y.node is None or not y.node.live

    with hg.GradientTape() as tape:
        assert in_threads(work) == [(True, True)] * THREADS
        y = v * v
    assert tape.gradient(y, v).numpy() == 4.0


def opened_elsewhere(tape, do):
    """Do something while a tape is open in another thread; return that and what is raised there."""
    entered, done, raised = threading.Event(), threading.Event(), []

    def work():
        try:
            with tape:
                entered.set()
                done.wait()
        except RuntimeError as error:
            raised.append(error)
            entered.set()

    thread = threading.Thread(target=work)
    thread.start()
    entered.wait()
    result = do()
    done.set()
    thread.join()
    return result, raised


def test_a_tape_that_is_open_in_another_thread_does_not_record_this_one():
    v, x = hg.Variable(3.0), hg.asarray(2.0)
    for own in (hg.GradientTape(), hg.GradientTape(persistent=True)):
        tape = hg.GradientTape(persistent=True)
        with own:
            own.watch(x)
            y, raised = opened_elsewhere(tape, lambda: v * v * x)
        assert not raised
        assert own.gradient(y, v).numpy() == 12.0
        assert tape.watched_variables() == ()
        assert not any(tape.why(y, [v, x]))


def test_a_record_is_not_shared_by_two_threads():
    v = hg.Variable(3.0)
    with hg.GradientTape() as outer:
        with hg.GradientTape(persistent=True) as shared:
            z = v * v
        y, raised = opened_elsewhere(shared, lambda: z * v)
        assert "another thread" in str(raised[0])
        assert "make a new tape" in str(raised[0])
        assert shared.why(y, v).kind == "outside_tape"
    assert outer.gradient(y, v).numpy() == 27.0
    y, raised = opened_elsewhere(shared, lambda: v * v)  # now nobody else is in it
    assert not raised


def test_an_exception_in_one_thread_leaves_the_others_alone():
    v = hg.Variable(2.0)
    entered, failed = threading.Barrier(THREADS), threading.Barrier(THREADS)

    def work(k):
        try:
            with hg.GradientTape() as tape:
                entered.wait()
                if k == 0:
                    failed.wait()
                    raise KeyError(k)
                y = v * float(k)
                failed.wait()
            return tape.gradient(y, v).numpy()
        except KeyError:
            return len(state.recording.tapes)

    assert in_threads(work) == [0, 1.0, 2.0, 3.0]


def test_tapes_of_interleaved_threads_ask_in_any_order():
    v = hg.Variable(2.0)
    tapes = in_threads(lambda k: record(v, k))
    for k, (tape, y) in reversed(list(enumerate(tapes))):
        assert tape.why(y, v).connected
        assert tape.gradient(y, v).numpy() == 4.0 * k


def record(v, k):
    with hg.GradientTape() as tape:
        y = v * v * float(k)
    return tape, y
