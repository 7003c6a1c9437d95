# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: enc=nonzero dec=nonzero
# also: -
import headgate as hg
from headgate import optim

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


enc = hg.Variable(0.5 * hg.random.normal((3, 4)), name="enc")
dec = hg.Variable(0.5 * hg.random.normal((4, 1)), name="dec")


def encode(x):
    return hg.tanh(x @ enc)


x = hg.random.normal((16, 3))
y = hg.sum(x, axis=1, keepdims=True)
optimizer = optim.Adam(0.01)
for _epoch in range(3):
    with hg.GradientTape() as tape:
        features = encode(x)
        loss = hg.mean((features @ dec - y) ** 2)
    gradients = tape.gradient(loss, [enc, dec])
    optimizer.apply_gradients(zip(gradients, [enc, dec]))
report([enc, dec], gradients)
