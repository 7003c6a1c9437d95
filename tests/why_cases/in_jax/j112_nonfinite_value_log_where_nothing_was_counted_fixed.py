# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: offset=nonzero rate.b=nonzero rate.w=nonzero
# also: -
from functools import partial

import jax
import jax.numpy as jnp


def rates(params, x, exposure):
    return exposure * jax.nn.softplus(x @ params["rate"]["w"] + params["rate"]["b"])


@partial(jax.jit, static_argnames="weight_decay")
def loss_fn(params, x, counts, exposure, weight_decay=1e-3):
    rate = rates(params, x, exposure)
    seen = exposure > 0
    logs = jnp.log(jnp.where(seen, rate, 1.0))
    likelihood = jnp.where(seen, counts * logs - rate, 0.0)
    decay = sum(jnp.sum(p**2) for p in jax.tree.leaves(params["rate"]))
    return -jnp.mean(likelihood + params["offset"] * counts / 100) + weight_decay * decay


k = jax.random.split(jax.random.key(12), 3)
params = {
    "rate": {"w": 0.1 * jax.random.normal(k[0], (4,)), "b": jnp.zeros(())},
    "offset": jnp.array(0.1),
}
x = jax.random.normal(k[1], (20, 4))
exposure = jnp.where(jnp.arange(20) % 6 == 5, 0.0, 1.0)
counts = exposure * jax.random.poisson(jax.random.PRNGKey(0), jnp.exp(x[:, 0]))
grads = jax.grad(loss_fn)(params, x, counts, exposure)
for path, g in jax.tree_util.tree_leaves_with_path(grads):
    name = jax.tree_util.keystr(path, simple=True, separator=".")
    print(f"{name}: {'nan' if jnp.isnan(g).any() else 'nonzero' if g.any() else 'zero'}")
