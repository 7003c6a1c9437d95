# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: 0.weight=learns 0.bias=learns 2.weight=learns 2.bias=learns
# also: -
import torch
from torch import nn
from torch.func import functional_call, grad
from torch.nn import functional as F

torch.manual_seed(55)
RATE = 0.1

net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
params = {name: p.detach().clone() for name, p in net.named_parameters()}


def loss_of(params, x, y):
    prediction = functional_call(net, params, (x,)).squeeze(1)
    return F.mse_loss(prediction, y)


slopes = grad(loss_of)
start = dict(params)
for _step in range(4):
    x = torch.randn(16, 3)
    grads = slopes(params, x, x[:, 0] - x[:, 1])
    params = {name: p - RATE * grads[name] for name, p in params.items()}
for name, p in params.items():
    print(f"{name}: {'still' if torch.equal(p, start[name]) else 'learns'}")
