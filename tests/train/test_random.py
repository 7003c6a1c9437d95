"""Random draws: pure functions of key and number, with the moments that their formulas say."""

import copy
import pickle
import threading

import numpy as np
import pytest

import headgate as hg
import headgate.tf as tf
from headgate import random
from headgate.random import Generator

MANY = 40_000
DRAWS = {
    "normal": lambda source, shape: source.normal(shape),
    "float32": lambda source, shape: source.normal(shape, 1.0, 2.0, "float32"),
    "truncated_normal": lambda source, shape: source.truncated_normal(shape),
    "uniform": lambda source, shape: source.uniform(shape, -1.0, 3.0),
    "integers": lambda source, shape: source.integers(shape, -2, 7),
    "permutation": lambda source, shape: source.permutation(100),
    "categorical": lambda source, shape: source.categorical(np.zeros((*shape, 5))),
    "bernoulli": lambda source, shape: source.bernoulli(0.3, shape),
    "shuffle": lambda source, shape: source.shuffle(np.arange(100)),
    "gamma": lambda source, shape: source.gamma(2.5, shape),
    "poisson": lambda source, shape: source.poisson(4.0, shape),
    "stream": lambda source, shape: hg.asarray(source.stream().random(shape)),
}
every_draw = pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)


def number_of(source):
    *_, low, high = source.state.numpy().tolist()
    return low + (high << 32)


# -- the state -------------------------------------------------------------------------------------


@every_draw
def test_a_draw_is_a_function_of_key_and_number(draw):
    first, second = Generator(5), Generator(5)
    for _ in range(3):
        first.normal((1000,))
    for _ in range(3):  # as many draws, of other kinds and sizes
        second.integers((7,), 0, 3, "int8")
    state = first.get_state()
    expected = draw(first, (30,)).numpy()
    np.testing.assert_array_equal(draw(second, (30,)).numpy(), expected)
    assert number_of(first) == number_of(second) == 4
    assert not np.array_equal(draw(first, (30,)).numpy(), expected)
    assert not np.array_equal(draw(Generator(6), (30,)).numpy(), expected)
    first.set_state(state)
    np.testing.assert_array_equal(draw(first, (30,)).numpy(), expected)


def test_the_state_is_a_variable_of_six_words():
    source = Generator(3, name="noise")
    state = source.state
    assert type(state) is hg.Variable
    assert (state.name, state.trainable, state.shape, state.dtype) == (
        "noise",
        False,
        (6,),
        "uint32",
    )
    before = state.numpy()
    source.normal()
    assert source.state is state
    np.testing.assert_array_equal(state.numpy() - before, [0, 0, 0, 0, 1, 0])
    assert repr(source) == "<Generator 'noise', 1 draws done>"


def test_the_number_carries_into_its_high_word():
    source = Generator(3)
    key = source.state.numpy()[:4]
    source.set_state({"state": np.array([*key, 0xFFFF_FFFF, 6], np.uint32)})
    first = source.normal((4,)).numpy()
    assert source.state.numpy()[4:].tolist() == [0, 7]
    assert not np.array_equal(source.normal((4,)).numpy(), first)


def test_whoever_writes_the_variable_sets_the_state():
    source, other = Generator(1), Generator(2)
    source.state.assign(other.state)
    assert source.uniform() == other.uniform()


def test_a_kept_value_of_the_state_stays():
    source = Generator(1)
    before = source.state.read_value()
    kept = before.numpy()
    source.normal()
    np.testing.assert_array_equal(before.numpy(), kept)


def test_the_system_seeds_what_has_no_seed():
    assert Generator().normal() != Generator().normal()


def test_seeds_of_any_size_are_all_different():
    seeds = [0, 1, 2**32, 2**32 + 1, 2**200, -1, (1, 0), (0, 1), (1, 2, 0)]
    assert len({tuple(Generator(seed).state.numpy().tolist()) for seed in seeds}) == len(seeds)
    assert Generator([1, 2]).normal() == Generator((1, 2)).normal()


