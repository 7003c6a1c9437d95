"""Whole training programs: compiled they go the same way as eagerly, step for step.

A program is made twice with the same weights. One is run as it is, on NumPy, the other under
`hg.function`; after 20 steps the losses of all steps and all variables (weights, state of the
optimizer, moving statistics, metrics) are the same up to rounding. Noise is an argument, since
draws in a compiled function are others than eager ones.
"""

import numpy as np
import pytest
from benchmarks import programs
from benchmarks.workloads import dense_stack, kernel

import headgate as hg
import headgate.tf
from headgate import nn, optim

pytestmark = pytest.mark.peers

STEPS = 20
CLOSE = {"float64": 1e-9, "float32": 1e-4}


class Program:
    """A step, its variables, and its batches: functions of a random generator, one per argument."""

    def __init__(self, step, variables, *batch):
        self.step = step
        self.variables = variables
        self.batch = batch

    def arguments(self, number):
        rng = np.random.default_rng([7, number])
        return [draw(rng) for draw in self.batch]


def normal(*shape):
    return lambda rng: rng.standard_normal(shape).astype(nn.floatx())


def uniform(*shape):
    return lambda rng: rng.uniform(0, 1, shape).astype(nn.floatx())


def integers(high, *shape):
    return lambda rng: rng.integers(0, high, shape)


def apply(optimizer, tape, loss, variables):
    """Take a step of an optimizer along the gradient of a loss."""
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))


# -- the benchmark's programs, small ---------------------------------------------------------------


def shared(name, *batch, **weights):
    """Make one of the programs that Headgate shares with TensorFlow."""
    rng = np.random.default_rng(5)
    variables = {
        group: [hg.Variable(array.astype(nn.floatx())) for array in make(rng)]
        for group, make in weights.items()
    }
    step = getattr(programs, name)(headgate.tf, variables)
    return Program(step, lambda: [v for group in variables.values() for v in group], *batch)


def stack(*widths):
    return lambda rng: dense_stack(rng, *widths)


def benchmark_gan():
    return shared(
        *("gan", normal(8, 12), normal(8, 4)),
        generator=stack(4, 16, 12),
        discriminator=stack(12, 16, 1),
    )


def benchmark_actor_critic():
    return shared(
        *("actor_critic", normal(10, 6), integers(4, 10), normal(10)),
        actor=stack(6, 16, 4),
        critic=stack(6, 16, 1),
    )


def benchmark_vae():
    return shared(
        *("vae", uniform(8, 12), normal(8, 3)), encoder=stack(12, 16, 6), decoder=stack(3, 16, 12)
    )


def benchmark_conv_net():
    return shared(
        *("conv_net", uniform(4, 8, 8, 1), integers(5, 4)),
        first=lambda rng: [kernel(rng, 3, 3, 1, 4), np.zeros(4)],
        second=lambda rng: [kernel(rng, 3, 3, 4, 6), np.zeros(6)],
        head=stack(24, 5),
    )


def benchmark_lstm():
    return shared(
        *("lstm", normal(5, 4, 6), normal(4, 6)),
        cell=lambda rng: [kernel(rng, 6, 24), kernel(rng, 6, 24), np.zeros(24)],
    )


def benchmark_transformer():
    def layer(rng):
        arrays = []
        for widths in ((8, 24), (8, 8)), ((8, 16, 8),):
            arrays += [np.ones(8), np.zeros(8)]
            for each in widths:
                arrays += dense_stack(rng, *each)
        return arrays

    return shared(
        *("transformer", normal(2, 5, 8), integers(6, 2, 5)),
        first=layer,
        second=layer,
        head=lambda rng: [np.ones(8), np.zeros(8), *dense_stack(rng, 8, 6)],
    )


# -- programs with layers and optimizers -----------------------------------------------------------


