"""Dataset: pipelines of elements, their orders, their lengths, and threads that are ahead."""

import itertools
import threading
import time

import numpy as np
import pytest

import headgate as hg
import headgate.tf as tf
from headgate.data import Dataset

X = np.arange(10)


def numbers(dataset):
    return [np.asarray(each).tolist() for each in dataset]


def test_slices_keep_structure_and_are_tensors():
    element = next(iter(Dataset.from_tensor_slices({"a": X, "b": (X * 2.0, X[:, None])})))
    assert {name: type(part) for name, part in element.items()} == {"a": hg.Tensor, "b": tuple}
    assert element["b"][1].shape == (1,)
    assert numbers(Dataset.from_tensors(X)) == [X.tolist()]


def test_numbers_have_tensorflows_dtypes_under_its_name():
    plain = next(iter(Dataset.from_tensor_slices([1.0, 2.0])))
    named = next(iter(tf.data.Dataset.from_tensor_slices(([1.0], [1])).map(lambda x, y: (x, y))))
    assert plain.dtype == np.float64
    assert [each.dtype for each in named] == [np.float32, np.int32]
    assert type(tf.data.Dataset.range(3).map(lambda x: x).batch(2)) is tf.data.Dataset


PIPELINES = {  # what tf.data gives as well: tests/peers/test_dataset_peers.py
    "map": lambda D: D.range(5).map(lambda x: x * 2),
    "map of pairs": lambda D: D.range(4).map(lambda x: (x, x + 1)).map(lambda x, y: x * y),
    "filter": lambda D: D.range(9).filter(lambda x: x % 3 == 0),
    "batch": lambda D: D.range(7).batch(3),
    "batch without the rest": lambda D: D.range(7).batch(3, drop_remainder=True),
    "batches of batches": lambda D: D.range(8).batch(2).batch(2),
    "unbatch": lambda D: D.range(7).batch(3).unbatch(),
    "take and skip": lambda D: D.range(9).skip(2).take(4),
    "take all": lambda D: D.range(3).take(-1),
    "skip all": lambda D: D.range(3).skip(-1),
    "take too many": lambda D: D.range(3).take(9),
    "shard": lambda D: D.range(10).shard(3, 1),
    "repeat": lambda D: D.range(3).repeat(2),
    "repeat nothing": lambda D: D.range(3).repeat(0),
    "repeat and take": lambda D: D.range(3).repeat().take(7),
    "concatenate": lambda D: D.range(2).concatenate(D.range(5, 8)),
    "enumerate": lambda D: D.range(3, 6).enumerate(start=4),
    "zip": lambda D: D.zip((D.range(3), D.range(9))),
    "zip of several": lambda D: D.zip(D.range(3), D.range(4)),
    "interleave": lambda D: D.range(1, 6).interleave(
        lambda x: D.from_tensors(x).repeat(6), cycle_length=2, block_length=4
    ),
    "interleave of unlike": lambda D: D.range(4).interleave(
        lambda x: D.range(x), cycle_length=3, block_length=1
    ),
    "flat_map": lambda D: D.range(4).flat_map(lambda x: D.range(x)),
    "padded": lambda D: D.range(1, 5).map(lambda x: tf_fill(x)).padded_batch(2),
    "cache": lambda D: D.range(3).cache().repeat(2),
    "range": lambda D: D.range(10, 1, -3),
}


def tf_fill(x):
    """Return as many numbers as one says, in either library."""
    if isinstance(x, hg.Tensor):
        return np.full(int(x), int(x))
    import tensorflow

    return tensorflow.fill([x], x)


