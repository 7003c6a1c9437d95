# cause: unused_parameter non_leaf outside_tape not_watched
# line: 28
# affected: 0.weight 0.bias 2.weight 2.bias
# symptom: zero
# expect: 0.weight=still 0.bias=still 2.weight=still 2.bias=still
# also: 16 20 29
import torch
from torch import nn
from torch.func import grad
from torch.nn import functional as F

torch.manual_seed(55)
RATE = 0.1

net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
params = {name: p.detach().clone() for name, p in net.named_parameters()}


def loss_of(params, x, y):
    prediction = net(x).squeeze(1)
    return F.mse_loss(prediction, y)


slopes = grad(loss_of)
start = dict(params)
for _step in range(4):
    x = torch.randn(16, 3)
    grads = slopes(params, x, x[:, 0] - x[:, 1])
    params = {name: p - RATE * grads[name] for name, p in params.items()}
for name, p in params.items():
    print(f"{name}: {'still' if torch.equal(p, start[name]) else 'learns'}")
