# cause: none
# line: 0
# affected: -
# symptom: legit: a solver is not differentiated, its solution is
# expect: own_rule=learns last_step=learns root=learns ridge=learns
# also: -
# stops: 58
"""Implicit layers: a fixed point by its own rule, custom_root, an unrolled last step, and a QP."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax


def init(key):
    k1, k2 = jax.random.split(key)
    return {"w": jax.random.normal(k1, (4, 4)) / 8, "u": jax.random.normal(k2, (4, 4)) / 2}


def f(params, x, z):
    return jnp.tanh(z @ params["w"] + x @ params["u"])


def iterate(step, z, times=30):
    return lax.fori_loop(0, times, lambda _, z: step(z), z)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def fixed_point(f, params, x):
    return iterate(lambda z: f(params, x, z), jnp.zeros_like(x))


def fixed_point_fwd(f, params, x):
    z = fixed_point(f, params, x)
    return z, (params, x, z)


def fixed_point_bwd(f, kept, g):
    params, x, z = kept
    _, back_z = jax.vjp(lambda z: f(params, x, z), z)
    u = iterate(lambda u: g + back_z(u)[0], g)
    _, back = jax.vjp(lambda params, x: f(params, x, z), params, x)
    return back(u)


fixed_point.defvjp(fixed_point_fwd, fixed_point_bwd)


def own_rule(params, x):
    return jnp.mean((fixed_point(f, params, x) - 1.0) ** 2)


def last_step(params, x):
    """The solution is found without a gradient, and one more step has it."""
    z = iterate(lambda z: f(lax.stop_gradient(params), x, z), jnp.zeros_like(x))
    z = lax.stop_gradient(z)
    return jnp.mean((f(params, x, z) - 1.0) ** 2)


def root(params, x):
    def each(c):
        def g(z):
            return z**3 + z * jnp.exp(params["a"]) - c * params["b"]

        def newton(g, z):
            return iterate(lambda z: z - g(z) / jax.grad(g)(z), z, 12)

        def solve(g, y):
            return y / g(1.0)

        return lax.custom_root(g, 1.0, newton, solve)

    return jnp.mean((jax.vmap(each)(x) - 1.0) ** 2)


def ridge(params, x, y):
    """The coefficients of a regression, as a function of its strength, on other data."""
    strength = jnp.exp(params["log_strength"]) + 1e-3
    known, wanted = x[:8] * params["scales"], y[:8]
    w = jnp.linalg.solve(known.T @ known + strength * jnp.eye(4), known.T @ wanted)
    return jnp.mean(((x[8:] * params["scales"]) @ w - y[8:]) ** 2)


def report(name, before, after):
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after))
    still = any(jnp.array_equal(a, b) for a, b in pairs)
    print(f"{name}: {'still' if still else 'learns'}")


x = jax.random.normal(jax.random.key(2), (16, 4))
trained = {
    own_rule: (init(jax.random.key(3)), (x,)),
    last_step: (init(jax.random.key(3)), (x,)),
    root: ({"a": jnp.array(0.1), "b": jnp.array(0.7)}, (jnp.linspace(0.5, 2.0, 5),)),
    ridge: ({"log_strength": jnp.array(0.0), "scales": jnp.ones(4)}, (x, jnp.sin(x[:, 0]))),
}
for loss_fn, (start, data) in trained.items():
    params, gradient = start, jax.jit(jax.grad(loss_fn))
    for _ in range(3):
        params = jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient(params, *data))
    report(loss_fn.__name__, start, params)
