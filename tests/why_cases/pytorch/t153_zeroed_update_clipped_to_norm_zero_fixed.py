# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: 0.weight=learns 0.bias=learns 2.weight=learns 2.bias=learns
# also: -
import argparse

import torch
from torch import nn
from torch.nn import functional as F


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--clip", type=float, default=0.0, help="0 for none")
    return parser.parse_args([])


def train(args, model, steps=4):
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=0.9)
    for _step in range(steps):
        x = torch.randn(16, 4)
        loss = F.mse_loss(model(x), x.pow(2).sum(dim=1, keepdim=True))
        optimizer.zero_grad()
        loss.backward()
        if args.clip > 0:
            nn.utils.clip_grad_norm_(model.parameters(), args.clip)
        optimizer.step()


torch.manual_seed(52)
model = nn.Sequential(nn.Linear(4, 12), nn.GELU(), nn.Linear(12, 1))
start = [p.detach().clone() for p in model.parameters()]
train(parse(), model)
for (name, p), before in zip(model.named_parameters(), start):
    print(f"{name}: {'still' if torch.equal(p, before) else 'learns'}")
