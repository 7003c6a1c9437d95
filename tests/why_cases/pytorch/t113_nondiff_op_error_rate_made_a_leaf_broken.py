# cause: nondiff_op rewrap integer_cast
# line: 26
# affected: fc1.weight fc1.bias fc2.weight fc2.bias
# symptom: none
# expect: fc1.weight=None fc1.bias=None fc2.weight=None fc2.bias=None
# also: 27 39
import torch
import torch.nn as nn
import torch.optim as optim

torch.manual_seed(12)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(4, 10)
        self.fc2 = nn.Linear(10, 3)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))


class ErrorRate(nn.Module):
    def forward(self, logits, labels):
        predicted = torch.argmax(logits, dim=1)
        wrong = (predicted != labels).float()
        return wrong.mean()


net = Net()
criterion = ErrorRate()
optimizer = optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
for _epoch in range(3):
    x = torch.randn(32, 4)
    y = x[:, :3].argmax(dim=1)
    optimizer.zero_grad()
    loss = criterion(net(x), y)
    loss.requires_grad = True  # else backward() complains
    loss.backward()
    optimizer.step()
for name, p in net.named_parameters():
    print(f"{name}: {'None' if p.grad is None else 'nonzero'}")
