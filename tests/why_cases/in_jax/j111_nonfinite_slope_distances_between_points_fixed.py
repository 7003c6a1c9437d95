# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: points=nonzero log_scale=nonzero
# also: -
import jax
import jax.numpy as jnp


def distances(points):
    apart = points[:, None] - points[None, :]
    squared = jnp.sum(apart**2, axis=-1)
    same = squared == 0.0
    return jnp.where(same, 0.0, jnp.sqrt(jnp.where(same, 1.0, squared)))


def stress(params, wanted):
    """How badly a map in the plane shows the distances that are given."""
    n = len(wanted)
    self_pair = jnp.eye(n, dtype=bool)
    error = (jnp.exp(params["log_scale"]) * distances(params["points"]) - wanted) ** 2
    return jnp.where(self_pair, 0.0, error).sum() / (n * (n - 1))


key = jax.random.key(11)
params = {"points": jax.random.normal(key, (7, 2)), "log_scale": jnp.array(0.0)}
wanted = jnp.abs(jnp.arange(7.0)[:, None] - jnp.arange(7.0))
value, grads = jax.value_and_grad(stress)(params, wanted)
for name in params:
    g = grads[name]
    print(f"{name}: {'nan' if jnp.isnan(g).any() else 'nonzero' if g.any() else 'zero'}")
