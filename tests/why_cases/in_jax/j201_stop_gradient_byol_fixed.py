# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: encoder.0.b=learns encoder.0.w=learns encoder.1.b=learns encoder.1.w=learns predictor.0.b=learns predictor.0.w=learns predictor.1.b=learns predictor.1.w=learns projector.0.b=learns projector.0.w=learns projector.1.b=learns projector.1.w=learns
# also: -
"""BYOL on vectors: an online network predicts what its own average says of another view."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

WIDTH, CODE, BATCH, STEPS, RATE, DECAY = 12, 6, 16, 6, 3e-2, 0.95

Tree = Any


class State(NamedTuple):
    online: Tree
    target: Tree
    opt_state: Tree
    key: jax.Array


# -- networks --------------------------------------------------------------------------------------


def dense(key, n, m):
    bound = (6.0 / (n + m)) ** 0.5
    return {"w": jax.random.uniform(key, (n, m), minval=-bound, maxval=bound), "b": jnp.zeros(m)}


def init_mlp(key, sizes):
    keys = jax.random.split(key, len(sizes) - 1)
    return [dense(k, n, m) for k, n, m in zip(keys, sizes, sizes[1:])]


def mlp(layers, x):
    *hidden, last = layers
    for layer in hidden:
        x = jax.nn.gelu(x @ layer["w"] + layer["b"])
    return x @ last["w"] + last["b"]


def init(key):
    k1, k2, k3 = jax.random.split(key, 3)
    return {
        "encoder": init_mlp(k1, [8, WIDTH, WIDTH]),
        "projector": init_mlp(k2, [WIDTH, WIDTH, CODE]),
        "predictor": init_mlp(k3, [CODE, WIDTH, CODE]),
    }


def unit(x):
    return x * lax.rsqrt(jnp.sum(x * x, axis=-1, keepdims=True) + 1e-8)


def represent(network, view):
    """What a network says of a view, as a constant."""
    features = mlp(network["encoder"], view)
    out = mlp(network["projector"], features)
    out = unit(out)
    return jax.tree.map(lax.stop_gradient, out)


# -- views -----------------------------------------------------------------------------------------


def augment(key, x):
    k1, k2, k3 = jax.random.split(key, 3)
    x = x + 0.1 * jax.random.normal(k1, x.shape)
    kept = jax.random.bernoulli(k2, 0.8, x.shape)
    scale = jax.random.uniform(k3, (x.shape[0], 1), minval=0.8, maxval=1.25)
    return jnp.where(kept, x * scale, 0.0)


def sample(key):
    """Points around four centres."""
    k1, k2 = jax.random.split(key)
    centres = jnp.sign(jnp.sin(jnp.arange(32.0)).reshape(4, 8))
    which = jax.random.randint(k1, (BATCH,), 0, 4)
    return centres[which] + 0.3 * jax.random.normal(k2, (BATCH, 8))


# -- training --------------------------------------------------------------------------------------


def predicted(online, view):
    z = unit(mlp(online["projector"], mlp(online["encoder"], view)))
    return unit(mlp(online["predictor"], z))


def one_way(online, target, view, other):
    wanted = represent(target, other)
    return jnp.mean(jnp.sum((predicted(online, view) - wanted) ** 2, axis=-1))


def loss_fn(online, target, first, second):
    forth = one_way(online, target, first, second)
    back = one_way(online, target, second, first)
    return (forth + back) / 2


optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(RATE, momentum=0.9))


def average(target, online):
    return jax.tree.map(lambda t, o: DECAY * t + (1.0 - DECAY) * o, target, online)


def step(state, _):
    key, k_data, k_first, k_second = jax.random.split(state.key, 4)
    x = sample(k_data)
    views = augment(k_first, x), augment(k_second, x)
    loss, grads = jax.value_and_grad(loss_fn)(state.online, state.target, *views)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.online)
    online = optax.apply_updates(state.online, updates)
    return State(online, average(state.target, online), opt_state, key), loss


@jax.jit
def train(state):
    return lax.scan(step, state, None, length=STEPS)


def main():
    key, k_init = jax.random.split(jax.random.key(201))
    online = init(k_init)
    state = State(online, jax.tree.map(jnp.array, online), optimizer.init(online), key)
    state, losses = train(state)
    pairs = zip(jax.tree.leaves_with_path(state.online), jax.tree.leaves(online))
    for (path, after), before in pairs:
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        print(f"{name}: {'still' if jnp.array_equal(after, before) else 'learns'}")


if __name__ == "__main__":
    main()
