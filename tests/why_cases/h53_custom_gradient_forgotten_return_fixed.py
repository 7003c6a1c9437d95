# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: enc=nonzero dec=nonzero
# also: -
import headgate as hg

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


@hg.custom_gradient
def limited(x):
    def grad(g):
        return hg.clip(g, -0.01, 0.01)

    return x * 1.0, grad


enc = hg.Variable(hg.random.normal((3, 4)), name="enc")
dec = hg.Variable(hg.random.normal((4, 1)), name="dec")
x = hg.random.normal((8, 3))
with hg.GradientTape() as tape:
    h = hg.tanh(x @ enc)
    h = limited(h)
    loss = hg.mean((h @ dec - 1.0) ** 2)
report([enc, dec], tape.gradient(loss, [enc, dec]))
