# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: enc=nonzero values=nonzero
# also: -
import headgate as hg

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


enc = hg.Variable(hg.random.normal((3, 2)), name="enc")
values = hg.Variable(hg.random.normal((5, 1)), name="values")
prototypes = hg.random.normal((5, 2))
x, y = hg.random.normal((9, 3)), hg.random.normal((9, 1))


def lookup(query):
    distance = hg.sum((hg.expand_dims(query, 1) - prototypes) ** 2, axis=-1)
    return hg.softmax(-distance) @ values


with hg.GradientTape() as tape:
    loss = hg.mean((lookup(hg.tanh(x @ enc)) - y) ** 2)
report([enc, values], tape.gradient(loss, [enc, values]))
