# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: aux/kernel=learns aux/bias=learns
# also: -
import numpy as np

import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(2)
rng = np.random.default_rng(2)
DEPTH = 3

blocks = [keras.layers.Dense(6, activation="tanh", name=f"block_{i}") for i in range(DEPTH)]
main = keras.layers.Dense(1, name="main")
aux = keras.layers.Dense(1, name="aux")
aux.build((None, 6))
optimizer = keras.optimizers.SGD(0.1)


def forward(x):
    """The main output, and that of the head in the middle (Szegedy et al. 2015)."""
    middle = None
    for i, block in enumerate(blocks):
        x = block(x)
        if i == DEPTH // 2:
            middle = aux(x)
    return main(x), middle


def loss_of(x, y):
    out, middle = forward(x)
    aux_weight = 1 / DEPTH
    aux_loss = tf.reduce_mean(tf.square(middle - y))
    return tf.reduce_mean(tf.square(out - y)) + aux_weight * aux_loss


before = [v.numpy() for v in aux.trainable_variables]
for _step in range(3):
    x = rng.normal(size=(8, 4)).astype("float32")
    y = x[:, :1] * x[:, 1:2]
    with tf.GradientTape() as tape:
        loss = loss_of(x, y)
    weights = [v for layer in (*blocks, main, aux) for v in layer.trainable_variables]
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
for v, old in zip(aux.trainable_variables, before):
    print(f"{v.name}: {'learns' if (v.numpy() != old).any() else 'still'}")
