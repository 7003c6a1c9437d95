# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: policy.w1=nonzero policy.w2=nonzero policy.log_std=nonzero critic.w1=nonzero critic.w2=nonzero
# also: -
"""Actor and critic on a point that is to be held at the origin; rollouts and epochs are scans."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

ENVS, LENGTH, UPDATES, EPOCHS = 8, 10, 2, 2
DISCOUNT, LAMBDA, ENTROPY = 0.95, 0.9, 1e-3
LOG_STD_MIN, LOG_STD_MAX = -5.0, 2.0


class Policy(NamedTuple):
    w1: jax.Array
    w2: jax.Array
    log_std: jax.Array


class Critic(NamedTuple):
    w1: jax.Array
    w2: jax.Array


class Agent(NamedTuple):
    policy: Policy
    critic: Critic


class Transition(NamedTuple):
    state: jax.Array
    action: jax.Array
    reward: jax.Array
    log_prob: jax.Array


# -- the agent -------------------------------------------------------------------------------------


def init(key):
    k = jax.random.split(key, 4)
    policy = Policy(
        w1=jax.random.normal(k[0], (2, 16)) / 2,
        w2=jax.random.normal(k[1], (16, 1)) / 8,
        log_std=jnp.zeros(1),
    )
    critic = Critic(jax.random.normal(k[2], (2, 16)) / 2, jax.random.normal(k[3], (16, 1)) / 4)
    return Agent(policy, critic)


def distribution(policy, state):
    mean = jnp.tanh(state @ policy.w1) @ policy.w2
    log_std = jnp.clip(policy.log_std, LOG_STD_MIN, LOG_STD_MAX)
    return mean, log_std


def log_prob_of(action, mean, log_std):
    std = jnp.exp(log_std)
    each = -0.5 * ((action - mean) / std) ** 2 - log_std - 0.9189385332046727
    return each.sum(axis=-1)


def value(critic, state):
    return (jnp.tanh(state @ critic.w1) @ critic.w2)[..., 0]


# -- the world -------------------------------------------------------------------------------------


def move(state, action):
    place, speed = state[..., :1], state[..., 1:]
    speed = 0.9 * speed + 0.2 * jnp.clip(action, -1.0, 1.0)
    place = place + 0.2 * speed
    reward = -(place**2 + 0.1 * speed**2)[..., 0]
    return jnp.concatenate([place, speed], axis=-1), reward


def rollout(agent, key):
    def act(state, k):
        mean, log_std = distribution(agent.policy, state)
        action = mean + jnp.exp(log_std) * jax.random.normal(k, mean.shape)
        after, reward = move(state, action)
        done = Transition(state, action, reward, log_prob_of(action, mean, log_std))
        return after, done

    k_start, k_act = jax.random.split(key)
    start = jax.random.normal(k_start, (ENVS, 2))
    last, transitions = lax.scan(act, start, jax.random.split(k_act, LENGTH))
    return last, transitions


def advantages(agent, last, transitions):
    values = value(agent.critic, transitions.state)

    def back(carry, item):
        advantage, following = carry
        reward, here = item
        error = reward + DISCOUNT * following - here
        advantage = error + DISCOUNT * LAMBDA * advantage
        return (advantage, here), advantage

    first = jnp.zeros(ENVS), value(agent.critic, last)
    _, found = lax.scan(back, first, (transitions.reward, values), reverse=True)
    return found, found + values


# -- learning --------------------------------------------------------------------------------------


def loss_fn(agent, transitions, advantage, goal):
    mean, log_std = distribution(agent.policy, transitions.state)
    ratio = jnp.exp(log_prob_of(transitions.action, mean, log_std) - transitions.log_prob)
    held = jnp.clip(ratio, 0.8, 1.2)
    normed = (advantage - advantage.mean()) / (advantage.std() + 1e-6)
    gain = jnp.minimum(ratio * normed, held * normed).mean()
    error = jnp.mean((value(agent.critic, transitions.state) - goal) ** 2)
    entropy = jnp.sum(log_std + 1.4189385332046727)
    return -gain + 0.5 * error - ENTROPY * entropy


optimizer = optax.adam(1e-2)


@jax.jit
def update(agent, opt_state, key):
    last, transitions = rollout(agent, key)
    advantage, goal = advantages(agent, last, transitions)

    def epoch(carry, _):
        agent, opt_state = carry
        loss, grads = jax.value_and_grad(loss_fn)(agent, transitions, advantage, goal)
        updates, opt_state = optimizer.update(grads, opt_state, agent)
        sizes = jax.tree.map(lambda g: jnp.abs(g).max(), grads)
        return (optax.apply_updates(agent, updates), opt_state), sizes

    (agent, opt_state), sizes = lax.scan(epoch, (agent, opt_state), None, length=EPOCHS)
    return agent, opt_state, sizes


agent = init(jax.random.key(203))
opt_state = optimizer.init(agent)
for key in jax.random.split(jax.random.key(0), UPDATES):
    agent, opt_state, sizes = update(agent, opt_state, key)
for path, size in jax.tree_util.tree_leaves_with_path(sizes):
    name = jax.tree_util.keystr(path, simple=True, separator=".")
    print(f"{name}: {'nonzero' if size.max() > 0 else 'zero'}")
