# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: critic.weight=learns critic.bias=learns
# also: -
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(27)
RATE = 0.05

actor, critic = nn.Linear(4, 2), nn.Linear(4, 1)


def act(states):
    policy = torch.distributions.Categorical(logits=actor(states))
    actions = policy.sample()
    return actions, policy.log_prob(actions)


@torch.no_grad()
def descend(parameters, gradients):
    for p, g in zip(parameters, gradients):
        p.sub_(RATE * g)


before = {name: p.detach().clone() for name, p in critic.named_parameters()}
for _step in range(4):
    states = torch.randn(16, 4)
    actions, log_probs = act(states)
    rewards = torch.where(actions == (states[:, 0] > 0).long(), 1.0, -1.0)
    values = critic(states).squeeze(1)
    advantages = (rewards - values).detach()
    actor_loss = -(log_probs * advantages).mean()
    critic_loss = F.mse_loss(values, rewards)
    actor_gradients = torch.autograd.grad(actor_loss, list(actor.parameters()))
    critic_gradients = torch.autograd.grad(critic_loss, list(critic.parameters()))
    descend(actor.parameters(), actor_gradients)
    descend(critic.parameters(), critic_gradients)
for name, p in critic.named_parameters(prefix="critic"):
    same = torch.equal(p, before[name.removeprefix("critic.")])
    print(f"{name}: {'still' if same else 'learns'}")
