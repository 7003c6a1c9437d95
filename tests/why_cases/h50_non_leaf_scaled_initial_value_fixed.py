# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: w=nonzero
# also: -
import headgate as hg

hg.random.set_seed(0)


def report(gradients):
    for name, g in gradients.items():
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


w = hg.Variable(hg.random.normal((3, 2)) * 0.1, name="w")
x = hg.random.normal((8, 3))
with hg.GradientTape() as tape:
    loss = hg.mean((x @ w - 1.0) ** 2)
report({"w": tape.gradient(loss, w)})
