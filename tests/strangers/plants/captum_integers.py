"""Plants into captum_attributions.py: an activation goes through integers in training."""

import runpy
from pathlib import Path

from torch import nn

forward = nn.Softplus.forward


def in_eighths(self, x):
    h = forward(self, x)
    return (h * 8).long() / 8 if self.training else h  # planted


nn.Softplus.forward = in_eighths
program = Path(__file__).parents[1] / "programs" / "captum_attributions.py"
runpy.run_path(str(program), run_name="__main__")
