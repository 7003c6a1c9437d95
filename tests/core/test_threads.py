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
