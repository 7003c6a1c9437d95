# cause: none
# line: 0
# affected: -
# symptom: legit: gradients are added up, clipped and scaled; logging takes values out
# expect: scale=nonzero warm_=nonzero avera=nonzero early=nonzero accum=nonzero
# also: -
# stops: 53 143
"""Loops with accumulation, clipping, a scaler, a warm-up from zero, averages, early stopping."""

import copy
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn
from torch.utils.data import DataLoader, TensorDataset, random_split


def model():
    return nn.Sequential(
        nn.Linear(5, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout(0.2), nn.Linear(24, 1)
    )


def dataset(n=192):
    x = torch.randn(n, 5)
    return TensorDataset(x, torch.sin(x[:, :1]) + 0.5 * x[:, 1:2] * x[:, 2:3])


def loaders():
    train, held_out = random_split(dataset(), [128, 64])
    return DataLoader(train, batch_size=16, shuffle=True, drop_last=True), DataLoader(held_out, 32)


@torch.no_grad()
def evaluate(net, loader):
    net.eval()
    errors = [F.mse_loss(net(x), y).item() for x, y in loader]
    net.train()
    return float(np.mean(errors))


def accumulation(every=4):
    net, (train, held_out) = model(), loaders()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    running, history = 0.0, []
    for _epoch in range(2):
        for i, (x, y) in enumerate(train):
            loss = F.mse_loss(net(x), y) / every
            loss.backward()
            running += loss.detach()
            if (i + 1) % every == 0:
                norm = nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
                history.append((float(running), norm.item()))
                running = 0.0
        history.append(evaluate(net, held_out))
    return net


def scaled():
    """Mixed precision in the form that one writes it, on a CPU."""
    net, (train, _) = model(), loaders()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=4)
    for x, y in train:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            guess = net(x)
        loss = F.mse_loss(guess.float(), y)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_value_(net.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
    return net


def warm_up(steps=10, warm=4):
    """The first rate is 0, so nothing moves in the first step."""
    net, (train, _) = model(), loaders()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)

    def rate(step):
        if step < warm:
            return step / warm
        return 0.5 * (1.0 + math.cos(math.pi * (step - warm) / (steps - warm)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    for _, (x, y) in zip(range(steps), train):
        loss = F.mse_loss(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net


def averaged():
    net, (train, held_out) = model(), loaders()
    ema = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    swa = AveragedModel(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    for x, y in train:
        loss = F.mse_loss(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        ema.update_parameters(net)
        swa.update_parameters(net)
    update_bn(train, swa)
    evaluate(ema, held_out)
    evaluate(swa, held_out)
    # The averages are put in for an evaluation, and out again.
    kept = {name: value.clone() for name, value in net.state_dict().items()}
    net.load_state_dict(ema.module.state_dict())
    evaluate(net, held_out)
    net.load_state_dict(kept)
    loss = F.mse_loss(net(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return net


def early_stopping(patience=1):
    net, (train, held_out) = model(), loaders()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-2)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
    best, state, left = math.inf, None, patience
    for _epoch in range(4):
        for x, y in train:
            optimizer.zero_grad()
            guess = net(x)
            loss = F.mse_loss(guess, y) + 1e-4 * sum(p.pow(2).sum() for p in net.parameters())
            if not torch.isfinite(loss):
                continue
            loss.backward()
            optimizer.step()
        shown = guess.detach().cpu().numpy()
        assert shown.shape == (16, 1)
        error = evaluate(net, held_out)
        schedule.step(error)
        if error < best:
            best, state, left = error, copy.deepcopy(net.state_dict()), patience
        elif left == 0:
            break
        else:
            left -= 1
    net.load_state_dict(state)
    return net


torch.manual_seed(0)
for loop in (scaled, warm_up, averaged, early_stopping):
    net = loop()
    missing = any(p.grad is None for p in net.parameters())
    print(f"{loop.__name__[:5]}: {'missing' if missing else 'nonzero'}")
print(f"accum: {'nonzero' if evaluate(accumulation(), loaders()[1]) < 10.0 else 'zero'}")
