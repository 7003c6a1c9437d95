# cause: none
# line: 0
# affected: -
# symptom: legit: a pretrained backbone is frozen on purpose, and later partly set free
# expect: all=frozen only=frozen under=frozen cached=frozen list=frozen gradual=learns
# also: -
# stops: 93 104
"""Fine-tuning: frozen by flags, by no_grad, by the optimizer's list, by a hook; then unfrozen."""

import io

import torch
import torch.nn.functional as F
from torch import nn


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv1d(1, 8, 3, padding=1), nn.BatchNorm1d(8), nn.ReLU())
        self.body = nn.Sequential(nn.Conv1d(8, 8, 3, padding=1), nn.BatchNorm1d(8), nn.ReLU())

    def forward(self, x):
        return self.body(self.stem(x)).mean(dim=2)


class Model(nn.Module):
    def __init__(self, classes=3):
        super().__init__()
        self.backbone = Backbone()
        self.head = nn.Linear(8, classes)

    def forward(self, x):
        return self.head(self.backbone(x))


def batch(n=32):
    labels = torch.randint(0, 3, (n,))
    time = torch.linspace(0.0, 6.2832, 16)
    waves = torch.sin((labels.unsqueeze(1) + 1.0) * time + torch.rand(n, 1))
    return waves.unsqueeze(1) + 0.1 * torch.randn(n, 1, 16), labels


def fit(model, optimizer, steps=6, forward=None):
    for _ in range(steps):
        x, labels = batch()
        loss = F.cross_entropy((forward or model)(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def pretrained():
    model = Model()
    fit(model, torch.optim.Adam(model.parameters(), lr=1e-2))
    file = io.BytesIO()
    torch.save(model.backbone.state_dict(), file)
    file.seek(0)
    return torch.load(file)


def fresh(state):
    model = Model()
    model.backbone.load_state_dict(state)
    return model


def all_in_optimizer(state):
    """The frozen parameters are in the optimizer's list, too; they have no gradient."""
    model = fresh(state)
    for p in model.backbone.parameters():
        p.requires_grad = False
    model.backbone.eval()
    fit(model, torch.optim.SGD(model.parameters(), lr=0.1))
    return model


def only_trainable(state):
    model = fresh(state)
    model.backbone.requires_grad_(False)
    chosen = filter(lambda p: p.requires_grad, model.parameters())
    fit(model, torch.optim.AdamW(chosen, lr=1e-2))
    return model


def under_no_grad(state):
    """No flag is changed: the features are computed without a graph."""
    model = fresh(state)

    def forward(x):
        with torch.no_grad():
            h = model.backbone(x)
        return model.head(h)

    fit(model, torch.optim.Adam(model.head.parameters(), lr=1e-2), forward=forward)
    return model


def cached_features(state):
    """Features of all the data are computed once, in NumPy, as for a linear probe."""
    model = fresh(state).eval()
    x, labels = batch(64)
    features = model.backbone(x).detach().numpy().copy()
    features = torch.from_numpy((features - features.mean(0)) / (features.std(0) + 1e-6))
    optimizer = torch.optim.LBFGS(model.head.parameters(), lr=0.5, max_iter=5)

    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(model.head(features), labels)
        loss.backward()
        return loss

    optimizer.step(closure)
    return model


def list_of_optimizer(state):
    """The gradients are computed, and only those of the head are used."""
    model = fresh(state)
    optimizer = torch.optim.SGD(model.head.parameters(), lr=0.1)
    for _ in range(4):
        x, labels = batch()
        model.zero_grad()
        F.cross_entropy(model(x), labels).backward()
        optimizer.step()
    return model


def gradual(state):
    """First the head, then the body too with a smaller rate, the stem never."""
    model = fresh(state)
    model.backbone.requires_grad_(False)
    optimizer = torch.optim.SGD(model.head.parameters(), lr=0.1, momentum=0.9)
    fit(model, optimizer, steps=4)
    model.backbone.body.requires_grad_(True)
    optimizer.add_param_group({"params": model.backbone.body.parameters(), "lr": 0.01})
    fit(model, optimizer, steps=4)
    return model


torch.manual_seed(0)
state = pretrained()
said = {}
for train in (
    all_in_optimizer,
    only_trainable,
    under_no_grad,
    cached_features,
    list_of_optimizer,
    gradual,
):
    model = train(state)
    same = all(torch.equal(p, state[name]) for name, p in model.backbone.named_parameters())
    said[train.__name__] = "frozen" if same else "learns"
for name, word in said.items():
    print(f"{name.split('_')[0]}: {word}")