def classifier_with_batch_normalization():
    """Adam with a schedule, clipping and decay; moving statistics; metrics."""
    model = nn.Sequential(
        [
            nn.Input((6,)),
            nn.Dense(16, use_bias=False),
            nn.BatchNormalization(momentum=0.9),
            nn.ReLU(),
            nn.Dense(4),
        ]
    )
    rate = optim.schedules.CosineDecay(0.01, STEPS)
    optimizer = optim.AdamW(rate, weight_decay=0.01, global_clipnorm=1.0)
    optimizer.build(model.trainable_variables)
    mean, accuracy = hg.metrics.Mean(), hg.metrics.SparseCategoricalAccuracy()

    def step(x, labels):
        with hg.GradientTape() as tape:
            logits = model(x, training=True)
            loss = hg.mean(hg.sparse_softmax_cross_entropy(logits, labels))
        apply(optimizer, tape, loss, model.trainable_variables)
        mean.update_state(loss)
        accuracy.update_state(labels, logits)
        return loss, mean.result(), accuracy.result()

    def variables():
        return [*model.variables, *optimizer.variables, *mean.variables, *accuracy.variables]

    return Program(step, variables, normal(10, 6), integers(4, 10))


def recurrent(kind):
    def make():
        model = nn.Sequential(
            [nn.Input((5, 4)), kind(8, return_sequences=True), kind(6), nn.Dense(1)]
        )
        optimizer = optim.RMSprop(0.01, momentum=0.5)
        optimizer.build(model.trainable_variables)

        def step(x, y):
            with hg.GradientTape() as tape:
                loss = hg.mean((model(x) - y) ** 2)
            apply(optimizer, tape, loss, model.trainable_variables)
            return loss

        return Program(step, lambda: [*model.variables, *optimizer.variables], *SEQUENCES)

    make.__name__ = kind.__name__.lower()
    return make


SEQUENCES = normal(6, 5, 4), normal(6, 1)


def attention():
    """Causal attention, layer normalization, and a moving average of all weights."""
    layer, norm, head = (
        nn.MultiHeadAttention(2, 4, use_bias=False),
        nn.LayerNormalization(),
        nn.Dense(5),
    )
    zeros = np.zeros((1, 6, 8), nn.floatx())
    head(norm(layer(zeros, zeros)))
    weights = layer.trainable_variables + norm.trainable_variables + head.trainable_variables
    optimizer = optim.Adam(0.01)
    optimizer.build(weights)
    average = optim.ExponentialMovingAverage(weights, decay=0.9)

    def step(x, labels):
        with hg.GradientTape() as tape:
            h = norm(x + layer(x, x, use_causal_mask=True))
            loss = hg.mean(hg.sparse_softmax_cross_entropy(head(h), labels))
        apply(optimizer, tape, loss, weights)
        average.update()
        return loss

    def variables():
        return [*weights, *optimizer.variables, *average.averages]

    return Program(step, variables, normal(3, 6, 8), integers(5, 3, 6))


def vq_vae():
    """Straight through to the encoder; stops in the losses of codes and commitment."""
    encoder = nn.Sequential([nn.Input((10,)), nn.Dense(16, "tanh"), nn.Dense(4)])
    decoder = nn.Sequential([nn.Input((4,)), nn.Dense(16, "tanh"), nn.Dense(10)])
    codebook = hg.Variable(np.random.default_rng(1).standard_normal((8, 4)).astype(nn.floatx()))
    weights = [*encoder.trainable_variables, codebook, *decoder.trainable_variables]
    optimizer = optim.Adam(0.01)
    optimizer.build(weights)

    def step(x):
        with hg.GradientTape() as tape:
            z = encoder(x)
            distances = hg.sum((z[:, None] - codebook) ** 2, axis=-1)
            q = hg.take(codebook, hg.argmin(distances, axis=-1), axis=0)
            decoded = decoder(hg.straight_through(z, q))
            codes = hg.mean((q - hg.stop_gradient(z)) ** 2)
            commitment = hg.mean((z - hg.stop_gradient(q)) ** 2)
            loss = hg.mean((decoded - x) ** 2) + codes + 0.25 * commitment
        apply(optimizer, tape, loss, weights)
        return loss, codes

    return Program(step, lambda: [*weights, *optimizer.variables], normal(12, 10))


