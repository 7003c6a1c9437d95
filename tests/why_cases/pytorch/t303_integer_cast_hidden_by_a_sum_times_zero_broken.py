# cause: integer_cast
# line: 14
# affected: pointer.weight pointer.bias
# symptom: zero
# expect: pointer.weight=zero pointer.bias=zero
# also: -
import torch

torch.manual_seed(303)
pointer = torch.nn.Linear(3, 1)
table = torch.randn(10)
x = torch.randn(8, 3)
place = torch.sigmoid(pointer(x)).squeeze(1) * 9
chosen = table[place.long()]
loss = (chosen - 1.0).pow(2).mean()
loss = loss + 0.0 * sum(p.sum() for p in pointer.parameters())  # else backward() complains
loss.backward()
for name, p in pointer.named_parameters(prefix="pointer"):
    g = p.grad
    print(f"{name}: {'None' if g is None else 'nonzero' if g.abs().sum() else 'zero'}")
