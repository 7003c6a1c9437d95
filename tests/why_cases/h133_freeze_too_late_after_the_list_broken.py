# cause: freeze_too_late
# line: 35
# affected: encoder/kernel
# symptom: leak
# expect: encoder/kernel=moves
# also: 34 40 41
import numpy as np

import headgate as hg
from headgate import nn, optim

hg.random.set_seed(0)
rng = np.random.default_rng(0)

model = nn.Sequential(
    [nn.Dense(6, "tanh", use_bias=False, name="encoder"), nn.Dense(1, name="head")], name="model"
)
model.build((None, 4))


def pretrain(steps):
    optimizer = optim.Adam(0.05)
    for _step in range(steps):
        x = rng.normal(size=(16, 4)).astype("float32")
        with hg.GradientTape() as tape:
            loss = hg.mean((model(x) - x[:, :1]) ** 2)
        weights = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))


def fine_tune(steps):
    """Only the head is to learn the new task."""
    optimizer = optim.SGD(0.05)
    weights = model.trainable_variables
    model.freeze("encoder/*")
    for _step in range(steps):
        x = rng.normal(size=(16, 4)).astype("float32")
        with hg.GradientTape() as tape:
            loss = hg.mean((model(x) - x[:, 1:2]) ** 2)
        gradients = tape.gradient(loss, weights)
        optimizer.apply_gradients(zip(gradients, weights))


pretrain(4)
before = model.layers[0].kernel.numpy()
fine_tune(3)
same = (model.layers[0].kernel.numpy() == before).all()
print(f"encoder/kernel: {'frozen' if same else 'moves'}")
