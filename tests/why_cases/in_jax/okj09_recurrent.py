# cause: none
# line: 0
# affected: -
# symptom: legit: states are stopped between chunks, and padding is no step
# expect: lengths=learns chunks=learns both=learns
# also: -
# stops: 80 34
"""Recurrent nets by scan: with lengths, in chunks of a long sequence, both ways, recomputed."""

import jax
import jax.numpy as jnp
from jax import lax


def init(key):
    k = jax.random.split(key, 4)
    return {
        "w": jax.random.normal(k[0], (2, 6)) / 2,
        "u": jax.random.normal(k[1], (6, 6)) / 3,
        "b": jnp.zeros(6),
        "out": jax.random.normal(k[2], (6, 1)) / 3,
    }


def cell(params, h, x):
    return jnp.tanh(x @ params["w"] + h @ params["u"] + params["b"])


def with_lengths(params, xs, lengths, y):
    def step(h, item):
        x, t = item
        new = cell(params, h, x)
        inside = t < lengths
        h = jnp.where(inside[:, None], new, h)
        return h, h

    times = jnp.arange(xs.shape[0])
    h, _ = lax.scan(step, jnp.zeros((xs.shape[1], 6)), (xs, times))
    return jnp.mean((h @ params["out"] - y) ** 2)


def chunk(params, carry, xs):
    @jax.checkpoint
    def step(h, x):
        h = cell(params, h, x)
        return h, h @ params["out"]

    carry, outs = lax.scan(step, carry, xs)
    return jnp.mean((outs - xs[..., :1]) ** 2), carry


def both_ways(params, xs, y):
    ends = []
    for name, reverse in (("forth", False), ("back", True)):
        p = params[name]
        h, _ = lax.scan(lambda h, x: (cell(p, h, x), None), jnp.zeros((8, 6)), xs, reverse=reverse)
        ends.append(h @ p["out"])
    return jnp.mean((ends[0] + ends[1] - y) ** 2)


def report(name, before, after):
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after))
    still = any(jnp.array_equal(a, b) for a, b in pairs)
    print(f"{name}: {'still' if still else 'learns'}")


key = jax.random.key(9)
xs = jax.random.normal(key, (9, 8, 2))
y = xs.mean(axis=0)[:, :1]
lengths = jnp.array([9, 9, 5, 4, 3, 2, 7, 8])
start = params = init(key)
gradient = jax.jit(jax.grad(with_lengths))
for _ in range(3):
    grads = gradient(params, xs, lengths, y)
    params = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)
report("lengths", start, params)

params, carry = start, jnp.zeros((8, 6))
for part in jnp.split(xs, 3):
    carry = lax.stop_gradient(carry)
    (loss, carry), grads = jax.value_and_grad(chunk, has_aux=True)(params, carry, part)
    params = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)
report("chunks", start, params)

start = params = {"forth": init(key), "back": init(jax.random.key(10))}
for _ in range(2):
    grads = jax.grad(both_ways)(params, xs, y)
    params = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)
report("both", start, params)
