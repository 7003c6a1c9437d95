# cause: wrong_variable
# line: 36
# affected: weights['forget'] weights['input']
# symptom: wrong update
# expect: weights['input']=2.171 weights['forget']=2.498 weights['output']=1.831
# also: 35
import torch

torch.manual_seed(26)
SIZE, RATE = 5, 1.0


def cell(weights, x, h, c):
    both = torch.cat([x, h], dim=1)
    forget = torch.sigmoid(both @ weights["forget"] + 1.0)
    write = torch.sigmoid(both @ weights["input"])
    show = torch.sigmoid(both @ weights["output"])
    c = forget * c + write * torch.tanh(x)
    return show * torch.tanh(c), c


def loss_of(weights, sequence):
    h = c = torch.zeros(sequence.shape[1], SIZE)
    for x in sequence[:-1]:
        h, c = cell(weights, x, h, c)
    return (h - sequence[-1]).pow(2).mean()


names = ["input", "forget", "output"]
weights = {name: torch.randn(2 * SIZE, SIZE).mul_(0.3).requires_grad_() for name in names}
for _step in range(4):
    sequence = torch.randn(4, 8, SIZE).cumsum(dim=0)
    grads = torch.autograd.grad(loss_of(weights, sequence), [weights[name] for name in weights])
    with torch.no_grad():
        for name, grad in zip(sorted(weights), grads):
            weights[name] -= RATE * grad
for name, w in weights.items():
    print(f"weights[{name!r}]: {w.norm().item():.3f}")
