"""A convolutional classifier with batch norm and dropout, a TrainState (flax.linen)."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax.training import train_state


class CNN(nn.Module):
    classes: int = 4

    @nn.compact
    def __call__(self, x, train: bool):
        x = nn.Conv(features=4, kernel_size=(3, 3))(x)
        x = nn.BatchNorm(use_running_average=not train)(x)
        x = nn.relu(x)
        x = nn.avg_pool(x, window_shape=(2, 2), strides=(2, 2))
        x = x.reshape((x.shape[0], -1))
        x = nn.Dense(features=16)(x)
        x = nn.relu(x)
        x = nn.Dropout(rate=0.25, deterministic=not train)(x)
        return nn.Dense(features=self.classes)(x)


class TrainState(train_state.TrainState):
    batch_stats: Any
    key: jax.Array


@jax.jit
def train_step(state, images, labels):
    dropout_key = jax.random.fold_in(state.key, state.step)

    def loss_fn(params):
        logits, updates = state.apply_fn(
            {"params": params, "batch_stats": state.batch_stats},
            images,
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": dropout_key},
        )
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        return loss, (logits, updates)

    (loss, (logits, updates)), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
    state = state.apply_gradients(grads=grads)
    state = state.replace(batch_stats=updates["batch_stats"])
    accuracy = jnp.mean(jnp.argmax(logits, -1) == labels)
    return state, loss, accuracy


model = CNN()
init_key, data_key, dropout_key = jax.random.split(jax.random.key(0), 3)
images = jax.random.normal(data_key, (8, 8, 8, 1))
labels = jnp.arange(8) % 4
variables = model.init(init_key, images, train=False)
state = TrainState.create(
    apply_fn=model.apply,
    params=variables["params"],
    batch_stats=variables["batch_stats"],
    tx=optax.adam(1e-2),
    key=dropout_key,
)
for epoch in range(4):
    state, loss, accuracy = train_step(state, images, labels)
    print(f"epoch {epoch}: loss {float(loss)!r} accuracy {float(accuracy):.2f}")

for path, value in jax.tree_util.tree_leaves_with_path(state.params):
    print(jax.tree_util.keystr(path), repr(float(jnp.abs(value).sum())))
