# cause: none
# line: 0
# affected: -
# symptom: legit: values leave for the host to be logged and do not come back
# expect: w=nonzero v=nonzero
# also: -
# stops: 28 30 31
import numpy as np

import headgate as hg

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


w = hg.Variable(0.5 * hg.random.normal((3, 4)), name="w")
v = hg.Variable(0.5 * hg.random.normal((4, 1)), name="v")
history, activations = [], []
for step in range(4):
    x = hg.random.normal((8, 3))
    with hg.GradientTape() as tape:
        h = hg.tanh(x @ w)
        activations.append(np.abs(h.numpy()).mean())
        loss = hg.mean((h @ v - 1.0) ** 2)
        history.append((step, float(loss), f"{loss:.3f}"))
        if loss > 100.0:
            raise RuntimeError("the loss explodes")
    gradients = tape.gradient(loss, [w, v])
    for variable, g in zip([w, v], gradients):
        variable.assign_sub(0.1 * g)
report([w, v], gradients)
