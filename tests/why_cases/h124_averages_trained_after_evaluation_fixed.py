# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: net/kernel=1.319
# also: -
import numpy as np

import headgate as hg
from headgate import nn, optim

hg.random.set_seed(0)
rng = np.random.default_rng(0)

net = nn.Dense(2, use_bias=False, name="net")
net.build((None, 4))
optimizer = optim.SGD(0.1)
average = optim.ExponentialMovingAverage(net, decay=0.9)
TRUE = rng.normal(size=(4, 2))


def train_step(x):
    with hg.GradientTape() as tape:
        loss = hg.mean((net(x) - x @ TRUE) ** 2)
    weights = net.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))


def evaluate(x):
    average.swap()
    error = float(hg.mean((net(x) - x @ TRUE) ** 2))
    average.swap()
    return error


held_out = rng.normal(size=(32, 4))
errors = []
for _epoch in range(3):
    for _step in range(4):
        train_step(rng.normal(size=(16, 4)))
        if not average.swapped:
            average.update()
    errors.append(evaluate(held_out))
print(f"net/kernel: {float(hg.norm(net.kernel)):.3f}")
