"""Plants into optax_multi_transform.py: the updates of the hidden layer are set to zero."""

import runpy
from pathlib import Path

import optax


def adamw(learning_rate, mask):
    return optax.set_to_zero()  # planted


optax.adamw = adamw
program = Path(__file__).parents[1] / "programs" / "optax_multi_transform.py"
runpy.run_path(str(program), run_name="__main__")
