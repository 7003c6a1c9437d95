# cause: none
# line: 0
# affected: -
# symptom: legit: targets of DQN and double DQN are constants, and the target networks follow
# expect: dqn.q=nonzero double.q=nonzero double.target=None ddpg.actor=nonzero ddpg.critic=nonzero
# also: -
# stops: 44 67 69 95
"""DQN with a copied target, double DQN with an average and priorities, and DDPG."""

import random

import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(302)
dense = keras.layers.Dense


def network(inputs, outputs, activation=None):
    layers = [keras.Input((inputs,)), dense(16, "relu"), dense(outputs, activation)]
    return keras.Sequential(layers)


def transitions(count):
    state = np.random.normal(size=(count, 3)).astype("float32")
    action = np.random.randint(0, 2, size=count)
    following = 0.9 * state + 0.1 * action[:, None].astype("float32")
    done = (np.random.uniform(size=count) < 0.1).astype("float32")
    return state, action, -np.square(following).sum(axis=1), following, done


def sizes(gradients):
    return "None" if all(g is None for g in gradients) else "nonzero"


def dqn(steps=6):
    q, target = network(3, 2), network(3, 2)
    target.set_weights(q.get_weights())
    optimizer, huber = keras.optimizers.Adam(1e-2), keras.losses.Huber()
    for step in range(steps):
        state, action, reward, following, done = transitions(16)
        # Outside of the tape: a constant.
        best = tf.reduce_max(target(following), axis=1)
        goal = reward + 0.9 * (1.0 - done) * best
        with tf.GradientTape() as tape:
            chosen = tf.reduce_sum(q(state) * tf.one_hot(action, 2), axis=1)
            loss = huber(goal, chosen)
        gradients = tape.gradient(loss, q.trainable_variables)
        clipped, _ = tf.clip_by_global_norm(gradients, 1.0)
        optimizer.apply_gradients(zip(clipped, q.trainable_variables))
        if step % 3 == 0:
            target.set_weights(q.get_weights())
        _chosen = random.randrange(2) if step < 3 else int(np.argmax(q(state[:1])))
    return {"q": gradients}


def double(steps=6):
    q, target = network(3, 2), network(3, 2)
    target.trainable = False
    optimizer = keras.optimizers.RMSprop(3e-3)
    priorities = np.ones(16, "float32")

    @tf.function
    def learn(state, action, reward, following, done, weights):
        with tf.GradientTape() as tape:
            best = tf.argmax(q(following), axis=1)
            value = tf.gather(target(following), best, batch_dims=1)
            goal = tf.stop_gradient(reward + 0.9 * (1.0 - done) * value)
            error = tf.gather(q(state), action, batch_dims=1) - goal
            loss = tf.reduce_mean(weights * error**2)
        gradients = tape.gradient(loss, q.trainable_variables + target.variables)
        mine = gradients[: len(q.trainable_variables)]
        optimizer.apply_gradients(zip(mine, q.trainable_variables))
        return gradients[:4], error, gradients[4:]

    for _ in range(steps):
        state, action, reward, following, done = transitions(16)
        weights = (priorities.max() / priorities) ** 0.5
        online, error, slow = learn(state, action, reward, following, done, weights)
        priorities = np.abs(error.numpy()) + 1e-2
        for a, b in zip(target.variables, q.variables):
            a.assign(0.9 * a + 0.1 * b)
    return {"q": online, "target": slow}


def ddpg(steps=5, tau=0.1):
    actor, critic = network(3, 1, "tanh"), network(4, 1)
    slow_actor, slow_critic = keras.models.clone_model(actor), keras.models.clone_model(critic)
    slow_actor.set_weights(actor.get_weights())
    slow_critic.set_weights(critic.get_weights())
    a_optimizer, c_optimizer = keras.optimizers.Adam(1e-3), keras.optimizers.Adam(2e-3)
    for _ in range(steps):
        state, _, reward, following, _ = transitions(16)
        action = np.clip(actor(state).numpy() + 0.1 * np.random.normal(size=(16, 1)), -1.0, 1.0)
        action = action.astype("float32")
        with tf.GradientTape() as tape:
            onward = tf.concat([following, slow_actor(following)], axis=1)
            goal = reward[:, None] + 0.9 * slow_critic(onward)
            value = critic(tf.concat([state, action], axis=1))
            loss = tf.reduce_mean(tf.square(value - goal))
        critic_gradients = tape.gradient(loss, critic.trainable_variables)
        c_optimizer.apply_gradients(zip(critic_gradients, critic.trainable_variables))
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(critic(tf.concat([state, actor(state)], axis=1)))
        actor_gradients = tape.gradient(loss, actor.trainable_variables)
        a_optimizer.apply_gradients(zip(actor_gradients, actor.trainable_variables))
        for slow, fast in ((slow_actor, actor), (slow_critic, critic)):
            mixed = [
                tau * b + (1.0 - tau) * a for a, b in zip(slow.get_weights(), fast.get_weights())
            ]
            slow.set_weights(mixed)
    return {"actor": actor_gradients, "critic": critic_gradients}


for train in (dqn, double, ddpg):
    for name, gradients in train().items():
        print(f"{train.__name__}.{name}: {sizes(gradients)}")
