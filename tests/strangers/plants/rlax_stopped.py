"""Plants into rlax_agents.py: the Q-learner's error is that of stopped values."""

import runpy
from pathlib import Path

import jax
import rlax

double_q_learning = rlax.double_q_learning


def of_stopped(q_tm1, *others):
    return double_q_learning(jax.lax.stop_gradient(q_tm1), *others)  # planted


rlax.double_q_learning = of_stopped
program = Path(__file__).parents[1] / "programs" / "rlax_agents.py"
runpy.run_path(str(program), run_name="__main__")
