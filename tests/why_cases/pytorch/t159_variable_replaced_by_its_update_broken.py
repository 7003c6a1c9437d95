# cause: variable_replaced non_leaf
# line: 24
# affected: W
# symptom: error
# expect: step0=done error=TypeError
# also: 23
import torch

torch.manual_seed(58)
LR = 0.1

X = torch.randn(40, 3)
labels = (X @ torch.tensor([1.0, -1.0, 0.5]) > 0).float()
W = torch.randn(3, requires_grad=True)


def cross_entropy(z, t):
    return torch.nn.functional.binary_cross_entropy_with_logits(z, t)


for step in range(3):
    loss = cross_entropy(X @ W, labels)
    loss.backward()
    W = W - LR * W.grad
    print(f"step{step}: done")
