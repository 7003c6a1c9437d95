# cause: nondiff_op integer_cast
# line: 18
# affected: gate
# symptom: zero
# expect: b=nonzero gate=zero w=nonzero
# also: 19 20
import jax
import jax.numpy as jnp


def init(key):
    k1, k2 = jax.random.split(key)
    return {"gate": jnp.full(6, 0.3), "w": 0.3 * jax.random.normal(k1, (6,)), "b": jnp.zeros(())}


def select(params, key, x):
    p = jax.nn.sigmoid(params["gate"])
    keep = jax.random.bernoulli(key, p, x.shape)
    drawn = keep.astype(x.dtype)
    return x * drawn


def loss_fn(params, key, x, y):
    prediction = select(params, key, x) @ params["w"] + params["b"]
    return jnp.mean((prediction - y) ** 2) + 1e-3 * jnp.sum(params["w"] ** 2)


grad_fn = jax.jit(jax.grad(loss_fn))
key = jax.random.key(3)
params = init(key)
x = jax.random.normal(jax.random.key(4), (32, 6))
y = x[:, 0] - 2.0 * x[:, 3]
for i in range(6):
    grads = grad_fn(params, jax.random.fold_in(key, i), x, y)
    params = jax.tree.map(lambda p, g: p - 0.05 * g, params, grads)
for name, g in grads.items():
    print(f"{name}: {'nonzero' if jnp.abs(g).max() > 0 else 'zero'}")
