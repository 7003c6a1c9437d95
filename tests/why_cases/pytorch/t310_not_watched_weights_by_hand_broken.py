# cause: not_watched
# line: 12
# affected: w b
# symptom: error
# expect: error=RuntimeError
# also: -
import torch

torch.manual_seed(310)
w = torch.randn(3, 1)
b = torch.zeros(1)
optimizer = torch.optim.SGD([w, b], lr=0.1)
start = {"w": w.detach().clone(), "b": b.detach().clone()}
for _step in range(3):
    x = torch.randn(16, 3)
    loss = (x @ w + b - x.sum(dim=1, keepdim=True)).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in (("w", w), ("b", b)):
    print(f"{name}: {'still' if torch.equal(p, start[name]) else 'updated'}")
