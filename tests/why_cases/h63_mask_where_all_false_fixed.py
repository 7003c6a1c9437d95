# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: w=nonzero bias=nonzero
# also: -
import headgate as hg

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


w = hg.Variable(hg.random.normal((3,)), name="w")
bias = hg.Variable(0.5, name="bias")
x, length = hg.random.normal((8, 3)), 5
inside = hg.arange(8) < length


def score(x):
    s = x @ w
    return hg.where(inside, s, 0.0)


with hg.GradientTape() as tape:
    loss = hg.sum((score(x) + bias - 1.0) ** 2)
report([w, bias], tape.gradient(loss, [w, bias]))
