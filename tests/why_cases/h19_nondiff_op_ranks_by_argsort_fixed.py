# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: rank/kernel=nonzero rank/bias=nonzero
# also: -
import headgate as hg
from headgate import nn

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


scorer = nn.Dense(1, name="rank", bias_initializer="ones")
documents = hg.random.normal((6, 4))
wanted = hg.asarray([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])


def ranks(scores):
    beaten = hg.sigmoid(hg.expand_dims(scores**2, 0) - hg.expand_dims(scores, 1))
    return hg.sum(beaten, axis=1) - 0.5


with hg.GradientTape() as tape:
    scores = scorer(documents)[:, 0]
    loss = hg.mean((ranks(scores) - wanted) ** 2)
weights = scorer.trainable_variables
report(weights, tape.gradient(loss, weights))
