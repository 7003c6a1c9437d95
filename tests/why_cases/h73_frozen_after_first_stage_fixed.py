# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: enc/kernel=nonzero enc/bias=nonzero head/kernel=nonzero head/bias=nonzero
# also: -
import headgate as hg
from headgate import nn, optim

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


encoder = nn.Dense(6, activation="tanh", name="enc")
head = nn.Dense(1, name="head")
model = nn.Sequential([encoder, head])
optimizer = optim.SGD(0.05)
x = hg.random.normal((16, 4))
y = hg.sum(x, axis=1, keepdims=True)


def train(steps):
    for _ in range(steps):
        with hg.GradientTape() as tape:
            loss = hg.mean((model(x) - y) ** 2)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return gradients


encoder.trainable = False
train(2)
encoder.trainable = True
gradients = train(2)
weights = model.trainable_variables
report(weights, gradients)
for v in model.variables:
    if not any(v is u for u in weights):
        print(f"{v.name}: absent")
