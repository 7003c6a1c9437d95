"""The article's examples 2 and 3: findings as written, none when corrected."""

import inspect

import numpy as np
import pytest

import headgate.tf as tf
from headgate.examples import article_actor_critic, article_gan
from headgate.flow.watch.headgate import Watch


def lines(function, *texts):
    source, first = inspect.getsourcelines(function)
    return {first + k for k, line in enumerate(source) if any(text in line for text in texts)}


@pytest.fixture
def gan():
    tf.random.set_seed(0)
    rng = np.random.default_rng(0)
    labels = tf.constant(np.arange(8) % 10)
    images = tf.constant(rng.uniform(-1, 1, (8, 74)).astype(np.float32))
    return article_gan.networks(), images, article_gan.noise_for(labels)


@pytest.fixture
def play():
    tf.random.set_seed(0)
    rng = np.random.default_rng(0)
    states = tf.constant(rng.normal(size=(6, 4)).astype(np.float32))
    returns = tf.constant(rng.normal(size=(6, 1)).astype(np.float32))
    return article_actor_critic.networks(), states, returns


def test_the_gan_as_written(gan):
    networks, images, noise = gan
    with Watch() as watch:
        article_gan.as_written(*networks, images, noise)
    names = {variable.name for variable in networks[0].trainable_variables}
    findings = watch.findings()
    assert {finding.parameter for finding in findings} == names
    assert {finding.kind for finding in findings} == {"stop_gradient"}
    stop = lines(article_gan.as_written, "tf.stop_gradient(discriminator(")
    assert {finding.line for finding in findings} == stop


def test_the_gan_corrected(gan):
    (generator, discriminator, *optimizers), images, noise = gan
    with Watch() as watch:
        for _ in range(2):
            for model, optimizer, (tape, loss, *_) in (
                (
                    discriminator,
                    optimizers[1],
                    article_gan.discriminator_step(generator, discriminator, images, noise),
                ),
                (
                    generator,
                    optimizers[0],
                    article_gan.generator_step(generator, discriminator, noise),
                ),
            ):
                variables = model.trainable_variables
                gradients = tape.gradient(loss, variables)
                optimizer.apply_gradients(zip(gradients, variables))
    assert watch.findings() == []
    assert watch.gradients()


def test_the_actor_critic_as_written(play):
    networks, states, returns = play
    with Watch() as watch:
        article_actor_critic.as_written(*networks, states, returns)
    findings = watch.findings()
    variables = [*networks[0].trainable_variables, *networks[1].trainable_variables]
    assert {finding.parameter for finding in findings} == {v.name for v in variables}
    assert {finding.kind for finding in findings} == {"outside_tape"}
    reads = lines(article_actor_critic.as_written, "= actor(states)", "= critic(states)")
    assert {finding.line for finding in findings} == reads


def test_the_actor_critic_corrected(play):
    (actor, critic, *optimizers), states, returns = play
    taken = tf.one_hot(np.arange(6) % 2, 2)
    with Watch() as watch:
        for _ in range(2):
            steps = (
                (actor, article_actor_critic.actor_step(actor, critic, states, taken, returns)),
                (critic, article_actor_critic.critic_step(critic, states, returns)),
            )
            for (model, (tape, loss)), optimizer in zip(steps, optimizers):
                variables = model.trainable_variables
                gradients = tape.gradient(loss, variables)
                optimizer.apply_gradients(zip(gradients, variables))
    assert watch.findings() == []
    assert watch.gradients()
