# cause: none
# line: 0
# affected: -
# symptom: legit: each player is a constant to the other
# expect: gan=learns penalty=learns reversed=learns
# also: -
# stops: 27
"""GANs: two losses and two optimizers, a gradient penalty, and one loss with a reversed gradient."""

import jax
import jax.numpy as jnp
import optax


def init(key):
    k = jax.random.split(key, 4)
    g = {"w1": jax.random.normal(k[0], (3, 8)), "w2": jax.random.normal(k[1], (8, 2)) / 3}
    d = {"w1": jax.random.normal(k[2], (2, 8)), "w2": jax.random.normal(k[3], (8, 1)) / 3}
    return g, d


def net(params, x):
    return jax.nn.leaky_relu(x @ params["w1"]) @ params["w2"]


def d_loss(d, g, z, real):
    fake = jax.lax.stop_gradient(net(g, z))
    return jnp.mean(jax.nn.softplus(net(d, fake)) + jax.nn.softplus(-net(d, real)))


def g_loss(g, d, z):
    return jnp.mean(jax.nn.softplus(-net(d, net(g, z))))


def critic_loss(d, g, z, real):
    fake = net(g, z)
    mixed = (fake + real) / 2
    slopes = jax.vmap(jax.grad(lambda x: jnp.tanh(x @ d["w1"]) @ d["w2"][:, 0]))(mixed)
    norms = jnp.sqrt(jnp.sum(slopes**2, axis=1) + 1e-12)
    return jnp.mean(net(d, fake) - net(d, real)) + 10.0 * jnp.mean((norms - 1.0) ** 2)


@jax.custom_vjp
def reverse(x):
    return x


reverse.defvjp(lambda x: (x, None), lambda _, g: (-g,))


def adversarial(both, x, y, domain):
    h = jnp.tanh(x @ both["features"])
    task = jnp.mean((h @ both["task"] - y) ** 2)
    return task + jnp.mean(jax.nn.softplus(-domain * (reverse(h) @ both["domain"])))


def report(name, before, after):
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after))
    still = any(jnp.array_equal(a, b) for a, b in pairs)
    print(f"{name}: {'still' if still else 'learns'}")


key = jax.random.key(3)
real = jax.random.normal(key, (16, 2)) + 2.0
for name, critic in (("gan", d_loss), ("penalty", critic_loss)):
    g, d = start = init(key)
    g_tx, d_tx = optax.adam(1e-2), optax.adam(1e-2)
    g_state, d_state = g_tx.init(g), d_tx.init(d)
    for k in jax.random.split(key, 3):
        z = jax.random.normal(k, (16, 3))
        updates, d_state = d_tx.update(jax.grad(critic)(d, g, z, real), d_state)
        d = optax.apply_updates(d, updates)
        updates, g_state = g_tx.update(jax.grad(g_loss)(g, d, z), g_state)
        g = optax.apply_updates(g, updates)
    report(name, start, (g, d))

k = jax.random.split(key, 3)
start = both = {
    "features": jax.random.normal(k[0], (2, 5)),
    "task": jnp.ones((5, 1)),
    "domain": jnp.full((5, 1), 0.5),
}
domain = jnp.where(jnp.arange(16) < 8, 1.0, -1.0)[:, None]
for _ in range(3):
    grads = jax.grad(adversarial)(both, real, real[:, :1], domain)
    both = jax.tree.map(lambda p, g: p - 0.1 * g, both, grads)
report("reversed", start, both)
