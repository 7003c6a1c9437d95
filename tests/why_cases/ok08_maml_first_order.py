# cause: none
# line: 0
# affected: -
# symptom: legit: the inner gradient is a constant to the outer step
# expect: meta_w=nonzero meta_b=nonzero
# also: -
# stops: 33
import headgate as hg

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


w = hg.Variable(hg.random.normal((3, 1)), name="meta_w")
b = hg.Variable(0.0, name="meta_b")


def error(weights, x, y):
    return hg.mean((x @ weights[0] + weights[1] - y) ** 2)


tasks = [(hg.random.normal((10, 3)), k * hg.ones((10, 1))) for k in range(1, 4)]
with hg.GradientTape() as outer:
    total = hg.asarray(0.0)
    for x, y in tasks:
        with hg.GradientTape() as inner:
            support = error([w, b], x[:5], y[:5])
        steps = hg.stop_gradient(inner.gradient(support, [w, b]))
        fast = [v - 0.1 * g for v, g in zip([w, b], steps)]
        total = total + error(fast, x[5:], y[5:])
report([w, b], outer.gradient(total, [w, b]))
