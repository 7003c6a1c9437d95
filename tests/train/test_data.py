"""Batches: every row once an epoch, orders that depend on seed and epoch alone, exact resuming."""

import itertools
import json

import numpy as np
import pytest

import headgate as hg
from headgate.data import Batches

X = np.arange(20.0).reshape(10, 2)
Y = np.arange(10)


def epoch(batches):
    return list(itertools.islice(batches, len(batches)))


def rows(batches):
    return np.concatenate([y for *_, y in epoch(batches)])


def test_each_epoch_has_every_row_once_in_an_order_of_its_own():
    batches = Batches(X, Y, batch_size=3, seed=1, drop_last=False)
    first, second = epoch(batches), epoch(batches)
    assert [len(y) for _, y in first] == [3, 3, 3, 1]
    for x, y in first + second:
        np.testing.assert_array_equal(x, X[y])
    orders = [np.concatenate([y for _, y in part]) for part in (first, second)]
    assert orders[0].tolist() != orders[1].tolist() != sorted(orders[1])
    for order in orders:
        assert sorted(order) == Y.tolist()
    assert (batches.epoch, batches.position) == (2, 0)


def test_the_order_is_a_function_of_seed_and_epoch():
    def orders(seed):
        batches = Batches(Y, batch_size=5, seed=seed)
        return [rows(batches).tolist() for _ in range(3)]

    assert orders(4) == orders(4)
    assert orders(4) != orders(5)
    other_size = Batches(Y, batch_size=2, seed=4)
    assert [rows(other_size).tolist() for _ in range(3)] == orders(4)


def test_rows_that_fill_no_batch_are_dropped():
    batches = Batches(Y, batch_size=4, seed=0)
    assert len(batches) == 2
    assert [len(y) for (y,) in epoch(batches)] == [4, 4]
    seen = {int(y) for _ in range(20) for y in rows(batches)}
    assert seen == set(range(10))


def test_without_shuffling_the_rows_come_as_they_are():
    batches = Batches(Y, batch_size=5, shuffle=False)
    for _ in range(2):
        assert rows(batches).tolist() == Y.tolist()


def test_epochs_end_the_iterator():
    batches = Batches(Y, batch_size=3, epochs=2, seed=0)
    assert len(list(batches)) == 6
    with pytest.raises(StopIteration):
        next(batches)
    assert list(Batches(Y, batch_size=3, epochs=0)) == []


def test_without_a_seed_one_is_drawn():
    hg.random.set_seed(3)
    first, second = (Batches(Y, batch_size=3).seed for _ in range(2))
    hg.random.set_seed(3)
    assert Batches(Y, batch_size=3).seed == first != second


def test_nested_structures_tensors_and_read_only_arrays(tmp_path):
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    frozen = Y.copy()
    frozen.flags.writeable = False
    given = {"x": mapped, "more": (frozen, hg.asarray(Y))}
    batch, alone = next(Batches(given, Y, batch_size=4, seed=0))
    np.testing.assert_array_equal(batch["x"], X[alone])
    for part in batch["more"]:
        np.testing.assert_array_equal(part, alone)
    assert type(batch["x"]) is np.ndarray
    batch["x"][:] = 0.0
    np.testing.assert_array_equal(mapped, X)


@pytest.mark.parametrize("done", range(9))
def test_a_state_resumes_anywhere(done):
    batches = Batches(Y, batch_size=3, drop_last=False, epochs=2, seed=7)
    for _ in range(done):
        next(batches)
    state = json.loads(json.dumps(batches.get_state()))
    rest = [y.tolist() for (y,) in batches]
    assert len(rest) == 8 - done
    other = Batches(Y, batch_size=3, drop_last=False, epochs=2, seed=8)
    next(other)
    other.set_state(state)
    assert [y.tolist() for (y,) in other] == rest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": 11}, "with rows=11, and these have rows=10: it belongs to other data"),
        ({"batch_size": 2}, "with batch_size=2, and these have batch_size=3"),
        ({"shuffle": False}, "shuffle=False"),
        ({"drop_last": False}, "drop_last=False"),
        ({"position": 3}, "position=3, and an epoch has only 3 batches"),
        ({"position": -1}, "position=-1, which must be a whole number"),
        ({"epoch": "two"}, "epoch='two', which must be a whole number"),
        ({"seed": 0.5}, "seed=0.5, which must be a whole number"),
        ({"other": 1}, r"has the keys \['batch_size', .* and this one is \['batch_size'"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(change, message):
    batches = Batches(Y, batch_size=3, seed=0)
    next(batches)
    before = batches.get_state()
    with pytest.raises(ValueError, match=message):
        batches.set_state({**before, "position": 2, **change})
    assert batches.get_state() == before
    with pytest.raises(ValueError, match="and this one is None"):
        batches.set_state(None)


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ((), {}, "at least one array"),
        (({},), {}, "at least one array"),
        ((X, Y[:3]), {}, r"same number of rows, got the shapes \[0\] \(10, 2\), \[1\] \(3,\)"),
        (({"x": X, "y": Y[:3]},), {}, r"\[0\]\['x'\] \(10, 2\), \[0\]\['y'\] \(3,\)"),
        ((X[:0], Y[:0]), {}, r"no rows to take batches of: \[0\] \(0, 2\)"),
        (([1, 2, 3],), {}, r"a single number has none: \[0\]\[0\] \(\).*numpy.asarray"),
        ((X,), {"batch_size": 0}, "batch_size must be a positive integer, got 0"),
        ((X,), {"batch_size": 11}, "batch_size=11 is more than the 10 rows of the data"),
        ((X,), {"epochs": -1}, "epochs must be a non-negative integer, got -1"),
        ((X,), {"seed": -2}, "seed must be a non-negative integer, got -2"),
    ],
)
def test_mistakes_are_explained(arrays, options, message):
    with pytest.raises(ValueError, match=message):
        Batches(*arrays, **{"batch_size": 2, **options})


def test_a_batch_larger_than_the_data_may_be_incomplete():
    batches = Batches(Y, batch_size=20, drop_last=False, epochs=1)
    assert len(batches) == 1
    assert [len(y) for (y,) in batches] == [10]


def test_repr():
    batches = Batches(Y, batch_size=3)
    next(batches)
    assert repr(batches) == "<Batches of 3 of 10 rows, epoch 0, batch 1 of 3>"
