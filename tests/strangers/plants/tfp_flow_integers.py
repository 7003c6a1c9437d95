"""Plants into tfp_inference.py: the tail of the flow is cast to whole numbers."""

import os
import runpy
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import tensorflow as tf
import tensorflow_probability as tfp

init = tfp.bijectors.SinhArcsinh.__init__


def with_whole_tail(self, skewness, tailweight, **options):
    whole = tf.cast(1.0 + tailweight, tf.int32)  # planted
    init(self, skewness=skewness, tailweight=tf.cast(whole, tf.float32), **options)


tfp.bijectors.SinhArcsinh.__init__ = with_whole_tail
program = Path(__file__).parents[1] / "programs" / "tfp_inference.py"
runpy.run_path(str(program), run_name="__main__")
