"""Plants into keras_images_tensorflow.py: what the pooling gives is stopped."""

import os
import runpy
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras

call = keras.layers.GlobalAveragePooling2D.call


def stopped(self, inputs):
    return keras.ops.stop_gradient(call(self, inputs))  # planted


keras.layers.GlobalAveragePooling2D.call = stopped
program = Path(__file__).parents[1] / "programs" / "keras_images_tensorflow.py"
runpy.run_path(str(program), run_name="__main__")
