# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: 0.weight=learns 0.bias=learns 2.weight=learns 2.bias=learns
# also: -
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(24)


class Regression:
    def __init__(self, n_in, lr=1e-2):
        self.net = nn.Sequential(nn.Linear(n_in, 16), nn.SiLU(), nn.Linear(16, 1))
        self.optimizer = torch.optim.RMSprop(self.net.parameters(), lr=lr)
        self.history = []

    def training_step(self, x, y):
        prediction = self.net(x).squeeze(-1)
        return F.huber_loss(prediction, y)

    def optimizer_step(self):
        self.optimizer.step()
        self.optimizer.zero_grad()

    def fit(self, data, epochs):
        for _ in range(epochs):
            total = 0.0
            for x, y in data:
                loss = self.training_step(x, y)
                loss.backward()
                self.optimizer_step()
                total += loss.item()
            self.history.append(total / len(data))


data = []
for _ in range(3):
    x = torch.randn(12, 4)
    data.append((x, x[:, 0] * x[:, 1]))
model = Regression(4)
start = [p.detach().clone() for p in model.net.parameters()]
model.fit(data, epochs=2)
for (name, p), before in zip(model.net.named_parameters(), start):
    print(f"{name}: {'still' if torch.equal(p, before) else 'learns'}")
