# cause: none
# line: 0
# affected: -
# symptom: legit: straight-through estimate, codebook loss and commitment loss
# expect: enc=nonzero codebook=nonzero dec=nonzero
# also: -
# stops: 32 33 34
import headgate as hg

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


enc = hg.Variable(hg.random.normal((3, 2)), name="enc")
codebook = hg.Variable(hg.random.normal((4, 2)), name="codebook")
dec = hg.Variable(hg.random.normal((2, 3)), name="dec")
x = hg.random.normal((8, 3))


def mse(a, b):
    return hg.mean((a - b) ** 2)


with hg.GradientTape() as tape:
    e = x @ enc
    distance = hg.sum((hg.expand_dims(e, 1) - codebook) ** 2, axis=-1)
    q = hg.take(codebook, hg.argmin(distance, axis=1), axis=0)
    recon = mse(hg.straight_through(q, e) @ dec, x)
    loss = recon + mse(hg.stop_gradient(e), q) + 0.25 * mse(e, hg.stop_gradient(q))
weights = [enc, codebook, dec]
report(weights, tape.gradient(loss, weights))
