# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: project/kernel=2.650
# also: -
import numpy as np

import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(4)
rng = np.random.default_rng(4)

project = keras.layers.Dense(4, use_bias=False, name="project")
predict = keras.layers.Dense(4, use_bias=False, name="predict")
for layer, width in ((project, 6), (predict, 4)):
    layer.build((None, width))
optimizer = keras.optimizers.SGD(0.1)


def similarity(p, z):
    p, z = tf.math.l2_normalize(p, axis=1), tf.math.l2_normalize(z, axis=1)
    return tf.reduce_mean(tf.reduce_sum(p * z, axis=1))


def half_loss(one, other):
    """SimSiam: the other branch is a constant (Chen and He 2021)."""
    goal = tf.stop_gradient(project(other))
    return -similarity(predict(project(one)), goal)


for _step in range(4):
    x = rng.normal(size=(16, 6)).astype("float32")
    one = tf.constant(x + 0.1 * rng.normal(size=x.shape).astype("float32"))
    other = tf.constant(x + 0.1 * rng.normal(size=x.shape).astype("float32"))
    with tf.GradientTape() as tape:
        loss = 0.5 * half_loss(one, other) + 0.5 * half_loss(other, one)
    weights = project.trainable_variables + predict.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
print(f"project/kernel: {float(tf.norm(project.kernel)):.3f}")
