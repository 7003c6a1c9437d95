# cause: dead_term
# line: 19
# affected: student/query student/key
# symptom: dead
# expect: student/query=1.447 student/key=1.822 student/value=1.106
# also: 43 44
import numpy as np

import headgate as hg
from headgate import optim

hg.random.set_seed(2)
rng = np.random.default_rng(2)


def attention_map(weights, x):
    query, key, _ = weights
    scores = hg.softmax((x @ query) @ hg.permute_dims(x @ key, (0, 2, 1)), axis=-1)
    return hg.stop_gradient(scores)


def attend(weights, x):
    query, key, value = weights
    scores = (x @ query) @ hg.permute_dims(x @ key, (0, 2, 1))
    return hg.softmax(scores, axis=-1) @ (x @ value)


def make(name, trainable=True):
    shapes = {"query": (4, 3), "key": (4, 3), "value": (4, 2)}
    return [
        hg.Variable(0.5 * rng.normal(size=shape), trainable=trainable, name=f"{name}/{part}")
        for part, shape in shapes.items()
    ]


teacher, student = make("teacher", trainable=False), make("student")
optimizer = optim.Adam(0.05)
for _step in range(3):
    x = rng.normal(size=(6, 5, 4))
    with hg.GradientTape() as tape:
        out, goal = attend(student, x), attend(teacher, x)
        logits = hg.mean((out - hg.stop_gradient(goal)) ** 2)
        maps = hg.mean((attention_map(student, x) - attention_map(teacher, x)) ** 2)
        loss = logits + 500.0 * maps
    gradients = tape.gradient(loss, student)
    optimizer.apply_gradients(zip(gradients, student))
for v in student:
    print(f"{v.name}: {float(hg.norm(v)):.3f}")
