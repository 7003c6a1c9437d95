# cause: none
# line: 0
# affected: -
# symptom: legit: first order methods stop the inner gradient
# expect: second=learns first=learns on_head=learns reptile=learns
# also: -
# stops: 35
"""MAML, its first order, Reptile, and an adapted head alone."""

import jax
import jax.numpy as jnp
from jax import lax


def init(key):
    k1, k2 = jax.random.split(key)
    return {"w1": jax.random.normal(k1, (1, 10)), "w2": jax.random.normal(k2, (10, 1)) / 3}


def mse(params, x, y):
    return jnp.mean((jnp.tanh(x @ params["w1"]) @ params["w2"] - y) ** 2)


def task(key):
    k1, k2 = jax.random.split(key)
    x = jax.random.normal(k1, (12, 1))
    y = jnp.sin(x + jax.random.uniform(k2))
    return (x[:6], y[:6]), (x[6:], y[6:])


def adapt(params, shots, first_order=False, steps=2):
    def inner(params, _):
        grads = jax.grad(mse)(params, *shots)
        if first_order:
            grads = jax.tree.map(jax.lax.stop_gradient, grads)
        return jax.tree.map(lambda p, g: p - 0.1 * g, params, grads), None

    return lax.scan(inner, params, None, length=steps)[0]


def second(params, key):
    shots, query = task(key)
    return mse(adapt(params, shots), *query)


def first(params, key):
    shots, query = task(key)
    return mse(adapt(params, shots, first_order=True), *query)


def on_head(params, key):
    (x, y), query = task(key)
    head = params["w2"]
    for _ in range(2):
        head = head - 0.1 * jax.grad(lambda w: mse({**params, "w2": w}, x, y))(head)
    return mse({**params, "w2": head}, *query)


def over_tasks(loss_fn):
    def total(params, keys):
        return jnp.mean(jax.vmap(loss_fn, in_axes=(None, 0))(params, keys))

    return jax.jit(jax.grad(total))


def report(name, before, after):
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after))
    still = any(jnp.array_equal(a, b) for a, b in pairs)
    print(f"{name}: {'still' if still else 'learns'}")


keys = jax.random.split(jax.random.key(8), (3, 4))
start = init(jax.random.key(9))
for loss_fn in (second, first, on_head):
    params, gradient = start, over_tasks(loss_fn)
    for batch in keys:
        params = jax.tree.map(lambda p, g: p - 0.05 * g, params, gradient(params, batch))
    report(loss_fn.__name__, start, params)

params = start
for key in keys[0]:
    shots, _ = task(key)
    fast = adapt(params, shots, steps=3)
    params = jax.tree.map(lambda p, f: p + 0.3 * (f - p), params, fast)
report("reptile", start, params)
