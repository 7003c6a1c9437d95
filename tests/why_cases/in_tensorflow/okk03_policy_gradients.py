# cause: none
# line: 0
# affected: -
# symptom: legit: advantages, old log-probabilities and drawn actions are constants
# expect: reinforce.policy=learns reinforce.baseline=learns shared.trunk=learns shared.policy=learns shared.value=learns ppo.policy=learns ppo.log_std=learns
# also: -
# stops: 36 47 82 92 114 115
"""REINFORCE with a baseline, actor-critic with a shared trunk, and PPO with a learned spread."""

import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(303)
dense = keras.layers.Dense
STATES = np.random.normal(size=(24, 4)).astype("float32")


def moved(variables, start):
    return all((v.numpy() != before).any() for v, before in zip(variables, start))


def values(variables):
    return [v.numpy() for v in variables]


def reinforce(episodes=4):
    policy = keras.Sequential([keras.Input((4,)), dense(16, "tanh"), dense(3)])
    baseline = keras.Sequential([keras.Input((4,)), dense(16, "tanh"), dense(1)])
    start = values(policy.variables), values(baseline.variables)
    p_optimizer, b_optimizer = keras.optimizers.Adam(1e-2), keras.optimizers.Adam(1e-2)
    for _ in range(episodes):
        rewards, actions = [], []
        for state in STATES:
            logits = policy(state[None])
            action = int(tf.random.categorical(logits, 1)[0, 0])
            actions.append(action)
            rewards.append(float(state[action]))
        returns = np.cumsum(rewards[::-1])[::-1].astype("float32") / len(rewards)
        with tf.GradientTape(persistent=True) as tape:
            losses = keras.losses.sparse_categorical_crossentropy(
                np.array(actions), policy(STATES), from_logits=True
            )
            expected = tf.squeeze(baseline(STATES), axis=1)
            advantages = returns - expected
            b_loss = tf.reduce_mean(advantages**2)
            p_loss = tf.reduce_mean(losses * tf.stop_gradient(advantages))
        for loss, net, optimizer in (
            (p_loss, policy, p_optimizer),
            (b_loss, baseline, b_optimizer),
        ):
            gradients = tape.gradient(loss, net.trainable_variables)
            optimizer.apply_gradients(zip(gradients, net.trainable_variables))
        del tape
    yield "policy", moved(policy.variables, start[0])
    yield "baseline", moved(baseline.variables, start[1])


class ActorCritic(keras.Model):
    def __init__(self):
        super().__init__()
        self.trunk = dense(16, "relu")
        self.policy, self.value = dense(2), dense(1)

    def call(self, states):
        h = self.trunk(states)
        return self.policy(h), tf.squeeze(self.value(h), axis=-1)


def shared(steps=4):
    model = ActorCritic()
    model(STATES)
    parts = {name: getattr(model, name) for name in ("trunk", "policy", "value")}
    start = {name: values(part.variables) for name, part in parts.items()}
    optimizer = keras.optimizers.Adam(1e-2, global_clipnorm=1.0)

    @tf.function
    def rollout(states):
        picked = tf.TensorArray(tf.int32, size=len(states))
        for place in tf.range(len(states)):
            logits, _ = model(states[place][None])
            drawn = tf.random.categorical(logits, 1, dtype=tf.int32)[0, 0]
            picked = picked.write(place, drawn)
        return picked.stack()

    for _ in range(steps):
        actions = rollout(tf.constant(STATES))
        rewards = tf.where(actions == tf.cast(STATES[:, 0] > 0, tf.int32), 1.0, -1.0)
        with tf.GradientTape() as tape:
            logits, expected = model(STATES)
            log_probs = tf.gather(tf.nn.log_softmax(logits), actions, batch_dims=1)
            advantages = tf.stop_gradient(rewards - expected)
            entropy = -tf.reduce_sum(tf.nn.softmax(logits) * tf.nn.log_softmax(logits), axis=1)
            loss = -tf.reduce_mean(log_probs * advantages + 0.01 * entropy)
            loss += 0.5 * tf.reduce_mean(tf.square(rewards - expected))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    for name, part in parts.items():
        yield name, moved(part.variables, start[name])


def ppo(iterations=2, epochs=2):
    policy = keras.Sequential([keras.Input((4,)), dense(16, "tanh"), dense(2)])
    log_std = tf.Variable(tf.fill((2,), -0.5), name="log_std")
    start = values(policy.variables), log_std.numpy()
    optimizer = keras.optimizers.Adam(5e-3)

    def log_prob(states, actions):
        scaled = (actions - policy(states)) / tf.exp(log_std)
        return -tf.reduce_sum(0.5 * scaled**2 + log_std, axis=1)

    for _ in range(iterations):
        noise = tf.random.normal((len(STATES), 2))
        actions = policy(STATES) + tf.exp(log_std) * noise
        old = log_prob(STATES, actions).numpy()
        rewards = -np.square(actions.numpy() - STATES[:, :2]).sum(axis=1)
        advantages = (rewards - rewards.mean()) / (rewards.std() + 1e-6)
        for _ in range(epochs):
            variables = [*policy.trainable_variables, log_std]
            with tf.GradientTape() as tape:
                ratio = tf.exp(log_prob(STATES, actions) - old)
                clipped = tf.clip_by_value(ratio, 0.8, 1.2)
                loss = -tf.reduce_mean(tf.minimum(ratio * advantages, clipped * advantages))
            gradients = tape.gradient(loss, variables)
            optimizer.apply_gradients(zip(gradients, variables))
    yield "policy", moved(policy.variables, start[0])
    yield "log_std", bool((log_std.numpy() != start[1]).all())


for train in (reinforce, shared, ppo):
    for name, learns in train():
        print(f"{train.__name__}.{name}: {'learns' if learns else 'still'}")
