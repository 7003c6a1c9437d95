"""Plants into equinox_rnn.py: the last state is a whole number to the head."""

import runpy
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp

forward = eqx.nn.Linear.__call__


def of_integers(self, x, *, key=None):
    return forward(self, (10 * x).astype(jnp.int8) / 10)  # planted


eqx.nn.Linear.__call__ = of_integers
program = Path(__file__).parents[1] / "programs" / "equinox_rnn.py"
runpy.run_path(str(program), run_name="__main__")
