# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: w=nonzero b=nonzero
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


w = hg.Variable([[40.0, -900.0], [-400.0, 500.0]], name="w")
b = hg.Variable([0.0, 0.0], name="b")
x, labels = hg.asarray([[1.0, 0.5], [0.2, -1.0]]), hg.asarray([[0.0, 1.0], [0.0, 1.0]])

with hg.GradientTape() as tape:
    logits = x @ w + b
    probabilities = hg.softmax(logits)
    loss = -hg.mean(hg.sum(labels * hg.log_softmax(logits), axis=1))
report([w, b], tape.gradient(loss, [w, b]))
