"""Plants into sb3_sac.py: the optimizer of the temperature is given another tensor."""

import runpy
from pathlib import Path

import torch
from stable_baselines3 import SAC

setup = SAC._setup_model


def with_other_temperature(self):
    setup(self)
    copy = self.log_ent_coef.detach().clone().requires_grad_()
    self.ent_coef_optimizer = torch.optim.Adam([copy], lr=3e-4)


SAC._setup_model = with_other_temperature
runpy.run_path(str(Path(__file__).parents[1] / "programs" / "sb3_sac.py"), run_name="__main__")
