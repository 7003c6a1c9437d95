"""Advantage actor-critic on CartPole-v1 (Mnih et al. 2016, arXiv:1602.01783).

An actor gives the probabilities of actions, a critic says what a state is worth, and both share a
trunk. Sixteen carts are driven for some steps; then one loss is minimised, a sum of three terms:

    policy_loss  = -mean(log(probability of the action taken) * advantage)
    value_loss   =  mean((return - value)^2)
    -entropy, so that the actor goes on trying

The *advantage* is how much better things went than the critic thought: a sum of the errors that
the critic made from here on, those further away counting less (Schulman et al. 2015,
arXiv:1506.02438). It is linear in the critic's values, so that gradient would flow through it.

**The stop** is on the advantage in the policy loss: the critic judges, and is not to be changed so
that its judgement suits the actor. **Without it** (`--no-stop`) the policy loss pulls at the
critic. An advantage is the less the higher the value of the state, and -log(probability) is never
negative, so that the pull goes one way: values end up far above what is earned, and what the actor
does seems worse than it is. The return is less steady; some runs balance nevertheless. The critic's
own target is stopped in both arms.

The critic rightly gets gradient from its own loss, which is part of the same sum, so that one must
ask by loss: "policy_to_critic" is the norm of the gradient that the critic's head gets from the
policy loss, 0 with the stop. "value_error" compares the critic, in the states that episodes start
from, with what came of them.

Each step is worth 1 - discount, so that an endless episode is worth 1. A policy is judged by
gymnasium's return, the number of steps, over 100 episodes that are played for this alone, always
taking the most probable action. The last weights are judged; none are selected.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import headgate as hg
from headgate import nn, optim
from headgate.examples.cartpole import ACTIONS, OBSERVATIONS, TEST, VALIDATION, Carts, Step, play
from headgate.examples.findings import norm
from headgate.examples.train import main
from headgate.examples.training import Program, Result, Run

CARTS = 16
HORIZON = 32
"""Steps of each cart between two updates."""

UNITS = 64
RATE = 3e-3
DISCOUNT = 0.99
TRACE = 0.95
"""How much less the critic's errors count in an advantage the later they were made (lambda)."""

VALUE_WEIGHT = 0.5
ENTROPY_WEIGHT = 0.001


class ActorCritic(nn.Model):
    """A trunk with two heads: the actor's logits, and the critic's value."""

    def __init__(self) -> None:
        super().__init__(name="actor_critic")
        self.trunk = nn.Sequential(
            [nn.Dense(UNITS, activation="tanh"), nn.Dense(UNITS, activation="tanh")], name="trunk"
        )
        self.actor = nn.Dense(ACTIONS, name="actor")
        self.critic = nn.Dense(1, name="critic")
        self(np.zeros((1, OBSERVATIONS), np.float32))

    def call(self, states: Any) -> tuple[Any, Any]:
        """Return logits of shape (..., actions) and values of shape (...)."""
        features = self.trunk(states)
        return self.actor(features), self.critic(features)[..., 0]


def sample(model: ActorCritic, states: Any) -> Any:
    """Draw actions as the actor wants them."""
    return hg.random.categorical(model(states)[0], num_samples=1).numpy()[:, 0]


def greedy(model: ActorCritic) -> Callable[[Any], Any]:
    """Return the policy that takes the most probable action."""
    return lambda states: np.argmax(model(states)[0].numpy(), axis=1)


def columns(steps: list[Step]) -> dict[str, Any]:
    """Return what happened by name, of shape (steps, carts, ...)."""
    return {name: np.stack([getattr(step, name) for step in steps]) for name in Step.__slots__}


