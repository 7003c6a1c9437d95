"""PPO on CartPole (stable-baselines3)."""

import gymnasium as gym
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env

torch.set_num_threads(1)
env = make_vec_env("CartPole-v1", n_envs=2, seed=0)
model = PPO("MlpPolicy", env, n_steps=64, batch_size=32, n_epochs=3, seed=0, device="cpu")
model.learn(total_timesteps=384)

evaluation = gym.make("CartPole-v1")
observation, _ = evaluation.reset(seed=1)
rewards = 0.0
for _ in range(200):
    action, _ = model.predict(observation, deterministic=True)
    observation, reward, terminated, truncated, _ = evaluation.step(action)
    rewards += reward
    if terminated or truncated:
        break
print("reward", rewards)
for name, parameter in model.policy.named_parameters():
    print(name, repr(parameter.detach().abs().sum().item()))
