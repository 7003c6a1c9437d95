# cause: none
# line: 0
# affected: -
# symptom: legit: states are cut between windows, padding is ignored, drawn tokens are numbers
# expect: truncated=nonzero packed=nonzero language=nonzero distilled=nonzero
# also: -
# stops: 48 138
"""Recurrent and attending models of sequences: truncated steps, tied weights, recomputation."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils.checkpoint import checkpoint

PAD, VOCABULARY = 0, 11


def texts(n, length=9):
    """Counting sequences of several lengths, filled up with padding."""
    start = torch.randint(1, VOCABULARY, (n, 1))
    tokens = (start + torch.arange(length)) % (VOCABULARY - 1) + 1
    lengths = torch.randint(3, length + 1, (n,))
    return tokens.masked_fill(torch.arange(length) >= lengths.unsqueeze(1), PAD), lengths


class Recurrent(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, width, padding_idx=PAD)
        self.rnn = nn.LSTM(width, width, batch_first=True)
        self.out = nn.Linear(width, VOCABULARY, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, tokens, state=None):
        h, state = self.rnn(self.embed(tokens), state)
        return self.out(h), state


def truncated(steps=3):
    model = Recurrent()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    stream = (torch.arange(60) % (VOCABULARY - 1) + 1).repeat(4, 1)
    for _ in range(steps):
        state = None
        for i in range(0, 48, 12):
            logits, state = model(stream[:, i : i + 12], state)
            state = tuple(s.detach() for s in state)
            goal = stream[:, i + 1 : i + 13]
            loss = F.cross_entropy(logits.flatten(0, 1), goal.flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.25)
            optimizer.step()
    return model


def packed(steps=5):
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(VOCABULARY, 8, padding_idx=PAD)
            self.rnn = nn.GRU(8, 8, batch_first=True, bidirectional=True)
            self.out = nn.Linear(16, 2)

        def forward(self, tokens, lengths):
            x = pack_padded_sequence(
                self.embed(tokens), lengths, batch_first=True, enforce_sorted=False
            )
            h, _ = pad_packed_sequence(self.rnn(x)[0], batch_first=True)
            return self.out(h)

    model = Tagger()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        tokens, lengths = texts(16)
        logits = model(tokens, lengths)
        tags = (tokens % 2)[:, : logits.shape[1]]
        tags = tags.masked_fill(tokens[:, : logits.shape[1]] == PAD, -100)
        loss = F.cross_entropy(logits.flatten(0, 1), tags.flatten(), ignore_index=-100)
        model.zero_grad()
        loss.backward()
        optimizer.step()
    return model


class Block(nn.Module):
    def __init__(self, width=16, heads=2):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 32), nn.GELU(), nn.Linear(32, width))

    def forward(self, h, mask):
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.qkv(self.norm1(h)).chunk(3, dim=-1)
        )
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        scores = scores.masked_fill(~mask, float("-inf"))
        h = h + self.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        return h + self.mlp(self.norm2(h))


class Language(nn.Module):
    """A transformer with tied weights, whose blocks are computed again for the gradient."""

    def __init__(self, width=16, depth=2, recompute=True):
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, width)
        self.place = nn.Parameter(0.02 * torch.randn(9, width))
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, VOCABULARY, bias=False)
        self.head.weight = self.embed.weight
        self.recompute, self.drop_layer = recompute, 0.2

    def forward(self, tokens):
        n = tokens.shape[1]
        causal = torch.ones(n, n, dtype=torch.bool).tril()
        mask = causal & (tokens != PAD)[:, None, None, :] | torch.eye(n, dtype=torch.bool)
        h = self.embed(tokens) + self.place[:n]
        for block in self.blocks:
            if self.training and torch.rand(()).item() < self.drop_layer:
                continue
            if self.recompute and self.training:
                h = checkpoint(block, h, mask, use_reentrant=False)
            else:
                h = block(h, mask)
        return self.head(self.norm(h))

    @torch.no_grad()
    def generate(self, tokens, n=4):
        self.eval()
        for _ in range(n):
            logits = self(tokens)[:, -1]
            drawn = torch.multinomial(logits.softmax(-1), 1)
            tokens = torch.cat([tokens, drawn], dim=1)
        self.train()
        return tokens.tolist()


def language(steps=8):
    model = Language()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for step in range(steps):
        model.drop_layer = 0.3 * (1.0 - (step + 1) / steps)
        tokens, _ = texts(24)
        logits = model(tokens[:, :-1])
        loss = F.cross_entropy(
            logits.transpose(1, 2), tokens[:, 1:], ignore_index=PAD, label_smoothing=0.1
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.generate(torch.tensor([[3, 4]]))
    return model


def distilled(steps=6, heat=2.0):
    """A small student follows a frozen teacher, on logits and on hidden states."""
    teacher, student = language(4), Language(depth=1, recompute=False)
    student.drop_layer = 0.0
    teacher.eval().requires_grad_(False)
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-2)
    for _ in range(steps):
        tokens, _ = texts(16)
        with torch.no_grad():
            goal = teacher(tokens)
        guess = student(tokens)
        soft = F.kl_div(
            F.log_softmax(guess / heat, -1), F.softmax(goal / heat, -1), reduction="batchmean"
        )
        hard = F.cross_entropy(guess[:, :-1].transpose(1, 2), tokens[:, 1:], ignore_index=PAD)
        loss = heat**2 * soft + 0.5 * hard
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return student


torch.manual_seed(0)
for train in (truncated, packed, language, distilled):
    missing = any(p.grad is None for p in train().parameters())
    print(f"{train.__name__}: {'missing' if missing else 'nonzero'}")
