"""Variational inference of a regression, by a guide of its own and an automatic one (numpyro)."""

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from numpyro.distributions import constraints
from numpyro.infer import SVI, Trace_ELBO
from numpyro.infer.autoguide import AutoNormal


def model(x, y=None):
    sigma = numpyro.param("sigma", 1.0, constraint=constraints.positive)
    weight = numpyro.sample("weight", dist.Normal(jnp.zeros(3), 1.0).to_event(1))
    intercept = numpyro.sample("intercept", dist.Normal(0.0, 1.0))
    with numpyro.plate("data", len(x)):
        numpyro.sample("obs", dist.StudentT(4.0, x @ weight + intercept, sigma), obs=y)


def guide(x, y=None):
    loc = numpyro.param("loc", jnp.full(3, 0.1))
    scale = numpyro.param("scale", jnp.full(3, 0.2), constraint=constraints.positive)
    at = numpyro.param("at", 0.0)
    numpyro.sample("weight", dist.Normal(loc, scale).to_event(1))
    numpyro.sample("intercept", dist.Delta(at))


key = jax.random.PRNGKey(0)
x = jax.random.normal(key, (30, 3))
y = x @ jnp.array([1.0, -2.0, 0.5]) + 0.3
for by in (guide, AutoNormal(model)):
    svi = SVI(model, by, numpyro.optim.Adam(0.05), Trace_ELBO())
    result = svi.run(key, 5, x, y, progress_bar=False)
    print("losses", [repr(float(loss)) for loss in result.losses])
    for name in sorted(result.params):
        print(name, repr(float(jnp.abs(result.params[name]).sum())))

svi = SVI(model, guide, numpyro.optim.ClippedAdam(0.05), Trace_ELBO(num_particles=2))
state = svi.init(key, x, y)
for _ in range(3):
    state, loss = svi.update(state, x, y)
print("sigma", repr(float(svi.get_params(state)["sigma"])))
