"""Random draws in compiled functions: new at each call, repeated from a seed, of the right sort."""

import numpy as np
import pytest

import headgate as hg
import headgate.tf as tf
from headgate import nn

pytestmark = [pytest.mark.peers, pytest.mark.light]

COUNT = 4000
P = np.array([0.2, 0.8])

# What is drawn, its mean, and its standard deviation.
DRAWS = {
    "normal": (lambda: hg.random.normal((COUNT,), 2.0, 3.0), 2.0, 3.0),
    "truncated_normal": (lambda: hg.random.truncated_normal((COUNT,)), 0.0, 0.8796),
    "uniform": (lambda: hg.random.uniform((COUNT,), 1.0, 3.0), 2.0, 0.5774),
    "whole numbers": (lambda: hg.random.uniform((COUNT,), 0, 5, dtype="int32"), 2.0, 1.4142),
    "integers": (lambda: hg.random.integers((COUNT,), 0, 3), 1.0, 0.8165),
    "categorical": (lambda: hg.random.categorical(np.log(P)[None], COUNT), 0.8, 0.4),
    "bernoulli": (lambda: hg.random.bernoulli(P, (COUNT,)), 0.5, 0.5),
    "gamma": (lambda: hg.random.gamma([4.0], (COUNT,)), 4.0, 2.0),
    "poisson": (lambda: hg.random.poisson([4.0], (COUNT,)), 4.0, 2.0),
    "permutation": (lambda: hg.random.permutation(COUNT), (COUNT - 1) / 2, COUNT / 12**0.5),
    "shuffle": (lambda: hg.random.shuffle(np.arange(8.0)), 3.5, 2.2913),
}


@pytest.mark.parametrize("name", DRAWS)
def test_draws_are_those_of_the_distribution(name):
    draw, mean, deviation = DRAWS[name]
    hg.random.set_seed(0)
    fast = hg.function(draw)
    first, second = fast(), fast()
    eager = draw()
    assert (first.shape, first.dtype) == (eager.shape, eager.dtype)
    assert not np.array_equal(first.numpy(), second.numpy())
    assert abs(first.numpy().mean() - mean) < 5 * deviation / COUNT**0.5 + 1e-9
    assert first.numpy().std() == pytest.approx(deviation, rel=0.1)


def test_a_seed_repeats_them_and_each_call_counts_its_draws():
    fast = hg.function(lambda: (hg.random.normal(), hg.random.uniform()))
    hg.random.set_seed(3)
    one = [float(x) for _ in range(3) for x in fast()]
    state = hg.random.get_state()
    after = [float(x) for x in fast()]
    hg.random.set_seed(3)
    assert [float(x) for _ in range(3) for x in fast()] == one
    assert len(set(one)) == 6
    hg.random.set_state(state)
    assert [float(x) for x in fast()] == after
    assert "8 draws done" in repr(hg.random.get_generator())


def test_eager_and_compiled_draws_share_one_count():
    hg.random.set_seed(0)
    eager = [float(hg.random.normal()) for _ in range(3)]
    hg.random.set_seed(0)
    hg.function(lambda: hg.random.normal())()
    assert float(hg.random.normal()) == eager[1]


def test_the_number_of_a_draw_has_two_words():
    hg.random.set_seed(0)
    generator = hg.random.get_generator()
    state = generator.get_state()
    state["state"][4:] = np.uint32(0xFFFFFFFF), 6
    generator.set_state(state)
    hg.function(lambda: hg.random.normal())()
    assert generator.get_state()["state"][4:].tolist() == [0, 7]


def test_gradient_flows_to_the_parameters_of_a_distribution():
    mean, spread = hg.Variable(1.0), hg.Variable(2.0)

    @hg.function
    def step():
        with hg.GradientTape() as tape:
            drawn = hg.random.normal((5,), mean, spread)
            loss = hg.sum(drawn)
        return drawn, tape.gradient(loss, [mean, spread])

    drawn, (by_mean, by_spread) = step()
    assert float(by_mean) == 5.0
    assert float(by_spread) == pytest.approx(float(hg.sum((drawn - 1.0) / 2.0)))


def test_dropout_and_seeds_of_single_operations():
    layer = nn.Dropout(0.5, seed=1)
    fast = hg.function(lambda x: layer(x, training=True))
    ones = np.ones((40, 40), np.float32)
    one, other = fast(ones).numpy(), fast(ones).numpy()
    assert set(np.unique(one)) == {0.0, 2.0}
    assert (one != other).any()
    assert abs((one == 0).mean() - 0.5) < 0.06
    tf.random.set_seed(0)
    seeded = tf.function(lambda: tf.random.normal((3,), seed=5), jit_compile=True)
    first = seeded().numpy()
    tf.random.set_seed(0)
    tf.random.normal((100,))
    assert (seeded().numpy() == first).all()


def test_a_numpy_generator_cannot_be_made_in_a_trace():
    with pytest.raises(hg.TracingError, match="NumPy generator"):
        hg.function(lambda x: x + hg.random.generator().random())(1.0)