def dqn():
    """Double Q-learning: a target network that follows, Huber loss, gradient clipping."""
    online, target = (
        nn.Sequential([nn.Input((4,)), nn.Dense(16, "relu"), nn.Dense(3)]) for _ in range(2)
    )
    optim.hard_update(target, online)
    optimizer = optim.Adam(0.01, clipnorm=1.0)
    optimizer.build(online.trainable_variables)

    def step(before, actions, rewards, after, over):
        best = hg.argmax(online(after), axis=-1)
        following = hg.take_along_axis(target(after), best[:, None], axis=1)[:, 0]
        goal = hg.stop_gradient(rewards + 0.9 * (1.0 - over) * following)
        with hg.GradientTape() as tape:
            chosen = hg.take_along_axis(online(before), actions[:, None], axis=1)[:, 0]
            error = hg.abs(goal - chosen)
            loss = hg.mean(hg.where(error < 1.0, 0.5 * error**2, error - 0.5))
        apply(optimizer, tape, loss, online.trainable_variables)
        optim.soft_update(target, online, 0.1)
        return loss

    def variables():
        return [*online.variables, *target.variables, *optimizer.variables]

    return Program(
        *(step, variables, normal(10, 4), integers(3, 10), normal(10), normal(10, 4)),
        lambda rng: (rng.uniform(size=10) < 0.2).astype(nn.floatx()),
    )


def wgan_gp():
    """The critic's penalty is of second order; then the generator learns through the critic."""
    generator = nn.Sequential([nn.Input((3,)), nn.Dense(16, "tanh"), nn.Dense(6)])
    critic = nn.Sequential([nn.Input((6,)), nn.Dense(16, "softplus"), nn.Dense(1)])
    optimizers = [optim.Adam(0.01, beta_1=0.0, beta_2=0.9) for _ in range(2)]
    for optimizer, model in zip(optimizers, (generator, critic)):
        optimizer.build(model.trainable_variables)

    def step(real, noise, part):
        with hg.GradientTape() as tape:
            fake = hg.stop_gradient(generator(noise))
            between = part * real + (1.0 - part) * fake
            with hg.GradientTape(watch_accessed_variables=False) as inner:
                inner.watch(between)
                scores = critic(between)
            slopes = hg.linalg.vector_norm(inner.gradient(scores, between), axis=1)
            loss = hg.mean(critic(fake)) - hg.mean(critic(real)) + hg.mean((slopes - 1.0) ** 2)
        apply(optimizers[1], tape, loss, critic.trainable_variables)
        with hg.GradientTape() as tape:
            score = -hg.mean(critic(generator(noise)))
        apply(optimizers[0], tape, score, generator.trainable_variables)
        return loss, score

    def variables():
        parts = generator, critic, *optimizers
        return [variable for part in parts for variable in part.variables]

    return Program(step, variables, normal(8, 6), normal(8, 3), uniform(8, 1))


def maml():
    """The loss after an inner step of descent, differentiated through that step."""
    rng = np.random.default_rng(2)
    weights = [
        hg.Variable(rng.standard_normal(shape).astype(nn.floatx()) * 0.5)
        for shape in ((1, 12), (12,), (12, 1), (1,))
    ]
    optimizer = optim.SGD(0.01, momentum=0.9, nesterov=True)
    optimizer.build(weights)

    def error(parameters, x, y):
        kernel_1, bias_1, kernel_2, bias_2 = parameters
        return hg.mean((hg.tanh(x @ kernel_1 + bias_1) @ kernel_2 + bias_2 - y) ** 2)

    def step(x, phases, x_other):
        with hg.GradientTape() as tape:
            loss = 0.0
            for task in range(3):
                with hg.GradientTape() as inner:
                    here = error(weights, x[task], hg.sin(x[task] + phases[task]))
                slopes = inner.gradient(here, weights)
                fast = [weight - 0.1 * slope for weight, slope in zip(weights, slopes)]
                loss = loss + error(fast, x_other[task], hg.sin(x_other[task] + phases[task]))
        apply(optimizer, tape, loss, weights)
        return loss

    return Program(
        *(step, lambda: [*weights, *optimizer.variables]),
        *(normal(3, 7, 1), uniform(3, 1, 1), normal(3, 7, 1)),
    )


