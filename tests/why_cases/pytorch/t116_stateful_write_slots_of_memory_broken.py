# cause: stateful_write no_grad_block
# line: 27
# affected: writer.weight writer.bias
# symptom: none
# expect: writer.weight=None writer.bias=None query.weight=nonzero query.bias=nonzero out.weight=nonzero out.bias=nonzero
# also: 26 30 31 34
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(15)


class MemoryNet(nn.Module):
    """Writes what it sees into slots, and answers by reading them."""

    def __init__(self, width=6, slots=4):
        super().__init__()
        self.writer = nn.Linear(width, width)
        self.query = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.register_buffer("memory", torch.zeros(slots, width))

    def write(self, facts):
        h = torch.tanh(self.writer(facts))
        with torch.no_grad():
            self.memory.copy_(h)

    def read(self, question):
        weights = F.softmax(self.query(question) @ self.memory.t(), dim=-1)
        return self.out(weights @ self.memory)

    def forward(self, facts, question):
        self.write(facts)
        return self.read(question)


model = MemoryNet()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for _step in range(4):
    facts = torch.randn(4, 6)
    asked = torch.randint(0, 4, (8,))
    answer = model(facts, facts[asked] + 0.05 * torch.randn(8, 6))
    loss = F.mse_loss(answer, facts[asked].flip(1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in model.named_parameters():
    print(f"{name}: {'None' if p.grad is None else 'nonzero'}")
