# cause: zero_derivative
# line: 34
# affected: log_viscosity
# symptom: zero
# expect: layers.0.b=nonzero layers.0.w=nonzero layers.1.b=nonzero layers.1.w=nonzero layers.2.b=nonzero layers.2.w=nonzero log_viscosity=zero
# also: 35 43 45 46 47 111
"""A network that obeys Burgers' equation, whose viscosity is learnt from measurements."""

import functools

import jax
import jax.numpy as jnp
import optax

WIDTH, INSIDE, MEASURED = 12, 24, 16


# -- the network -----------------------------------------------------------------------------------


def init(key, sizes=(2, WIDTH, WIDTH, 1)):
    keys = jax.random.split(key, len(sizes) - 1)
    layers = [
        {"w": jax.random.normal(k, (n, m)) * (2.0 / n) ** 0.5, "b": jnp.full(m, 0.1)}
        for k, n, m in zip(keys, sizes[:-1], sizes[1:])
    ]
    return {"layers": layers, "log_viscosity": jnp.log(0.1)}


def field(params, t, x, activation):
    """The field at one point of time and space."""
    h = jnp.stack([t, x])
    for layer in params["layers"][:-1]:
        h = activation(h @ layer["w"] + layer["b"])
    out = h @ params["layers"][-1]["w"] + params["layers"][-1]["b"]
    return out[0]


# -- the equation ----------------------------------------------------------------------------------


def residual_at(u, params, t, x):
    nu = jnp.exp(params["log_viscosity"])
    u_t = jax.grad(u, argnums=1)(params, t, x)
    u_x = jax.grad(u, argnums=2)(params, t, x)
    u_xx = jax.grad(jax.grad(u, argnums=2), argnums=2)(params, t, x)
    residual = u_t + u(params, t, x) * u_x - nu * u_xx
    return residual


def losses(u, params, points, initial, measured):
    at_points = jax.vmap(functools.partial(residual_at, u), in_axes=(None, 0, 0))
    at = jax.vmap(u, in_axes=(None, 0, 0))
    t, x, value = measured
    zeros = jnp.zeros_like(initial)
    return {
        "equation": jnp.mean(at_points(params, *points) ** 2),
        "initial": jnp.mean((at(params, zeros, initial) + jnp.sin(jnp.pi * initial)) ** 2),
        "measured": jnp.mean((at(params, t, x) - value) ** 2),
    }


def total(params, u, weights, *data):
    terms = losses(u, params, *data)
    return sum(weights[name] * terms[name] for name in terms), terms


# -- data ------------------------------------------------------------------------------------------


def collocation(key):
    k1, k2 = jax.random.split(key)
    t = jax.random.uniform(k1, (INSIDE,))
    x = jax.random.uniform(k2, (INSIDE,), minval=-1.0, maxval=1.0)
    return t, x


def measurements(key):
    k1, k2, k3 = jax.random.split(key, 3)
    t = jax.random.uniform(k1, (MEASURED,))
    x = jax.random.uniform(k2, (MEASURED,), minval=-1.0, maxval=1.0)
    value = -jnp.sin(jnp.pi * x) * jnp.exp(-t)
    return t, x, value + 0.01 * jax.random.normal(k3, (MEASURED,))


# -- training --------------------------------------------------------------------------------------


def train(key, steps, activation):
    k_init, k_measured, k_points = jax.random.split(key, 3)
    params = init(k_init)
    u = functools.partial(field, activation=activation)
    weights = {"equation": 1.0, "initial": 1.0, "measured": 10.0}
    measured = measurements(k_measured)
    initial = jnp.linspace(-1.0, 1.0, 9)
    optimizer = optax.adam(optax.exponential_decay(1e-2, 100, 0.9))
    opt_state = optimizer.init(params)

    @jax.jit
    def step(params, opt_state, points):
        slopes = jax.value_and_grad(total, has_aux=True)
        (loss, terms), grads = slopes(params, u, weights, points, initial, measured)
        updates, opt_state = optimizer.update(grads, opt_state)
        return optax.apply_updates(params, updates), opt_state, terms, grads

    for k in jax.random.split(k_points, steps):
        params, opt_state, terms, grads = step(params, opt_state, collocation(k))
    return params, grads


params, grads = train(jax.random.key(206), steps=3, activation=jax.nn.relu)
for path, g in jax.tree_util.tree_leaves_with_path(grads):
    name = jax.tree_util.keystr(path, simple=True, separator=".")
    print(f"{name}: {'nonzero' if jnp.any(g != 0) else 'zero'}")
