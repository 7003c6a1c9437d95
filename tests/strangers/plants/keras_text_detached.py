"""Plants into keras_text_torch.py: what attention gives is detached."""

import os
import runpy
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"

import keras

call = keras.layers.MultiHeadAttention.call


def detached(self, query, value, key=None, **options):
    return call(self, query, value, key, **options).detach()  # planted


keras.layers.MultiHeadAttention.call = detached
program = Path(__file__).parents[1] / "programs" / "keras_text_torch.py"
runpy.run_path(str(program), run_name="__main__")
