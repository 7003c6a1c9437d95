"""The article's example 3: an actor and a critic that get no gradient, and the same corrected.

As written, both networks run before their tape is entered. The tape sees only the results, which
are constants to it, and neither network gets a gradient. Corrected, the forward pass is inside the
tape, and the actor's loss uses the probability of the action that was taken, not of all actions.

The article says that the stop on the advantage keeps the actor's loss from changing the critic. So
it does, but here nothing would change the critic anyway: the actor's step changes the actor's
variables only. The stop merely saves computing the critic's gradient. It does matter once both
losses are added up, or if the networks share layers.

Both versions play gymnasium's CartPole-v1: a point for each step that a pole is kept upright on a
cart, 500 at most.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

import headgate.tf as tf
from headgate.examples.findings import (
    Findings,
    Progress,
    largest_difference,
    no_progress,
    norm,
    noting,
    told,
)

OBSERVATIONS = 4
ACTIONS = 2
DISCOUNT = 0.99
SCALE = 100.0
"""Returns are divided by this, so that the critic need not grow large weights first."""

GOAL = 195.0
WINDOW = 20
LIMIT = 150_000
"""The goal is this mean return over the last episodes of the window; the limit is in steps."""


# -- networks --------------------------------------------------------------------------------------


def network(name: str, outputs: int, activation: str | None) -> Any:
    """Make a network with one hidden layer."""
    return tf.keras.Sequential(
        [
            tf.keras.layers.Input(shape=(OBSERVATIONS,)),
            tf.keras.layers.Dense(64, activation="tanh", name=f"{name}_1"),
            tf.keras.layers.Dense(outputs, activation=activation, name=f"{name}_2"),
        ],
        name=name,
    )


def networks() -> tuple[Any, Any, Any, Any]:
    """Make an actor, a critic and an optimizer for each."""
    return (
        network("actor", ACTIONS, "softmax"),
        network("critic", 1, None),
        tf.keras.optimizers.Adam(0.005),
        tf.keras.optimizers.Adam(0.01),
    )


# -- as written ------------------------------------------------------------------------------------


def as_written(
    actor: Any, critic: Any, actor_optimizer: Any, critic_optimizer: Any, states: Any, rewards: Any
) -> tuple[Any, ...]:
    """Run the article's example 3 once; states, rewards and networks are filled in."""
    refusals: list[str] = []

    actions = actor(states)
    values = critic(states)

    with tf.GradientTape() as tape:
        advantage = rewards - values
        policy_loss = -tf.reduce_mean(tf.stop_gradient(advantage) * tf.math.log(actions))

    gradients = tape.gradient(policy_loss, actor.trainable_variables)
    with noting(refusals):
        actor_optimizer.apply_gradients(zip(gradients, actor.trainable_variables))
    verdicts = list(tape.why(policy_loss, actor.trainable_variables))

    with tf.GradientTape() as tape:
        critic_loss = tf.reduce_mean(tf.square(rewards - values))

    gradients = tape.gradient(critic_loss, critic.trainable_variables)
    with noting(refusals):
        critic_optimizer.apply_gradients(zip(gradients, critic.trainable_variables))
    verdicts += tape.why(critic_loss, critic.trainable_variables)

    return verdicts, refusals


# -- corrected -------------------------------------------------------------------------------------


def actor_step(actor: Any, critic: Any, states: Any, taken: Any, returns: Any) -> tuple[Any, ...]:
    """Compute the actor's loss: surprise at the actions taken, weighted by what they were worth."""
    with tf.GradientTape() as tape:
        advantage = returns - critic(states)
        surprise = -tf.math.log(probability_of(taken, actor, states))
        loss = tf.reduce_mean(tf.stop_gradient(advantage) * surprise)
    return tape, loss


def actor_step_without_stop(
    actor: Any, critic: Any, states: Any, taken: Any, returns: Any
) -> tuple[Any, ...]:
    """Compute the actor's loss in the same way, but let gradient through to the critic."""
    with tf.GradientTape() as tape:
        advantage = returns - critic(states)
        surprise = -tf.math.log(probability_of(taken, actor, states))
        loss = tf.reduce_mean(advantage * surprise)
    return tape, loss


