# cause: none
# line: 0
# affected: -
# symptom: legit: actions are drawn, advantages are constants, ratios are clipped
# expect: reinforce=learns actor_critic=learns ppo=learns squashed=learns
# also: -
# stops: 54 65
"""REINFORCE with a baseline, actor and critic in one, PPO, and a squashed policy through a critic."""

import jax
import jax.numpy as jnp
import optax
from jax import lax


def init(key):
    k = jax.random.split(key, 3)
    return {
        "trunk": jax.random.normal(k[0], (3, 12)) / 2,
        "policy": jax.random.normal(k[1], (12, 4)) / 3,
        "value": jax.random.normal(k[2], (12, 1)) / 3,
    }


def model(params, states):
    h = jnp.tanh(states @ params["trunk"])
    return h @ params["policy"], (h @ params["value"])[:, 0]


def log_prob(logits, actions):
    return jnp.take_along_axis(jax.nn.log_softmax(logits), actions[:, None], axis=1)[:, 0]


def play(key, params):
    k1, k2 = jax.random.split(key)
    states = jax.random.normal(k1, (24, 3))
    logits, values = model(params, states)
    actions = jax.random.categorical(k2, logits)
    rewards = (actions == jnp.argmax(states, axis=1)).astype(jnp.float32)
    return states, actions, rewards, log_prob(logits, actions), values


def reinforce(params, key, baseline):
    states = jax.random.normal(key, (24, 3))
    logits, _ = model(params, states)
    actions = jax.random.categorical(key, logits)
    rewards = jnp.where(actions == 0, 1.0, -1.0)
    return -jnp.mean(log_prob(logits, actions) * (rewards - baseline)), rewards.mean()


def actor_critic(params, data):
    states, actions, rewards, _, _ = data
    logits, values = model(params, states)
    advantage = lax.stop_gradient(rewards - values)
    entropy = -jnp.sum(jax.nn.softmax(logits) * jax.nn.log_softmax(logits), axis=1)
    gain = log_prob(logits, actions) * advantage + 0.01 * entropy
    return jnp.mean(0.5 * (values - rewards) ** 2 - gain)


def ppo(params, data):
    states, actions, rewards, old, old_values = data
    logits, values = model(params, states)
    advantage = rewards - old_values
    ratio = jnp.exp(log_prob(logits, actions) - old)
    surrogate = jnp.minimum(ratio * advantage, jnp.clip(ratio, 0.8, 1.2) * advantage)
    held = old_values + jnp.clip(values - old_values, -0.2, 0.2)
    error = jnp.maximum((values - rewards) ** 2, (held - rewards) ** 2)
    return jnp.mean(0.5 * error - surrogate)


def squashed(actor, critic, key, states):
    mean, log_std = jnp.split(states @ actor, 2, axis=1)
    log_std = jnp.clip(log_std, -5.0, 2.0)
    action = jnp.tanh(mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape))
    return -jnp.mean(jnp.concatenate([states, action], axis=1) @ critic)


def report(name, before, after):
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after))
    still = any(jnp.array_equal(a, b) for a, b in pairs)
    print(f"{name}: {'still' if still else 'learns'}")


start = params = init(jax.random.key(4))
keys = jax.random.split(jax.random.key(5), 4)
baseline = 0.0
for key in keys:
    grads, mean = jax.grad(reinforce, has_aux=True)(params, key, baseline)
    params = {**params, **{n: params[n] - 0.1 * grads[n] for n in ("trunk", "policy")}}
    baseline = 0.9 * baseline + 0.1 * float(mean)
report(
    "reinforce",
    {n: start[n] for n in ("trunk", "policy")},
    {n: params[n] for n in ("trunk", "policy")},
)

tx = optax.rmsprop(1e-2)
for loss_fn in (actor_critic, ppo):
    params, state = start, tx.init(start)
    gradient = jax.jit(jax.grad(loss_fn))
    for key in keys[:2]:
        data = play(key, params)
        for _ in range(2):
            updates, state = tx.update(gradient(params, data), state)
            params = optax.apply_updates(params, updates)
    report(loss_fn.__name__, start, params)

first, critic = jnp.full((3, 2), 0.1), jnp.array([0.1, 0.2, 0.3, 1.0])
states = jax.random.normal(keys[0], (16, 3))
actor = first
for key in keys:
    actor = actor - 0.1 * jax.grad(squashed)(actor, critic, key, states)
report("squashed", first, actor)
