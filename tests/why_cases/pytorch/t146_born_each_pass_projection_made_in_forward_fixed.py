# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: projection.weight=learns
# also: -
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(45)


class ResidualBlock(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.n_in, self.n_out = n_in, n_out
        self.first = nn.Linear(n_in, n_out)
        self.second = nn.Linear(n_out, n_out)
        if n_in != n_out:
            self.projection = nn.Linear(n_in, n_out, bias=False)
        self.seen = set()

    def forward(self, x):
        h = self.second(F.relu(self.first(x)))
        if self.n_in != self.n_out:
            projection = self.projection
            self.seen.add(projection)
            x = projection(x)
        return F.relu(h + x)


model = nn.Sequential(ResidualBlock(5, 8), ResidualBlock(8, 8), nn.Linear(8, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for _step in range(4):
    x = torch.randn(16, 5)
    loss = F.mse_loss(model(x), x[:, :1].abs())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"projection.weight: {'learns' if len(model[0].seen) == 1 else 'lost'}")
