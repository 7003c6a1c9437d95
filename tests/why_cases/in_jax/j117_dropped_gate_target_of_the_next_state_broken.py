# cause: dropped_gate
# line: 18
# affected: b w
# symptom: leak
# expect: b=moves w=moves
# also: -
import jax
import jax.numpy as jnp


def q_values(params, states):
    return states @ params["w"] + params["b"]


def td_error(params, transition, discount=0.9):
    state, action, reward, after = transition
    following = jnp.max(q_values(params, after))
    jax.lax.stop_gradient(following)
    return q_values(params, state)[action] - (reward + discount * following)


def loss_fn(params, batch):
    return jnp.mean(jax.vmap(td_error, in_axes=(None, 0))(params, batch) ** 2)


def only_left(params, batch):
    """The gradient as it should be, by hand."""
    errors = jax.vmap(td_error, in_axes=(None, 0))(params, batch)
    states, actions, _, _ = batch
    hot = jax.nn.one_hot(actions, 2) * errors[:, None]
    return {"w": 2 * jnp.einsum("bs,ba->sa", states, hot) / 16, "b": 2 * hot.mean(axis=0)}


k = jax.random.split(jax.random.key(17), 4)
params = {"w": jax.random.normal(k[0], (3, 2)), "b": jnp.zeros(2)}
states, after = jax.random.normal(k[1], (2, 16, 3))
actions = jax.random.randint(k[2], (16,), 0, 2)
rewards = jax.random.normal(k[3], (16,))
batch = (states, actions, rewards, after)
step = jax.jit(lambda p, g: jax.tree.map(lambda a, b: a - 0.05 * b, p, g))
for _ in range(3):
    grads = jax.grad(loss_fn)(params, batch)
    right = only_left(params, batch)
    params = step(params, grads)
for name in sorted(grads):
    good = jnp.allclose(grads[name], right[name], atol=1e-5)
    print(f"{name}: {'semi' if good else 'moves'}")
