# cause: stop_gradient
# line: 23
# affected: student
# symptom: none
# expect: student=None head=nonzero
# also: 29
import headgate as hg

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


teacher = hg.Variable(hg.random.normal((4, 6)), trainable=False, name="teacher")
student = hg.Variable(hg.random.normal((4, 3)), name="student")
head = hg.Variable(hg.random.normal((3, 2)), name="head")
project = hg.random.normal((6, 3))

match = lambda goal, guess: hg.mean((hg.stop_gradient(goal) - guess) ** 2)

x, labels = hg.random.normal((8, 4)), hg.asarray([0, 1, 0, 1, 1, 0, 0, 1])
with hg.GradientTape() as tape:
    goal = hg.stop_gradient(hg.tanh(x @ teacher) @ project)
    guess = hg.tanh(x @ student)
    distill = match(guess, goal)
    logits = hg.stop_gradient(hg.tanh(x @ student)) @ head
    loss = distill + hg.mean(hg.sparse_softmax_cross_entropy(logits, labels))
report([student, head], tape.gradient(loss, [student, head]))
