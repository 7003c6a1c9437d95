# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: w=updated b=updated
# also: -
import torch

torch.manual_seed(310)
w = torch.randn(3, 1, requires_grad=True)
b = torch.zeros(1, requires_grad=True)
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
