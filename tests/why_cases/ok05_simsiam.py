# cause: none
# line: 0
# affected: -
# symptom: legit: stop on the branch that is compared with
# expect: proj=nonzero pred=nonzero
# also: -
# stops: 31
import headgate as hg

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


proj = hg.Variable(hg.random.normal((3, 4)), name="proj")
pred = hg.Variable(hg.random.normal((4, 4)), name="pred")
x1 = hg.random.normal((8, 3))
x2 = x1 + 0.1 * hg.random.normal((8, 3))


def cosine(a, b):
    return hg.mean(hg.sum(hg.l2_normalize(a, axis=1) * hg.l2_normalize(b, axis=1), axis=1))


with hg.GradientTape() as tape:
    z1, z2 = x1 @ proj, x2 @ proj
    t1, t2 = hg.stop_gradient((z1, z2))
    loss = -0.5 * (cosine(z1 @ pred, t2) + cosine(z2 @ pred, t1))
report([proj, pred], tape.gradient(loss, [proj, pred]))
