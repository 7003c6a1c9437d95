# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: a/kernel=nonzero a/bias=nonzero b/kernel=nonzero b/bias=nonzero
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
        self.a = nn.Dense(4, bias_initializer=nn.Constant(0.1), name="a")
        self.b = nn.Dense(1, name="b")

    def call(self, x):
        h = self.a(x)
        h = hg.relu(h)
        return self.b(h)


net = Net()
x = hg.random.normal((8, 3))
with hg.GradientTape() as tape:
    loss = hg.mean((net(x) - 1.0) ** 2)
weights = net.trainable_variables
report(weights, tape.gradient(loss, weights))
