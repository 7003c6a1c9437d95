# cause: frozen
# line: 21
# affected: judge.0.weight judge.0.bias judge.2.weight judge.2.bias
# symptom: error
# expect: step0=done error=RuntimeError
# also: 26 28 33
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(48)

maker = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
judge = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
m_opt = torch.optim.Adam(maker.parameters(), lr=1e-3)
j_opt = torch.optim.Adam(judge.parameters(), lr=1e-3)


def toggle(module, on):
    for p in module.parameters():
        p.requires_grad_(on)


def judge_step(real):
    fake = maker(torch.randn(16, 3)).detach()
    loss = F.relu(1 - judge(real)).mean() + F.relu(1 + judge(fake)).mean()
    j_opt.zero_grad()
    loss.backward()
    j_opt.step()


def maker_step():
    toggle(judge, False)
    loss = -judge(maker(torch.randn(16, 3))).mean()
    m_opt.zero_grad()
    loss.backward()
    m_opt.step()


for step in range(3):
    judge_step(torch.randn(16, 2) + 1.0)
    maker_step()
    print(f"step{step}: done")
