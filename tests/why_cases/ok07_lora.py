# cause: none
# line: 0
# affected: -
# symptom: legit: frozen base; one factor starts at zero, so the other gets zero in the first step
# expect: lora/a=nonzero lora/b=nonzero head/kernel=nonzero head/bias=nonzero
# also: -
# stops: 23
import headgate as hg
from headgate import nn, optim

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


class Lora(nn.Layer):
    def build(self, input_shape):
        size = input_shape[-1]
        self.base = self.add_weight((size, size), trainable=False, name="base")
        self.a = self.add_weight((size, 2), name="a")
        self.b = self.add_weight((2, size), "zeros", name="b")

    def call(self, x):
        return hg.tanh(x @ self.base + x @ self.a @ self.b)


model = nn.Sequential([Lora(name="lora"), nn.Dense(1, name="head")])
optimizer = optim.SGD(0.1)
x = hg.random.normal((8, 4))
y = hg.sum(x, axis=1, keepdims=True)
for _step in range(2):
    with hg.GradientTape() as tape:
        loss = hg.mean((model(x) - y) ** 2)
    weights = model.trainable_variables
    gradients = tape.gradient(loss, weights)
    optimizer.apply_gradients(zip(gradients, weights))
report(weights, gradients)