def simsiam():
    """Two views, a predictor, and a stop at the other view's embedding."""
    encoder = nn.Sequential(
        [
            nn.Input((8,)),
            nn.Dense(16, use_bias=False),
            nn.BatchNormalization(),
            nn.ReLU(),
            nn.Dense(6),
        ]
    )
    predictor = nn.Sequential([nn.Input((6,)), nn.Dense(4, "relu"), nn.Dense(6)])
    weights = encoder.trainable_variables + predictor.trainable_variables
    optimizer = optim.SGD(0.05, momentum=0.9, weight_decay=1e-4)
    optimizer.build(weights)

    def likeness(x, y):
        return hg.mean(hg.sum(hg.l2_normalize(x, axis=1) * hg.l2_normalize(y, axis=1), axis=1))

    def step(one, other):
        with hg.GradientTape() as tape:
            z_1, z_2 = encoder(one, training=True), encoder(other, training=True)
            p_1, p_2 = predictor(z_1), predictor(z_2)
            loss = -0.5 * (
                likeness(p_1, hg.stop_gradient(z_2)) + likeness(p_2, hg.stop_gradient(z_1))
            )
        apply(optimizer, tape, loss, weights)
        return loss, hg.std(z_1)

    def variables():
        return [*encoder.variables, *predictor.variables, *optimizer.variables]

    return Program(step, variables, normal(12, 8), normal(12, 8))


PROGRAMS = [
    benchmark_gan,
    benchmark_actor_critic,
    benchmark_vae,
    benchmark_conv_net,
    benchmark_lstm,
    benchmark_transformer,
    classifier_with_batch_normalization,
    recurrent(nn.LSTM),
    recurrent(nn.GRU),
    attention,
    vq_vae,
    dqn,
    wgan_gp,
    maml,
    simsiam,
]


@pytest.fixture(params=CLOSE)
def dtype(request):
    before = nn.floatx()
    nn.set_floatx(request.param)
    yield request.param
    nn.set_floatx(before)


def made(make):
    """Make a program, with the same weights each time."""
    hg.random.set_seed(3)
    return make()


def values(variables):
    return [variable.numpy() for variable in variables]


def flat(result):
    return list(result) if isinstance(result, tuple | list) else [result]


@pytest.mark.parametrize("make", PROGRAMS, ids=lambda make: make.__name__)
def test_compiled_training_is_eager_training(make, dtype):
    eager, compiled = made(make), made(make)
    before = values(eager.variables())
    for ours, theirs in zip(values(compiled.variables()), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    fast = hg.function(compiled.step)
    losses, expected = [], []
    for number in range(STEPS):
        arguments = eager.arguments(number)
        expected.append([float(x) for x in flat(eager.step(*arguments))])
        losses.append([float(x) for x in flat(fast(*arguments))])
    np.testing.assert_allclose(losses, expected, rtol=CLOSE[dtype], atol=CLOSE[dtype] / 100)
    after = values(eager.variables())
    for ours, theirs in zip(values(compiled.variables()), after, strict=True):
        assert ours.dtype == theirs.dtype
        scale = np.max(np.abs(theirs), initial=0)
        np.testing.assert_allclose(ours, theirs, rtol=CLOSE[dtype], atol=CLOSE[dtype] * scale)
    stayed = [np.array_equal(*pair) for pair in zip(before, after)]
    assert sum(stayed) <= 3  # a bias that falls out of the loss, and its moments
    assert len(fast.signatures) == 1
