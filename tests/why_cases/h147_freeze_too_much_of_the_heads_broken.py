# cause: freeze_too_much frozen
# line: 39
# affected: attention/value_10 attention/value_11
# symptom: absent
# expect: attention/value_10=still attention/value_11=still
# also: -
import numpy as np

import headgate as hg
from headgate import nn, optim

hg.random.set_seed(18)
rng = np.random.default_rng(18)
HEADS = 12


class Heads(nn.Layer):
    """Attention of twelve small heads, each with weights of its own."""

    def build(self, input_shape):
        width = input_shape[-1]
        self.scores = self.add_weight((width, HEADS), "glorot_uniform", name="scores")
        self.values = [
            self.add_weight((width, 2), "glorot_uniform", name=f"value_{i}") for i in range(HEADS)
        ]

    def call(self, x):
        weights = hg.softmax(x @ self.scores, axis=1)
        read = [weights[:, :, i : i + 1] * (x @ v) for i, v in enumerate(self.values)]
        return hg.sum(sum(read), axis=1)


model = nn.Sequential([Heads(name="attention"), nn.Dense(1, use_bias=False)], name="net")
model.build((None, 5, 3))
optimizer = optim.SGD(0.1)
for step in range(6):
    if step == 3:
        # head 1 does what it should
        model.freeze("attention/value_1*")
        before = [v.numpy() for v in model.layers[0].values]
    x = rng.normal(size=(8, 5, 3)).astype("float32")
    with hg.GradientTape() as tape:
        loss = hg.mean((model(x) - x[:, 0, :1]) ** 2)
    weights = model.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
for i in (10, 11):
    moved = (model.layers[0].values[i].numpy() != before[i]).any()
    print(f"attention/value_{i}: {'learns' if moved else 'still'}")
