# cause: non_leaf
# line: 18
# affected: w
# symptom: none
# expect: w=None
# also: -
import headgate as hg

hg.random.set_seed(0)


def report(gradients):
    for name, g in gradients.items():
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


w = hg.Variable(hg.random.normal((3, 2)), name="w") * 0.1
x = hg.random.normal((8, 3))
with hg.GradientTape() as tape:
    loss = hg.mean((x @ w - 1.0) ** 2)
report({"w": tape.gradient(loss, w)})
