"""Plants into flax_nnx_transformer.py: what the table of the embedding gives is rounded."""

import runpy
from pathlib import Path

import jax.numpy as jnp
from flax import nnx

embed = nnx.Embed.__call__


def rounded(self, inputs):
    return jnp.round(embed(self, inputs))  # planted


nnx.Embed.__call__ = rounded
program = Path(__file__).parents[1] / "programs" / "flax_nnx_transformer.py"
runpy.run_path(str(program), run_name="__main__")
