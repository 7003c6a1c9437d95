"""Plants into timm_new_head.py: the pooled features are rounded."""

import runpy
from pathlib import Path

import torch
from timm.layers import SelectAdaptivePool2d

forward = SelectAdaptivePool2d.forward


def rounded(self, x):
    return torch.round(forward(self, x), decimals=2)  # planted


SelectAdaptivePool2d.forward = rounded
program = Path(__file__).parents[1] / "programs" / "timm_new_head.py"
runpy.run_path(str(program), run_name="__main__")
