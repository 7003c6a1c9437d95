# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: fc/kernel=nonzero fc/bias=nonzero
# also: -
import headgate as hg
from headgate import nn

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


layer = nn.Dense(1, name="fc")
layer.build((None, 3))
weights = layer.trainable_variables
pretrained = hg.random.normal((3, 1), dtype="float32")
layer.kernel.assign(pretrained)
x = hg.random.normal((8, 3))
with hg.GradientTape() as tape:
    loss = hg.mean((layer(x) - 1.0) ** 2)
report(weights, tape.gradient(loss, weights))
