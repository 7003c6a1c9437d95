# cause: zero_derivative
# line: 14
# affected: key query
# symptom: zero
# expect: key=zero out=nonzero query=zero value=nonzero
# also: 13
import jax
import jax.numpy as jnp


def pool(params, tokens):
    """Weigh the tokens by how well they fit the query."""
    scores = jnp.sum(tokens @ params["key"] * params["query"], axis=1, keepdims=True)
    weights = jax.nn.softmax(scores, axis=1)
    return jnp.sum(weights * (tokens @ params["value"]), axis=0)


def loss_fn(params, x, labels):
    pooled = jax.vmap(pool, in_axes=(None, 0))(params, x)
    logits = pooled @ params["out"]
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1))


keys = jax.random.split(jax.random.key(8), 5)
params = {
    "query": jax.random.normal(keys[0], (4,)),
    "key": jax.random.normal(keys[1], (4, 4)),
    "value": jax.random.normal(keys[2], (4, 6)),
    "out": jax.random.normal(keys[3], (6, 3)),
}
x = jax.random.normal(keys[4], (12, 5, 4))
labels = jnp.argmax(x[:, 0], axis=1) % 3
total = jax.tree.map(jnp.zeros_like, params)
for _ in range(3):
    grads = jax.grad(loss_fn)(params, x, labels)
    total = jax.tree.map(lambda t, g: t + jnp.abs(g), total, grads)
    params = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)
for name, t in sorted(total.items()):
    print(f"{name}: {'nonzero' if t.sum() > 0 else 'zero'}")
