# cause: none
# line: 0
# affected: -
# symptom: legit: target network without gradient, synchronised by assign
# expect: q=nonzero
# also: -
# stops: 21 26 30 34
import headgate as hg
from headgate import optim

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


q = hg.Variable(0.5 * hg.random.normal((3, 2)), name="q")
target = hg.Variable(q, trainable=False, name="target")
optimizer = optim.SGD(0.05)
for step in range(6):
    state, next_state = hg.random.normal((8, 3)), hg.random.normal((8, 3))
    reward = hg.random.uniform((8,))
    action = hg.argmax(state @ q, axis=1)
    with hg.GradientTape() as tape:
        goal = reward + 0.9 * hg.max(next_state @ target, axis=1)
        value = hg.sum((state @ q) * hg.one_hot(action, 2), axis=1)
        loss = hg.mean((hg.stop_gradient(goal) - value) ** 2)
    gradients = tape.gradient(loss, [q])
    optimizer.apply_gradients(zip(gradients, [q]))
    if step % 3 == 2:
        target.assign(q)
report([q], gradients)
