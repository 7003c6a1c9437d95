# cause: zero_derivative
# line: 28
# affected: enc
# symptom: zero
# expect: enc=zero
# also: -
import headgate as hg

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


enc = hg.Variable(hg.random.normal((3, 4)), name="enc")
anchor = hg.random.normal((8, 3))
positive = anchor + 0.01 * hg.random.normal((8, 3))
negative = anchor + 50.0


def triplet_loss(a, p, n, margin=0.2):
    near = hg.sum((a - p) ** 2, axis=1)
    far = hg.sum((a - n) ** 2, axis=1)
    violation = near - far + margin
    return hg.mean(hg.maximum(violation, 0.0))


with hg.GradientTape() as tape:
    loss = triplet_loss(*(x @ enc for x in (anchor, positive, negative)))
report([enc], tape.gradient(loss, [enc]))
