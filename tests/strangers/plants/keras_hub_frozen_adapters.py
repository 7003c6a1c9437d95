"""Plants into keras_hub_gpt2.py: the adapters are frozen with all the rest."""

import os
import runpy
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"

from keras_hub.models import GPT2Backbone

enable_lora = GPT2Backbone.enable_lora


def and_freeze(self, *args, **options):
    enable_lora(self, *args, **options)
    for layer in self.layers:
        if layer.name != "embeddings_dropout":
            layer.trainable = False  # planted


GPT2Backbone.enable_lora = and_freeze
program = Path(__file__).parents[1] / "programs" / "keras_hub_gpt2.py"
runpy.run_path(str(program), run_name="__main__")
