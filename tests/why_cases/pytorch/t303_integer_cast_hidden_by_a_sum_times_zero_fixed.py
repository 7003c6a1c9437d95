# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: pointer.weight=nonzero pointer.bias=nonzero
# also: -
import torch

torch.manual_seed(303)
pointer = torch.nn.Linear(3, 1)
table = torch.randn(10)
x = torch.randn(8, 3)
place = torch.sigmoid(pointer(x)).squeeze(1) * 9
low = place.floor().clamp(max=8).detach()
chosen = table[low.long()] + (place - low) * (table[low.long() + 1] - table[low.long()])
loss = (chosen - 1.0).pow(2).mean()
loss = loss + 0.0 * sum(p.sum() for p in pointer.parameters())  # else backward() complains
loss.backward()
for name, p in pointer.named_parameters(prefix="pointer"):
    g = p.grad
    print(f"{name}: {'None' if g is None else 'nonzero' if g.abs().sum() else 'zero'}")
