# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: enc=nonzero dec=nonzero
# also: -
import numpy as np

import headgate as hg

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


enc = hg.Variable(hg.random.normal((3, 4)), name="enc")
dec = hg.Variable(hg.random.normal((4, 1)), name="dec")
x = hg.random.normal((20, 3))


def winsorise(h):
    """Pull the largest and smallest tenth of the values in."""
    a = np.asarray(h)
    low, high = np.quantile(a, [0.1, 0.9])
    return hg.clip(h, float(low), float(high))


with hg.GradientTape() as tape:
    h = winsorise(x @ enc)
    loss = hg.mean((h @ dec - 1.0) ** 2)
report([enc, dec], tape.gradient(loss, [enc, dec]))
