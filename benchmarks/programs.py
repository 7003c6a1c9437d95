"""The training steps that TensorFlow and Headgate share, word for word.

Each function takes the module `tf` (`tensorflow` or `headgate.tf`) and the variables by group,
and returns a step: a function of the batch that trains once and returns its losses.
Only variables, low-level ops, `GradientTape` and `assign_sub` are used.
"""

from collections.abc import Callable
from typing import Any

from benchmarks.workloads import CHAIN_LENGTH

LEARNING_RATE = 1e-3

Step = Callable[..., tuple[Any, ...]]
Variables = dict[str, list[Any]]


def mlp(tf: Any, x: Any, variables: list[Any]) -> Any:
    """Apply dense layers with relu between them."""
    *hidden, (last_kernel, last_bias) = zip(variables[::2], variables[1::2], strict=True)
    for kernel, bias in hidden:
        x = tf.nn.relu(tf.matmul(x, kernel) + bias)
    return tf.matmul(x, last_kernel) + last_bias


def descend(variables: list[Any], gradients: list[Any]) -> None:
    """Take one step of gradient descent."""
    for variable, gradient in zip(variables, gradients, strict=True):
        variable.assign_sub(LEARNING_RATE * gradient)


def chain(tf: Any, variables: Variables) -> Step:
    """Differentiate a sum behind a chain of sines; nothing is updated."""
    (x,) = variables["x"]

    def step() -> tuple[Any, ...]:
        with tf.GradientTape() as tape:
            y = x
            for _ in range(CHAIN_LENGTH):
                y = tf.sin(y)
            total = tf.reduce_sum(y)
        return total, tape.gradient(total, x)

    return step


def scalar(tf: Any, variables: Variables) -> Step:
    """Differentiate a scalar expression with one stop; nothing is updated."""
    (x,), (y,) = variables["x"], variables["y"]

    def step() -> tuple[Any, ...]:
        with tf.GradientTape() as tape:
            z = x * x + tf.stop_gradient(y) * x
        return z, tape.gradient(z, x)

    return step


def gan(tf: Any, variables: Variables) -> Step:
    """Train the discriminator on stopped fakes, then the generator through the discriminator."""
    generator, discriminator = variables["generator"], variables["discriminator"]

    def cross_entropy(logits: Any, labels: Any) -> Any:
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits))

    def step(real: Any, noise: Any) -> tuple[Any, ...]:
        with tf.GradientTape() as tape:
            fake = tf.stop_gradient(tf.tanh(mlp(tf, noise, generator)))
            real_logits = mlp(tf, real, discriminator)
            fake_logits = mlp(tf, fake, discriminator)
            discriminator_loss = cross_entropy(
                real_logits, tf.ones_like(real_logits)
            ) + cross_entropy(fake_logits, tf.zeros_like(fake_logits))
        descend(discriminator, tape.gradient(discriminator_loss, discriminator))

        with tf.GradientTape() as tape:
            fake_logits = mlp(tf, tf.tanh(mlp(tf, noise, generator)), discriminator)
            generator_loss = cross_entropy(fake_logits, tf.ones_like(fake_logits))
        descend(generator, tape.gradient(generator_loss, generator))
        return discriminator_loss, generator_loss

    return step


def actor_critic(tf: Any, variables: Variables) -> Step:
    """Train the actor on a stopped advantage and the critic on its squared error."""
    actor, critic = variables["actor"], variables["critic"]

    def step(states: Any, actions: Any, returns: Any) -> tuple[Any, ...]:
        with tf.GradientTape() as tape:
            advantage = returns - tf.squeeze(mlp(tf, states, critic), axis=1)
            surprise = tf.nn.sparse_softmax_cross_entropy_with_logits(
                labels=actions, logits=mlp(tf, states, actor)
            )
            actor_loss = tf.reduce_mean(tf.stop_gradient(advantage) * surprise)
        descend(actor, tape.gradient(actor_loss, actor))

        with tf.GradientTape() as tape:
            values = tf.squeeze(mlp(tf, states, critic), axis=1)
            critic_loss = tf.reduce_mean(tf.square(returns - values))
        descend(critic, tape.gradient(critic_loss, critic))
        return actor_loss, critic_loss

    return step


def vae(tf: Any, variables: Variables) -> Step:
    """Minimise cross entropy and divergence from the prior, with the noise given."""
    encoder, decoder = variables["encoder"], variables["decoder"]

    def step(images: Any, noise: Any) -> tuple[Any, ...]:
        with tf.GradientTape() as tape:
            mean, log_variance = tf.split(mlp(tf, images, encoder), 2, axis=1)
            code = mean + tf.exp(0.5 * log_variance) * noise
            cross_entropy = tf.reduce_sum(
                tf.nn.sigmoid_cross_entropy_with_logits(
                    labels=images, logits=mlp(tf, code, decoder)
                )
            )
            divergence = -0.5 * tf.reduce_sum(
                1.0 + log_variance - tf.square(mean) - tf.exp(log_variance)
            )
            loss = (cross_entropy + divergence) / images.shape[0]
        weights = encoder + decoder
        descend(weights, tape.gradient(loss, weights))
        return (loss,)

    return step


def conv_net(tf: Any, variables: Variables) -> Step:
    """Classify images with two convolutions and a dense layer."""
    first, second, head = variables["first"], variables["second"], variables["head"]

    def layer(x: Any, kernel: Any, bias: Any) -> Any:
        x = tf.nn.relu(tf.nn.conv2d(x, kernel, strides=1, padding="SAME") + bias)
        return tf.nn.max_pool2d(x, ksize=2, strides=2, padding="SAME")

    def step(images: Any, labels: Any) -> tuple[Any, ...]:
        with tf.GradientTape() as tape:
            x = layer(layer(images, *first), *second)
            logits = mlp(tf, tf.reshape(x, (images.shape[0], -1)), head)
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
            )
        weights = first + second + head
        descend(weights, tape.gradient(loss, weights))
        return (loss,)

    return step


def lstm(tf: Any, variables: Variables) -> Step:
    """Fit the last hidden state of an LSTM written out step by step."""
    input_kernel, hidden_kernel, bias = variables["cell"]

    def step(sequence: Any, target: Any) -> tuple[Any, ...]:
        with tf.GradientTape() as tape:
            hidden = memory = tf.zeros_like(target)
            for time in range(sequence.shape[0]):
                gates = (
                    tf.matmul(sequence[time], input_kernel)
                    + tf.matmul(hidden, hidden_kernel)
                    + bias
                )
                write, keep, candidate, read = tf.split(gates, 4, axis=1)
                memory = tf.sigmoid(keep) * memory + tf.sigmoid(write) * tf.tanh(candidate)
                hidden = tf.sigmoid(read) * tf.tanh(memory)
            loss = tf.reduce_mean(tf.square(hidden - target))
        descend(variables["cell"], tape.gradient(loss, variables["cell"]))
        return (loss,)

    return step
