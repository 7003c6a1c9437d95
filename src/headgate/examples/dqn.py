"""Q-learning with a deep network on CartPole-v1 (Mnih et al. 2013, arXiv:1312.5602, and 2015).

A network learns Q, what an action in a state will have earned in the end, from experience replayed
in random order. What it should say comes from what it says of the next state (it *bootstraps*):

    target = reward + discount * Q(next state, best action there)

The action is chosen by the online network, as in double Q-learning (van Hasselt et al. 2015,
arXiv:1509.06461). It is valued by that network and by a target network that follows slowly, and the
lower of both values is taken, so that an error of one alone cannot raise itself (Fujimoto et al.
2018, arXiv:1802.09477). The target network's weights are averages; it is what is judged.

**The stop** is on the target. The value of this state moves towards it, and it stays where it is.
**Without it** (`--no-stop`) the error is reduced from both ends wherever the online network's value
was the lower: the value of the next state moves as well, towards that of this one. That is, in
part, the residual gradient of Baird (1995), a true gradient of the error, which learns slowly. Q
does not diverge, nor is it too high. It is far too *low*, for what a fall teaches spreads to states
from which no fall follows. The return rises later and less steadily; some runs get there in the
end. "overestimate" is Q less what came of it, in the states that episodes start from: below 0 here.
Other forms answer otherwise: where a step earns 1 and there is no target network, the residual
gradient learnt this game, in which chance plays no part, and Q with the stop diverged.

Rewards are those of Barto, Sutton & Anderson (1983): -1 for a fall, else 0. So Q tells how soon the
pole will fall: it goes from 0, never, to -1, now. A policy is judged by gymnasium's return, the
number of steps, over 100 episodes that are played for this alone, always taking the best action.
The last weights are judged; none are selected.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import headgate as hg
from headgate import losses, nn, optim
from headgate.examples.cartpole import ACTIONS, OBSERVATIONS, TEST, VALIDATION, Carts, Step, play
from headgate.examples.train import main
from headgate.examples.training import Program, Result, Run

CARTS = 4
BATCH = 128
UNITS = 128
RATE = 2e-3
DISCOUNT = 0.99
FOLLOW = 0.005
"""How far the target network goes towards the online network with each step."""

CAPACITY = 100_000
RANDOM_STEPS = 100
"""Steps of all carts at random before the first that is learnt from."""

LEAST_CHANCE = 0.05
EXPLORATION = 0.3
"""The part of the run in which the chance of a random action falls from 1 to the least."""


class Replay:
    """The latest experience, of which batches are drawn at random.

    Args:
        capacity: so many steps of a cart are kept.
    """

    def __init__(self, capacity: int) -> None:
        self.seen = 0  # steps put in so far, those written over since included
        self.columns: dict[str, np.ndarray[Any, Any]] = {
            "before": np.zeros((capacity, OBSERVATIONS), np.float32),
            "actions": np.zeros(capacity, np.int64),
            "after": np.zeros((capacity, OBSERVATIONS), np.float32),
            "fallen": np.zeros(capacity, np.float32),
        }

    def add(self, step: Step) -> None:
        """Put in what happened to each cart; the oldest goes if there is no room."""
        rows = np.flatnonzero(step.real)
        for name, column in self.columns.items():
            places = np.arange(self.seen, self.seen + len(rows)) % len(column)
            column[places] = getattr(step, name)[rows]
        self.seen += len(rows)

    def draw(self, count: int) -> tuple[Any, ...]:
        """Return states, actions, the states that followed, and which of these were falls."""
        filled = min(self.seen, len(self.columns["actions"]))
        rows = hg.random.uniform((count,), 0, filled, dtype="int64").numpy()
        return tuple(column[rows] for column in self.columns.values())

    def get_state(self) -> dict[str, Any]:
        """Return all that is in it."""
        return {"seen": self.seen, **{name: x.copy() for name, x in self.columns.items()}}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take back what `get_state` returned."""
        self.seen = int(state["seen"])
        self.columns = {name: np.array(state[name]) for name in self.columns}


