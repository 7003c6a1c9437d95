# cause: none
# line: 0
# affected: -
# symptom: legit: the nearest code is an index, gradient goes straight through
# expect: learnt=learns averaged=learns levels=learns
# also: -
# stops: 33 31 32 56
"""VQ-VAE with a learnt codebook, with one of moving averages, and rounded to levels."""

import jax
import jax.numpy as jnp
from jax import lax


def init(key):
    k = jax.random.split(key, 3)
    return {
        "encoder": jax.random.normal(k[0], (6, 3)) / 2,
        "codes": jax.random.normal(k[1], (5, 3)),
        "decoder": jax.random.normal(k[2], (3, 6)) / 2,
    }


def nearest(codes, z):
    return jnp.argmin(jnp.sum((z[:, None] - codes) ** 2, axis=-1), axis=1)


def learnt(params, x):
    z = x @ params["encoder"]
    q = params["codes"][nearest(params["codes"], z)]
    codebook_loss = jnp.mean((q - lax.stop_gradient(z)) ** 2)
    commitment = jnp.mean((lax.stop_gradient(q) - z) ** 2)
    through = z + jax.lax.stop_gradient(q - z)
    error = jnp.mean((through @ params["decoder"] - x) ** 2)
    return error + codebook_loss + 0.25 * commitment


def averaged(params, codes, x):
    """The codebook is no parameter: it follows the codes that are assigned to it."""
    z = x @ params["encoder"]
    index = nearest(codes, z)
    through = z + lax.stop_gradient(codes[index] - z)
    error = jnp.mean((through @ params["decoder"] - x) ** 2)
    loss = error + 0.25 * jnp.mean((lax.stop_gradient(codes[index]) - z) ** 2)
    return loss, (z, index)


def follow(codes, z, index):
    hot = jax.nn.one_hot(index, len(codes))
    count = hot.sum(axis=0)[:, None]
    mean = hot.T @ z / jnp.maximum(count, 1.0)
    return jnp.where(count > 0, 0.9 * codes + 0.1 * mean, codes)


def round_through(x):
    return x + lax.stop_gradient(jnp.round(x) - x)


def levels(params, x):
    z = round_through(2.0 * jnp.tanh(x @ params["encoder"]))
    return jnp.mean((z @ params["decoder"] - x) ** 2)


def descend(params, grads):
    return jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)


def report(name, before, after):
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after))
    still = any(jnp.array_equal(a, b) for a, b in pairs)
    print(f"{name}: {'still' if still else 'learns'}")


x = jax.random.normal(jax.random.key(0), (32, 6))
start = params = init(jax.random.key(1))
for _ in range(3):
    params = descend(params, jax.grad(learnt)(params, x))
report("learnt", start, params)

start = params = init(jax.random.key(2))
codes = params.pop("codes")
start = dict(params)
step = jax.jit(jax.value_and_grad(averaged, has_aux=True))
for _ in range(3):
    (loss, (z, index)), grads = step(params, codes, x)
    params, codes = descend(params, grads), follow(codes, z, index)
report("averaged", start, params)

start = params = {name: init(jax.random.key(3))[name] for name in ("encoder", "decoder")}
for _ in range(3):
    params = descend(params, jax.grad(levels)(params, x))
report("levels", start, params)
