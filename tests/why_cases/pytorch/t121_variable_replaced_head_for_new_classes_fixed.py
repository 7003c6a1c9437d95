# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: conv.weight=learns conv.bias=learns fc.weight=learns fc.bias=learns
# also: -
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(20)


class SmallNet(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.fc = nn.Linear(4 * 4 * 4, classes)

    def forward(self, x):
        h = F.max_pool2d(F.relu(self.conv(x)), 2)
        return self.fc(h.flatten(1))


class Trainer:
    def __init__(self, model, lr=0.05):
        self.model = model
        self.optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)

    def fit(self, images, labels, epochs=3):
        for _ in range(epochs):
            self.optimizer.zero_grad()
            loss = F.cross_entropy(self.model(images), labels)
            loss.backward()
            self.optimizer.step()


model = SmallNet()
model.fc = nn.Linear(model.fc.in_features, 3)
trainer = Trainer(model)
start = {name: p.detach().clone() for name, p in model.named_parameters()}
images = torch.randn(12, 1, 8, 8)
trainer.fit(images, torch.arange(12) % 3)
for name, p in model.named_parameters():
    print(f"{name}: {'still' if torch.equal(p, start[name]) else 'learns'}")
