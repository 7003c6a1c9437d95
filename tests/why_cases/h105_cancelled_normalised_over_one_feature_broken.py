# cause: cancelled zero_derivative
# line: 18
# affected: value/kernel
# symptom: zero
# expect: value/kernel=still
# also: 35 40
import numpy as np

import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(1)
rng = np.random.default_rng(1)


def standardise(v):
    """Returns with zero mean, so that the scale of the rewards does not matter."""
    v = v - tf.reduce_mean(v, axis=-1, keepdims=True)
    return v


trunk = keras.layers.Dense(6, activation="tanh", name="trunk")
policy = keras.layers.Dense(3, name="policy")
value = keras.layers.Dense(1, name="value")
for layer, width in ((trunk, 4), (policy, 6), (value, 6)):
    layer.build((None, width))
optimizer = keras.optimizers.SGD(0.1)
before = value.kernel.numpy()
for _step in range(3):
    state = rng.normal(size=(8, 4)).astype("float32")
    action = rng.integers(0, 3, size=8)
    returns = (state[:, :1] * (1.0 + action[:, None])).astype("float32")
    with tf.GradientTape() as tape:
        h = trunk(state)
        guess = standardise(value(h))
        target = (returns - returns.mean()) / (returns.std() + 1e-6)
        advantage = tf.stop_gradient(target - guess)
        log_prob = -tf.nn.sparse_softmax_cross_entropy_with_logits(labels=action, logits=policy(h))
        actor_loss = -tf.reduce_mean(log_prob * advantage[:, 0])
        critic_loss = tf.reduce_mean(tf.square(guess - target))
        loss = actor_loss + 0.5 * critic_loss
    weights = [v for layer in (trunk, policy) for v in layer.trainable_variables] + [value.kernel]
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
print(f"value/kernel: {'learns' if (value.kernel.numpy() != before).any() else 'still'}")
