# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: encoder.weight=updated encoder.bias=updated decoder.weight=updated decoder.bias=updated
# also: -
import torch
from torch import nn

torch.manual_seed(306)
encoder, decoder = nn.Linear(6, 3), nn.Linear(3, 6)
encoder_optimizer = torch.optim.Adam(encoder.parameters(), lr=0.01)
decoder_optimizer = torch.optim.Adam(decoder.parameters(), lr=0.01)
both = nn.ModuleDict({"encoder": encoder, "decoder": decoder})
start = {name: p.detach().clone() for name, p in both.named_parameters()}
for _step in range(4):
    x = torch.randn(16, 6)
    loss = (decoder(torch.tanh(encoder(x))) - x).pow(2).mean()
    for optimizer in (encoder_optimizer, decoder_optimizer):
        optimizer.zero_grad()
    loss.backward()
    encoder_optimizer.step()
    decoder_optimizer.step()
for name, p in both.named_parameters():
    print(f"{name}: {'still' if torch.equal(p, start[name]) else 'updated'}")
