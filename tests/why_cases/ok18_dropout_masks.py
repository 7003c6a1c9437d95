# cause: none
# line: 0
# affected: -
# symptom: legit: thirty steps with a random mask of the activations each
# expect: w1=nonzero w2=nonzero
# also: -
# stops: -
import headgate as hg

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


w1 = hg.Variable(0.5 * hg.random.normal((4, 16)), name="w1")
w2 = hg.Variable(0.5 * hg.random.normal((16, 1)), name="w2")
x = hg.random.normal((12, 4))
y = hg.sum(x, axis=1, keepdims=True)
for _step in range(30):
    with hg.GradientTape() as tape:
        h = hg.relu(x @ w1)
        keep = hg.random.uniform((12, 16)) > 0.5
        h = hg.where(keep, h * 2.0, 0.0)
        loss = hg.mean((h @ w2 - y) ** 2)
    gradients = tape.gradient(loss, [w1, w2])
    for v, g in zip([w1, w2], gradients):
        v.assign_sub(0.01 * g)
report([w1, w2], gradients)
