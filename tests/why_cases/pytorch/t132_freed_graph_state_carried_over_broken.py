# cause: freed_graph
# line: 41
# affected: rnn.weight_ih_l0 rnn.weight_hh_l0 out.weight
# symptom: error
# expect: segment0=learnt error=RuntimeError
# also: 23 38
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(31)
CHARACTERS, WIDTH = 9, 12


class CharRNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(CHARACTERS, WIDTH)
        self.rnn = nn.RNN(WIDTH, WIDTH, batch_first=True, bias=False)
        self.out = nn.Linear(WIDTH, CHARACTERS, bias=False)

    def forward(self, text, state):
        hidden, state = self.rnn(self.embed(text), state)
        return self.out(hidden), state


def segments(text, length):
    for begin in range(0, text.shape[1] - 1, length):
        end = min(begin + length, text.shape[1] - 1)
        yield text[:, begin:end], text[:, begin + 1 : end + 1]


model = CharRNN()
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
text = torch.randint(0, CHARACTERS, (2, 31))
state = torch.zeros(1, 2, WIDTH)
for number, (x, y) in enumerate(segments(text, 10)):
    logits, state = model(x, state)
    loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"segment{number}: learnt")
