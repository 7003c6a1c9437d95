# cause: none
# line: 0
# affected: -
# symptom: legit: derivatives of derivatives
# expect: heat=learns hamiltonian=learns score=learns smooth=learns
# also: -
"""A heat equation, a network of Hamilton's, a score matched by forward mode, and a gradient penalty."""

import jax
import jax.numpy as jnp


def init(key, n, m=1):
    k1, k2 = jax.random.split(key)
    return {
        "w1": jax.random.normal(k1, (n, 10)),
        "b1": jnp.linspace(-1.0, 1.0, 10),
        "w2": jax.random.normal(k2, (10, m)) / 3,
    }


def net(params, x):
    return jnp.tanh(x @ params["w1"] + params["b1"]) @ params["w2"]


def heat(params, points):
    def u(point):
        return net(params, point)[0]

    def residual(point):
        u_t = jax.grad(u)(point)[0]
        u_xx = jax.hessian(u)(point)[1, 1]
        return u_t - 0.1 * u_xx

    start = points.at[:, 0].set(0.0)
    at_start = jax.vmap(u)(start) - jnp.sin(jnp.pi * start[:, 1])
    return jnp.mean(jax.vmap(residual)(points) ** 2) + jnp.mean(at_start**2)


def hamiltonian(params, states, speeds):
    def energy(state):
        return net(params, state)[0]

    slopes = jax.vmap(jax.grad(energy))(states)
    predicted = jnp.stack([slopes[:, 1], -slopes[:, 0]], axis=1)
    return jnp.mean((predicted - speeds) ** 2)


def score(params, points):
    """Score matching: half the square of the score, and its divergence by forward mode."""

    def each(x):
        def s(x):
            return net(params, x)

        trace = sum(jax.jvp(s, (x,), (jnp.eye(2)[i],))[1][i] for i in range(2))
        return 0.5 * jnp.sum(s(x) ** 2) + trace

    return jnp.mean(jax.vmap(each)(points))


def smooth(params, points, y):
    def f(x):
        return net(params, x)[0]

    values, slopes = jax.vmap(jax.value_and_grad(f))(points)
    return jnp.mean((values - y) ** 2) + 0.01 * jnp.mean(slopes**2)


def report(name, before, after):
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after))
    still = any(jnp.array_equal(a, b) for a, b in pairs)
    print(f"{name}: {'still' if still else 'learns'}")


points = jax.random.uniform(jax.random.key(0), (12, 2), minval=-1.0)
data = {
    heat: (points,),
    hamiltonian: (points, jnp.stack([points[:, 1], -points[:, 0]], axis=1)),
    score: (points,),
    smooth: (points, points[:, 0] * points[:, 1]),
}
for loss_fn, known in data.items():
    start = params = init(jax.random.key(1), 2, 2 if loss_fn is score else 1)
    gradient = jax.jit(jax.grad(loss_fn))
    for _ in range(3):
        params = jax.tree.map(lambda p, g: p - 0.05 * g, params, gradient(params, *known))
    # A constant that is added to an energy does nothing.
    report(loss_fn.__name__, start, params)
