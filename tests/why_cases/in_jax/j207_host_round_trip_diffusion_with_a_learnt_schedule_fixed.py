# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: hidden.b=learns hidden.w=learns input.b=learns input.w=learns out.b=learns out.w=learns schedule.high=learns schedule.low=learns time.b=learns time.w=learns
# also: -
"""A diffusion model of points in the plane; the ends of its noise schedule are learnt as well."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

STEPS, WIDTH, BATCH = 20, 24, 32


# -- parameters ------------------------------------------------------------------------------------


def dense(key, n, m):
    return {"w": jax.random.normal(key, (n, m)) / n**0.5, "b": jnp.zeros(m)}


def init(key):
    k = jax.random.split(key, 4)
    return {
        "time": dense(k[0], 8, WIDTH),
        "input": dense(k[1], 2, WIDTH),
        "hidden": dense(k[2], WIDTH, WIDTH),
        "out": dense(k[3], WIDTH, 2),
        "schedule": {"low": jnp.array(-5.0), "high": jnp.array(5.0)},
    }


# -- schedule --------------------------------------------------------------------------------------


def log_snr(ends):
    share = jnp.linspace(0.0, 1.0, STEPS)
    return ends["high"] + (ends["low"] - ends["high"]) * share


class Schedule:
    """Signal and noise at each step, from the logarithm of their ratio."""

    def __init__(self, params):
        table = log_snr(params["schedule"])
        self.signal = jnp.sqrt(jax.nn.sigmoid(table))
        self.noise = jnp.sqrt(jax.nn.sigmoid(-table))
        self.table = table

    def diffuse(self, x, t, noise):
        signal, share = self.signal[t], self.noise[t]
        noisy = signal[:, None] * x + share[:, None] * noise
        return noisy


# -- network ---------------------------------------------------------------------------------------


def sinusoid(t):
    places = t[:, None] / STEPS * 2.0 ** jnp.arange(4)
    return jnp.concatenate([jnp.sin(jnp.pi * places), jnp.cos(jnp.pi * places)], axis=1)


def layer(p, x):
    return x @ p["w"] + p["b"]


def predict_noise(params, x, t):
    h = layer(params["input"], x) + layer(params["time"], sinusoid(t))
    h = jax.nn.silu(h)
    h = h + jax.nn.silu(layer(params["hidden"], h))
    return layer(params["out"], h)


# -- training --------------------------------------------------------------------------------------


def make_step():
    def loss_fn(params, key, x):
        schedule = Schedule(params)
        k1, k2 = jax.random.split(key)
        t = jax.random.randint(k1, (len(x),), 0, STEPS)
        noise = jax.random.normal(k2, x.shape)
        noisy = schedule.diffuse(x, t, noise)
        error = jnp.mean((predict_noise(params, noisy, t) - noise) ** 2, axis=-1)
        return error.mean()

    optimizer = optax.adam(3e-3)

    @jax.jit
    def step(params, opt_state, average, key, x):
        loss, grads = jax.value_and_grad(loss_fn)(params, key, x)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        params = optax.apply_updates(params, updates)
        average = optax.incremental_update(params, average, step_size=0.05)
        return params, opt_state, average, loss

    return optimizer, step


def moons(key):
    k1, k2 = jax.random.split(key)
    angle = jax.random.uniform(k1, (BATCH,), maxval=2 * np.pi)
    x = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)
    return x + 0.05 * jax.random.normal(k2, x.shape)


def train(params, key, steps):
    optimizer, step = make_step()
    opt_state, average = optimizer.init(params), params
    for k in jax.random.split(key, steps):
        k1, k2 = jax.random.split(k)
        params, opt_state, average, loss = step(params, opt_state, average, k1, moons(k2))
    return params, average


start = init(jax.random.key(207))
params, average = train(start, jax.random.key(1), steps=4)
for (path, after), before in zip(jax.tree.leaves_with_path(params), jax.tree.leaves(start)):
    name = jax.tree_util.keystr(path, simple=True, separator=".")
    print(f"{name}: {'still' if jnp.array_equal(after, before) else 'learns'}")
