# cause: none
# line: 0
# affected: -
# symptom: legit: one factor is zero at the start, and the base is frozen
# expect: lora=learns both=learns rezero=learns
# also: -
# stops: 37
"""LoRA with B = 0, gates that start at zero, and a residual scale at zero."""

import jax
import jax.numpy as jnp
import optax


def init(key, rank=2):
    k = jax.random.split(key, 4)
    base = {f"layer_{i}": jax.random.normal(k[i], (6, 6)) / 2.5 for i in range(2)}
    adapters = {
        name: {"a": jax.random.normal(k[2], (6, rank)), "b": jnp.zeros((rank, 6))} for name in base
    }
    return base, adapters


def forward(base, adapters, x):
    for name, w in base.items():
        x = jnp.tanh(x @ w + (x @ adapters[name]["a"]) @ adapters[name]["b"])
    return x


def lora(adapters, base, x, y):
    return jnp.mean((forward(base, adapters, x) - y) ** 2)


def both(params, x, y):
    """One tree for all; the base is stopped, and the optimizer is told as well."""
    base = params["base"]
    base = jax.lax.stop_gradient(base)
    return jnp.mean((forward(base, params["adapters"], x) - y) ** 2)


def rezero(params, x, y):
    for w, alpha in zip(params["w"], params["alpha"]):
        x = x + alpha * jnp.tanh(x @ w)
    return jnp.mean((x - y) ** 2)


def report(name, before, after):
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after))
    still = any(jnp.array_equal(a, b) for a, b in pairs)
    print(f"{name}: {'still' if still else 'learns'}")


x = jax.random.normal(jax.random.key(0), (16, 6))
y = jnp.roll(x, 1, axis=1)
base, start = init(jax.random.key(1))
tx = optax.adamw(1e-2)
adapters, state = start, tx.init(start)
gradient = jax.jit(jax.grad(lora))
for _ in range(3):
    updates, state = tx.update(gradient(adapters, base, x, y), state, adapters)
    adapters = optax.apply_updates(adapters, updates)
report("lora", start, adapters)

params = {"base": base, "adapters": start}
mask = {
    "base": jax.tree.map(lambda _: False, base),
    "adapters": jax.tree.map(lambda _: True, start),
}
tx = optax.masked(optax.sgd(0.1), mask)
state = tx.init(params)
for _ in range(3):
    updates, state = tx.update(jax.grad(both)(params, x, y), state, params)
    params = optax.apply_updates(params, updates)
report("both", start, params["adapters"])

start = params = {"w": [base["layer_0"], base["layer_1"]], "alpha": [jnp.array(0.0)] * 2}
for _ in range(3):
    grads = jax.grad(rezero)(params, x, y)
    params = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)
report("rezero", start, params)
