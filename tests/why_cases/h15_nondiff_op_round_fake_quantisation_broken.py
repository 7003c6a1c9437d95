# cause: nondiff_op
# line: 26
# affected: quant/kernel
# symptom: none
# expect: quant/kernel=None quant/scale=nonzero out/kernel=nonzero out/bias=nonzero
# also: -
import headgate as hg
from headgate import nn

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


class QuantDense(nn.Layer):
    def build(self, input_shape):
        self.kernel = self.add_weight((input_shape[-1], 6), name="kernel")
        self.scale = self.add_weight((), nn.Constant(0.1), name="scale")

    def call(self, x):
        steps = self.kernel / self.scale
        steps = hg.round(steps)
        return hg.tanh(x @ (steps * self.scale))


class Net(nn.Model):
    def __init__(self):
        super().__init__(name="net")
        self.hidden = QuantDense(name="quant")
        self.out = nn.Dense(1, name="out")

    def call(self, x):
        return self.out(self.hidden(x))


net = Net()
x = hg.random.normal((8, 3))
with hg.GradientTape() as tape:
    loss = hg.mean((net(x) - hg.sum(x, axis=1, keepdims=True)) ** 2)
weights = net.trainable_variables
report(weights, tape.gradient(loss, weights))
