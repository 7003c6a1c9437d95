# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: router=learns experts=learns out=learns
# also: -
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

EXPERTS = 3


class Params(NamedTuple):
    router: jax.Array
    experts: jax.Array
    out: jax.Array


def layer(params, token):
    """One token goes to one expert."""
    scores = token @ params.router
    chosen = jnp.argmax(scores)
    weights = jax.nn.one_hot(chosen, EXPERTS) * jax.nn.softmax(scores)
    hidden = jnp.tanh(jnp.einsum("d,edh->eh", token, params.experts))
    return weights @ hidden


def loss_fn(params, tokens, y):
    hidden = jax.vmap(layer, in_axes=(None, 0))(params, tokens)
    return jnp.mean((hidden @ params.out - y) ** 2)


keys = jax.random.split(jax.random.PRNGKey(2), 4)
params = Params(
    router=jax.random.normal(keys[0], (4, EXPERTS)),
    experts=jax.random.normal(keys[1], (EXPERTS, 4, 6)),
    out=jax.random.normal(keys[2], (6,)),
)
tokens = jax.random.normal(keys[3], (24, 4))
y = jnp.sin(tokens.sum(axis=1))
tx = optax.adam(1e-2)
state = tx.init(params)
first = params


@jax.jit
def step(params, state):
    loss, grads = jax.value_and_grad(loss_fn)(params, tokens, y)
    updates, state = tx.update(grads, state, params)
    return optax.apply_updates(params, updates), state, loss


for _ in range(5):
    params, state, loss = step(params, state)
for name in Params._fields:
    moved = jnp.any(getattr(params, name) != getattr(first, name))
    print(f"{name}: {'learns' if moved else 'still'}")
