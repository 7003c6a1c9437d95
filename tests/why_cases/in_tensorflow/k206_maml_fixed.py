# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: parameters['w1']=nonzero parameters['w2']=nonzero parameters['log_rates.w1']=nonzero parameters['log_rates.b1']=nonzero parameters['log_rates.w2']=nonzero parameters['log_rates.b2']=nonzero
# also: -
"""Meta-SGD on sine waves: a start and a rate for each weight that are learnt over many tasks."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

HIDDEN = 16


@dataclass
class Task:
    amplitude: float
    phase: float

    def batch(self, draw, count=10):
        x = draw.uniform(-3.0, 3.0, size=(count, 1)).astype("float32")
        return tf.constant(x), tf.constant(self.amplitude * np.sin(x + self.phase), tf.float32)


class Tasks:
    def __init__(self, seed):
        self.draw = np.random.default_rng(seed)

    def sample(self, count):
        for _ in range(count):
            yield Task(self.draw.uniform(0.5, 2.0), self.draw.uniform(0.0, np.pi))


def forward(weights, x):
    h = tf.tanh(x @ weights["w1"] + weights["b1"])
    return h @ weights["w2"] + weights["b2"]


def error(weights, x, y):
    return tf.reduce_mean(tf.square(forward(weights, x) - y))


class Learner(tf.Module):
    """Weights to begin from, and the logarithm of a rate for each of them."""

    def __init__(self, rate=0.05, name="learner"):
        super().__init__(name=name)
        shapes = {"w1": (1, HIDDEN), "b1": (HIDDEN,), "w2": (HIDDEN, 1), "b2": (1,)}
        self.weights = {
            key: tf.Variable(tf.random.normal(shape, stddev=0.5), name=key)
            for key, shape in shapes.items()
        }
        self.log_rates = {
            key: tf.Variable(tf.fill(shape, np.float32(np.log(rate))), name=f"log_rate_{key}")
            for key, shape in shapes.items()
        }

    def adapt(self, x, y, steps):
        """Return the weights after some steps on a task."""
        current = dict(self.weights)
        for _ in range(steps):
            with tf.GradientTape() as tape:
                tape.watch(current)
                loss = error(current, x, y)
            slopes = tape.gradient(loss, current)
            moved = {
                key: current[key] - tf.exp(self.log_rates[key]) * slope
                for key, slope in slopes.items()
            }
            current = moved
        return current


class MetaTrainer:
    def __init__(self, learner, rate=2e-3, tasks=4, steps=2):
        self.learner, self.tasks, self.steps = learner, tasks, steps
        self.optimizer = tf.keras.optimizers.Adam(rate)
        self.history = []

    def parameters(self):
        named = dict(self.learner.weights)
        named |= {f"log_rates.{key}": v for key, v in self.learner.log_rates.items()}
        return named

    def meta_loss(self, tasks):
        total = 0.0
        for task in tasks.sample(self.tasks):
            adapted = self.learner.adapt(*task.batch(tasks.draw), self.steps)
            total += error(adapted, *task.batch(tasks.draw))
        return total / self.tasks

    def step(self, tasks):
        parameters = self.parameters()
        with tf.GradientTape() as tape:
            loss = self.meta_loss(tasks)
        gradients = tape.gradient(loss, parameters)
        pairs = [(g, parameters[key]) for key, g in gradients.items() if g is not None]
        self.optimizer.apply_gradients(pairs)
        self.history.append(float(loss))
        return gradients


def evaluate(learner, seed):
    """The error on new tasks before and after adapting."""
    tasks, before, after = Tasks(seed), [], []
    for task in tasks.sample(4):
        support, query = task.batch(tasks.draw), task.batch(tasks.draw)
        before.append(float(error(learner.weights, *query)))
        after.append(float(error(learner.adapt(*support, 2), *query)))
    return np.mean(before), np.mean(after)


def main():
    tf.random.set_seed(106)
    learner = Learner()
    trainer = MetaTrainer(learner)
    tasks = Tasks(seed=7)
    for _ in range(4):
        gradients = trainer.step(tasks)
    assert np.isfinite(evaluate(learner, seed=8)).all()
    for name in ("w1", "w2", *(f"log_rates.{key}" for key in learner.log_rates)):
        g = gradients[name]
        said = "None" if g is None else "nonzero" if tf.reduce_any(g != 0) else "zero"
        print(f"parameters[{name!r}]: {said}")


if __name__ == "__main__":
    main()
