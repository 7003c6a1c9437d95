"""DQN on CartPole (stable-baselines3)."""

import torch
from stable_baselines3 import DQN

torch.set_num_threads(1)
model = DQN(
    "MlpPolicy",
    "CartPole-v1",
    learning_starts=50,
    buffer_size=1000,
    train_freq=4,
    target_update_interval=100,
    policy_kwargs={"net_arch": [32, 32]},
    seed=4,
    device="cpu",
)
model.learn(total_timesteps=450)

for name, parameter in model.policy.named_parameters():
    print(name, repr(parameter.detach().abs().sum().item()))