EXPECTED = {
    "map": [0, 2, 4, 6, 8],
    "map of pairs": [0, 2, 6, 12],
    "filter": [0, 3, 6],
    "batch": [[0, 1, 2], [3, 4, 5], [6]],
    "batch without the rest": [[0, 1, 2], [3, 4, 5]],
    "batches of batches": [[[0, 1], [2, 3]], [[4, 5], [6, 7]]],
    "unbatch": [0, 1, 2, 3, 4, 5, 6],
    "take and skip": [2, 3, 4, 5],
    "take all": [0, 1, 2],
    "skip all": [],
    "take too many": [0, 1, 2],
    "shard": [1, 4, 7],
    "repeat": [0, 1, 2, 0, 1, 2],
    "repeat nothing": [],
    "repeat and take": [0, 1, 2, 0, 1, 2, 0],
    "concatenate": [0, 1, 5, 6, 7],
    "enumerate": [[4, 3], [5, 4], [6, 5]],
    "zip": [[0, 0], [1, 1], [2, 2]],
    "zip of several": [[0, 0], [1, 1], [2, 2]],
    "interleave": [
        *([1] * 4 + [2] * 4 + [1] * 2 + [2] * 2),
        *([3] * 4 + [4] * 4 + [3] * 2 + [4] * 2 + [5] * 6),
    ],
    "interleave of unlike": [0, 0, 0, 1, 1, 2],
    "flat_map": [0, 0, 1, 0, 1, 2],
    "padded": [[[1, 0], [2, 2]], [[3, 3, 3, 0], [4, 4, 4, 4]]],
    "cache": [0, 1, 2, 0, 1, 2],
    "range": [10, 7, 4],
}


@pytest.mark.parametrize("case", PIPELINES)
def test_a_pipeline_gives_what_it_says_each_time(case):
    dataset = PIPELINES[case](Dataset)
    for _ in range(2):
        assert [np.asarray(each).tolist() for each in dataset.as_numpy_iterator()] == EXPECTED[case]
    if case not in ("filter", "unbatch", "interleave", "interleave of unlike", "flat_map"):
        assert len(dataset) == len(EXPECTED[case])
        assert int(dataset.cardinality()) == len(EXPECTED[case])


def test_lengths_that_nobody_knows():
    for dataset, number, text in [
        (Dataset.range(3).repeat(), -1, "infinite"),
        (Dataset.range(3).filter(lambda x: x > 0), -2, "not known"),
        (Dataset.from_generator(lambda: iter([1])), -2, "not known"),
    ]:
        assert int(dataset.cardinality()) == number
        with pytest.raises(TypeError, match=text):
            len(dataset)
        assert dataset  # truth does not ask for the length
    assert int(Dataset.range(0).repeat().cardinality()) == 0
    assert numbers(Dataset.range(0).repeat()) == []


def test_orders_are_those_of_the_seed_and_differ_between_passes():
    first = Dataset.range(20).shuffle(20, seed=3)
    again = Dataset.range(20).shuffle(20, seed=3)
    passes = [numbers(first) for _ in range(3)]
    assert passes == [numbers(again) for _ in range(3)]
    assert len({tuple(each) for each in passes}) == 3
    assert all(sorted(each) == list(range(20)) for each in passes)
    fixed = Dataset.range(20).shuffle(20, seed=3, reshuffle_each_iteration=False)
    assert numbers(fixed) == numbers(fixed)
    twice = numbers(Dataset.range(20).shuffle(20, seed=3).repeat(2))
    assert twice[:20] != twice[20:]
    assert sorted(twice[:20]) == list(range(20))


def test_an_order_without_a_seed_follows_the_global_one():
    orders = []
    for _ in range(2):
        hg.random.set_seed(5)
        orders.append(numbers(Dataset.range(20).shuffle(20)))
    assert orders[0] == orders[1] != list(range(20))


def test_a_small_buffer_moves_elements_only_so_far():
    order = numbers(Dataset.range(1000).shuffle(4, seed=0))
    assert sorted(order) == list(range(1000))
    assert max(each - place for place, each in enumerate(order)) <= 3


def test_an_iterator_goes_on_where_another_was():
    dataset = Dataset.range(12).shuffle(12, seed=1).map(lambda x: x * x).batch(2).prefetch(1)
    numbers(dataset)  # the second pass is looked at
    iterator = iter(dataset)
    before = [next(iterator).numpy().tolist() for _ in range(3)]
    state = iterator.get_state()
    rest = numbers(iterator)
    other = iter(Dataset.range(12).shuffle(12, seed=1).map(lambda x: x * x).batch(2))
    other.set_state(state)
    assert numbers(other) == rest
    assert len(before) + len(rest) == 6
    with pytest.raises(ValueError, match="given 99 elements, and the data set has only 6"):
        other.set_state({"pass": 0, "given": 99})
    with pytest.raises(ValueError, match="has 'pass' and 'given'"):
        other.set_state({})
    assert numbers(other) == []  # a state that does not fit changes nothing


