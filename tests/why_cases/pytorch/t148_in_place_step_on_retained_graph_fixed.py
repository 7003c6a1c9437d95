# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: chunk0=backward chunk1=backward chunk2=backward
# also: -
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(47)

cell = nn.LSTMCell(2, 6)
head = nn.Linear(6, 2)
optimizer = torch.optim.SGD([*cell.parameters(), *head.parameters()], lr=0.1)


def roll(points, state):
    for point in points[:-1]:
        state = cell(point, state)
    return head(state[0]), state


state = torch.zeros(4, 6), torch.zeros(4, 6)
for chunk in range(3):
    points = torch.randn(5, 4, 2).cumsum(dim=0)
    state = tuple(part.detach() for part in state)
    prediction, state = roll(points, state)
    loss = F.mse_loss(prediction, points[-1])
    optimizer.zero_grad()
    print(f"chunk{chunk}: backward")
    loss.backward()
    optimizer.step()
