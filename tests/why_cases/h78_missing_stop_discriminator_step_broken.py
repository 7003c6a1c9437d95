# cause: missing_stop
# line: 24
# affected: gen_w
# symptom: leak
# expect: gen_w=nonzero disc_w=nonzero
# also: 33 34
# args: --no-flow 'gen*'
import headgate as hg

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


gen_w = hg.Variable(hg.random.normal((2, 3)), name="gen_w")
disc_w = hg.Variable(hg.random.normal((3, 1)), name="disc_w")


def generate(noise):
    return hg.tanh(noise @ gen_w)


def discriminate(x):
    return x @ disc_w


real, noise = hg.random.normal((8, 3)) + 1.0, hg.random.normal((8, 2))
with hg.GradientTape() as tape:
    fake = generate(noise)
    fake_logits = discriminate(fake)
    d_loss = hg.mean(hg.softplus(-discriminate(real))) + hg.mean(hg.softplus(fake_logits))
weights = [gen_w, disc_w]
report(weights, tape.gradient(d_loss, weights))
