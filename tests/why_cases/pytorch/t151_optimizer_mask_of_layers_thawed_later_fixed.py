# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: body.2.weight=learns body.2.bias=learns
# also: -
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(50)


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 8), nn.Tanh())
        self.head = nn.Linear(8, 3)
        self.body.requires_grad_(False)

    def forward(self, x):
        return self.head(self.body(x))

    def thaw(self):
        """Let the last layer of the body learn, too."""
        self.body[2].requires_grad_(True)


def run_epoch(model, optimizer):
    for _ in range(2):
        x = torch.randn(16, 6)
        loss = F.cross_entropy(model(x), x[:, :3].argmax(dim=1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


model = Classifier()
optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-3)
before = model.body[2].weight.detach().clone(), model.body[2].bias.detach().clone()
for epoch in range(4):
    if epoch == 1:
        model.thaw()
        optimizer.add_param_group({"params": model.body[2].parameters(), "lr": 1e-4})
    run_epoch(model, optimizer)
for (name, p), old in zip(model.body[2].named_parameters(prefix="body.2"), before):
    print(f"{name}: {'still' if torch.equal(p, old) else 'learns'}")
