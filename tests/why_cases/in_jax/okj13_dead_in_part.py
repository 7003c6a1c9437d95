# cause: none
# line: 0
# affected: -
# symptom: legit: units, experts and rows without a gradient beside others that have one
# expect: units=learns words=learns experts=learns hinge=learns dropout=learns attention=learns branches=learns
# also: -
"""Dead units in part, tokens that a batch does not have, experts in turn, hinges, dropout, masks."""

import jax
import jax.numpy as jnp


def units(params, x, y):
    h = jax.nn.relu(x @ params["w"] - 1.0)
    return jnp.mean((jnp.clip(h @ params["out"], -5.0, 5.0) - y) ** 2)


def words(params, x, y):
    tokens = jnp.abs(jnp.floor(x)).astype(jnp.int32)
    return jnp.mean((params["table"][tokens].mean(axis=1) @ params["out"] - y) ** 2)


def experts(params, x, y):
    scores = jax.nn.softmax(x @ params["router"])
    best, index = jax.lax.top_k(scores, 2)
    each = jnp.einsum("bd,edo->beo", x, params["experts"])
    taken = jnp.take_along_axis(each, index[..., None], axis=1)
    return jnp.mean((jnp.sum(best[..., None] * taken, axis=1)[:, 0] - y) ** 2)


def hinge(params, x, y):
    margin = jnp.sign(y) * (x @ params["w"] + params["b"])
    return jnp.mean(jnp.maximum(0.0, 1.0 - margin)) + 1e-3 * jnp.sum(params["w"] ** 2)


def dropout(params, x, y):
    key = jax.random.key(int(10 * abs(float(x[0, 0]))))
    h = jnp.tanh(x @ params["w"])
    h = jnp.where(jax.random.bernoulli(key, 0.5, h.shape), h / 0.5, 0.0)
    return jnp.mean((h @ params["out"] - y) ** 2)


def attention(params, x, y):
    seq = x.reshape(-1, 4, 4)
    q, k, v = (seq @ params[name] for name in "qkv")
    scores = jnp.where(jnp.tril(jnp.ones((4, 4), bool)), q @ k.mT, -jnp.inf)
    mixed = jax.nn.softmax(scores, axis=-1) @ v
    return jnp.mean((mixed.sum(axis=-1).ravel() - y) ** 2)


def branches(params, x, y):
    def each(row, wanted):
        small = jax.lax.cond(
            row[0] > 0, lambda r: r @ params["a"], lambda r: jnp.tanh(r @ params["b"]), row
        )
        return (small - wanted) ** 2

    return jnp.mean(jax.vmap(each)(x, y))


def report(name, before, after):
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after))
    still = any(jnp.array_equal(a, b) for a, b in pairs)
    print(f"{name}: {'still' if still else 'learns'}")


k = jax.random.split(jax.random.key(13), 8)
x = 2.0 * jax.random.normal(k[0], (16, 4))
y = jnp.sin(x[:, 0])
normal = jax.random.normal
starts = {
    units: {"w": normal(k[1], (4, 12)), "out": normal(k[2], (12,)) / 8},
    words: {"table": normal(k[1], (20, 3)), "out": normal(k[2], (3,))},
    experts: {"router": normal(k[1], (4, 6)), "experts": normal(k[2], (6, 4, 1))},
    hinge: {"w": normal(k[1], (4,)), "b": jnp.array(0.0)},
    dropout: {"w": normal(k[1], (4, 8)), "out": normal(k[2], (8,)) / 4},
    attention: {name: normal(k[i], (4, 4)) / 3 for i, name in enumerate("qkv")},
    branches: {"a": normal(k[1], (4,)), "b": normal(k[2], (4,))},
}
for loss_fn, start in starts.items():
    params = start
    for i in range(2):
        grads = jax.grad(loss_fn)(params, x * (1 + i), y)
        params = jax.tree.map(lambda p, g: p - 0.01 * g, params, grads)
    report(loss_fn.__name__, start, params)
