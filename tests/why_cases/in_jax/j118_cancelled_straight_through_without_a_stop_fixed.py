# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: decoder.b=nonzero decoder.w=nonzero encoder.b=nonzero encoder.w=nonzero
# also: -
import jax
import jax.numpy as jnp


def through(x):
    return x + jax.lax.stop_gradient(jnp.round(x) - x)


def autoencode(params, x):
    codes = through(4.0 * jax.nn.sigmoid(x @ params["encoder"]["w"] + params["encoder"]["b"]))
    return codes @ params["decoder"]["w"] + params["decoder"]["b"]


def loss_fn(params, x):
    return jnp.mean(jnp.abs(autoencode(params, x) - x))


def layer(key, n, m):
    return {"w": jax.random.normal(key, (n, m)) / n**0.5, "b": jnp.zeros(m)}


k = jax.random.split(jax.random.key(18), 3)
params = {"encoder": layer(k[0], 5, 3), "decoder": layer(k[1], 3, 5)}
x = jax.random.normal(k[2], (16, 5))
slopes = jax.jit(jax.jacrev(loss_fn))
for _ in range(3):
    grads = slopes(params, x)
    params = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)
for path, g in jax.tree_util.tree_leaves_with_path(grads):
    name = jax.tree_util.keystr(path, simple=True, separator=".")
    print(f"{name}: {'nonzero' if jnp.abs(g).max() > 1e-6 else 'zero'}")
