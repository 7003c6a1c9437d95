"""Section 1: the article "How does TensorFlow's `stop_gradient` function operate?", measured.

Its three examples are a scalar tape, a GAN and an actor-critic. The numbers of the rows (1a to 5)
are in the docstrings. Networks get fixed weights, so that two runs differ only by the stop. Row 6
(which published programs use stop_gradient at all) is a count of other people's files, not a
behaviour.
"""

import numpy as np
import pytest

EXAMPLE_1 = """
import tensorflow as tf

x = tf.Variable(2.0, name="x")
y = tf.Variable(3.0, name="y")

with tf.GradientTape() as tape:
    z = x * x + tf.stop_gradient(y) * x

dz_dx = tape.gradient(z, x)
print(f"dz/dx: {dz_dx.numpy()}")
"""


def dense_net(tf, seed, *sizes, last=None):
    """Build a network of Dense layers with weights that depend on the seed alone."""
    layers = [tf.keras.layers.Input(shape=(sizes[0],))]
    layers += [tf.keras.layers.Dense(size, activation="tanh") for size in sizes[1:-1]]
    net = tf.keras.Sequential([*layers, tf.keras.layers.Dense(sizes[-1], activation=last)])
    rng = np.random.default_rng(seed)
    for variable in net.trainable_variables:
        variable.assign(rng.normal(size=tuple(variable.shape), scale=0.5).astype("float32"))
    return net


def normal(tf, seed, *shape):
    return tf.constant(np.random.default_rng(seed).normal(size=shape).astype("float32"))


def all_none(gradients):
    return all(gradient is None for gradient in gradients)


def same_bits(some, others):
    return [
        np.array_equal(one.numpy(), other.numpy()) for one, other in zip(some, others, strict=True)
    ]


# Example 1: a scalar tape.


def test_example_1_prints_seven(tf, capsys):
    """1a: the article says `4.0`; 2x + 3 at x=2 is 7.0."""
    exec(EXAMPLE_1.replace("import tensorflow", f"import {tf.__name__}"), {})
    assert capsys.readouterr().out == "dz/dx: 7.0\n"


@pytest.mark.parametrize("stopped", [True, False])
def test_example_1_stop_only_changes_the_gradient_of_y(tf, near, stopped):
    """1b: dz/dx is 7.0 with and without the stop; only dz/dy changes, from 2.0 to None."""
    x, y = tf.Variable(2.0), tf.Variable(3.0)
    with tf.GradientTape() as tape:
        z = x * x + (tf.stop_gradient(y) if stopped else y) * x
    dx, dy = tape.gradient(z, [x, y])
    near(dx, 7.0)
    assert dy is None if stopped else dy.numpy() == 2.0


def test_example_1_read_inside_the_stop_is_not_recorded(tf):
    """1c: watched_variables() is [x] only."""
    x, y = tf.Variable(2.0), tf.Variable(3.0)
    with tf.GradientTape() as tape:
        x * x + tf.stop_gradient(y) * x
    (watched,) = tape.watched_variables()
    assert watched is x


# Example 2: a GAN.


@pytest.fixture
def gan(tf):
    class Gan:
        generator = dense_net(tf, 1, 3, 8, 5)
        discriminator = dense_net(tf, 2, 5, 8, 1)
        noise, real = normal(tf, 3, 10, 3), normal(tf, 4, 10, 5)

        @staticmethod
        def fooling_loss(logits):
            return tf.reduce_mean(
                tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.ones_like(logits), logits=logits)
            )

        @staticmethod
        def discriminator_loss(real, fake):
            return tf.reduce_mean(
                tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.ones_like(real), logits=real)
                + tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.zeros_like(fake), logits=fake)
            )

        def train_generator(self, steps, stop, penalty):
            adam = tf.keras.optimizers.Adam(0.02)
            variables = self.generator.trainable_variables
            losses = []
            for _ in range(steps):
                with tf.GradientTape() as tape:
                    fake = self.generator(self.noise)
                    judged = stop(self.discriminator(fake))
                    fooling = self.fooling_loss(judged)
                    loss = fooling + penalty * tf.reduce_mean(tf.square(fake))
                adam.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
                losses.append(float(fooling))
            return losses

    return Gan()


def test_example_2_generator_gets_nothing(tf, gan):
    """2a: as written every gradient is None (D's too) and apply_gradients raises."""
    with tf.GradientTape(persistent=True) as tape:
        loss = gan.fooling_loss(tf.stop_gradient(gan.discriminator(gan.generator(gan.noise))))
    gradients = tape.gradient(loss, gan.generator.trainable_variables)
    assert len(gradients) == 4
    assert all_none(gradients)
    assert all_none(tape.gradient(loss, gan.discriminator.trainable_variables))
    with pytest.raises(ValueError, match="No gradients provided for any variable"):
        tf.keras.optimizers.Adam().apply_gradients(
            zip(gradients, gan.generator.trainable_variables, strict=True)
        )


