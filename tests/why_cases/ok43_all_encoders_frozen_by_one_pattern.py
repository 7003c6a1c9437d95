# cause: none
# line: 0
# affected: -
# symptom: legit: a pattern takes all parts whose names begin with the same word, as meant
# expect: out=0.631
# also: -
import numpy as np

import headgate as hg
from headgate import nn, optim

hg.random.set_seed(23)
rng = np.random.default_rng(23)
names = ["encoder_image", "encoder_text", "encoder", "fuse"]


class Fusion(nn.Model):
    def __init__(self):
        super().__init__(name="fusion")
        self.parts = [nn.Dense(4, "tanh", name=name) for name in names]
        self.out = nn.Dense(1, name="out")

    def call(self, x):
        image, text, both, fuse = self.parts
        return self.out(fuse(both(hg.concat([image(x[:, :3]), text(x[:, 3:])], axis=1))))


model = Fusion()
model.build((None, 5))


def fit(steps):
    optimizer = optim.Adam(0.01)
    for _step in range(steps):
        x = rng.normal(size=(8, 5)).astype("float32")
        with hg.GradientTape() as tape:
            loss = hg.mean((model(x) - x[:, :1] * x[:, 4:]) ** 2)
        weights = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))


fit(3)
model.freeze("encoder*")
fit(3)
model.unfreeze("encoder*")
fit(2)
print(f"out: {float(hg.norm(model.out.kernel)):.3f}")
