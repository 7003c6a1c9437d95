# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: embed.kernel=learns embed.bias=learns score.kernel=learns score.bias=learns
# also: -
import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(15)


def dense(name, inputs, outputs, activation=None):
    x = keras.Input((inputs,))
    return keras.Model(x, keras.layers.Dense(outputs, activation, name=name)(x))


user = dense("embed", 6, 4, "tanh")
ranker = dense("score", 8, 1)
optimizer = keras.optimizers.Adagrad(0.1)


@tf.function
def step(people, items, ratings):
    with tf.GradientTape() as tape:
        seen = tf.concat([user(people), items], axis=1)
        loss = tf.reduce_mean(tf.abs(ranker(seen) - ratings))
    variables = user.trainable_variables + ranker.trainable_variables
    gradients = tape.gradient(loss, variables)
    optimizer.apply_gradients(zip(gradients, variables))
    return loss


both = user.trainable_variables + ranker.trainable_variables
start = [v.numpy() for v in both]
for _batch in range(5):
    people, items = tf.random.normal((20, 6)), tf.random.normal((20, 4))
    step(people, items, people[:, :1] * items[:, :1])
for v, before in zip(both, start):
    name = v.path.replace("/", ".")
    print(f"{name}: {'still' if np.array_equal(v, before) else 'learns'}")
