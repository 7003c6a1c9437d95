# cause: stop_gradient
# line: 25
# affected: norm/direction
# symptom: none
# expect: norm/direction=None norm/gain=nonzero out/kernel=nonzero out/bias=nonzero
# also: -
import headgate as hg
from headgate import nn

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


class WeightNorm(nn.Layer):
    def build(self, input_shape):
        self.direction = self.add_weight((input_shape[-1], 4), name="direction")
        self.gain = self.add_weight((4,), "ones", name="gain")

    def call(self, x):
        direction = hg.stop_gradient(self.direction)
        length = hg.sqrt(hg.sum(direction**2, axis=0))
        return hg.tanh(x @ (self.gain * direction / length))


net = nn.Sequential([WeightNorm(name="norm"), nn.Dense(1, name="out")])
x = hg.random.normal((8, 3))
with hg.GradientTape() as tape:
    loss = hg.mean((net(x) - 1.0) ** 2)
weights = net.trainable_variables
report(weights, tape.gradient(loss, weights))
