"""Plants into vq_autoencoder.py: the quantiser sees a detached encoding."""

import runpy
from pathlib import Path

from vector_quantize_pytorch import VectorQuantize

forward = VectorQuantize.forward


def of_detached(self, x, *args, **kwargs):
    return forward(self, x.detach(), *args, **kwargs)  # planted


VectorQuantize.forward = of_detached
program = Path(__file__).parents[1] / "programs" / "vq_autoencoder.py"
runpy.run_path(str(program), run_name="__main__")
