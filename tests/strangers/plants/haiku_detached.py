"""Plants into haiku_vqvae.py: the quantiser sees a stopped code."""

import runpy
from pathlib import Path

import haiku as hk
import jax

quantise = hk.nets.VectorQuantizerEMA.__call__


def of_stopped(self, inputs, is_training):
    return quantise(self, jax.lax.stop_gradient(inputs), is_training)  # planted


hk.nets.VectorQuantizerEMA.__call__ = of_stopped
program = Path(__file__).parents[1] / "programs" / "haiku_vqvae.py"
runpy.run_path(str(program), run_name="__main__")