def test_example_2_only_the_direct_term_is_left(tf, gan, near):
    """2b: with a direct term in `fake` the stopped gradients are those of that term alone."""
    variables = gan.generator.trainable_variables
    with tf.GradientTape(persistent=True) as tape:
        fake = gan.generator(gan.noise)
        direct = 1e-3 * tf.reduce_mean(tf.square(fake))
        judged = gan.discriminator(fake)
        stopped = gan.fooling_loss(tf.stop_gradient(judged)) + direct
        through = gan.fooling_loss(judged) + direct
    alone = tape.gradient(direct, variables)
    for ours, theirs in zip(tape.gradient(stopped, variables), alone, strict=True):
        near(ours, theirs.numpy(), atol=0)
    norms = [np.linalg.norm(g.numpy()) for g in tape.gradient(through, variables)]
    assert all(norm > 10 * np.linalg.norm(g.numpy()) for norm, g in zip(norms, alone, strict=True))


@pytest.mark.parametrize("stopped", [True, False])
def test_example_2_the_discriminators_gradient_is_the_learning_signal(tf, gan, stopped):
    """2c: 60 Adam steps fool D without the stop and not with it; D's weights never move."""
    before = [variable.numpy().copy() for variable in gan.discriminator.trainable_variables]
    losses = gan.train_generator(60, tf.stop_gradient if stopped else tf.identity, 1e-3)
    assert losses[-1] > 0.5 * losses[0] if stopped else losses[-1] < 0.2 * losses[0]
    after = [variable.numpy() for variable in gan.discriminator.trainable_variables]
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))


def test_example_2_the_stop_belongs_in_the_discriminators_step(tf, gan):
    """2d: D(stop_gradient(fake)) leaves D's gradients bit-identical and G's None."""
    ours, theirs = gan.discriminator.trainable_variables, gan.generator.trainable_variables

    def gradients(stop):
        with tf.GradientTape() as tape:
            fake = stop(gan.generator(gan.noise))
            loss = gan.discriminator_loss(gan.discriminator(gan.real), gan.discriminator(fake))
        return tape.gradient(loss, (ours, theirs))

    (d_stopped, g_stopped), (d_through, g_through) = (
        gradients(tf.stop_gradient),
        gradients(tf.identity),
    )
    assert all(same_bits(d_stopped, d_through))
    assert all_none(g_stopped)
    assert not any(gradient is None for gradient in g_through)


def test_example_2_fakes_drawn_from_noise_do_not_involve_the_generator(tf, gan):
    """2e: D's step uses random images, so the generator's gradients are None."""
    with tf.GradientTape() as tape:
        loss = gan.discriminator_loss(
            gan.discriminator(gan.real), gan.discriminator(normal(tf, 5, 10, 5))
        )
    d_gradients, g_gradients = tape.gradient(
        loss, (gan.discriminator.trainable_variables, gan.generator.trainable_variables)
    )
    assert not any(gradient is None for gradient in d_gradients)
    assert all_none(g_gradients)


# Example 3: actor and critic.


@pytest.fixture
def agent(tf):
    class Agent:
        actor = dense_net(tf, 1, 10, 8, 4, last="softmax")
        critic = dense_net(tf, 2, 10, 8, 1)
        states, rewards = normal(tf, 3, 10, 10), normal(tf, 4, 10, 1)

        def gradients(self, stop, policy=1.0, value=0.0):
            """Return the gradients of both networks, everything inside the tape."""
            with tf.GradientTape() as tape:
                advantage = self.rewards - self.critic(self.states)
                loss = -policy * tf.reduce_mean(
                    stop(advantage) * tf.math.log(self.actor(self.states))
                )
                if value:
                    loss += value * tf.reduce_mean(tf.square(advantage))
            return tape.gradient(
                loss, (self.actor.trainable_variables, self.critic.trainable_variables)
            )

    return Agent()


