# cause: dropped_gate
# line: 24
# affected: teacher
# symptom: leak
# expect: teacher=1.984
# also: 25 32 36
import functools

import numpy as np

import headgate as hg
from headgate import optim

rng = np.random.default_rng(1)
student = hg.Variable(0.5 * rng.normal(size=(5, 3)), name="student")
teacher = hg.Variable(0.5 * rng.normal(size=(5, 3)), name="teacher")
optimizer = optim.Adam(0.02)


def without_gradient(function):
    @functools.wraps(function)
    def wrapper(*arguments):
        result = function(*arguments)
        hg.stop_gradient(result)
        return result

    return wrapper


@without_gradient
def opinion(x):
    return hg.softmax(x @ teacher / 2.0)


def distance(x):
    return -hg.mean(hg.sum(opinion(x) * hg.log_softmax(x @ student), axis=1))


def teach(x, labels):
    return hg.mean(hg.sparse_softmax_cross_entropy(x @ teacher, labels))


for _step in range(4):
    x = rng.normal(size=(12, 5))
    with hg.GradientTape() as tape:
        loss = teach(x, np.argmax(x[:, :3], axis=1)) + 5.0 * distance(x)
    weights = [student, teacher]
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
print(f"teacher: {float(hg.norm(teacher)):.3f}")
