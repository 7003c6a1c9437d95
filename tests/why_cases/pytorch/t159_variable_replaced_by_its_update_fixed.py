# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: step0=done step1=done step2=done
# also: -
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
    with torch.no_grad():
        W -= LR * W.grad
    print(f"step{step}: done")
