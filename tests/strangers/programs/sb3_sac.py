"""SAC on Pendulum (stable-baselines3)."""

import torch
from stable_baselines3 import SAC

torch.set_num_threads(1)
model = SAC(
    "MlpPolicy",
    "Pendulum-v1",
    policy_kwargs={"net_arch": [32, 32]},
    learning_starts=100,
    batch_size=64,
    seed=3,
    device="cpu",
)
model.learn(total_timesteps=250, log_interval=1)

print("entropy coefficient", repr(model.log_ent_coef.item()))
for name, parameter in model.policy.named_parameters():
    print(name, repr(parameter.detach().abs().sum().item()))
