# cause: none
# line: 0
# affected: -
# symptom: legit: what an optimizer keeps, skips and averages
# expect: accumulated=learns warmed=learns finite=learns injected=learns looked_ahead=learns summed=learns by_hand=learns lbfgs=learns
# also: -
"""Accumulation over micro-batches, skipped steps, averages for evaluation, schedules from zero, L-BFGS,
hyper-parameters in the state, updates by hand in a fori_loop, and a line search."""

import jax
import jax.numpy as jnp
import optax
from jax import lax


def init():
    key = jax.random.key(14)
    return {"w": jax.random.normal(key, (4, 3)) / 2, "b": jnp.full(3, 0.1)}


def loss_fn(params, x, y):
    logits = x @ params["w"] + params["b"]
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()


x = jax.random.normal(jax.random.key(0), (4, 8, 4))
y = jnp.argmax(x[..., :3], axis=-1)


def report(name, before, after):
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after))
    still = any(jnp.array_equal(a, b) for a, b in pairs)
    print(f"{name}: {'still' if still else 'learns'}")


schedule = optax.warmup_cosine_decay_schedule(0.0, 1e-2, 2, 10)
optimizers = {
    "accumulated": optax.MultiSteps(optax.adam(1e-2), every_k_schedule=2),
    "warmed": optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule)),
    "finite": optax.apply_if_finite(optax.sgd(0.1), max_consecutive_errors=3),
    "injected": optax.inject_hyperparams(optax.adam)(learning_rate=1e-2),
    "looked_ahead": optax.lion(1e-3),
}
for name, tx in optimizers.items():
    params = start = init()
    state = tx.init(params)

    @jax.jit
    def step(params, state, x, y):
        loss, grads = jax.value_and_grad(loss_fn)(params, x, y)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state, loss

    for i in range(4):
        params, state, loss = step(params, state, x[i], y[i])
    report(name, start, params)

params = start
grads = jax.tree.map(jnp.zeros_like, params)
for i in range(4):
    more = jax.grad(loss_fn)(params, x[i], y[i])
    grads = jax.tree.map(lambda a, b: a + b / 4, grads, more)
params = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)
report("summed", start, params)


def body(i, params):
    grads = jax.grad(loss_fn)(params, x[i], y[i])
    norm = optax.tree.norm(grads)
    grads = jax.tree.map(lambda g: jnp.where(norm < 1e3, g, 0.0), grads)
    return jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)


report("by_hand", start, lax.fori_loop(0, 4, body, start))

tx = optax.lbfgs()
params, state = start, tx.init(start)


def whole(params):
    return loss_fn(params, x.reshape(-1, 4), y.ravel())


slopes = optax.value_and_grad_from_state(whole)
for _ in range(2):
    value, grads = slopes(params, state=state)
    updates, state = tx.update(grads, state, params, value=value, grad=grads, value_fn=whole)
    params = optax.apply_updates(params, updates)
report("lbfgs", start, params)
