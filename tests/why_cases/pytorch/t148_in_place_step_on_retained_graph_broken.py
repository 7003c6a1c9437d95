# cause: in_place
# line: 32
# affected: cell.weight_ih cell.weight_hh cell.bias_ih cell.bias_hh
# symptom: error
# expect: chunk0=backward chunk1=backward error=RuntimeError
# also: 20 27 31
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
    prediction, state = roll(points, state)
    loss = F.mse_loss(prediction, points[-1])
    optimizer.zero_grad()
    print(f"chunk{chunk}: backward")
    loss.backward(retain_graph=True)
    optimizer.step()
