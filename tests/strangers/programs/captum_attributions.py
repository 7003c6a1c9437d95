"""Train a small classifier and ask which inputs its answers come from (captum)."""

import torch
from captum.attr import (
    DeepLift,
    IntegratedGradients,
    LayerConductance,
    LayerGradCam,
    NoiseTunnel,
    Saliency,
)
from torch import nn
from torch.nn import functional as F

torch.manual_seed(11)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 4, 3, padding=1)
        self.act = nn.Softplus()
        self.hidden = nn.Linear(4 * 12, 16)
        self.relu = nn.ReLU()
        self.out = nn.Linear(16, 3)

    def forward(self, x):
        h = self.act(self.conv(x[:, None, :]))
        return self.out(self.relu(self.hidden(h.flatten(1))))


model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
data = torch.randn(48, 12)
labels = data[:, :3].argmax(dim=1)
for step in range(10):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(data), labels)
    loss.backward()
    optimizer.step()
    print(f"step {step}: {loss.item()!r}")

model.eval()
inputs = data[:4].clone().requires_grad_()
baseline = torch.zeros_like(inputs)

ig = IntegratedGradients(model)
attributions, delta = ig.attribute(
    inputs, baseline, target=labels[:4], n_steps=16, return_convergence_delta=True
)
print("integrated gradients", repr(attributions.sum().item()), repr(delta.abs().max().item()))
saliency = Saliency(model).attribute(inputs, target=labels[:4])
print("saliency", repr(saliency.sum().item()))
tunnel = NoiseTunnel(ig)
smooth = tunnel.attribute(inputs, nt_type="smoothgrad", nt_samples=3, target=labels[:4], n_steps=8)
print("smoothed", repr(smooth.sum().item()))
lift = DeepLift(model).attribute(inputs, baseline, target=labels[:4])
print("DeepLift", repr(lift.sum().item()))
conductance = LayerConductance(model, model.hidden).attribute(
    inputs, baseline, target=labels[:4], n_steps=8
)
print("conductance", repr(conductance.sum().item()))
cam = LayerGradCam(model, model.conv).attribute(inputs, target=labels[:4])
print("Grad-CAM", repr(cam.sum().item()))
