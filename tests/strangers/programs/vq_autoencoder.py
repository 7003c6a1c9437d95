"""An autoencoder with a quantised bottleneck (vector-quantize-pytorch)."""

import torch
from torch import nn
from torch.nn import functional as F
from vector_quantize_pytorch import FSQ, ResidualVQ, VectorQuantize


class Autoencoder(nn.Module):
    def __init__(self, quantizer):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, 3, stride=2, padding=1),
            nn.GELU(),
            nn.Conv2d(16, 8, 3, stride=2, padding=1),
        )
        self.quantizer = quantizer
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(8, 16, 4, stride=2, padding=1),
            nn.GELU(),
            nn.ConvTranspose2d(16, 1, 4, stride=2, padding=1),
        )

    def forward(self, x):
        hidden = self.encoder(x)
        batch, channels, height, width = hidden.shape
        tokens = hidden.flatten(2).transpose(1, 2)
        quantized, indices, *losses = self.quantizer(tokens)
        quantized = quantized.transpose(1, 2).reshape(batch, channels, height, width)
        commitment = losses[0].sum() if losses else torch.zeros(())
        return self.decoder(quantized).clamp(-1, 1), indices, commitment


def train(name, quantizer, steps=5):
    model = Autoencoder(quantizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(steps):
        x = torch.rand(8, 1, 16, 16) * 2 - 1
        optimizer.zero_grad()
        out, indices, commitment = model(x)
        reconstruction = F.l1_loss(out, x)
        loss = reconstruction + 10.0 * commitment
        loss.backward()
        optimizer.step()
        used = indices.unique().numel()
        print(f"{name} {step}: {reconstruction.item()!r} {commitment.item()!r} {used} codes")
    total = sum(parameter.detach().abs().sum().item() for parameter in model.parameters())
    state = sum(buffer.double().abs().sum().item() for buffer in model.buffers())
    print(name, repr(total), repr(state))


torch.manual_seed(5)
train("ema", VectorQuantize(dim=8, codebook_size=32, decay=0.8, commitment_weight=1.0))
train(
    "learnt",
    VectorQuantize(
        dim=8, codebook_size=32, learnable_codebook=True, ema_update=False, rotation_trick=False
    ),
)
train("residual", ResidualVQ(dim=8, codebook_size=16, num_quantizers=3))
train("finite", FSQ(levels=[8, 5, 5], dim=8))
