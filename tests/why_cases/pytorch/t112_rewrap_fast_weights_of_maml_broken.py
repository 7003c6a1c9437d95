# cause: rewrap
# line: 29
# affected: 0.weight 0.bias 2.weight 2.bias
# symptom: none
# expect: 0.weight=None 0.bias=None 2.weight=None 2.bias=None
# also: -
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

torch.manual_seed(11)
INNER_RATE, INNER_STEPS = 0.1, 2


def sample_task():
    """A sine of random size and phase: few points to learn from, others to be judged by."""
    size, phase = torch.rand(()) * 4 + 1, torch.rand(()) * 3.14
    x = torch.rand(20, 1) * 10 - 5
    y = size * torch.sin(x + phase)
    return x[:10], y[:10], x[10:], y[10:]


def adapt(model, x, y):
    fast = dict(model.named_parameters())
    for _ in range(INNER_STEPS):
        loss = F.mse_loss(functional_call(model, fast, (x,)), y)
        grads = torch.autograd.grad(loss, list(fast.values()), create_graph=True)
        fast = {name: nn.Parameter(p - INNER_RATE * g) for (name, p), g in zip(fast.items(), grads)}
    return fast


model = nn.Sequential(nn.Linear(1, 16), nn.ReLU(), nn.Linear(16, 1))
meta = torch.optim.Adam(model.parameters(), lr=1e-3)
for _iteration in range(3):
    meta.zero_grad()
    total = 0.0
    for _ in range(4):
        x, y, x_query, y_query = sample_task()
        fast = adapt(model, x, y)
        total = total + F.mse_loss(functional_call(model, fast, (x_query,)), y_query)
    (total / 4).backward()
    meta.step()
for name, p in model.named_parameters():
    print(f"{name}: {'None' if p.grad is None else 'nonzero'}")
