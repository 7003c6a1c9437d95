# cause: nonfinite_value
# line: 29
# affected: a scale
# symptom: not finite
# expect: a=nan scale=nan
# also: -
import headgate as hg


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {status(size)}")


def status(size):
    if size is None or not size:
        return "None" if size is None else "zero"
    return "nonzero" if size < float("inf") else "nan"


a = hg.Variable([1.0, 2.0, 2.0], name="a")
scale = hg.Variable(2.0, name="scale")
b = hg.asarray([1.0, 2.0, 2.0])

with hg.GradientTape() as tape:
    cosine = hg.sum(a * b) / 9.0
    cosine = cosine * (1.0 + 1e-9)
    angle = hg.acos(cosine)
    loss = (angle - 0.5) ** 2 * scale
report([a, scale], tape.gradient(loss, [a, scale]))
