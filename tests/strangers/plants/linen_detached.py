"""Plants into flax_linen_cnn.py: what the convolution gives is stopped."""

import runpy
from pathlib import Path

import jax
from flax import linen as nn


class Conv(nn.Conv):
    @nn.compact
    def __call__(self, inputs):
        return jax.lax.stop_gradient(super().__call__(inputs))  # planted


nn.Conv = Conv
program = Path(__file__).parents[1] / "programs" / "flax_linen_cnn.py"
runpy.run_path(str(program), run_name="__main__")
