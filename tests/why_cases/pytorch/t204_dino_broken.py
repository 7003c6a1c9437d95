# cause: stop_gradient
# line: 86
# affected: student.trunk.0.weight student.head.0.weight
# symptom: none
# expect: student.trunk.0.weight=None student.head.0.weight=None
# also: 119
"""Self-distillation without labels as in DINO: multi-crop, centring, a teacher that follows."""

import copy
import logging
import math

import torch
import torch.nn.functional as F
from torch import nn

logging.basicConfig(level=logging.INFO, format="%(message)s")
log = logging.getLogger("dino")

CLASSES, INPUTS = 5, 20


def dataset(n):
    """Points around the corners of a simplex, in more dimensions than needed."""
    generator = torch.Generator().manual_seed(7)
    centres = 2.0 * torch.randn(CLASSES, INPUTS, generator=generator)
    labels = torch.randint(0, CLASSES, (n,))
    return centres[labels] + 0.6 * torch.randn(n, INPUTS), labels


class MultiCrop:
    """Two global views with little noise, and some local ones that see a part of the features."""

    def __init__(self, local=3, kept=0.5, noise=0.1):
        self.local, self.kept, self.noise = local, kept, noise

    def _global(self, x):
        return x + self.noise * torch.randn_like(x)

    def _local(self, x):
        mask = (torch.rand_like(x) < self.kept).to(x.dtype)
        return self._global(x) * mask / self.kept

    def __call__(self, x):
        return [self._global(x) for _ in range(2)] + [self._local(x) for _ in range(self.local)]


class Prototypes(nn.Module):
    """The last layer: cosine similarity with prototypes of unit length."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / math.sqrt(inputs))

    def forward(self, h):
        return F.linear(F.normalize(h, dim=-1), F.normalize(self.weight, dim=-1))


class Network(nn.Module):
    def __init__(self, width=32, bottleneck=12, prototypes=24):
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Linear(INPUTS, width), nn.GELU(), nn.LayerNorm(width), nn.Linear(width, width)
        )
        self.head = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, bottleneck))
        self.last = Prototypes(bottleneck, prototypes)

    def embed(self, x):
        return self.trunk(x)

    def forward(self, views):
        """Take the views in one batch, and give them back one by one."""
        out = self.last(self.head(F.gelu(self.embed(torch.cat(views)))))
        return out.chunk(len(views))


class DINOLoss(nn.Module):
    """Cross entropy between the sharpened teacher and the student, on other views."""

    def __init__(self, prototypes=24, cold=0.05, warm=0.1, momentum=0.9):
        super().__init__()
        self.cold, self.warm, self.momentum = cold, warm, momentum
        self.register_buffer("centre", torch.zeros(prototypes))

    def _targets(self, outputs):
        return [F.softmax((out - self.centre) / self.cold, dim=-1).detach() for out in outputs]

    @torch.no_grad()
    def _update_centre(self, outputs):
        self.centre.lerp_(torch.cat(list(outputs)).mean(0), 1.0 - self.momentum)

    def forward(self, student_views, teacher_views):
        targets = self._targets(teacher_views)
        total, pairs = 0.0, 0
        for i, target in enumerate(targets):
            for j, out in enumerate(student_views):
                if i == j:
                    continue
                log_probability = F.log_softmax(out / self.warm, dim=-1)
                total = total - (target * log_probability).sum(-1).mean()
                pairs += 1
        self._update_centre(teacher_views)
        return total / pairs


class SelfDistillation(nn.Module):
    def __init__(self, momentum=0.97):
        super().__init__()
        self.student = Network()
        self.teacher = copy.deepcopy(self.student)
        self.criterion = DINOLoss()
        self.crops = MultiCrop()
        self.momentum = momentum

    def forward(self, x):
        views = self.crops(x)
        seen_by_student = self.student(views)
        seen_by_teacher = self.teacher(views[:2])
        return self.criterion(seen_by_teacher, seen_by_student)

    @torch.no_grad()
    def follow(self):
        for slow, fast in zip(self.teacher.parameters(), self.student.parameters()):
            slow.lerp_(fast, 1.0 - self.momentum)


def cosine(start, end, step, steps):
    return end + 0.5 * (start - end) * (1.0 + math.cos(math.pi * step / steps))


def train(model, steps=30, batch=64, rate=2e-3, warm_up=5):
    decayed = [p for p in model.student.parameters() if p.ndim > 1]
    others = [p for p in model.student.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.04}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=rate)
    history = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / warm_up) * cosine(1.0, 0.1, step, steps)
        x, _ = dataset(batch)
        loss = model(x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.follow()
        history.append(loss.item())
        if step % 10 == 0:
            log.info("step %d  loss %.4f", step, history[-1])
    return history


@torch.no_grad()
def nearest_neighbours(network, n=200):
    """Accuracy of the label of the nearest neighbour in the embedding."""
    network.eval()
    x, labels = dataset(2 * n)
    h = F.normalize(network.embed(x), dim=-1)
    nearest = (h[n:] @ h[:n].t()).argmax(dim=1)
    return (labels[:n][nearest] == labels[n:]).float().mean().item()


def main():
    torch.manual_seed(0)
    model = SelfDistillation()
    train(model)
    log.info("accuracy of the nearest neighbour: %.2f", nearest_neighbours(model.teacher))
    for name in ("student.trunk.0.weight", "student.head.0.weight"):
        gradient = model.get_parameter(name).grad
        said = "None" if gradient is None else "nonzero" if gradient.any() else "zero"
        print(f"{name}: {said}")


if __name__ == "__main__":
    main()
