# cause: zeroed_update
# line: 29
# affected: 0.weight 0.bias 2.weight 2.bias
# symptom: not updated
# expect: 0.weight=still 0.bias=still 2.weight=still 2.bias=still
# also: 28
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
        if args.clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), args.clip)
        optimizer.step()


torch.manual_seed(52)
model = nn.Sequential(nn.Linear(4, 12), nn.GELU(), nn.Linear(12, 1))
start = [p.detach().clone() for p in model.parameters()]
train(parse(), model)
for (name, p), before in zip(model.named_parameters(), start):
    print(f"{name}: {'still' if torch.equal(p, before) else 'learns'}")
