# cause: nonfinite_value
# line: 28
# affected: w bias
# symptom: not finite
# expect: w=nan bias=nan
# also: -
import headgate as hg


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {status(size)}")


def status(size):
    if size is None or not size:
        return "None" if size is None else "zero"
    return "nonzero" if size < float("inf") else "nan"


w = hg.Variable([0.5, -1.0], name="w")
bias = hg.Variable(0.1, name="bias")
x, y = hg.asarray([[1.0, 2.0], [0.5, -1.0], [3.0, 1.0]]), hg.asarray([0.0, 1.0, 1.0])

with hg.GradientTape() as tape:
    error = x @ w + bias - y
    loss = hg.mean(error**1.5)
report([w, bias], tape.gradient(loss, [w, bias]))
