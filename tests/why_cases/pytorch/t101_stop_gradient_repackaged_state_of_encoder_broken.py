# cause: stop_gradient
# line: 18
# affected: encoder.weight_ih_l0 encoder.weight_hh_l0
# symptom: none
# expect: target.weight=nonzero encoder.weight_ih_l0=None encoder.weight_hh_l0=None decoder.weight_ih_l0=nonzero decoder.weight_hh_l0=nonzero out.weight=nonzero out.bias=nonzero
# also: 34
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
VOCABULARY, WIDTH = 11, 8


def repackage(state):
    """Cut the history of a state, so that it can be carried over to the next batch."""
    if isinstance(state, torch.Tensor):
        return state.detach()
    return tuple(repackage(each) for each in state)


class Translator(nn.Module):
    def __init__(self):
        super().__init__()
        self.source = nn.Embedding(VOCABULARY, WIDTH)
        self.target = nn.Embedding(VOCABULARY, WIDTH)
        self.encoder = nn.LSTM(WIDTH, WIDTH, batch_first=True, bias=False)
        self.decoder = nn.LSTM(WIDTH, WIDTH, batch_first=True, bias=False)
        self.out = nn.Linear(WIDTH, VOCABULARY)
        self.source.weight.requires_grad_(False)

    def forward(self, source, target):
        _, state = self.encoder(self.source(source))
        hidden, _ = self.decoder(self.target(target), repackage(state))
        return self.out(hidden)


model = Translator()
optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-2)
for _step in range(3):
    source = torch.randint(0, VOCABULARY, (4, 5))
    target = source.flip(1)
    logits = model(source, target[:, :-1])
    loss = F.cross_entropy(logits.reshape(-1, VOCABULARY), target[:, 1:].reshape(-1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in model.named_parameters():
    if p.requires_grad:
        print(f"{name}: {'None' if p.grad is None else 'nonzero' if p.grad.any() else 'zero'}")
