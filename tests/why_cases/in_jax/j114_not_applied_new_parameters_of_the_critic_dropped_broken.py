# cause: not_applied
# line: 41
# affected: critic.b critic.w
# symptom: not updated
# expect: actor.b=learns actor.w=learns critic.w=still critic.b=still
# also: 39 40
import jax
import jax.numpy as jnp
import optax


def policy(actor, states):
    return jax.nn.log_softmax(states @ actor["w"] + actor["b"])


def value(critic, states):
    return states @ critic["w"] + critic["b"]


def actor_loss(actor, states, actions, advantages):
    chosen = jnp.take_along_axis(policy(actor, states), actions[:, None], axis=1)[:, 0]
    return -jnp.mean(chosen * advantages)


def critic_loss(critic, states, rewards):
    return jnp.mean((value(critic, states) - rewards) ** 2)


def train(key, actor, critic, steps):
    actor_tx, critic_tx = optax.adam(1e-2), optax.sgd(0.1)
    actor_state, critic_state = actor_tx.init(actor), critic_tx.init(critic)
    for _ in range(steps):
        key, k1, k2 = jax.random.split(key, 3)
        states = jax.random.normal(k1, (32, 3))
        actions = jax.random.categorical(k2, policy(actor, states))
        rewards = jnp.where(actions == jnp.argmax(states, axis=1), 1.0, 0.0)
        advantages = rewards - value(critic, states)

        critic_grads = jax.grad(critic_loss)(critic, states, rewards)
        updates, critic_state = critic_tx.update(critic_grads, critic_state)
        optax.apply_updates(critic, updates)

        actor_grads = jax.grad(actor_loss)(actor, states, actions, advantages)
        updates, actor_state = actor_tx.update(actor_grads, actor_state)
        actor = optax.apply_updates(actor, updates)
    return actor, critic


actor = {"w": jnp.zeros((3, 3)), "b": jnp.zeros(3)}
critic = {"w": jnp.zeros(3), "b": jnp.zeros(())}
before = {"actor": actor, "critic": critic}
actor, critic = train(jax.random.key(14), actor, critic, steps=5)
for part, after in (("actor", actor), ("critic", critic)):
    for name in after:
        print(
            f"{part}.{name}: {'still' if (after[name] == before[part][name]).all() else 'learns'}"
        )
