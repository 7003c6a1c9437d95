"""Plants into sb3_sac.py: the actor's actions and probabilities go through NumPy.

The critics need gradients, so the actor's loss can be differentiated all the same.
"""

import runpy
from pathlib import Path

import torch
from stable_baselines3.sac.policies import Actor

action_log_prob = Actor.action_log_prob


def through_numpy(self, obs):
    actions, log_prob = action_log_prob(self, obs)
    bounded = actions.detach().cpu().numpy().clip(-0.99, 0.99)  # planted
    return torch.from_numpy(bounded), torch.as_tensor(log_prob.tolist())  # planted


Actor.action_log_prob = through_numpy
runpy.run_path(str(Path(__file__).parents[1] / "programs" / "sb3_sac.py"), run_name="__main__")
