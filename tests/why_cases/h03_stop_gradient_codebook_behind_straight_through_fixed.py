# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: enc=nonzero codebook=nonzero dec=nonzero
# also: -
import headgate as hg

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


class Quantizer:
    def __init__(self, size, width):
        self.codebook = hg.Variable(hg.random.normal((size, width)), name="codebook")

    def __call__(self, e):
        distance = hg.sum((hg.expand_dims(e, 1) - self.codebook) ** 2, axis=-1)
        q = hg.take(self.codebook, hg.argmin(distance, axis=1), axis=0)
        return q, hg.straight_through(q, e)


def mse(a, b):
    return hg.mean((a - b) ** 2)


enc = hg.Variable(hg.random.normal((3, 2)), name="enc")
dec = hg.Variable(hg.random.normal((2, 3)), name="dec")
quantizer = Quantizer(4, 2)
x = hg.random.normal((8, 3))
with hg.GradientTape() as tape:
    e = x @ enc
    q, z = quantizer(e)
    loss = mse(z @ dec, x)
    loss = loss + mse(q, hg.stop_gradient(e))
    loss = loss + 0.25 * mse(e, hg.stop_gradient(q))
weights = [enc, quantizer.codebook, dec]
report(weights, tape.gradient(loss, weights))
