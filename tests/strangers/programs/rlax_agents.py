"""A double Q-learner with a target network, and an actor-critic by V-trace (rlax)."""

import jax
import jax.numpy as jnp
import optax
import rlax


def dense(key, n, m):
    return {"w": jax.random.normal(key, (n, m)) / n**0.5, "b": jnp.zeros(m)}


def mlp(layers, x):
    for layer in layers[:-1]:
        x = jax.nn.relu(x @ layer["w"] + layer["b"])
    return x @ layers[-1]["w"] + layers[-1]["b"]


# Q-learning


def q_loss(online, target, batch):
    q_tm1 = mlp(online, batch["obs_tm1"])
    q_t_val = mlp(target, batch["obs_t"])
    q_t_select = mlp(online, batch["obs_t"])
    td_error = jax.vmap(rlax.double_q_learning)(
        q_tm1, batch["a_tm1"], batch["r_t"], batch["discount_t"], q_t_val, q_t_select
    )
    return jnp.mean(rlax.l2_loss(rlax.clip_gradient(td_error, -1.0, 1.0)))


@jax.jit
def learn(online, target, opt_state, batch):
    dloss_dtheta = jax.grad(q_loss)(online, target, batch)
    updates, opt_state = q_optimizer.update(dloss_dtheta, opt_state)
    online = optax.apply_updates(online, updates)
    return online, optax.incremental_update(online, target, 0.1), opt_state


k = jax.random.split(jax.random.key(0), 6)
online = target = [dense(k[0], 4, 16), dense(k[1], 16, 3)]
q_optimizer = optax.adam(1e-2)
q_state = q_optimizer.init(online)
for key in jax.random.split(k[2], 4):
    k1, k2, k3, k4 = jax.random.split(key, 4)
    batch = {
        "obs_tm1": jax.random.normal(k1, (16, 4)),
        "obs_t": jax.random.normal(k2, (16, 4)),
        "a_tm1": jax.random.randint(k3, (16,), 0, 3),
        "r_t": jax.random.normal(k4, (16,)),
        "discount_t": jnp.full((16,), 0.9),
    }
    online, target, q_state = learn(online, target, q_state, batch)

# an actor and a critic


def actor_critic_loss(agent, trajectory):
    h = jnp.tanh(mlp(agent["torso"], trajectory["obs"]))
    logits, values = mlp(agent["policy"], h), mlp(agent["value"], h)[:, 0]
    rhos = rlax.categorical_importance_sampling_ratios(
        logits[:-1], trajectory["logits"][:-1], trajectory["actions"][:-1]
    )
    errors = rlax.vtrace_td_error_and_advantage(
        values[:-1], values[1:], trajectory["rewards"], jnp.full_like(rhos, 0.95), rhos
    )
    mask = jnp.ones_like(rhos)
    policy = rlax.policy_gradient_loss(
        logits[:-1], trajectory["actions"][:-1], errors.pg_advantage, mask
    )
    entropy = rlax.entropy_loss(logits[:-1], mask)
    return policy + 0.5 * jnp.mean(errors.errors**2) + 0.01 * entropy


agent = {
    "torso": [dense(k[3], 4, 16)],
    "policy": [dense(k[4], 16, 3)],
    "value": [dense(k[5], 16, 1)],
}
optimizer = optax.rmsprop(3e-3)
state = optimizer.init(agent)
gradient = jax.jit(jax.value_and_grad(actor_critic_loss))
for key in jax.random.split(k[5], 3):
    obs = jax.random.normal(key, (11, 4))
    logits = mlp(agent["policy"], jnp.tanh(mlp(agent["torso"], obs)))
    actions = jax.random.categorical(key, logits)
    rewards = (actions[:-1] == jnp.argmax(obs[:-1, :3], axis=1)).astype(jnp.float32)
    trajectory = {"obs": obs, "logits": logits, "actions": actions, "rewards": rewards}
    loss, grads = gradient(agent, trajectory)
    updates, state = optimizer.update(grads, state)
    agent = optax.apply_updates(agent, updates)
    print("loss", repr(float(loss)))

for path, value in jax.tree_util.tree_leaves_with_path({"q": online, **agent}):
    print(jax.tree_util.keystr(path), repr(float(jnp.abs(value).sum())))
