# cause: unlisted optimizer_mask
# line: 17
# affected: criterion.log_vars
# symptom: not updated
# expect: criterion.log_vars=still
# also: 21 36 37
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(22)


class WeightedByUncertainty(nn.Module):
    def __init__(self, tasks):
        super().__init__()
        self.log_vars = nn.Parameter(torch.zeros(tasks))

    def forward(self, losses):
        losses = torch.stack(losses)
        return (torch.exp(-self.log_vars) * losses + self.log_vars).sum()


class TwoTasks(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Linear(6, 10)
        self.label = nn.Linear(10, 3)
        self.depth = nn.Linear(10, 1)

    def forward(self, x):
        h = F.elu(self.trunk(x))
        return self.label(h), self.depth(h).squeeze(1)


model, criterion = TwoTasks(), WeightedByUncertainty(2)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for _step in range(4):
    x = torch.randn(24, 6)
    logits, depth = model(x)
    per_task = [F.cross_entropy(logits, x[:, :3].argmax(1)), F.mse_loss(depth, x.norm(dim=1))]
    loss = criterion(per_task)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"criterion.log_vars: {'learns' if criterion.log_vars.any() else 'still'}")
