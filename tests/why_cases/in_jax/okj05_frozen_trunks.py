# cause: none
# line: 0
# affected: -
# symptom: legit: parts are not trained on purpose
# expect: masked=learns labels=learns trees=learns thawed=learns
# also: -
# stops: 33 61 59
"""A head on a frozen trunk: by optax.masked, by labels, by two trees, by a stop, and thawed later."""

import jax
import jax.numpy as jnp
import optax


def init(key):
    k1, k2 = jax.random.split(key)
    return {
        "trunk": {"w": jax.random.normal(k1, (4, 8)) / 2, "b": jnp.zeros(8)},
        "head": {"w": jax.random.normal(k2, (8, 1)) / 3, "b": jnp.zeros(1)},
    }


def predict(params, x):
    h = jnp.tanh(x @ params["trunk"]["w"] + params["trunk"]["b"])
    return h @ params["head"]["w"] + params["head"]["b"]


def loss_fn(params, x, y):
    return jnp.mean((predict(params, x) - y) ** 2)


def stopped_loss(params, x, y):
    trunk = jax.lax.stop_gradient(params["trunk"])
    return loss_fn({**params, "trunk": trunk}, x, y)


def is_trunk(params):
    return {"trunk": {"w": True, "b": True}, "head": {"w": False, "b": False}}


def labels(params):
    return {part: jax.tree.map(lambda _: kinds[part], params[part]) for part in params}


kinds = {"trunk": "frozen", "head": "trained"}


def report(name, before, after):
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after))
    still = any(jnp.array_equal(a, b) for a, b in pairs)
    print(f"{name}: {'still' if still else 'learns'}")


x = jax.random.normal(jax.random.key(0), (24, 4))
y = jnp.sin(x.sum(axis=1, keepdims=True))
start = init(jax.random.key(1))

optimizers = {
    "masked": optax.chain(optax.adam(1e-2), optax.masked(optax.set_to_zero(), is_trunk)),
    "labels": optax.multi_transform(
        {"trained": optax.adam(1e-2), "frozen": optax.set_to_zero()}, labels
    ),
}
for name, tx in optimizers.items():
    params, state = start, tx.init(start)

    @jax.jit
    def step(params, state):
        updates, state = tx.update(jax.grad(loss_fn)(params, x, y), state, params)
        return optax.apply_updates(params, updates), state

    for _ in range(3):
        params, state = step(params, state)
    report(name, start["head"], params["head"])

head = start["head"]
for _ in range(3):
    grads = jax.grad(lambda head: loss_fn({"trunk": start["trunk"], "head": head}, x, y))(head)
    head = jax.tree.map(lambda p, g: p - 0.1 * g, head, grads)
report("trees", start["head"], head)

params = start
for step in range(4):
    loss = stopped_loss if step < 2 else loss_fn
    grads = jax.grad(loss)(params, x, y)
    params = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)
report("thawed", start, params)
