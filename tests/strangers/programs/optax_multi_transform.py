"""Different optimizers for parts of a model, accumulation, a schedule and an average (optax)."""

import functools

import jax
import jax.numpy as jnp
import optax


def init(key):
    k = jax.random.split(key, 3)
    return {
        "embed": {"table": jax.random.normal(k[0], (10, 8))},
        "hidden": {"w": jax.random.normal(k[1], (8, 16)) / 3, "b": jnp.zeros(16)},
        "out": {"w": jax.random.normal(k[2], (16, 3)) / 4, "b": jnp.zeros(3)},
    }


def net(params, tokens):
    h = params["embed"]["table"][tokens].mean(axis=1)
    h = jax.nn.relu(h @ params["hidden"]["w"] + params["hidden"]["b"])
    return h @ params["out"]["w"] + params["out"]["b"]


def loss_fn(params, tokens, labels):
    labels = optax.smooth_labels(jax.nn.one_hot(labels, 3), 0.1)
    return optax.softmax_cross_entropy(net(params, tokens), labels).mean()


def labels_of(params):
    return {part: jax.tree.map(lambda _, part=part: part, params[part]) for part in params}


schedule = optax.warmup_cosine_decay_schedule(0.0, 1e-2, warmup_steps=2, decay_steps=20)
no_decay = functools.partial(jax.tree.map, lambda p: p.ndim > 1)
tx = optax.chain(
    optax.clip_by_global_norm(1.0),
    optax.multi_transform(
        {
            "embed": optax.sgd(0.1, momentum=0.9, nesterov=True),
            "hidden": optax.adamw(schedule, mask=no_decay),
            "out": optax.chain(optax.add_decayed_weights(1e-4, mask=no_decay), optax.lion(1e-3)),
        },
        labels_of,
    ),
)
tx = optax.MultiSteps(tx, every_k_schedule=2)
params = init(jax.random.key(0))
opt_state = tx.init(params)
ema = optax.ema(0.9)
ema_state = ema.init(params)


@jax.jit
def step(params, opt_state, ema_state, tokens, labels):
    loss, grads = jax.value_and_grad(loss_fn)(params, tokens, labels)
    updates, opt_state = tx.update(grads, opt_state, params)
    params = optax.apply_updates(params, updates)
    average, ema_state = ema.update(params, ema_state)
    return params, opt_state, ema_state, average, loss


for i in range(8):
    tokens = jax.random.randint(jax.random.key(i), (16, 4), 0, 10)
    labels = tokens.sum(axis=1) % 3
    params, opt_state, ema_state, average, loss = step(params, opt_state, ema_state, tokens, labels)
    print(f"step {i}: loss {float(loss)!r}")

for path, value in jax.tree_util.tree_leaves_with_path(params):
    print(jax.tree_util.keystr(path), repr(float(jnp.abs(value).sum())))
print("average", repr(float(optax.tree.norm(average))))
