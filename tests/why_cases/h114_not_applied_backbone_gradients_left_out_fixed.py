# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: backbone/kernel=learns head/kernel=learns
# also: -
import numpy as np

import headgate as hg
from headgate import nn, optim

hg.random.set_seed(2)
rng = np.random.default_rng(2)


class Classifier(nn.Model):
    def __init__(self, classes):
        super().__init__(name="classifier")
        self.backbone = nn.Dense(8, activation="relu", use_bias=False, name="backbone")
        self.head = nn.Dense(classes, use_bias=False, name="head")

    def call(self, x):
        return self.head(self.backbone(x))


class Trainer:
    """A small rate for the backbone, a larger one for the new head."""

    def __init__(self, model):
        self.model = model
        self.slow, self.fast = optim.Adam(1e-3), optim.Adam(1e-2)

    def step(self, x, labels):
        with hg.GradientTape() as tape:
            logits = self.model(x)
            loss = hg.mean(hg.sparse_softmax_cross_entropy(logits, labels))
        backbone = self.model.backbone.trainable_variables
        head = self.model.head.trainable_variables
        gradients = tape.gradient(loss, backbone + head)
        for_backbone, for_head = gradients[: len(backbone)], gradients[len(backbone) :]
        if self.model.backbone.trainable:
            self.slow.apply_gradients(zip(for_backbone, backbone))
        self.fast.apply_gradients(zip(for_head, head))
        return float(loss)


model = Classifier(3)
model.build((None, 4))
trainer = Trainer(model)
start = {v.name: v.numpy() for v in model.variables}
for _step in range(4):
    x = rng.normal(size=(12, 4)).astype("float32")
    trainer.step(x, np.argmax(x[:, :3], axis=1))
for v in model.variables:
    print(f"{v.name}: {'learns' if (v.numpy() != start[v.name]).any() else 'still'}")