def q_network(name: str) -> nn.Sequential:
    """Make a network that tells the value of each action in a state."""
    return nn.Sequential(
        [
            nn.Input((OBSERVATIONS,)),
            nn.Dense(UNITS, activation="relu"),
            nn.Dense(UNITS, activation="relu"),
            nn.Dense(ACTIONS),
        ],
        name=name,
    )


def of(actions: Any, values: Any) -> Any:
    """Return the values of one action per state, of shape (n, 1)."""
    return hg.take_along_axis(values, actions[:, None], axis=1)


def greedy(network: Any) -> Callable[[Any], Any]:
    """Return the policy that always takes the best action by a network."""
    return lambda states: np.argmax(network(states).numpy(), axis=1)


def explore(network: Any, states: Any, chance: float) -> Any:
    """Return the best actions by a network, but random ones with some chance."""
    at_random = hg.random.uniform((len(states), 2)).numpy()
    some = (at_random[:, 1] * ACTIONS).astype(np.int64)
    return np.where(at_random[:, 0] < chance, some, greedy(network)(states))


def judge(network: Any, seed: int, episodes: int = 100) -> dict[str, float]:
    """Play the greedy policy; compare the Q of the states it starts from with what came of them."""
    played = play(greedy(network), seed, episodes)
    predicted = np.max(network(played.starts).numpy(), axis=1)
    true = np.where(played.fallen, -(DISCOUNT ** (played.returns - 1)), 0.0)
    return {
        "return": float(np.mean(played.returns)),
        "q_predicted": float(np.mean(predicted)),
        "q_true": float(np.mean(true)),
        "overestimate": float(np.mean(predicted - true)),
    }


def train(run: Run) -> Result:
    """Learn to balance from replayed experience; judge the greedy policy."""
    online, target_network = q_network("online"), q_network("target")
    optim.hard_update(target_network, online)
    optimizer = optim.Adam(optim.schedules.PolynomialDecay(RATE, run.total, 0.0))
    carts, replay = Carts(CARTS, run.seed), Replay(CAPACITY)
    for _ in range(RANDOM_STEPS):
        replay.add(carts.step(explore(online, carts.states, chance=1.0)))
    run.keep(online=online, target=target_network, optimizer=optimizer, carts=carts, replay=replay)
    for number in run.steps():
        chance = max(LEAST_CHANCE, 1.0 - number / (EXPLORATION * run.total))
        replay.add(carts.step(explore(online, carts.states, chance)))
        states, actions, after, fallen = replay.draw(BATCH)
        with hg.GradientTape() as tape:
            value = of(actions, online(states))
            values_after = online(after)
            best = np.argmax(values_after.value, axis=1)
            lower = hg.minimum(of(best, values_after), of(best, target_network(after)))
            fall = fallen[:, None]
            target = run.stop(-fall + DISCOUNT * (1.0 - fall) * lower)
            loss = hg.mean(losses.huber(target, value))
        gradients = tape.gradient(loss, online.trainable_variables)
        optimizer.apply_gradients(zip(gradients, online.trainable_variables))
        optim.soft_update(target_network, online, FOLLOW)
        if run.every(40):
            run.log(loss=loss, **judge(target_network, VALIDATION, episodes=20))
    on_the_way = np.mean([metrics["return"] for metrics in run.history])
    return Result({**judge(target_network, TEST), "return_on_the_way": float(on_the_way)})


PROGRAM = Program(
    "dqn",
    "Q-learning from replayed experience on CartPole-v1",
    train,
    steps=8_000,
    curves=("return", "overestimate", "loss"),
    least={"return": 475.0},
    without_stop="the target moves as well: learning is slow, and Q is far too low",
)

if __name__ == "__main__":
    main(PROGRAM)
