"""The programs `gan`, `vae`, `dqn` and `actor-critic` of `headgate train`, in TensorFlow.

Each is the program of the same name in `headgate.examples`, line for line: its constants, its data
and environments are imported from there. What a step computes is one function of tensors, so that
the eager program and that with `tf.function` are one text: they differ in whether that function is
compiled. Layers are TensorFlow's own ops, and the update is its fused kernel of Adam: run eagerly,
Keras' optimizer alone takes longer than all of this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import tensorflow as tf

from headgate.data import Batches
from headgate.examples import actor_critic, digits, dqn, gan, vae
from headgate.examples.cartpole import ACTIONS, OBSERVATIONS, TEST, VALIDATION, Carts
from headgate.examples.training import Result, Run

Compile = Callable[[Any], Any]
"""`tf.function`, or what returns a function as it is."""


class Network(tf.Module):
    """Dense layers that begin as Glorot and Bengio say, with biases of zero.

    Args:
        sizes: of the input, of each layer, and of the output.
        activation: of all layers but the last.
    """

    def __init__(self, sizes: Sequence[int], activation: Callable[[Any], Any]) -> None:
        super().__init__()
        self.activation = activation
        self.layers = [
            (tf.Variable(glorot_uniform(inputs, outputs)), tf.Variable(tf.zeros(outputs)))
            for inputs, outputs in pairwise(sizes)
        ]

    def __call__(self, x: Any) -> Any:
        """Return what comes out of the last layer."""
        *hidden, last = self.layers
        for layer in hidden:
            x = self.activation(dense(x, *layer))
        return dense(x, *last)


def dense(x: Any, kernel: Any, bias: Any) -> Any:
    """Multiply and add."""
    return tf.nn.bias_add(tf.matmul(x, kernel), bias)


def glorot_uniform(inputs: int, outputs: int) -> Any:
    """Draw a kernel with the variance 2 / (inputs + outputs)."""
    limit = (6.0 / (inputs + outputs)) ** 0.5
    return tf.random.uniform((inputs, outputs), -limit, limit)


class Adam:
    """The optimizer, with Headgate's settings."""

    def __init__(self, variables: Sequence[tf.Variable], rate: float, beta_1: float = 0.9) -> None:
        self.variables = list(variables)
        self.rate = rate
        self.betas = beta_1, 0.999
        self.count = tf.Variable(0.0)
        self.states = [
            (tf.Variable(tf.zeros_like(x)), tf.Variable(tf.zeros_like(x))) for x in self.variables
        ]

    def descend(self, tape: tf.GradientTape, loss: Any, fade: Any = 1.0) -> None:
        """Take a step, at the learning rate times `fade`."""
        gradients = tape.gradient(loss, self.variables)
        beta_1, beta_2 = self.betas
        count = self.count.assign_add(1.0)
        power_1, power_2 = beta_1**count, beta_2**count
        rate = self.rate * fade
        for variable, (m, v), g in zip(self.variables, self.states, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=power_1,
                beta2_power=power_2,
                lr=rate,
                beta1=beta_1,
                beta2=beta_2,
                epsilon=1e-7,
                grad=g,
            )


# -- gan -------------------------------------------------------------------------------------------


def leaky_relu(x: Any) -> Any:
    """Return x where it is positive, a fifth of it elsewhere."""
    return tf.nn.leaky_relu(x, 0.2)


def gan_networks() -> tuple[Network, Network]:
    """Make the generator, of images as logits, and the discriminator."""
    generator = Network((gan.LATENT, gan.UNITS, gan.UNITS, digits.PIXELS), leaky_relu)
    discriminator = Network((digits.PIXELS, gan.UNITS, gan.UNITS, 1), leaky_relu)
    return generator, discriminator


def called(answer: float, logits: Any) -> Any:
    """Return the loss of not giving this answer to each image."""
    labels = tf.fill(tf.shape(logits), answer)
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits))


