# cause: none
# line: 0
# affected: -
# symptom: legit: each part has an optimizer of its own, with gradients of one tape
# expect: policy=nonzero value=nonzero log_alpha=nonzero
# also: -
# stops: 33 34 37
import headgate as hg
from headgate import optim

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


policy = hg.Variable(0.1 * hg.random.normal((4, 2)), name="policy")
value = hg.Variable(0.1 * hg.random.normal((4, 1)), name="value")
log_alpha = hg.Variable(0.0, name="log_alpha")
parts = [
    (policy, optim.Adam(0.01)),
    (value, optim.SGD(0.1)),
    (log_alpha, optim.RMSprop(0.001)),
]
for _step in range(3):
    x, returns = hg.random.normal((8, 4)), hg.random.normal((8, 1)) + 1.0
    with hg.GradientTape(persistent=True) as tape:
        log_policy = hg.log_softmax(x @ policy)
        entropy = -hg.sum(hg.exp(log_policy) * log_policy, axis=1, keepdims=True)
        gain = hg.stop_gradient(returns - x @ value)
        alpha = hg.stop_gradient(hg.exp(log_alpha))
        policy_loss = -hg.mean(gain * log_policy[:, :1] + alpha * entropy)
        value_loss = hg.mean((x @ value - returns) ** 2)
        alpha_loss = hg.mean(hg.exp(log_alpha) * hg.stop_gradient(entropy - 0.5))
    losses = [policy_loss, value_loss, alpha_loss]
    found = []
    for loss, (variable, optimizer) in zip(losses, parts):
        found.append(tape.gradient(loss, variable))
        optimizer.apply_gradients([(found[-1], variable)])
report([policy, value, log_alpha], found)
