# cause: variable_replaced
# line: 30
# affected: w1 w2
# symptom: none
# expect: w1=None w2=None
# also: 35
import headgate as hg

hg.random.set_seed(0)


def report(gradients):
    for name, g in gradients.items():
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


params = {
    "w1": hg.Variable(0.5 * hg.random.normal((3, 4)), name="w1"),
    "w2": hg.Variable(0.5 * hg.random.normal((4, 1)), name="w2"),
}
x, y = hg.random.normal((8, 3)), hg.ones((8, 1))


def loss_of(params):
    return hg.mean((hg.tanh(x @ params["w1"]) @ params["w2"] - y) ** 2)


def sgd(params, gradients, rate=0.1):
    return {k: params[k] - rate * gradients[k] for k in params}


with hg.GradientTape() as tape:
    loss = loss_of(params)
params = sgd(params, tape.gradient(loss, params))
with hg.GradientTape() as tape:
    loss = loss_of(params)
report(tape.gradient(loss, params))
