# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: gen=nonzero embed=nonzero critic=nonzero
# also: -
import headgate as hg

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


gen = hg.Variable(hg.random.normal((4, 10)), name="gen")
embed = hg.Variable(hg.random.normal((10, 6)), name="embed")
critic = hg.Variable(hg.random.normal((6, 1)), name="critic")


def generate(noise):
    logits = noise @ gen
    return hg.softmax(logits) @ embed


with hg.GradientTape() as tape:
    fake = generate(hg.random.normal((8, 4)))
    loss = hg.mean(hg.softplus(-(fake @ critic)))
weights = [gen, embed, critic]
report(weights, tape.gradient(loss, weights))
