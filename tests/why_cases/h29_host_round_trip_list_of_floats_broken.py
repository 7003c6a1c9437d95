# cause: host_round_trip
# line: 27
# affected: w b
# symptom: none
# expect: w=None b=None
# also: 28
import headgate as hg

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


w, b = hg.Variable(hg.random.normal((3,)), name="w"), hg.Variable(0.0, name="b")
batches = [(hg.random.normal((4, 3)), hg.random.normal((4,))) for _ in range(3)]


def batch_loss(x, y):
    return hg.mean((x @ w + b - y) ** 2)


with hg.GradientTape() as tape:
    losses = [float(batch_loss(x, y)) for x, y in batches]
    loss = hg.mean(hg.asarray(losses))
report([w, b], tape.gradient(loss, [w, b]))
