# cause: zero_rate zeroed_update not_applied
# line: 23
# affected: b w
# symptom: not updated
# expect: b=still w=still
# also: 11 12 24 29 33
import jax
import jax.numpy as jnp
import optax

schedule = optax.warmup_cosine_decay_schedule(0.0, 1e-2, warmup_steps=10, decay_steps=100)
optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule))


def loss_fn(params, x, y):
    logits = x @ params["w"] + params["b"]
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()


@jax.jit
def step(params, state, x, y):
    loss, grads = jax.value_and_grad(loss_fn)(params, x, y)
    updates, _ = optimizer.update(grads, state, params)
    return optax.apply_updates(params, updates), loss


params = {"w": jnp.zeros((5, 3)), "b": jnp.full(3, 0.1)}
start = params
state = optimizer.init(params)
key = jax.random.key(13)
for i in range(8):
    x = jax.random.normal(jax.random.fold_in(key, i), (16, 5))
    params, loss = step(params, state, x, jnp.argmax(x[:, :3], axis=1))
for name, value in params.items():
    print(f"{name}: {'still' if (value == start[name]).all() else 'learns'}")
