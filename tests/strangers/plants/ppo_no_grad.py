"""Plants into sb3_ppo.py: the values of the critic are computed under no_grad in training as well.

The entropy and the policy's loss need gradients, so nothing fails.
"""

import runpy
from pathlib import Path

import torch
from stable_baselines3.common.policies import ActorCriticPolicy

evaluate_actions = ActorCriticPolicy.evaluate_actions


def with_constant_values(self, obs, actions):
    _, log_prob, entropy = evaluate_actions(self, obs, actions)
    with torch.no_grad():  # planted
        values = self.predict_values(obs)  # planted
    return values, log_prob, entropy


ActorCriticPolicy.evaluate_actions = with_constant_values
runpy.run_path(str(Path(__file__).parents[1] / "programs" / "sb3_ppo.py"), run_name="__main__")
