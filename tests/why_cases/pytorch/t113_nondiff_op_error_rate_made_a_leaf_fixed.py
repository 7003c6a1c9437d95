# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: fc1.weight=nonzero fc1.bias=nonzero fc2.weight=nonzero fc2.bias=nonzero
# also: -
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
        probabilities = torch.softmax(logits, dim=1)
        right = probabilities.gather(1, labels[:, None])
        return 1 - right.mean()


net = Net()
criterion = ErrorRate()
optimizer = optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
for _epoch in range(3):
    x = torch.randn(32, 4)
    y = x[:, :3].argmax(dim=1)
    optimizer.zero_grad()
    loss = criterion(net(x), y)
    loss.backward()
    optimizer.step()
for name, p in net.named_parameters():
    print(f"{name}: {'None' if p.grad is None else 'nonzero'}")