def test_copies_go_on_alone():
    source = Generator(4)
    source.normal()
    for made in (copy.deepcopy(source), pickle.loads(pickle.dumps(source))):
        state = source.get_state()
        assert made.normal() == source.normal()
        assert made.state is not source.state
        source.set_state(state)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (None, r"has the keys \['state'\], and this one is None"),
        ({"key": 1}, r"and this one is \['key'\]"),
        ({"state": np.zeros(5, "u4")}, r"shape \(6,\) and the dtype uint32, this one has \(5,\)"),
        ({"state": np.zeros(6)}, r"this one has \(6,\) and float64"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(state, message):
    source = Generator(0)
    before = source.state.numpy()
    with pytest.raises(ValueError, match=message):
        source.set_state(state)
    np.testing.assert_array_equal(source.state.numpy(), before)


# -- the default generator -------------------------------------------------------------------------


def test_set_seed_repeats_everything():
    def draws():
        hg.random.set_seed(12)
        return [
            hg.random.normal((2,)).tolist(),
            hg.random.uniform((2,)).tolist(),
            hg.random.generator().random(2).tolist(),
            hg.random.split()[1].normal((2,)).tolist(),
            hg.random.get_generator(3).normal((2,)).tolist(),
        ]

    first = draws()
    hg.random.normal()
    assert draws() == first
    assert len({tuple(draw) for draw in first}) == 5


def test_the_module_resumes_bit_for_bit():
    hg.random.set_seed(1)
    hg.random.normal((3,))
    hg.random.get_generator(7).normal()

    def rest():
        with_seeds = [hg.random.get_generator(seed).normal((2,)).tolist() for seed in (7, 8)]
        return [hg.random.truncated_normal((4,)).tolist(), *with_seeds]

    state = hg.random.get_state()
    assert state["operations"].keys() == {"7"}
    expected = rest()
    hg.random.set_seed(99)
    rest()
    hg.random.set_state(state)
    assert rest() == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"state": np.zeros(6)}, "state: a generator's state .* has .6,. and float64"),
        ({"operations": {"1": np.zeros(2, "u4")}}, "operations/1: a generator's state"),
        ({"operations": {"one": np.zeros(6, "u4")}}, "a seed that is a whole number"),
        ({"operations": 3}, "and operations by their seed, not 5 and 3"),
        ({"seed": "five"}, "whole number, and operations by their seed, not 'five'"),
        ({"more": 1}, "has the keys"),
    ],
)
def test_a_state_of_the_module_that_does_not_fit_is_refused(change, message):
    hg.random.set_seed(5)
    before = hg.random.get_state()
    with pytest.raises(ValueError, match=message):
        hg.random.set_state({**before, **change})
    np.testing.assert_equal(hg.random.get_state(), before)


