# cause: none
# line: 0
# affected: -
# symptom: legit: values are rounded, and gradient goes straight through or is turned
# expect: lsq=nonzero binary=nonzero range=nonzero own=nonzero top=nonzero dann=nonzero code=nonzero
# also: -
# stops: 55 56 69 71 84 102 103
"""Hard values forward, a gradient backward: quantisation, binary weights, reversal, top-k masks."""

import torch
import torch.nn.functional as F
from torch import nn


class Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.round()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class Sign(torch.autograd.Function):
    """The sign, with a gradient where the value is between -1 and 1 (Hubara et al., 2016)."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.where(x >= 0, 1.0, -1.0)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * (x.abs() <= 1.0)


class Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, strength):
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return -ctx.strength * gradient, None


def fake_quantise(x, bits=4):
    """Min-max quantisation; scale and zero point are constants."""
    with torch.no_grad():
        low, high = x.min(), x.max()
        scale = ((high - low) / (2**bits - 1)).clamp(min=1e-8)
    codes = ((x - low) / scale).round().clamp(0, 2**bits - 1)
    return x + (codes * scale + low - x).detach()


class StepSize(nn.Module):
    """LSQ (Esser et al., 2020): the step size is learnt, its gradient is scaled."""

    def __init__(self, bits=3):
        super().__init__()
        self.step = nn.Parameter(torch.tensor(0.1))
        self.high = 2 ** (bits - 1) - 1

    def forward(self, x):
        factor = (x.numel() * self.high) ** -0.5
        step = (self.step - self.step * factor).detach() + self.step * factor
        scaled = (x / step).clamp(-self.high - 1, self.high)
        return ((scaled.round() - scaled).detach() + scaled) * step


class QuantLinear(nn.Linear):
    def __init__(self, inputs, outputs, mode):
        super().__init__(inputs, outputs)
        self.mode = mode
        self.learnt = StepSize() if mode == "lsq" else None

    def forward(self, x):
        if self.mode == "lsq":
            weight = self.learnt(self.weight)
        elif self.mode == "binary":
            size = self.weight.abs().mean(dim=1, keepdim=True).detach()
            weight = size * Sign.apply(self.weight)
        elif self.mode == "range":
            weight = fake_quantise(self.weight)
        else:
            weight = Round.apply(8.0 * self.weight) / 8.0
        return F.linear(x, weight, self.bias)


class Sparse(nn.Linear):
    """The largest half of the weights counts; scores learn through a straight-through mask."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.scores = nn.Parameter(0.1 * torch.randn(outputs, inputs))

    def forward(self, x):
        bar = self.scores.flatten().kthvalue(self.scores.numel() // 2).values.detach()
        hard = (self.scores > bar).float()
        mask = hard + self.scores - self.scores.detach()
        return F.linear(x, self.weight * mask, self.bias)


class Domain(nn.Module):
    """Features that do not tell two domains apart (Ganin and Lempitsky, 2015)."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(5, 16), nn.ReLU())
        self.label, self.domain = nn.Linear(16, 2), nn.Linear(16, 2)

    def forward(self, x, strength):
        h = self.features(x)
        return self.label(h), self.domain(Reverse.apply(h, strength))


def regression(make, steps=8):
    net = nn.Sequential(make(5, 16), nn.Hardtanh(), make(16, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(steps):
        x = torch.randn(32, 5)
        loss = F.mse_loss(net(x), x[:, :1] - 0.5 * x[:, 1:2])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if make is Sparse:
            continue
        with torch.no_grad():
            for layer in (net[0], net[2]):
                layer.weight.clamp_(-1.0, 1.0)
    return net


def domains(steps=8):
    net = Domain()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    for step in range(steps):
        # The strength grows from 0, so at first nothing comes back from the domains.
        strength = 2.0 / (1.0 + 2.718 ** (-10.0 * step / steps)) - 1.0
        x = torch.randn(32, 5)
        domain = (torch.arange(32) % 2).long()
        labels, guess = net(x + 0.5 * domain[:, None], strength)
        loss = F.cross_entropy(labels, (x[:, 0] > 0).long()) + F.cross_entropy(guess, domain)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net


def discrete(steps=8):
    """A discrete autoencoder: hard samples of Gumbel, whose heat falls."""
    encode, decode = nn.Linear(6, 12), nn.Linear(12, 6)
    optimizer = torch.optim.Adam([*encode.parameters(), *decode.parameters()], lr=1e-2)
    for step in range(steps):
        x = F.one_hot(torch.randint(0, 6, (32,)), 6).float()
        logits = encode(x).unflatten(1, (3, 4))
        z = F.gumbel_softmax(logits, tau=max(0.5, 1.0 - 0.1 * step), hard=True, dim=-1)
        q = logits.softmax(-1)
        kl = (q * (q.clamp(min=1e-9) * 4.0).log()).sum((1, 2)).mean()
        loss = F.cross_entropy(decode(z.flatten(1)), x.argmax(1)) + 0.01 * kl
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return nn.ModuleList([encode, decode])


torch.manual_seed(0)
nets = {
    mode: regression(lambda i, o, mode=mode: QuantLinear(i, o, mode))
    for mode in ("lsq", "binary", "range", "own")
}
nets |= {"top": regression(Sparse), "dann": domains(), "code": discrete()}
for name, net in nets.items():
    missing = any(p.grad is None or not p.grad.any() for p in net.parameters())
    print(f"{name}: {'missing' if missing else 'nonzero'}")
