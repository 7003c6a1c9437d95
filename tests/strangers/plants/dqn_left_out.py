"""Plants into sb3_dqn.py: the optimizer is not given the first layer."""

import runpy
from pathlib import Path

import torch
from stable_baselines3.dqn.policies import DQNPolicy

build = DQNPolicy._build


def without_first_layer(self, lr_schedule):
    build(self, lr_schedule)
    rest = list(self.q_net.parameters())[2:]
    self.optimizer = torch.optim.Adam(rest, lr=lr_schedule(1))  # planted


DQNPolicy._build = without_first_layer
runpy.run_path(str(Path(__file__).parents[1] / "programs" / "sb3_dqn.py"), run_name="__main__")
