# cause: no_grad_block
# line: 21
# affected: 0.weight 0.bias 2.weight 2.bias
# symptom: error
# expect: epoch0=done error=RuntimeError
# also: 29 31
import torch
from torch import nn

torch.manual_seed(3)


def batches(count):
    for _ in range(count):
        x = torch.randn(16, 4)
        yield x, (x.sum(1) > 0).long()


def accuracy(model):
    model.eval()
    torch.set_grad_enabled(False)
    right = sum((model(x).argmax(1) == y).float().mean().item() for x, y in batches(2))
    return right / 2


def train_epoch(model, optimizer, criterion):
    model.train()
    for x, y in batches(2):
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
criterion = nn.CrossEntropyLoss()
best = 0.0
for epoch in range(3):
    train_epoch(model, optimizer, criterion)
    best = max(best, accuracy(model))
    print(f"epoch{epoch}: done")
