# cause: unused_parameter
# line: 23
# affected: fc2
# symptom: none
# expect: fc1=nonzero fc2=None fc3=nonzero
# also: 19 29
import headgate as hg

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


def weight(name):
    return hg.Variable(0.5 * hg.random.normal((5, 5)), name=name)


fc1 = weight("fc1")
fc2 = weight("fc2")
fc3 = weight("fc3")


def forward(x):
    h = hg.tanh(x @ fc1)
    h = hg.tanh(h @ fc1)
    return h @ fc3


x = hg.random.normal((6, 5))
with hg.GradientTape() as tape:
    loss = hg.mean((forward(x) - x) ** 2)
report([fc1, fc2, fc3], tape.gradient(loss, [fc1, fc2, fc3]))
