# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: student=1.790
# also: -
import numpy as np

import headgate as hg
from headgate import optim

rng = np.random.default_rng(2)
student = hg.Variable(0.5 * rng.normal(size=(4, 3)), name="student")
average = optim.ExponentialMovingAverage([student], decay=0.8)
optimizer = optim.SGD(0.1)
history = []


def consistency(x):
    """Mean teacher: the student has to agree with its own average on another view."""
    with average.applied():
        goal = hg.softmax(x @ student)
    view = x + 0.1 * rng.normal(size=x.shape)
    return -hg.mean(hg.sum(hg.stop_gradient(goal) * hg.log_softmax(view @ student), axis=1))


def train_step(x, labels):
    with hg.GradientTape() as tape:
        supervised = hg.mean(hg.sparse_softmax_cross_entropy(x @ student, labels))
        loss = supervised + consistency(x)
    (gradient,) = tape.gradient(loss, [student])
    optimizer.apply_gradients([(gradient, student)])
    average.update()
    return float(supervised)


before = student.numpy()
for _step in range(4):
    x = rng.normal(size=(12, 4))
    history.append(train_step(x, np.argmax(x[:, :3], axis=1)))
print(f"student: {float(hg.norm(student)):.3f}")
