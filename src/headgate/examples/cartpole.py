"""CartPole-v1, many carts at a time: what the programs that learn to act have in common.

The dynamics are gymnasium's own `CartPoleVectorEnv`: a pole is kept upright on a cart, each step
earns 1, and an episode ends when the pole falls, or the cart leaves its track, or after 500 steps.
All that such an environment consists of stands in its public attributes, so that `Carts` can be
saved, and goes on bit for bit.

An episode that is over begins anew with the *next* step of its cart, whatever the action. Such a
step is no experience: `Step.real` is False for it. In return, `Step.after` is always the state
that the action led to, as it takes to bootstrap from an episode that merely ran out of time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

OBSERVATIONS = 4
ACTIONS = 2

TEST = 1_000_003
"""Seed of the 100 episodes that a trained policy is judged by."""

VALIDATION = 2_000_003
"""Seed of the episodes that learning curves are drawn from."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of all carts: arrays with an entry, or for states a row, per cart."""

    before: Any  # states, float32 of shape (carts, 4)
    actions: Any
    rewards: Any
    after: Any
    fallen: Any  # the episode ended, and nothing can be earned any more
    over: Any  # the episode ended, be it that it ran out of time
    real: Any  # False where an episode began anew instead


class Carts:
    """Carts that are driven side by side, each through one episode after another.

    Args:
        count: number of carts.
        seed: of the states that episodes begin with.

    >>> carts = Carts(2, seed=0)
    >>> step = carts.step(np.array([0, 1]))
    >>> step.after.shape, step.rewards.tolist(), step.over.tolist()
    ((2, 4), [1.0, 1.0], [False, False])
    """

    def __init__(self, count: int, seed: int) -> None:
        self.count = count
        self._env: Any = gymnasium.make_vec("CartPole-v1", num_envs=count).unwrapped
        self.states, _ = self._env.reset(seed=seed)

    def step(self, actions: Any) -> Step:
        """Push each cart to the left (0) or to the right (1)."""
        before, real = self.states, ~self._env.prev_done
        self.states, rewards, fallen, late, _ = self._env.step(actions)
        return Step(before, actions, rewards, self.states, fallen, fallen | late, real)

    def get_state(self) -> dict[str, Any]:
        """Return what it takes to go on from here."""
        env = self._env
        return {
            "state": env.state.copy(),
            "steps": env.steps.copy(),
            "over": env.prev_done.copy(),
            "random": env.np_random.bit_generator.state,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from where `get_state` was called."""
        env = self._env
        env.state = np.array(state["state"])
        env.steps = np.array(state["steps"])
        env.prev_done = np.array(state["over"])
        env.np_random.bit_generator.state = state["random"]
        self.states = env.state.T.astype(np.float32)


@dataclass(frozen=True, slots=True)
class Played:
    """Episodes played: the states they began with, what each earned, and whether it ended early."""

    starts: Any
    returns: Any
    fallen: Any


def play(policy: Callable[[Any], Any], seed: int, episodes: int = 100) -> Played:
    """Play episodes side by side, one per cart.

    Args:
        policy: returns the actions for an array of states.
        seed: of the states that the episodes begin with.
        episodes: number of episodes.

    >>> played = play(lambda states: np.zeros(len(states), int), TEST)
    >>> played.returns.shape, bool(played.fallen.all()), bool((played.returns < 15).all())
    ((100,), True, True)
    """
    carts = Carts(episodes, seed)
    starts = carts.states
    returns, fallen, going = np.zeros(episodes), np.zeros(episodes, bool), np.ones(episodes, bool)
    while going.any():
        step = carts.step(policy(carts.states))
        returns += going * step.rewards
        fallen |= going & step.fallen
        going &= ~step.over
    return Played(starts, returns, fallen)