def test_threads_share_a_generator_without_sharing_a_draw():
    source = Generator(8)
    expected = {
        float(Generator.normal(copied)) for copied in [copy.deepcopy(source)] for _ in range(2000)
    }
    found = [[], []]

    def work(mine):
        for _ in range(1000):
            mine.append(float(source.normal()))

    threads = [threading.Thread(target=work, args=(mine,)) for mine in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert number_of(source) == 2000
    assert set(found[0] + found[1]) == expected


# -- tapes and reports -----------------------------------------------------------------------------


def test_the_state_is_nothing_to_tapes():
    source = Generator(0)
    v = hg.Variable(2.0)
    with hg.GradientTape() as tape:
        y = v * source.normal() + hg.random.uniform() * v
    assert [watched is v for watched in tape.watched_variables()] == [True]
    assert "cut" not in str(tape.why(y, v))
    assert tape.gradient(y, v) is not None
    assert source.state._source.past is None


def test_parameters_get_gradient_by_reparameterisation():
    mean, stddev = hg.Variable([1.0, -1.0]), hg.Variable(0.5)
    with hg.GradientTape(persistent=True) as tape:
        x = Generator(3).normal((4, 2), mean, stddev)
        y = Generator(3).uniform((5,), low=-stddev, high=stddev)
    np.testing.assert_array_equal(tape.gradient(x, mean).numpy(), [4.0, 4.0])
    noise = Generator(3).normal((4, 2)).numpy()
    np.testing.assert_allclose(tape.gradient(x, stddev).numpy(), noise.sum())
    np.testing.assert_allclose(x.numpy(), noise * 0.5 + mean.numpy())
    np.testing.assert_allclose(tape.gradient(y, stddev).numpy(), y.numpy().sum() / 0.5)


@pytest.mark.parametrize(
    "draw", [random.categorical, random.bernoulli, random.gamma, random.poisson, random.shuffle]
)
def test_sampling_is_a_cut(draw):
    v = hg.Variable([0.2, 0.8])
    with hg.GradientTape() as tape:
        y = draw(v)
    assert tape.gradient(y, v) is None
    assert draw.__name__ in str(tape.why(y, v))


# -- statistics: fixed seeds, bounds of five standard errors ---------------------------------------

CUT = 0.87962566103423978**2
MOMENTS = {  # mean and variance
    "normal": (0.0, 1.0),
    "float32": (1.0, 4.0),
    "truncated_normal": (0.0, CUT),
    "uniform": (1.0, 16 / 12),
    "integers": (2.0, (81 - 1) / 12),
    "categorical": (2.0, 2.0),
    "bernoulli": (0.3, 0.21),
    "gamma": (2.5, 2.5),
    "poisson": (4.0, 4.0),
    "stream": (0.5, 1 / 12),
}


@pytest.mark.parametrize("name", MOMENTS)
def test_moments(name):
    mean, variance = MOMENTS[name]
    found = DRAWS[name](Generator(11), (MANY,)).numpy().astype(float).reshape(-1)
    fourth = np.mean((found - mean) ** 4)
    assert abs(found.mean() - mean) < 5 * np.sqrt(variance / MANY)
    assert abs(found.var() - variance) < 5 * np.sqrt((fourth - variance**2) / MANY)


def test_probabilities_of_categories():
    logits = np.log([[0.1, 0.2, 0.7], [0.5, 0.4, 0.1]])
    drawn = Generator(2).categorical(logits, MANY).numpy()
    for row, chances in zip(drawn, np.exp(logits)):
        found = np.bincount(row, minlength=3) / MANY
        assert np.all(np.abs(found - chances) < 5 * np.sqrt(chances * (1 - chances) / MANY))


def test_all_orders_are_equally_probable():
    source = Generator(1)
    for draw in (lambda: source.permutation(3), lambda: source.shuffle([0, 1, 2])):
        orders = [tuple(draw().tolist()) for _ in range(3000)]
        counts = [orders.count(order) for order in set(orders)]
        assert len(counts) == 6
        assert np.all(np.abs(np.array(counts) - 500) < 5 * np.sqrt(3000 * 5 / 36))


def correlations(rows):
    found = np.corrcoef(rows)
    return np.abs(found[~np.eye(len(rows), dtype=bool)])


def test_successive_draws_are_independent():
    source = Generator(0)
    rows = [source.normal((MANY,)).numpy() for _ in range(6)]
    assert correlations(rows).max() < 5 / np.sqrt(MANY)
    singles = np.array([float(source.normal()) for _ in range(5000)])
    for lag in (1, 2, 3):
        assert correlations([singles[lag:], singles[:-lag]]).max() < 5 / np.sqrt(5000)
    assert abs(singles.mean()) < 5 / np.sqrt(5000)


def test_split_streams_and_neighbouring_seeds_are_independent():
    parent = Generator(0)
    children = parent.split(3)
    grandchildren = children[0].split(2)
    sources = [parent, *children, *grandchildren, Generator(1), Generator(2), Generator(0)]
    rows = [source.normal((MANY,)).numpy() for source in sources]
    assert correlations(rows).max() < 5 / np.sqrt(MANY)
    again = Generator(0).split(3)
    np.testing.assert_array_equal(again[2].normal((MANY,)).numpy(), rows[3])


# -- shapes, dtypes, errors ------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_uniform_draw_never_reaches_its_end(dtype):
    for low, high in [(0.0, 1.0), (1.0, 2.0), (-1, 3), (5.0, 5.0)]:
        found = Generator(0).uniform((MANY,), low, high, dtype)
        assert found.dtype == dtype
        assert found.numpy().min() >= low
        assert found.numpy().max() < high or low == high


def test_shapes_and_dtypes():
    source = Generator(0)
    assert source.normal().shape == ()
    assert source.normal(3).shape == (3,)
    assert source.truncated_normal().shape == ()
    assert source.normal([hg.asarray(2), 3]).shape == (2, 3)
    assert source.normal(np.array([2, 3]), np.zeros(3)).shape == (2, 3)
    assert source.uniform((2,), np.zeros(2), [1.0, 2.0]).shape == (2,)
    for dtype in ("float16", "float32", "float64"):
        assert source.normal((2,), dtype=dtype).dtype == dtype
        assert source.truncated_normal((2,), 1.0, 2.0, dtype=dtype).dtype == dtype
    for dtype in ("int8", "uint8", "int32", "int64"):
        assert source.uniform((2,), 0, 100, dtype).dtype == dtype
    assert source.integers((3,), np.array([0, 10, 20]), np.array([1, 11, 21])).tolist() == [
        0,
        10,
        20,
    ]
    assert source.bernoulli(np.float32(0.5), (2, 3)).dtype == "float32"
    assert source.bernoulli(0.5, 4).shape == (4,)
    assert source.poisson(np.float32([1.0, 2.0])).shape == (2,)
    assert np.abs(source.truncated_normal((MANY,)).numpy()).max() <= 2.0


def test_mistakes_are_explained():
    source = Generator(0)
    for exception, message, action in [
        (ValueError, "from low=2.0 up to high=1.0", lambda: source.uniform((), 2.0, 1.0)),
        (ValueError, "from low=3 up to high=3", lambda: source.integers((2,), 3, 3)),
        (ValueError, "out of bounds for uint8", lambda: source.integers((), 0, 300, "uint8")),
        (ValueError, "normal draws floats, not int32", lambda: source.normal((), dtype="int32")),
        (ValueError, "probabilities must be from 0 to 1", lambda: source.bernoulli([0.5, 1.5])),
        (TypeError, "float", lambda: source.normal((2.5,))),
        (TypeError, "float", lambda: Generator(0.5)),
        (TypeError, "float", lambda: hg.random.set_seed(0.5)),
    ]:
        with pytest.raises(exception, match=message):
            action()


# -- TensorFlow's names ----------------------------------------------------------------------------


def test_tf_draws_are_float32_and_take_tensors():
    assert tf.random.normal([2, 3]).dtype == np.float32
    assert tf.random.uniform(tf.constant([2, 3])).dtype == np.float32
    assert tf.random.truncated_normal([tf.constant(2)], 1.0, 0.1).dtype == np.float32
    found = tf.random.uniform([100], tf.constant(3), tf.constant(5), dtype=tf.int32)
    assert set(found.numpy().tolist()) == {3, 4}
    assert tf.random.gamma([5], [1.0, 2.0], beta=[[1.0], [2.0], [3.0]]).shape == (5, 3, 2)
    assert tf.random.poisson([5], [1.0, 2.0], dtype=tf.int32).dtype == np.int32
    with pytest.raises(ValueError, match="Must specify maxval for integer dtype int32"):
        tf.random.uniform([2], dtype=tf.int32)


def test_tf_gamma_has_the_right_rate_and_a_gradient_for_it():
    beta = tf.Variable(4.0)
    with tf.GradientTape() as tape:
        mean = tf.reduce_mean(tf.random.gamma([MANY], 2.0, beta, seed=1))
    assert abs(mean.numpy() - 0.5) < 5 * np.sqrt(2 / 16 / MANY)
    np.testing.assert_allclose(tape.gradient(mean, beta), -mean.numpy() / 4, rtol=1e-5)


def test_tf_operation_seeds():
    """Successive draws differ, set_seed starts them anew, and other draws do not matter."""

    def draws(seed):
        return [tf.random.normal([2], seed=seed).numpy().tolist() for _ in range(2)]

    tf.random.set_seed(1)
    first = draws(5)
    assert first[0] != first[1]
    tf.random.set_seed(1)
    tf.random.normal([3])
    draws(6)
    assert draws(5) == first
    tf.random.set_seed(2)
    assert draws(5) != first
    tf.random.set_seed(1)
    assert draws(6) != first
    for draw in (
        lambda: tf.random.uniform([3], seed=4),
        lambda: tf.random.truncated_normal([3], seed=4),
        lambda: tf.random.categorical(np.zeros((1, 90)), 3, seed=4),
        lambda: tf.random.shuffle(np.arange(90), seed=4),
        lambda: tf.random.gamma([3], 1.0, seed=4),
        lambda: tf.random.poisson([3], 100.0, seed=4),
    ):
        tf.random.set_seed(1)
        expected = draw().numpy()
        tf.random.set_seed(1)
        np.testing.assert_array_equal(draw().numpy(), expected)
        assert not np.array_equal(draw().numpy(), expected)


def test_tf_generators():
    source = tf.random.Generator.from_seed(3)
    values = source.normal([2], 1.0, 0.5).numpy()
    assert values.dtype == np.float32
    np.testing.assert_array_equal(tf.random.Generator.from_seed(3).normal([2], 1.0, 0.5), values)
    source.reset_from_seed(3)
    np.testing.assert_array_equal(source.normal([2], 1.0, 0.5), values)
    assert source.uniform([2], maxval=4, dtype=tf.int64).dtype == np.int64
    assert source.split(2)[0].truncated_normal([2]).dtype == np.float32
    free = [tf.random.Generator.from_non_deterministic_state().normal([]) for _ in range(2)]
    assert free[0] != free[1]


def test_tf_global_generator_is_the_default_one():
    tf.random.set_seed(5)
    first = [tf.random.normal([]).numpy() for _ in range(2)]
    tf.random.set_seed(5)
    assert [tf.random.get_global_generator().normal([]).numpy() for _ in range(2)] == first


def test_tf_stateless_draws_leave_no_trace():
    before = hg.random.get_state()
    for draw in (
        tf.random.stateless_normal,
        tf.random.stateless_uniform,
        tf.random.stateless_truncated_normal,
    ):
        first, second, other = (draw([3], seed=seed).numpy() for seed in ([1, 2], (1, 2), [2, 1]))
        np.testing.assert_array_equal(first, second)
        assert not np.array_equal(first, other)
        assert first.dtype == np.float32
    drawn = [tf.random.stateless_categorical(np.zeros((1, 90)), 9, seed=[1, 2]) for _ in range(2)]
    np.testing.assert_array_equal(*drawn)
    np.testing.assert_equal(hg.random.get_state(), before)
