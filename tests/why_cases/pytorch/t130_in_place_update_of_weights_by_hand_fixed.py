# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: epoch0=stepping epoch1=stepping epoch2=stepping
# also: -
import torch

torch.manual_seed(29)
RATE = 0.1

x = torch.randn(50, 3)
y = x @ torch.tensor([1.0, -2.0, 0.5]) + 0.3
w = torch.zeros(3, requires_grad=True)
b = torch.zeros(1, requires_grad=True)


def predict(x):
    return x @ w + b


def update():
    global w, b
    with torch.no_grad():
        w -= RATE * w.grad
        b -= RATE * b.grad


for epoch in range(3):
    loss = (predict(x) - y).pow(2).mean()
    loss.backward()
    print(f"epoch{epoch}: stepping")
    update()
    w.grad.zero_()
    b.grad.zero_()
