# cause: stateful_write
# line: 29
# affected: cell/w_in cell/w_rec
# symptom: none
# expect: cell/w_in=None cell/w_rec=None out/kernel=nonzero out/bias=nonzero
# also: -
import headgate as hg
from headgate import nn

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


class Cell(nn.Layer):
    def build(self, input_shape):
        self.w_in = self.add_weight((input_shape[-1], 5), name="w_in")
        self.w_rec = self.add_weight((5, 5), name="w_rec")
        self.h = self.add_weight((4, 5), "zeros", trainable=False, name="h")

    def call(self, sequence):
        h = self.h
        for t in range(sequence.shape[1]):
            h = hg.tanh(sequence[:, t] @ self.w_in + h @ self.w_rec)
            h = self.h.assign(h)
        return h


model = nn.Sequential([Cell(name="cell"), nn.Dense(1, name="out")])
sequence = hg.random.normal((4, 6, 2))
with hg.GradientTape() as tape:
    loss = hg.mean((model(sequence) - 1.0) ** 2)
weights = model.trainable_variables
report(weights, tape.gradient(loss, weights))
