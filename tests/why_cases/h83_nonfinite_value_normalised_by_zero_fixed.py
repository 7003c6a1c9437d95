# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: w=nonzero bias=nonzero
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


w = hg.Variable([[-1.0, -2.0], [-0.5, -1.0]], name="w")
bias = hg.Variable(0.1, name="bias")
x = hg.asarray([[1.0, 2.0], [-1.0, -3.0]])

with hg.GradientTape() as tape:
    activity = hg.relu(x @ w)  # of the first example none is active
    total = hg.sum(activity, axis=1, keepdims=True)
    share = activity / (total + 1e-6)
    loss = hg.mean((hg.tanh(x @ w) + share - 0.5) ** 2) + bias**2
report([w, bias], tape.gradient(loss, [w, bias]))