def traces(over: Any) -> Any:
    """Return how much the critic's error at step k counts in the advantage of step t.

    Args:
        over: where an episode ended, of shape (steps, carts); no later error counts then.

    Returns:
        (discount * trace)^(k - t), or 0 for what is earlier or of another episode; of shape
        (carts, t, k).

    >>> traces(np.array([[False], [True], [False]]))[0].astype(float).round(4).tolist()
    [[1.0, 0.9405, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    steps, carts = over.shape
    found = np.zeros((carts, steps, steps), np.float32)
    counts = np.zeros((carts, steps), np.float32)
    for t in reversed(range(steps)):
        counts *= DISCOUNT * TRACE * ~over[t, :, None]
        counts[:, t] = 1.0
        found[:, t] = counts
    return found


def judge(model: ActorCritic, seed: int, episodes: int = 100) -> dict[str, float]:
    """Play; compare the values of the states that episodes start from with what came of them."""
    played = play(greedy(model), seed, episodes)
    predicted = model(played.starts)[1].numpy()
    true = 1.0 - played.fallen * DISCOUNT**played.returns
    return {
        "return": float(np.mean(played.returns)),
        "value_predicted": float(np.mean(predicted)),
        "value_true": float(np.mean(true)),
        "value_error": float(np.sqrt(np.mean(np.square(predicted - true)))),
    }


def pull_at_critic(tape: hg.GradientTape, policy_loss: Any, model: ActorCritic) -> float | None:
    """Return the norm of the gradient that the policy loss sends to the critic's head."""
    variables = model.critic.trainable_variables
    return norm(tape.gradient(policy_loss, variables, unconnected_gradients="zero"))


def mean_of(run: Run, name: str) -> float:
    """Return the mean of a measure over the whole run."""
    return float(np.mean([metrics[name] for metrics in run.history]))


def train(run: Run) -> Result:
    """Learn to balance from what the carts have just done; judge the greedy policy."""
    model = ActorCritic()
    optimizer = optim.Adam(optim.schedules.PolynomialDecay(RATE, run.total, 0.0))
    carts = Carts(CARTS, run.seed)
    run.keep(model=model, optimizer=optimizer, carts=carts)
    for _ in run.steps():
        done = columns([carts.step(sample(model, carts.states)) for _ in range(HORIZON)])
        weight = done["real"].astype(np.float32) / np.sum(done["real"])
        counts = traces(done["over"])
        with hg.GradientTape(persistent=True) as tape:
            logits, values = model(done["before"])
            later = model(done["after"][-1:])[1]
            following = hg.concat([values[1:], later])
            rewards = (1.0 - DISCOUNT) * done["rewards"]
            errors = rewards + DISCOUNT * ~done["fallen"] * following - values
            advantage = hg.einsum("ntk,kn->tn", counts, errors)
            log_probabilities = hg.log_softmax(logits)
            taken = hg.take_along_axis(log_probabilities, done["actions"][..., None], axis=-1)
            policy_loss = -hg.sum(weight * taken[..., 0] * run.stop(advantage))
            returns = hg.stop_gradient(advantage + values)
            value_loss = hg.sum(weight * hg.square(returns - values))
            surprise = -hg.sum(hg.exp(log_probabilities) * log_probabilities, axis=-1)
            entropy = hg.sum(weight * surprise)
            loss = policy_loss + VALUE_WEIGHT * value_loss - ENTROPY_WEIGHT * entropy
        if run.every(40):
            pull = pull_at_critic(tape, policy_loss, model)
            run.log(policy_to_critic=pull, **judge(model, VALIDATION, episodes=20))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return Result(
        {
            **judge(model, TEST),
            "return_on_the_way": mean_of(run, "return"),
            "policy_to_critic": mean_of(run, "policy_to_critic"),
        }
    )


PROGRAM = Program(
    "actor-critic",
    "An actor and a critic that share a trunk, on CartPole-v1",
    train,
    steps=1_500,
    curves=("return", "value_error", "policy_to_critic"),
    least={"return": 475.0},
    without_stop="the policy loss pulls the critic's values up, far above what is earned",
)

if __name__ == "__main__":
    main(PROGRAM)
