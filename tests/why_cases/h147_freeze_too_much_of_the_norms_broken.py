# cause: freeze_too_much frozen
# line: 34
# affected: block/kernel_norm
# symptom: absent
# expect: block/kernel_norm=still
# also: -
import numpy as np

import headgate as hg
from headgate import nn, optim

hg.random.set_seed(18)
rng = np.random.default_rng(18)


class Normed(nn.Layer):
    """A dense layer with weight normalisation: the direction and the length are apart."""

    def build(self, input_shape):
        shape = (input_shape[-1], 4)
        self.kernel = self.add_weight(shape, "glorot_uniform", name="kernel")
        self.kernel_norm = self.add_weight((4,), "ones", name="kernel_norm")

    def call(self, x):
        return hg.tanh(x @ (self.kernel_norm * hg.l2_normalize(self.kernel, axis=0)))


model = nn.Sequential([Normed(name="block"), nn.Dense(1, use_bias=False, name="out")], name="net")
model.build((None, 3))
optimizer = optim.SGD(0.05)
for step in range(6):
    if step == 2:
        # from now on only lengths are tuned
        model.freeze("block/kernel*")
        before = model.layers[0].kernel_norm.numpy()
    x = rng.normal(size=(8, 3)).astype("float32")
    with hg.GradientTape() as tape:
        loss = hg.mean((model(x) - x[:, :1]) ** 2)
    weights = model.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
moved = (model.layers[0].kernel_norm.numpy() != before).any()
print(f"block/kernel_norm: {'learns' if moved else 'still'}")
