# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: q.kernel=1.026 q.bias=0.386
# also: -
import collections
import random

import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(30)
Transition = collections.namedtuple("Transition", "state action reward following")


def environment(steps):
    state = np.random.normal(size=3)
    for _ in range(steps):
        action = random.randrange(2)
        following = 0.8 * state + np.random.normal(scale=0.2, size=3)
        following[action] += 0.3
        yield Transition(state, action, float(following[0] - following[1]), following)
        state = following


memory = collections.deque(environment(64), maxlen=64)
q = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="q")])
optimizer = keras.optimizers.Adam(0.05)


@tf.function
def learn(state, action, reward, following):
    with tf.GradientTape() as tape:
        chosen = tf.reduce_sum(q(state) * tf.one_hot(action, 2), axis=1)
        best = tf.reduce_max(q(following), axis=1)
        best = tf.stop_gradient(best)
        loss = tf.reduce_mean(tf.square(reward + 0.9 * best - chosen))
    gradients = tape.gradient(loss, q.trainable_variables)
    optimizer.apply_gradients(zip(gradients, q.trainable_variables))


for _step in range(6):
    columns = zip(*random.sample(memory, 16))
    state, action, reward, following = (np.array(column) for column in columns)
    learn(
        tf.constant(state, tf.float32),
        tf.constant(action),
        tf.constant(reward, tf.float32),
        tf.constant(following, tf.float32),
    )
for v in q.trainable_variables:
    print(f"q.{v.name}: {tf.norm(v):.3f}")
