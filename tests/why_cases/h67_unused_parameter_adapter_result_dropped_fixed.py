# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: base/kernel=nonzero adapter/kernel=nonzero out/kernel=nonzero
# also: -
import headgate as hg
from headgate import nn

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


class Net(nn.Model):
    def __init__(self):
        super().__init__(name="net")
        self.base = nn.Dense(4, "tanh", use_bias=False, name="base")
        self.adapter = nn.Dense(4, "tanh", use_bias=False, name="adapter")
        self.out = nn.Dense(1, use_bias=False, name="out")

    def call(self, x):
        h = self.base(x)
        h = self.adapter(h)
        return self.out(h)


net = Net()
x = hg.random.normal((8, 3))
with hg.GradientTape() as tape:
    loss = hg.mean((net(x) - 1.0) ** 2)
weights = net.trainable_variables
report(weights, tape.gradient(loss, weights))