def train_gan(run: Run, compiled: Compile) -> Result:
    """Train both networks in turn; judge what the generator paints."""
    tf.random.set_seed(run.seed)
    generator, discriminator = gan_networks()
    generator_optimizer = Adam(generator.trainable_variables, gan.RATE, beta_1=0.5)
    discriminator_optimizer = Adam(discriminator.trainable_variables, gan.RATE, beta_1=0.5)
    batches = Batches(digits.load().images, batch_size=gan.BATCH, seed=run.seed)

    def painted(count: int) -> Any:
        return tf.sigmoid(generator(tf.random.normal((count, gan.LATENT))))

    @compiled
    def step(real: Any, blur: Any, fade: Any) -> tuple[Any, Any]:
        def judged(images: Any) -> Any:
            return discriminator(images + blur * tf.random.normal(images.shape))

        with tf.GradientTape() as tape:
            fake = tf.stop_gradient(painted(gan.BATCH))
            discriminator_loss = called(gan.REAL, judged(real)) + called(0.0, judged(fake))
        discriminator_optimizer.descend(tape, discriminator_loss, fade)

        with tf.GradientTape() as tape:
            generator_loss = called(1.0, judged(painted(gan.BATCH)))
        generator_optimizer.descend(tape, generator_loss, fade)
        return discriminator_loss, generator_loss

    for _ in run.steps():
        blur = tf.constant(gan.BLUR * (1.0 - run.step / run.total))
        fade = tf.constant(max(0.05, 1.0 - (run.step - 1) / run.total))
        discriminator_loss, generator_loss = step(tf.constant(next(batches)[0]), blur, fade)
        if run.every(100):
            run.log(discriminator_loss=discriminator_loss, generator_loss=generator_loss)

    return Result(digits.appraise(painted(1000).numpy())[0])


# -- vae -------------------------------------------------------------------------------------------


def vae_networks() -> tuple[Network, Network]:
    """Make the encoder and the decoder."""
    encoder = Network((digits.PIXELS, vae.HIDDEN, 2 * vae.LATENT), tf.nn.relu)
    decoder = Network((vae.LATENT, vae.HIDDEN, digits.PIXELS), tf.nn.relu)
    return encoder, decoder


def bound(encoder: Network, decoder: Network, x: Any, noise: Any) -> tuple[Any, Any]:
    """Return the means of log p(x|z) and of the divergence."""
    mean, log_variance = tf.split(encoder(x), 2, axis=-1)
    z = mean + tf.exp(0.5 * log_variance) * noise
    cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits(x, decoder(z))
    ways = tf.gather(vae.WAYS, tf.cast(tf.round(vae.DOTS * x), tf.int32))
    likelihood = tf.reduce_sum(ways - vae.DOTS * cross_entropy, axis=-1)
    divergence = 0.5 * tf.reduce_sum(tf.exp(log_variance) + mean**2 - 1.0 - log_variance, axis=-1)
    return tf.reduce_mean(likelihood), tf.reduce_mean(divergence)


def train_vae(run: Run, compiled: Compile) -> Result:
    """Raise the ELBO of the training images; measure that of the held-out ones."""
    tf.random.set_seed(run.seed)
    encoder, decoder = vae_networks()
    variables = encoder.trainable_variables + decoder.trainable_variables
    optimizer = Adam(variables, vae.RATE)
    batches = Batches(digits.load().images, batch_size=vae.BATCH, seed=run.seed)

    @compiled
    def step(x: Any) -> Any:
        noise = tf.random.normal((vae.BATCH, vae.LATENT))
        with tf.GradientTape() as tape:
            likelihood, divergence = bound(encoder, decoder, x, noise)
            loss = divergence - likelihood
        optimizer.descend(tape, loss)
        return loss

    def test() -> dict[str, float]:
        likelihood, divergence = map(float, bound(encoder, decoder, *vae.held_out()))
        return {"elbo": likelihood - divergence, "divergence": divergence}

    for _ in run.steps():
        loss = step(tf.constant(next(batches)[0]))
        if run.every(50):
            run.log(loss=loss, **test())
    return Result(test())


# -- dqn -------------------------------------------------------------------------------------------


def q_network() -> Network:
    """Make a network that tells the value of each action in a state."""
    return Network((OBSERVATIONS, dqn.UNITS, dqn.UNITS, ACTIONS), tf.nn.relu)


def of(actions: Any, values: Any) -> Any:
    """Return the values of one action per state."""
    return tf.gather(values, actions, axis=1, batch_dims=1)


