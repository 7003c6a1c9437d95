"""Plants into timm_new_head.py: the program trains a copy of the head that the model does not use.

In the second stage, where everything is trained, nothing is missing.
"""

import copy
import runpy
from pathlib import Path

import torch

init = torch.optim.AdamW.__init__


def of_copies(self, params, *args, **kwargs):
    params = list(params)
    if isinstance(params[0], torch.nn.Parameter):  # those of the head alone
        params = copy.deepcopy(params)  # planted
    init(self, params, *args, **kwargs)  # planted


torch.optim.AdamW.__init__ = of_copies
program = Path(__file__).parents[1] / "programs" / "timm_new_head.py"
runpy.run_path(str(program), run_name="__main__")