def test_a_thread_is_ahead_and_ends_with_whoever_asks():
    made = []

    def generator():
        for number in range(100):
            made.append(number)
            yield number

    iterator = iter(Dataset.from_generator(generator).prefetch(3))
    assert int(next(iterator)) == 0
    deadline = time.monotonic() + 10
    while len(made) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert 4 <= len(made) <= 6
    del iterator
    while time.monotonic() < deadline:
        if not any(thread.name == "prefetch" for thread in threading.enumerate()):
            break
        time.sleep(0.01)
    assert not any(thread.name == "prefetch" for thread in threading.enumerate())
    assert len(made) < 10


def test_an_error_in_a_thread_comes_to_whoever_asks():
    def generator():
        yield 1
        raise OSError("the disk is gone")

    iterator = iter(Dataset.from_generator(generator).prefetch(2))
    assert int(next(iterator)) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(iterator)


def test_a_cache_asks_once():
    asked = []

    def double(x):
        asked.append(int(x))
        return x * 2

    dataset = Dataset.range(3).map(double).cache()
    assert next(iter(dataset)).numpy() == 0  # a pass that is broken off is not kept
    assert numbers(dataset) == numbers(dataset) == [0, 2, 4]
    assert asked == [0, 0, 1, 2]


def test_a_generator_is_called_for_each_pass_and_its_dtypes_hold():
    dataset = Dataset.from_generator(
        lambda n: ((k, [k, k]) for k in range(n)), (np.float32, np.int8), args=(3,)
    )
    assert len(list(dataset)) == len(list(dataset)) == 3
    first, second = next(iter(dataset))
    assert (first.dtype, second.dtype, second.shape) == (np.float32, np.int8, (2,))


def test_a_fold_and_a_model_take_it():
    assert int(Dataset.range(5).reduce(0, lambda total, x: total + x)) == 10
    model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    x = np.linspace(-1, 1, 12, dtype="float32")[:, None]
    pairs = tf.data.Dataset.from_tensor_slices((x, 2 * x)).shuffle(12, seed=0).batch(4)
    history = model.fit(pairs, epochs=3, verbose=0, validation_data=pairs)
    assert len(history.history["val_loss"]) == 3
    endless = pairs.repeat()
    assert model.fit(endless, epochs=2, steps_per_epoch=5, verbose=0).epoch == [0, 1]
    assert model.predict(pairs.map(lambda x, y: x), verbose=0).shape == (12, 1)


REFUSED = {
    "rows": (ValueError, "same number of rows", lambda: Dataset.from_tensor_slices((X, X[:3]))),
    "no rows": (ValueError, "arrays with rows", lambda: Dataset.from_tensor_slices(3)),
    "generator": (TypeError, "pass `lambda: it`", lambda: Dataset.from_generator(iter([1]))),
    "batch size": (ValueError, "batch_size", lambda: Dataset.range(3).batch(0)),
    "half": (TypeError, "buffer_size", lambda: Dataset.range(3).shuffle(1.5)),
    "shards": (ValueError, "index", lambda: Dataset.range(3).shard(2, 2)),
    "file": (ValueError, "kept in memory", lambda: Dataset.range(3).cache("here")),
    "zip": (TypeError, "zip takes data sets, not ndarray", lambda: Dataset.zip((X, X))),
    "interleave": (
        TypeError,
        "interleave takes data sets, not Tensor",
        lambda: list(Dataset.range(3).interleave(lambda x: x)),
    ),
    "shapes": (
        ValueError,
        r"different shapes, \(1,\) and \(2,\); use padded_batch",
        lambda: list(Dataset.range(1, 3).map(lambda x: np.ones(int(x))).batch(2)),
    ),
    "too large": (
        ValueError,
        r"shape \(2,\), more than the padded shape \(1,\)",
        lambda: list(
            Dataset.range(1, 3).map(lambda x: np.ones(int(x))).padded_batch(2, padded_shapes=[1])
        ),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_refused(case):
    error, text, call = REFUSED[case]
    with pytest.raises(error, match=text):
        call()


def test_passes_of_several_threads_are_apart():
    dataset = Dataset.range(200).shuffle(200, seed=0)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(sorted(numbers(dataset)))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [list(range(200))] * 4
    assert list(itertools.islice(iter(dataset), 0)) == []
