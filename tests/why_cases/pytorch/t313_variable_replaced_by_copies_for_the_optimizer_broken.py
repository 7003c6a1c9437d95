# cause: variable_replaced
# line: 14
# affected: weight bias
# symptom: still
# expect: weight=still bias=still
# also: -
import copy

import torch

torch.manual_seed(313)
model = torch.nn.Linear(4, 1)
weights = copy.deepcopy(list(model.parameters()))
optimizer = torch.optim.Adam(weights, lr=0.01)
start = {name: p.detach().clone() for name, p in model.named_parameters()}
for _step in range(4):
    x = torch.randn(16, 4)
    loss = (model(x).squeeze(1) - x.sum(dim=1)).pow(2).mean()
    model.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in model.named_parameters():
    print(f"{name}: {'still' if torch.equal(p, start[name]) else 'updated'}")
