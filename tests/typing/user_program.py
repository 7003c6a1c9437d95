"""A program as users write it: pyright finds no error in it (test_user_program.py), and it runs."""

import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

import headgate as hg
import headgate.tf as tf
from headgate import losses, metrics, nn, optim
from headgate.checkpoint import Checkpoints
from headgate.data import Batches
from headgate.testing import check_gradient

hg.random.set_seed(0)
inputs = np.linspace(-1.0, 1.0, 64).reshape(16, 4)
labels = np.arange(16) % 2

# Variables, tensors, operators, tapes.
w = hg.Variable(np.ones((4, 1)), name="w")
b = hg.Variable(0.0, name="b", trainable=True)
with hg.GradientTape(persistent=True) as tape:
    tape.watch(w)
    hidden = hg.tanh(inputs @ w + b) * 2.0 - hg.asarray(inputs).T[0, :, None] / 3
    gated = hg.stop_gradient(hidden) + hg.scale_gradient(hg.where(hidden > 0, hidden, -hidden), 0.5)
    loss = hg.mean(gated**2) + hg.linalg.norm(w) + hg.max(hg.random.normal((3,))) * 0
slope, shift = tape.gradient(loss, [w, b])
named = tape.gradient(loss, {"w": w}, unconnected_gradients="zero")
w.assign_sub(0.1 * slope)
b.assign(b - 0.1 * shift)
print(tape.why(loss, b), float(loss), int(hg.argmax(w)), loss.shape, w.dtype, named["w"].numpy())
print((-w * 2 + 1 - abs(w) ** 2).shape, w[0], w.T @ w, (w > 0) == (w <= 0), w.mT.ndim)
count: int = hidden.ndim + len(hidden)
array: np.ndarray[Any, Any] = hidden.numpy()
print(count, array.sum(), np.asarray(hidden).mean())


# Transforms, and rules of one's own.
def energy(x: hg.Tensor) -> hg.Tensor:
    head, *rest = x
    return hg.sum(hg.sin(x) ** 2) + 0 * (head * x[-1] - rest[0] / 2) + 0 * x[::2].T[0]


@hg.custom_gradient
def clipped(x: hg.Tensor) -> tuple[hg.Tensor, Callable[[hg.Tensor], hg.Tensor]]:
    return hg.exp(x), lambda g: hg.clip(g, -1.0, 1.0)


value, derivative = hg.value_and_grad(energy)(np.array([0.1, 0.2]))
print(value, hg.grad(energy)(derivative), hg.hessian(energy)(hg.asarray([1.0, 2.0])))
print(hg.jvp(energy, [np.ones(2)], [np.ones(2)]), clipped(hg.asarray(1.0)))
check_gradient(energy, np.array([0.5, 2.0]))

# A model and what trains it.
model = nn.Sequential([nn.Dense(8, activation="relu"), nn.Dropout(0.1), nn.Dense(2)], name="net")
model.build((None, 4))
optimizer = optim.Adam(optim.schedules.CosineDecay(1e-2, decay_steps=10), global_clipnorm=1.0)
loss_of = losses.SparseCategoricalCrossentropy(from_logits=True)
accuracy = metrics.SparseCategoricalAccuracy()
batches = Batches(inputs, labels, batch_size=8, seed=0)


@hg.function
def evaluate(x: Any, y: Any) -> hg.Tensor:
    accuracy.update_state(y, model(x, training=False))
    return accuracy.result()


@hg.function(donate=False, static_argnames=("training",))
def step(x: Any, y: Any, training: bool = True) -> hg.Tensor:
    with hg.GradientTape() as tape:
        error = loss_of(y, model(x, training=training))
    gradients = tape.gradient(error, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return error


for _ in range(3):
    x, y = next(batches)
    print(step(x, y, training=True).numpy(), evaluate(x, y))
with tempfile.TemporaryDirectory() as folder:
    checkpoints = Checkpoints(folder, keep=2, model=model, optimizer=optimizer, batches=batches)
    checkpoints.save(3)
    assert checkpoints.restore() == 3
print(len(step.signatures), [variable.name for variable in model.trainable_variables])

# TensorFlow's names.
encoder = tf.Variable([[1.0], [2.0]], name="encoder")
with tf.GradientTape() as tf_tape:
    code = tf.stop_gradient(tf.constant([[1.0, 1.0]]) @ encoder)
    target = tf.reduce_sum(tf.nn.relu(code))
print(tf_tape.gradient(target, encoder), tf_tape.why(target, encoder))
dense = tf.keras.layers.Dense(3)
print(dense(tf.zeros((2, 4))).shape)
