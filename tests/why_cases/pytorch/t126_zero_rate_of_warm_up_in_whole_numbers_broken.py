# cause: zero_rate
# line: 18
# affected: rnn.weight_ih_l0 rnn.weight_hh_l0 rnn.bias_ih_l0 rnn.bias_hh_l0 out.weight out.bias
# symptom: not updated
# expect: rnn.weight_ih_l0=still rnn.weight_hh_l0=still rnn.bias_ih_l0=still rnn.bias_hh_l0=still out.weight=still out.bias=still
# also: 34 35 42 43
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(25)
WARM_UP, TOTAL = 20, 200


def factor(step):
    """Linear warm-up, then linear decay."""
    if step < WARM_UP:
        return (step + 1) // WARM_UP
    return max(0.0, (TOTAL - step) / (TOTAL - WARM_UP))


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(2, 8, batch_first=True)
        self.out = nn.Linear(8, 1)

    def forward(self, x):
        hidden, _ = self.rnn(x)
        return self.out(hidden[:, -1]).squeeze(1)


model = Counter()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
start = {name: p.detach().clone() for name, p in model.named_parameters()}
for _step in range(8):
    x = torch.randint(0, 2, (16, 6, 2)).float()
    loss = F.mse_loss(model(x), x[..., 0].sum(dim=1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
for name, p in model.named_parameters():
    print(f"{name}: {'still' if torch.equal(p, start[name]) else 'learns'}")
