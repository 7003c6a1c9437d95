# cause: missing_stop
# line: 32
# affected: teacher
# symptom: leak
# expect: online=nonzero predict=nonzero teacher=nonzero
# also: 33
# args: --no-flow 'teacher*'
import headgate as hg

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


online = hg.Variable(hg.random.normal((5, 4)), name="online")
predict = hg.Variable(hg.random.normal((4, 4)), name="predict")
teacher = hg.Variable(hg.random.normal((5, 4)), name="teacher")
x = hg.random.normal((8, 5))
view1, view2 = (x + 0.1 * hg.random.normal((8, 5)) for _ in range(2))


def distance(a, b):
    return -hg.mean(hg.sum(hg.l2_normalize(a, axis=1) * hg.l2_normalize(b, axis=1), axis=1))


with hg.GradientTape() as tape:
    guess = hg.tanh(view1 @ online) @ predict
    goal = hg.tanh(view2 @ teacher)
    loss = distance(guess, goal)
weights = [online, predict, teacher]
report(weights, tape.gradient(loss, weights))
