# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: shared=nonzero head=nonzero
# also: -
import headgate as hg

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


shared = hg.Variable(hg.random.normal((4, 3)), name="shared")
head = hg.Variable(hg.random.normal((3, 1)), name="head")
x, y = hg.random.normal((8, 4)), hg.random.normal((8, 1))
warm_up = [0.1, 0.2, 0.5, 1.0]
for step in range(2):
    with hg.GradientTape() as tape:
        h = hg.tanh(x @ shared)
        h = hg.scale_gradient(h, warm_up[step])
        loss = hg.mean((h @ head - y) ** 2)
    gradients = tape.gradient(loss, [shared, head])
    for v, g in zip([shared, head], gradients):
        v.assign_sub(0.1 * g)
report([shared, head], gradients)
