# cause: not_registered
# line: 21
# affected: head_w head_b
# symptom: absent
# expect: stem/kernel=nonzero stem/bias=nonzero head_w=absent head_b=absent
# also: 22 32
import headgate as hg
from headgate import nn

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


class Head:
    def __init__(self):
        self.w = hg.Variable(hg.random.normal((4, 1)), name="head_w")
        self.b = hg.Variable(hg.zeros(1), name="head_b")

    def __call__(self, h):
        return h @ self.w + self.b


class Net(nn.Model):
    def __init__(self):
        super().__init__(name="net")
        self.stem = nn.Dense(4, activation="tanh", name="stem")
        self.head = Head()

    def call(self, x):
        return self.head(self.stem(x))


net = Net()
x = hg.random.normal((8, 3))
with hg.GradientTape() as tape:
    loss = hg.mean((net(x) - 1.0) ** 2)
weights = net.trainable_variables
report(weights, tape.gradient(loss, weights))
for v in (net.head.w, net.head.b):
    if not any(v is u for u in weights):
        print(f"{v.name}: absent")
