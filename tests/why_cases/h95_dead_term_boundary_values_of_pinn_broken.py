# cause: dead_term outside_tape
# line: 36
# affected: w1 b1 w2
# symptom: dead
# expect: w1=2.150 b1=3.390 w2=0.444
# also: 20 39 40
import numpy as np

import headgate as hg
from headgate import optim

rng = np.random.default_rng(5)
w1 = hg.Variable(rng.normal(size=(1, 8)), name="w1")
b1 = hg.Variable(rng.normal(size=8), name="b1")
w2 = hg.Variable(0.3 * rng.normal(size=(8, 1)), name="w2")
parameters = [w1, b1, w2]


def u(t):
    return hg.tanh(t @ w1 + b1) @ w2


def residual(t):
    """u' + u = 0, the derivative by a tape of its own."""
    t = hg.asarray(t)
    with hg.GradientTape() as inner:
        inner.watch(t)
        value = u(t)
    return inner.gradient(value, t) + value


optimizer = optim.Adam(0.02)
start = np.zeros((1, 1))
for _step in range(5):
    inside = rng.uniform(0.0, 2.0, size=(16, 1))
    at_start = u(start)
    with hg.GradientTape() as tape:
        equation = hg.mean(residual(inside) ** 2)
        boundary = hg.mean((at_start - 1.0) ** 2)
        loss = equation + 20.0 * boundary
    gradients = tape.gradient(loss, parameters)
    optimizer.apply_gradients(zip(gradients, parameters))
for p in parameters:
    print(f"{p.name}: {float(hg.norm(p)):.3f}")