def probability_of(taken: Any, actor: Any, states: Any) -> Any:
    """Return how probable the actor finds the actions taken, which are one-hot; never quite 0."""
    return tf.reduce_sum(actor(states) * taken, axis=1, keepdims=True) + 1e-8


def critic_step(critic: Any, states: Any, returns: Any) -> tuple[Any, ...]:
    """Compute the critic's loss: the squared error of its estimates."""
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(returns - critic(states)))
    return tape, loss


def learn(
    actor: Any,
    critic: Any,
    actor_optimizer: Any,
    critic_optimizer: Any,
    states: Any,
    taken: Any,
    returns: Any,
) -> tuple[float, float]:
    """Take one step with each network; return the norms of their gradients."""
    norms = []
    for (tape, loss), net, optimizer in (
        (actor_step(actor, critic, states, taken, returns), actor, actor_optimizer),
        (critic_step(critic, states, returns), critic, critic_optimizer),
    ):
        gradients = tape.gradient(loss, net.trainable_variables)
        optimizer.apply_gradients(zip(gradients, net.trainable_variables))
        norms.append(norm(gradients) or 0.0)
    return norms[0], norms[1]


# -- playing ---------------------------------------------------------------------------------------


def play(env: Any, actor: Any, rng: Any, seed: int | None = None) -> tuple[Any, ...]:
    """Play an episode; return its states, the actions taken (one-hot) and the rewards."""
    states, actions, rewards = [], [], []
    state, _ = env.reset(seed=seed)
    over = False
    while not over:
        probabilities = actor(state[np.newaxis]).numpy()[0]
        action = int(rng.random() < probabilities[1])
        states.append(state)
        actions.append(action)
        state, reward, fallen, time_is_up, _ = env.step(action)
        rewards.append(reward)
        over = fallen or time_is_up
    return (
        tf.constant(np.array(states)),
        tf.one_hot(tf.constant(actions), ACTIONS),
        tf.constant(np.array(rewards, np.float32)[:, np.newaxis]),
    )


def returns_of(rewards: Any) -> Any:
    """Return what each step earned from there on, what comes later counting less; scaled."""
    total, found = 0.0, []
    for reward in rewards.numpy()[::-1, 0]:
        total = float(reward) + DISCOUNT * total
        found.append([total / SCALE])
    return tf.constant(found[::-1])


# -- the program -----------------------------------------------------------------------------------


def run(seed: int = 0, quick: bool = False, progress: Progress = no_progress) -> Findings:
    """Train actor and critic as written, then corrected, and find out what each stop did."""
    tf.random.set_seed(seed)
    rng = np.random.default_rng(seed)
    env = gymnasium.make("CartPole-v1")
    try:
        written, verdicts = train_as_written(env, rng, seed, quick, progress)
        corrected, connected, critic_verdicts = train_corrected(env, rng, seed, quick, progress)
    finally:
        env.close()
    effect = corrected["stop_on_the_advantage"]
    rows = [
        ("article says", "the stop on the advantage makes the training of both networks stable"),
        (
            "as written",
            f"{written['connected']} of {written['variables']} variables get a gradient; "
            "apply_gradients raises, for the actor and for the critic: "
            f"{written['apply_gradients_says'][0].split('. ')[0]}.\n"
            f"the actor goes on playing at random: mean return {written['mean_return']:.1f}",
        ),
        ("verdicts", told(verdicts)),
        (
            "corrected",
            f"mean return of the last {WINDOW} episodes {corrected['mean_return']:.1f} (goal: "
            f"above {GOAL:.0f}) after {corrected['episodes']} episodes, {corrected['steps']} steps",
        ),
        ("verdicts", told(connected)),
        (
            "the stop",
            "as written it changes nothing, for no gradient gets as far; corrected, it changes "
            f"the actor's gradients by {effect['actor_gradients_differ_by']} and spares those of "
            f"the critic (norm {effect['critic_gradient_norm_without_stop']:.2g} without it, none "
            f"with it):\n{told(critic_verdicts)}",
        ),
    ]
    shortfalls = []
    if not corrected["solved"] and not quick:
        shortfalls.append(
            f"example 3: the mean return of the last {WINDOW} episodes is "
            f"{corrected['mean_return']:.1f} after {corrected['steps']} steps; "
            f"expected above {GOAL}"
        )
    return Findings(
        "Example 3: an actor-critic on CartPole-v1",
        rows,
        {"as_written": written, "corrected": corrected},
        shortfalls,
        {"returns": corrected["returns"], "as_written": written["mean_return"]},
    )


