# cause: zeroed_update
# line: 23
# affected: b1 b2 w1 w2
# symptom: not updated
# expect: b1=still b2=still w1=still w2=still
# also: 14 16 22 34
from dataclasses import dataclass

import jax
import jax.numpy as jnp


@dataclass(frozen=True)
class Config:
    rate: float = 0.1
    clip: float = 0.0
    steps: int = 4


def clip_by_norm(grads, limit):
    norm = jnp.sqrt(sum(jnp.vdot(g, g) for g in jax.tree.leaves(grads)))
    scale = jnp.minimum(1.0, limit / (norm + 1e-6))
    grads = jax.tree.map(lambda g: g * scale, grads)
    return grads


def loss_fn(params, x, y):
    h = jax.nn.silu(x @ params["w1"] + params["b1"])
    return jnp.mean((h @ params["w2"] + params["b2"] - y) ** 2)


def train_step(config, params, batch):
    loss, grads = jax.value_and_grad(loss_fn)(params, *batch)
    grads = clip_by_norm(grads, config.clip)
    return jax.tree.map(lambda p, g: p - config.rate * g, params, grads), loss


config = Config()
step = jax.jit(train_step, static_argnums=0, donate_argnums=1)
k = jax.random.split(jax.random.PRNGKey(15), 3)
params = {
    "w1": jax.random.normal(k[0], (3, 10)),
    "b1": jnp.zeros(10),
    "w2": 0.3 * jax.random.normal(k[1], (10, 1)),
    "b2": jnp.zeros(1),
}
start = jax.tree.map(lambda p: p.sum().item(), params)
x = jax.random.normal(k[2], (16, 3))
batch = x, x[:, :1] ** 2
for _ in range(config.steps):
    params, loss = step(config, params, batch)
for name in sorted(params):
    print(f"{name}: {'still' if params[name].sum().item() == start[name] else 'learns'}")
