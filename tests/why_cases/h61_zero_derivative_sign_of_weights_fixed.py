# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: binary=nonzero alpha=nonzero
# also: -
import headgate as hg

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


binary = hg.Variable(0.2 * hg.random.normal((6, 3)), name="binary")
alpha = hg.Variable(hg.ones(3), name="alpha")
x, y = hg.random.normal((10, 6)), hg.random.normal((10, 3))


def binarise(w):
    return hg.straight_through(hg.sign(w), w)


with hg.GradientTape() as tape:
    loss = hg.mean((alpha * (x @ binarise(binary)) - y) ** 2)
report([binary, alpha], tape.gradient(loss, [binary, alpha]))