def train_as_written(
    env: Any, rng: Any, seed: int, quick: bool, progress: Progress
) -> tuple[dict[str, Any], list[Any]]:
    """Play and learn as the article says; return figures and verdicts."""
    made = networks()
    actor, critic = made[:2]
    start = actor.get_weights() + critic.get_weights()
    played = []
    episodes = 5 if quick else WINDOW
    for episode in range(1, episodes + 1):
        states, _, rewards = play(env, actor, rng, seed if episode == 1 else None)
        played.append(len(rewards.numpy()))
        verdicts, refusals = as_written(*made, states, rewards)
        progress("example 3, as written", episode, episodes, f"return {played[-1]}")
    figures = {
        "episodes": episodes,
        "connected": sum(map(bool, verdicts)),
        "variables": len(verdicts),
        "moved_by": largest_difference(start, actor.get_weights() + critic.get_weights()),
        "apply_gradients_says": refusals,
        "mean_return": float(np.mean(played)),
        "verdicts": list(map(str, verdicts)),
    }
    return figures, verdicts


def train_corrected(
    env: Any, rng: Any, seed: int, quick: bool, progress: Progress
) -> tuple[dict[str, Any], list[Any], list[Any]]:
    """Play and learn until the goal is reached; return figures and verdicts."""
    made = networks()
    actor, critic = made[:2]
    limit = 500 if quick else LIMIT
    played: list[int] = []
    norms: list[tuple[float, float]] = []
    effect: dict[str, Any] = {}
    mean = 0.0
    while sum(played) < limit:
        states, taken, rewards = play(env, actor, rng, None if played else seed)
        returns = returns_of(rewards)
        played.append(len(rewards.numpy()))
        mean = float(np.mean(played[-WINDOW:]))
        solved = len(played) >= WINDOW and mean > GOAL
        effect = effect or effect_of_the_stop(actor, critic, states, taken, returns)
        note = f"episode {len(played)}, return {mean:.0f} of {GOAL:.0f}"
        over = solved or sum(played) >= limit
        progress("example 3, corrected", GOAL if over else min(mean, GOAL - 1), GOAL, note)
        if solved:
            break
        norms.append(learn(*made, states, taken, returns))
    tape, loss = actor_step(actor, critic, states, taken, returns)
    connected = list(tape.why(loss, actor.trainable_variables))
    critic_of_policy_loss = tape.why(loss, critic.trainable_variables)
    tape, loss = critic_step(critic, states, returns)
    connected += tape.why(loss, critic.trainable_variables)
    figures = {
        "episodes": len(played),
        "steps": sum(played),
        "mean_return": mean,
        "goal": GOAL,
        "solved": solved,
        "stop_on_the_advantage": effect,
        "verdicts": list(map(str, connected)),
        "returns": played,
        "gradient_norms": {"actor": [a for a, _ in norms], "critic": [c for _, c in norms]},
    }
    return figures, connected, critic_of_policy_loss


def effect_of_the_stop(
    actor: Any, critic: Any, states: Any, taken: Any, returns: Any
) -> dict[str, Any]:
    """Compare the gradients of the actor's loss with and without its stop."""
    ours, theirs = actor.trainable_variables, critic.trainable_variables
    found = []
    for step in (actor_step, actor_step_without_stop):
        tape, loss = step(actor, critic, states, taken, returns)
        found.append(tape.gradient(loss, (ours, theirs)))
    (stopped, critic_stopped), (through, critic_through) = found
    return {
        "actor_gradients_differ_by": largest_difference(stopped, through),
        "critic_gradient_norm": norm(critic_stopped),
        "critic_gradient_norm_without_stop": norm(critic_through),
    }


if __name__ == "__main__":
    print(run())
