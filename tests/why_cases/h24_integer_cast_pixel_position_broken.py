# cause: integer_cast
# line: 25
# affected: shift
# symptom: none
# expect: shift=None gain=nonzero
# also: 26
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
    return hg.take(row, left)


with hg.GradientTape() as tape:
    shifted = sample(row, hg.arange(0.0, 10.0) + shift)
    loss = hg.mean((gain * shifted - wanted) ** 2)
report([shift, gain], tape.gradient(loss, [shift, gain]))
