# cause: none
# line: 0
# affected: -
# symptom: legit: noise and times are drawn, averages are kept for the end
# expect: likelihood=learns planar=learns diffusion=learns vae=learns
# also: -
"""A coupling flow by exact likelihood, a flow of splines' kind, diffusion with an average, a VAE."""

import jax
import jax.numpy as jnp
import optax


def dense(key, n, m):
    return jax.random.normal(key, (n, m)) / n**0.5


def init_flow(key):
    keys = jax.random.split(key, 4)
    return [{"w": dense(k, 1, 8), "s": dense(k, 8, 2) / 4} for k in keys]


def couple(params, x):
    """Return the code of a point, and the logarithm of the determinant."""
    total = 0.0
    for layer in params:
        kept, changed = x[:1], x[1:]
        shift, log_scale = jnp.split(jnp.tanh(kept @ layer["w"]) @ layer["s"], 2)
        log_scale = jnp.tanh(log_scale)
        x = jnp.concatenate([changed * jnp.exp(log_scale) + shift, kept])
        total = total + log_scale.sum()
    return x, total


def likelihood(params, points):
    codes, logdet = jax.vmap(couple, in_axes=(None, 0))(params, points)
    return -jnp.mean(-0.5 * jnp.sum(codes**2, axis=1) + logdet)


def planar(params, points):
    def f(x):
        return x + params["u"] * jnp.tanh(x @ params["w"] + params["b"])

    codes = jax.vmap(f)(points)
    logdet = jnp.log(jnp.abs(jnp.linalg.det(jax.vmap(jax.jacfwd(f))(points))) + 1e-6)
    return -jnp.mean(-0.5 * jnp.sum(codes**2, axis=1) + logdet)


def diffusion(params, key, x):
    k1, k2 = jax.random.split(key)
    t = jax.random.randint(k1, (len(x), 1), 0, 10)
    noise = jax.random.normal(k2, x.shape)
    kept = jnp.cumprod(1.0 - jnp.linspace(1e-2, 0.3, 10))[t]
    noisy = jnp.sqrt(kept) * x + jnp.sqrt(1.0 - kept) * noise
    h = jnp.concatenate([noisy, t / 10], axis=1) @ params["w1"]
    return jnp.mean((jnp.tanh(h) @ params["w2"] - noise) ** 2)


def vae(params, key, x, beta):
    mean, log_var = jnp.split(x @ params["w1"][:2], 2, axis=1)
    z = mean + jnp.exp(log_var / 2) * jax.random.normal(key, mean.shape)
    error = jnp.sum((z @ params["w2"] - x) ** 2, axis=1)
    kl = 0.5 * jnp.sum(mean**2 + jnp.exp(log_var) - log_var - 1.0, axis=1)
    return jnp.mean(error + beta * kl)


def report(name, before, after):
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after))
    still = any(jnp.array_equal(a, b) for a, b in pairs)
    print(f"{name}: {'still' if still else 'learns'}")


x = jax.random.normal(jax.random.key(0), (24, 2)) * jnp.array([1.0, 0.3]) + 0.5
k1, k2 = jax.random.split(jax.random.key(1))
flat = {"w": jnp.array([0.5, -0.3]), "u": jnp.array([0.2, 0.4]), "b": jnp.array(0.1)}
for loss_fn, start in ((likelihood, init_flow(k1)), (planar, flat)):
    params = start
    gradient = jax.jit(jax.value_and_grad(loss_fn))
    for _ in range(3):
        loss, grads = gradient(params, x)
        params = jax.tree.map(lambda p, g: p - 0.05 * g, params, grads)
    report(loss_fn.__name__, start, params)

start = params = average = {"w1": dense(k1, 3, 8), "w2": dense(k2, 8, 2)}
tx = optax.adam(1e-2)
state = tx.init(params)
for k in jax.random.split(k1, 3):
    updates, state = tx.update(jax.grad(diffusion)(params, k, x), state)
    params = optax.apply_updates(params, updates)
    average = optax.incremental_update(params, average, 0.1)
report("diffusion", start, average)

start = params = {"w1": dense(k1, 2, 6), "w2": dense(k2, 3, 2)}
for i, k in enumerate(jax.random.split(k1, 4)):
    grads = jax.grad(vae)(params, k, x, min(1.0, i / 2))
    params = jax.tree.map(lambda p, g: p - 0.02 * g, params, grads)
report("vae", start, params)
