# cause: outside_tape
# line: 22
# affected: gate/logits
# symptom: none
# expect: gate/logits=None head/kernel=nonzero head/bias=nonzero
# also: -
import headgate as hg
from headgate import nn

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


class Gate(nn.Layer):
    def build(self, input_shape):
        self.logits = self.add_weight((input_shape[-1],), "zeros", name="logits")
        self.open = hg.sigmoid(self.logits)

    def call(self, x):
        return x * self.open


gate, head = Gate(name="gate"), nn.Dense(1, name="head")
x = hg.random.normal((8, 5))
gate.build(x.shape)
with hg.GradientTape() as tape:
    loss = hg.mean((head(gate(x)) - 1.0) ** 2)
weights = [*gate.trainable_variables, *head.trainable_variables]
report(weights, tape.gradient(loss, weights))