def test_example_3_neither_network_gets_a_gradient(tf, agent):
    """3a, 3f: actions and values are computed outside the tape: both steps raise, the MSE too."""
    actions, values = agent.actor(agent.states), agent.critic(agent.states)
    with tf.GradientTape() as tape:
        advantage = agent.rewards - values
        policy_loss = -tf.reduce_mean(tf.stop_gradient(advantage) * tf.math.log(actions))
    actor_gradients = tape.gradient(policy_loss, agent.actor.trainable_variables)
    with tf.GradientTape() as tape:
        critic_loss = tf.reduce_mean(tf.square(agent.rewards - values))
    critic_gradients = tape.gradient(critic_loss, agent.critic.trainable_variables)
    for gradients, net in ((actor_gradients, agent.actor), (critic_gradients, agent.critic)):
        assert all_none(gradients)
        with pytest.raises(ValueError, match="No gradients provided for any variable"):
            tf.keras.optimizers.Adam().apply_gradients(
                zip(gradients, net.trainable_variables, strict=True)
            )


def test_example_3_stop_changes_nothing_that_is_asked_for(tf, agent):
    """3b, 3d: inside the tape the actor's are bit-identical; the critic's, not asked for, None."""
    (actor, critic), (actor_through, critic_through) = (
        agent.gradients(tf.stop_gradient),
        agent.gradients(tf.identity),
    )
    assert all(same_bits(actor, actor_through))
    assert all_none(critic)
    assert all(np.any(gradient.numpy()) for gradient in critic_through)


def test_example_3_stop_matters_for_a_joint_loss(tf, agent):
    """3c: with policy + value loss the critic's gradients differ and the actor's do not."""
    actor, critic = agent.gradients(tf.stop_gradient, value=1.0)
    actor_through, critic_through = agent.gradients(tf.identity, value=1.0)
    assert all(same_bits(actor, actor_through))
    assert not any(same_bits(critic, critic_through))


def test_example_3_stop_matters_for_a_shared_trunk(tf, agent):
    """3c: the trunk's gradients differ, the policy head's do not, the value head's are None."""
    trunk, policy, value = dense_net(tf, 5, 10, 8), dense_net(tf, 6, 8, 4), dense_net(tf, 7, 8, 1)

    def gradients(stop):
        with tf.GradientTape() as tape:
            features = trunk(agent.states)
            advantage = agent.rewards - value(features)
            loss = -tf.reduce_mean(stop(advantage) * tf.math.log(tf.nn.softmax(policy(features))))
        return tape.gradient(loss, [net.trainable_variables for net in (trunk, policy, value)])

    stopped, through = gradients(tf.stop_gradient), gradients(tf.identity)
    assert not any(same_bits(stopped[0], through[0]))
    assert all(same_bits(stopped[1], through[1]))
    assert all_none(stopped[2])
    assert not any(gradient is None for gradient in through[2])


def test_example_3_is_not_the_policy_gradient(tf, agent):
    """3e: (10, 1) advantages broadcast over all four actions; the taken action's log differs."""
    taken = tf.one_hot(tf.constant(np.arange(10) % 4), 4)
    with tf.GradientTape(persistent=True) as tape:
        log_actions = tf.math.log(agent.actor(agent.states))
        advantage = tf.stop_gradient(agent.rewards - agent.critic(agent.states))
        weighted = advantage * log_actions
        every_action = -tf.reduce_mean(weighted)
        chosen = tf.reduce_sum(log_actions * taken, axis=1)
        taken_action = -tf.reduce_mean(tf.squeeze(advantage, axis=1) * chosen)
    assert weighted.shape == (10, 4)
    variables = agent.actor.trainable_variables
    wrong, right = tape.gradient(every_action, variables), tape.gradient(taken_action, variables)
    assert not any(
        np.allclose(w.numpy(), r.numpy(), rtol=0.1) for w, r in zip(wrong, right, strict=True)
    )


# The article's prose.


def test_a_stop_cuts_the_network_and_everything_upstream_of_it(tf, near):
    """4: stop_gradient(B(A)): A None, B None; A * stop_gradient(B): A 3.0, B None."""
    a, b = tf.Variable(2.0), tf.Variable(3.0)
    with tf.GradientTape(persistent=True) as tape:
        consumed = tf.stop_gradient(a * b)
        combined = a * tf.stop_gradient(b)
        unstopped = a * b
    assert all_none(tape.gradient(consumed, [a, b]))
    near(tape.gradient(combined, a), 3.0)
    near(tape.gradient(unstopped, a), 3.0)
    assert tape.gradient(combined, b) is None


def test_a_stop_keeps_the_value_and_its_part_in_other_gradients(tf, near):
    """5: nothing is removed: d(x * stop_gradient(x))/dx is x; only the backward edge is cut."""
    x = tf.Variable(5.0)
    with tf.GradientTape() as tape:
        y = x * tf.stop_gradient(x)
    near(y, 25.0)
    near(tape.gradient(y, x), 5.0)
