# cause: mask
# line: 25
# affected: shared
# symptom: zero
# expect: shared=zero head=nonzero
# also: 24
import headgate as hg

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


shared = hg.Variable(hg.random.normal((4, 3)), name="shared")
head = hg.Variable(hg.random.normal((3, 2)), name="head")
owner = hg.asarray([3, 3, 3, 3, 3, 3])
x, y = hg.random.normal((6, 4)), hg.random.normal((6, 2))
with hg.GradientTape() as tape:
    h = hg.tanh(x @ shared)
    allowed = hg.one_hot(owner, 3)
    h = hg.route(h, allowed)
    loss = hg.mean((h @ head - y) ** 2)
report([shared, head], tape.gradient(loss, [shared, head]))
