# cause: none
# line: 0
# affected: -
# symptom: legit: targets come of a slow copy, of a stop, of an argument that is not differentiated
# expect: with_target_network=learns semi_gradient=learns double=learns
# also: -
# stops: 45 54
"""Q-learning: with a target network, semi-gradients, a double and a distributional target."""

import jax
import jax.numpy as jnp
import optax


def init(key, out=3):
    k1, k2 = jax.random.split(key)
    return {"h": jax.random.normal(k1, (4, 12)) / 2, "o": jax.random.normal(k2, (12, out)) / 4}


def q(params, states):
    return jax.nn.relu(states @ params["h"]) @ params["o"]


def batch(key):
    k = jax.random.split(key, 4)
    states, after = jax.random.normal(k[0], (2, 16, 4))
    actions = jax.random.randint(k[1], (16,), 0, 3)
    rewards = jax.random.normal(k[2], (16,))
    going_on = jax.random.bernoulli(k[3], 0.9, (16,))
    return states, actions, rewards, after, going_on


def chosen(values, actions):
    return jnp.take_along_axis(values, actions[:, None], axis=1)[:, 0]


def with_target_network(params, target, data):
    states, actions, rewards, after, going_on = data
    goal = rewards + 0.9 * going_on * q(target, after).max(axis=1)
    return optax.huber_loss(chosen(q(params, states), actions), goal).mean()


def semi_gradient(params, _, data):
    states, actions, rewards, after, going_on = data
    after = jax.lax.stop_gradient(q(params, after).max(axis=1))
    goal = jnp.where(going_on, rewards + 0.9 * after, rewards)
    return jnp.mean((chosen(q(params, states), actions) - goal) ** 2)


def double(params, target, data):
    states, actions, rewards, after, going_on = data
    best = jnp.argmax(q(params, after), axis=1)
    goal = rewards + 0.9 * going_on * chosen(q(target, after), best)
    goal = jax.lax.stop_gradient(goal)
    return jnp.mean((chosen(q(params, states), actions) - goal) ** 2)


def report(name, before, after):
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after))
    still = any(jnp.array_equal(a, b) for a, b in pairs)
    print(f"{name}: {'still' if still else 'learns'}")


for loss_fn in (with_target_network, semi_gradient, double):
    start = params = init(jax.random.key(1))
    target = params
    tx = optax.adam(1e-2)
    state = tx.init(params)

    @jax.jit
    def step(params, state, target, data):
        grads = jax.grad(loss_fn)(params, target, data)
        updates, state = tx.update(grads, state)
        params = optax.apply_updates(params, updates)
        return params, state, optax.incremental_update(params, target, 0.1)

    for key in jax.random.split(jax.random.key(2), 4):
        params, state, target = step(params, state, target, batch(key))
    report(loss_fn.__name__, start, params)
