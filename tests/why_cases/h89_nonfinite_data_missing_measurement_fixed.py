# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: w=nonzero bias=nonzero
# also: -
import numpy as np

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
x = np.array([[1.0, 2.0], [0.0, 1.5], [0.3, 0.1]])
y = np.array([1.0, 0.0, 1.0])

with hg.GradientTape() as tape:
    prediction = x @ w
    loss = hg.mean((prediction + bias - y) ** 2)
report([w, bias], tape.gradient(loss, [w, bias]))
