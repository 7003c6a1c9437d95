"""Plants into lightning_gan.py: the generator's last activation is detached."""

import runpy
from pathlib import Path

from torch import nn

forward = nn.Tanh.forward


def detached(self, x):
    return forward(self, x).detach()  # planted


nn.Tanh.forward = detached
program = Path(__file__).parents[1] / "programs" / "lightning_gan.py"
runpy.run_path(str(program), run_name="__main__")
