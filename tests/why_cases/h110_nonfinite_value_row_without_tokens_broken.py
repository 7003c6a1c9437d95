# cause: nonfinite_value
# line: 24
# affected: query key value
# symptom: not finite
# expect: query=nan key=nan value=nan
# also: 23
import numpy as np

import headgate as hg
from headgate import optim

rng = np.random.default_rng(5)
query = hg.Variable(0.5 * rng.normal(size=(4, 4)), name="query")
key = hg.Variable(0.5 * rng.normal(size=(4, 4)), name="key")
value = hg.Variable(0.5 * rng.normal(size=(4, 4)), name="value")
parameters = [query, key, value]
optimizer = optim.Adam(0.01)
lengths = np.array([3, 5, 0, 2])


def attend(x, mask):
    scores = (x @ query) @ hg.permute_dims(x @ key, (0, 2, 1)) / 2.0
    scores = hg.where(mask[:, None, :], scores, -np.inf)
    weights = hg.softmax(scores, axis=-1)
    return weights @ (x @ value)


for _step in range(2):
    x = rng.normal(size=(4, 5, 4))
    mask = np.arange(5)[None, :] < lengths[:, None]
    with hg.GradientTape() as tape:
        out = attend(x, mask)
        error = hg.sum((out - x[:, :1, :]) ** 2, axis=-1) * mask
        loss = hg.sum(error) / np.sum(mask)
    gradients = tape.gradient(loss, parameters)
    optimizer.apply_gradients(zip(gradients, parameters))
for v in parameters:
    print(f"{v.name}: {'learns' if np.isfinite(v.numpy()).all() else 'nan'}")
