"""Plants into sb3_ppo.py: the head of the value function is frozen as it was made."""

import runpy
from pathlib import Path

from stable_baselines3.common.policies import ActorCriticPolicy

build = ActorCriticPolicy._build


def with_frozen_value(self, lr_schedule):
    build(self, lr_schedule)
    self.value_net.requires_grad_(False)  # planted


ActorCriticPolicy._build = with_frozen_value
runpy.run_path(str(Path(__file__).parents[1] / "programs" / "sb3_ppo.py"), run_name="__main__")
