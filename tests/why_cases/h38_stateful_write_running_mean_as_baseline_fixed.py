# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: w=nonzero drift=nonzero
# also: -
import headgate as hg

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


class RunningMean:
    def __init__(self, momentum):
        self.momentum = momentum
        self.mean = hg.Variable(0.0, trainable=False, name="mean")

    def update(self, value):
        self.mean.assign(self.momentum * self.mean + (1.0 - self.momentum) * value)
        return value


w = hg.Variable(hg.random.normal((3,)), name="w")
drift = hg.Variable(hg.random.normal((3,)), name="drift")
baseline = RunningMean(0.9)
for _step in range(3):
    x = hg.random.normal((8, 3))
    with hg.GradientTape() as tape:
        level = baseline.update(hg.mean(x @ drift + 1.0))
        loss = hg.mean((x @ w + level - 2.0) ** 2)
    gradients = tape.gradient(loss, [w, drift])
    for v, g in zip([w, drift], gradients):
        if g is not None:
            v.assign_sub(0.05 * g)
report([w, drift], gradients)
