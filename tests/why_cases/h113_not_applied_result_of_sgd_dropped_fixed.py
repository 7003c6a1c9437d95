# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: encoder=learns decoder=learns
# also: -
import numpy as np

import headgate as hg
from headgate import optim

rng = np.random.default_rng(1)
encoder = hg.Variable(0.5 * rng.normal(size=(5, 3)), name="encoder")
decoder = hg.Variable(0.5 * rng.normal(size=(3, 5)), name="decoder")
adam = optim.Adam(0.01)


def sgd(variables, gradients, rate=0.05):
    """Plain descent for the encoder, Adam makes it restless."""
    for v, g in zip(variables, gradients):
        v.assign_sub(rate * g)


def train_step(x):
    with hg.GradientTape() as tape:
        z = hg.tanh(x @ encoder)
        loss = hg.mean((z @ decoder - x) ** 2)
    for_encoder, for_decoder = tape.gradient(loss, [encoder, decoder])
    sgd([encoder], [for_encoder])
    adam.apply_gradients([(for_decoder, decoder)])
    return float(loss)


start = {v.name: v.numpy() for v in (encoder, decoder)}
losses = [train_step(rng.normal(size=(16, 5))) for _ in range(5)]
for v in (encoder, decoder):
    print(f"{v.name}: {'learns' if (v.numpy() != start[v.name]).any() else 'still'}")
