# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: raw_diffusivity=nonzero amplitude=nonzero
# also: -
"""A physics-informed network finds the diffusivity of a heated rod from a few measurements."""

import math

import keras
import numpy as np
import tensorflow as tf

TRUE_DIFFUSIVITY = 0.3


def exact(t, x):
    """Two modes of the heat equation on a rod whose ends are kept cold."""
    first = np.exp(-TRUE_DIFFUSIVITY * math.pi**2 * t) * np.sin(math.pi * x)
    second = np.exp(-4.0 * TRUE_DIFFUSIVITY * math.pi**2 * t) * np.sin(2.0 * math.pi * x)
    return first + 0.5 * second


class Points:
    """Where the equation, the ends, the beginning and the measurements are looked at."""

    def __init__(self, seed, inside=48, edge=16, measured=24):
        self.draw = np.random.default_rng(seed)
        self.inside = self.column(inside), self.column(inside)
        self.ends = self.column(edge), self.draw.integers(0, 2, size=(edge, 1)).astype("float32")
        self.start = np.zeros((edge, 1), "float32"), self.column(edge)
        self.measured = self.column(measured), self.column(measured)

    def column(self, count):
        return self.draw.uniform(size=(count, 1)).astype("float32")


class Rod(keras.Model):
    def __init__(self, width=16):
        super().__init__()
        self.one = keras.layers.Dense(width, activation="tanh", name="one")
        self.two = keras.layers.Dense(width, activation="tanh", name="two")
        self.temperature = keras.layers.Dense(1, name="temperature")
        self.amplitude = self.add_weight(shape=(), initializer="ones", name="amplitude")
        self.raw_diffusivity = self.add_weight(
            shape=(), initializer="zeros", name="raw_diffusivity"
        )

    def diffusivity(self):
        """Softplus of a free number, so that it is positive."""
        return tf.nn.softplus(self.raw_diffusivity)

    def call(self, places):
        t, x = places
        h = self.two(self.one(tf.concat([t, 2.0 * x - 1.0], axis=1)))
        return self.amplitude * self.temperature(h)


def derivatives(model, t, x):
    """Return u, u_t and u_xx, so that they can be differentiated again."""
    with tf.GradientTape() as second:
        second.watch(x)
        with tf.GradientTape(persistent=True) as first:
            first.watch([t, x])
            u = model((t, x))
        u_t, u_x = first.gradient(u, t), first.gradient(u, x)
    u_xx = second.gradient(u_x, x)
    return u, u_t, u_xx


class Equation:
    """The terms of the loss, each a mean of squares."""

    def __init__(self, model, points):
        self.model, self.points = model, points

    def residual(self):
        t, x = map(tf.constant, self.points.inside)
        _, u_t, u_xx = derivatives(self.model, t, x)
        return tf.reduce_mean(tf.square(u_t - self.model.diffusivity() * u_xx))

    def ends(self):
        return tf.reduce_mean(tf.square(self.model(self.points.ends)))

    def start(self):
        u = self.model(self.points.start)
        return tf.reduce_mean(tf.square(u - exact(*self.points.start)))

    def measured(self):
        u = self.model(self.points.measured)
        return tf.reduce_mean(tf.square(u - exact(*self.points.measured)))

    def terms(self):
        return {
            "residual": 0.1 * self.residual(),
            "ends": self.ends(),
            "start": self.start(),
            "measured": self.measured(),
        }


def train(model, equation, steps):
    schedule = keras.optimizers.schedules.ExponentialDecay(5e-3, 10, 0.9)
    optimizer = keras.optimizers.Adam(schedule)
    history = []
    for _ in range(steps):
        with tf.GradientTape() as tape:
            terms = equation.terms()
            loss = tf.add_n(list(terms.values()))
        variables = model.trainable_variables
        gradients = tape.gradient(loss, variables)
        moved = [(g, v) for g, v in zip(gradients, variables) if g is not None]
        optimizer.apply_gradients(moved)
        history.append({name: float(term) for name, term in terms.items()})
    return gradients, history


def main():
    keras.utils.set_random_seed(105)
    model = Rod()
    gradients, history = train(model, Equation(model, Points(seed=6)), steps=5)
    assert all(math.isfinite(value) for terms in history for value in terms.values())
    by_name = {v.name: g for v, g in zip(model.trainable_variables, gradients)}
    for name in ("raw_diffusivity", "amplitude"):
        g = by_name[name]
        said = "None" if g is None else "nonzero" if tf.reduce_any(g != 0) else "zero"
        print(f"{name}: {said}")


if __name__ == "__main__":
    main()
