# cause: none
# line: 0
# affected: -
# symptom: legit: nobody says what is trained, and teachers are not
# expect: by_teacher=nonzero by_labels=nonzero by_clusters=nonzero
# also: -
"""One backward and no optimizer: who is trained is not said, and a teacher is nobody's concern."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def by_teacher(x):
    teacher, student = nn.Linear(4, 3), nn.Linear(4, 3)
    soft = teacher(x).softmax(dim=1).detach().numpy()
    soft = soft / soft.sum(axis=1, keepdims=True)
    F.cross_entropy(student(x), torch.from_numpy(soft)).backward()
    return student


def by_labels(x):
    teacher, student = nn.Linear(4, 3), nn.Linear(4, 3)
    F.cross_entropy(student(x), teacher(x).argmax(dim=1)).backward()
    return student


def by_clusters(x):
    encoder, student = nn.Linear(4, 3), nn.Linear(4, 3)
    features = encoder(x).detach().numpy()
    centres = torch.tensor(np.stack([features[::2].mean(axis=0), features[1::2].mean(axis=0)]))
    torch.cdist(student(x), centres).min(dim=1).values.mean().backward()
    return student


torch.manual_seed(21)
for case in (by_teacher, by_labels, by_clusters):
    gradient = case(torch.randn(8, 4)).weight.grad
    print(f"{case.__name__}: {'nonzero' if gradient.abs().sum() else 'zero'}")
