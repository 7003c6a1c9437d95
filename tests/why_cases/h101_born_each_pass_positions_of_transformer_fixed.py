# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: positions=learns
# also: -
import numpy as np

import headgate as hg
from headgate import nn, optim

hg.random.set_seed(5)
rng = np.random.default_rng(5)


class Reader(nn.Model):
    """Tells which of two tokens comes first."""

    def __init__(self, vocabulary=6, width=8):
        super().__init__(name="reader")
        self.width = width
        self.tokens = nn.Embedding(vocabulary, width, name="tokens")
        self.attend = nn.MultiHeadAttention(2, 4, name="attend")
        self.out = nn.Dense(1, name="out")
        self.positions = hg.Variable(0.1 * rng.normal(size=(5, width)), name="positions")

    def embed(self, tokens):
        return self.tokens(tokens) + self.positions

    def call(self, tokens):
        h = self.embed(tokens)
        h = h + self.attend(h, h)
        return self.out(hg.mean(h, axis=1))[:, 0]


model = Reader()
optimizer = optim.Adam(0.01)
history = []
for _step in range(4):
    tokens = rng.integers(0, 6, size=(12, 5))
    first = (np.argmax(tokens == 1, axis=1) < np.argmax(tokens == 2, axis=1)).astype("float64")
    with hg.GradientTape() as tape:
        loss = hg.mean(hg.sigmoid_cross_entropy(model(tokens), first))
    weights = model.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
    history.append({id(v) for v in tape.watched_variables() if v.name.endswith("positions")})
print(f"positions: {'learns' if history[0] == history[-1] else 'lost'}")
