# cause: none
# line: 0
# affected: -
# symptom: legit: averages are put in for the evaluation, and out again
# expect: errors=2
# also: -
import numpy as np

import headgate as hg
from headgate import nn, optim

hg.random.set_seed(18)
rng = np.random.default_rng(18)
net = nn.Sequential([nn.Dense(5, "tanh", name="hidden"), nn.Dense(2, name="out")])
net.build((None, 4))
optimizer = optim.Adam(0.02)
average = optim.ExponentialMovingAverage(net, decay=0.9)
x_held = rng.normal(size=(20, 4)).astype("float32")


def error_of(x):
    return hg.mean((net(x) - x[:, :2] * x[:, 2:]) ** 2)


errors = []
for step in range(8):
    x = rng.normal(size=(8, 4)).astype("float32")
    with hg.GradientTape() as tape:
        loss = error_of(x)
    weights = net.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
    average.update()
    if step % 4 == 3:
        with average.applied():
            errors.append(float(error_of(x_held)))
average.swap()  # what is shipped are the averages
print(f"errors: {len(errors)}")
