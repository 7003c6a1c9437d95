# cause: unused_parameter
# line: 71
# affected: rates.b1 rates.b2 rates.w1 rates.w2
# symptom: not updated
# expect: rates.b1=still rates.b2=still rates.w1=still rates.w2=still weights.b1=learns weights.b2=learns weights.w1=learns weights.w2=learns
# also: 55 64 68 72 80
"""Meta-SGD: a start and a step size for each parameter are learnt over tasks of sine waves."""

import jax
import jax.numpy as jnp
import optax
from jax import lax

SHOTS, INNER, TASKS = 8, 2, 4


# -- tasks -----------------------------------------------------------------------------------------


def sample_task(key):
    k1, k2, k3 = jax.random.split(key, 3)
    height = jax.random.uniform(k1, minval=0.5, maxval=2.0)
    phase = jax.random.uniform(k2, maxval=3.0)
    x = jax.random.uniform(k3, (2 * SHOTS, 1), minval=-3.0, maxval=3.0)
    y = height * jnp.sin(x + phase)
    return {"x": x[:SHOTS], "y": y[:SHOTS], "query_x": x[SHOTS:], "query_y": y[SHOTS:]}


# -- network ---------------------------------------------------------------------------------------


def init_weights(key):
    k1, k2 = jax.random.split(key)
    return {
        "w1": jax.random.normal(k1, (1, 16)),
        "b1": jnp.zeros(16),
        "w2": jax.random.normal(k2, (16, 1)) / 4,
        "b2": jnp.zeros(1),
    }


def network(weights, x):
    h = jnp.tanh(x @ weights["w1"] + weights["b1"])
    return h @ weights["w2"] + weights["b2"]


def mse(weights, x, y):
    return jnp.mean((network(weights, x) - y) ** 2)


def init_meta(key):
    weights = init_weights(key)
    return {
        "weights": weights,
        "rates": jax.tree.map(lambda w: jnp.full_like(w, 0.05), weights),
    }


# -- inner loop ------------------------------------------------------------------------------------


def adapt(meta, task):
    """Some steps on the shots of a task; returns the weights, and the losses for the log."""
    weights, rates = meta["weights"], meta["rates"]

    def inner(weights, _):
        loss, grads = jax.value_and_grad(mse)(weights, task["x"], task["y"])
        weights = jax.tree.map(lambda w, r, g: w - r * g, weights, rates, grads)
        return weights, loss

    _, losses = lax.scan(inner, weights, None, length=INNER)
    return weights, losses


# -- outer loop ------------------------------------------------------------------------------------


def task_loss(meta, task):
    adapted, losses = adapt(meta, task)
    fitted = network(adapted, task["query_x"])
    return jnp.mean((fitted - task["query_y"]) ** 2), losses


def meta_loss(meta, tasks):
    each, losses = jax.vmap(task_loss, in_axes=(None, 0))(meta, tasks)
    return jnp.mean(each), losses.mean(axis=0)


optimizer = optax.adam(1e-2)


@jax.jit
def outer_step(meta, opt_state, key):
    tasks = jax.vmap(sample_task)(jax.random.split(key, TASKS))
    (loss, losses), grads = jax.value_and_grad(meta_loss, has_aux=True)(meta, tasks)
    updates, opt_state = optimizer.update(grads, opt_state)
    return optax.apply_updates(meta, updates), opt_state, loss


def main():
    key = jax.random.PRNGKey(204)
    key, k_init = jax.random.split(key)
    meta = start = init_meta(k_init)
    opt_state = optimizer.init(meta)
    for step in range(4):
        meta, opt_state, loss = outer_step(meta, opt_state, jax.random.fold_in(key, step))
    for group in sorted(meta):
        for name in sorted(meta[group]):
            same = jnp.array_equal(meta[group][name], start[group][name])
            print(f"{group}.{name}: {'still' if same else 'learns'}")


main()
