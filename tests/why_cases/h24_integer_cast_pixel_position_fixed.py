# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: shift=nonzero gain=nonzero
# also: -
import headgate as hg

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


shift = hg.Variable(2.3, name="shift")
gain = hg.Variable(0.7, name="gain")
row = hg.sin(hg.arange(0.0, 20.0) / 3.0)
wanted = hg.sin((hg.arange(0.0, 10.0) + 3.0) / 3.0)


def sample(row, position):
    left = hg.astype(position, int)
    part = position - hg.astype(left, float)
    return (1.0 - part) * hg.take(row, left) + part * hg.take(row, left + 1)


with hg.GradientTape() as tape:
    shifted = sample(row, hg.arange(0.0, 10.0) + shift)
    loss = hg.mean((gain * shifted - wanted) ** 2)
report([shift, gain], tape.gradient(loss, [shift, gain]))