def train_dqn(run: Run, compiled: Compile) -> Result:
    """Learn to balance from replayed experience; judge the greedy policy."""
    tf.random.set_seed(run.seed)
    online, target_network = q_network(), q_network()
    pairs = list(zip(online.trainable_variables, target_network.trainable_variables, strict=True))
    for followed, following in pairs:
        following.assign(followed)
    optimizer = Adam(online.trainable_variables, dqn.RATE)
    carts, replay = Carts(dqn.CARTS, run.seed), dqn.Replay(dqn.CAPACITY)
    values = compiled(online.__call__)

    @compiled
    def step(states: Any, actions: Any, after: Any, fallen: Any, fade: Any) -> Any:
        with tf.GradientTape() as tape:
            value = of(actions, online(states))
            values_after = online(after)
            best = tf.argmax(values_after, axis=1)
            lower = tf.minimum(of(best, values_after), of(best, target_network(after)))
            target = tf.stop_gradient(-fallen + dqn.DISCOUNT * (1.0 - fallen) * lower)
            size = tf.abs(value - target)
            near = tf.minimum(size, 1.0)
            loss = tf.reduce_mean(near * (size - 0.5 * near))
        optimizer.descend(tape, loss, fade)
        for followed, following in pairs:
            following.assign_add(dqn.FOLLOW * (followed - following))
        return loss

    for _ in range(dqn.RANDOM_STEPS):
        replay.add(carts.step(dqn.explore(values, carts.states, chance=1.0)))
    for number in run.steps():
        chance = max(dqn.LEAST_CHANCE, 1.0 - number / (dqn.EXPLORATION * run.total))
        replay.add(carts.step(dqn.explore(values, carts.states, chance)))
        fade = 1.0 - (number - 1) / run.total
        loss = step(*map(tf.constant, (*replay.draw(dqn.BATCH), fade)))
        if run.every(40):
            judged = dqn.judge(compiled(target_network.__call__), VALIDATION, episodes=20)
            run.log(loss=loss, **judged)
    return Result(dqn.judge(compiled(target_network.__call__), TEST))


# -- actor-critic ----------------------------------------------------------------------------------


class ActorCritic(tf.Module):
    """A trunk with two heads: the actor's logits, and the critic's value."""

    def __init__(self) -> None:
        super().__init__()
        units = actor_critic.UNITS
        self.trunk = Network((OBSERVATIONS, units, units), tf.tanh)
        self.actor = Network((units, ACTIONS), tf.tanh)
        self.critic = Network((units, 1), tf.tanh)

    def __call__(self, states: Any) -> tuple[Any, Any]:
        """Return logits of shape (..., actions) and values of shape (...)."""
        outer = states.shape[:-1]
        features = tf.tanh(self.trunk(tf.reshape(states, (-1, OBSERVATIONS))))
        logits = tf.reshape(self.actor(features), (*outer, ACTIONS))
        return logits, tf.reshape(self.critic(features), outer)


def train_actor_critic(run: Run, compiled: Compile) -> Result:
    """Learn to balance from what the carts have just done; judge the greedy policy."""
    tf.random.set_seed(run.seed)
    model = ActorCritic()
    optimizer = Adam(model.trainable_variables, actor_critic.RATE)
    carts = Carts(actor_critic.CARTS, run.seed)
    act = compiled(model.__call__)

    @compiled
    def sample(states: Any) -> Any:
        return tf.random.categorical(model(states)[0], 1)[:, 0]

    @compiled
    def step(done: dict[str, Any], weight: Any, counts: Any, fade: Any) -> None:
        with tf.GradientTape() as tape:
            logits, values = model(done["before"])
            later = model(done["after"][-1:])[1]
            following = tf.concat([values[1:], later], axis=0)
            rewards = (1.0 - actor_critic.DISCOUNT) * done["rewards"]
            going = tf.cast(~done["fallen"], tf.float32)
            errors = rewards + actor_critic.DISCOUNT * going * following - values
            advantage = tf.einsum("ntk,kn->tn", counts, errors)
            log_probabilities = tf.nn.log_softmax(logits)
            taken = tf.gather(log_probabilities, done["actions"], axis=2, batch_dims=2)
            policy_loss = -tf.reduce_sum(weight * taken * tf.stop_gradient(advantage))
            returns = tf.stop_gradient(advantage + values)
            value_loss = tf.reduce_sum(weight * tf.square(returns - values))
            surprise = -tf.reduce_sum(tf.exp(log_probabilities) * log_probabilities, axis=-1)
            entropy = tf.reduce_sum(weight * surprise)
            loss = (
                policy_loss
                + actor_critic.VALUE_WEIGHT * value_loss
                - actor_critic.ENTROPY_WEIGHT * entropy
            )
        optimizer.descend(tape, loss, fade)

    for number in run.steps():
        done = actor_critic.columns(
            [
                carts.step(sample(tf.constant(carts.states)).numpy())
                for _ in range(actor_critic.HORIZON)
            ]
        )
        weight = (done["real"] / np.sum(done["real"])).astype(np.float32)
        counts = actor_critic.traces(done["over"])
        fade = 1.0 - (number - 1) / run.total
        tensors = {name: tf.constant(column) for name, column in done.items()}
        if run.every(40):
            run.log(**actor_critic.judge(act, VALIDATION, episodes=20))
        step(tensors, *map(tf.constant, (weight, counts, fade)))
    return Result(actor_critic.judge(act, TEST))


PROGRAMS: dict[str, Callable[[Run, Compile], Result]] = {
    "gan": train_gan,
    "vae": train_vae,
    "dqn": train_dqn,
    "actor-critic": train_actor_critic,
}
