# cause: not_watched
# line: 24
# affected: b
# symptom: none
# expect: w=nonzero b=None
# also: 21 22 26
import headgate as hg

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


w = hg.Variable(hg.random.normal((3,)), name="w")
b = hg.Variable(0.1, name="b")
x, y = hg.random.normal((8, 3)), hg.random.normal((8,))
with hg.GradientTape(watch_accessed_variables=False) as tape:
    tape.watch(w)
    prediction = x @ w
    prediction = prediction + b
    loss = hg.mean((prediction - y) ** 2)
report([w, b], tape.gradient(loss, [w, b]))
